"""Runs a program as a child and says what it cost, by the kernel's own account of that child."""

from __future__ import annotations

import os
import resource
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Cost:
    """What one run cost.

    Attributes:
        cpu_s: User and system seconds, of all its threads and of the children that it waited for.
        wall_s: Seconds from start to end; on a busy machine they say little.
        peak_mb: Largest resident set, in 10^6 bytes.
        failed: "" or the last line of what it complained of.
        output: What it printed.
    """

    cpu_s: float
    wall_s: float
    peak_mb: float
    failed: str
    output: str

    def figures(self) -> dict[str, float | str]:
        """Without what was printed."""
        return {key: value for key, value in asdict(self).items() if key != "output"}


def measured(command: Sequence[str], *, environment: Mapping[str, str] | None = None, timeout_s: float = 3600) -> Cost:
    """Run a command to its end.

    A child's largest resident set is never less than that of the process which started it: whoever calls this stays
    small, and imports nothing heavy before.

    Args:
        command: Program and arguments.
        environment: Variables on top of this process's.
        timeout_s: Seconds after which it is killed, and has failed.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        start = time.monotonic()
        child = subprocess.Popen(command, stdout=out, stderr=err, env={**os.environ, **(environment or {})})
        usage = _waited(child, timeout_s)
        wall = time.monotonic() - start
        out.seek(0)
        err.seek(0)
        complaint = err.read().decode(errors="replace").strip()
        code = child.returncode
        said = complaint.splitlines()[-1][:300] if complaint else ""
        return Cost(
            cpu_s=usage.ru_utime + usage.ru_stime,
            wall_s=wall,
            peak_mb=usage.ru_maxrss * 1024 / 1e6,
            failed="" if code == 0 else f"exit {code}: {said}",
            output=out.read().decode(errors="replace"),
        )


def _waited(child: subprocess.Popen[bytes], timeout_s: float) -> resource.struct_rusage:
    watch = threading.Timer(timeout_s, child.kill)
    watch.start()
    try:
        _, status, usage = os.wait4(child.pid, 0)
    finally:
        watch.cancel()
    child.returncode = os.waitstatus_to_exitcode(status)
    return usage
