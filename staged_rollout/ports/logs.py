"""Where logs lie: files in a folder, objects in a bucket."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

LogKind = Literal["predictions", "capture", "outcomes"]


@dataclass(frozen=True)
class LogFile:
    """One file as listed.

    Attributes:
        kind: Which parser reads it.
        endpoint: The endpoint that it belongs to, from its place.
        name: Path below the source's root, with `/`; unique within the source.
        size: Bytes now (of the compressed file for .gz).
    """

    kind: LogKind
    endpoint: str
    name: str
    size: int


class LogSource(Protocol):
    """Lists and reads logs; never changes them."""

    def list(self) -> list[LogFile]:
        """All files, ordered by name."""
        ...

    def read(self, file: LogFile, start: int = 0) -> Iterator[bytes]:
        """The file's bytes from a (decompressed) offset, in chunks of bounded size."""
        ...
