"""Laws of decide() over every state and arbitrary evidence."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from staged_rollout.evidence import (
    BaselineFigures,
    BoundFigures,
    DriftFigures,
    Evidence,
    GuardrailFigures,
    HarmGuardFigures,
    HealthFigures,
    LookFigures,
    PlatformFigures,
    QualityFigures,
    ShadowFigures,
    SrmFigures,
    StageWiseFigures,
    StopFigures,
    SuccessFigures,
    TrafficFigures,
    VariantTraffic,
    sealed,
)
from staged_rollout.operations.decide import decision_payload
from staged_rollout.policy import QUALITY_FAILURES, Action, decide, holds_now
from staged_rollout.state import EXPOSED, TERMINAL, TRANSITIONS, HoldReason, State, canonical
from tests.fakes import figures as fig
from tests.fakes.states import RUNNING, STAYS, folded

MOMENTS = st.integers(0, 60 * 24).map(lambda hours: datetime(2026, 3, 2, tzinfo=UTC) + timedelta(hours=hours))
NUMBERS = st.floats(-1e6, 1e6, allow_nan=False)
SHARES = st.floats(0.0, 1.0)
COUNTS = st.integers(0, 10**7)
WORDS = st.text(max_size=12)
MAYBE = st.one_of(st.none(), NUMBERS)


def variant_traffic():
    return st.builds(VariantTraffic, requests=COUNTS, units=COUNTS, errors=COUNTS, fallbacks=COUNTS)


def bounds():
    return st.builds(BoundFigures, look=st.integers(1, 30), information=NUMBERS, z=NUMBERS, alpha_spent=SHARES)


LOOKS = st.builds(
    LookFigures,
    slot=st.integers(1, 30),
    kind=st.sampled_from(["harm", "efficacy", "final"]),
    cut_off=MOMENTS,
    information=NUMBERS,
    success=st.builds(
        SuccessFigures,
        closed_champion=COUNTS,
        closed_candidate=COUNTS,
        n_champion=COUNTS,
        n_candidate=COUNTS,
        x_champion=COUNTS,
        x_candidate=COUNTS,
        estimate=MAYBE,
        z=MAYBE,
        se=MAYBE,
        margin=st.one_of(st.none(), SHARES),
    ),
    efficacy=st.one_of(st.none(), bounds()),
    harm=st.one_of(st.none(), bounds()),
    interval=st.one_of(st.none(), st.tuples(NUMBERS, NUMBERS)),
    insufficient=WORDS,
    futility=st.one_of(
        st.none(), st.builds(StopFigures, look=st.integers(1, 30), information=NUMBERS, z=NUMBERS, beta_spent=SHARES)
    ),
    repeated_p_value=st.one_of(st.none(), SHARES),
    stage_wise=st.one_of(
        st.none(),
        st.builds(StageWiseFigures, p_value=SHARES, estimate=NUMBERS, interval=st.tuples(NUMBERS, NUMBERS)),
    ),
)
GUARDRAILS = st.builds(
    GuardrailFigures,
    name=st.sampled_from(["error_rate", "latency_p95", "another"]),
    acting=st.booleans(),
    unit=st.sampled_from(["share", "ms"]),
    margin=NUMBERS,
    champion=MAYBE,
    candidate=MAYBE,
    worsening=MAYBE,
    z_non_inferiority=MAYBE,
    log_e=NUMBERS,
    threshold_log=NUMBERS,
    alarm=st.booleans(),
    method=WORDS,
)
SRM = st.builds(
    SrmFigures,
    name=st.sampled_from(["first exposure", "closed with outcome"]),
    counts=st.tuples(COUNTS, COUNTS),
    weights=st.tuples(SHARES, SHARES),
    log_e=NUMBERS,
    threshold_log=NUMBERS,
    alarm=st.booleans(),
    chi_squared=NUMBERS,
    p_value=SHARES,
    prior=NUMBERS,
)
EVIDENCE = st.builds(
    Evidence,
    rollout=st.just("churn-v3"),
    state=WORDS,
    step=st.integers(0, 3),
    as_of=MOMENTS,
    batch=COUNTS,
    traffic=st.builds(TrafficFigures, champion=variant_traffic(), candidate=variant_traffic()),
    shadow=st.one_of(
        st.none(),
        st.builds(
            ShadowFigures,
            requests=COUNTS,
            captured=COUNTS,
            agreed=COUNTS,
            units=COUNTS,
            units_disagreeing=COUNTS,
            disagreement_upper=st.one_of(st.none(), SHARES),
        ),
    ),
    baseline=st.one_of(
        st.none(),
        st.builds(BaselineFigures, given=st.one_of(st.none(), SHARES), units=COUNTS, successes=COUNTS),
    ),
    champion_p95_ms=MAYBE,
    look=st.one_of(st.none(), LOOKS),
    guardrails=st.lists(GUARDRAILS, max_size=3).map(tuple),
    srm=st.lists(SRM, max_size=2).map(tuple),
    quality=st.builds(
        QualityFigures,
        day=st.one_of(st.none(), st.dates(date(2026, 3, 1), date(2026, 4, 1))),
        passed=st.booleans(),
        failures=st.lists(WORDS, max_size=2).map(tuple),
        failed_in_a_row=st.integers(0, 4),
    ),
    drift=st.lists(
        st.builds(DriftFigures, name=WORDS, psi=MAYBE, limit=NUMBERS, breached=st.booleans()), max_size=2
    ).map(tuple),
    health=st.builds(
        HealthFigures,
        calls=COUNTS,
        last_call_at=st.one_of(st.none(), MOMENTS),
        newest_row_at=st.one_of(st.none(), MOMENTS),
        no_traffic=st.booleans(),
        no_data=st.booleans(),
    ),
    platform=st.builds(
        PlatformFigures,
        routing_as_desired=st.booleans(),
        endpoint_as_desired=st.booleans(),
        status=WORDS,
        claimable=st.booleans(),
    ),
    bake=st.one_of(
        st.none(),
        st.builds(
            HarmGuardFigures,
            n_champion=COUNTS,
            n_candidate=COUNTS,
            x_champion=COUNTS,
            x_candidate=COUNTS,
            log_e=NUMBERS,
            threshold_log=NUMBERS,
            alarm=st.booleans(),
        ),
    ),
    freeze=st.one_of(st.none(), WORDS),
    spent_usd=st.floats(0, 2000),
)
HOLDS = st.frozensets(st.sampled_from(HoldReason), max_size=2)
ANSWERS = st.sampled_from(["", "approved", "rejected", "another"])
ANY = {
    "stay": st.sampled_from(STAYS),
    "holds": HOLDS,
    "answer": ANSWERS,
    "ask": st.booleans(),
    "evidence": EVIDENCE,
}


def state_of(rollouts, stay, holds=frozenset(), answer="", ask=False):
    return folded(rollouts, stay, holds, answer, ask=ask)[1]


@given(**ANY)
def test_decide_is_total_and_says_why(rollouts, stay, holds, answer, ask, evidence):
    """Any state and any evidence have exactly one decision, a lawful move, with a sentence of reason."""
    state = state_of(rollouts, stay, holds, answer, ask)
    found = decide(state.spec, state, evidence)
    assert isinstance(found.action, Action)
    assert found.reasons[0]
    assert found.headline
    if found.to is None:
        assert found.action in {Action.CONTINUE, Action.HOLD}
        assert (found.step, found.ending) == (0, None)
        assert (found.action is Action.HOLD) is bool(found.holds)
    else:
        assert found.to in TRANSITIONS[state.state]
        assert (found.ending is not None) is (found.to is State.ROLLING_BACK)
    if found.action is Action.PROMOTE:
        follows = state.step + 1 if found.to is state.state else int(found.to in {State.CANARY, State.PROMOTING})
        assert found.step == follows


@given(**ANY)
def test_decide_is_a_function_of_what_is_stored(rollouts, stay, holds, answer, ask, evidence):
    """Evidence that went through JSON decides the same, with the same bytes in the record."""
    state = state_of(rollouts, stay, holds, answer, ask)
    stored = sealed(evidence)
    again = Evidence.model_validate_json(stored.model_dump_json())
    assert again == stored == sealed(again)
    records = {canonical(decision_payload(state, known, decide(state.spec, state, known))) for known in (stored, again)}
    assert len(records) == 1


@given(stay=st.sampled_from([stay for stay in STAYS if stay[0] in TERMINAL]), holds=HOLDS, evidence=EVIDENCE)
def test_terminal_states_stay_terminal(rollouts, stay, holds, evidence):
    """No evidence moves, holds or rolls back what has ended."""
    state = state_of(rollouts, stay, holds)
    found = decide(state.spec, state, evidence)
    assert (found.action, found.to, found.holds) == (Action.CONTINUE, None, ())


@given(stay=st.sampled_from(RUNNING), holds=HOLDS, answer=ANSWERS, evidence=EVIDENCE, which=st.integers(0, 3))
def test_harm_beats_everything(rollouts, stay, holds, answer, evidence, which):
    """A guardrail's alarm, the harm bound, the bake's alarm or a third failed day: rolled back, whatever else is so."""
    state = state_of(rollouts, stay, holds, answer)
    harmful = fig.look(z=-3.0, harm=2.0, efficacy=-9.0)  # even at a bound that it would cross as a win
    changes = [
        {"guardrails": (fig.guardrail(alarm=True), *evidence.guardrails)},
        {"look": harmful},
        {"bake": fig.bake(alarm=True)},
        {"quality": fig.quality(QUALITY_FAILURES)},
    ][which if state.exposed else 3]
    found = decide(state.spec, state, evidence.model_copy(update=changes))
    assert (found.action, found.to, found.ending) == (Action.ROLL_BACK, State.ROLLING_BACK, State.ROLLED_BACK)


@given(
    holds=HOLDS,
    ask=st.booleans(),
    evidence=EVIDENCE,
    z=st.floats(-6.0, 6.0),
    limits=st.tuples(st.floats(-6.0, 6.0), st.floats(-6.0, 6.0)).map(sorted),
    harm=st.one_of(st.none(), st.floats(1.5, 6.0)),
)
def test_harm_then_futility_then_efficacy(rollouts, holds, ask, evidence, z, limits, harm):
    """An efficacy look ends for harm, else for futility whatever holds, else it may be a win; else LIVE goes on.

    With the bounds met, what reaches them wins: futility never takes a win away.
    """
    state = state_of(rollouts, (State.LIVE, 0), holds, ask=ask)
    stop, win = limits
    found = decide(
        state.spec,
        state,
        evidence.model_copy(
            update={
                "look": fig.look(z=z, efficacy=win, futility=stop, harm=harm),
                "guardrails": tuple(known.model_copy(update={"alarm": False}) for known in evidence.guardrails),
                "bake": None,
                "quality": fig.quality(min(evidence.quality.failed_in_a_row, QUALITY_FAILURES - 1)),
                "spent_usd": 0.0,
            }
        ),
    )
    if harm is not None and -z >= harm:
        assert found.ending is State.ROLLED_BACK
    elif z <= stop and z < win:
        assert (found.action, found.ending) == (Action.KEEP_CHAMPION, State.KEPT_CHAMPION)
        assert found.reasons[0].startswith("no win: futility at look 1 ")
        assert f"z {z:.2f} <= {stop:.2f}" in found.reasons[0]
    elif z >= win:
        assert found.action in {Action.PROMOTE, Action.CONTINUE, Action.HOLD}
    else:
        assert found.to is None


@given(evidence=EVIDENCE, holds=HOLDS)
def test_without_futility_nothing_is_given_up_early(rollouts, evidence, holds):
    """A look before the last one without a futility bound keeps no champion."""
    state = state_of(rollouts, (State.LIVE, 0), holds)
    look = evidence.look or fig.look(z=-1.0)
    calm = {"look": look.model_copy(update={"futility": None, "kind": "efficacy"}), "spent_usd": 0.0}
    found = decide(state.spec, state, evidence.model_copy(update=calm))
    assert found.action is not Action.KEEP_CHAMPION


@given(**ANY)
def test_a_rollback_for_harm_needs_harm(rollouts, stay, holds, answer, ask, evidence):
    """Without harm, failed quality, SRM, rejection or an operator, nothing ends in ROLLED_BACK."""
    state = state_of(rollouts, stay, holds, answer, ask)
    calm = evidence.model_copy(
        update={
            "guardrails": tuple(known.model_copy(update={"alarm": False}) for known in evidence.guardrails),
            "look": None,
            "bake": None,
            "quality": fig.quality(),
            "srm": (fig.srm(),),
        }
    )
    found = decide(state.spec, state, calm)
    if answer != "rejected":
        assert found.ending is not State.ROLLED_BACK


@given(stay=st.sampled_from(RUNNING), holds=HOLDS, answer=ANSWERS, ask=st.booleans(), evidence=EVIDENCE)
def test_nothing_moves_forward_while_held(rollouts, stay, holds, answer, ask, evidence):
    """A hold of the ledger or of the snapshot blocks forward moves, and only those."""
    state = state_of(rollouts, stay, holds, answer, ask)
    found = decide(state.spec, state, evidence)
    if found.action is Action.PROMOTE:
        assert holds_now(state.spec, state, evidence) == ()
        assert HoldReason.OPERATOR not in holds


@given(
    stay=st.sampled_from([(State.LIVE, 0), (State.AWAITING_APPROVAL, 0), (State.PROMOTING, 1)]),
    holds=HOLDS,
    answer=ANSWERS,
    evidence=EVIDENCE,
)
def test_nothing_enters_promoting_on_data_that_is_not_proven_sound(rollouts, stay, holds, answer, evidence):
    """A day was checked and passed, a sample-ratio test was made and is silent, no harm, guardrails are shown."""
    state = state_of(rollouts, stay, holds, answer)
    found = decide(state.spec, state, evidence)
    if found.to in {State.PROMOTING, State.BAKING, State.AWAITING_APPROVAL}:
        assert evidence.quality.day is not None
        assert evidence.quality.passed
        assert evidence.srm
        assert not any(test.alarm for test in evidence.srm)
        assert not any(known.alarm and known.acting for known in evidence.guardrails)
    if found.to is State.PROMOTING and state.state is State.LIVE:
        assert evidence.look is not None
        assert evidence.look.crossed
        shown = {known.name: known.z_non_inferiority for known in evidence.guardrails}
        assert all((shown.get(name) or -1e9) >= evidence.look.efficacy.z for name in state.spec.guardrails)
    if found.to is State.PROMOTING and state.state is State.AWAITING_APPROVAL:
        assert answer == "approved"


@given(evidence=EVIDENCE)
def test_canary_decides_without_the_success_metric(rollouts, evidence):
    """In a canary step no estimate, z or bound of the success metric changes a forward move."""
    state = state_of(rollouts, (State.CANARY, 1))
    without = decide(state.spec, state, evidence.model_copy(update={"look": None}))
    found = decide(state.spec, state, evidence)
    assert found == without or found.action is Action.ROLL_BACK


@given(
    z=st.floats(-6.0, 6.0),
    bound=st.floats(1.5, 6.0),
    kind=st.sampled_from(["efficacy", "final"]),
    counts=st.tuples(COUNTS, COUNTS),
    alarm=st.booleans(),
)
def test_swapping_the_variants_mirrors_the_look(rollouts, z, bound, kind, counts, alarm):
    """With variants exchanged and equal bounds, a win becomes harm and harm a win; what is neither stays neither."""
    state = state_of(rollouts, (State.LIVE, 0))

    def answer(sign):
        pair = counts if sign > 0 else counts[::-1]
        evidence = fig.good(
            state,
            state.stage.effective_at + timedelta(days=9),
            look=fig.look(kind, z=sign * z, efficacy=bound, harm=bound),
            srm=(fig.srm(pair, alarm=alarm),),
            guardrails=tuple(fig.guardrail(name) for name in state.spec.guardrails),
        )
        return decide(state.spec, state, evidence)

    straight, swapped = answer(+1), answer(-1)
    assert (z >= bound) == (swapped.action is Action.ROLL_BACK and "harm bound" in swapped.reasons[0])
    assert (-z >= bound) == (straight.action is Action.ROLL_BACK and "harm bound" in straight.reasons[0])
    if not alarm:
        assert (straight.to is State.PROMOTING) == (z >= bound)
        assert (swapped.to is State.PROMOTING) == (-z >= bound)
    if abs(z) < bound:
        assert (straight.action, straight.to, straight.ending) == (swapped.action, swapped.to, swapped.ending)


@given(stay=st.sampled_from(sorted((state, 1 if state in {State.CANARY, State.PROMOTING} else 0) for state in EXPOSED)))
def test_good_evidence_moves_every_exposed_state_forward(rollouts, stay):
    """The laws above are not kept by standing still: with all gates open and time served, each state moves on."""
    state = state_of(rollouts, stay, answer="approved")
    served = timedelta(days=2)
    evidence = fig.good(
        state, state.stage.effective_at + served, look=fig.look() if state.state is State.LIVE else None
    )
    assert decide(state.spec, state, evidence).action is Action.PROMOTE
