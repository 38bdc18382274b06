"""A rollout in LIVE with one look, its evidence and its decision, with somebody's text in every place that has one."""

from __future__ import annotations

from typing import Any

from staged_rollout.state import EventType, State
from tests.fakes import figures as fig

HOSTILE = "</script><svg onload=alert(1)><img src=//x.invalid>\u202egnp.exe\x1b[2J" + "<b>&\"'" * 2000


def lived(rollouts: Any, text: str = "because", **changes: Any) -> Any:
    """Build it.

    Args:
        rollouts: The class that builds rollouts from events.
        text: Hypothesis, reasons and note.
        changes: To the evidence.
    """
    built = rollouts({**rollouts().spec.model_dump(mode="json"), "hypothesis": text}).at(State.LIVE)
    look = fig.look(z=1.5, futility=0.2)
    known = fig.good(built.state, built.now, look=look.model_copy(update={"interval": (-0.02, 0.07)}), **changes)
    built.plan_look(1)
    built.add(
        EventType.LOOK_TAKEN,
        slot=1,
        kind="efficacy",
        cut_off=look.cut_off.isoformat(),
        z=1.5,
        information=0.6,
        efficacy=look.efficacy.model_dump(mode="json"),
        harm=look.harm.model_dump(mode="json"),
        futility=look.futility.model_dump(mode="json"),
        evidence_hash="e" * 64,
        evidence=known.model_dump(mode="json"),
    )
    built.add(EventType.DECIDED, action="continue", to=None, reasons=[text, "second"], hashes={"evidence": "e" * 64})
    return built.add(EventType.NOTED, text=text)
