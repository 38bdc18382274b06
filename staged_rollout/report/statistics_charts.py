"""Charts of the statistics on the command line: sample-ratio mismatch and simulated rules."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from staged_rollout.report.charts import BLUE, GREY, INK, MUTED, ON_WHITE, VERMILLION, ChartKind, chart, legend_below

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from staged_rollout.stats.simulation import RuleComparison
    from staged_rollout.stats.srm import SrmResult

RULES = {
    "design": "this design",
    "peeking": "peeking: level alpha at every look",
    "spent-alpha-as-p": "spent alpha taken as a level",
    "bonferroni": "Bonferroni",
    "fixed": "one test at the end",
}
"""The simulated rules as people read them."""


def e_value_text(log_e: float) -> str:
    """An e-value from its natural logarithm, however large.

    >>> e_value_text(20.2), e_value_text(5000.0), e_value_text(-1.0)
    ('5.9e+08', '10^2171', '0.37')
    """
    return f"{math.exp(log_e):.2g}" if log_e < 700 else f"10^{log_e / math.log(10):.0f}"


def standard_errors(result: SrmResult) -> tuple[float, ...]:
    """By how many standard errors each variant's units differ from the plan; some units were counted."""
    total = sum(result.counts)
    return tuple(
        (n - total * w) / math.sqrt(total * w * (1 - w)) for n, w in zip(result.counts, result.weights, strict=True)
    )


def srm_chart(result: SrmResult, kind: ChartKind) -> bytes:
    """Observed shares against the planned ones, and by how many standard errors each differs."""
    total = sum(result.counts)
    verdict = "sample-ratio mismatch" if result.alarm else "no sample-ratio mismatch"
    sign = "≥" if result.alarm else "<"
    title = f"{verdict.capitalize()}: e-value {e_value_text(result.log_e)} {sign} {math.exp(result.threshold_log):,.0f}"
    names = [f"variant {number}" for number in range(1, len(result.counts) + 1)]
    observed = [n / total for n in result.counts]
    residuals = standard_errors(result)

    def draw(figure: Figure) -> None:
        shares, deviations = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
        rows = list(range(len(names)))
        shares.barh([row - 0.2 for row in rows], [100 * w for w in result.weights], 0.38, color=GREY, label="planned")
        bars = shares.barh([row + 0.2 for row in rows], [100 * share for share in observed], 0.38, color=BLUE)
        bars.set_label("observed")
        labels = [f"{share:.2%} ({n:,})" for share, n in zip(observed, result.counts, strict=True)]
        shares.bar_label(bars, labels, padding=4, fontsize=9, bbox=ON_WHITE)
        shares.set_yticks(rows, names)
        shares.invert_yaxis()
        shares.set_xlim(0, 100 * max(*observed, *result.weights) * 1.45)
        shares.set_xlabel("share of units (%)")
        shares.grid(visible=False, axis="y")
        legend_below(shares, 2)
        colour = VERMILLION if result.alarm else BLUE
        points = deviations.barh(rows, residuals, 0.5, color=colour)
        deviations.bar_label(points, [f"{value:+.1f}" for value in residuals], padding=4, fontsize=9)
        deviations.axvline(0, color=MUTED, linewidth=1)
        reach = 1.35 * max(3.0, *(abs(value) for value in residuals))
        deviations.set_xlim(-reach, reach)
        deviations.set_xlabel("observed - planned (standard errors)")
        deviations.grid(visible=False, axis="y")

    return chart(draw, kind, title=title, size=(9, 2.4 + 0.55 * len(names)))


def simulation_chart(comparison: RuleComparison, kind: ChartKind) -> bytes:
    """Type I error and power of each rule, with 95% Monte-Carlo intervals."""
    design, peeking = (next(rule for rule in comparison.rules if rule.rule == name) for name in ("design", "peeking"))
    nominal = comparison.sides * comparison.alpha
    looks = len(comparison.information)
    title = (
        f"{looks} look{'s' if looks > 1 else ''} at a nominal {nominal:.3g}: "
        f"peeking errs {peeking.type_one_error:.3f}, this design {design.type_one_error:.3f}"
    )
    names = [RULES[rule.rule] for rule in comparison.rules]
    fixed = next(rule.power for rule in comparison.rules if rule.rule == "fixed")

    def panel(axes: Axes, values: list[float], errors: list[float], line: float, label: str) -> None:
        rows = range(len(values))
        colours = [BLUE if rule.rule == "design" else MUTED for rule in comparison.rules]
        bars = axes.barh(
            rows, values, 0.6, xerr=[1.96 * error for error in errors], color=colours, ecolor=INK, capsize=3
        )
        axes.bar_label(bars, [f"{value:.4f}" for value in values], padding=6, fontsize=9, bbox=ON_WHITE)
        axes.axvline(line, color=VERMILLION, linestyle="--", label=label)
        axes.set_xlim(0, 1.3 * max(*values, line))
        axes.grid(visible=False, axis="y")
        legend_below(axes, 1)

    def draw(figure: Figure) -> None:
        errors, powers = figure.subplots(1, 2, sharey=True)
        panel(
            errors,
            [rule.type_one_error for rule in comparison.rules],
            [rule.type_one_error_se for rule in comparison.rules],
            nominal,
            f"nominal {nominal:.3g}",
        )
        panel(
            powers,
            [rule.power for rule in comparison.rules],
            [rule.power_se for rule in comparison.rules],
            fixed,
            f"one test at the end, {fixed:.3f}",
        )
        errors.set_yticks(range(len(names)), names)
        errors.invert_yaxis()
        sides = "two-sided" if comparison.sides == 2 else "one-sided"
        errors.set_xlabel(f"type I error, {sides} (share of {comparison.runs:,} runs)")
        powers.set_xlabel(f"power at E[Z] = {comparison.drift:.2f} at the end (share of runs)")

    return chart(draw, kind, title=title, size=(10, 4.2))
