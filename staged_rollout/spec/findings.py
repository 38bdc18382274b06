"""What lint finds, and the error that carries all of it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from staged_rollout.errors import SpecError


@dataclass(frozen=True)
class Finding:
    """One thing about one place of a file.

    Args:
        file: The file, as it was named.
        line: Counted from 1.
        key: Dotted path of the key; empty for the file as a whole.
        value: What was written; empty if nothing was.
        problem: What is wrong, as a clause that follows the value.
        accepts: What would be accepted.
        severity: Warnings do not stop a rollout.
    """

    file: str
    line: int
    key: str
    value: str
    problem: str
    accepts: str
    severity: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}: "
        mark = "warning: " if self.severity == "warning" else ""
        key = f"{self.key}: " if self.key else ""
        value = f"{_short(self.value)!r} " if self.value else ""
        return f"{place}{mark}{key}{value}{self.problem}; accepted: {self.accepts}"


def errors_among(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Only those that stop a rollout."""
    return tuple(finding for finding in findings if finding.severity == "error")


def spec_error(file: str, findings: Iterable[Finding]) -> SpecError:
    """One error that shows and carries every finding, in the order of lines."""
    ordered = in_order(findings)
    count = len(errors_among(ordered))
    lines = "\n".join(f"  {finding}" for finding in ordered)
    return SpecError(f"{file}: {count} error{'' if count == 1 else 's'}\n{lines}", findings=ordered)


def in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Sorted by line, then by key."""
    return tuple(sorted(findings, key=lambda finding: (finding.line, finding.key)))


def unknown_key(key: str, siblings: Iterable[str]) -> tuple[str, str]:
    """The problem and what is accepted, for a key that nobody knows.

    >>> unknown_key("looksies", ["looks", "min", "max"])
    ("is not a key here; did you mean 'looks'?", 'looks, min, max')
    """
    known = list(siblings)
    near = difflib.get_close_matches(key[:100], known, n=1)
    suggestion = f"; did you mean {near[0]!r}?" if near else ""
    return f"is not a key here{suggestion}", ", ".join(known)


def _short(value: str) -> str:
    return value if len(value) <= 80 else f"{value[:77]}..."
