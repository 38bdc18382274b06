"""Kept lines, a few at a time: however they are asked for, all of them come, once and in order."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from staged_rollout.operations import quarantine
from staged_rollout.operations.quarantine import Selection, by_cause, every_line, examples, kept_lines
from staged_rollout.ports.lake import Batch

AT = datetime(2026, 3, 2, tzinfo=UTC)
BATCH = Batch(1, {}, AT)


class Table:
    """A quarantine in memory that answers the two statements, and notes how much each answer held."""

    def __init__(self, rows):
        self.rows = rows
        self.answers = []

    def query(self, name, parameters, *, batch):
        assert batch is BATCH
        found = [row for row in self.rows if parameters["reason"] in row["reason"]]
        if name == "quarantine_lines":
            span = range(parameters["first_line"], parameters["last_line"] + 1)
            found = [row for row in found if row["source"] in parameters["sources"] and row["line"] in span]
            self.answers.append(len(found))
            return [dict(row) for row in sorted(found, key=lambda row: (row["source"], row["line"]))]
        groups = {}
        for row in found:
            key = tuple(row[one] for one in ("source", "kind", "endpoint", "verdict", "reason"))
            groups.setdefault(key, []).append(row["line"])
        names = ("source", "kind", "endpoint", "verdict", "reason", "lines", "first_line", "last_line")
        return [
            dict(zip(names, (*key, len(lines), min(lines), max(lines)), strict=True))
            for key, lines in sorted(groups.items())
        ]


def row(source, line, reason="broken", verdict="quarantined", kind="outcomes"):
    told = {"source": source, "kind": kind, "endpoint": "e", "verdict": verdict, "line": line, "offset": line * 10}
    return {**told, "reason": reason, "raw": f"{source}:{line}".encode(), "ingested_at": AT}


@pytest.fixture
def table():
    rows = [row("big", 1 + 7 * number, f"not JSON: x at character {number}") for number in range(23)]
    rows += [row(f"small {number}", line) for number in range(9) for line in (3, 900)]
    rows += [row("small 1", 5, "late", verdict="late"), row("small 2", 6, "odd", kind="feedback")]
    return Table(rows)


@pytest.mark.parametrize("at_once", [1, 2, 5, 10, 1000])
def test_every_line_comes_once_in_order_and_few_at_a_time(table, monkeypatch, at_once):
    monkeypatch.setattr(quarantine, "LINES_AT_ONCE", at_once)
    kept = kept_lines(table, BATCH, Selection())

    found = [(line.source, line.line) for line in every_line(table, BATCH, kept, Selection())]

    assert len(table.rows) == len(set(found)) == len(found)
    for source in {name for name, _ in found}:
        lines = [line for name, line in found if name == source]
        assert sorted(lines) == lines
    assert max(table.answers) <= max(at_once, 3) + 1


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        (Selection(reason="late"), 1),
        (Selection(verdict="late"), 1),
        (Selection(kind="feedback"), 1),
        (Selection(source="small 1"), 3),
        (Selection(source="small 1", verdict="quarantined"), 2),
        (Selection(endpoint="none"), 0),
    ],
)
def test_only_what_is_meant_comes(table, selection, expected):
    kept = kept_lines(table, BATCH, selection)

    assert expected == sum(one.lines for one in kept)
    assert expected == len(list(every_line(table, BATCH, kept, selection)))


def test_like_reasons_are_counted_together_and_shown_by_one_line(table):
    kept = kept_lines(table, BATCH, Selection())

    assert [
        ("quarantined", "not JSON: x", 23, 1),
        ("quarantined", "broken", 18, 9),
        ("late", "late", 1, 1),
        ("quarantined", "odd", 1, 1),
    ] == by_cause(kept)
    shown = list(examples(table, BATCH, kept, 2))
    assert [("big", 1), ("small 0", 3)] == [(line.source, line.line) for line in shown]
    assert [b"big:1", b"small 0:3"] == [line.raw for line in shown]
    assert [] == list(examples(table, BATCH, kept, 0))
