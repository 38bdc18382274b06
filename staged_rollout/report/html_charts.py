"""Charts of the HTML report: drawn by matplotlib, in the page's colours, without foreign text."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from staged_rollout.evidence import GuardrailFigures, LookFigures, ShadowFigures, SuccessFigures
from staged_rollout.report.charts import BLUE, GREEN, GREY, INK, MUTED, ORANGE, SKY, VERMILLION, chart
from staged_rollout.report.figures import amount, figure, share
from staged_rollout.report.html_facts import Stay
from staged_rollout.report.html_markup import Html
from staged_rollout.report.html_style import COLOURS
from staged_rollout.report.plot import HIGHEST, LookPoint
from staged_rollout.spec.metrics import GUARDRAILS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 4.8
"""Inches of every chart: letters stay readable where a phone makes it narrower."""
MANY = 40
"""Looks from which on lines have no markers."""
_SVG, _XLINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}"


def bounds_chart(points: Sequence[LookPoint]) -> Html:
    """The statistic of every look against the bounds that it met."""
    series = (
        ("win at or above", BLUE, "--", "o", [(p.information, p.efficacy) for p in points]),
        ("give up at or below", GREEN, "-.", "s", [(p.information, p.futility) for p in points]),
        ("harm at or below", VERMILLION, ":", "^", [(p.information, _negative(p.harm)) for p in points]),
        ("z", INK, "-", "D", [(p.information, p.z) for p in points]),
    )
    scores = [point.z for point in points if point.z is not None]
    known = [value for name, *_, values in series if name != "z" for _, value in values if value is not None]
    low = min([-3.0, *scores, *(max(value, -HIGHEST) for value in known)]) - 0.4
    high = max([3.0, *scores, *(min(value, HIGHEST) for value in known)]) + 0.4

    def draw(canvas: Figure) -> None:
        axes = canvas.subplots()
        axes.axhline(0, color=MUTED, linewidth=1)
        for name, colour, line, marker, values in series:
            shown = [(100 * t, value) for t, value in values if value is not None]
            if shown:
                mark = marker if len(points) < MANY else ""
                axes.plot(*zip(*shown, strict=True), color=colour, linestyle=line, marker=mark, label=name)
        axes.set_xlim(0, 104 * max([1.0, *(point.information for point in points)]))
        axes.set_ylim(low, high)
        axes.set_xlabel("information (% of the plan)")
        axes.set_ylabel("z (standard errors, + is better)")
        _legend(canvas)

    return inline("bounds", draw, "The test against its bounds", 4.0)


def estimates_chart(looks: Sequence[LookFigures], null: float) -> Html:
    """The difference and its repeated interval at each look, and the stage-wise one at the first stop.

    Args:
        looks: In order.
        null: The difference that a win must exclude: 0, or the margin on the metric's bad side.
    """
    with_estimate = [look for look in looks if look.success.estimate is not None]
    stopped = next((look for look in with_estimate if look.stage_wise is not None), None)
    size = 5 if len(with_estimate) < MANY else 2
    in_shares = all(look.success.mean is None for look in looks)
    scale = 100.0 if in_shares else 1.0

    def draw(canvas: Figure) -> None:
        axes = canvas.subplots()
        axes.axhline(0, color=MUTED, linewidth=1)
        if null:
            axes.axhline(scale * null, color=VERMILLION, linestyle=":", label="largest tolerated worsening")
        for tested, colour, marker, name in (
            (True, BLUE, "o", "repeated interval, efficacy look"),
            (False, MUTED, "s", "repeated interval, harm look"),
        ):
            shown = [look for look in with_estimate if (look.efficacy is not None) is tested]
            if shown:
                axes.errorbar(
                    [100 * look.information for look in shown],
                    [scale * (look.success.estimate or 0.0) for look in shown],
                    yerr=list(zip(*(_reach(look, scale) for look in shown), strict=True)),
                    fmt=marker,
                    color=colour,
                    markersize=size,
                    capsize=3,
                    label=name,
                )
        if stopped is not None and stopped.stage_wise is not None:
            low, high = stopped.stage_wise.interval
            centre = stopped.stage_wise.estimate
            axes.errorbar(
                [100 * stopped.information + 2.5],
                [scale * centre],
                yerr=[[scale * (centre - low)], [scale * (high - centre)]],
                fmt="D",
                color=VERMILLION,
                capsize=3,
                label="stage-wise, at the first stop",
            )
        axes.set_xlim(0, 104 * max([1.0, *(look.information for look in looks)]))
        axes.set_xlabel("information (% of the plan)")
        axes.set_ylabel("difference (percentage points)" if in_shares else "difference (in the metric's unit)")
        _legend(canvas)

    return inline("estimates", draw, "Candidate minus champion, look by look", 4.0)


def shares_chart(stays: Sequence[Stay]) -> Html:
    """Who answered, over time: the candidate's share of units, and of copied requests in shadow."""

    def draw(canvas: Figure) -> None:
        axes = canvas.subplots()
        edges = [*(stay.begins for stay in stays), stays[-1].ends]
        for values, colour, name in (
            ([stay.copied for stay in stays], SKY, "copied in shadow"),
            ([stay.share for stay in stays], BLUE, "answered by the candidate"),
        ):
            if any(values):
                shown = [100 * value for value in values]
                axes.fill_between(
                    edges, [*shown, shown[-1]], step="post", color=colour, alpha=0.25, linewidth=0, zorder=1
                )
                axes.step(edges, [*shown, shown[-1]], where="post", color=colour, label=name)
        axes.set_ylim(0, 105)
        axes.set_xlim(0, max(edges[-1], 1e-3))
        axes.set_xlabel("days since registration")
        axes.set_ylabel("% of units")
        _legend(canvas)

    return inline("shares", draw, "Who met the candidate, and when", 3.4)


def rates_chart(figures: SuccessFigures) -> Html:
    """The success metric of each variant, as bars from zero."""
    mean = figures.mean
    if mean is not None:
        values = (mean.value_champion or 0.0, mean.value_candidate or 0.0)
        told = [
            f"{amount(mean.value_champion, 'value')}  ({figures.n_champion:,} units)",
            f"{amount(mean.value_candidate, 'value')}  ({figures.n_candidate:,} units)",
        ]
        largest = max(map(abs, values)) or 1.0
        bars = (values[0] / largest, values[1] / largest)
        return _bars("rates", "The success metric by variant", bars, told, (GREY, BLUE), "% of the larger value")
    rates = (figures.x_champion / figures.n_champion, figures.x_candidate / figures.n_candidate)
    labels = [
        f"{share(rates[0], 2)}  ({figures.x_champion:,} of {figures.n_champion:,} units)",
        f"{share(rates[1], 2)}  ({figures.x_candidate:,} of {figures.n_candidate:,} units)",
    ]
    return _bars(
        "rates", "The success metric by variant", rates, labels, (GREY, BLUE), "share of units with a success (%)"
    )


def agreement_chart(shadow: ShadowFigures, asked: float) -> Html:
    """How often the shadow answered as the champion did, and how many of its answers arrived."""
    values = (shadow.completeness, shadow.agreement or 0.0)
    labels = [
        f"{share(values[0])}  ({shadow.captured:,} of {shadow.requests:,})",
        f"{share(shadow.agreement)}  ({shadow.agreed:,} of {shadow.captured:,})",
    ]
    names = ("captured", "agree")

    def asked_for(axes: Axes) -> None:
        axes.axvline(100 * asked, ymax=0.48, color=VERMILLION, linestyle="--", label=f"agreement asked: {share(asked)}")

    return _bars("agreement", "The candidate in shadow", values, labels, (GREY, BLUE), "share (%)", names, asked_for)


def guardrails_chart(guards: Sequence[GuardrailFigures]) -> Html:
    """How much of its margin each guardrail has used; below 0 the candidate is better."""
    shown = [(guard, guard.worsening) for guard in guards if guard.worsening is not None and guard.margin > 0]
    used = [worse / guard.margin for guard, worse in shown]
    names = [guard.name if guard.name in GUARDRAILS else f"guardrail {n}" for n, (guard, _) in enumerate(shown, 1)]

    def draw(canvas: Figure) -> None:
        axes = canvas.subplots()
        reach = max(1.6, *(1.9 * abs(value) for value in used))
        colours = [
            VERMILLION if guard.alarm or value >= 1 else BLUE for (guard, _), value in zip(shown, used, strict=True)
        ]
        bars = axes.barh(range(len(used)), [100 * value for value in used], 0.5, color=colours)
        axes.bar_label(bars, [figure(worse, guard.unit, signed=True) for guard, worse in shown], padding=4, fontsize=9)
        axes.axvline(0, color=MUTED, linewidth=1)
        axes.axvline(100, color=VERMILLION, linestyle="--", label="the margin: worse than this is too much")
        axes.set_yticks(range(len(names)), names)
        axes.invert_yaxis()
        axes.set_xlim(-100 * (reach if min(used) < 0 else 0.1), 100 * reach)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("worse by (% of its margin; below 0 is better)")
        _legend(canvas)

    return inline("guardrails", draw, "Guardrails: margin used", 1.6 + 0.5 * len(used))


def latency_chart(measured: Sequence[tuple[float, str, GuardrailFigures]]) -> Html:
    """The latency guardrail's quantile of both variants, whenever it was measured."""

    def draw(canvas: Figure) -> None:
        axes = canvas.subplots()
        days = [day for day, _, _ in measured]
        mark = "o" if len(days) < MANY else ""
        champion = [guard.champion or 0.0 for *_, guard in measured]
        candidate = [guard.candidate or 0.0 for *_, guard in measured]
        limit = [guard.margin + (guard.champion or 0.0) for *_, guard in measured]
        axes.plot(days, limit, color=VERMILLION, linestyle="--", label="champion + margin")
        axes.plot(days, champion, color=ORANGE, marker=mark, label="champion")
        axes.plot(days, candidate, color=BLUE, marker=mark, label="candidate")
        axes.set_ylim(0, 1.15 * max(*champion, *candidate, *limit))
        axes.set_xlim(0, 1.04 * max(*days, 1e-3))
        axes.set_xlabel("days since registration")
        axes.set_ylabel("95th percentile (ms)")
        _legend(canvas)

    return inline("latency", draw, "Latency by variant", 3.4)


def inline(anchor: str, draw: Callable[[Figure], None], title: str, height: float) -> Html:
    """A chart as SVG inside a page: its ids are its own, its colours are the page's, its title is its name.

    Args:
        anchor: Unique on the page; begins every id.
        draw: Draws on the empty figure; no foreign text may be drawn.
        title: What the chart shows.
        height: In inches; the width is `WIDTH`.
    """
    from xml.etree import ElementTree as ET

    root = ET.fromstring(chart(draw, "svg", title=title, size=(WIDTH, height)))  # noqa: S314 - drawn just now
    for parent in list(root.iter()):
        for child in [child for child in parent if child.tag in {f"{_SVG}metadata", f"{_SVG}style"}]:
            parent.remove(child)
    for element in root.iter():
        element.tag = element.tag.removeprefix(_SVG)
        written = dict(element.attrib)
        element.attrib.clear()
        for key, value in written.items():
            element.set(key.removeprefix(_XLINK), _own(anchor, key.removeprefix(_XLINK), value))
    for size in ("width", "height", "version"):
        root.attrib.pop(size, None)
    root.set("role", "img")
    root.set("aria-label", title)
    return Html(ET.tostring(root, encoding="unicode"))


def _own(anchor: str, key: str, value: str) -> str:
    """An attribute's value with this chart's ids and the page's colours."""
    if key == "id":
        return f"{anchor}-{value}"
    if key == "href":
        return value.replace("#", f"#{anchor}-", 1)
    value = value.replace("url(#", f"url(#{anchor}-")
    if key != "style":
        return value
    return re.sub(r"#[0-9a-f]{6}\b", lambda found: _VARIABLES.get(found[0], found[0]), value)


_VARIABLES = {light.lower(): f"var(--{name})" for light, (name, _) in COLOURS.items()}


def _bars(
    anchor: str,
    title: str,
    values: Sequence[float],
    labels: Sequence[str],
    colours: Sequence[str],
    unit: str,
    names: Sequence[str] = ("champion", "candidate"),
    beside: Callable[[Axes], None] | None = None,
) -> Html:
    """Two shares as bars from zero, their labels above them, where they fit at any length."""

    def draw(canvas: Figure) -> None:
        axes = canvas.subplots()
        axes.barh(range(len(values)), [100 * value for value in values], 0.45, color=colours)
        for row, label in enumerate(labels):
            axes.text(0.6, row - 0.28, label, fontsize=9, verticalalignment="bottom")
        axes.set_yticks(range(len(values)), names)
        axes.set_ylim(len(values) - 0.6, -0.75)
        axes.set_xlim(0, 100)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel(unit)
        if beside is not None:
            beside(axes)
            _legend(canvas)

    return inline(anchor, draw, title, 2.6 if beside is None else 2.9)


def _legend(canvas: Figure) -> None:
    if any(axes.get_legend_handles_labels()[0] for axes in canvas.axes):
        canvas.legend(loc="outside lower center", ncols=2)


def _negative(value: float | None) -> float | None:
    return None if value is None else -value


def _reach(look: LookFigures, scale: float) -> tuple[float, float]:
    """From the estimate down and up to its repeated interval, times `scale`; none where there is none."""
    estimate = look.success.estimate
    if look.interval is None or estimate is None:
        return 0.0, 0.0
    return max(scale * (estimate - look.interval[0]), 0.0), max(scale * (look.interval[1] - estimate), 0.0)
