"""Where logs lie: files in a folder, objects in a bucket."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from staged_rollout.records.blocks import FieldMap, LineContext, LineKind

LogKind = LineKind


@dataclass(frozen=True)
class LogFile:
    """One file as listed.

    Attributes:
        kind: Which parser reads it.
        endpoint: The endpoint that it belongs to, from its place.
        name: Path below the source's root, or an absolute one, with `/`; unique within the source.
        size: Bytes now (of the compressed file for .gz).
        variant: The variant that answered, from its place; None but for captures.
        version: Changes whenever the content may have changed (size and time of a file, ETag of an object); a file
            whose version was ingested is not opened again.
        compressed: Whether its bytes are gzip; such a file is complete when it appears, and offsets are decompressed
            ones.
        fields: Other people's names for our fields.
        at: A moment for lines that tell none (ground truth), from its place or else when it was last written; UTC.
    """

    kind: LogKind
    endpoint: str
    name: str
    size: int
    variant: str | None = None
    version: str = ""
    compressed: bool = False
    fields: FieldMap = field(default_factory=FieldMap)
    at: datetime | None = None

    def context(self, pseudonym: Callable[[str], str]) -> LineContext:
        """What the parser must know of it.

        Args:
            pseudonym: Keyed hash of a unit id.
        """
        # Lines that tell their own time are parsed together, whichever file they lie in.
        at = self.at if self.kind == "ground-truth" else None
        return LineContext(self.kind, self.endpoint, pseudonym, self.variant, self.fields, at)


class LogSource(Protocol):
    """Lists and reads logs; never changes them."""

    def list(self) -> list[LogFile]:
        """All files that may hold something new, ordered by name."""
        ...

    def read(self, file: LogFile, start: int = 0) -> Iterator[bytes]:
        """The file's bytes from a (decompressed) offset up to the listed size, in chunks of bounded size.

        Raises:
            DataError: the file is gone, or a compressed one is broken or not complete; chunks given before are good.
        """
        ...

    def settled(self) -> None:
        """Every listed file was read to its end: a later listing may leave out what cannot have changed since."""
        ...
