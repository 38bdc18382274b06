"""Reading a request's body without letting it, or all of them together, grow past a bound."""

from __future__ import annotations

from starlette.requests import Request

MOST_TOGETHER = 64 * 1024 * 1024
"""Bytes of bodies that are being read at one time, over all connections of this process."""

_read_so_far = 0


class BodyTooLargeError(Exception):
    """The body is larger than the bound; it was not read further."""


class TooManyBodiesError(Exception):
    """So many bodies are being read that this one has to wait its turn; it was not read further."""


async def read_body(request: Request, limit: int) -> bytes:
    """The body.

    Args:
        request: The request, not read yet.
        limit: The largest size, bytes.

    Raises:
        BodyTooLargeError: it is larger, by its declared length or as it arrived.
        TooManyBodiesError: together with the others it would exceed `MOST_TOGETHER`.
        ClientDisconnect: the caller went away, or took too long.
    """
    global _read_so_far  # noqa: PLW0603 - one event loop, and nothing is awaited between reading and writing it
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit:
        raise BodyTooLargeError
    chunks: list[bytes] = []
    size = 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
            _read_so_far += len(chunk)
            if size > limit:
                raise BodyTooLargeError
            if _read_so_far > MOST_TOGETHER:
                raise TooManyBodiesError
            chunks.append(chunk)
    finally:
        _read_so_far -= size
    return b"".join(chunks)
