"""Holds every request and answer of a boto3 client against botocore's own model of the service.

botocore itself checks a request's required members, types and least sizes. This adds greatest sizes, enumerations,
patterns and, for answers, members that the model does not know, which botocore drops silently.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from botocore import handlers
from botocore.model import Shape


class AwsModelError(AssertionError):
    """A request or an answer that AWS would not send or take."""


_BEFORE, _AFTER = "provide-client-params.*.*", "after-call.*.*"


def validate_everything(session: Any) -> Any:
    """Make every client of a boto3 session check itself.

    Args:
        session: A boto3 session; no client was made from it yet.
    """
    session.events.register(_BEFORE, _before)
    session.events.register(_AFTER, _after)
    return session


@contextmanager
def every_session_validated() -> Iterator[list[str]]:
    """Make every client of every session that is made meanwhile check itself, whoever makes it.

    Yields:
        What was found: code under test may swallow the error that is raised, but not this list's entry.
    """
    found: list[str] = []

    def before(**event: Any) -> None:
        _noted(found, _before, event)

    def after(**event: Any) -> None:
        _noted(found, _after, event)

    entries = [(_BEFORE, before), (_AFTER, after)]
    handlers.BUILTIN_HANDLERS.extend(entries)
    try:
        yield found
    finally:
        for entry in entries:
            handlers.BUILTIN_HANDLERS.remove(entry)


def _noted(found: list[str], check: Any, event: dict[str, Any]) -> None:
    try:
        check(**event)
    except AwsModelError as error:
        found.append(str(error))
        raise


def _before(params: dict[str, Any], model: Any, **_: Any) -> None:
    if model.input_shape is not None:
        _raise_if(model, violations(model.input_shape, params, "request"))


def _after(http_response: Any, parsed: dict[str, Any], model: Any, **_: Any) -> None:
    if http_response.status_code >= 300 or model.output_shape is None:
        return
    if model.service_model.resolved_protocol == "json":  # the raw body: botocore drops what it does not know
        _raise_if(model, violations(model.output_shape, json.loads(http_response.content or b"{}"), "answer"))
    else:
        told = {key: value for key, value in parsed.items() if key != "ResponseMetadata"}
        _raise_if(model, violations(model.output_shape, told, "answer"))


def violations(shape: Shape, value: Any, path: str) -> list[str]:
    """What a value has against a shape; empty when it fits.

    Args:
        shape: botocore's model.
        value: As JSON has it, or as botocore parses it.
        path: Where the value stands, for the messages.
    """
    check = _CHECKS.get(shape.type_name)
    return [] if check is None else list(check(shape, value, path))


def _raise_if(model: Any, found: list[str]) -> None:
    if found:
        raise AwsModelError(f"{model.service_model.service_name}.{model.name}: " + "; ".join(found))


def _structure(shape: Any, value: Any, path: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{path}: {value!r} is not a structure"
        return
    yield from (f"{path}.{name} is missing" for name in shape.required_members if name not in value)
    for name, part in value.items():
        if name in shape.members:
            yield from violations(shape.members[name], part, f"{path}.{name}")
        else:
            yield f"{path}.{name} is not a member of {shape.name}"


def _list(shape: Any, value: Any, path: str) -> Iterator[str]:
    if not isinstance(value, list | tuple):
        yield f"{path}: {value!r} is not a list"
        return
    yield from _bounds(shape, len(value), f"{path}: number of items")
    for number, part in enumerate(value):
        yield from violations(shape.member, part, f"{path}[{number}]")


def _map(shape: Any, value: Any, path: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{path}: {value!r} is not a map"
        return
    yield from _bounds(shape, len(value), f"{path}: number of entries")
    for key, part in value.items():
        yield from violations(shape.key, key, f"{path} key")
        yield from violations(shape.value, part, f"{path}.{key}")


def _string(shape: Any, value: Any, path: str) -> Iterator[str]:
    if not isinstance(value, str):
        yield f"{path}: {value!r} is not text"
        return
    yield from _bounds(shape, len(value), f"{path}: length")
    if shape.enum and value not in shape.enum:
        yield f"{path}: {value!r} is not among {shape.enum}"
    pattern = shape._shape_model.get("pattern", "")
    if pattern and not _matches(pattern, value):
        yield f"{path}: {value!r} does not match {pattern}"


# Java's classes inside of brackets, as nearly as Python's own can tell them, and slips of AWS's own models.
_TRANSLATED = {
    "\\p{L}": "a-zA-Z\u00aa-\U0001ffff",
    "\\p{N}": "0-9",
    "\\p{Z}": "\\s",
    "\\p{M}": "\u0300-\u036f",
    "\\p{Alnum}": "a-zA-Z0-9",
    "[\\p{Print}]": "[ -~]",
    "\\p{ASCII}*": "[\\x00-\\x7f]*",
    "\\uD800\\uDC00-\\uDBFF\\uDFFF": "\U00010000-\U0010ffff",
    "*)${1,128}": "*)$",
    "*)${1,256}": "*)$",
    "\\A": "",
    "\\z": "",
}


def _matches(pattern: str, value: str) -> bool:
    for theirs, ours in _TRANSLATED.items():
        pattern = pattern.replace(theirs, ours)
    if "\\p{" in pattern:  # punctuation and symbols have no range: whatever it is fits
        return True
    return re.fullmatch(pattern.removeprefix("^"), value) is not None


def _number(shape: Any, value: Any, path: str) -> Iterator[str]:
    if isinstance(value, bool) or not isinstance(value, int | float):
        yield f"{path}: {value!r} is not a number"
        return
    if shape.type_name in {"integer", "long"} and not isinstance(value, int):
        yield f"{path}: {value!r} is not a whole number"
    yield from _bounds(shape, value, path)


def _boolean(shape: Any, value: Any, path: str) -> Iterator[str]:
    if not isinstance(value, bool):
        yield f"{path}: {value!r} is not a boolean"


def _timestamp(shape: Any, value: Any, path: str) -> Iterator[str]:
    if isinstance(value, dt.datetime):  # what boto3 takes in a request, and makes of an answer
        return
    if isinstance(value, bool) or not isinstance(value, int | float):
        yield f"{path}: {value!r} is not seconds since the epoch"


def _bounds(shape: Any, size: float, what: str) -> Iterator[str]:
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    if least is not None and size < least:
        yield f"{what} == {size}, must be >= {least}"
    if most is not None and size > most:
        yield f"{what} == {size}, must be <= {most}"


def _blob(shape: Any, value: Any, path: str) -> Iterator[str]:
    if isinstance(value, str | bytes | bytearray):
        yield from _bounds(shape, len(value), f"{path}: length")
    elif not hasattr(value, "read"):
        yield f"{path}: {type(value).__name__} is not bytes"


_CHECKS: dict[str, Any] = {
    "blob": _blob,
    "structure": _structure,
    "list": _list,
    "map": _map,
    "string": _string,
    "boolean": _boolean,
    "timestamp": _timestamp,
    "integer": _number,
    "long": _number,
    "float": _number,
    "double": _number,
}
