"""The sections of the HTML report beside the test: guardrails, shares, shadow, trust and segments."""

from __future__ import annotations

import math

from staged_rollout.evidence import GuardrailFigures, SrmCellFigures, SrmFigures
from staged_rollout.report import html_charts
from staged_rollout.report.figures import NONE, count, figure, moment, points, score, share
from staged_rollout.report.health import variant_health
from staged_rollout.report.html_facts import Facts
from staged_rollout.report.html_markup import Html, bullets, section, table, tag, words
from staged_rollout.report.html_markup import figure as framed
from staged_rollout.report.statistics_charts import e_value_text
from staged_rollout.spec.amounts import Unit
from staged_rollout.spec.metrics import GUARDRAILS
from staged_rollout.state import State

MOST_ROWS = 100
"""Rows of a table whose length others decide: the values of a segment."""


def guardrails(facts: Facts) -> Html:
    """What must not get worse: figures, margins and alarms; and latency over time."""
    evidence = facts.guarded()
    if evidence is None:
        return Html()
    look = evidence.look
    bound = look.efficacy.z if look is not None and look.efficacy is not None else None
    header = (
        "guardrail",
        "champion",
        "candidate",
        "worse by",
        "margin",
        "z for 'within the margin'",
        "e-value",
        "alarm",
        "guard",
    )
    rows = [_guard_row(guard, bound) for guard in evidence.guardrails]
    told = table(header, rows, about="Guardrails", text=(0, 7, 8))
    parts = [
        tag(
            "p",
            f"As measured in {evidence.state} up to {moment(evidence.as_of)}. An alarm of one that acts rolls the "
            "candidate back, and holds however often it is looked at.",
        ),
        told,
        bullets(
            words(tag("strong", name), doc.doc)
            for name, doc in GUARDRAILS.items()
            if name in facts.state.spec.guardrails
        ),
    ]
    charts: list[Html] = []
    if any(guard.worsening is not None and guard.margin > 0 for guard in evidence.guardrails):
        caption = (
            "By how much the candidate is worse, as a part of what the rollout file tolerates. The table above has the "
            "numbers."
        )
        charts.append(framed(html_charts.guardrails_chart(evidence.guardrails), caption, Html()))
    measured = facts.latencies()
    if measured:
        rows_ = [
            (
                f"{day:.1f}",
                state,
                figure(guard.champion, "ms"),
                figure(guard.candidate, "ms"),
                figure(guard.margin, "ms"),
            )
            for day, state, guard in measured
        ]
        numbers = table(
            ("day", "state", "champion", "candidate", "margin"), rows_, about="Latency over time", text=(1,)
        )
        caption = (
            "The time within which 95% of requests were answered, each time that the data was looked at. Figures of "
            "each stage begin anew; the dashed line is the slowest that the margin allows."
        )
        charts.append(framed(html_charts.latency_chart(measured), caption, numbers))
    return section("guardrails", "Guardrails and latency", *parts, tag("div", *charts, class_="charts"))


def traffic(facts: Facts) -> Html:
    """Which share of units met the candidate, from when to when, and what was served."""
    stays = facts.stays
    if not stays:
        return Html()
    rows = [
        (
            f"{stay.record.state} {stay.record.step}" if stay.record.step else str(stay.record.state),
            ", ".join(map(str, stay.epochs)),
            moment(stay.record.effective_at),
            f"{stay.ends - stay.begins:.1f}",
            share(stay.share),
            share(stay.copied) if stay.copied else NONE,
        )
        for stay in stays
    ]
    header = ("stage", "assignment epoch", "in force since", "days", "candidate answers", "copied in shadow")
    served = []
    for stay in stays:
        evidence = facts.newest(str(stay.record.state))
        if evidence is None or (evidence.state, evidence.step) != (str(stay.record.state), stay.record.step):
            continue
        for role, seen in (("champion", evidence.traffic.champion), ("candidate", evidence.traffic.candidate)):
            if seen.requests:
                told = (f"{value:,}" for value in (seen.units, seen.requests, seen.errors, seen.fallbacks))
                served.append((rows[stays.index(stay)][0], role, *told))
    caption = (
        "The share of units whose requests the candidate answers, as the assignment documents in force said. In shadow "
        "it gets copies, and nobody sees its answers."
    )
    numbers = table(header, rows, about="Shares over time", text=(0, 2))
    beside = table(
        ("stage", "assigned to", "units", "requests", "errors", "fallbacks"),
        served,
        about="What was served",
        text=(0, 1),
    )
    return section(
        "traffic",
        "Shares over time",
        framed(html_charts.shares_chart(stays), caption, numbers),
        tag("h3", "What was served") if beside else Html(),
        beside,
    )


def shadow(facts: Facts) -> Html:
    """How often the candidate agreed with the champion while nobody saw its answers."""
    evidence = facts.newest(State.SHADOW)
    seen = evidence.shadow if evidence is not None else None
    if seen is None or not seen.requests:
        return Html()
    asked = facts.state.spec.stages.shadow.agreement
    rows = [
        ("requests that the champion answered", f"{seen.requests:,}"),
        ("answers of the candidate captured", f"{seen.captured:,} ({share(seen.completeness)})"),
        ("of these equal to the champion's", f"{seen.agreed:,} ({share(seen.agreement)}; asked for: {share(asked)})"),
        ("units that met an unequal pair", f"{seen.units_disagreeing:,} of {seen.units:,}"),
        ("share of such units, at most (97.5% one-sided)", share(seen.disagreement_upper)),
    ]
    caption = (
        "In shadow the candidate answers copies of real requests. Where the two agree, neither can win: what the "
        "candidate can change is bounded by how often they differ."
    )
    numbers = table(("", "shadow"), rows, about="Agreement in shadow")
    return section("shadow", "Agreement in shadow", framed(html_charts.agreement_chart(seen, asked), caption, numbers))


def trust(facts: Facts) -> Html:
    """Sample ratio, quality, drift and what the platform said at the newest decision."""
    tests = next((item.evidence.srm for item in reversed(facts.knowledge) if item.evidence.srm), ())
    header = (
        "sample ratio",
        "champion",
        "candidate",
        "designed",
        "e-value",
        "mismatch from",
        "chi-squared p",
        "verdict",
    )
    ratio = table(header, map(_srm_row, tests), about="Sample-ratio tests", text=(0, 7))
    where = table(
        ("mismatch sits in", "value", "champion", "candidate", "candidate's excess", "Holm p", "test"),
        map(
            _cell_row,
            next((item.evidence.srm_cells or () for item in reversed(facts.knowledge) if item.evidence.srm), ()),
        ),
        about="Where the sample-ratio mismatch sits",
        text=(0, 1, 6),
    )
    days = sorted(facts.state.quality.items())
    failed = [f"{day}" for day, passed in days if not passed]
    lines: list[object] = []
    if days:
        lines.append(
            f"Quality: {count(len(days), 'event day')} checked, {len(days) - len(failed)} passed"
            + (f"; failed: {', '.join(failed[-10:])}" if failed else "")
            + f". Data Docs, a page for each day: quality/{facts.state.rollout}/ below the home"
        )
    newest = facts.newest()
    if newest is not None:
        health = newest.health
        trouble = "; no traffic" if health.no_traffic else "; no data" if health.no_data else ""
        lines.append(
            f"Traffic: {count(health.calls, 'call')}, the last at {moment(health.last_call_at)}; newest row "
            f"{moment(health.newest_row_at)}{trouble}"
        )
        lines += [f"{one.name}, last day: {variant_health(one)}" for one in health.variants or ()]
        lines += [
            f"Drift, {drift.name}: population stability index {NONE if drift.psi is None else f'{drift.psi:.3f}'} "
            f"(limit {drift.limit:g}){', breached' if drift.breached else ''}"
            for drift in newest.drift
        ]
    says = (
        "An e-value is the factor by which the counts speak against the designed split: it may be read as often as one "
        "likes."
    )
    return section(
        "trust",
        "Can the figures be trusted?",
        tag("p", says, class_="note") if tests else Html(),
        ratio,
        where,
        bullets(lines),
    )


def segments(facts: Facts) -> Html:
    """Differences within segments: reported, never decided on."""
    found = next((item.evidence.segments for item in reversed(facts.knowledge) if item.evidence.segments), ())
    unit: Unit = "share" if facts.state.spec.in_shares else "value"
    rows = [
        (
            item.segment,
            item.value,
            f"{item.n_champion:,}",
            f"{item.n_candidate:,}",
            points(item.estimate, unit),
            NONE if item.p_holm is None else f"{item.p_holm:.3f}",
        )
        for item in found[:MOST_ROWS]
    ]
    header = ("segment", "value", "champion units", "candidate units", "difference", "Holm p")
    left = f" The first {MOST_ROWS} of {len(found):,}." if len(found) > MOST_ROWS else ""
    told = table(header, rows, about="Segments", text=(0, 1))
    return (
        section("segments", "Segments", tag("p", f"Reported, and never decided on.{left}", class_="note"), told)
        if told
        else Html()
    )


def _guard_row(guard: GuardrailFigures, bound: float | None) -> tuple[object, ...]:
    alarm = tag("span", "alarm", class_="alarm") if guard.alarm else "none"
    return (
        words(guard.name, "(acts)" if guard.acting else "(watched)"),
        figure(guard.champion, guard.unit),
        figure(guard.candidate, guard.unit),
        figure(guard.worsening, guard.unit, signed=True),
        figure(guard.margin, guard.unit, signed=True),
        score(guard.z_non_inferiority) + ("" if bound is None else f" (asked: {bound:.2f})"),
        f"{e_value_text(guard.log_e)} (alarm from {e_value_text(guard.threshold_log)})",
        alarm,
        guard.method,
    )


def _cell_row(cell: SrmCellFigures) -> tuple[object, ...]:
    return (
        cell.dimension,
        cell.value,
        f"{cell.counts[0]:,}",
        f"{cell.counts[1]:,}",
        f"{cell.residual:+.1f} standard errors",
        f"{cell.p_holm:.3g} ({count(cell.cells, 'cell')})",
        cell.test,
    )


def _srm_row(found: SrmFigures) -> tuple[object, ...]:
    return (
        found.name,
        f"{found.counts[0]:,}",
        f"{found.counts[1]:,}",
        f"{found.weights[0]:g}:{found.weights[1]:g}",
        e_value_text(found.log_e),
        f"{math.exp(found.threshold_log):,.0f}",
        f"{found.p_value:.3g}",
        tag("span", "mismatch", class_="alarm") if found.alarm else "as designed",
    )
