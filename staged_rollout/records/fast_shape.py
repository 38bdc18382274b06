"""What most lines of a block have in common, learnt from one of them, and which lines have it, proved byte by byte.

A shape is the text of a line with its values taken out: `{"a": _, "b": {"c": _}}`. A line has the shape when all that
lies between its values is, byte for byte, that text. Then it has exactly those keys, in that order, none double, and
is JSON when each value is; nothing but values is left to check.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from staged_rollout.records.fast_index import PAD_BYTES

Path = tuple[str | int, ...]
"""Where a value lies: keys, and places in arrays, from the outside in."""

MAX_SLOTS = 256
"""Most values that a shape may have."""

_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}:,]|[^\s\[\]{}:,"]+')
_MAX_PATH = 16  # with as many brackets in a value, still no deeper than the strict parser goes
_MARK, _MARK_ESCAPED = "\x01", b"\\u0001"  # no key of a shape has a control character
_MARKED = re.compile(r'"\\u0001(\d+)"')


@dataclass(frozen=True)
class Run:
    """Values side by side that few texts are expected for: all of them are proved by one comparison.

    Attributes:
        first: The first value's number in the shape.
        last: The last value's number.
        texts: What lines read from the first value to the last one, with the literals between.
        values: For each of these values what it is in each of the texts, as JSON.
    """

    first: int
    last: int
    texts: tuple[bytes, ...]
    values: tuple[tuple[bytes, ...], ...]


@dataclass(frozen=True)
class Shape:
    """The text around a line's values.

    Attributes:
        literals: What lies before each value and after the last one; one more than values.
        paths: Each value's place.
        whole: Whether the last value is an object taken as one, whatever lies in it.
        runs: Values side by side that few texts are expected for, in order.
    """

    literals: tuple[bytes, ...]
    paths: tuple[Path, ...]
    whole: bool = False
    runs: tuple[Run, ...] = ()

    def skeleton(self) -> dict[str, Any]:
        """The object that a line is, with a `Slot` for each value."""
        text = b"".join(
            literal + (b'"%s%d"' % (_MARK_ESCAPED, number) if number < len(self.paths) else b"")
            for number, literal in enumerate(self.literals)
        )
        found: dict[str, Any] = _with_slots(json.loads(text))
        return found


@dataclass(frozen=True)
class Slot:
    """Stands for a value in a skeleton.

    Attributes:
        number: Which value of the shape.
    """

    number: int


def compact_parts(value: Any) -> list[str | Slot]:
    """A part of a skeleton as compact JSON text: text, slot, text ... and text at last.

    Args:
        value: A part of a skeleton.
    """
    text = json.dumps(_with_marks(value), ensure_ascii=False, separators=(",", ":"))
    parts = _MARKED.split(text)
    return [Slot(int(part)) if number % 2 else part for number, part in enumerate(parts)]


def slots_of(value: Any) -> set[int]:
    """The numbers of the slots in a part of a skeleton."""
    return {part.number for part in compact_parts(value) if isinstance(part, Slot)}


def learn_shape(line: bytes, whole: Path | None = None) -> Shape | None:
    """The shape of a line, or None when it has none that can be matched.

    An array without strings is one value. Keys with escapes, two values side by side without a string between them and
    more than MAX_SLOTS values are not matched.

    Args:
        line: One JSON object that the strict parser read, without line end and blanks around.
        whole: The object here is one value, provided that nothing but closing braces follows it.
    """
    values = _values(line, whole)
    if not 0 < len(values) <= MAX_SLOTS:
        return None
    literals, at = [], 0
    for _, begin, end in values:
        literals.append(line[at:begin])
        at = end
    literals.append(line[at:])
    paths = tuple(path for path, _, _ in values)
    taken_whole = whole is not None and paths[-1] == whole and _is_object(line[values[-1][1] : values[-1][2]])
    between = literals[1:-1]
    if (
        b"\\" in b"".join(literals)
        or any(b'"' not in literal for literal in between)
        or sum(map(len, literals)) > PAD_BYTES // 2
        or max(map(len, paths)) > _MAX_PATH
        or (whole is not None and not taken_whole)
    ):
        return None
    return Shape(tuple(literals), paths, taken_whole)


def _values(line: bytes, whole: Path | None) -> list[tuple[Path, int, int]]:
    """Each value's path, first byte and the byte after it."""
    found: list[tuple[Path, int, int]] = []
    stack: list[tuple[Path, bool]] = []  # path of each open container, and whether it is an object
    path: Path = ()
    key_next, skip_until = False, 0
    for token in _TOKEN.finditer(line):
        text = token[0]
        if token.start() < skip_until:
            continue
        if text in b"{[":
            close = len(line) - len(stack) if whole is not None and path == whole else _flat_array_end(line, token)
            if stack and close:
                found.append((path, token.start(), close))
                skip_until = close
                continue
            stack.append((path, text == b"{"))
            key_next = text == b"{"
            path = (*path, 0) if text == b"[" else path
        elif text in b"}]":
            path, _ = stack.pop()
        elif text == b",":
            container, is_object = stack[-1]
            key_next = is_object
            if not is_object:
                path = (*container, int(path[-1]) + 1)
        elif text == b":":
            continue
        elif key_next:
            path = (*stack[-1][0], json.loads(text))
            key_next = False
        else:
            found.append((path, token.start(), token.end()))
    return found


def _is_object(text: bytes) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


def _flat_array_end(line: bytes, token: re.Match[bytes]) -> int:
    """The byte after an array of nothing but numbers and the like, or 0 when the token opens none."""
    if token[0] != b"[":
        return 0
    close = line.find(b"]", token.end())
    inside = line[token.end() : close]
    return close + 1 if close >= 0 and not any(mark in inside for mark in b'"[{') else 0


def _with_slots(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _with_slots(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_with_slots(inner) for inner in value]
    return Slot(int(value.removeprefix(_MARK)))


def _with_marks(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _with_marks(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_with_marks(inner) for inner in value]
    return f"{_MARK}{value.number}"
