"""What does not fit into memory is written aside, and nothing of it stays."""

from __future__ import annotations

import os
import subprocess
import sys

QUESTION = """
from staged_rollout.adapters import lake_sql

with lake_sql.engine().cursor() as connection:
    connection.execute("SET memory_limit = '120MB'")
    found = connection.sql(
        "SELECT count(*) FROM (SELECT DISTINCT md5(CAST(i AS VARCHAR)) FROM range(4000000) AS numbers(i))"
    )
    print(found.fetchall()[0][0])
    print(connection.sql("SELECT current_setting('temp_directory')").fetchall()[0][0])
"""


def test_a_question_beyond_memory_is_answered_from_a_folder_that_goes_away(tmp_path):
    """The law: four million distinct texts are counted in 120 MB, away from the working folder; nothing stays."""
    working, aside = tmp_path / "working", tmp_path / "aside"
    working.mkdir()
    aside.mkdir()
    environment = {**os.environ, "TMPDIR": str(aside)}
    done = subprocess.run(
        [sys.executable, "-c", QUESTION],
        cwd=working,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert 0 == done.returncode, done.stderr
    count, folder = done.stdout.split()
    assert 4_000_000 == int(count)
    assert folder.startswith(str(aside))
    assert ([], []) == (list(working.iterdir()), list(aside.iterdir()))
