"""Evidence as tables: what one look or decision knew, for a page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from staged_rollout.evidence import Evidence, GuardrailFigures, HarmGuardFigures, LookFigures, SuccessFigures
from staged_rollout.report.figures import (
    NONE,
    amount,
    count,
    figure,
    interval,
    moment,
    p_value,
    points,
    score,
    share,
    usd,
)
from staged_rollout.report.health import variant_health
from staged_rollout.report.inert import code, prose
from staged_rollout.report.markdown import bullets, section, table
from staged_rollout.state import RolloutState


def success(look: LookFigures, state: RolloutState) -> str:
    """The success metric on closed units, and the interval that holds at whatever look the rollout stops."""
    metric, figures = state.spec.success, look.success
    rows = [
        ("closed units", f"{figures.closed_champion:,}", f"{figures.closed_candidate:,}"),
        *success_rows(figures),
    ]
    unit = figures.unit
    bound = "efficacy" if look.efficacy is not None else "harm"
    wanted = f"{metric.better} is better, smallest effect worth finding {prose(metric.distance)}"
    if metric.better_or_equal is not None:
        wanted = f"{metric.better} is better, a win is no worse than {prose(metric.distance)}"
    holds_for = f"at the {bound} bound: valid at whatever look the rollout stops"
    seen = "; as seen, too large on average after an early win" if look.crossed else ""
    against = "" if figures.margin is None else f" (against worse by {points(figures.margin, unit).lstrip('+')})"
    gives_up = [f"give up at {_bound(look.futility)}"] if look.futility is not None else []
    bounds = [f"win at {_bound(look.efficacy)}", *gives_up, f"harm at {_bound(look.harm, '-')}"]
    lines = [
        f"difference **{points(figures.estimate, unit)}** (candidate minus champion; {wanted}{seen})",
        f"repeated confidence interval **{interval(look.interval, unit)}**, {holds_for}",
        f"z {score(figures.z)}{against}, bounds: {', '.join(bounds)}",
    ]
    if look.repeated_p_value is not None:
        shown = ">= 0.5" if look.repeated_p_value >= 0.5 else p_value(look.repeated_p_value)
        lines.append(f"repeated p-value {shown}, one-sided: valid at whatever look the rollout stops")
    if look.stage_wise is not None:
        found = look.stage_wise
        lines.append(
            f"stage-wise, at this first stop of the test and never computed again: p {p_value(found.p_value)} "
            f"one-sided, median-unbiased difference {points(found.estimate, unit)}, interval "
            f"{interval(found.interval, unit)}"
        )
    if look.insufficient:
        lines.insert(0, f"no test was made: {prose(look.insufficient)}")
    return section(
        f"Success: {prose(metric.metric)}",
        table(("", *_versions(state)), rows),
        bullets(lines),
    )


def success_rows(figures: SuccessFigures) -> list[tuple[str, str, str]]:
    """What counts of both variants, champion first: successes and their rate, or means and what they stand on."""
    mean = figures.mean
    rows = [("that count", f"{figures.n_champion:,}", f"{figures.n_candidate:,}")]
    if mean is None:
        return [
            ("with an outcome", f"{figures.n_champion:,}", f"{figures.n_candidate:,}"),
            ("successes", f"{figures.x_champion:,}", f"{figures.x_candidate:,}"),
            ("rate", _rate(figures.x_champion, figures.n_champion), _rate(figures.x_candidate, figures.n_candidate)),
        ]
    if mean.champion.capped or mean.candidate.capped:
        rows.append(("lowered to the cap", f"{mean.champion.capped:,}", f"{mean.candidate.capped:,}"))
    name = "mean of a unit" if mean.kind == "mean" else "ratio"
    return [*rows, (name, amount(mean.value_champion, "value"), amount(mean.value_candidate, "value"))]


def guardrails(evidence: Evidence, bound: float | None) -> str:
    """Each guardrail: proven within its margin (z against the look's bound), and its always-valid alarm."""

    def row(guard: GuardrailFigures) -> Sequence[str]:
        proven = f"{score(guard.z_non_inferiority)} / {score(bound)}"
        alarm = f"{guard.log_e:.2f} / {guard.threshold_log:.2f}" + (" **alarm**" if guard.alarm else "")
        return (
            f"{code(guard.name)} ({'acts' if guard.acting else 'watched'})",
            figure(guard.champion, guard.unit),
            figure(guard.candidate, guard.unit),
            figure(guard.worsening, guard.unit, signed=True),
            figure(guard.margin, guard.unit, signed=True),
            proven,
            alarm,
            prose(guard.method),
        )

    if not evidence.guardrails:
        return ""
    header = ("guardrail", "champion", "candidate", "worse by", "margin", "z_NI / bound", "log e / alarm at", "guard")
    return section("Guardrails", table(header, map(row, evidence.guardrails)))


def health(evidence: Evidence) -> str:
    """Whether the figures can be trusted: sample ratio, quality, traffic, drift, what is spent."""
    lines = [
        f"sample ratio, {test.name}: {test.counts[0]:,} against {test.counts[1]:,} units, designed "
        f"{test.weights[0]:g}:{test.weights[1]:g}, log e {test.log_e:.2f} "
        f"(alarm at {test.threshold_log:.2f}, prior {test.prior:g}), fixed chi-squared p {test.p_value:.3g}"
        + (": **mismatch**" if test.alarm else "")
        for test in evidence.srm
    ]
    lines.extend(
        f"mismatch sits in {code(cell.dimension)} = {code(cell.value)}: {cell.counts[0]:,} against "
        f"{cell.counts[1]:,} units, {cell.residual:+.1f} standard errors, Holm p {cell.p_holm:.3g} of "
        f"{count(cell.cells, 'cell')} ({prose(cell.test)})"
        for cell in evidence.srm_cells or ()
    )
    lines.append(_quality(evidence))
    reading = evidence.health
    trouble = " **no traffic**" if reading.no_traffic else " **no data**" if reading.no_data else ""
    lines.append(
        f"{reading.calls:,} calls, the last at {moment(reading.last_call_at)}; "
        f"newest row {moment(reading.newest_row_at)}{trouble}"
    )
    lines.extend(f"{code(one.name)}, last day: {variant_health(one)}" for one in reading.variants or ())
    lines.extend(
        f"{code(drift.name)}: PSI {NONE if drift.psi is None else f'{drift.psi:.3f}'} (limit {drift.limit:g})"
        + (": **drift**" if drift.breached else "")
        for drift in evidence.drift
    )
    platform = evidence.platform
    lines.append(
        f"endpoint {prose(platform.status)}, {'as' if platform.endpoint_as_desired else '**not** as'} desired; "
        f"routers {'as' if platform.routing_as_desired else '**not** as'} desired"
    )
    if evidence.freeze:
        lines.append(f"freeze window {prose(evidence.freeze)}")
    lines.append(f"spent {usd(evidence.spent_usd)}")
    return section("Can the figures be trusted?", bullets(lines))


def traffic(evidence: Evidence, state: RolloutState) -> str:
    """What was served in this stay, with the champion's fallbacks counted and never excluded."""
    pair = (evidence.traffic.champion, evidence.traffic.candidate)
    rows = [
        (name, *(f"{getattr(counts, name):,}" for counts in pair))
        for name in ("units", "requests", "errors", "fallbacks")
    ]
    lines = []
    shadow, bake, baseline = evidence.shadow, evidence.bake, evidence.baseline
    if shadow is not None:
        lines.append(
            f"shadow: {shadow.captured:,} of {shadow.requests:,} answers captured ({share(shadow.completeness)}), "
            f"{share(shadow.agreement)} agree; {shadow.units_disagreeing:,} of {shadow.units:,} units disagree "
            f"(at most {share(shadow.disagreement_upper)})"
        )
    if baseline is not None:
        source = "given" if baseline.given is not None else f"measured on {count(baseline.units, 'unit')}"
        varies = "" if baseline.sd is None else f", standard deviation {amount(baseline.sd, 'value')} a unit"
        shown = share(baseline.value) if state.spec.in_shares else amount(baseline.value, "value")
        lines.append(f"baseline {shown}{varies}, {source}")
    if bake is not None:
        lines.append(
            f"bake: {_baked(bake, state)}, log e {bake.log_e:.2f} (alarm at {bake.threshold_log:.2f})"
            + (": **alarm**" if bake.alarm else "")
        )
    served = table(("", *_versions(state)), rows) if any(counts.requests for counts in pair) else ""
    return section("Traffic of this stage", served, bullets(lines)) if served or lines else ""


def segments(evidence: Evidence) -> str:
    """Differences within segments."""
    if not evidence.segments:
        return ""
    unit = evidence.look.success.unit if evidence.look is not None else "share"
    rows = [
        (
            f"{prose(found.segment)}: {prose(found.value)}",
            f"{found.n_champion:,}",
            f"{found.n_candidate:,}",
            points(found.estimate, unit),
            NONE if found.p_holm is None else f"{found.p_holm:.3f}",
        )
        for found in evidence.segments
    ]
    header = ("segment", "champion units", "candidate units", "difference", "Holm p")
    return section("Segments", "Reported, never decides.", table(header, rows))


def holds(held: Iterable[Sequence[str]]) -> str:
    """Reasons that block forward moves."""
    lines = [f"**{prose(reason)}**: {prose(detail)}" for reason, detail in held]
    return section("Holds", "Forward moves are blocked until every reason clears.", bullets(lines)) if lines else ""


def provenance(payload: Mapping[str, Any], seq: int) -> str:
    """What makes the decision reproducible: the same five hashes give the same bytes."""
    hashes = payload.get("hashes") or {}
    rows = [(name, code(hashes[name])) for name in ("spec", "prefix", "evidence") if hashes.get(name)]
    rows.extend(
        (name.replace("_", " "), code(payload[name])) for name in ("as_of", "code_version") if payload.get(name)
    )
    rows.append(("ledger event", code(seq)))
    return section(
        "Provenance", "The same five hashes give the same decision, byte for byte.", table(("", "value"), rows)
    )


def _versions(state: RolloutState) -> tuple[str, str]:
    return f"champion {code(state.champion.variant)}", f"candidate {code(state.candidate.variant)}"


def _rate(successes: int, units: int) -> str:
    return share(successes / units, 2) if units else NONE


def _baked(bake: HarmGuardFigures, state: RolloutState) -> str:
    if state.spec.in_shares:
        return (
            f"{bake.x_candidate:,} of {bake.n_candidate:,} against the holdback's {bake.x_champion:,} of "
            f"{bake.n_champion:,}"
        )
    return f"{bake.n_candidate:,} units against the holdback's {bake.n_champion:,}"


def _bound(bound: Any, sign: str = "") -> str:
    return NONE if bound is None else f"{sign}{bound.z:.2f}"


def _quality(evidence: Evidence) -> str:
    quality = evidence.quality
    if quality.day is None:
        return "quality: no event day has been checked yet"
    if quality.passed:
        return f"quality: {quality.day} passed"
    failures = "; ".join(prose(failure) for failure in quality.failures) or "no expectation ran"
    return f"quality: {quality.day} **failed** ({count(quality.failed_in_a_row, 'day')} in a row): {failures}"
