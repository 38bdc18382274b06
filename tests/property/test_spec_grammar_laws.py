from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from staged_rollout.spec import grammar
from staged_rollout.stats import Spending

durations = st.integers(0, 90 * 86400).map(lambda seconds: timedelta(seconds=seconds))
positive = st.integers(1, 90 * 86400).map(lambda seconds: timedelta(seconds=seconds))
percents = st.decimals(0, 100, places=4)
shares = percents.map(lambda percent: float(percent / 100))


@given(durations)
def test_durations_round_trip(value):
    """parse(render(d)) == d for every duration of whole seconds."""
    assert value == grammar.parse_duration(grammar.render_duration(value))


@given(shares)
def test_shares_round_trip(value):
    """parse(render(s)) == s, to the last bit of the float."""
    assert value == grammar.parse_share(grammar.render_share(value))


@given(percents)
def test_a_share_is_the_float_nearest_to_its_percentage(percent):
    """Reading a percentage rounds once, from its exact value."""
    assert float(Decimal(percent) / 100) == grammar.parse_share(f"{percent:f}%")


@given(st.decimals("0.01", "99.99", places=2))
def test_splits_round_trip_and_sum_to_one(percent):
    """Both sides of a split survive rendering, and sum to 1."""
    value = grammar.parse_split(f"{percent}/{100 - percent}")
    assert value == grammar.parse_split(grammar.render_split(value))
    assert abs(sum(value) - 1) < 1e-12


@given(shares, durations, st.booleans())
def test_steps_round_trip(share, served, timeless):
    """Steps keep both their parts, and a step without time stays one."""
    assert (share, served) == grammar.parse_canary_step(grammar.render_canary_step(share, served))
    time = None if timeless else served
    assert (share, time) == grammar.parse_promote_step(grammar.render_promote_step(share, time))


@given(positive)
def test_looks_round_trip(every):
    """parse(render(e)) == e, whichever word renders it."""
    assert every == grammar.parse_looks(grammar.render_looks(every))


@given(st.decimals("0.001", "99.999", places=3), st.sampled_from(["absolute", "relative", "ms"]))
def test_margins_round_trip(number, kind):
    """Value and kind of a margin both survive."""
    value = float(number if kind == "ms" else number / 100)
    assert (value, kind) == grammar.parse_margin(grammar.render_margin(value, kind), (kind,))


@given(shares)
def test_thresholds_round_trip(value):
    """parse(render(t)) == t."""
    assert value == grammar.parse_threshold(grammar.render_threshold(value))


@given(st.none() | st.tuples(st.from_regex(rf"\A{grammar.NAME}\Z"), positive))
def test_wins_round_trip(asked):
    """Who is asked, and within what time, both survive."""
    assert asked == grammar.parse_win(grammar.render_win(asked))


@given(st.lists(st.dates(), min_size=2, max_size=2).map(sorted))
def test_freeze_windows_round_trip(days):
    """First and last day survive."""
    assert tuple(days) == grammar.parse_freeze(grammar.render_freeze(*days))


@given(st.text(max_size=30))
def test_any_text_is_read_or_refused_with_a_grammar_error(text):
    """Parsers are total: a value or a GrammarError, nothing else."""
    parsers = (
        grammar.parse_duration,
        grammar.parse_share,
        grammar.parse_split,
        grammar.parse_canary_step,
        grammar.parse_promote_step,
        grammar.parse_looks,
        grammar.parse_threshold,
        grammar.parse_win,
        grammar.parse_freeze,
        lambda value: grammar.parse_margin(value, ("absolute", "ms")),
    )
    refused = []
    for parse in parsers:
        try:
            parse(text)
        except grammar.GrammarError as error:
            refused.append(error.value)
    assert set(refused) <= {text}


@given(
    st.sampled_from([("obrien-fleming", None), ("pocock", None)])
    | st.decimals("0.001", "20", places=3).map(lambda rho: ("power", float(rho)))
    | st.decimals("-20", "20", places=3).map(lambda gamma: ("hsd", float(gamma)))
)
def test_spending_round_trips_and_is_what_the_statistics_read(value):
    """parse(render(s)) == s, and the same text names the same spending function to the statistics."""
    text = grammar.render_spending(value)
    assert value == grammar.parse_spending(text)
    assert value == (Spending.parse(text, 0.1).kind, Spending.parse(text, 0.1).parameter)
