"""The one place that chooses adapters for an environment; each is imported and opened at its first use."""

from __future__ import annotations

from functools import cached_property

from staged_rollout.ports import (
    Assignments,
    Checks,
    Clock,
    Health,
    Lake,
    Ledger,
    LogSource,
    Notifier,
    Platform,
    Registry,
    Serving,
    Tracker,
    VersionEvents,
)
from staged_rollout.spec.environment import EnvironmentSpec
from staged_rollout.spec.home import Home


def open_platform(environment: EnvironmentSpec, home: Home, *, notifier: Notifier | None = None) -> Platform:
    """The platform of an environment below a home folder.

    Args:
        environment: Its choices.
        home: Where everything lies.
        notifier: Replaces the log; tasks pass a Prefect notification block.
    """
    if environment.adapters.uses_aws:
        from staged_rollout.adapters.platform_aws import AwsPlatform

        return AwsPlatform(environment, home, notifier)
    return EmbeddedPlatform(environment, home, notifier)


class EmbeddedPlatform:
    """Everything on one machine: SQLite, Iceberg on files, MLflow without a server, and a local endpoint over HTTP."""

    def __init__(self, environment: EnvironmentSpec, home: Home, notifier: Notifier | None = None) -> None:
        self._environment = environment
        self._home = home
        self._notifier = notifier

    @property
    def environment(self) -> EnvironmentSpec:
        """The choices."""
        return self._environment

    @property
    def home(self) -> Home:
        """Where everything lies."""
        return self._home

    @cached_property
    def clock(self) -> Clock:
        """Real, or simulated for the demo and tests."""
        from staged_rollout.adapters.clocks import RealClock, SimulatedClock

        return SimulatedClock(self._home.clock_file) if self._environment.clock == "simulated" else RealClock()

    @cached_property
    def ledger(self) -> Ledger:
        """SQLite below the home, or whatever `STAGED_ROLLOUT_LEDGER` or the environment file names."""
        from staged_rollout.adapters.ledger_sql import open_ledger

        return open_ledger(self._home.ledger_url(self._environment.ledger))

    @cached_property
    def registry(self) -> Registry:
        """MLflow on SQLite."""
        from staged_rollout.adapters.registry_mlflow import MlflowRegistry

        return MlflowRegistry(self._home.registry)

    @cached_property
    def version_events(self) -> VersionEvents | None:
        """None: MLflow without a server has no events, and is polled."""
        return None

    @cached_property
    def serving(self) -> Serving:
        """boto3 against the local endpoint."""
        from staged_rollout.adapters.local_servers import running_servers
        from staged_rollout.adapters.serving_sagemaker import SageMakerServing

        return SageMakerServing(endpoint_url=running_servers(self._home).endpoint_url)

    @cached_property
    def assignments(self) -> Assignments:
        """A file per endpoint."""
        from staged_rollout.adapters.assignments_file import FileAssignments

        return FileAssignments(self._home.assignments)

    @cached_property
    def logs(self) -> LogSource:
        """The home's folders, and whatever else the environment's `logs:` names."""
        from staged_rollout.adapters.log_folder import LogFolder
        from staged_rollout.adapters.log_paths import JoinedLogs

        folders = LogFolder(self._home)
        others = self._other_logs(self._home)
        return folders if others is None else JoinedLogs(folders, others)

    @cached_property
    def lake(self) -> Lake:
        """Iceberg on files."""
        from staged_rollout.adapters.lake_iceberg import IcebergLake

        return IcebergLake(self._home)

    @cached_property
    def checks(self) -> Checks:
        """Great Expectations."""
        from staged_rollout.adapters.checks_gx import GreatExpectations

        return GreatExpectations()

    @cached_property
    def health(self) -> Health:
        """Routers' files."""
        from staged_rollout.adapters.health_files import FileHealth

        return FileHealth(self._home.health)

    @cached_property
    def tracker(self) -> Tracker:
        """MLflow on SQLite."""
        from staged_rollout.adapters.tracker_mlflow import MlflowTracker

        return MlflowTracker(self._home.registry)

    @cached_property
    def notifier(self) -> Notifier:
        """A log, unless another was passed in."""
        from staged_rollout.adapters.notifier_log import LogNotifier

        return self._notifier or LogNotifier(self._home.root / "notifications.jsonl")

    def _other_logs(self, home: Home | None) -> LogSource | None:
        """What the environment's `logs:` names; files below a home given keep their names there."""
        if not self._environment.logs:
            return None
        from staged_rollout.adapters.log_paths import LogEntry, LogPaths

        entries = [
            LogEntry(log.source, log.kind, log.endpoint, log.variant, log.fields) for log in self._environment.logs
        ]
        return LogPaths(entries, self._home.root, home=home, apart=self._home.lake, lenient=True)
