"""The top of the HTML report: what was decided and why, in plain words, and how to stop it if it still runs."""

from __future__ import annotations

import math

from staged_rollout.evidence import LookFigures
from staged_rollout.report.figures import NONE, interval, moment, points, score, share, usd
from staged_rollout.report.history import sentence
from staged_rollout.report.html_facts import Facts
from staged_rollout.report.html_markup import Html, blocks, bullets, command, section, table, tag, words
from staged_rollout.report.inert import one_line
from staged_rollout.report.look import verdict
from staged_rollout.report.next_steps import act, advice
from staged_rollout.report.statistics_charts import e_value_text
from staged_rollout.report.status import newest_verdict, spent_usd
from staged_rollout.state import EventType, HoldReason, RolloutState, State

_GOOD = frozenset({State.PROMOTED})
_BAD = frozenset({State.ROLLED_BACK, State.ROLLING_BACK})
_WINNERS = frozenset({State.PROMOTING, State.BAKING, State.PROMOTED})
_ENDING = frozenset({State.PROMOTED, State.ROLLED_BACK, State.KEPT_CHAMPION, State.CANCELLED, State.ROLLING_BACK})


def headline(state: RolloutState) -> str:
    """Where the rollout is, in one sentence for somebody who knows none of its words."""
    candidate, champion = f"version {state.candidate.version}", f"version {state.champion.version}"
    share_now = ""
    match state.state:
        case State.REGISTERED:
            text = f"{candidate} is registered; nobody has met it yet"
        case State.SHADOW:
            text = f"{candidate} gets copies of requests, and its answers are discarded; {champion} answers everyone"
        case State.CANARY:
            share_now = share(state.spec.stages.canary[state.step - 1].share, 0)
            text = f"{candidate} answers {share_now} of units, to see that nothing breaks"
        case State.LIVE:
            text = f"{candidate} and {champion} are being compared on live traffic; nothing is decided yet"
        case State.AWAITING_APPROVAL:
            text = f"{candidate} won, and a person is asked whether to promote it"
        case State.PROMOTING:
            share_now = share(state.spec.stages.promote[state.step - 1].share, 0)
            text = f"{candidate} won and is being promoted: it answers {share_now} of units"
        case State.BAKING:
            text = f"{candidate} won and answers almost everyone; a last watch for harm is on"
        case State.PROMOTED:
            text = f"{candidate} was promoted: it is the champion now, in place of {champion}"
        case State.ROLLING_BACK:
            text = f"{candidate} is being taken out; routers send everyone to {champion}"
        case State.ROLLED_BACK:
            text = f"{candidate} was rolled back; {champion} answers everyone"
        case State.KEPT_CHAMPION:
            text = f"{candidate} was turned down; {champion} stays the champion"
        case State.CANCELLED:
            text = f"the rollout was called off; {champion} answers everyone"
    return f"{text[0].upper()}{text[1:]}."


def top(facts: Facts) -> Html:
    """The verdict, its reasons, how to stop it, and the figures that matter."""
    state = facts.state
    kind = "good" if state.state in _GOOD else "bad" if state.state in _BAD else "open"
    decided = [tag("p", headline(state)), *_won(facts), *_newest(facts)]
    holds = [words(tag("strong", str(reason)), detail) for reason, (_, detail) in state.holds.items()]
    return section(
        "verdict",
        "What was decided, and why",
        tag("div", *decided, class_=f"verdict {kind}"),
        _tested(facts),
        tag("p", "Forward moves are blocked until every one of these clears:", class_="alarm") if holds else Html(),
        bullets(holds),
        _next(state),
        _figures(facts),
        _moves(facts),
    )


def _won(facts: Facts) -> list[Html]:
    """Why a candidate that is being promoted, or was, won: what comes after a win only says that no harm followed."""
    state = facts.state
    win = next((one for one in state.decisions if one.to in {State.AWAITING_APPROVAL, State.PROMOTING}), None)
    if win is None or win is state.decisions[-1] or state.state not in _WINNERS:
        return []
    told = [tag("p", words(tag("strong", "Why:"), win.reasons[0]))]
    for event in facts.events:
        if event.type is EventType.APPROVED:
            who = one_line(event.actor.name, 80)
            told.append(tag("p", words(tag("strong", f"Approved by {who}:"), event.payload["reason"])))
    return [*told, bullets(win.reasons[1:]), _link(win.seq)]


def _newest(facts: Facts) -> list[Html]:
    """The newest decision and its reasons, or why a person or a failed endpoint moved the rollout after it."""
    state = facts.state
    newest = state.decisions[-1] if state.decisions else None
    why = newest_verdict(state)
    label = "Since then:" if _won(facts) else "Why:"
    told = [tag("p", words(tag("strong", label), why))]
    if newest is not None and newest.reasons[0] in why:
        told += [bullets(newest.reasons[1:]), _link(newest.seq)]
    return told


def _link(seq: int) -> Html:
    return tag("p", tag("a", f"Decision in ledger event {seq}", href=f"#event-{seq}"))


def _tested(facts: Facts) -> Html:
    """How the test ended, where a later stage has already had a decision of its own."""
    looks = facts.read_looks
    if not looks:
        return Html()
    look = looks[-1]
    said = f"The last look, number {look.slot}, at {share(look.information, 0)} of the planned information:"
    return tag("p", words(said, f"{verdict(look)}.", tag("a", "See the test.", href="#test")))


def _next(state: RolloutState) -> Html:
    paused = HoldReason.OPERATOR in state.holds
    after = state.last_at or state.registered_at
    text, line = advice(state, state.state, held=state.held, paused=paused, after=after)
    parts = [tag("h3", "What you can do now"), tag("p", text), command(line)]
    stop = act("rollback", state.rollout)
    if state.state not in _ENDING and state.state is not State.REGISTERED and line != stop:
        parts += [tag("p", "To stop it now; routers go back to the champion at once:"), command(stop)]
    if state.exposed and not paused:
        parts += [tag("p", "To keep it where it is for a while:"), command(act("pause", state.rollout))]
    return blocks(*parts)


def _figures(facts: Facts) -> Html:
    state, looks = facts.state, facts.read_looks
    cards: list[tuple[str, str, str]] = []
    if looks:
        look = looks[-1]
        cards += [
            ("difference, candidate minus champion", points(look.success.estimate, look.success.unit), _repeated(look)),
            ("z, in standard errors", score(look.success.z), verdict(look)),
            ("information", share(look.information, 0), "of what the plan asks for at its last look"),
        ]
    tests = next((item.evidence.srm for item in reversed(facts.knowledge) if item.evidence.srm), ())
    if tests:
        worst = max(tests, key=lambda test: test.log_e - test.threshold_log)
        limit = f"{worst.name}; mismatch from {math.exp(worst.threshold_log):,.0f} on"
        cards.append(("sample-ratio e-value", e_value_text(worst.log_e), limit))
    budget = state.spec.budget.max_usd
    spent = usd(spent_usd(state, state.last_at or state.registered_at))
    cards.append(("taken to be spent", spent, f"of {usd(budget)}" if budget is not None else "no limit is set"))
    cards.append(("state", _place(state), f"since {moment(state.stages[-1].entered_at) if state.stages else NONE}"))
    return tag(
        "dl", *(tag("div", tag("dt", name), tag("dd", value, tag("small", note))) for name, value, note in cards)
    )


def _repeated(look: LookFigures) -> str:
    return (
        f"repeated interval {interval(look.interval, look.success.unit)}"
        if look.interval
        else one_line(look.insufficient) or "no interval"
    )


def _place(state: RolloutState) -> str:
    return f"{state.state} {state.step}" if state.step else str(state.state)


def _moves(facts: Facts) -> Html:
    """How it got here: every stage with the reason it was entered."""
    rows = [
        (
            tag("a", str(event.seq), href=f"#event-{event.seq}"),
            moment(event.at),
            sentence(event).removeprefix("entered "),
        )
        for event in facts.events
        if event.type is EventType.STAGE_ENTERED
    ]
    told = table(("event", "when", "entered, and why"), rows, about="Every stage that was entered", text=(1, 2))
    return tag("div", tag("h3", "How it got here"), told, id="moves") if told else Html()
