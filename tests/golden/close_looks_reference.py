"""Makes data/close_looks.csv: bounds to 34 digits, by a route that shares nothing with the package. No test runs it.

    python -m pip install python-flint==0.9.0
    python tests/golden/close_looks_reference.py > tests/golden/data/close_looks.csv

It carries the sub-density of B(t_k) forward (Armitage, McPherson and Rowe 1969, JRSS A 132, 235-244), where the package
carries a survival probability backward over Brownian bridges; it works in ball arithmetic (Johansson 2017, IEEE Trans.
Comput. 66, 1281-1292) with 192 bits, so that every rounding error is accounted for; and it runs twice, on two grids,
and refuses to print a bound on which they differ by more than 1e-34. The first disputed bounds are then enclosed a
second time without any recursion: their crossing probability, an integral in one or two dimensions, is computed with a
proved error bound a little below and a little above the bound, and must change sides.

Information fractions and alpha are the doubles that a caller passes, taken exactly.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from flint import acb, arb, arb_mat, ctx

ctx.prec = 192
DIGITS = 36
AGREEMENT = arb("1e-34")

SCHEDULES: dict[str, tuple[float, ...]] = {
    "five": (0.2, 0.4, 0.6, 0.8, 1.0),
    "close_middle": (0.5, 0.501, 0.502, 1.0),
    "close_early": (0.3, 0.3002, 0.3004, 0.9, 1.0),
    "close_very_early": (0.1, 0.1001, 0.1002, 0.1003, 0.5, 1.0),
    "close_late": (0.5, 0.9997, 0.9998, 0.9999, 1.0),
    "close_apart": (0.2, 0.2001, 0.5, 0.5001, 0.9, 0.9001, 1.0),
    "pair": (0.5, 0.5001, 1.0),
    "first_at_a_thousandth": (0.001, 0.002, 0.5, 1.0),
    "first_at_a_ten_thousandth": (1e-4, 2e-4, 3e-4, 1.0),
    "overrun": (0.3, 0.6, 1.1),
    "fifty_close": (*(0.5 + k * 1e-4 for k in range(50)), 1.0),
    "twenty": tuple(k / 20 for k in range(1, 21)),
    "hundred": tuple(k / 100 for k in range(1, 101)),
    "year": tuple(k / 365 for k in range(1, 366)),
}


@dataclass(frozen=True)
class Grid:
    """Resolution: Gauss-Legendre nodes per panel, panel width and reach in standard deviations."""

    nodes: int
    panel: str
    reach: str


COARSE = Grid(nodes=32, panel="2.5", reach="13.25")
FINE = Grid(nodes=40, panel="2", reach="14")


def upper_tail(x: arb) -> arb:
    """1 - Phi(x)."""
    return (x / arb(2).sqrt()).erfc() / 2


def density(x: arb) -> arb:
    """Standard normal density."""
    return (-x * x / 2).exp() / (2 * arb.pi()).sqrt()


def quantile(tail: arb) -> arb:
    """The z with 1 - Phi(z) = tail, by Newton on log tail from a double."""
    from scipy.special import ndtri_exp

    z = arb(-float(ndtri_exp(float(tail.log().mid()))))
    for _ in range(8):
        z = (z + upper_tail(z) / density(z) * (upper_tail(z) / tail).log()).mid()
    return z


def spent(kind: str, alpha: arb, t: arb) -> arb:
    """Alpha spent by information fraction t: Lan and DeMets (1983), Kim and DeMets (1987)."""
    if t >= 1:
        return alpha
    if kind == "pocock":
        return alpha * (1 + (arb(1).exp() - 1) * t).log()
    if kind == "power:2":
        return alpha * t * t
    return 2 * upper_tail(quantile(alpha / 2) / t.sqrt())


@dataclass
class Law:
    """Sub-density of B at a look among those that crossed nowhere: a column of node masses per panel, from the top."""

    bound: arb
    half: arb
    masses: list[arb_mat]


def reference_bounds(information: Sequence[float], kind: str, alpha: float, grid: Grid) -> list[arb]:
    """Bounds on the z scale by recursion forward on sub-densities."""
    t = [arb(x) for x in information]
    steps = [b - a for a, b in zip([arb(0), *t], t, strict=False)]
    spending = [spent(kind, arb(alpha), x) for x in t]
    if t[-1] < 1:
        spending[-1] = arb(alpha)
    roots = [arb.legendre_p_root(grid.nodes, i, weight=True) for i in range(grid.nodes)]
    bounds: list[arb] = []
    law: Law | None = None
    for k, now in enumerate(t):
        increment = spending[k] - (spending[k - 1] if k else 0)
        z = quantile(increment) if law is None else _solve(law, now, steps[k], increment, grid, roots)
        bounds.append(z)
        if k + 1 < len(t):
            narrow = min(steps[k].sqrt(), steps[k + 1].sqrt(), key=float)
            # Four digits, exactly: looks at equal distances shall have panels of exactly one width (see `_advance`).
            half = arb(float(f"{float(arb(grid.panel) * narrow / 2):.4g}"))
            law = _advance(law, z * now.sqrt(), half, now, steps[k], grid, roots)
    return bounds


def _beyond(z: arb) -> arb:
    """How much farther than usual to reach: the paths that cross a far bound are themselves about as rare."""
    return arb(max(0.0, float(z) - 6))


def _nodes(law: Law, roots: Sequence[tuple[arb, arb]]) -> list[tuple[arb, arb]]:
    return [
        (law.bound - law.half * (2 * p + 1) + law.half * x, column[a, 0])
        for p, column in enumerate(law.masses)
        for a, (x, _) in enumerate(roots)
    ]


def _solve(law: Law, t: arb, step: arb, increment: arb, grid: Grid, roots: Sequence[tuple[arb, arb]]) -> arb:
    """The z first crossed with probability `increment`, by Newton on the logarithm from above."""
    sd, root, reach = step.sqrt(), t.sqrt(), arb(grid.reach)
    points = _nodes(law, roots)
    z = quantile(increment)
    for _ in range(60):
        far = reach + _beyond(z) + max(arb(0), (z * root - law.bound) / sd, key=float)
        near = [(x, mass) for s, mass in points if (x := (z * root - s) / sd) < far]
        p = sum((mass * upper_tail(x) for x, mass in near), arb(0))
        slope = sum((mass * density(x) for x, mass in near), arb(0)) * root / sd
        move = (p / slope * (p / increment).log()).mid()
        z = (z + move).mid()
        if abs(move) < arb("1e-44"):
            return z
    message = f"no convergence at t = {float(t)}"
    raise ArithmeticError(message)


def _advance(
    law: Law | None, bound: arb, half: arb, t: arb, step: arb, grid: Grid, roots: Sequence[tuple[arb, arb]]
) -> Law:
    sd, reach = step.sqrt(), arb(grid.reach) + _beyond(bound / t.sqrt())
    panels = int(float((bound + reach * t.sqrt()) / (2 * half))) + 1
    columns = []
    blocks: dict[int, arb_mat] = {}
    for p in range(panels):
        centre = bound - half * (2 * p + 1)
        if law is None:
            column = arb_mat([[density((centre + half * x) / sd) / sd] for x, _ in roots])
        else:
            column = arb_mat(len(roots), 1)
            for q, earlier in enumerate(law.masses):
                apart = centre - (law.bound - law.half * (2 * q + 1))
                if abs(apart) - half - law.half > reach * sd:
                    continue
                # On panels of one width the kernel depends on the difference of their numbers only.
                same = bool(half == law.half)
                if not same or p - q not in blocks:
                    block = _kernel(apart, half, law.half, sd, roots)
                    if same:
                        blocks[p - q] = block
                column += (blocks[p - q] if same else block) * earlier
        columns.append(arb_mat([[half * weight * column[a, 0]] for a, (_, weight) in enumerate(roots)]))
    return Law(bound, half, columns)


def _kernel(apart: arb, half: arb, earlier_half: arb, sd: arb, roots: Sequence[tuple[arb, arb]]) -> arb_mat:
    return arb_mat([[density((apart + half * x - earlier_half * y) / sd) / sd for y, _ in roots] for x, _ in roots])


def _acb_tail(x: acb) -> acb:
    return (x / arb(2).sqrt()).erfc() / 2


def _acb_density(x: acb) -> acb:
    return (-x * x / 2).exp() / (2 * arb.pi()).sqrt()


def certified_second(information: Sequence[float], first: arb, z: arb) -> arb:
    """P(B1 < b1, B2 >= b2) by one integral with a proved error bound."""
    t1, t2 = (arb(x) for x in information[:2])
    root, sd, b1, b2 = t1.sqrt(), (t2 - t1).sqrt(), first * t1.sqrt(), z * t2.sqrt()
    below = upper_tail((b2 - (b1 - 14 * sd)) / sd)  # what is left out: B2 rose by more than 14 sd

    def integrand(s: acb, _: bool) -> acb:
        return _acb_density(s / root) / root * _acb_tail((b2 - s) / sd)

    inside = acb.integral(integrand, b1 - 14 * sd, b1).real
    return inside + below * arb(0.5, 0.5)


def certified_third(information: Sequence[float], first: arb, second: arb, z: arb) -> arb:
    """P(B1 < b1, B2 < b2, B3 >= b3) by a double integral with a proved error bound."""
    t1, t2, t3 = (arb(x) for x in information[:3])
    root, sd2, sd3 = t1.sqrt(), (t2 - t1).sqrt(), (t3 - t2).sqrt()
    b1, b2, b3 = first * t1.sqrt(), second * t2.sqrt(), z * t3.sqrt()
    low = b2 - 14 * sd3
    lower = b1 - 14 * sd2 - 14 * sd3

    def outer(u: acb, _: bool) -> acb:
        def inner(s: acb, _: bool) -> acb:
            return _acb_density(s / root) / root * _acb_density((u - s) / sd2) / sd2

        return acb.integral(inner, lower, b1) * _acb_tail((b3 - u) / sd3)

    left_out = upper_tail(arb(13))  # B3 rose by 14 sd from below `low`, or B2 from below `lower`: both are rarer
    return acb.integral(outer, low, b2).real + left_out * arb(0.5, 0.5)


def enclose(probability: Callable[[arb], arb], z: arb, increment: arb, margin: str) -> None:
    """Prove that the bound lies within `margin` of z: P(first crossing) falls in z and changes sides.

    Raises:
        ArithmeticError: It does not.
    """
    above, below = probability(z - arb(margin)), probability(z + arb(margin))
    if not (above > increment > below):
        message = f"not enclosed: {above} > {increment} > {below}"
        raise ArithmeticError(message)


def prove(information: Sequence[float], alpha: float, z: Sequence[arb]) -> None:
    """Enclose the second and the third bound without any recursion."""
    levels = [spent("obrien-fleming", arb(alpha), arb(t)) for t in information]
    enclose(lambda tried: certified_second(information, z[0], tried), z[1], levels[1] - levels[0], "1e-32")
    with ctx.workprec(96):  # a double integral at 192 bits would take minutes
        enclose(lambda tried: certified_third(information, z[0], z[1], tried), z[2], levels[2] - levels[1], "1e-24")


def main() -> None:
    """Print the table."""
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(["schedule", "spending", "alpha", "k", "information", "z_ref"])
    tasks = [(name, "obrien-fleming", 0.025) for name in SCHEDULES]
    tasks += [("close_middle", "pocock", 0.025), ("close_early", "pocock", 0.02), ("fifty_close", "pocock", 0.025)]
    tasks += [("five", "obrien-fleming", alpha) for alpha in (1e-6, 0.4)]
    tasks += [("close_middle", "obrien-fleming", alpha) for alpha in (1e-6, 0.4)]
    tasks += [(name, "power:2", 0.025) for name in ("five", "twenty", "hundred", "close_middle", "close_early")]
    for name, kind, alpha in tasks:
        information = SCHEDULES[name]
        coarse = reference_bounds(information, kind, alpha, COARSE)
        fine = reference_bounds(information, kind, alpha, FINE)
        worst = max((abs(a - b) for a, b in zip(coarse, fine, strict=True)), key=float)
        if not worst < AGREEMENT:
            message = f"{name}: grids differ by {worst}"
            raise ArithmeticError(message)
        if name == "close_middle" and kind == "obrien-fleming" and alpha == 0.025:
            prove(information, alpha, fine)
        for k, (t, z) in enumerate(zip(information, fine, strict=True), start=1):
            out.writerow([name, kind, repr(alpha), k, repr(t), z.str(DIGITS, radius=False)])
        sys.stderr.write(f"{name} {kind} {alpha}: grids differ by {float(worst):.1e}\n")


if __name__ == "__main__":
    main()
