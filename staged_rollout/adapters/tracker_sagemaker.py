"""Looks as MLflow runs on a SageMaker-managed tracking server, named by its ARN."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from staged_rollout.adapters.aws_session import AwsSession
from staged_rollout.adapters.tracker_mlflow import MlflowTracker

if TYPE_CHECKING:
    from mlflow import MlflowClient

_LOCK = threading.Lock()


class SageMakerMlflowTracker(MlflowTracker):
    """Satisfies `ports.tracker.Tracker`; the plugin `sagemaker-mlflow` signs as the environment's role.

    The plugin reads the ARN from MLflow's process-wide tracking address when it signs. So that address is the server's
    while a look is recorded, and what it was before afterwards.

    Args:
        arn: The tracking server's or app's.
        session: The environment's way into AWS.
    """

    _check = "see that the tracking server runs, and that the role may call sagemaker-mlflow:*"

    def __init__(self, arn: str, session: AwsSession) -> None:
        super().__init__(Path(os.devnull))
        self._arn = arn
        self._session = session

    def record(self, rollout: str, look: str, metrics: Mapping[str, float], tags: Mapping[str, str]) -> None:
        """As `MlflowTracker.record`, on the server.

        Raises:
            PlatformError: the server, or AWS, does not answer or refuses.
            RefusedError: the credentials belong to another account.
        """
        with _LOCK, self._addressed():
            super().record(rollout, look, metrics, tags)

    @contextmanager
    def _addressed(self) -> Iterator[None]:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read while MLflow is imported
        session = self._session.boto3
        import mlflow
        from sagemaker_mlflow import use_session  # type: ignore[import-untyped]

        tracking: Any = mlflow
        before = tracking.get_tracking_uri() if tracking.is_tracking_uri_set() else None
        tracking.set_tracking_uri(self._arn)
        try:
            with use_session(session):
                yield
        finally:
            tracking.set_tracking_uri(before)

    def _open(self) -> MlflowClient:
        if self._client is None:
            from mlflow import MlflowClient

            self._client = MlflowClient(tracking_uri=self._arn, registry_uri=self._arn)
        return self._client

    @property
    def _artifacts(self) -> str | None:
        return None
