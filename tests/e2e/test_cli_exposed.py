"""`exposed` on a real ledger and a real lake: every unit once, as text, JSON, CSV and Parquet."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from staged_rollout.adapters.ledger_sql import open_ledger
from staged_rollout.cli.main import run
from staged_rollout.state import NewEvent, State

T0 = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STAGED_ROLLOUT_HOME", str(tmp_path / "home"))
    for name in ("STAGED_ROLLOUT_LEDGER", "STAGED_ROLLOUT_ENVIRONMENT", "STAGED_ROLLOUT_CONFIGS"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "home"


def outcome(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of one command."""
    with pytest.raises(SystemExit) as ended:
        run(list(arguments))
    written = capsys.readouterr()
    return int(ended.value.code or 0), written.out, written.err


def line(number: int, unit: str | None, variant: str, **more: Any) -> str:
    told = {
        "request_id": f"{number:032x}",
        "timestamp": (T0 + timedelta(minutes=number)).isoformat(),
        "rollout": "churn-v3",
        "unit_id": unit,
        "assigned_variant": variant,
        "variant": variant,
        "fallback": False,
        "epoch": 2,
        "model_version": variant[1:],
        "prediction": 1.0,
        "latency_ms": 5.0,
        "status": 200,
        "features": {},
    }
    return json.dumps({**told, **more}) + "\n"


def lived(home: Path, built: Any) -> None:
    with open_ledger(f"sqlite:///{home / 'ledger.db'}") as ledger:
        for event in built.events:
            new = NewEvent(event.type, event.payload)
            ledger.append(event.rollout, [new], expected_seq=event.seq - 1, at=event.at, actor=event.actor)


@pytest.fixture
def logged(home: Path, rollouts: Any, capsys: pytest.CaptureFixture[str]) -> Path:
    """An ended rollout; of 100 units 40 are the candidate's, and one of the others met it outside."""
    lived(home, rollouts().at(State.ROLLED_BACK))
    lines = [line(number, f"customer-{number:03}", "v3" if number < 40 else "v2") for number in range(100)]
    lines.append(line(200, "customer-099", "v3", rollout=None, assigned_variant=None))
    lines.append(line(201, None, "v3", rollout=None, assigned_variant=None))
    folder = home / "logs" / "predictions" / "churn-prod" / "2026-03-02"
    folder.mkdir(parents=True)
    (folder / "router.jsonl").write_text("".join(lines))
    code, _, err = outcome(capsys, "ingest", "--json")
    assert (0, "") == (code, err)
    return home


def test_every_unit_is_there_once_in_each_form(capsys: pytest.CaptureFixture[str], logged: Path) -> None:
    """Text says how many, JSON, CSV and Parquet list the same units, oldest first."""
    code, out, _ = outcome(capsys, "exposed", "churn-v3")
    assert code == 0
    assert "churn-v3: 41 units met v3 in 42 requests, 2026-03-02 12:00 UTC to 2026-03-02 15:21 UTC" in out
    assert "1 of these requests named no unit" in out

    document = json.loads(outcome(capsys, "exposed", "churn-v3", "--json")[1])
    assert (41, 42, 1, False) == tuple(document[c] for c in ("units", "by_candidate", "without_unit", "forgotten"))
    assert 42 == len(document["exposed"])
    for name in ("met.csv", "met.parquet"):
        code, out, err = outcome(capsys, "exposed", "churn-v3", "--output", name)
        assert (0, "") == (code, err)
        assert f"written to {name}" in out
        assert 0o600 == Path(name).stat().st_mode & 0o777
    with Path("met.csv").open(newline="") as file:
        told = [row["unit_id"] or None for row in csv.DictReader(file)]
    stored = pq.read_table("met.parquet").column("unit_id").to_pylist()
    assert told == stored == [row["unit_id"] for row in document["exposed"]]
    assert [] == list(Path().glob(".met*"))


def test_a_unit_is_looked_up_by_its_own_id(capsys: pytest.CaptureFixture[str], logged: Path) -> None:
    """The lake keeps keyed hashes only; whoever may use the key may ask for an id."""
    asked = ("--unit", "customer-007", "--unit", "customer-050", "--unit", "customer-099")
    document = json.loads(outcome(capsys, "exposed", "churn-v3", *asked, "--json")[1])

    assert ["customer-007", "customer-099"] == [row["unit"] for row in document["exposed"]]
    assert all(len(row["unit_id"]) == 32 for row in document["exposed"])
    assert "customer-007" in outcome(capsys, "exposed", "churn-v3", *asked)[1]


def test_a_time_cuts_what_counts(capsys: pytest.CaptureFixture[str], logged: Path) -> None:
    span = ("--since", "2026-03-02T12:10:00+00:00", "--until", "2026-03-02T13:12:00+01:00")
    assert 2 == json.loads(outcome(capsys, "exposed", "churn-v3", *span, "--json")[1])["units"]
    span = ("--since", "2026-03-02T12:10:00Z", "--until", "2026-03-02T12:12:00Z")
    assert 2 == json.loads(outcome(capsys, "exposed", "churn-v3", *span, "--json")[1])["units"]


def test_rows_that_the_lake_no_longer_holds_are_told(
    capsys: pytest.CaptureFixture[str], home: Path, rollouts: Any
) -> None:
    """Maintenance removes rows of old days: a list that begins too late says so."""
    lived(home, rollouts().at(State.ROLLED_BACK))
    folder = home / "logs" / "predictions" / "churn-prod" / "2026-05-03"
    folder.mkdir(parents=True)
    (folder / "router.jsonl").write_text(line(90_000, "customer-001", "v2"))
    assert 0 == outcome(capsys, "ingest", "--json")[0]

    code, out, _ = outcome(capsys, "exposed", "churn-v3")

    assert code == 0
    assert "no unit is known to have met v3" in out
    assert "earlier units are not listed" in out


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("churn-v9",), 3, "no rollout 'churn-v9'"),
        (("../../etc",), 3, "no rollout"),
        (("churn-v3", "--since", "yesterday"), 2, "--since 'yesterday' is no time"),
        (("churn-v3", "--until", "2026-03-02T12:00:00"), 2, "has no time zone"),
        (("churn-v3", "--output", "met.xlsx"), 3, "no format for 'met.xlsx'"),
        (("churn-v3", "--output", "no/where.csv"), 9, "cannot be written"),
        (("churn-v3", "--output", "."), 4, "is there already"),
    ],
)
def test_bad_input_is_refused_and_leaves_no_file(
    capsys: pytest.CaptureFixture[str], logged: Path, arguments: tuple[str, ...], code: int, told: str
) -> None:
    found, _, err = outcome(capsys, "exposed", *arguments)

    assert code == found
    assert told in err
    assert ["home"] == sorted(path.name for path in Path().iterdir())
