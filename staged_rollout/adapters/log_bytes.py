"""The bytes of one log file, plain or gzip, in chunks of bounded size."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

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
        with path.open("rb") as stream:
            if compressed:
                yield from inflated(stream, name, start)
            else:
                stream.seek(start)
                yield from _plain(stream, size - start)
    except OSError as error:
        raise DataError(f"{name} cannot be read: {error.strerror or error}", file=name) from error


def inflated(stream: BinaryIO, name: str, start: int) -> Iterator[bytes]:
    """What a gzip stream holds from a decompressed offset, in chunks of at most 1 MiB.

    Args:
        stream: Compressed bytes.
        name: What errors call them.
        start: First byte.

    Raises:
        DataError: it is broken or not complete; chunks given before are good.
    """
    # read1 gives what it has before a broken place; read would raise and lose it.
    try:
        with gzip.GzipFile(fileobj=stream, mode="rb") as content:
            content.seek(start)
            while chunk := content.read1(CHUNK):
                yield chunk
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(
            f"{name} is not a complete gzip file: {error}",
            hint="write compressed logs under another name and rename them when they are complete",
            file=name,
        ) from error


def _plain(stream: BinaryIO, left: int) -> Iterator[bytes]:
    while left > 0 and (chunk := stream.read(min(CHUNK, left))):
        left -= len(chunk)
        yield chunk
