"""Charts of group-sequential designs: bounds over information, a test against them, and what a plan finds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from staged_rollout.report.charts import BLUE, GREEN, INK, MUTED, VERMILLION, ChartKind, chart, legend_below

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from staged_rollout.stats.designs import Design
    from staged_rollout.stats.inference import Inference
    from staged_rollout.stats.sample_plan import SamplePlan

HIGHEST_Z = 6.0
"""Bounds of early looks lie far outside (8.3 at 1/14 of the information): the z axis ends here and says so."""
MANY = 40
"""Looks from which on a line is drawn without markers."""
_POINTS = 25


def boundaries_chart(design: Design, kind: ChartKind) -> bytes:
    """Bounds of every look, and the error probability that they have spent."""
    looks, last = len(design), design.efficacy[-1]
    sides = "two-sided" if design.sides == 2 else "one-sided"
    title = (
        f"{looks} look{'s' if looks > 1 else ''}, {sides}, alpha {design.alpha:g} per side: "
        f"the last bound is {'±' if design.sides == 2 else ''}{last:.3f}"
    )

    def draw(figure: Figure) -> None:
        bounds, spent = figure.subplots(1, 2, width_ratios=(3, 2))
        draw_bounds(bounds, design)
        legend_below(bounds, 2)
        marker = _marker(looks)
        spent.plot(design.information, design.alpha_spent, marker=marker, color=BLUE, label="alpha, per side")
        if design.beta_spent is not None:
            spent.plot(design.information, design.beta_spent, marker=marker, color=GREEN, linestyle="--", label="beta")
        spent.set_xlim(0, _right(design))
        spent.set_ylim(bottom=0)
        spent.set_xlabel("information fraction")
        spent.set_ylabel("error probability spent")
        legend_below(spent, 2)

    return chart(draw, kind, title=title, size=(10, 4.6))


def inference_chart(design: Design, found: Inference, kind: ChartKind) -> bytes:
    """The statistic against the bounds, and the estimate with its intervals at every look."""
    at = len(found.z) if found.stopped_at is None else found.stopped_at
    if found.confidence_interval is None:
        title = f"Not stopped at look {at} of {len(design)}: z {found.z[-1]:.2f}, estimate {found.estimate:.4g}"
    else:
        low, high = found.confidence_interval
        title = (
            f"Stopped at look {at} ({found.stopped_for}): {found.median_unbiased_estimate:.4g} [{low:.4g}, {high:.4g}]"
        )
    information = design.information[: len(found.z)]

    def draw(figure: Figure) -> None:
        path, estimates = figure.subplots(1, 2)
        draw_bounds(path, design, found.z)
        path.plot(information, found.z, marker="D", color=INK, label="z")
        legend_below(path, 2)
        middle = [z * se for z, se in zip(found.z, found.se, strict=True)]
        reach = [high - value for (_, high), value in zip(found.repeated_confidence_intervals, middle, strict=True)]
        estimates.errorbar(
            information, middle, yerr=reach, fmt="D", color=INK, capsize=4, label="estimate, repeated interval"
        )
        if found.confidence_interval is not None and found.median_unbiased_estimate is not None:
            centre, (low, high) = found.median_unbiased_estimate, found.confidence_interval
            beside = [information[at - 1] + 0.03 * _right(design)]
            ends = [[centre - low], [high - centre]]
            label = "stage-wise, median-unbiased"
            estimates.errorbar(beside, [centre], yerr=ends, fmt="o", color=VERMILLION, capsize=4, label=label)
        estimates.axhline(0, color=MUTED, linewidth=1)
        estimates.set_xlim(0, _right(design))
        estimates.set_xlabel("information fraction")
        estimates.set_ylabel("effect (metric's unit)")
        legend_below(estimates, 2)

    return chart(draw, kind, title=title, size=(10, 4.6))


def draw_bounds(axes: Axes, design: Design, z: tuple[float, ...] = ()) -> None:
    """The bounds on the z scale; those that lie outside are named above the axes.

    Args:
        axes: What to draw on.
        design: Whose bounds.
        z: Statistics that are to be in sight as well.
    """
    marker = _marker(len(design))
    two = design.sides == 2
    lower = tuple(-bound for bound in design.efficacy) if two else ()
    lows, highs = (*(design.futility or ()), *(design.harm or ()), *lower), design.efficacy
    low = min(max(min((0.0, *lows)) - 0.4, -HIGHEST_Z), min((0.0, *z)) - 0.4)
    high = max(min(max(highs) + 0.4, HIGHEST_Z), max((0.0, *z)) + 0.4)
    label = "efficacy: |z| at or above" if two else "efficacy: z at or above"
    axes.plot(design.information, design.efficacy, marker=marker, color=BLUE, label=label)
    if two:
        axes.plot(design.information, lower, marker=marker, color=BLUE)
    if design.futility is not None:
        label = f"futility ({'binding' if design.binding else 'non-binding'}): z at or below"
        axes.plot(design.information, design.futility, marker=marker, color=GREEN, linestyle="--", label=label)
    if design.harm is not None:
        label = "harm: z at or below"
        axes.plot(design.information, design.harm, marker=marker, color=VERMILLION, linestyle=":", label=label)
    outside = [(t, bound) for t, bound in zip(design.information, highs, strict=True) if bound > high]
    if outside:
        t, bound = outside[0]
        more = f" and {len(outside) - 1} more" if len(outside) > 1 else ""
        axes.set_title(f"above the axis: {bound:.2f} at {t:.3g}{more}", color=MUTED, fontsize=9)
    axes.axhline(0, color=MUTED, linewidth=1)
    axes.set_xlim(0, _right(design))
    axes.set_ylim(low, high)
    axes.set_xlabel("information fraction")
    axes.set_ylabel("z (standard errors)")


def plan_chart(plan: SamplePlan, kind: ChartKind, *, unit: str, scale: float = 1.0) -> bytes:
    """Power and units used on average, over the effect that the candidate may have.

    Args:
        plan: What to draw.
        kind: The kind of file.
        unit: Of the effect, on the axis, such as `percentage points`.
        scale: What an effect is multiplied by to be in that unit.

    Returns:
        The file's content.
    """
    alpha, units = plan.design.alpha, plan.maximum_units
    largest = min(2.0 * plan.mde, plan.mde + 0.98 * (plan.outcome.largest_effect - plan.mde))
    effects = [largest * k / (_POINTS - 1) for k in range(_POINTS)]
    powers = plan.power_curve([*effects, plan.mde]).tolist()
    used = [plan.expected_units(effect) for effect in (*effects, plan.mde)]
    shown = [scale * effect for effect in effects]
    mde = scale * plan.mde
    within = f" {unit}" if scale != 1.0 else ""
    title = f"{plan.total:,} units find an improvement of {mde:.4g}{within} with power {plan.power:.0%}"
    if plan.looks > 1:
        title += f", and stop after {plan.expected_units_h1:,.0f} on average"

    def draw(figure: Figure) -> None:
        power, expected = figure.subplots(1, 2)
        power.plot(shown, powers[:-1], color=BLUE)
        power.plot([mde], powers[-1:], marker="o", linestyle="", color=VERMILLION, label=f"planned: {mde:.4g}")
        power.axhline(alpha, color=MUTED, linestyle=":", label=f"alpha {alpha:g}")
        power.set_ylim(0, 1.03)
        power.set_ylabel("probability to find it")
        expected.plot(shown, used[:-1], color=BLUE, label="on average, with these looks")
        expected.axhline(units, color=INK, linestyle="--", label=f"at most {units:,.0f}")
        fixed = plan.fixed_sample_total
        expected.axhline(fixed, color=MUTED, linestyle=":", label=f"one test at the end {fixed:,.0f}")
        expected.plot([mde], used[-1:], marker="o", linestyle="", color=VERMILLION)
        expected.set_ylim(0, 1.1 * units)
        expected.set_ylabel("units of all variants")
        expected.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        for axes in (power, expected):
            axes.set_xlim(0, shown[-1])
            axes.set_xlabel(f"improvement ({unit})")
        legend_below(power, 2)
        legend_below(expected, 2)

    return chart(draw, kind, title=title, size=(10, 4.6))


def _marker(looks: int) -> str:
    return "o" if looks < MANY else ""


def _right(design: Design) -> float:
    return 1.04 * max(1.0, design.information[-1])
