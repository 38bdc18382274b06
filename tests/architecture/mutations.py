"""One named mutation of the code for each invariant: what breaks it, and the test that must notice."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutation:
    """A small, plausible mistake.

    Attributes:
        invariant: Its number.
        name: What the mistake does.
        file: Below the repository's root.
        old: The text as it is; occurs exactly once in the file.
        new: The text with the mistake.
        test: The test node that must fail.
    """

    invariant: int
    name: str
    file: str
    old: str
    new: str
    test: str


INVARIANTS = "tests/property/test_invariants.py"
LIVED = "tests/property/test_invariants_lived.py"
STATE_LAWS = "tests/property/test_state_laws.py"

MUTATIONS = (
    Mutation(
        1,
        "the champion keeps its whole weight beside the candidate",
        "staged_rollout/state/desired.py",
        "state.champion.reference, 1.0 - weight)",
        "state.champion.reference, 1.0)",
        f"{STATE_LAWS}::test_invariant_01_shares_are_not_negative_and_sum_to_one",
    ),
    Mutation(
        1,
        "a document that a dead run published is never recorded",
        "staged_rollout/operations/reconcile.py",
        "if routed and current is not None and current.document.epoch not in state.epochs_at(-1):",
        "if False and current is not None:",
        f"{INVARIANTS}::test_invariant_01_decisions_use_the_published_epoch",
    ),
    Mutation(
        2,
        "an endpoint is changed while it is updating",
        "staged_rollout/operations/reconcile.py",
        "if endpoint is not None and endpoint.status.in_flight:",
        "if endpoint is None:",
        f"{INVARIANTS}::test_invariant_02_one_change_in_flight_and_the_next_only_in_service",
    ),
    Mutation(
        3,
        "a guard's rollback leaves the routers to the next reconcile",
        "staged_rollout/operations/decide.py",
        "        return restore_routing(platform, after, actor)\n",
        "        return after\n",
        f"{INVARIANTS}::test_invariant_03_a_rollback_reaches_the_routers_first",
    ),
    Mutation(
        4,
        "a hold does not block a crossing",
        "staged_rollout/policy/live.py",
        "    if shut or holds:\n        if final:",
        "    if shut:\n        if final:",
        f"{INVARIANTS}::test_invariant_04_nothing_enters_promoting_while_blocked",
    ),
    Mutation(
        5,
        "the arms depend on how many units are enrolled",
        "staged_rollout/assignment.py",
        'return "treatment" if position(document.arm_salt, unit) < document.split else "control"',
        'return "treatment" if position(document.arm_salt, unit) < document.split * document.enrolled else "control"',
        "tests/property/test_assignment_laws.py::test_invariant_05_nobody_changes_arm_while_the_rollout_runs",
    ),
    Mutation(
        6,
        "looks are taken while held",
        "staged_rollout/policy/looks.py",
        "    if began is None or state.held:\n",
        "    if began is None:\n",
        f"{INVARIANTS}::test_invariant_06_no_look_while_held_and_none_twice",
    ),
    Mutation(
        7,
        "the record carries the time of writing",
        "staged_rollout/operations/decide.py",
        '"code_version": code_version(),',
        '"code_version": code_version() + str(__import__("time").perf_counter_ns()),',
        f"{INVARIANTS}::test_invariant_07_the_same_five_hashes_give_the_same_bytes",
    ),
    Mutation(
        8,
        "routing by request is accepted for a metric per unit",
        "staged_rollout/spec/rules.py",
        'if draft["unit"] == "request" and SUCCESS_METRICS',
        'if draft["unit"] == "never" and SUCCESS_METRICS',
        f"{INVARIANTS}::test_invariant_08_the_unit_of_routing_is_the_unit_of_analysis",
    ),
    Mutation(
        9,
        "quality that was never checked passes",
        "staged_rollout/policy/moves.py",
        'return ("no event day has been checked yet",) if evidence.quality.day is None else ()',
        "return ()",
        f"{LIVED}::test_invariant_09_missing_data_is_never_a_pass",
    ),
    Mutation(
        10,
        "the champion is taken away once the candidate has most units",
        "staged_rollout/state/desired.py",
        "DesiredEndpoint((champion_variant, candidate_variant), None)",
        "DesiredEndpoint((champion_variant, candidate_variant) if share < 0.9 else (candidate_variant,), None)",
        f"{STATE_LAWS}::test_invariant_10_the_champion_keeps_its_capacity_until_promoted",
    ),
    Mutation(
        11,
        "the endpoint is called before the intent is written",
        "staged_rollout/operations/reconcile.py",
        'after = write(platform, state, [intended("endpoint", key, _as_json(target))], actor)',
        "after = state",
        f"{LIVED}::test_invariant_11_an_intent_stands_before_each_call_and_a_result_after",
    ),
    Mutation(
        12,
        "an approval outlives failed quality",
        "staged_rollout/policy/live.py",
        "for reason, detail in holds if reason in {HoldReason.SRM, HoldReason.QUALITY}]",
        "for reason, detail in holds if reason is HoldReason.SRM]",
        f"{LIVED}::test_invariant_12_an_approval_names_a_decision_and_lapses",
    ),
    Mutation(
        12,
        "an approval of another decision counts",
        "staged_rollout/policy/live.py",
        "if approval is not None and approval.decision_seq == asking and approval.approved:",
        "if approval is not None and approval.approved:",
        f"{LIVED}::test_invariant_12_an_approval_names_a_decision_and_lapses",
    ),
    Mutation(
        13,
        "failed days count as consecutive across days that were not checked",
        "staged_rollout/state/model.py",
        "            day -= timedelta(days=1)\n",
        "            day = max((known for known in self.quality if known < day), default=day - timedelta(days=1))\n",
        "tests/unit/test_state_fold.py::test_invariant_13_three_in_a_row_means_consecutive_event_days",
    ),
    Mutation(
        13,
        "a held rollout never runs out of time",
        "staged_rollout/policy/live.py",
        "        if state.plan is not None and _past_last(state, evidence.as_of):\n",
        "        if state.plan is not None and not holds and _past_last(state, evidence.as_of):\n",
        f"{LIVED}::test_invariant_13_live_ends_at_its_time_also_while_held",
    ),
    Mutation(
        14,
        "a long stay counts as blind although it is watched",
        "staged_rollout/operations/restore.py",
        "since = platform.ledger.last_watched(state.rollout) or state.stage.entered_at",
        "since = state.stage.entered_at",
        f"{LIVED}::test_invariant_14_only_a_rollout_that_nobody_watched_is_blind",
    ),
)
