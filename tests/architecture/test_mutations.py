"""The tests of the invariants can fail: each is run against a copy of the code with one mistake in it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.architecture.mutations import MUTATIONS, Mutation

ROOT = Path(__file__).parents[2]
COPIED = ("staged_rollout", "sql", "configs", "tests", "pyproject.toml", "README.md")
LEFT_OUT = shutil.ignore_patterns("__pycache__", "golden", "e2e", "contract", "*.db")
ONE_FAILURE_IS_ENOUGH = """

from hypothesis import Phase

settings.register_profile("mutated", deadline=None, derandomize=True, phases=[Phase.explicit, Phase.generate])
settings.load_profile("mutated")
"""
"""Added to the copy's conftest: the same examples each time, and none is made smaller."""
TESTS_FAILED = 1
"""pytest's exit code when tests ran and some failed; a test that cannot be collected or found has another one."""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy of the repository in which a mistake can be made."""
    root = tmp_path_factory.mktemp("mutated")
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, root / name, ignore=LEFT_OUT)
        elif source.exists():
            shutil.copy2(source, root / name)
    conftest = root / "tests" / "conftest.py"
    conftest.write_text(conftest.read_text() + ONE_FAILURE_IS_ENOUGH)
    yield root
    shutil.rmtree(root)


def run(root: Path, nodes: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """The nodes in a process of their own, on the copy; its bytecode is only kept of the code without a mistake."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST", "STAGED_ROLLOUT"))}
    environment |= {"PYTHONPATH": str(root), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    if len(nodes) == 1:
        environment |= {"PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *nodes]
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_without_a_mistake_every_named_test_passes(checkout):
    """The control: the copy is whole, and what fails below fails for the mistake."""
    done = run(checkout, sorted({mutation.test for mutation in MUTATIONS}))
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]


@pytest.mark.slow
@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda known: f"{known.invariant:02d} {known.name}")
def test_a_mistake_is_noticed(checkout, mutation: Mutation):
    file = checkout / mutation.file
    text, times = file.read_text(), file.stat()
    file.write_text(text.replace(mutation.old, mutation.new))
    try:
        done = run(checkout, [mutation.test])
    finally:
        file.write_text(text)
        os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert done.returncode == TESTS_FAILED, f"{mutation.test} did not notice it\n{done.stdout[-3000:]}{done.stderr}"


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda known: f"{known.invariant:02d} {known.name}")
def test_a_mutation_names_a_text_that_is_there_once(mutation: Mutation):
    """A refactoring that moves the text shows here, before the mutation turns into one that changes nothing."""
    assert (ROOT / mutation.file).read_text().count(mutation.old) == 1
    assert mutation.old != mutation.new


def test_every_invariant_has_a_mutation_and_a_test_that_bears_its_number():
    assert {mutation.invariant for mutation in MUTATIONS} == set(range(1, 15))
    for mutation in MUTATIONS:
        file, name = mutation.test.split("::")
        assert f"def {name}(" in (ROOT / file).read_text()
    text = "".join(path.read_text() for path in sorted((ROOT / "tests").rglob("test_*.py")))
    missing = [number for number in range(1, 15) if f"def test_invariant_{number:02d}_" not in text]
    assert missing == []
