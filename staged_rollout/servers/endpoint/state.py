"""What the local endpoint remembers: models, configs and endpoints, in one file that is replaced whole.

One file and one rename: a killed process leaves the state before a call or after it. A change in progress is part of
the state, so a restart completes it.
"""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from staged_rollout.adapters.atomic_file import replace_file
from staged_rollout.errors import PlatformError, RefusedError
from staged_rollout.servers.endpoint.shapes import (
    ContainerDefinition,
    CreateEndpointConfigRequest,
    DataCaptureConfig,
    Tag,
)

Status = Literal["Creating", "Updating", "InService", "Deleting", "Failed"]
Kind = Literal["create", "config", "weights", "delete"]


class Stored(BaseModel):
    """A part of the state; times are seconds since the epoch."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class StoredModel(Stored):
    """A model."""

    name: str
    container: ContainerDefinition
    role: str | None
    isolated: bool
    tags: tuple[Tag, ...]
    created: float


class StoredConfig(Stored):
    """An endpoint config: what was asked for, and when."""

    request: CreateEndpointConfigRequest
    tags: tuple[Tag, ...]
    created: float


class FleetVariant(Stored):
    """A variant as it runs: self-contained, because AWS lets a model be deleted while an endpoint runs it."""

    name: str
    package: str
    weight: float
    instance_count: int
    instance_type: str


class Fleet(Stored):
    """Everything that answers for an endpoint."""

    config: str
    production: tuple[FleetVariant, ...]
    shadow: FleetVariant | None
    capture: DataCaptureConfig | None


class Change(Stored):
    """A change in progress.

    Attributes:
        kind: What was asked for.
        fleet: What will run, or None for a deletion.
        started: When it was asked for.
        ready_at: The earliest time at which it is done.
    """

    kind: Kind
    fleet: Fleet | None
    started: float
    ready_at: float


class StoredEndpoint(Stored):
    """An endpoint.

    Attributes:
        name: Its name.
        config: The config that DescribeEndpoint tells: the old one until an update is done.
        status: By AWS's names.
        fleet: What answers now, or None until it has been in service once.
        change: What is in progress.
        failure: Why the last change failed, or "".
        tags: Its tags.
        created: When it was asked for.
        modified: When it last changed.
    """

    name: str
    config: str
    status: Status
    fleet: Fleet | None
    change: Change | None
    failure: str
    tags: tuple[Tag, ...]
    created: float
    modified: float


class ServingState(BaseModel):
    """All resources, by name."""

    model_config = ConfigDict(extra="forbid")

    format: Literal["staged-rollout/serving/1"] = "staged-rollout/serving/1"
    models: dict[str, StoredModel] = Field(default_factory=dict)
    configs: dict[str, StoredConfig] = Field(default_factory=dict)
    endpoints: dict[str, StoredEndpoint] = Field(default_factory=dict)


class StateFile:
    """Reads and replaces the state.

    Args:
        folder: Where it lies (`Home.serving`).
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / "state.json"

    def load(self) -> ServingState:
        """The state; empty when there is none yet.

        Raises:
            PlatformError: the file is not a state.
        """
        try:
            return ServingState.model_validate_json(self._path.read_bytes())
        except FileNotFoundError:
            return ServingState()
        except ValidationError as error:
            raise PlatformError(
                f"{self._path} is not a serving state: {error.error_count()} errors", path=str(self._path)
            ) from error

    def save(self, state: ServingState) -> None:
        """Replace the state; when this returns it survives a crash."""
        replace_file(self._path, state.model_dump_json(by_alias=True, indent=1).encode())

    @contextmanager
    def held(self, patience_s: float = 10.0) -> Iterator[None]:
        """Own the state for as long as the process serves.

        Args:
            patience_s: Seconds to wait for a process before, which may be stopping still.

        Raises:
            RefusedError: another process serves from this folder.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        deadline = time.monotonic() + patience_s
        with (self._folder / "lock").open("ab") as lock:
            while not _locked(lock):
                if time.monotonic() > deadline:
                    raise RefusedError(
                        f"another local endpoint serves from {self._folder}", hint="stop it, or choose another home"
                    )
                time.sleep(0.05)
            yield


def _locked(file: IO[bytes]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
