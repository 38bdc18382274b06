"""Pages of looks, decisions and stages: what they say, and that nobody's text is active in them."""

from __future__ import annotations

import base64
import re
from datetime import UTC, date, datetime, timedelta
from typing import Any
from xml.etree.ElementTree import fromstring

import pytest
from markdown_it import MarkdownIt

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
    SegmentFigures,
    ShadowFigures,
    SrmFigures,
    StageWiseFigures,
    StopFigures,
    SuccessFigures,
    TrafficFigures,
    VariantTraffic,
    sealed,
)
from staged_rollout.report.look import event_markdown, plotted
from staged_rollout.state import Actor, EventType, State
from tests.fakes.figures import PLAN

AS_OF = datetime(2026, 3, 12, 6, tzinfo=UTC)
HOSTILE = "<script>alert(1)</script> [here](javascript:alert(1)) ![p](http://example.invalid/p.png) | `x` \x1b[2J"
RENDER = MarkdownIt("commonmark", {"html": True}).enable("table")
RENDER.validateLink = lambda url: True  # as permissive as a careless page

GUARDRAIL = GuardrailFigures(
    name="error_rate",
    acting=True,
    unit="share",
    margin=0.01,
    champion=0.0021,
    candidate=0.0035,
    worsening=0.0014,
    z_non_inferiority=2.11,
    log_e=-3.2,
    threshold_log=5.3,
    alarm=False,
    method="beta-binomial",
)
SRM = SrmFigures(
    name="first exposure",
    counts=(612, 598),
    weights=(0.5, 0.5),
    log_e=-2.7,
    threshold_log=9.2,
    alarm=False,
    chi_squared=0.16,
    p_value=0.687,
    prior=100.0,
)


def success(z: float | None = 1.42) -> SuccessFigures:
    return SuccessFigures(
        closed_champion=600,
        closed_candidate=590,
        n_champion=598,
        n_candidate=590,
        x_champion=515,
        x_candidate=525,
        estimate=0.0286,
        z=z,
    )


def look(
    z: float | None = 1.42, efficacy: float | None = 2.68, harm: float | None = 2.5, insufficient: str = ""
) -> LookFigures:
    return LookFigures(
        slot=3,
        kind="efficacy" if efficacy else "harm",
        cut_off=AS_OF,
        information=0.21,
        success=success(z),
        efficacy=efficacy and BoundFigures(look=1, information=0.21, z=efficacy, alpha_spent=0.001),
        harm=harm and BoundFigures(look=1, information=0.21, z=harm, alpha_spent=0.002),
        interval=(-0.0254, 0.0826),
        insufficient=insufficient,
    )


def evidence(look: LookFigures | None = None, **more: Any) -> Evidence:
    known: dict[str, Any] = {
        "rollout": "churn-v3",
        "state": "LIVE",
        "step": 0,
        "as_of": AS_OF,
        "batch": 12,
        "look": look,
        "guardrails": (GUARDRAIL,),
        "srm": (SRM,),
        "quality": QualityFigures(day=date(2026, 3, 11), passed=True, failures=(), failed_in_a_row=0),
        "health": HealthFigures(calls=5120, last_call_at=AS_OF, newest_row_at=AS_OF, no_traffic=False, no_data=False),
        "platform": PlatformFigures(
            routing_as_desired=True, endpoint_as_desired=True, status="InService", claimable=False
        ),
        "segments": (
            SegmentFigures(segment="plan", value="gold", n_champion=90, n_candidate=88, estimate=0.01, p_holm=0.8),
        ),
        "spent_usd": 101.5,
    }
    return sealed(Evidence(**{**known, **more}))


def at_look(rollouts: Any, figures: LookFigures, action: str, reasons: list[str], **decision: Any) -> Any:
    """A rollout whose last events are a look with its evidence, and the decision on it."""
    builder = rollouts().at(State.LIVE).plan_look(1).take_look(1, z=0.4).plan_look(3)
    known = evidence(figures, **decision.pop("evidence", {}))

    def bound(found: BoundFigures | None) -> dict[str, Any] | None:
        return found and found.model_dump(mode="json")

    builder.add(
        EventType.LOOK_TAKEN,
        slot=3,
        kind=figures.kind,
        cut_off=figures.cut_off.isoformat(),
        z=figures.success.z,
        information=figures.information,
        efficacy=bound(figures.efficacy),
        harm=bound(figures.harm),
        futility=figures.futility and figures.futility.model_dump(mode="json"),
        evidence_hash="e" * 64,
        evidence=known.model_dump(mode="json"),
    )
    payload = {
        "action": action,
        "to": None,
        "step": 0,
        "ending": None,
        "reasons": reasons,
        "would_flip": [],
        "holds": [],
        "hashes": {"spec": "a" * 64, "prefix": "b" * 64, "evidence": "e" * 64},
        "as_of": AS_OF.isoformat(),
        "code_version": "0.1.0",
    }
    return builder.add(EventType.DECIDED, **{**payload, **decision})


def page(builder: Any, kind: EventType) -> tuple[str, str]:
    event = next(event for event in reversed(builder.events) if event.type is kind)
    return event_markdown(event, builder.state, builder.events)


CONTINUE = "look 3 (21% of the information): z 1.42 < 2.68"


@pytest.mark.parametrize(
    ("figures", "action", "reason", "title"),
    [
        (look(), "continue", CONTINUE, "churn-v3 look 3: continue, z 1.42 < 2.68"),
        (look(z=2.9), "promote", "look 3 (21%): z 2.90 >= 2.68, fine", "churn-v3 look 3: promote, z 2.90 >= 2.68"),
        (
            look(efficacy=None),
            "continue",
            "look 3 (21%): harm only",
            "churn-v3 look 3: continue, harm only, z 1.42 > -2.50",
        ),
        (
            look(z=-2.6),
            "roll back",
            "look 3: correct is worse by 2.86%, z -2.60 <= -2.50 (harm bound)",
            "churn-v3 look 3: roll back, z -2.60 <= -2.50 (harm bound)",
        ),
        (
            look(z=None, efficacy=None, harm=None, insufficient="88 closed units, asked 100"),
            "continue",
            "look 3 (21%): no test",
            "churn-v3 look 3: continue, no test, 88 closed units, asked 100",
        ),
        (
            look(),
            "roll back",
            "error_rate is worse by 3.00%, more than 1.00%: log e 6.10 >= 5.30",
            "churn-v3 look 3: roll back, error_rate is worse by 3.00%, more than 1.00%: log e 6.10 >= 5.30",
        ),
    ],
)
def test_the_title_tells_the_story(rollouts: Any, figures: LookFigures, action: str, reason: str, title: str) -> None:
    assert page(at_look(rollouts, figures, action, [reason]), EventType.LOOK_TAKEN)[0] == title


def test_a_look_shows_what_it_knew(rollouts: Any) -> None:
    _, markdown = page(at_look(rollouts, look(), "continue", [CONTINUE]), EventType.LOOK_TAKEN)

    for piece in (
        "# churn-v3 look 3: continue, z 1.42 &lt; 2.68",
        "repeated confidence interval **[-2.54, +8.26] pp**",
        "difference **+2.86 pp**",
        "| rate | 86.12% | 88.98% |",
        "| `error_rate` (acts) | 0.21% | 0.35% | +0.14 pp | +1.00 pp | 2.11 / 2.68 | -3.20 / 5.30 | beta-binomial |",
        "612 against 598 units, designed 0.5:0.5",
        "quality: 2026-03-11 passed",
        "Reported, never decides.",
        "| plan: gold | 90 | 88 | +1.00 pp | 0.800 |",
        "staged-rollout rollback churn-v3 --as NAME --reason 'WHY'",
        f"| prefix | `{'b' * 64}` |",
    ):
        assert piece in markdown


STAGE_WISE = StageWiseFigures(p_value=0.0031, estimate=0.0312, interval=(0.0051, 0.0573))


def test_a_win_shows_what_may_be_said_at_its_stop(rollouts: Any) -> None:
    won = look(z=2.9).model_copy(update={"repeated_p_value": 0.0121, "stage_wise": STAGE_WISE})
    _, markdown = page(at_look(rollouts, won, "promote", ["look 3 (21%): z 2.90 >= 2.68"]), EventType.LOOK_TAKEN)

    for piece in (
        "smallest effect worth finding 5pp; as seen, too large on average after an early win)",
        "repeated confidence interval **[-2.54, +8.26] pp**",
        "repeated p-value 0.012, one-sided: valid at whatever look the rollout stops",
        "stage-wise, at this first stop of the test and never computed again: p 0.0031 one-sided",
        "median-unbiased difference +3.12 pp, interval [+0.51, +5.73] pp",
    ):
        assert piece in markdown


def test_a_look_that_went_on_shows_no_figures_of_a_stop(rollouts: Any) -> None:
    on = look().model_copy(update={"repeated_p_value": 0.5})
    _, markdown = page(at_look(rollouts, on, "continue", [CONTINUE]), EventType.LOOK_TAKEN)

    assert "repeated p-value >= 0.5, one-sided" in markdown
    assert "stage-wise" not in markdown
    assert "too large on average" not in markdown


def test_giving_up_is_told_with_its_bound(rollouts: Any) -> None:
    stop = StopFigures(look=1, information=0.21, z=0.31, beta_spent=0.02)
    given_up = look(z=0.12).model_copy(update={"futility": stop})
    reason = "no win: futility at look 3 (21% of the information), z 0.12 <= 0.31"
    builder = at_look(rollouts, given_up, "keep champion", [reason], to="ROLLING_BACK", ending="KEPT_CHAMPION")
    title, markdown = page(builder, EventType.LOOK_TAKEN)

    assert title == "churn-v3 look 3: keep champion, z 0.12 <= 0.31 (futility)"
    assert "bounds: win at 2.68, give up at 0.31, harm at -2.50" in markdown
    assert plotted(builder.events, len(builder.events))[-1].futility == 0.31


def test_non_inferiority_says_what_z_is_measured_from(rollouts: Any, churn: dict[str, Any]) -> None:
    claim = {"mde": None, "better_or_equal": {"value": 0.03, "kind": "absolute"}}
    spec = churn | {"success": churn["success"] | claim}
    figures = look()
    figures = figures.model_copy(update={"success": figures.success.model_copy(update={"margin": 0.03})})
    _, markdown = page(at_look(lambda: rollouts(spec), figures, "continue", [CONTINUE]), EventType.LOOK_TAKEN)

    assert "higher is better, a win is no worse than 3pp)" in markdown
    assert "z 1.42 (against worse by 3.00 pp), bounds: win at 2.68" in markdown


def test_looks_before_a_re_estimation_are_drawn_on_the_new_clock(rollouts: Any) -> None:
    """The end has moved away: information falls in proportion, so that the points stay in order."""
    builder = rollouts().at(State.LIVE).add(EventType.PLAN_FROZEN, **PLAN).plan_look(1).take_look(1, "harm")
    before = plotted(builder.events, len(builder.events))
    found = {"slot": 3, "before": 700.0, "n_eff_max": 1400.0, "cap": 2000.0, "events": 300, "units": 500}
    builder.add(EventType.PLAN_REESTIMATED, **found).plan_look(3).take_look(3)
    points = plotted(builder.events, len(builder.events))

    assert [point.information for point in points] == pytest.approx([0.05, 0.3])
    assert plotted(builder.events, builder.events[-4].seq) == before


def test_a_rollback_is_not_said_twice(rollouts: Any) -> None:
    reason = "look 3: correct is worse by 2.86%, z -2.60 <= -2.50 (harm bound)"
    builder = at_look(rollouts, look(z=-2.6), "roll back", [reason], to="ROLLING_BACK", ending="ROLLED_BACK")
    title, markdown = page(builder, EventType.LOOK_TAKEN)

    assert title == "churn-v3 look 3: roll back, z -2.60 <= -2.50 (harm bound)"
    assert "Routers serve the champion alone." in markdown


def test_the_plot_is_an_image_of_all_looks_so_far(rollouts: Any) -> None:
    builder = at_look(rollouts, look(), "continue", [CONTINUE])
    _, markdown = page(builder, EventType.LOOK_TAKEN)
    data = re.search(r"!\[z of 2 looks [^\]]*\]\(data:image/svg\+xml;base64,([A-Za-z0-9+/=]+)\)", markdown)

    assert data is not None
    assert fromstring(base64.b64decode(data[1])).tag == "{http://www.w3.org/2000/svg}svg"
    assert [point.slot for point in plotted(builder.events, builder.events[-1].seq)] == [1, 3]


def test_a_page_published_later_is_the_same_page(rollouts: Any) -> None:
    """The page of a look depends on the events up to it: a late delivery tells the same story."""
    builder = at_look(rollouts, look(), "continue", [CONTINUE])
    then = page(builder, EventType.LOOK_TAKEN)
    event = builder.events[-2]
    builder.plan_look(4).take_look(4, z=3.0).decide("promote", State.PROMOTING).enter(State.PROMOTING, 1)

    assert event_markdown(event, builder.state, builder.events) == then


def test_holds_are_explained_and_the_command_stops_it(rollouts: Any) -> None:
    holds = [["srm", "first exposure: 490 against 610 units"]]
    builder = at_look(rollouts, look(), "hold", ["srm: first exposure: 490 against 610 units"], holds=holds)
    title, markdown = page(builder, EventType.LOOK_TAKEN)

    assert title == "churn-v3 look 3: hold, srm: first exposure: 490 against 610 units"
    assert "- **srm**: first exposure: 490 against 610 units" in markdown
    assert "once every hold has cleared" in markdown


def test_a_question_names_who_answers_it(rollouts: Any, churn: dict[str, Any]) -> None:
    asking = {**churn, "decide": {"win": {"action": "ask", "who": "growth-ml", "within": "3d"}}}
    builder = at_look(
        lambda: rollouts(asking), look(z=2.9), "promote", ["look 3: z 2.90 >= 2.68"], to="AWAITING_APPROVAL"
    )

    assert "staged-rollout approve churn-v3 --as growth-ml" in page(builder, EventType.LOOK_TAKEN)[1]


def test_a_decision_without_a_look_shows_the_evidence_that_it_carries(rollouts: Any) -> None:
    known = evidence(
        shadow=ShadowFigures(
            requests=900, captured=880, agreed=810, units=300, units_disagreeing=31, disagreement_upper=0.14
        ),
        baseline=BaselineFigures(given=None, units=1204, successes=1037),
        bake=HarmGuardFigures(
            n_champion=20, n_candidate=400, x_champion=17, x_candidate=350, log_e=-1.0, threshold_log=5.3, alarm=True
        ),
        traffic=TrafficFigures(champion=VariantTraffic(requests=410, units=180, errors=2)),
        drift=(DriftFigures(name="score_drift", psi=0.31, limit=0.2, breached=True),),
        quality=QualityFigures(day=date(2026, 3, 3), passed=False, failures=("no rows",), failed_in_a_row=2),
        freeze="2026-12-20/2027-01-03",
    )
    builder = rollouts().at(State.SHADOW)
    builder.add(
        EventType.DECIDED,
        action="promote",
        to="CANARY",
        step=1,
        reasons=["shadow served 2 days"],
        holds=[],
        hashes={"evidence": "e" * 64},
        evidence=known.model_dump(mode="json"),
    )
    title, markdown = page(builder, EventType.DECIDED)

    assert title == "churn-v3 decision 4: promote to CANARY, shadow served 2 days"
    for piece in (
        "880 of 900 answers captured (97.8%), 92.0% agree; 31 of 300 units disagree (at most 14.0%)",
        "baseline 86.1%, measured on 1,204 units",
        "350 of 400 against the holdback's 17 of 20, log e -1.00 (alarm at 5.30): **alarm**",
        "| units | 180 | 0 |",
        "PSI 0.310 (limit 0.2): **drift**",
        "quality: 2026-03-03 **failed** (2 days in a row): no rows",
        "freeze window 2026-12-20/2027-01-03",
    ):
        assert piece in markdown


def test_a_decision_on_a_look_points_to_its_page(rollouts: Any) -> None:
    title, markdown = page(at_look(rollouts, look(), "continue", [CONTINUE]), EventType.DECIDED)

    assert title.startswith("churn-v3 decision ")
    assert "Decided on look 3" in markdown
    assert "`error_rate` (acts)" in markdown


@pytest.mark.parametrize("state", [state for state in State if state is not State.REGISTERED])
def test_every_stage_has_a_page_with_a_command(rollouts: Any, state: State) -> None:
    title, markdown = page(rollouts().at(state), EventType.STAGE_ENTERED)

    assert f"enters {state}" in title
    assert "```\nstaged-rollout " in markdown


def test_an_operators_rollback_has_a_page(rollouts: Any) -> None:
    builder = rollouts().at(State.LIVE)
    builder.enter(State.ROLLING_BACK, ending=State.ROLLED_BACK, reason="rolled back by ana: errors doubled")
    title, markdown = page(builder, EventType.STAGE_ENTERED)

    assert title == "churn-v3 enters ROLLING_BACK: rolled back by ana: errors doubled"
    assert "It will end in ROLLED_BACK." in markdown


def test_the_next_look_is_announced(rollouts: Any) -> None:
    builder = rollouts().at(State.LIVE)
    slots = [timedelta(days=2), timedelta(days=3)]
    frozen = {"baseline": 0.86, "baseline_units": 1000, "mde": 0.05, "n_eff_max": 700.0, "inflation": 1.02}
    builder.add(
        EventType.PLAN_FROZEN,
        **frozen,
        latency_grid_ms=[],
        slots=[slot.total_seconds() for slot in slots],
        efficacy=[slots[1].total_seconds()],
        last=slots[1].total_seconds(),
    )
    builder.decide("continue")
    due = builder.state.effective_at(State.LIVE) + slots[0]

    assert f"The next look is at {due:%Y-%m-%d %H:%M} UTC." in page(builder, EventType.DECIDED)[1]


def test_evidence_of_another_version_is_left_out_not_fatal(rollouts: Any) -> None:
    builder = at_look(rollouts, look(), "continue", [CONTINUE])
    unknown = {**builder.events[-2].payload["evidence"], "from_the_future": 1}
    builder.plan_look(4).add(EventType.LOOK_TAKEN, **{**builder.events[-3].payload, "slot": 4, "evidence": unknown})

    assert page(builder, EventType.LOOK_TAKEN)[0] == "churn-v3 look 4: taken, the evidence cannot be read"


def test_every_other_event_gets_its_sentence(rollouts: Any) -> None:
    builder = rollouts().at(State.LIVE).add(EventType.NOTED, Actor("ana"), text="slow pages")

    assert page(builder, EventType.NOTED)[0] == "churn-v3: noted: slow pages"


def test_foreign_text_is_never_active(rollouts: Any, churn: dict[str, Any]) -> None:
    """Names, reasons, failures and segments come out as text: no tag, no link, and one image, which is ours."""
    spec = {**churn, "hypothesis": HOSTILE, "guardrails": {HOSTILE: {"worse_by": {"value": 0.01, "kind": "absolute"}}}}
    known = {
        "guardrails": (GUARDRAIL.model_copy(update={"name": HOSTILE, "method": HOSTILE}),),
        "segments": (
            SegmentFigures(segment=HOSTILE, value=HOSTILE, n_champion=1, n_candidate=1, estimate=None, p_holm=None),
        ),
        "quality": QualityFigures(day=date(2026, 3, 3), passed=False, failures=(HOSTILE,), failed_in_a_row=1),
        "freeze": HOSTILE,
        "drift": (DriftFigures(name=HOSTILE, psi=None, limit=0.2, breached=False),),
    }
    builder = at_look(
        lambda: rollouts(spec),
        look(insufficient=HOSTILE),
        HOSTILE,
        [HOSTILE],
        would_flip=[HOSTILE],
        holds=[["operator", HOSTILE]],
        code_version=HOSTILE,
        evidence=known,
    )
    builder.add(EventType.NOTED, Actor(HOSTILE), text=HOSTILE)
    builder.add(
        EventType.STAGE_ENTERED, Actor(HOSTILE), state="ROLLING_BACK", step=0, ending="ROLLED_BACK", reason=HOSTILE
    )
    shown = {event.type: event_markdown(event, builder.state, builder.events) for event in builder.events}

    for title, markdown in shown.values():
        rendered = RENDER.render(markdown)
        assert re.findall(r"<(?:script|a)\b", rendered) == []
        assert [src[:22] for src in re.findall(r'<img src="([^"]*)', rendered)] in ([], ["data:image/svg+xml;bas"])
        assert "\x1b" not in markdown + title
        assert "\n" not in title
        assert "<script" not in title
    assert "alert(1)" in shown[EventType.LOOK_TAKEN][1]
