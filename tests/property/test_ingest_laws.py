"""Laws of lines, of their verdicts, and of reading files bit by bit."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections import Counter
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from staged_rollout.adapters.lake_iceberg import IcebergLake
from staged_rollout.adapters.log_folder import LogFolder
from staged_rollout.errors import LineRejectedError
from staged_rollout.operations.ingest import ingest
from staged_rollout.records import lines as reading_lines
from staged_rollout.records.blocks import TABLE_OF, LineContext
from staged_rollout.records.field_rules import FIELDS, field_map, problems_of
from staged_rollout.records.json_line import json_object
from staged_rollout.records.lines import LineReader
from staged_rollout.records.parse import parse_line
from staged_rollout.records.parse_captures import prediction_of
from staged_rollout.records.tables import TABLES
from staged_rollout.spec.home import Home

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
ENVELOPE = {
    "request_id": "r",
    "timestamp": "2026-03-02T10:00:00Z",
    "rollout": None,
    "unit_id": "u",
    "variant": "v",
    "model_version": None,
    "prediction": 1,
    "latency_ms": 1,
    "status": 200,
    "features": {},
    "shadow_prediction": 1,
    "outcome": 1,
    "rating": 1,
}
NAME = "logs/outcomes/churn/labels.jsonl"

texts = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=20)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
objects = st.dictionaries(texts, values, max_size=5)


class FixedClock:
    """A clock that stands still."""

    simulated = True

    def now(self):
        return NOW

    def wall(self):
        return 0.0


@given(objects, st.booleans())
def test_what_json_writes_is_read_back_as_it_was(value, ascii_only):
    """The law: nothing that is plain JSON is refused or changed."""
    assert value == json_object(json.dumps(value, ensure_ascii=ascii_only).encode())


@given(st.binary(max_size=200) | st.text(alphabet='{}[]":,\\ \tu0dntrue1e9.-', max_size=60).map(str.encode))
def test_any_bytes_are_a_row_or_a_reason(content):
    """The law: the parser is total; it never fails in another way than by naming a reason."""
    for kind in TABLE_OF:
        with pytest.raises(LineRejectedError) as caught:
            parse_line(content, LineContext(kind, "e", str, variant="v"))
        assert caught.value.message


names = st.sampled_from(sorted({name for fields in FIELDS.values() for name in fields} | {"eur", "features.plan"}))
theirs = st.none() | st.sampled_from(["", "a", "a.b", "=x", "a:utc", "a:unix", "a:unix-ms", "a:flag", "a:-1", "a?"])
inner = values | st.sampled_from(["2026-03-02", "x-y", 1_772_445_600, 10**18, True, {"b": 1}])


@given(st.sampled_from(sorted(TABLE_OF)), st.dictionaries(names, theirs, max_size=8), st.data())
def test_any_line_by_any_field_map_is_a_row_or_a_reason(kind, entries, data):
    """The law: a field map without problems makes the parser no less total."""
    entries = {name: key for name, key in entries.items() if not problems_of(kind, {"unit_id": "a", name: key})}
    event("problem" if problems_of(kind, entries) else "no problem")
    keys = st.sampled_from(["a", "a.b", "timestamp", "prediction", "shadow_prediction", "outcome", "rating", *entries])
    record = {**ENVELOPE, **data.draw(st.dictionaries(keys, inner, max_size=10))}
    context = LineContext(kind, "e", lambda unit: f"hash of {unit}", "v", field_map(kind, entries))
    try:
        row = parse_line(json.dumps(record).encode(), context)
    except LineRejectedError:
        event("a reason")
    else:
        event("a row")
        assert context.table == row.table
        assert set(row.values) == {column.name for column in TABLES[row.table]} - {"source", "line"}


@given(st.text(max_size=60) | st.text(alphabet='{}[]":, prediction01.e-', max_size=60))
def test_any_output_is_a_number_or_none(output):
    """The law: reading a model's answer is total and finite."""
    found = prediction_of(output.encode("utf-8", "ignore").decode())

    assert found is None or abs(found) <= 1.8e308


@given(objects.filter(bool), st.data())
def test_no_beginning_of_a_record_is_a_record(value, data):
    """The law: a last line without its end may be taken when it is whole, since half of one never is."""
    content = json.dumps(value).encode()
    cut = data.draw(st.integers(0, len(content) - 1))

    with pytest.raises(LineRejectedError):
        json_object(content[:cut])


@given(
    st.lists(st.sampled_from([b"a", b"bcd", b"\r", b"\n", b"\n", b"x" * 40]), max_size=60),
    st.lists(st.integers(0, 600), max_size=8),
    st.integers(1, 100),
    st.integers(1, 5),
    st.booleans(),
)
def test_lines_do_not_depend_on_chunks_blocks_and_room(parts, cuts, room, lines, taken):
    """The law: how a file arrives, and what a batch has room for, changes nothing of its lines, offsets and hashes."""
    content = b"".join(parts)
    edges = sorted({0, len(content), *(min(cut, len(content)) for cut in cuts)})
    chunks = [content[a:b] for a, b in pairwise(edges)]

    def all_of(chunks, room, block_bytes):
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(reading_lines, "BLOCK_BYTES", block_bytes)
            patched.setattr(reading_lines, "KEPT_BYTES", 30)
            reader = LineReader(chunks)
            found = []
            for block in reader.blocks(lambda: room, lambda _: taken):
                assert len(found) + 1 == block.first_line
                if block.cut:
                    found.append((block.offset, block.content, block.size))
                    continue
                assert block.content.count(b"\n") <= max(room[0], 1)
                offset = block.offset
                for line in split(block):
                    found.append((offset, line, len(line)))
                    offset += len(line)
        return found, reader.cut()

    def split(block):
        parts = block.content.split(b"\n")
        return [part + b"\n" for part in parts[:-1]] + parts[-1:] * bool(parts[-1])

    whole = found, (begin, end, count, digest) = all_of([content], (1000, 10000), 1 << 20)
    assert whole == all_of(chunks, (lines, room), 50)
    assert (0, len(found)) == (begin, count)
    assert end == (len(content) if taken else content.rfind(b"\n") + 1)
    assert hashlib.sha256(content[:end]).hexdigest() == digest
    expected = content[:end].split(b"\n")[: len(found)]
    assert [line[:30] for line in expected] == [line.removesuffix(b"\n") for _, line, _ in found]
    assert end == sum(size for _, _, size in found)


def line_of(kind, number):
    record = {"unit_id": f"u{number}", "timestamp": NOW.isoformat(), "outcome": 1}
    return {"row": json.dumps(record), "junk": f"junk {number}", "blank": " "}[kind]


@settings(max_examples=12)
@given(
    st.lists(st.tuples(st.sampled_from(["row", "row", "junk", "blank"]), st.integers(0, 5)), min_size=1, max_size=12),
    st.lists(st.floats(0, 1), max_size=4),
    st.integers(1, 5),
    st.sampled_from(["\n", "\r\n"]),
)
def test_reading_bit_by_bit_ends_where_reading_at_once_does(kinds, cuts, rows_per_batch, line_end):
    """The law: every line is counted once, whatever was there of the file at each run and however large batches are."""
    content = "".join(line_of(*kind) + line_end for kind in kinds).encode()
    expected = Counter(kind for kind, _ in kinds)
    units = {number for kind, number in kinds if kind == "row"}
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder))
        path = home.root / NAME
        path.parent.mkdir(parents=True)
        lake = IcebergLake(home)
        for end in sorted({*(int(cut * len(content)) for cut in cuts), len(content)}):
            path.write_bytes(content[:end])
            report = ingest(logs=LogFolder(home), lake=lake, clock=FixedClock(), rows_per_batch=rows_per_batch)
            assert report.balanced
            assert () == report.findings
        books = lake.books()
        with lake.writer() as writer:
            claimed = writer.positions()[NAME].to_byte
        lake.close()

    def total(name):
        return sum(getattr(one, name) for one in books)

    assert len(units) == total("accepted")
    assert expected["row"] - len(units) == total("duplicates")
    assert expected["junk"] == total("quarantined")
    assert expected["blank"] == total("blank")
    assert len(content) == claimed
    # A last line may be taken before its line end is written; that end is claimed later, and belongs to no new line.
    assert 0 <= len(content) - total("bytes") <= len(cuts) * len(line_end)
