"""Decisions: pure functions of specification, state and evidence."""

from staged_rollout.policy.decide import QUALITY_FAILURES, decide
from staged_rollout.policy.decision import Action, Decision
from staged_rollout.policy.holds import holds_now
from staged_rollout.policy.live import FINAL_GRACE, asking_decision
from staged_rollout.policy.looks import due_look
from staged_rollout.policy.stages import MIN_BASELINE_UNITS, MIN_COMPLETENESS

__all__ = [
    "FINAL_GRACE",
    "MIN_BASELINE_UNITS",
    "MIN_COMPLETENESS",
    "QUALITY_FAILURES",
    "Action",
    "Decision",
    "asking_decision",
    "decide",
    "due_look",
    "holds_now",
]
