"""The joint law of the looks, by recursive integration: who has not stopped yet, and who stops next.

B(t) = Z(t) sqrt(t) is Brownian motion. Past looks enter only through

    h_k(s) = P(no stop at looks 1..k | B(t_k) = s),

a number in [0, 1] that is 0 outside the bounds and obeys between them

    h_k(s) = integral over a_{k-1} < u < b_{k-1} of h_{k-1}(u) N(u; s t_{k-1} / t_k, t_{k-1} (t_k - t_{k-1}) / t_k) du,

which is the Brownian bridge. Against the usual recursion on densities it has three virtues: nothing underflows
however high the early bounds are; the kernel is a band around the bridge's mean; and h does not depend on the drift,
so that power, futility and inference need no second recursion.

Source: Armitage, McPherson and Rowe (1969), JRSS A 132, 235-244; Jennison and Turnbull (2000), ch. 19. Quadrature:
composite Gauss-Legendre, 16 nodes per panel, panels no wider than 3 times the *smaller* of the step to this look and
the step to the next one (sized on this step alone, close looks lose accuracy silently).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.special import log_ndtr

Floats = npt.NDArray[np.float64]
#: Which bound is crossed: 1 the upper one, -1 the lower one.
Side = Literal[1, -1]
UPPER: Side = 1
LOWER: Side = -1

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(16)
_PANEL = 3.0
# Beyond 8.5 standard deviations a normal holds less than 1e-17, below the rounding of the sums.
_REACH = 8.5
# How far down the nodes go is rounded to steps of this many standard deviations, so that near questions share them.
_DEPTH = 8.0
_CHUNK = 64
_LOG_SQRT_2PI = 0.5 * math.log(2 * math.pi)


@dataclass(frozen=True, eq=False)
class Survivors:
    """The law of B at a look among those that have stopped nowhere so far.

    Args:
        information: Information fraction of the look.
        s: Quadrature nodes on the B scale, ascending, shape (n,).
        mass: Quadrature weight times h at each node, shape (n,).
        log_weight: Natural logarithm of mass times the density of B under drift 0; -inf where h underflows.
    """

    information: float
    s: Floats
    mass: Floats
    log_weight: Floats

    def log_density(self, drift: float) -> Floats:
        """Log of mass times the density of B at the nodes, when E[Z(t)] = drift * sqrt(t)."""
        if not drift:
            return self.log_weight
        return np.asarray(self.log_weight + drift * (self.s - 0.5 * drift * self.information))


@dataclass(frozen=True)
class Looks:
    """Looks that were taken, with the bounds that were not crossed at them.

    Args:
        information: Information fractions, ascending, shape (k,).
        upper: Upper bounds on the z scale, shape (k,).
        lower: Lower bounds on the z scale, below the upper ones, shape (k,); -inf where there is none.
        lowest: Smallest z or drift that will be asked about, <= 0, in steps of `_DEPTH`; see `depth`.
    """

    information: tuple[float, ...] = ()
    upper: tuple[float, ...] = ()
    lower: tuple[float, ...] = ()
    lowest: float = 0.0

    def __len__(self) -> int:
        return len(self.information)

    def first(self, k: int) -> Looks:
        """The first k looks."""
        return Looks(self.information[:k], self.upper[:k], self.lower[:k], self.lowest)

    def and_one(self, information: float, upper: float, lower: float = -math.inf) -> Looks:
        """These and one more."""
        return Looks(
            (*self.information, information), (*self.upper, upper), (*self.lower, lower), min(self.lowest, depth(upper))
        )

    def asked_down_to(self, z: float) -> Looks:
        """The same looks, with nodes that reach down to where a z or drift as low as `z` comes from."""
        lowest = min(self.lowest, depth(z))
        bounded = min(self.lower, default=-math.inf) > -_REACH
        return self if bounded or lowest == self.lowest else Looks(self.information, self.upper, self.lower, lowest)


def depth(z: float) -> float:
    """How many standard deviations below 0 a z or a drift lies, rounded down to a step of `_DEPTH`; 0.0 above 0."""
    return -_DEPTH * math.ceil(-z / _DEPTH) if z < 0 else 0.0


@lru_cache(maxsize=2048)
def survivors(looks: Looks, following: float) -> Survivors:
    """Those between the bounds at every look so far, on nodes fine enough for the step to the `following` look.

    Kept in memory by its arguments, so that an appended look costs one step and not the whole recursion.

    Args:
        looks: The looks so far, at least one.
        following: Information fraction of the look that comes next.

    Returns:
        The survivors at the last of the looks.
    """
    t = looks.information[-1]
    earlier = looks.information[-2] if len(looks) > 1 else 0.0
    root = math.sqrt(t)
    upper, lower = looks.upper[-1] * root, looks.lower[-1] * root
    lower = max(lower, min(upper, 0.0, looks.lowest * root) - _REACH * root)
    s, weights = _panels(lower, upper, math.sqrt(min(t - earlier, following - t)))
    mass = weights if len(looks) == 1 else weights * _survival(survivors(looks.first(len(looks) - 1), t), s, t)
    with np.errstate(divide="ignore"):
        log_weight = np.log(mass) - s * s / (2 * t) - _LOG_SQRT_2PI - 0.5 * math.log(t)
    for array in (s, mass, log_weight):
        array.flags.writeable = False
    return Survivors(t, s, mass, log_weight)


def _panels(lower: float, upper: float, smallest_sd: float) -> tuple[Floats, Floats]:
    """Gauss-Legendre nodes and weights on the B scale between the bounds."""
    panels = max(1, math.ceil((upper - lower) / (_PANEL * smallest_sd)))
    half = 0.5 * (upper - lower) / panels
    centres = lower + half * (2 * np.arange(panels) + 1)
    s = (centres[:, None] + half * _NODES[None, :]).ravel()
    return s, np.tile(half * _WEIGHTS, panels)


def _survival(previous: Survivors, s: Floats, t: float) -> Floats:
    """P(no stop yet) at the nodes `s` of a look at `t`: one step, banded around the bridge's mean."""
    t0 = previous.information
    spread = math.sqrt(t0 * (t - t0) / t)
    means = s * (t0 / t)
    first, last = float(previous.s[0]), float(previous.s[-1])
    out = np.empty_like(s)
    for start in range(0, len(s), _CHUNK):
        mean = means[start : start + _CHUNK]
        # Where the mean lies outside the bounds, what survives sits just inside the nearer one.
        low = np.searchsorted(previous.s, min(float(mean[0]), last) - _REACH * spread)
        high = np.searchsorted(previous.s, max(float(mean[-1]), first) + _REACH * spread)
        deviation = (previous.s[None, low:high] - mean[:, None]) / spread
        out[start : start + _CHUNK] = np.exp(-0.5 * deviation * deviation) @ previous.mass[low:high]
    return np.minimum(out / (spread * math.sqrt(2 * math.pi)), 1.0)


def log_exit(looks: Looks, t: float, z: float, drift: float = 0.0, side: Side = UPPER) -> tuple[float, float]:
    """Log probability of a first crossing of `z` at the look at `t`, and its derivative in z.

    Args:
        looks: The looks before; none at the first look.
        t: Information fraction of this look.
        z: Bound on the z scale.
        drift: E[Z(t)] / sqrt(t).
        side: `UPPER`: Z >= z is a crossing; `LOWER`: Z <= z is one.

    Returns:
        (log P, d log P / dz); the derivative is negative on the upper side, positive on the lower side.
    """
    if not looks:
        shifted = side * (drift * math.sqrt(t) - z)
        log_p = float(log_ndtr(shifted))
        return log_p, -side * math.exp(-0.5 * shifted * shifted - _LOG_SQRT_2PI - log_p)
    before = survivors(looks if side == UPPER and z >= 0 else looks.asked_down_to(min(z, drift, -1.0)), t)
    step = t - before.information
    spread = math.sqrt(step)
    deviation = (before.s + drift * step - z * math.sqrt(t)) * (side / spread)
    log_beyond = log_ndtr(deviation)
    logs = before.log_density(drift) + log_beyond
    top = float(logs.max())
    if not math.isfinite(top):
        return -math.inf, -side * math.inf
    share = np.exp(logs - top)
    total = float(share.sum())
    # d log P / dz is the mean of the normal's hazard, exp(-x^2 / 2) / Phi(x), over where the crossings come from.
    hazard = float(share @ np.exp(-0.5 * deviation * deviation - log_beyond)) / total
    return top + math.log(total), -side * hazard * math.sqrt(t / (2 * math.pi)) / spread
