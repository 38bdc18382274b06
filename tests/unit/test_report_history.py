"""Every event in a sentence with its numbers."""

from __future__ import annotations

from typing import Any

import pytest

from staged_rollout.report.history import history_rows, sentence
from staged_rollout.state import Actor, EventType, State

BOUND = {"look": 3, "information": 0.21, "z": 2.68, "alpha_spent": 0.004}
ASSIGNMENT = {
    "epoch": 7,
    "champion": {"name": "v2", "version": "2"},
    "candidate": {"name": "v3", "version": "3"},
    "split": 0.5,
    "enrolled": 0.5,
    "share": 0.0,
}
ENDPOINT = {
    "endpoint": "churn-prod",
    "production": [{"name": "v2", "weight": 1.0}],
    "shadow": {"name": "v3", "weight": 1.0},
}
LOOK = {
    "slot": 3,
    "kind": "efficacy",
    "cut_off": "2026-03-12T00:00:00+00:00",
    "information": 0.21,
    "evidence_hash": "e",
}
PLAN = {"baseline": 0.861, "baseline_units": 1204, "mde": 0.05, "n_eff_max": 752.4, "inflation": 1.026}
PLANNED = (
    "froze the plan: baseline 86.1% (measured on 1,204 units), smallest effect 5.00%, 2 looks, 1 of them may win, "
    "752 effective units (inflation 1.026)"
)
REESTIMATED = (
    "re-estimated the plan before look 7: 752 -> 810 effective units (at most 875), from a pooled rate of 60.0% in "
    "800 units"
)
SENTENCES = {
    (EventType.PLAN_FROZEN, "plan"): (
        {**PLAN, "slots": ["P2D", "P3D"], "efficacy": ["P3D"]},
        PLANNED,
    ),
    (EventType.PLAN_FROZEN, "margin and futility"): (
        {**PLAN, "slots": ["P2D", "P3D"], "efficacy": ["P3D"], "margin": 0.05, "beta": 0.2 / 3},
        PLANNED.replace("smallest effect", "no worse than") + ", beta 0.0667 for giving up early",
    ),
    (EventType.PLAN_REESTIMATED, "larger"): (
        {"slot": 7, "before": 752.4, "n_eff_max": 810.2, "cap": 875.0, "events": 480, "units": 800},
        REESTIMATED,
    ),
    (EventType.LOOK_TAKEN, "futility"): (
        {**LOOK, "z": 1.42, "efficacy": BOUND, "futility": {**BOUND, "z": 0.31}, "harm": None},
        "took look 3 (efficacy) at 21% of the information: z 1.42; win at 2.68, give up at 0.31",
    ),
    (EventType.LOOK_PLANNED, "planned"): (
        {**LOOK, "batch": 9},
        "planned look 3 (efficacy): rows up to 2026-03-12T00:00:00+00:00, lake batch 9",
    ),
    (EventType.LOOK_TAKEN, "z"): (
        {**LOOK, "z": 1.42, "efficacy": BOUND, "harm": {**BOUND, "z": 2.5}},
        "took look 3 (efficacy) at 21% of the information: z 1.42; win at 2.68, harm at -2.50",
    ),
    (EventType.LOOK_TAKEN, "no test"): (
        {**LOOK, "z": None, "efficacy": None, "harm": None},
        "took look 3 (efficacy) at 21% of the information: no test, too little data",
    ),
    (EventType.QUALITY_CHECKED, "passed"): (
        {"day": "2026-03-03", "passed": True, "rows": 512},
        "quality of 2026-03-03 passed on 512 rows",
    ),
    (EventType.QUALITY_CHECKED, "failed"): (
        {
            "day": "2026-03-03",
            "passed": False,
            "rows": 1,
            "failures": [{"name": "unit_id is present", "observed": "3% missing", "accepted": "none missing"}],
        },
        "quality of 2026-03-03 failed on 1 row: unit_id is present (found 3% missing, accepted none missing)",
    ),
    (EventType.DECIDED, "to"): (
        {"action": "promote", "to": "PROMOTING", "step": 1, "reasons": ["z 3.00 >= 2.68", "all guardrails proven"]},
        "decided: promote to PROMOTING 1: z 3.00 >= 2.68; all guardrails proven",
    ),
    (EventType.HELD, "held"): ({"reason": "srm", "detail": "490 against 610"}, "held (srm): 490 against 610"),
    (EventType.RELEASED, "released"): ({"reason": "srm", "detail": "no longer so"}, "released (srm): no longer so"),
    (EventType.APPROVED, "approved"): ({"decision_seq": 41, "reason": "fine"}, "approved decision 41: fine"),
    (EventType.REJECTED, "rejected"): ({"decision_seq": 41, "reason": "no"}, "rejected decision 41: no"),
    (EventType.NOTED, "noted"): ({"text": "slow pages\nsince 02:00"}, "noted: slow pages since 02:00"),
    (EventType.AMENDED, "amended"): (
        {"notify": None, "owner": "risk", "freeze": [{"start": "2026-12-20", "end": "2027-01-03"}]},
        "amended notify to none; owner to risk; freeze to 2026-12-20/2027-01-03",
    ),
    (EventType.INTENDED, "routers"): (
        {"effect": "assignment", "key": "assignment:7", "target": ASSIGNMENT},
        "will publish assignment 7: v3 for 25.0% of units, 50.0% enrolled",
    ),
    (EventType.INTENDED, "promoting"): (
        {"effect": "assignment", "key": "assignment:7", "target": {**ASSIGNMENT, "share": 0.75}},
        "will publish assignment 7: v3 for 75% of units",
    ),
    (EventType.INTENDED, "champion"): (
        {"effect": "assignment", "key": "assignment:7", "target": {**ASSIGNMENT, "candidate": None}},
        "will publish assignment 7: v2 alone",
    ),
    (EventType.INTENDED, "endpoint"): (
        {"effect": "endpoint", "key": "endpoint:abc", "target": ENDPOINT},
        "will set endpoint churn-prod: v2 100%, shadow v3 100%",
    ),
    (EventType.OBSERVED, "routers"): (
        {"effect": "assignment", "key": "assignment:7", "result": {"epoch": 7, "stage": None}},
        "assignment 7 is in force, stage champion only",
    ),
    (EventType.OBSERVED, "started"): (
        {"effect": "endpoint", "key": "endpoint:abc", "result": {"applied": "started"}},
        "endpoint change endpoint:abc: started",
    ),
    (EventType.OBSERVED, "served"): (
        {"effect": "endpoint", "key": "endpoint:abc", "result": {"status": "InService", "config": "churn-prod-7"}},
        "endpoint is InService with config churn-prod-7",
    ),
    (EventType.SETTLED, "settled"): ({}, "settled: registry told, endpoint released"),
}


@pytest.mark.parametrize(("kind", "payload", "words"), [(key[0], *value) for key, value in SENTENCES.items()])
def test_each_event_has_its_sentence(rollouts: Any, kind: EventType, payload: dict[str, Any], words: str) -> None:
    event = rollouts().register().add(kind, **payload).events[-1]

    assert words == sentence(event)


def test_every_event_type_is_covered() -> None:
    assert set(EventType) == {key[0] for key in SENTENCES} | {EventType.REGISTERED, EventType.STAGE_ENTERED}


def test_rows_say_who_and_when(rollouts: Any) -> None:
    builder = rollouts().at(State.SHADOW).add(EventType.NOTED, Actor("ana\x1b[31m", verified=True), text="hello")
    rows = history_rows(builder.events)

    assert [row.seq for row in rows] == [1, 2, 3, 4]
    assert (
        rows[-1].actor,
        rows[-1].verified,
        rows[-1].type,
        rows[-1].what,
    ) == ("ana[31m", True, "noted", "noted: hello")
    assert (
        rows[0].what == "registered churn version 3 against champion 2, forecast $412.50: churn version 3 is approved"
    )
    assert rows[1].what == "entered SHADOW: because"


def test_a_rollback_says_where_it_ends(rollouts: Any) -> None:
    builder = rollouts().at(State.SHADOW).enter(State.ROLLING_BACK, ending=State.CANCELLED, reason="cancelled by ana")

    assert sentence(builder.events[-1]) == "entered ROLLING_BACK (to end in CANCELLED): cancelled by ana"
