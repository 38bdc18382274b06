from __future__ import annotations

from datetime import date, timedelta

import pytest

from staged_rollout.errors import SpecError
from staged_rollout.spec import grammar
from staged_rollout.spec.grammar import GrammarError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30m", timedelta(minutes=30)),
        ("2h", timedelta(hours=2)),
        ("2d", timedelta(days=2)),
        ("1w", timedelta(days=7)),
        ("1d12h", timedelta(hours=36)),
        ("1w1d1h1m1s", timedelta(days=8, hours=1, minutes=1, seconds=1)),
        ("0d", timedelta(0)),
    ],
)
def test_durations_that_are_accepted(text, expected):
    assert expected == grammar.parse_duration(text)


@pytest.mark.parametrize(
    "text", ["", "2", "2 d", "1.5h", "-1d", "12h1d", "1d1d", "P2D", "2D", "1d\n", "٣d", "1e3s", "9999999999d", "d"]
)
def test_durations_that_are_refused(text):
    with pytest.raises(GrammarError) as caught:
        grammar.parse_duration(text)
    assert repr(text) in str(caught.value)
    assert grammar.DURATION_ACCEPTS in str(caught.value)


@pytest.mark.parametrize("value", [timedelta(days=-1), timedelta(microseconds=1)])
def test_only_whole_seconds_from_zero_are_rendered(value):
    with pytest.raises(GrammarError, match="whole seconds"):
        grammar.render_duration(value)


@pytest.mark.parametrize(
    ("text", "expected"), [("25%", 0.25), ("2.5%", 0.025), ("0%", 0.0), ("100%", 1.0), ("7%", 0.07)]
)
def test_shares_that_are_accepted(text, expected):
    assert expected == grammar.parse_share(text)


@pytest.mark.parametrize("text", ["0.25", "25", "1", "101%", "-5%", "1e1%", "5 %", "%", "nan%", ".5%"])
def test_shares_that_are_refused(text):
    with pytest.raises(GrammarError, match="accepted: a share"):
        grammar.parse_share(text)


@pytest.mark.parametrize(
    ("text", "problem"), [("50/60", "adds up to 110"), ("100/0", "nothing"), ("50", "not a split")]
)
def test_splits_that_are_refused(text, problem):
    with pytest.raises(GrammarError, match=problem):
        grammar.parse_split(text)


def test_a_split_names_the_champion_first():
    assert grammar.parse_split("80/20") == (0.8, 0.2)


def test_steps():
    assert (0.25, timedelta(days=1)) == grammar.parse_canary_step("25% 1d")
    assert (0.75, timedelta(days=1)) == grammar.parse_promote_step("75% 1d")
    assert grammar.parse_promote_step("95%") == (0.95, None)


@pytest.mark.parametrize("text", ["25%", "1d 25%", "25 1d", "25%  1d", "25% 1d 2d", "25% soon"])
def test_canary_steps_that_are_refused(text):
    with pytest.raises(GrammarError, match="such as 25% 1d"):
        grammar.parse_canary_step(text)


@pytest.mark.parametrize("text", ["1d", "75% 1d 2d", "75% soon"])
def test_promote_steps_that_are_refused(text):
    with pytest.raises(GrammarError, match="such as 75% 1d or 95%"):
        grammar.parse_promote_step(text)


@pytest.mark.parametrize(("text", "days"), [("daily", 1), ("weekly", 7), ("every 2d", 2), ("every 1w", 7)])
def test_looks_that_are_accepted(text, days):
    assert timedelta(days=days) == grammar.parse_looks(text)


@pytest.mark.parametrize("text", ["hourly", "every", "every 0d", "every two days", "2d"])
def test_looks_that_are_refused(text):
    with pytest.raises(GrammarError, match="daily, weekly"):
        grammar.parse_looks(text)


@pytest.mark.parametrize(
    ("text", "expected"), [("5pp", (0.05, "absolute")), ("3%", (0.03, "relative")), ("50ms", (50.0, "ms"))]
)
def test_margins_that_are_accepted(text, expected):
    assert expected == grammar.parse_margin(text, ("absolute", "relative", "ms"))


@pytest.mark.parametrize(
    ("text", "problem"),
    [("50ms", "wrong unit"), ("0pp", "zero"), ("100pp", "100 points"), ("5", "not a margin"), ("-5pp", "not a margin")],
)
def test_margins_that_are_refused(text, problem):
    with pytest.raises(GrammarError, match=problem) as caught:
        grammar.parse_margin(text, ("absolute", "relative"))
    assert "5pp (absolute) or 3% (relative)" in str(caught.value)


@pytest.mark.parametrize("text", ["70%", "> 70%", ">= 0.7", ">= 170%", "<= 70%"])
def test_thresholds_that_are_refused(text):
    with pytest.raises(GrammarError, match=">= 70%"):
        grammar.parse_threshold(text)


def test_what_a_win_does():
    assert grammar.parse_win("promote") is None
    assert ("growth-ml", timedelta(days=3)) == grammar.parse_win("ask growth-ml within 3d")


@pytest.mark.parametrize("text", ["ask", "ask growth-ml", "ask growth-ml within 0d", "ask a b within 3d", "Promote"])
def test_wins_that_are_refused(text):
    with pytest.raises(GrammarError, match="ask NAME within 3d"):
        grammar.parse_win(text)


def test_a_freeze_window():
    assert (date(2026, 12, 20), date(2027, 1, 3)) == grammar.parse_freeze("2026-12-20/2027-01-03")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("2027-01-03/2026-12-20", "ends before"),
        ("2026-02-30/2026-03-01", "does not exist"),
        ("20261220/20270103", "not a freeze window"),
        ("2026-12-20", "not a freeze window"),
    ],
)
def test_freeze_windows_that_are_refused(text, problem):
    with pytest.raises(GrammarError, match=problem):
        grammar.parse_freeze(text)


def test_a_grammar_error_is_a_spec_error_with_its_facts():
    with pytest.raises(SpecError) as caught:
        grammar.parse_share("0.25")
    assert caught.value.facts == {"value": "0.25", "problem": "is not a share", "accepts": grammar.SHARE_ACCEPTS}
    assert caught.value.exit_code == 2
