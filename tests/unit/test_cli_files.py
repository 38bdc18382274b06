"""lint and explain: all findings at once, and the resolved whole with its cost."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from staged_rollout.cli.files import planned_looks
from staged_rollout.cli.main import run
from staged_rollout.spec.model import RolloutSpec

CHURN = Path(__file__).parents[2] / "configs" / "rollouts" / "churn.yaml"


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("STAGED_ROLLOUT_ENVIRONMENT", "STAGED_ROLLOUT_CONFIGS"):
        monkeypatch.delenv(name, raising=False)


def outcome(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of one command."""
    with pytest.raises(SystemExit) as ended:
        run(list(arguments))
    written = capsys.readouterr()
    return int(ended.value.code or 0), written.out, written.err


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """A rollout file with two errors."""
    path = tmp_path / "broken.yaml"
    text = CHURN.read_text().replace("matures_after: 1d", "matures_after: soon").replace("owner:", "ownr:")
    path.write_text(text.replace("rollout: churn ", "rollout: broken "))
    return path


def test_a_fine_file_is_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert outcome(capsys, "lint", "churn") == (0, "churn: fine for environment local\n", "")


def test_every_finding_names_file_line_and_key(capsys: pytest.CaptureFixture[str], broken: Path) -> None:
    lines = broken.read_text().splitlines()
    code, out, err = outcome(capsys, "lint", str(CHURN), str(broken))
    matures = next(number for number, line in enumerate(lines, start=1) if "matures_after: soon" in line)
    owner = next(number for number, line in enumerate(lines, start=1) if line.startswith("ownr:"))

    assert code == 2
    assert f"{broken}:{matures}: success.matures_after: 'soon'" in out
    assert f"{broken}:{owner}: ownr: " in out
    assert f"{CHURN}: fine for environment local" in out
    assert "in 1 file" in err


def test_lint_as_json_counts_and_places(capsys: pytest.CaptureFixture[str], broken: Path) -> None:
    code, out, err = outcome(capsys, "lint", "churn", str(broken), "--json")
    fine, wrong = json.loads(out)["files"]

    assert (code, json.loads(err)["error"]["exit_code"]) == (2, 2)
    assert (fine["errors"], fine["findings"]) == (0, [])
    assert wrong["errors"] >= 2
    assert set(wrong["findings"][0]) == {"file", "line", "key", "value", "problem", "accepts", "severity"}


def test_a_missing_file_does_not_hide_the_findings_of_the_others(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, broken: Path
) -> None:
    code, out, _ = outcome(capsys, "lint", str(tmp_path / "gone.yaml"), str(broken))

    assert code == 2
    assert "gone.yaml does not exist" in out
    assert "success.matures_after" in out


def test_explain_resolves_every_key_and_forecasts_the_cost(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = outcome(capsys, "explain", "churn", "--json")
    document = json.loads(out)
    keys = {row["key"]: row for row in document["keys"]}

    assert (code, err) == (0, "")
    assert keys["success.mde"]["value"] == "5pp"
    assert keys["success.mde"]["source"] == "file"
    assert document["cost"]["total_usd"] == pytest.approx(sum(item["usd"] for item in document["cost"]["items"]))
    assert len(document["looks"]) == 14
    assert document["units"]["expected"] == 3500.0


def test_explain_says_the_same_to_people(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = outcome(capsys, "explain", "churn", "--environment", "demo")

    assert code == 0
    assert "in environment demo" in out
    assert "success.mde" in out
    assert "14    15d    harm, or a win: the last look" in out
    assert "of which the rollout adds" in out
    assert all(line == line.rstrip() for line in out.splitlines())


def test_explaining_a_broken_file_shows_its_findings(capsys: pytest.CaptureFixture[str], broken: Path) -> None:
    code, out, err = outcome(capsys, "explain", str(broken))

    assert (code, out) == (2, "")
    assert "success.matures_after" in err


def test_planned_looks_rise_and_end_with_the_last(churn: dict[str, object]) -> None:
    looks = planned_looks(RolloutSpec.model_validate(churn))

    assert [look.slot for look in looks] == list(range(1, len(looks) + 1))
    assert [look.after for look in looks] == sorted({look.after for look in looks})
    assert looks[-1].kind == "harm, or a win: the last look"
    assert {look.kind for look in looks[:6]} == {"harm"}
