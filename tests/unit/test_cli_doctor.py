"""`staged-rollout doctor` on real files, folders and HTTP: it tells, it is never stopped, it touches nothing."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from importlib import metadata
from pathlib import Path

import pytest

from staged_rollout.adapters.clocks import SimulatedClock
from staged_rollout.adapters.diagnosis import REINSTALL
from staged_rollout.adapters.ledger_sql import open_ledger
from staged_rollout.cli.main import run
from staged_rollout.spec.home import Home
from tests.kept_home import filled, registered, seen

ROOT = Path(__file__).parents[2]
PREFECT = metadata.version("prefect")
GRADES = ("ok", "warning", "broken")


@pytest.fixture(autouse=True)
def _own_installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAGED_ROLLOUT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("STAGED_ROLLOUT_CONFIGS", str(ROOT / "configs"))
    for name in ("STAGED_ROLLOUT_LEDGER", "STAGED_ROLLOUT_ENVIRONMENT", "PREFECT_API_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, dict[str, dict[str, str]]]]:
    """Exit code, and the answers by check."""

    def asked(*options: str) -> tuple[int, dict[str, dict[str, str]]]:
        with pytest.raises(SystemExit) as ended:
            run(["doctor", "--json", *options])
        written = capsys.readouterr()
        assert "Traceback" not in written.err
        document = json.loads(written.out)
        grades = [answer["grade"] for answer in document["checks"]]
        assert set(grades) <= set(GRADES)
        assert (document["warnings"], document["broken"]) == (grades.count("warning"), grades.count("broken"))
        code = int(ended.value.code or 0)
        assert (9 if "broken" in grades else 0) == code
        for answer in document["checks"]:
            assert (answer["mend"] == "") == (answer["grade"] == "ok"), answer
            assert answer["needed"]
        return code, {answer["check"]: answer for answer in document["checks"]}

    return asked


def test_a_fresh_machine_is_fine_and_stays_as_it_was(ask, tmp_path):
    code, answers = ask()

    assert 0 == code
    assert [] == [name for name, answer in answers.items() if answer["grade"] == "broken"]
    assert {"servers"} == {name for name, answer in answers.items() if answer["grade"] == "warning"}
    assert answers["servers"]["mend"] == "staged-rollout servers churn"
    assert {} == seen(tmp_path)


def test_a_filled_home_is_read_and_stays_as_it_was_to_the_byte(ask, home, tmp_path):
    """Law: doctor is no writer. Names, times, modes and bytes are the same afterwards; no -wal, no -shm, no folder."""
    filled(home)
    before = seen(tmp_path)

    code, answers = ask()

    assert 0 == code
    assert before == seen(tmp_path)
    assert answers["ledger"]["found"].startswith("1 event in 1 rollout, intact")
    assert answers["lake"]["found"] == "batch 1: 1 file in 1 table"
    assert answers["assignments"]["found"] == "1 document"
    assert answers["counters"]["found"] == "1 endpoint"


def test_one_line_per_check_names_grade_finding_need_and_command(capsys, home):
    home.root.write_text("a file")
    with pytest.raises(SystemExit) as ended:
        run(["doctor"])
    written = capsys.readouterr()
    lines = written.out.splitlines()

    assert 9 == ended.value.code
    assert set(GRADES) >= {line.split()[0] for line in lines}
    (broken,) = [line for line in lines if line.startswith("broken   home ")]
    assert "is not a folder; needed: a folder that this user can write; mend: export STAGED_ROLLOUT_HOME=" in broken
    assert written.err.startswith("error: ")
    assert "home" in written.err


def test_options_that_were_given_are_part_of_the_commands_that_are_shown(ask, tmp_path):
    _, answers = ask("--environment", "demo", "--home", str(tmp_path / "o ther"))

    expected = f"staged-rollout --environment demo --home '{tmp_path}/o ther' servers churn"
    assert expected == answers["servers"]["mend"]


@pytest.mark.parametrize("name", ["file/below/it", "loop", "x" * 300])
def test_a_home_that_cannot_be_made_is_broken(ask, tmp_path, name):
    (tmp_path / "file").write_text("")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    before = seen(tmp_path)
    code, answers = ask("--home", str(tmp_path / name))

    assert (9, "broken") == (code, answers["home"]["grade"])
    assert {"python", "ledger", "prefect"} <= set(answers)
    assert before == seen(tmp_path)


def test_a_working_directory_that_was_deleted_is_said(ask, monkeypatch, tmp_path):
    monkeypatch.setenv("STAGED_ROLLOUT_HOME", "relative")
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    code, answers = ask()

    assert 9 == code
    assert "working directory" in answers["home"]["found"]


def test_one_changed_event_is_found(ask, home):
    registered(home.ledger_url())
    with closing(sqlite3.connect(home.root / "ledger.db")) as connection, connection:
        connection.execute("UPDATE events SET actor = 'mallory'")
    code, answers = ask()

    assert 9 == code
    assert "event 1 of churn-v3 is not what was written" in answers["ledger"]["found"]
    assert answers["ledger"]["mend"] == "staged-rollout ledger verify"


@pytest.mark.parametrize("place", ["ledger.db", "lake/batches.db", "lake/catalog.db", "registry/mlflow.db"])
@pytest.mark.parametrize("content", [b"not a database at all" * 99, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_damaged_sqlite_file_breaks_its_own_checks_alone(ask, home, place, content):
    filled(home)
    (home.root / place).parent.mkdir(exist_ok=True)
    (home.root / place).write_bytes(content)
    before = seen(home.root)
    code, answers = ask()

    own = {"ledger": {"ledger", "leases", "clock"}, "lake": {"lake"}, "registry": {"registry"}}
    assert 9 == code
    assert own[place.split("/")[0].removesuffix(".db")] == {
        name for name, answer in answers.items() if answer["grade"] == "broken"
    }
    assert before == seen(home.root)


def test_a_data_file_that_is_gone_is_named(ask, home):
    filled(home)
    assert ask()[1]["lake"]["found"] == "batch 1: 1 file in 1 table"
    (data,) = home.lake.rglob("*.parquet")
    data.unlink()
    _, answers = ask()

    assert answers["lake"]["grade"] == "broken"
    assert data.name in answers["lake"]["found"]


@pytest.mark.parametrize("damage", [b"{", b'{"format-version": 2}', b"\xff\xfe"])
def test_damaged_table_metadata_is_named(ask, home, damage):
    filled(home)
    for metadata_file in (home.lake / "warehouse").rglob("*.metadata.json"):
        metadata_file.write_bytes(damage)
    _, answers = ask()

    assert "broken" == answers["lake"]["grade"]
    assert answers["lake"]["found"].startswith("batch 1 lacks readable metadata of table predictions (")


def test_a_newer_ledger_and_a_file_of_somebody_else_are_told_apart(ask, home):
    registered(home.ledger_url())
    with closing(sqlite3.connect(home.root / "ledger.db")) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    assert "revision 9999, which this program does not know" in ask()[1]["ledger"]["found"]

    (home.root / "ledger.db").unlink()
    with closing(sqlite3.connect(home.root / "ledger.db")) as connection, connection:
        connection.execute("CREATE TABLE recipes (x)")
    assert "holds other tables (recipes) and no ledger" in ask()[1]["ledger"]["found"]


def test_a_lease_that_was_not_given_back_is_a_warning(ask, home):
    registered(home.ledger_url())
    now = time.time()
    with open_ledger(home.ledger_url()) as ledger:
        assert ledger.lease("churn-prod", "churn-v3", token="h:1:a", now=now, until=now + 600)
    assert ask()[1]["leases"]["grade"] == "ok"
    with closing(sqlite3.connect(home.root / "ledger.db")) as connection, connection:
        connection.execute("UPDATE endpoint_claims SET lease_until = ?", (now - 1,))
    code, answers = ask()

    assert 0 == code
    assert ("warning", "staged-rollout advance churn-v3") == (answers["leases"]["grade"], answers["leases"]["mend"])
    assert "h:1:a" in answers["leases"]["found"]


def test_an_event_of_the_future_means_that_a_clock_is_wrong(ask, home):
    registered(home.ledger_url(), at=datetime.now(UTC) + timedelta(hours=1))
    code, answers = ask()

    assert (9, "broken") == (code, answers["clock"]["grade"])
    assert "this machine's time is" in answers["clock"]["found"]


def test_simulated_time_is_compared_with_simulated_time(ask, home):
    registered(home.ledger_url(), at=datetime(2096, 3, 2, tzinfo=UTC))
    assert ask("--environment", "demo")[1]["clock"]["grade"] == "broken"  # never set
    SimulatedClock(home.clock_file).set(datetime(2096, 3, 3, tzinfo=UTC))

    assert ask("--environment", "demo")[1]["clock"]["grade"] == "ok"


def test_a_damaged_document_and_damaged_counters_are_found(ask, home):
    filled(home)
    (home.assignments / "other.json").write_text("{")
    (home.health / "churn-prod" / "r1.json").write_text("[]")
    _, answers = ask()

    assert ("broken", "broken") == (answers["assignments"]["grade"], answers["counters"]["grade"])
    assert "other.json" in answers["assignments"]["found"]


@pytest.mark.parametrize("part", ["lake", "registry", "assignments", "health", "ledger.db", "run.json"])
def test_a_folder_in_place_of_a_file_and_a_file_in_place_of_a_folder_hide_nothing(ask, home, part):
    filled(home)
    place = home.root / part
    shutil.rmtree(place) if place.is_dir() else place.unlink(missing_ok=True)
    place.mkdir() if "." in part else place.write_bytes(b"\x00")
    before = seen(home.root)
    names = set(ask()[1])

    assert {"python", "packages", "home", "ledger", "lake", "registry", "servers", "prefect"} <= names
    assert before == seen(home.root)


def test_an_environment_that_does_not_lint_hides_nothing(ask, tmp_path, home):
    registered(home.ledger_url())
    configs = tmp_path / "configs"
    shutil.copytree(ROOT / "configs", configs)
    (configs / "environments" / "local.yaml").write_text("name: local\nlocall: true\n")
    code, answers = ask("--configs", str(configs))

    assert 9 == code
    assert {"environment", "rollout files", "clock", "leases"} == {
        name for name, answer in answers.items() if answer["grade"] == "broken"
    }
    assert "did you mean 'local'?" in answers["environment"]["found"]
    assert answers["ledger"]["grade"] == "ok"


def test_a_rollout_file_that_does_not_lint_is_a_warning_with_the_command_that_says_why(ask, tmp_path):
    configs = tmp_path / "configs"
    shutil.copytree(ROOT / "configs", configs)
    (configs / "rollouts" / "bad.yaml").write_text("rollout: 3\n")
    _, answers = ask("--configs", str(configs))

    assert answers["rollout files"]["grade"] == "warning"
    assert answers["rollout files"]["mend"].endswith(f"lint {configs / 'rollouts' / 'bad.yaml'}")


def test_a_ledger_url_with_a_password_is_not_shown(ask, monkeypatch, capsys):
    for url in (
        "mysql://u:geheim@h/x",
        "geheim",
        "postgresql://u:geheim@127.0.0.1:1/x",
        "sqlite://",
        "sqlite:///file:x?uri=true",
    ):
        monkeypatch.setenv("STAGED_ROLLOUT_LEDGER", url)
        code, answers = ask()
        assert (9, "broken") == (code, answers["ledger"]["grade"])
        assert "geheim" not in json.dumps(answers)


@pytest.mark.parametrize(
    ("package", "check"), [("sqlalchemy", "ledger"), ("httpx", "prefect"), ("packaging", "python")]
)
def test_a_package_that_is_missing_is_one_answer_and_hides_no_other(package, check):
    """Where it cannot be imported, as in an environment that lost it."""
    program = (
        "import sys\n"
        f"sys.modules[{package!r}] = None\n"
        "from staged_rollout.cli.main import run\n"
        "run(['doctor', '--json'])\n"
    )
    environment = {**os.environ, "PREFECT_API_URL": "http://127.0.0.1:1/api"}
    command = [sys.executable, "-c", program]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=environment)
    answers = {answer["check"]: answer for answer in json.loads(ended.stdout)["checks"]}

    assert 9 == ended.returncode
    assert package in answers[check]["found"]
    assert REINSTALL == answers[check]["mend"]
    assert "make clean" not in REINSTALL  # it would remove the default home
    assert {"home", "disk", "environment", "lake", "registry", "servers"} <= set(answers)


def test_doctor_starts_without_the_heavy_packages():
    """They are imported inside the checks that need them; help needs none."""
    program = (
        "import sys\n"
        "from staged_rollout.cli.main import run\n"
        "try:\n    run(['doctor', '--help'])\n"
        "except SystemExit:\n    pass\n"
        "heavy = ('httpx', 'sqlalchemy', 'pyiceberg', 'mlflow', 'alembic', 'packaging.requirements', 'prefect')\n"
        "sys.stderr.write('loaded:' + ','.join(name for name in heavy if name in sys.modules))\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)

    assert "" == ended.stderr.rpartition("loaded:")[2]
