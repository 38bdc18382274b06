"""Appending lines to files that change with the hour or day, so that a killed process loses no line that it wrote."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from pathlib import Path

_OPEN = 16


class LineFiles:
    """Keeps the latest files open, and writes each line with one `write` to a descriptor in append mode. Thread-safe.

    What `write` took is the kernel's: it survives SIGKILL of this process (not a power cut, which would need an fsync
    per request).
    """

    def __init__(self) -> None:
        self._open: OrderedDict[Path, int] = OrderedDict()
        self._torn: set[Path] = set()
        self._lock = threading.Lock()

    def append(self, path: Path, line: bytes) -> None:
        """Add a line; the newline is added here.

        Raises:
            OSError: the line was not written, or not wholly; the next line of this file starts on a fresh one.
        """
        with self._lock:  # or another thread's new file could close this descriptor between finding and writing it
            content = (b"\n" if path in self._torn else b"") + line + b"\n"
            written = os.write(self._descriptor(path), content)
            if written != len(content):
                self._torn.add(path)
                raise OSError(f"{path}: {written} of {len(content)} bytes were written")
            self._torn.discard(path)

    def close(self) -> None:
        """Close all files."""
        with self._lock:
            while self._open:
                os.close(self._open.popitem()[1])

    def _descriptor(self, path: Path) -> int:
        descriptor = self._open.get(path)
        if descriptor is not None:
            self._open.move_to_end(path)
            return descriptor
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._open[path] = descriptor
        if len(self._open) > _OPEN:  # simulated days pass in seconds: old files are not written again
            os.close(self._open.popitem(last=False)[1])
        return descriptor
