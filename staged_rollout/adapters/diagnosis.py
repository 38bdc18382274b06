"""What a machine's checks answer, and how they are run: each by itself, in bounded time, whatever it meets."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from staged_rollout.errors import StagedRolloutError

Grade = Literal["ok", "warning", "broken"]

CHECKOUT = Path(__file__).resolve().parents[2]
_IN_CHECKOUT = (CHECKOUT / "Makefile").is_file()
# Not `make clean`, which would take the default home, and the ledger with it.
REINSTALL = "rm -rf .venv && make setup" if _IN_CHECKOUT else "pip install --force-reinstall staged-rollout"
"""Mends packages that are missing or damaged."""
UPDATE = "git pull && make setup" if _IN_CHECKOUT else "pip install --upgrade staged-rollout"
"""Mends a program that is older than what it is to read."""


@dataclass(frozen=True)
class Found:
    """What one check saw.

    Attributes:
        grade: Warnings stop nothing; what is broken does.
        text: What was found, in a sentence.
        mend: The one command that mends it; "": the check's own.
    """

    grade: Grade
    text: str
    mend: str = ""


@dataclass(frozen=True)
class Check:
    """One question to a machine.

    Attributes:
        name: In a word or two.
        needed: What would be right.
        mend: The command that mends it, unless the finding names a better one.
        examine: Looks; it changes nothing. Whatever it raises means broken.
        limit_s: Seconds until it is given up.
    """

    name: str
    needed: str
    mend: str
    examine: Callable[[], Found]
    limit_s: float = 30.0


@dataclass(frozen=True)
class Diagnosis:
    """A check with its answer; `mend` is "" where all is well."""

    check: str
    grade: Grade
    found: str
    needed: str
    mend: str


def diagnose(checks: Iterable[Check]) -> Iterator[Diagnosis]:
    """Run checks one after another; none can hide, stop or hold up the others.

    Args:
        checks: What to ask.

    Yields:
        One answer for each check, as soon as it is there.
    """
    for check in checks:
        found = _bounded(check)
        mend = "" if found.grade == "ok" else found.mend or check.mend
        yield Diagnosis(check.name, found.grade, found.text, check.needed, mend)


def _bounded(check: Check) -> Found:
    answers: list[Found] = []
    # A thread, because a hung disk or name server cannot be interrupted, only left behind; it ends with the process.
    thread = threading.Thread(target=lambda: answers.append(_isolated(check)), name=check.name, daemon=True)
    thread.start()
    thread.join(check.limit_s)
    return answers[0] if answers else Found("broken", f"no answer within {check.limit_s:g} s")


def _isolated(check: Check) -> Found:
    try:
        return check.examine()
    except StagedRolloutError as error:
        return Found("broken", error.message)
    except ImportError as error:
        return Found("broken", f"{type(error).__name__}: {error}", REINSTALL)
    except OSError as error:
        where = f"{error.filename}: " if error.filename is not None else ""
        return Found("broken", f"{where}{error.strerror or error}")
    except BaseException as error:  # noqa: BLE001 - also what native code raises beside Exception must stay in its check
        return Found("broken", f"{type(error).__name__}: {error}")
