"""The layers of the house, held by tool."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("demo", "flows", "tasks", "staged_rollout")
HEAVY = ("prefect", "boto3", "botocore", "sagemaker", "great_expectations", "mlflow", "fastapi")
CORE = (
    "errors",
    "stats",
    "records",
    "assignment",
    "spec",
    "evidence",
    "state",
    "policy",
    "ports",
    "report",
    "operations",
)
HARD_LIMIT = 500


def modules(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def test_every_import_contract_holds():
    program = (
        "import sys; from importlinter.cli import lint_imports; "
        "sys.exit(lint_imports(config_filename=sys.argv[1], no_cache=True))"
    )
    checked = subprocess.run(
        [sys.executable, "-c", program, str(ROOT / "pyproject.toml")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert 0 == checked.returncode, checked.stdout + checked.stderr
    assert ", 0 broken." in checked.stdout
    assert "0 kept" not in checked.stdout


def test_the_core_can_be_imported_without_prefect_or_the_cloud():
    """Every module of the core, imported in a fresh process, brings in none of the heavy packages."""
    names = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for part in CORE
        for path in (*modules(f"staged_rollout/{part}"), ROOT / "staged_rollout" / f"{part}.py")
        if path.exists()
    ]
    assert len(names) > len(CORE)
    program = (
        "import importlib, sys\n"
        "heavy, names = sys.argv[1].split(','), sys.argv[2:]\n"
        "for name in names: importlib.import_module(name)\n"
        "print(','.join(sorted(name for name in heavy if name in sys.modules)))\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program, ",".join(HEAVY), *names], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert 0 == ran.returncode, ran.stderr
    assert "" == ran.stdout.strip()


def test_the_core_names_every_module_but_the_outer_rings():
    """A new package is either core, and held to be light by the test above, or one of the three outer rings."""
    inner = {path.stem for path in (ROOT / "staged_rollout").iterdir() if path.suffix == ".py" or path.is_dir()}
    assert set(CORE) | {"adapters", "servers", "cli"} == inner - {"__init__", "__pycache__"}


def test_tests_are_no_package():
    """tests/flows/__init__.py would hide the real flows."""
    assert [] == [str(path) for path in (ROOT / "tests").rglob("__init__.py")]


def test_names_of_test_files_are_unique():
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert [] == sorted({name for name in names if names.count(name) > 1})


@pytest.mark.parametrize("folder", [*PACKAGES, "tests"])
def test_modules_stay_small(folder):
    sizes = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in modules(folder)
    }
    assert sizes
    assert {} == {path: lines for path, lines in sizes.items() if lines > HARD_LIMIT}


@pytest.mark.parametrize("folder", PACKAGES)
def test_no_module_is_named_after_nothing(folder):
    """A module is named after its one concept; these names say none."""
    empty = {"utils", "util", "helpers", "helper", "common", "base", "manager", "misc"}
    assert [] == [str(path) for path in modules(folder) if empty & set(path.stem.split("_"))]
