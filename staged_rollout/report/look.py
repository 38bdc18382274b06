"""The page of one event: a look with its boundary plot, a decision, or the entry of a stage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from staged_rollout.evidence import Evidence, LookFigures
from staged_rollout.report import sections
from staged_rollout.report.figures import moment, share
from staged_rollout.report.history import sentence
from staged_rollout.report.inert import code, one_line, prose, title
from staged_rollout.report.markdown import bullets, page, picture, section
from staged_rollout.report.next_steps import next_steps
from staged_rollout.report.plot import LookPoint, boundary_plot
from staged_rollout.state import Event, EventType, HoldReason, RolloutState, State

PROSE_TITLE = 120
"""Characters of a reason that a title keeps."""


def event_markdown(event: Event, state: RolloutState, events: list[Event]) -> tuple[str, str]:
    """The title and the page of one event.

    The page of a look depends on the events up to it alone: published again later, it is the same page.

    Args:
        event: A look, a decision or the entry of a stage get a page of their own; every other event gets its sentence.
        state: The fold of `events`.
        events: All events of the rollout, in order.

    Returns:
        One line (`churn-v3 look 3: continue, z 1.42 < 2.68`), and markdown in which no foreign text is active.
    """
    match event.type:
        case EventType.LOOK_TAKEN:
            return _look_page(event, state, events)
        case EventType.DECIDED:
            return _decision_page(event, state, events)
        case EventType.STAGE_ENTERED:
            return _stage_page(event, state)
        case _:
            heading = title(f"{event.rollout}: {sentence(event)}")
            return heading, page(f"# {prose(heading)}", _written(event))


def verdict(look: LookFigures) -> str:
    """A look in one clause: z against the bound that matters.

    Source: the decision rule of docs/statistics.md; harm comes before futility, and futility before efficacy.
    """
    z, efficacy, harm = look.success.z, look.efficacy, look.harm
    if look.insufficient or z is None:
        return f"no test, {look.insufficient or 'too few units'}"
    if harm is not None and look.harmful:
        return f"z {z:.2f} <= {-harm.z:.2f} (harm bound)"
    if look.futile and look.futility is not None:
        return f"z {z:.2f} <= {look.futility.z:.2f} (futility)"
    if efficacy is not None:
        return f"z {z:.2f} {'>=' if look.crossed else '<'} {efficacy.z:.2f}"
    return f"harm only, z {z:.2f} > {-harm.z:.2f}" if harm is not None else f"harm only, z {z:.2f}"


def plotted(events: Sequence[Event], upto: int) -> list[LookPoint]:
    """Looks up to an event, as the plot draws them: all on the clock that the last of them had."""

    def bound(payload: Any) -> float | None:
        return None if payload is None else float(payload["z"])

    points: list[LookPoint] = []
    for event in events:
        payload = event.payload
        if event.seq > upto:
            break
        if event.type is EventType.PLAN_REESTIMATED:  # the end of the plan has moved away
            slower = payload["before"] / payload["n_eff_max"]
            points = [replace(point, information=point.information * slower) for point in points]
        if event.type is EventType.LOOK_TAKEN:
            points.append(
                LookPoint(
                    slot=int(payload["slot"]),
                    information=float(payload["information"]),
                    z=payload["z"],
                    efficacy=bound(payload["efficacy"]),
                    harm=bound(payload["harm"]),
                    futility=bound(payload.get("futility")),
                )
            )
    return points


def _look_page(event: Event, state: RolloutState, events: list[Event]) -> tuple[str, str]:
    evidence = stored_evidence(event)
    look = evidence.look if evidence else None
    slot = int(event.payload["slot"])
    decided = _decision_after(event, events)
    payload = decided.payload if decided else {}
    clause = verdict(look) if look else "the evidence cannot be read"
    reasons = [str(reason) for reason in payload.get("reasons", ())]
    if look is not None and reasons and f"look {slot}" not in reasons[0]:
        clause = one_line(reasons[0], PROSE_TITLE)  # something else than the test decided
    heading = title(f"{event.rollout} look {slot}: {_action(payload)}, {clause}")
    plot = boundary_plot(plotted(events, event.seq), f"{event.rollout}, {state.spec.success.metric}: look {slot}")
    information = float(event.payload["information"])
    kind = one_line(event.payload["kind"])
    summary = (
        f"{kind.capitalize()} look at {share(information, 0)} of the planned information; rows up to "
        f"{moment(_cut_off(look, event))}"
    )
    blocks = [
        f"# {prose(heading)}",
        f"> {prose(state.spec.hypothesis)}",
        prose(summary),
        bullets(prose(reason) for reason in reasons),
        picture(
            f"z of {len(plotted(events, event.seq))} looks against the bounds that they met, over information", plot
        ),
    ]
    if evidence is not None and look is not None:
        blocks.append(sections.success(look, state))
        blocks.extend(_tables(evidence, state, look.efficacy.z if look.efficacy else None))
    blocks.extend(_ending(payload, state, decided or event))
    return heading, page(*blocks)


def _decision_page(event: Event, state: RolloutState, events: list[Event]) -> tuple[str, str]:
    payload = event.payload
    reasons = [str(reason) for reason in payload["reasons"]]
    before = next((other for other in events if other.seq == event.seq - 1), None)
    look = before if before is not None and before.type is EventType.LOOK_TAKEN else None
    evidence = stored_evidence(event) or (stored_evidence(look) if look else None)
    heading = title(f"{event.rollout} decision {event.seq}: {_action(payload)}, {one_line(reasons[0], PROSE_TITLE)}")
    bound = evidence.look.efficacy.z if evidence and evidence.look and evidence.look.efficacy else None
    blocks = [f"# {prose(heading)}", bullets(prose(reason) for reason in reasons)]
    if look is not None:
        blocks.append(f"Decided on look {look.payload['slot']} (ledger event {look.seq}), which has its own page.")
    if evidence is not None:
        blocks.extend(_tables(evidence, state, bound))
    blocks.extend(_ending(payload, state, event))
    return heading, page(*blocks)


def _stage_page(event: Event, state: RolloutState) -> tuple[str, str]:
    payload = event.payload
    entered = State(payload["state"])
    step = f" {payload['step']}" if payload.get("step") else ""
    reason = one_line(payload.get("reason", ""))
    heading = title(f"{event.rollout} enters {entered}{step}: {one_line(reason, PROSE_TITLE)}")
    ending = f"It will end in {payload['ending']}." if payload.get("ending") else ""
    after = next_steps(state, entered, held=False, paused=False, after=event.at)
    return heading, page(f"# {prose(heading)}", prose(reason), ending, _written(event), after)


def _tables(evidence: Evidence, state: RolloutState, bound: float | None) -> list[str]:
    return [
        sections.guardrails(evidence, bound),
        sections.traffic(evidence, state),
        sections.health(evidence),
        sections.segments(evidence),
    ]


def _ending(payload: Any, state: RolloutState, event: Event) -> list[str]:
    """What every decision's page ends with: other answers, holds, what to do now, and what it stands on."""
    held = [(str(reason), str(detail)) for reason, detail in payload.get("holds", ())]
    here = State(payload["to"]) if payload.get("to") else _state_at(event, state)
    paused = any(reason == HoldReason.OPERATOR for reason, _ in held)
    return [
        section("What would change the answer", bullets(prose(flip) for flip in payload.get("would_flip", ())))
        if payload.get("would_flip")
        else "",
        sections.holds(held),
        next_steps(state, here, held=bool(held), paused=paused, after=event.at),
        sections.provenance(payload, event.seq),
    ]


def _state_at(event: Event, state: RolloutState) -> State:
    """The state that a decision to stay was made in: the last stay that had begun by then."""
    begun = [record.state for record in state.stages if record.entered_at <= event.at]
    return begun[-1] if begun else state.state


def stored_evidence(event: Event) -> Evidence | None:
    """The evidence in an event's payload; None when there is none, or another version of this program wrote it."""
    stored = event.payload.get("evidence")
    if stored is None:
        return None
    try:
        return Evidence.model_validate(stored)
    except ValidationError:
        return None


def _decision_after(event: Event, events: list[Event]) -> Event | None:
    """The decision that was written together with a look."""
    return next((other for other in events if other.seq == event.seq + 1 and other.type is EventType.DECIDED), None)


def _action(payload: Any) -> str:
    """The branch, and where it leads when its name does not say so."""
    action, to = one_line(payload.get("action", "taken")), payload.get("to")
    return f"{action} to {to}" if to and to != State.ROLLING_BACK else action


def _cut_off(look: LookFigures | None, event: Event) -> Any:
    return look.cut_off if look is not None else event.at


def _written(event: Event) -> str:
    verified = "verified" if event.actor.verified else "as typed"
    return f"Ledger event {event.seq}, {moment(event.at)}, by {code(event.actor.name)} ({verified})."
