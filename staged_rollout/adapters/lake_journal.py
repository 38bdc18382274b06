"""Names of files that a batch makes or no longer needs, noted before: what a killed writer leaves is found again."""

from __future__ import annotations

from pathlib import Path

_NEW, _OLD = "+", "-"


class Journal:
    """Lines of sign, batch and path: `+` a file that counts once its batch is sealed, `-` one that does not then.

    Args:
        path: The journal; there is none while nothing is open.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def new(self, batch: int, path: Path) -> None:
        """Note a file that is going to be made."""
        self._note(_NEW, batch, path)

    def old(self, batch: int, path: Path) -> None:
        """Note a file that nobody needs once the batch is sealed."""
        self._note(_OLD, batch, path)

    def settle(self, sealed: int) -> None:
        """Remove new files of batches that were never sealed, and old files of those that were.

        Args:
            sealed: The newest sealed batch.
        """
        if not self._path.exists():
            return
        for line in self._path.read_text(encoding="utf-8", errors="surrogateescape").split("\0"):
            sign, _, rest = line.partition(" ")
            batch, _, path = rest.partition(" ")
            # The last line may be half-written; its file was not made.
            if path.endswith("\n") and (int(batch) > sealed) == (sign == _NEW):
                (self._path.parent / path.removesuffix("\n")).unlink(missing_ok=True)
        self._path.unlink()

    def _note(self, sign: str, batch: int, path: Path) -> None:
        with self._path.open("a", encoding="utf-8", errors="surrogateescape") as file:
            # Below the journal's folder, so that a copy of the lake never removes files of its original.
            file.write(f"{sign} {batch} {path.relative_to(self._path.parent)}\n\0")
