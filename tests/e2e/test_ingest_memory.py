"""What ingest needs of memory does not depend on the length of a line or of a file."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

MIB = 1 << 20

# Peak memory after a small file, then after the large one, in KiB.
INGEST = """
import re, sys
from datetime import UTC, datetime
from pathlib import Path
from staged_rollout.adapters.lake_iceberg import IcebergLake
from staged_rollout.adapters.log_folder import LogFolder
from staged_rollout.operations.ingest import ingest
from staged_rollout.spec.home import Home

class Clock:
    simulated = True
    def now(self): return datetime(2026, 3, 2, 12, tzinfo=UTC)
    def wall(self): return 0.0

def peak():
    # Not ru_maxrss: it begins with the peak of whoever started the process.
    return re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]

for root in sys.argv[1:]:
    home = Home(Path(root))
    lake = IcebergLake(home)
    report = ingest(logs=LogFolder(home), lake=lake, clock=Clock())
    lake.close()
    print(peak(), report.lines, report.accepted, report.quarantined)
"""


def write(home, parts):
    """A compressed log of parts, each a number of times; how long it is on the disk does not matter."""
    path = home / "logs/predictions/churn/2026-03-02/router.jsonl.gz"
    path.parent.mkdir(parents=True)
    with gzip.open(path, "wb", compresslevel=1) as stream:
        for content, times in parts:
            for _ in range(times):
                stream.write(content)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the kernel tells a process's own peak in /proc")
def test_lines_of_any_length_and_files_of_any_length_fit(tmp_path):
    """The law: a line of 256 MiB, one of 5 MB and 100 MiB of records need no more than a few blocks."""
    moment = datetime(2026, 3, 2, 12, tzinfo=UTC).isoformat()
    record = {"request_id": "r1", "timestamp": moment, "rollout": None, "unit_id": "u", "variant": "v1"}
    record |= {"assigned_variant": "v1", "fallback": False, "epoch": 1, "model_version": "1", "prediction": 1}
    line = json.dumps(record | {"latency_ms": 1.5, "status": 200, "features": {"text": "x" * 4000}}).encode() + b"\n"
    many = 100 * MIB // len(line)
    write(tmp_path / "small", [(line, 1)])
    write(tmp_path / "large", [(line, 1), (b"y" * MIB, 256), (b"\n", 1), (b"z" * 5_000_000 + b"\n", 1), (line, many)])
    command = [sys.executable, "-c", INGEST, str(tmp_path / "small"), str(tmp_path / "large")]
    done = subprocess.run(command, check=False, capture_output=True, text=True)

    assert 0 == done.returncode, done.stderr
    (small, *first), (large, *second) = ([int(word) for word in told.split()] for told in done.stdout.splitlines())
    assert [1, 1, 0] == first
    assert [many + 3, 1, 2] == second
    assert large - small < 200 * 1024
    assert large < 700 * 1024
