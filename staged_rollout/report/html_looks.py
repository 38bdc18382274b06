"""The sections of the HTML report on the test: its looks against their bounds, and the success metric."""

from __future__ import annotations

from staged_rollout.evidence import LookFigures, SrmFigures
from staged_rollout.report import html_charts
from staged_rollout.report.figures import NONE, interval, moment, p_value, points, score, share
from staged_rollout.report.html_facts import Facts, SeenLook
from staged_rollout.report.html_markup import Html, bullets, section, table, tag, words
from staged_rollout.report.html_markup import figure as framed
from staged_rollout.report.look import verdict
from staged_rollout.report.sections import success_rows
from staged_rollout.report.statistics_charts import e_value_text
from staged_rollout.spec.grammar import render_duration
from staged_rollout.spec.metrics import SUCCESS_METRICS


def test(facts: Facts) -> Html:
    """Z against its bounds, and the difference with its repeated interval, look by look."""
    looks, read = facts.looks, facts.read_looks
    if not looks:
        return section("test", "The test", tag("p", "No look has been taken yet."))
    success = facts.state.spec.success
    ratio = -1.0 if success.better == "higher" else 1.0
    null = next((ratio * look.success.margin for look in read if look.success.margin is not None), 0.0)
    bounds = framed(
        html_charts.bounds_chart([look.point for look in looks]),
        "How far the candidate is from its champion, in standard errors, each time the data was looked at. The test "
        "stops for a win once z reaches the upper line, and rolls back once it falls to the dotted lower one; where "
        "giving up is asked for, that is the line between. The bounds are far out early, so that looking every day "
        "does not raise the chance of a wrong answer. Bounds beyond 6 are outside the picture, and in the table.",
        _bounds_table(looks),
    )
    parts = [bounds]
    if any(look.success.estimate is not None for look in read):
        what = "success rates" if facts.state.spec.in_shares else "variants"
        caption = (
            f"The difference of the {what} as seen at each look. A bar is the repeated confidence interval: "
            "right at whatever look the rollout stops, so the bars of all looks may be read together."
        )
        if any(look.stage_wise is not None for look in read):
            caption += (
                " The diamond is computed once, at the first stop of the test: it knows that the test stopped there, "
                "and takes back what an early stop exaggerates."
            )
        parts.append(framed(html_charts.estimates_chart(read, null), caption, _estimates_table(read)))
    shown = [tag("div", *parts, class_="charts")]
    stopped = next((look for look in read if look.stage_wise is not None), None)
    if stopped is not None and stopped.stage_wise is not None:
        found, unit = stopped.stage_wise, stopped.success.unit
        shown.append(
            tag(
                "p",
                words(
                    tag("strong", f"At the first stop of the test, look {stopped.slot} (stage-wise):"),
                    f"median-unbiased difference {points(found.estimate, unit)}, interval "
                    f"{interval(found.interval, unit)}, p {p_value(found.p_value)} one-sided.",
                ),
            )
        )
    return section("test", "The test", *shown)


def metric(facts: Facts) -> Html:
    """The success metric by variant, what it is, and where it is defined."""
    success, name = facts.state.spec.success, facts.state.spec.success.metric
    known, declared = SUCCESS_METRICS.get(name), facts.state.spec.declared
    meaning = f"{known.doc}, one observation per {known.per}; " if known else ""
    if declared is not None:
        meaning = f"{declared}; "
    if success.better_or_equal is not None:
        asked = f"{success.better} is better; a win is no worse than {success.distance}"
    else:
        asked = f"{success.better} is better; the smallest effect worth finding is {success.distance}"
    rollout = facts.state.spec.rollout
    defined = bullets(
        [
            words(
                tag("strong", f"{name}:"),
                f"{meaning}{asked}.",
            ),
            (
                f"The alpha is {success.alpha:g} per side, the power {success.power:.0%}; a unit counts once its "
                f"outcome is due, {render_duration(success.matures_after)} after its first exposure."
            ),
            words(
                "Defined under",
                tag("code", "success"),
                "in",
                tag("code", f"configs/rollouts/{rollout}.yaml"),
                "(keys: docs/rollout-file.md), counted by",
                tag("code", "sql/success_counts.sql" if declared is None else "sql/moments.sql"),
                ", tested as docs/statistics.md says.",
            ),
        ]
    )
    look = next(
        (look for look in reversed(facts.read_looks) if look.success.n_champion and look.success.n_candidate), None
    )
    if look is None:
        return section("metric", "The success metric", defined, tag("p", "No closed units of both variants yet."))
    seen = look.success
    rows = [
        ("closed units", f"{seen.closed_champion:,}", f"{seen.closed_candidate:,}"),
        *success_rows(seen),
    ]
    tests = next((known.evidence.srm for known in reversed(facts.knowledge) if known.evidence.look == look), ())
    ratio = f" Sample-ratio e-value {_e_values(tests)}." if tests else ""
    what = "Share of units that count as a success" if seen.mean is None else "Value of each variant"
    caption = (
        f"{what} at look {look.slot} (data up to {moment(look.cut_off)}), by the "
        f"variant that each unit was assigned to. The bars begin at zero.{ratio}"
    )
    header = ("", *_versions(facts))
    return section(
        "metric",
        "The success metric",
        defined,
        framed(html_charts.rates_chart(seen), caption, table(header, rows, about="The success metric by variant")),
    )


def _bounds_table(looks: tuple[SeenLook, ...]) -> Html:
    header = ("look", "kind", "information", "z", "win at", "give up at", "harm at", "said")
    rows = [
        (
            tag("a", str(look.point.slot), href=f"#event-{look.seq}"),
            look.figures.kind if look.figures is not None else NONE,
            share(look.point.information, 0),
            score(look.point.z),
            score(look.point.efficacy),
            score(look.point.futility),
            NONE if look.point.harm is None else score(-look.point.harm),
            verdict(look.figures) if look.figures is not None else NONE,
        )
        for look in looks
    ]
    return table(header, rows, about="z and bounds of every look", text=(1, 7))


def _estimates_table(looks: tuple[LookFigures, ...]) -> Html:
    header = ("look", "data up to", "information", "difference", "repeated interval", "repeated p", "stage-wise")
    rows = [
        (
            str(look.slot),
            moment(look.cut_off),
            share(look.information, 0),
            points(look.success.estimate, look.success.unit),
            interval(look.interval, look.success.unit),
            NONE if look.repeated_p_value is None else p_value(look.repeated_p_value),
            NONE
            if look.stage_wise is None
            else f"{points(look.stage_wise.estimate, look.success.unit)} "
            f"{interval(look.stage_wise.interval, look.success.unit)}, "
            f"p {p_value(look.stage_wise.p_value)}",
        )
        for look in looks
    ]
    return table(header, rows, about="Differences and intervals of every look", text=(1,))


def _e_values(tests: tuple[SrmFigures, ...]) -> str:
    return ", ".join(f"{e_value_text(found.log_e)} ({found.name})" for found in tests)


def _versions(facts: Facts) -> tuple[str, str]:
    return f"champion {facts.state.champion.variant}", f"candidate {facts.state.candidate.variant}"
