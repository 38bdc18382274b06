"""ingest and quarantine on real files: other people's names, odd places, and every refused line out again."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pytest

from staged_rollout.adapters.lake_iceberg import IcebergLake
from staged_rollout.cli.main import run
from staged_rollout.spec.home import Home

KEYS = [
    "files", "lines", "accepted", "duplicates", "quarantined", "late", "blank", "bytes", "seconds", "snapshot",
    "batch", "pending_bytes", "findings",
]  # fmt: skip
FOREIGN = [
    {"user_id": 851104, "ts": "2017-01-21 22:11:48.556739", "group": "control", "converted": 0},
    {"user_id": 804228, "ts": "2017-01-20 08:01:45.159739", "group": "treatment", "converted": 1},
    {"user_id": 661590, "ts": "2017-01-19 16:55:06.154213", "group": "treatment", "converted": 0},
]
NAMES = (
    "unit_id=user_id", "timestamp=ts:utc", "variant=group", "rollout==landing-v1", "converted=converted",
    "request_id=", "model_version=", "prediction=", "latency_ms=", "status=", "features=",
)  # fmt: skip
AS_FOREIGN = ("--format", "flat", *(word for name in NAMES for word in ("--field", name)))


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STAGED_ROLLOUT_HOME", str(tmp_path / "home"))
    for name in ("STAGED_ROLLOUT_LEDGER", "STAGED_ROLLOUT_ENVIRONMENT", "STAGED_ROLLOUT_CONFIGS"):
        monkeypatch.delenv(name, raising=False)


def outcome(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of one command."""
    with pytest.raises(SystemExit) as ended:
        run(list(arguments))
    written = capsys.readouterr()
    return int(ended.value.code or 0), written.out, written.err


def books(capsys, *arguments):
    """The answer to `ingest --json`."""
    code, out, err = outcome(capsys, "ingest", *arguments, "--json")
    assert (0, "") == (code, err)
    return json.loads(out)


def label(unit, outcome=1):
    return json.dumps({"unit_id": unit, "timestamp": "2026-03-02T10:00:00Z", "outcome": outcome}) + "\n"


def write(name, text):
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def foreign(name="ab.jsonl"):
    return write(name, "".join(json.dumps(line) + "\n" for line in FOREIGN))


def test_a_foreign_log_is_read_by_other_names_and_once(capsys):
    foreign()
    answer = books(capsys, "ab.jsonl", "--lake", "lake", *AS_FOREIGN)

    assert KEYS == list(answer)
    assert (1, 3, 3) == (answer["files"], answer["lines"], answer["accepted"])
    assert isinstance(answer["snapshot"], int)
    assert Path("ab.jsonl").stat().st_size == answer["bytes"]
    again = books(capsys, "ab.jsonl", "--lake", "lake", *AS_FOREIGN)
    assert (0, 0, answer["snapshot"]) == (again["files"], again["lines"], again["snapshot"])
    foreign("copy of it.log")
    copy = books(capsys, "copy of it.log", "--lake", "lake", *AS_FOREIGN)
    assert (3, 0, 3) == (copy["lines"], copy["accepted"], copy["duplicates"])


def test_its_rows_can_be_asked(capsys, tmp_path):
    foreign()
    books(capsys, "ab.jsonl", "--lake", "lake", *AS_FOREIGN)
    lake = IcebergLake(Home(tmp_path / "unused", lake_folder=tmp_path / "lake"))

    rows = lake.query(
        "srm_counts",
        {"endpoint": "local", "rollout": "landing-v1", "epochs": [0], "cut_off": lake.head().at},
        batch=lake.head(),
    )

    assert {"control": 1, "treatment": 2} == {row["assigned_variant"]: row["units"] for row in rows}
    lake.close()


def test_names_that_are_missing_are_told_with_what_to_do(capsys):
    foreign()
    code, out, _ = outcome(capsys, "ingest", "ab.jsonl", "--lake", "lake", "--format", "flat")

    assert 0 == code
    assert "missing key: request_id" in out
    assert "hint: the lines have user_id, ts, group, converted; not found: request_id, timestamp, rollout," in out
    assert "staged-rollout quarantine --lake lake" in out
    _, again, _ = outcome(capsys, "ingest", "ab.jsonl", "--lake", "lake", "--format", "flat", "--field", "request_id=")
    assert "nothing new in 1 file" in again
    assert "missing key: request_id" in again


@pytest.mark.parametrize(
    ("changed", "hint"),
    [
        ("timestamp=ts", "--field timestamp=ts:utc"),
        ("timestamp=user_id", "--field timestamp=user_id:unix for seconds since 1970"),
    ],
)
def test_timestamps_in_other_forms_get_a_hint(capsys, changed, hint):
    foreign()
    options = [changed if option == "timestamp=ts:utc" else option for option in AS_FOREIGN]

    assert hint in outcome(capsys, "ingest", "ab.jsonl", "--lake", "lake", *options)[1]


def test_refused_lines_come_out_as_they_were_and_go_in_again(capsys):
    bad = b'\xff not a line\r\n{"unit_id": 7, "timestamp": "2026-03-02T10:00:00Z", "outcome": 1}\n'
    Path("labels.jsonl").write_bytes(label("u1").encode() + bad + label("u2").encode())
    first = books(capsys, "labels.jsonl", "--lake", "lake")
    assert (4, 2, 2) == (first["lines"], first["accepted"], first["quarantined"])

    code, out, _ = outcome(capsys, "quarantine", "--lake", "lake", "--export", "again.jsonl", "--json")
    answer = json.loads(out)

    assert (0, bad) == (code, Path("again.jsonl").read_bytes())
    assert (2, 2, 0) == (answer["lines"], answer["quarantined"], answer["late"])
    assert (2, len(bad), 0) == tuple(answer["exported"][key] for key in ("lines", "bytes", "cut"))
    assert ["staged-rollout ingest again.jsonl --format outcomes --endpoint local --lake lake"] == answer["exported"][
        "ingest_with"
    ]
    mended = books(capsys, "again.jsonl", "--lake", "lake", "--format", "outcomes", "--field", "unit_id=unit_id")
    assert (2, 1, 1) == (mended["lines"], mended["accepted"], mended["quarantined"])


def test_an_export_replaces_nothing_unless_forced(capsys):
    write("labels.jsonl", "broken\n")
    books(capsys, "labels.jsonl", "--lake", "lake", "--format", "outcomes")
    write("kept.jsonl", "mine")
    export = ("quarantine", "--lake", "lake", "--export", "kept.jsonl")

    assert 4 == outcome(capsys, *export)[0]
    assert "mine" == Path("kept.jsonl").read_text()
    assert 0 == outcome(capsys, *export, "--force")[0]
    assert "broken\n" == Path("kept.jsonl").read_text()
    assert 9 == outcome(capsys, "quarantine", "--lake", "lake", "--export", "none/x.jsonl")[0]


def test_quarantine_counts_by_reason_file_and_verdict(capsys):
    write("a.jsonl", "broken\nbroken\n" + label(""))
    write("b.jsonl", label("") + label("u"))
    books(capsys, "a.jsonl", "b.jsonl", "--lake", "lake", "--format", "outcomes")

    def answer(*options):
        return json.loads(outcome(capsys, "quarantine", "--lake", "lake", *options, "--json")[1])

    everything = answer()
    assert [("not JSON: Expecting value", 2, 1), ("unit_id is empty", 2, 2)] == [
        (row["reason"], row["lines"], row["files"]) for row in everything["reasons"]
    ]
    assert [3, 1] == [row["lines"] for row in everything["sources"]]
    assert [1, 3] == [row["line"] for row in everything["examples"]]
    assert 2 == answer("--reason", "empty")["lines"]
    assert 1 == answer("--source", os.path.realpath("b.jsonl"))["lines"]
    assert 0 == answer("--format", "flat")["lines"] == answer("--verdict", "late")["lines"]
    assert [] == answer("--limit", "0")["examples"]
    text = outcome(capsys, "quarantine", "--lake", "lake")[1]
    assert "2      2      quarantined  unit_id is empty" in text


def test_what_a_line_says_reaches_the_terminal_as_text_only(capsys):
    Path("a.jsonl").write_bytes(b"\x1b[2J\x1b]0;title\x07 %s evil\n")
    books(capsys, "a.jsonl", "--lake", "lake", "--format", "flat")

    out = outcome(capsys, "quarantine", "--lake", "lake")[1]

    assert "evil" in out
    assert not {"\x1b", "\x07"} & set(out)


@pytest.mark.parametrize("hostile", ["'; DROP TABLE quarantine; --", "%", "$reason", "\x1b[2J"])
def test_filters_are_bound_and_never_pasted(capsys, hostile):
    write("a.jsonl", "broken\n")
    books(capsys, "a.jsonl", "--lake", "lake", "--format", "flat")

    for option in ("--reason", "--source", "--endpoint"):
        code, out, _ = outcome(capsys, "quarantine", "--lake", "lake", option, hostile)
        assert (0, "no line in quarantine fits\n") == (code, out)


def test_files_of_every_name_and_shape(capsys):
    write("in/deep/er/плюс & co.txt", label("u1"))
    Path("in/packed").write_bytes(gzip.compress(label("u2").encode()))
    write("in/empty.jsonl", "")
    write("in/half.jsonl", label("u3") + '{"unit_id": "u4", "time')
    write("in/huge.jsonl", '{"x": "' + "y" * (5 << 20) + '"}\n' + label("u5"))

    answer = books(capsys, "in", "--lake", "lake", "--format", "outcomes")

    assert (4, 5, 4, 1) == tuple(answer[key] for key in ("files", "lines", "accepted", "quarantined"))
    assert len('{"unit_id": "u4", "time') == answer["pending_bytes"]
    with Path("in/half.jsonl").open("a") as stream:
        stream.write('stamp": "2026-03-02T10:00:00Z", "outcome": 1}\n')
    grown = books(capsys, "in/*.jsonl", "--lake", "lake", "--format", "outcomes")
    assert (1, 1, 0) == tuple(grown[key] for key in ("lines", "accepted", "pending_bytes"))
    exported = json.loads(outcome(capsys, "quarantine", "--lake", "lake", "--export", "out.jsonl", "--json")[1])[
        "exported"
    ]
    assert (1, 1) == (exported["lines"], exported["cut"])


def test_a_table_for_people_names_each_file(capsys):
    write("a.jsonl", label("u1") + "\n" + "broken\n")
    write("b.jsonl", label("u1") + label("u2"))

    out = outcome(capsys, "ingest", "a.jsonl", "b.jsonl", "--lake", "lake")[1]

    assert ["file", "lines", "accepted", "quarantined", "duplicates", "late", "blank", "format"] == out.split("\n")[
        0
    ].split()
    assert ["a.jsonl", "3", "1", "1", "0", "0", "1", "outcomes"] == out.split("\n")[1].split()
    assert ["b.jsonl", "2", "1", "0", "1", "0", "0", "outcomes"] == out.split("\n")[2].split()
    assert "5 lines = 2 accepted + 1 duplicates + 1 quarantined + 0 late + 1 blank;" in out


def test_what_cannot_be_read_is_told_and_everything_else_is_in(capsys):
    write("in/a.jsonl", label("u1"))
    Path("in/broken.gz").write_bytes(gzip.compress(label("u2").encode())[:-3])
    os.mkfifo("in/pipe")

    code, out, err = outcome(capsys, "ingest", "in", "--lake", "lake", "--format", "outcomes", "--json")

    answer, error = json.loads(out), json.loads(err)["error"]
    assert (7, 7, 2) == (code, error["exit_code"], len(answer["findings"]))
    assert answer["accepted"] >= 1
    assert ["broken.gz", "pipe"] == [Path(name).name for name in error["facts"]["files"]]
    Path("in/broken.gz").write_bytes(gzip.compress(label("u2").encode()))
    Path("in/pipe").unlink()
    assert 0 == outcome(capsys, "ingest", "in", "--lake", "lake", "--format", "outcomes")[0]


def test_a_replaced_file_is_told_and_read_again(capsys):
    write("a.jsonl", label("u1") + label("u2"))
    books(capsys, "a.jsonl", "--lake", "lake")
    write("a.jsonl", label("u3"))

    answer = books(capsys, "a.jsonl", "--lake", "lake")

    assert (1, 1) == (answer["lines"], answer["accepted"])
    assert "was replaced" in answer["findings"][0]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("gone.jsonl",), 3, "no file matches 'gone.jsonl'"),
        (("*.none", "a.jsonl"), 3, "no file matches '*.none'"),
        (("folder",), 3, "no file matches 'folder'"),
        (("a.jsonl", "--format", "csv"), 2, "csv"),
        (("a.jsonl", "--field", "rollout"), 2, "--field 'rollout' is not NAME=THEIRS"),
        (("a.jsonl", "--field", "=x"), 2, "--field '=x' is not NAME=THEIRS"),
        (("a.jsonl", "--field", "unit_id=a", "--field", "unit_id=b"), 2, "--field unit_id is given twice"),
        (("a.jsonl", "--field", "prediction=p", "--format", "outcomes"), 2, "'prediction' is not a field of outcomes"),
        (("a.jsonl", "--endpoint", ""), 2, "--endpoint '' is no name"),
        (("odd.jsonl",), 2, "cannot be told: its first record fits no format"),
        (("a.jsonl", "--format", "capture"), 2, "which variant answered"),
        (("--format", "flat"), 2, "need a SOURCE"),
        (("a.jsonl", "--lake", "a.jsonl"), 3, "is not a folder"),
        ((), 3, "no log file lies below home/logs or home/capture"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_read(capsys, arguments, code, message):
    write("a.jsonl", label("u1"))
    write("odd.jsonl", '{"a": 1}\n')
    Path("folder").mkdir()

    found, out, err = outcome(capsys, "ingest", *arguments)

    assert (code, "") == (found, out)
    assert message in err
    assert not list(Path().glob("**/*.parquet"))


def test_a_lake_that_is_not_there_has_no_quarantine(capsys):
    assert 3 == outcome(capsys, "quarantine", "--lake", "nowhere")[0]
    assert not Path("nowhere").exists()


def test_an_empty_quarantine_says_so(capsys):
    write("a.jsonl", label("u1"))
    books(capsys, "a.jsonl", "--lake", "lake")

    assert (0, "no line is in quarantine\n", "") == outcome(capsys, "quarantine", "--lake", "lake")


def test_late_lines_are_kept_and_a_backfill_takes_them(capsys):
    write("new.jsonl", label("u1").replace("2026-03-02", "2026-03-20"))
    write("old.jsonl", label("u2"))
    books(capsys, "new.jsonl", "--lake", "lake")

    late = books(capsys, "old.jsonl", "--lake", "lake")
    code, out, _ = outcome(capsys, "quarantine", "--lake", "lake", "--export", "late.jsonl", "--json")

    assert (1, 0, 1) == tuple(late[key] for key in ("lines", "accepted", "late"))
    assert json.loads(out)["exported"]["ingest_with"][0].endswith("--backfill")
    assert 1 == books(capsys, "late.jsonl", "--lake", "lake", "--backfill")["accepted"]
    assert 0 == code


def test_without_a_source_the_home_and_its_environment_are_read(capsys, tmp_path, monkeypatch):
    write("home/logs/outcomes/churn/a.jsonl", label("u1"))
    write("home/exports/b.log", label("u2").replace("unit_id", "customer"))
    configs = tmp_path / "configs" / "environments"
    configs.mkdir(parents=True)
    environment = (
        "name: mine\nlocal: true\nlogs:\n  - {source: exports/*, format: outcomes, fields: {unit_id: customer}}\n"
    )
    (configs / "mine.yaml").write_text(environment)
    monkeypatch.setenv("STAGED_ROLLOUT_ENVIRONMENT", "mine")

    assert 2 == books(capsys)["accepted"]
    assert 0 == books(capsys)["lines"]
    assert 0 == books(capsys, "home/logs")["lines"]
