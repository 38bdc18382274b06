"""Reading a request's body without letting it grow past a bound."""

from __future__ import annotations

from starlette.requests import Request


class BodyTooLargeError(Exception):
    """The body is larger than the bound; it was not read further."""


async def read_body(request: Request, limit: int) -> bytes:
    """The body.

    Args:
        request: The request, not read yet.
        limit: The largest size, bytes.

    Raises:
        BodyTooLargeError: it is larger, by its declared length or as it arrived.
    """
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit:
        raise BodyTooLargeError
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise BodyTooLargeError
        chunks.append(chunk)
    return b"".join(chunks)
