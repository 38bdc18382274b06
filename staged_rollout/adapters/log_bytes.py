"""The bytes of one log file, plain or gzip, in chunks of bounded size."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

from staged_rollout.errors import DataError

CHUNK = 1 << 20
"""Bytes handed over at a time."""


def read_bytes(path: Path, name: str, *, start: int, size: int, compressed: bool) -> Iterator[bytes]:
    """The bytes from a (decompressed) offset, in chunks of at most 1 MiB.

    Args:
        path: The file.
        name: What errors call it.
        start: First byte.
        size: Where a plain file ends, as listed: what is appended meanwhile belongs to its next version.
        compressed: Whether it is gzip.

    Raises:
        DataError: the file cannot be read, or a compressed one is broken or not complete; chunks given before are good.
    """
    try:
        yield from _decompressed(path, start) if compressed else _plain(path, start, size)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(
            f"{name} is not a complete gzip file: {error}",
            hint="write compressed logs under another name and rename them when they are complete",
            file=name,
        ) from error
    except OSError as error:
        raise DataError(f"{name} cannot be read: {error.strerror or error}", file=name) from error


def _plain(path: Path, start: int, size: int) -> Iterator[bytes]:
    with path.open("rb") as stream:
        stream.seek(start)
        left = size - start
        while left > 0 and (chunk := stream.read(min(CHUNK, left))):
            left -= len(chunk)
            yield chunk


def _decompressed(path: Path, start: int) -> Iterator[bytes]:
    # read1 gives what it has before a broken place; read would raise and lose it.
    with gzip.GzipFile(path, "rb") as stream:
        stream.seek(start)
        while chunk := stream.read1(CHUNK):
            yield chunk
