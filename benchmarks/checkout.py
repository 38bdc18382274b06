"""Makes this checkout's packages the ones that are imported."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parent.parent


def find_tests() -> None:
    """Make `tests` this checkout's: some packages install a top-level module of that name, which would come first."""
    tests = ModuleType("tests")
    tests.__path__ = [str(ROOT / "tests")]
    sys.modules["tests"] = tests
