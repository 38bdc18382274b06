"""What an installed package holds: the core with its SQL and schema, and nothing of the checkout around it."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_holds_the_core_alone(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names if ".dist-info" not in name}
    assert tops == {"staged_rollout"}


def test_the_wheel_holds_every_statement_and_the_schema(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    statements = {f"staged_rollout/_sql/{path.name}" for path in (ROOT / "sql").glob("*.sql")}
    assert statements
    assert statements <= names
    schema = zipfile.ZipFile(wheel).read("staged_rollout/_schema/rollout.schema.json")
    assert json.loads(schema)["title"]


def test_the_installed_core_finds_its_statements_without_a_checkout(wheel, tmp_path):
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    code = (
        "import staged_rollout, pathlib; from staged_rollout.adapters import lake_sql; "
        "assert 'site' in staged_rollout.__file__; print(lake_sql.statement('srm_counts').name)"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(tmp_path / 'site')!r}); {code}"],
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "srm_counts"
