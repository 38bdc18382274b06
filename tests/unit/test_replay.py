"""Reading requests from files, and sending them at a rate."""

from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from staged_rollout.errors import DataError
from staged_rollout.operations.replay import OK, Pace, Reply, Tally, replay, traffic_id
from staged_rollout.records.traffic import (
    BODY_LIMIT,
    CSV_TYPE,
    JSON_TYPE,
    BadLine,
    TrafficFormat,
    TrafficLine,
    read_traffic,
)

NAMED = TrafficFormat("csv", header=True, content_type=JSON_TYPE)
OBJECTS = TrafficFormat("jsonl", header=False, content_type=JSON_TYPE)


def lines(text: str | bytes, told: TrafficFormat) -> list[TrafficLine | BadLine]:
    return list(read_traffic(io.BytesIO(text.encode() if isinstance(text, str) else text), told))


def test_cells_become_what_json_has_for_them():
    """Codes with leading zeros stay text; what float reads and JSON does not write stays text too."""
    (line,) = lines("a,b,c,d,e,f,g,h\n1,-2.5,007,yes,,nan,1e400,1_0\n", NAMED)
    assert isinstance(line, TrafficLine)
    expected = {"a": 1, "b": -2.5, "c": "007", "d": "yes", "e": None, "f": "nan", "g": "1e400", "h": "1_0"}
    assert expected == line.features == json.loads(line.body)


def test_unit_and_label_are_told_apart_and_never_sent():
    told = TrafficFormat("csv", header=True, content_type=CSV_TYPE, unit="id", label="left", positive="yes")
    assert [
        TrafficLine(2, b'"x, y",3', {"place": "x, y", "calls": 3}, "u1", 1.0, 16),
        TrafficLine(3, b"z,4", {"place": "z", "calls": 4}, None, 0.0, 8),
    ] == lines('id,place,calls,left\nu1,"x, y",3,yes\n,z,4,no\n', told)


def test_a_row_without_names_is_sent_as_it_is():
    told = TrafficFormat("csv", header=False, content_type=CSV_TYPE)
    assert [TrafficLine(1, b'1, "a"', None, None, None, 8)] == lines(b'1, "a"\r\n', told)


def test_columns_without_names_are_counted_from_one():
    told = TrafficFormat("csv", header=False, content_type=CSV_TYPE, unit="1", label="3")
    assert [
        TrafficLine(1, b"5", None, "u", 1.0, 6),
        BadLine(2, "no column 3, there are 2", 4),
    ] == lines("u,5,1\nu,5\n", told)


def test_members_of_an_object_become_cells_in_their_order():
    told = TrafficFormat("jsonl", header=False, content_type=CSV_TYPE, unit="id", label="y")
    assert [
        TrafficLine(1, b'1.5,"a,b",', {"a": 1.5, "b": "a,b", "c": None}, "7", 0.0, 51),
        BadLine(2, "member 'a' is not one field of a CSV row", 28),
    ] == lines('{"a": 1.5, "id": 7, "b": "a,b", "y": 0, "c": null}\n{"a": [1], "id": 7, "y": 0}\n', told)


BAD = {
    "not UTF-8": (b"a,b\n\xff,1\n", NAMED, 2, "not UTF-8 at byte 1"),
    "short": (b"a,b\n1\n", NAMED, 2, "1 fields, the header has 2"),
    "open quote": (b'a,b\n"1,2\n', NAMED, 2, "not a CSV row: unexpected end of data"),
    "not JSON": (b"{\n", OBJECTS, 1, "not JSON: "),
    "deep": (b"[" * 200_000 + b"\n", OBJECTS, 1, "not JSON: "),
    "NaN": (b'{"a": NaN}\n', OBJECTS, 1, "NaN is not JSON"),
    "array": (b"[1]\n", OBJECTS, 1, "not a JSON object"),
    "long": (b'{"a": "' + b"x" * BODY_LIMIT + b'"}\n', OBJECTS, 1, "longer than 6,291,456 bytes"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_line_that_is_no_request_is_told_by_number_and_the_next_one_is_read(case: str):
    text, told, number, reason = BAD[case]
    good = b"1,2\n" if told is NAMED else b'{"a": 1}\n'
    bad, line = lines(text + good, told)
    assert isinstance(bad, BadLine)
    assert (number, len(text) - (4 if told is NAMED else 0)) == (bad.number, bad.size)
    assert bad.reason.startswith(reason)
    assert isinstance(line, TrafficLine)
    assert number + 1 == line.number


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("true", "neither text nor a whole number"),
        ("[1]", "neither text nor a whole number"),
        (json.dumps("é" * 129), "258 bytes, must be at most 256"),
        (r'"\ud800"', "not text that UTF-8 can write"),
    ],
)
def test_a_unit_that_no_log_could_hold_is_a_bad_line(value: str, reason: str):
    told = TrafficFormat("jsonl", header=False, content_type=JSON_TYPE, unit="id")
    (bad,) = lines(f'{{"id": {value}}}\n', told)
    assert isinstance(bad, BadLine)
    assert reason in bad.reason


@pytest.mark.parametrize(("value", "reason"), [("''", "must be a number"), ("inf", "must be finite")])
def test_a_label_that_is_no_number_is_a_bad_line(value: str, reason: str):
    (bad,) = lines(f"a,y\n1,{value}\n", TrafficFormat("csv", header=True, content_type=JSON_TYPE, label="y"))
    assert isinstance(bad, BadLine)
    assert reason in bad.reason


@pytest.mark.parametrize(("text", "why"), [("a,a\n", "twice"), ("a,c\n", "no column 'b'"), ("\xff\n", "no column")])
def test_a_header_that_does_not_fit_ends_it(text: str, why: str):
    with pytest.raises(DataError, match=why):
        lines(text, TrafficFormat("csv", header=True, content_type=JSON_TYPE, label="b"))


@given(st.lists(st.binary(max_size=40), max_size=8), st.sampled_from([NAMED, OBJECTS]))
def test_every_line_that_is_not_blank_is_a_request_or_told(given_lines: list[bytes], told: TrafficFormat):
    """Nothing is lost and nothing raises, whatever the file holds."""
    given_lines = [line.replace(b"\n", b"") for line in given_lines]
    text = b"".join(line + b"\n" for line in ([b"a"] if told is NAMED else []) + given_lines)
    numbers = [line.number for line in lines(text, told)]
    first = 2 if told is NAMED else 1
    blank_first = told is OBJECTS and given_lines and not given_lines[0].removeprefix(b"\xef\xbb\xbf").strip()
    wanted = [n for n, line in enumerate(given_lines, first) if line.strip() and not (n == 1 and blank_first)]
    assert wanted == numbers


class Endpoint:
    """Answers after a while; counts how many are under way."""

    def __init__(self, delay_s: float = 0.0, replies: tuple[Reply, ...] = (Reply(OK, "v1"),)) -> None:
        self.delay_s, self.replies = delay_s, replies
        self.ids: list[str] = []
        self.most = self._now = 0
        self._lock = threading.Lock()

    def send(self, line: TrafficLine, request_id: str) -> Reply:
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
            self.ids.append(request_id)
        time.sleep(self.delay_s)
        with self._lock:
            self._now -= 1
        return self.replies[line.number % len(self.replies)]


def file_of(count: int) -> Iterator[TrafficLine | BadLine]:
    return read_traffic(io.BytesIO(b"".join(b'{"a": %d}\n' % n for n in range(count))), OBJECTS)


def test_requests_are_sent_at_their_time_and_not_before():
    """At 100 a second the 31st request is due 0.3 s after the first; a slow machine can only be later."""
    endpoint = Endpoint()
    tally = replay([file_of(31)], endpoint, Pace(100, 4))
    assert (31, 31, {"v1": 31}) == (tally.sent, tally.answered, dict(tally.variants))
    assert tally.sending_s >= 0.3
    assert tally.rate <= 100


def test_a_slow_endpoint_does_not_slow_the_schedule_down_until_every_place_is_taken():
    endpoint = Endpoint(delay_s=0.2)
    tally = replay([file_of(12)], endpoint, Pace(1000, 3))
    assert (12, 3) == (tally.answered, endpoint.most)
    late = tally.late_ms(1.0)
    assert late is not None
    assert late > 400, "the last three waited for three others, thrice"


def test_the_same_request_has_the_same_id_and_no_other_has():
    first, again, other = Endpoint(), Endpoint(), Endpoint()
    replay([file_of(5), file_of(5)], first, Pace(1e6, 1))
    replay([file_of(5), file_of(5)], again, Pace(1e6, 1))
    replay([file_of(5)], other, Pace(1e6, 1, run="second"))
    assert first.ids == again.ids
    assert 15 == len({*first.ids, *other.ids})
    assert {32} == {len(identifier) for identifier in first.ids}


def test_sending_ends_with_its_time_and_loops_until_then():
    tally = replay((file_of(3) for _ in iter(int, 1)), Endpoint(), Pace(50, 2, seconds=0.2))
    assert 10 == tally.sent


def test_a_file_without_requests_ends_a_loop():
    assert 0 == replay((file_of(0) for _ in iter(int, 1)), Endpoint(), Pace(50, 2, seconds=60)).sent


def test_failures_are_counted_by_code_and_their_latency_is_not_an_answer():
    endpoint = Endpoint(replies=(Reply(OK, "v1"), Reply("ThrottlingException", "", "slow down")))
    tally = replay([file_of(10)], endpoint, Pace(1e6, 2))
    assert {"200": 5, "ThrottlingException": 5} == dict(tally.codes)
    assert {"ThrottlingException": "slow down"} == tally.first_errors
    assert 5 == sum(tally._latency.values())


def test_it_stops_when_nothing_succeeds():
    tally = replay([file_of(1000)], Endpoint(replies=(Reply("ValidationError", "", "no such endpoint"),)), Pace(1e6, 2))
    assert 20 <= tally.sent <= 22


def test_an_interrupt_waits_for_what_is_under_way_and_keeps_the_count():
    tally, endpoint = Tally(), Endpoint(delay_s=0.1)

    def interrupted(_: int, line: TrafficLine | BadLine) -> None:
        if line.number == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        replay([file_of(100)], endpoint, Pace(1e6, 8), on_line=interrupted, tally=tally)
    assert (3, 3) == (tally.sent, tally.answered)


def test_quantiles_are_within_one_percent():
    tally = Tally()
    for number in range(1, 1001):
        tally.count_reply(Reply(OK, "v1"), number / 1000, 0.0)
    for share, expected in ((0.5, 500), (0.95, 950), (0.99, 990)):
        assert tally.latency_ms(share) == pytest.approx(expected, rel=0.01)
    assert Tally().latency_ms(0.5) is None


def test_an_id_depends_on_the_unit_and_the_body():
    line = TrafficLine(1, b"{}", {}, "u", None, 2)
    others = [TrafficLine(1, b"{}", {}, "v", None, 2), TrafficLine(1, b"{ }", {}, "u", None, 2)]
    assert 3 == len({traffic_id("", 1, one) for one in (line, *others)})
