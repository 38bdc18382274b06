"""What callers send."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from staged_rollout.adapters.resource_names import is_resource_name

UNIT_LIMIT = 256
"""Bytes of a unit's id in UTF-8: percent-encoded it still fits into CustomAttributes (1,024 characters)."""

_ID_LIMIT = 64
_KEYS = {"unit_id", "features", "request_id", "nonce"}


class BadRequestError(Exception):
    """The request is not one; the message says what would be accepted."""


@dataclass(frozen=True)
class PredictRequest:
    """One request for a prediction.

    Attributes:
        endpoint: The endpoint that is asked.
        unit: The unit's id as text, or None: then the champion answers and no rollout counts it.
        features: What the models get.
        request_id: The caller's own id, or None for a derived one.
        nonce: What tells a unit's requests apart when the id is derived: sent again with the same nonce, a request has
            the same id; or None for a random one.
    """

    endpoint: str
    unit: str | None
    features: dict[str, Any]
    request_id: str | None
    nonce: str | None


def read_request(endpoint: str, body: bytes) -> PredictRequest:
    """Parse a request's body.

    A unit may be text or a whole number, which is the same unit as its text; empty text is no unit.

    Raises:
        BadRequestError: it is not JSON, or a member is missing, unknown or of another kind.
    """
    if not is_resource_name(endpoint):
        raise BadRequestError("the endpoint's name must be 1 to 63 letters, digits and inner hyphens")
    try:
        told = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadRequestError(f"the body is not JSON: {error}") from error
    if not isinstance(told, dict):
        raise BadRequestError("the body must be a JSON object")
    if unknown := sorted(set(told) - _KEYS):
        raise BadRequestError(f"unknown members {unknown}, known are {sorted(_KEYS)}")
    features = told.get("features")
    if not isinstance(features, dict):
        raise BadRequestError("features must be a JSON object")
    if not can_be_logged(features):
        raise BadRequestError("features are nested too deeply")
    return PredictRequest(
        endpoint=endpoint,
        unit=_unit(told.get("unit_id")),
        features=features,
        request_id=_identifier(told, "request_id"),
        nonce=_nonce(told.get("nonce")),
    )


def can_be_logged(value: Any) -> bool:
    """Whether a value that was read as JSON can be written as JSON inside a row: one parses deeper than it writes."""
    try:
        orjson.dumps([[[value]]])
    except TypeError:
        return False
    return True


def _unit(value: Any) -> str | None:
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise BadRequestError("unit_id must be text, a whole number or null")
    unit = str(value)
    if len(unit.encode()) > UNIT_LIMIT:
        raise BadRequestError(f"unit_id has {len(unit.encode())} bytes, must be at most {UNIT_LIMIT}")
    return unit


def _identifier(told: dict[str, Any], key: str) -> str | None:
    value = told.get(key)
    if value is None:
        return None
    printable = isinstance(value, str) and value.isascii() and value.isprintable() and " " not in value
    if not printable or not 1 <= len(value) <= _ID_LIMIT:
        raise BadRequestError(f"{key} must be 1 to {_ID_LIMIT} visible ASCII characters")
    return str(value)


def _nonce(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise BadRequestError("nonce must be text or a whole number")
    return str(value)
