"""What a question to the lake needs of memory does not depend on how much it reads."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

QUESTION = """
import re
from pathlib import Path
from staged_rollout.adapters import lake_sql

found = lake_sql.engine().cursor().sql(
    "SELECT count(*) FROM (SELECT DISTINCT md5(CAST(i AS VARCHAR)) FROM range(8000000) AS numbers(i))"
)
print(found.fetchall()[0][0], re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""
MOST_KIB = 600 << 10
"""Without a limit it is 735 MiB."""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the kernel tells a process's own peak in /proc")
def test_a_question_beyond_memory_is_answered_from_a_folder_that_goes_away(tmp_path):
    """The law: eight million distinct texts are counted within the limit, and nothing of them stays."""
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", QUESTION], env=environment, capture_output=True, text=True, timeout=300, check=False
    )

    assert 0 == done.returncode, done.stderr
    count, peak = map(int, done.stdout.split())
    assert 8_000_000 == count
    assert peak < MOST_KIB
    assert [] == list(tmp_path.iterdir())
