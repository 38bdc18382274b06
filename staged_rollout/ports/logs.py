"""Where logs lie: files in a folder, objects in a bucket."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

from staged_rollout.records.blocks import FieldMap, LineKind

LogKind = LineKind


@dataclass(frozen=True)
class LogFile:
    """One file as listed.

    Attributes:
        kind: Which parser reads it.
        endpoint: The endpoint that it belongs to, from its place.
        name: Path below the source's root, with `/`; unique within the source.
        size: Bytes now (of the compressed file for .gz).
        variant: The variant that answered, from its place; None but for captures.
        version: Changes whenever the content may have changed (size and time of a file, ETag of an object); a file
            whose version was ingested is not opened again.
        compressed: Whether its bytes are gzip; such a file is complete when it appears, and offsets are decompressed
            ones.
        fields: Other people's names for our fields.
    """

    kind: LogKind
    endpoint: str
    name: str
    size: int
    variant: str | None = None
    version: str = ""
    compressed: bool = False
    fields: FieldMap = field(default_factory=FieldMap)


class LogSource(Protocol):
    """Lists and reads logs; never changes them."""

    def list(self) -> list[LogFile]:
        """All files, ordered by name."""
        ...

    def read(self, file: LogFile, start: int = 0) -> Iterator[bytes]:
        """The file's bytes from a (decompressed) offset up to the listed size, in chunks of bounded size.

        Raises:
            DataError: the file is gone, or a compressed one is broken or not complete; chunks given before are good.
        """
        ...
