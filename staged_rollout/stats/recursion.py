"""The joint law of the looks, by recursive integration: who has not crossed yet, and who crosses next.

B(t) = Z(t) sqrt(t) is Brownian motion. Past looks enter only through

    h_k(s) = P(no crossing at looks 1..k | B(t_k) = s),

a number in [0, 1] that obeys, for s below the bound,

    h_k(s) = integral over u < b_{k-1} of h_{k-1}(u) N(u; s t_{k-1} / t_k, t_{k-1} (t_k - t_{k-1}) / t_k) du,

which is the Brownian bridge. Against the usual recursion on densities it has three virtues: nothing underflows
however high the early bounds are; the kernel is a band around the bridge's mean; and h does not depend on the drift,
so that power needs no second recursion.

Source: Armitage, McPherson and Rowe (1969), JRSS A 132, 235-244; Jennison and Turnbull (2000), ch. 19. Quadrature:
composite Gauss-Legendre, 16 nodes per panel, panels no wider than 3 times the *smaller* of the step to this look and
the step to the next one (sized on this step alone, close looks lose accuracy silently).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.special import log_ndtr

Floats = npt.NDArray[np.float64]

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(16)
_PANEL = 3.0
# Beyond 8.5 standard deviations a normal holds less than 1e-17, below the rounding of the sums.
_REACH = 8.5
_CHUNK = 64
_LOG_SQRT_2PI = 0.5 * math.log(2 * math.pi)


@dataclass(frozen=True, eq=False)
class Survivors:
    """The law of B at a look among those that have crossed nowhere so far.

    Args:
        information: Information fraction of the look.
        s: Quadrature nodes on the B scale, ascending, shape (n,).
        mass: Quadrature weight times h at each node, shape (n,).
        log_mass: Its natural logarithm, -inf where h underflows.
    """

    information: float
    s: Floats
    mass: Floats
    log_mass: Floats

    def log_density(self, drift: float) -> Floats:
        """Log of mass times the density of B at the nodes, when E[Z(t)] = drift * sqrt(t)."""
        t = self.information
        deviation = (self.s - drift * t) / math.sqrt(t)
        return np.asarray(self.log_mass - 0.5 * deviation * deviation - _LOG_SQRT_2PI - 0.5 * math.log(t))


@lru_cache(maxsize=256)
def survivors(information: tuple[float, ...], z: tuple[float, ...], following: float) -> Survivors:
    """Those below every bound so far, on nodes fine enough for the step to the `following` look.

    Kept in memory by its arguments, so that an appended look costs one step and not the whole recursion.

    Args:
        information: Information fractions of the looks so far, ascending, at least one.
        z: Their bounds on the z scale.
        following: Information fraction of the look that comes next.

    Returns:
        The survivors at the last of the looks.
    """
    t = information[-1]
    earlier = information[-2] if len(information) > 1 else 0.0
    s, weights = _panels(t, z[-1], min(t - earlier, following - t))
    if len(information) == 1:
        mass = weights
    else:
        previous = survivors(information[:-1], z[:-1], t)
        mass = weights * _survival(previous, s, t)
    with np.errstate(divide="ignore"):
        log_mass = np.log(mass)
    for array in (s, mass, log_mass):
        array.flags.writeable = False
    return Survivors(t, s, mass, log_mass)


def _panels(t: float, z: float, smallest_step: float) -> tuple[Floats, Floats]:
    """Gauss-Legendre nodes and weights on the B scale, from far below to the bound."""
    root = math.sqrt(t)
    upper = z * root
    lower = min(upper, 0.0) - _REACH * root
    panels = max(1, math.ceil((upper - lower) / (_PANEL * math.sqrt(smallest_step))))
    half = 0.5 * (upper - lower) / panels
    centres = lower + half * (2 * np.arange(panels) + 1)
    s = (centres[:, None] + half * _NODES[None, :]).ravel()
    return s, np.tile(half * _WEIGHTS, panels)


def _survival(previous: Survivors, s: Floats, t: float) -> Floats:
    """P(no crossing yet) at the nodes `s` of a look at `t`: one step, banded around the bridge's mean."""
    t0 = previous.information
    spread = math.sqrt(t0 * (t - t0) / t)
    means = s * (t0 / t)
    last = float(previous.s[-1])
    out = np.empty_like(s)
    for start in range(0, len(s), _CHUNK):
        mean = means[start : start + _CHUNK]
        # Where the mean lies above the bound, what survives sits just below the bound.
        low = np.searchsorted(previous.s, min(float(mean[0]), last) - _REACH * spread)
        high = np.searchsorted(previous.s, float(mean[-1]) + _REACH * spread)
        deviation = (previous.s[None, low:high] - mean[:, None]) / spread
        out[start : start + _CHUNK] = np.exp(-0.5 * deviation * deviation) @ previous.mass[low:high]
    return np.minimum(out / (spread * math.sqrt(2 * math.pi)), 1.0)


def log_crossing(before: Survivors | None, t: float, z: float, drift: float = 0.0) -> tuple[float, float]:
    """Log probability of a first crossing of `z` at the look at `t`, and its derivative in z.

    Args:
        before: Survivors at the look before; None at the first look.
        t: Information fraction of this look.
        z: Bound on the z scale.
        drift: E[Z(t)] / sqrt(t).

    Returns:
        (log P, d log P / dz); the derivative is negative.
    """
    if before is None:
        shifted = drift * math.sqrt(t) - z
        log_p = float(log_ndtr(shifted))
        return log_p, -math.exp(-0.5 * shifted * shifted - _LOG_SQRT_2PI - log_p)
    step = t - before.information
    spread = math.sqrt(step)
    deviation = (before.s + drift * step - z * math.sqrt(t)) / spread
    log_density = before.log_density(drift)
    log_p = _log_sum(log_density + log_ndtr(deviation))
    log_slope = (
        _log_sum(log_density - 0.5 * deviation * deviation) - _LOG_SQRT_2PI - math.log(spread) + 0.5 * math.log(t)
    )
    return log_p, -math.exp(log_slope - log_p) if math.isfinite(log_p) else -math.inf


def _log_sum(logs: Floats) -> float:
    """Logarithm of the sum of exp(logs), exact in scale."""
    top = float(np.max(logs))
    return top + math.log(float(np.sum(np.exp(logs - top)))) if math.isfinite(top) else -math.inf
