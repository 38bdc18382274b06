"""Everything that an operation may touch, opened once."""

from __future__ import annotations

from dataclasses import dataclass

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
from staged_rollout.spec.environment import EnvironmentSpec
from staged_rollout.spec.home import Home


@dataclass(frozen=True)
class Platform:
    """One environment's parts behind their ports, as `adapters.platform.open_platform` chose them."""

    environment: EnvironmentSpec
    home: Home
    clock: Clock
    ledger: Ledger
    registry: Registry
    serving: Serving
    assignments: Assignments
    logs: LogSource
    lake: Lake
    checks: Checks
    health: Health
    tracker: Tracker
    notifier: Notifier
