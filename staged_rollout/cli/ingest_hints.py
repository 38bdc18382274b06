"""What to try when most lines of a file were refused for one reason: most often a name, or how it is read."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import cast

from staged_rollout.errors import LineRejectedError
from staged_rollout.operations.quarantine import KeptLine, KeptLines
from staged_rollout.records.blocks import LineKind
from staged_rollout.records.field_rules import CONSTANT, FIELDS, MAY_BE_MISSING
from staged_rollout.records.json_line import json_object

_FIELD = r"(?P<key>\S+?)(?: \((?P<field>[a-z_]+)\))?"
_MISSING = re.compile(rf"missing key: {_FIELD}(?: \(found .+\))?")
_UNREAD = re.compile(rf"{_FIELD} (?:is not a timestamp like .*|has no time zone)")
_NO_TEXT = re.compile(rf"{_FIELD} is not a string")
_KEYS_SHOWN = 30


def main_causes(kept: Sequence[KeptLines], whole: Mapping[str, int]) -> list[KeptLines]:
    """For each cause that refused most lines of a file which gave no row: lines that show it, each cause once.

    Args:
        kept: What is kept of these files.
        whole: Files of which no line is a row, and how many lines they have.
    """
    counts: Counter[tuple[str, str]] = Counter()
    for one in kept:
        if one.verdict == "quarantined":
            counts[one.source, one.cause] += one.lines
    found: dict[str, KeptLines] = {}
    for one in kept:
        if one.source in whole and counts[one.source, one.cause] * 2 > whole[one.source]:
            found.setdefault(one.cause, one)
    return list(found.values())


def hint_for(line: KeptLine, kind: str, cause: str, entries: Mapping[str, str | None]) -> list[str]:
    """Options that may make lines like this one records; [] when nothing is known to help.

    Args:
        line: One of them.
        kind: Kind of log.
        cause: Why they were refused.
        entries: The field map that they were read with.
    """
    if (missing := _MISSING.fullmatch(cause)) is not None:
        return _for_missing(line, cast("LineKind", kind), missing["field"] or missing["key"], entries)
    if (unread := _UNREAD.fullmatch(cause)) is not None:
        return [f"--field timestamp={unread['key']}:utc where times without a zone are UTC"]
    if (no_text := _NO_TEXT.fullmatch(cause)) is not None:
        field, key = no_text["field"] or no_text["key"], no_text["key"]
        if field == "timestamp":
            return [f"--field timestamp={key}:unix for seconds since 1970, {key}:unix-ms for milliseconds"]
        if no_text["field"] is None:
            return [f"--field {field}={key} takes ids that are integers, too"]
    return []


def _for_missing(line: KeptLine, kind: LineKind, field: str, entries: Mapping[str, str | None]) -> list[str]:
    if field not in FIELDS.get(kind, ()):
        return []
    try:
        keys = [key for key in json_object(line.raw) if key.isprintable()]
    except LineRejectedError:
        return []
    lacking = [name for name in FIELDS[kind] if name not in keys and name not in entries and name not in MAY_BE_MISSING]
    if field not in lacking:
        lacking.insert(0, field)
    fixed = [name for name in lacking if name in CONSTANT]
    said = [
        f"the lines have {', '.join(keys[:_KEYS_SHOWN])}; not found: {', '.join(lacking)}",
        "--field NAME=THEIRS for each that is called otherwise, --field NAME= for each that they have none of",
    ]
    if fixed:
        said.append(f"--field {fixed[0]}==TEXT where it is the same on every line")
    return said
