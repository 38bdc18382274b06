"""Everything that an operation may touch."""

from __future__ import annotations

from typing import Protocol

from staged_rollout.ports.checks import Checks
from staged_rollout.ports.clock import Clock
from staged_rollout.ports.health import Health
from staged_rollout.ports.lake import Lake
from staged_rollout.ports.ledger import Ledger
from staged_rollout.ports.logs import LogSource
from staged_rollout.ports.notifier import Notifier
from staged_rollout.ports.registry import Registry
from staged_rollout.ports.serving import Assignments, Serving
from staged_rollout.ports.tracker import Tracker
from staged_rollout.ports.version_events import VersionEvents
from staged_rollout.spec.environment import EnvironmentSpec
from staged_rollout.spec.home import Home


class Platform(Protocol):
    """One environment's parts behind their ports, each opened at its first use: a rollback must not wait for a lake."""

    @property
    def environment(self) -> EnvironmentSpec:
        """The choices."""
        ...

    @property
    def home(self) -> Home:
        """Where everything lies."""
        ...

    @property
    def clock(self) -> Clock:
        """The only source of now."""
        ...

    @property
    def ledger(self) -> Ledger:
        """The truth."""
        ...

    @property
    def registry(self) -> Registry:
        """Model versions."""
        ...

    @property
    def version_events(self) -> VersionEvents | None:
        """Events of the registry; None where it is polled only."""
        ...

    @property
    def serving(self) -> Serving:
        """Endpoints."""
        ...

    @property
    def assignments(self) -> Assignments:
        """Documents for routers."""
        ...

    @property
    def logs(self) -> LogSource:
        """Where logs lie."""
        ...

    @property
    def lake(self) -> Lake:
        """Tables."""
        ...

    @property
    def checks(self) -> Checks:
        """Data quality."""
        ...

    @property
    def health(self) -> Health:
        """Routers' own counters."""
        ...

    @property
    def tracker(self) -> Tracker:
        """Experiment tracking."""
        ...

    @property
    def notifier(self) -> Notifier:
        """Telling people."""
        ...
