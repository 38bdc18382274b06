"""A rollout's events in words: who, when, and why, one sentence per event with its numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from staged_rollout.report.figures import count, share, usd
from staged_rollout.report.inert import one_line
from staged_rollout.state import Event, EventType

Payload = Mapping[str, Any]


@dataclass(frozen=True)
class HistoryRow:
    """One event.

    Attributes:
        seq: Its number.
        at: When, UTC.
        actor: Who.
        verified: Whether the identity was proven, not merely typed.
        type: What kind of event.
        what: The sentence, on one line.
    """

    seq: int
    at: datetime
    actor: str
    verified: bool
    type: str
    what: str


def history_rows(events: Iterable[Event]) -> list[HistoryRow]:
    """Every event, oldest first."""
    return [
        HistoryRow(
            seq=event.seq,
            at=event.at,
            actor=one_line(event.actor.name),
            verified=event.actor.verified,
            type=str(event.type),
            what=sentence(event),
        )
        for event in events
    ]


def sentence(event: Event) -> str:
    """An event as one line of plain text; what others wrote in it is kept, without control characters."""
    return one_line(_SENTENCES[event.type](event.payload))


def _registered(payload: Payload) -> str:
    candidate, champion = payload["candidate"], payload["champion"]
    return (
        f"registered {candidate['model']} version {candidate['version']} against champion {champion['version']}, "
        f"forecast {usd(float(payload['cost']['total_usd']))}: {payload.get('reason', '')}"
    )


def _stage_entered(payload: Payload) -> str:
    step = f" {payload['step']}" if payload.get("step") else ""
    ending = f" (to end in {payload['ending']})" if payload.get("ending") else ""
    return f"entered {payload['state']}{step}{ending}: {payload.get('reason', '')}"


def _plan_frozen(payload: Payload) -> str:
    source = f"measured on {count(int(payload['baseline_units']), 'unit')}" if payload["baseline_units"] else "as given"
    what = "smallest effect" if payload.get("margin") is None else "no worse than"
    beta = payload.get("beta")
    futility = "" if beta is None else f", beta {beta:.3g} for giving up early"
    return (
        f"froze the plan: baseline {share(payload['baseline'])} ({source}), "
        f"{what} {share(payload['mde'], 2)}, {len(payload['slots'])} looks, {len(payload['efficacy'])} "
        f"of them may win, {payload['n_eff_max']:,.0f} effective units (inflation {payload['inflation']:.3f}){futility}"
    )


def _plan_reestimated(payload: Payload) -> str:
    events, units = payload["events"], payload["units"]
    return (
        f"re-estimated the plan before look {payload['slot']}: {payload['before']:,.0f} -> "
        f"{payload['n_eff_max']:,.0f} effective units (at most {payload['cap']:,.0f}), from a pooled rate of "
        f"{share(events / units)} in {count(int(units), 'unit')}"
    )


def _look_planned(payload: Payload) -> str:
    cut_off = f"rows up to {payload['cut_off']}, lake batch {payload['batch']}"
    return f"planned look {payload['slot']} ({payload['kind']}): {cut_off}"


def _look_taken(payload: Payload) -> str:
    z, efficacy, harm = payload["z"], payload["efficacy"], payload["harm"]
    at = f"took look {payload['slot']} ({payload['kind']}) at {share(payload['information'], 0)} of the information"
    if z is None:
        return f"{at}: no test, too little data"
    bounds = [f"win at {efficacy['z']:.2f}"] if efficacy else []
    futility = payload.get("futility")
    bounds += [f"give up at {futility['z']:.2f}"] if futility else []
    bounds += [f"harm at {-harm['z']:.2f}"] if harm else []
    return f"{at}: z {z:.2f}; " + (", ".join(bounds) or "no bound")


def _quality_checked(payload: Payload) -> str:
    rows = f" on {count(int(payload['rows']), 'row')}" if "rows" in payload else ""
    if payload["passed"]:
        return f"quality of {payload['day']} passed{rows}"
    failures = "; ".join(
        f"{failure['name']} (found {failure['observed']}, accepted {failure['accepted']})"
        for failure in payload.get("failures", ())
    )
    return f"quality of {payload['day']} failed{rows}: {failures or 'no expectation ran'}"


def _decided(payload: Payload) -> str:
    step = f" {payload['step']}" if payload.get("step") else ""
    move = f" to {payload['to']}{step}" if payload.get("to") else ""
    return f"decided: {payload['action']}{move}: {'; '.join(map(str, payload['reasons']))}"


def _held(payload: Payload) -> str:
    return f"held ({payload['reason']}): {payload.get('detail', '')}"


def _released(payload: Payload) -> str:
    return f"released ({payload['reason']}): {payload.get('detail', '')}"


def _approved(payload: Payload) -> str:
    return f"approved decision {payload['decision_seq']}: {payload['reason']}"


def _rejected(payload: Payload) -> str:
    return f"rejected decision {payload['decision_seq']}: {payload['reason']}"


def _noted(payload: Payload) -> str:
    return f"noted: {payload.get('text', '')}"


def _amended(payload: Payload) -> str:
    return "amended " + "; ".join(f"{key} to {_amendment(value)}" for key, value in payload.items())


def _amendment(value: Any) -> str:
    if isinstance(value, (list, tuple)):  # freeze windows
        return ", ".join(f"{window['start']}/{window['end']}" for window in value) or "none"
    return "none" if value is None else str(value)


def _intended(payload: Payload) -> str:
    target = payload.get("target", {})
    if payload["effect"] == "assignment":
        return f"will publish assignment {target.get('epoch', payload['key'])}: {_routing(target)}"
    variants = ", ".join(f"{variant['name']} {share(variant['weight'], 0)}" for variant in target.get("production", ()))
    shadow = target.get("shadow")
    beside = f", shadow {shadow['name']} {share(shadow['weight'], 0)}" if shadow else ""
    return f"will set endpoint {target.get('endpoint', payload['key'])}: {variants}{beside}"


def _observed(payload: Payload) -> str:
    result = payload.get("result", {})
    if payload["effect"] == "assignment":
        return f"assignment {result.get('epoch', '?')} is in force, stage {result.get('stage') or 'champion only'}"
    if result.get("applied"):
        return f"endpoint change {payload['key']}: {result['applied']}"
    return f"endpoint is {result.get('status', '?')} with config {result.get('config', '?')}"


def _settled(_: Payload) -> str:
    return "settled: registry told, endpoint released"


def _routing(target: Payload) -> str:
    candidate = target.get("candidate")
    if not candidate:
        return f"{target['champion']['name']} alone" if target.get("champion") else "champion alone"
    if target.get("share"):
        return f"{candidate['name']} for {share(target['share'], 0)} of units"
    exposed = float(target["enrolled"]) * float(target["split"])
    return f"{candidate['name']} for {share(exposed)} of units, {share(target['enrolled'])} enrolled"


_SENTENCES: dict[EventType, Callable[[Payload], str]] = {
    EventType.REGISTERED: _registered,
    EventType.STAGE_ENTERED: _stage_entered,
    EventType.PLAN_FROZEN: _plan_frozen,
    EventType.PLAN_REESTIMATED: _plan_reestimated,
    EventType.LOOK_PLANNED: _look_planned,
    EventType.LOOK_TAKEN: _look_taken,
    EventType.QUALITY_CHECKED: _quality_checked,
    EventType.DECIDED: _decided,
    EventType.HELD: _held,
    EventType.RELEASED: _released,
    EventType.APPROVED: _approved,
    EventType.REJECTED: _rejected,
    EventType.NOTED: _noted,
    EventType.AMENDED: _amended,
    EventType.INTENDED: _intended,
    EventType.OBSERVED: _observed,
    EventType.SETTLED: _settled,
}
