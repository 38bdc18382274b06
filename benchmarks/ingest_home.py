"""Ingests what lies below a home, as a process; prints the report as JSON. `ingest.py` starts it.

python benchmarks/ingest_home.py HOME
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

from staged_rollout.adapters.clocks import RealClock
from staged_rollout.adapters.lake_iceberg import IcebergLake
from staged_rollout.adapters.log_folder import LogFolder
from staged_rollout.operations.ingest import ingest
from staged_rollout.spec.home import Home


def main() -> None:
    """Ingest once."""
    home = Home(Path(sys.argv[1]).absolute())
    lake = IcebergLake(home)
    try:
        report = ingest(logs=LogFolder(home), lake=lake, clock=RealClock())
    finally:
        lake.close()
    print(json.dumps(asdict(report)))


if __name__ == "__main__":
    main()
