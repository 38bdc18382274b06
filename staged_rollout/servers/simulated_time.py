"""The header by which a demo's traffic says what time it is.

It is honoured only when the server was started with `--simulated-time` and the caller is on the same machine; anything
else is ignored, so that nobody can write history into a real log.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from ipaddress import ip_address

HEADER = "x-staged-rollout-time"
"""Holds an ISO 8601 time with a zone."""


def is_loopback(client: str | None) -> bool:
    """Whether an address is this machine's own."""
    try:
        return client is not None and ip_address(client).is_loopback
    except ValueError:
        return False


def request_time(headers: Mapping[str, str], client: str | None, *, enabled: bool) -> datetime | None:
    """The simulated time of a request, in UTC, or None when the header is absent or not to be honoured.

    Args:
        headers: The request's headers, names in lower case.
        client: The caller's address.
        enabled: Whether the server runs on simulated time.

    Raises:
        ValueError: the header is to be honoured and is not a time with a zone.
    """
    text = headers.get(HEADER)
    if text is None or not enabled or not is_loopback(client):
        return None
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError(f"{HEADER}: {text!r} has no time zone")
    return time.astimezone(UTC)
