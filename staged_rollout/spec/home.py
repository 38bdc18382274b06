"""Where everything lies below STAGED_ROLLOUT_HOME."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

ENV_HOME = "STAGED_ROLLOUT_HOME"
ENV_LEDGER = "STAGED_ROLLOUT_LEDGER"
ENV_ENVIRONMENT = "STAGED_ROLLOUT_ENVIRONMENT"


@dataclass(frozen=True)
class Home:
    """The folder of one installation on one machine.

    Attributes:
        root: `STAGED_ROLLOUT_HOME`, by default `.staged-rollout` in the working directory.
        lake_folder: A lake that lies elsewhere; None: `lake` below the root.
    """

    root: Path
    lake_folder: Path | None = None

    @classmethod
    def from_environment(cls, override: str | Path | None = None) -> Home:
        """The home that an option, then the environment variable, then the default names."""
        return cls(Path(override or os.environ.get(ENV_HOME) or ".staged-rollout").absolute())

    def ledger_url(self, environment: str | None = None) -> str:
        """The ledger's SQLAlchemy URL: `STAGED_ROLLOUT_LEDGER`, then the environment file's, then a SQLite file."""
        return os.environ.get(ENV_LEDGER) or environment or f"sqlite:///{self.root / 'ledger.db'}"

    @property
    def run_file(self) -> Path:
        """The ports and process ids of the local endpoint and router (run.json)."""
        return self.root / "run.json"

    @property
    def clock_file(self) -> Path:
        """The simulated clock's present time (clock.json)."""
        return self.root / "clock.json"

    @property
    def lake(self) -> Path:
        """Iceberg warehouse, its SQLite catalog, claims and batches."""
        return self.lake_folder or self.root / "lake"

    @property
    def logs(self) -> Path:
        """Logs to ingest: `predictions/ENDPOINT/DAY/*.jsonl` and `outcomes/ENDPOINT/*.jsonl`."""
        return self.root / "logs"

    @property
    def capture(self) -> Path:
        """Data Capture in SageMaker's layout: `ENDPOINT/VARIANT/yyyy/mm/dd/hh/*.jsonl`."""
        return self.root / "capture"

    @property
    def assignments(self) -> Path:
        """One `ENDPOINT.json` for each endpoint that has routers."""
        return self.root / "assignments"

    @property
    def registry(self) -> Path:
        """MLflow's SQLite file and artifacts."""
        return self.root / "registry"

    @property
    def serving(self) -> Path:
        """The local endpoint's own state, so that it survives a restart."""
        return self.root / "serving"

    @property
    def health(self) -> Path:
        """What routers count: `ENDPOINT/ROUTER.json` with calls and the time of the last."""
        return self.root / "health"

    @property
    def quality(self) -> Path:
        """Data Docs: `index.html`, and `ROLLOUT/DAY.html` with a page for each event day that was checked."""
        return self.root / "quality"
