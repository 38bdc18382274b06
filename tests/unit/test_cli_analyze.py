"""`staged-rollout analyze` on a lake that `staged-rollout ingest` filled from somebody else's log."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

import pytest

from staged_rollout.cli.main import run
from tests.fakes.logged_experiment import BEGIN, ROLLOUT_FILE, Experiment

THEIRS = ("unit_id=user.id", "timestamp=ts", "variant=group", "prediction=answer", "request_id=", "rollout==churn-v7")
NONE_OF = ("model_version=", "latency_ms=", "status=", "features=")
WHOLE = ("--as-of", "2026-03-12")


def leaves_with(code, *arguments):
    with pytest.raises(SystemExit) as left:
        run([*map(str, arguments)])
    assert code == left.value.code


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a lake and a rollout file, and no configs."""
    found = tmp_path_factory.mktemp("analysed")
    Experiment(units=3000, rates=(0.70, 0.82), seed=3).write_foreign(found / "theirs")
    (found / "churn.yaml").write_text(ROLLOUT_FILE, encoding="utf-8")
    fields = [part for field in (*THEIRS, *NONE_OF) for part in ("--field", field)]
    lake = ("--lake", found / "lake", "--home", found / "home")
    leaves_with(0, "ingest", found / "theirs" / "clicks.jsonl", "--format", "flat", *fields, *lake)
    labels = ("--field", "unit_id=user", "--field", "outcome=truth")
    leaves_with(0, "ingest", found / "theirs" / "truth.jsonl", "--format", "outcomes", *labels, *lake)
    return found


@pytest.fixture
def analyse(folder, monkeypatch, capsys):
    """Runs the command on that lake and answers what it printed."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("STAGED_ROLLOUT_HOME", str(folder / "home"))
    capsys.readouterr()

    def answered(*arguments, code=0):
        leaves_with(code, "analyze", *arguments)
        return capsys.readouterr()

    return answered


def test_it_says_what_would_have_been_decided_and_why(analyse, folder):
    """For programs: every look with its figures, the verdict, and what was inferred; errors of guards are no pass."""
    plot = folder / "plot.svg"
    found = json.loads(analyse("churn.yaml", "--lake", "lake", *WHOLE, "--plot", plot, "--json").out)
    assert ("churn-v7", "local") == (found["rollout"], found["endpoint"])
    assert ("control", "treatment") == (found["champion"], found["candidate"])
    assert found["live_from"] < found["looks"][0]["cut_off"] <= found["as_of"]
    assert [1, 2] == [look["slot"] for look in found["looks"]][:2]
    look = found["looks"][1]
    assert look["efficacy"]["z"] < look["z"]
    assert look["estimate"] == pytest.approx(
        look["successes"][1] / look["units"][1] - look["successes"][0] / look["units"][0], abs=1e-9
    )
    assert "not logged" == look["guardrails"][0]["method"]
    assert look["quality"]["passed"]
    assert ("keep champion", True) == (found["verdict"], found["ended"])
    assert "error_rate not proven within its margin" in found["reasons"][0]
    assert found["success_alone"].startswith("a win at look 2")
    assert any("error_rate was not measured" in note for note in found["notes"])
    assert plot.read_text(encoding="utf-8").startswith("<svg")


def test_people_get_a_table_and_a_sentence(analyse):
    """For people: a row per look, the verdict, and the option that takes the next look."""
    said = analyse("churn.yaml", "--lake", "lake", "--as-of", "2026-03-06T20:00+00:00").out
    assert "churn-v7: candidate treatment against champion control" in said
    assert "2 efficacy" in said
    assert "Verdict: still running at 2026-03-06 20:00 UTC: continue" in said
    assert "guardrail error_rate: not measured" in said
    assert "The next look is due at 2026-03-07 18:" in said
    assert "--as-of 2026-03-07T18:" in said


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("churn.yaml", "--lake", "nothing"), 3, "there is no lake in nothing"),
        (("gone.yaml", "--lake", "lake"), 3, "gone.yaml does not exist"),
        (("churn.yaml", "--lake", "lake", "--as-of", "yesterday"), 2, "--as-of 'yesterday' is no time"),
        (("churn.yaml", "--lake", "lake", "--since", "2026-03-02T10:00"), 2, "has no time zone"),
        (("churn.yaml", "--lake", "lake", "--plot", "z.doc"), 2, "is not a picture"),
        (("churn.yaml", "--lake", "lake", "--rollout", "x'; --"), 3, "it has churn-v7 (3,000 rows)"),
        (("churn.yaml", "--lake", "lake", "--candidate", "blue"), 3, "the log has"),
        (("churn.yaml", "--lake", "lake", "--as-of", "2026-03-03"), 7, "the first look is due at"),
    ],
)
def test_what_cannot_be_analysed_is_said(analyse, folder, arguments, code, words):
    """An error names what was found and what there is; no lake is made on the way."""
    assert words in analyse(*arguments, code=code).err
    assert not (folder / "nothing").exists()


def test_a_metric_of_their_own_field_needs_no_outcomes(analyse, folder):
    """A conversion that stands on the lines themselves, declared in the rollout file, against the lines themselves."""
    frame = Experiment(units=3000, rates=(0.30, 0.42), seed=5).frame()
    lines = [
        {"user_id": row.unit, "ts": str(BEGIN + timedelta(seconds=row.at))[:26], "group": row.variant, "won": row.right}
        for row in frame.itertuples()
    ]
    (folder / "ab.jsonl").write_text("".join(f"{json.dumps(line, default=int)}\n" for line in lines), encoding="utf-8")
    fields = ("unit_id=user_id", "timestamp=ts:utc", "variant=group", "rollout==landing", "won=won:flag", "prediction=")
    given = [part for field in (*fields, "request_id=", *NONE_OF) for part in ("--field", field)]
    leaves_with(0, "ingest", folder / "ab.jsonl", "--lake", folder / "ab", "--format", "flat", *given)
    declared = ROLLOUT_FILE.replace("metric: correct", "metric: conversion").replace("guardrails:", "# guardrails:")
    (folder / "churn.yaml").with_name("landing.yaml").write_text(
        declared.replace("rollout: churn", "rollout: landing") + 'metrics: {conversion: {rate: "won = 1"}}\n',
        encoding="utf-8",
    )
    answer = analyse("landing.yaml", "--lake", "ab", *WHOLE, "--champion", "v1", "--json").out
    found = json.loads(answer[answer.index("{\n") :])
    look = found["looks"][0]
    closed = frame[frame["at"] + 43_200 <= (datetime.fromisoformat(look["cut_off"]) - BEGIN).total_seconds()]
    arms = [closed[closed["variant"] == name] for name in ("v1", "v2")]
    assert [len(arm) for arm in arms] == look["units"]
    assert [int(arm["right"].sum()) for arm in arms] == look["successes"]
    assert ("promote", True) == (found["verdict"], found["ended"])
