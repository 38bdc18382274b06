"""Looks as MLflow runs: one experiment per rollout, one run per look, on a SQLite file without a server."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from staged_rollout.errors import PlatformError

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

LOOK_TAG = "staged_rollout.look"
"""The tag that names a run's look; it is what makes recording idempotent."""

_PAGE = 1000


class MlflowTracker:
    """Satisfies `ports.tracker.Tracker`. MLflow is imported at the first record.

    Only MlflowClient is used, with this file as its store: the process-wide tracking address stays untouched, and no
    `mlruns` folder appears in the working directory.

    Args:
        folder: `HOME/registry`; the store is `mlflow.db` in it, artifacts would lie in `artifacts`.
    """

    _check = "check STAGED_ROLLOUT_HOME/registry/mlflow.db"

    def __init__(self, folder: Path) -> None:
        self._folder = folder.absolute()
        self._client: MlflowClient | None = None

    def record(self, rollout: str, look: str, metrics: Mapping[str, float], tags: Mapping[str, str]) -> None:
        """Write one look's metrics; writing the same look again changes nothing, and finishes a run that was cut off.

        Args:
            rollout: The experiment's name.
            look: Any text, such as `look-3`; unique within the rollout.
            metrics: Figures by name.
            tags: Text by name.

        Raises:
            PlatformError: MLflow's store cannot be read or written.
        """
        client = self._open()
        from mlflow.exceptions import MlflowException

        try:
            experiment = self._experiment(client, rollout)
            run = self._run(client, experiment, look)
            if run is None:
                run = client.create_run(experiment, run_name=look, tags={LOOK_TAG: look})
            if run.info.status != "FINISHED":
                self._write(client, run, metrics, tags)
        except (MlflowException, OSError) as error:
            raise PlatformError(
                f"look {look} of {rollout} was not recorded in MLflow: {error}",
                hint=f"{self._check}; figures are safe in the ledger",
                rollout=rollout,
                look=look,
            ) from error

    def _open(self) -> MlflowClient:
        if self._client is None:
            os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read while MLflow is imported
            from mlflow import MlflowClient

            try:
                self._folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise PlatformError(
                    f"MLflow's folder cannot be made: {error.strerror}", hint="check STAGED_ROLLOUT_HOME"
                ) from error
            store = f"sqlite:///{self._folder / 'mlflow.db'}"
            self._client = MlflowClient(tracking_uri=store, registry_uri=store)
        return self._client

    @property
    def _artifacts(self) -> str | None:
        """Where artifacts of looks would lie; None: where the server says."""
        return (self._folder / "artifacts" / "looks").as_uri()

    def _experiment(self, client: MlflowClient, rollout: str) -> str:
        known = client.get_experiment_by_name(rollout)
        if known is None:
            return str(client.create_experiment(rollout, artifact_location=self._artifacts))
        if known.lifecycle_stage == "deleted":
            client.restore_experiment(known.experiment_id)
        return str(known.experiment_id)

    def _run(self, client: MlflowClient, experiment: str, look: str) -> Run | None:
        """The look's run. Compared here, not in MLflow's filter language, which has no bound parameters."""
        token: str | None = None
        while True:
            page = client.search_runs([experiment], max_results=_PAGE, page_token=token)
            for run in page:
                if run.data.tags.get(LOOK_TAG) == look:
                    return run
            token = page.token
            if not token:
                return None

    @staticmethod
    def _write(client: MlflowClient, run: Run, metrics: Mapping[str, float], tags: Mapping[str, str]) -> None:
        from mlflow.entities import Metric, RunTag

        begun: Any = run.info.start_time  # one timestamp for all: a metric that is sent again is the same row
        client.log_batch(
            run.info.run_id,
            metrics=[Metric(name, float(value), begun, 0) for name, value in sorted(metrics.items())],
            tags=[RunTag(name, value) for name, value in sorted(tags.items())],
        )
        client.set_terminated(run.info.run_id)
