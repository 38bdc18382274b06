"""Resources and the changes that endpoints go through: what the control operations share.

All calls come from the event loop, one after the other; every change of the state is on disk before it is answered.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any, TypeVar

from staged_rollout.errors import StagedRolloutError
from staged_rollout.servers.endpoint.aws_errors import ControlError, arn, not_found
from staged_rollout.servers.endpoint.live import LiveEndpoint, load_fleet
from staged_rollout.servers.endpoint.models import ModelShelf
from staged_rollout.servers.endpoint.state import (
    Change,
    Fleet,
    Kind,
    ServingState,
    StateFile,
    Status,
    StoredConfig,
    StoredEndpoint,
    StoredModel,
)

_LOG = logging.getLogger(__name__)
_REASON_LIMIT = 1024
_DURING: dict[Kind, Status] = {
    "create": "Creating",
    "config": "Updating",
    "weights": "Updating",
    "delete": "Deleting",
}

Resource = TypeVar("Resource", StoredModel, StoredConfig, StoredEndpoint)


class ControlPlane:
    """Keeps the state, and completes changes in the background.

    Args:
        file: Where the state lies.
        shelf: Where models come from.
        update_seconds: How long a change lasts at least; loading may take longer.
        delays: Seconds to add to answers, per model package name.
        wall: Seconds since the epoch.
    """

    def __init__(
        self,
        file: StateFile,
        shelf: ModelShelf,
        *,
        update_seconds: float,
        delays: dict[str, float],
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.shelf = shelf
        self.wall = wall
        self._file = file
        self._update_seconds = update_seconds
        self._delays = delays
        self._state = file.load()
        self._live: dict[str, LiveEndpoint] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    @property
    def state(self) -> ServingState:
        """All resources, as on disk."""
        return self._state

    def live(self, name: str) -> LiveEndpoint | None:
        """The endpoint that answers under a name, or None."""
        return self._live.get(name)

    async def resume(self) -> None:
        """Load what was in service, and go on with changes that were in progress."""
        for endpoint in list(self._state.endpoints.values()):
            if endpoint.fleet is not None and endpoint.status != "Deleting":
                try:
                    self._live[endpoint.name] = await self._load(endpoint.name, endpoint.fleet)
                except StagedRolloutError as error:
                    _LOG.exception("endpoint %s cannot be served", endpoint.name)
                    self._fail(endpoint, error)
                    continue
            if endpoint.change is not None:
                self._follow(endpoint.name)

    async def stop(self) -> None:
        """Leave changes where they are; a restart goes on with them."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def put_model(self, name: str, model: StoredModel | None) -> None:
        """Keep a model, or forget it."""
        self._save(models=_with(self._state.models, name, model))

    def put_config(self, name: str, config: StoredConfig | None) -> None:
        """Keep a config, or forget it."""
        self._save(configs=_with(self._state.configs, name, config))

    def put_endpoint(self, name: str, endpoint: StoredEndpoint | None) -> None:
        """Keep an endpoint, or forget it."""
        self._save(endpoints=_with(self._state.endpoints, name, endpoint))

    def endpoint(self, name: str) -> StoredEndpoint:
        """The endpoint of this name.

        Raises:
            ControlError: there is none.
        """
        if name not in self._state.endpoints:
            raise not_found("endpoint", name)
        return self._state.endpoints[name]

    def config(self, name: str) -> StoredConfig:
        """The config of this name.

        Raises:
            ControlError: there is none.
        """
        if name not in self._state.configs:
            raise not_found("endpoint-config", name)
        return self._state.configs[name]

    def model(self, name: str) -> StoredModel:
        """The model of this name.

        Raises:
            ControlError: there is none.
        """
        if name not in self._state.models:
            raise not_found("model", name)
        return self._state.models[name]

    def start(self, endpoint: StoredEndpoint, kind: Kind, fleet: Fleet | None) -> None:
        """Begin a change of an endpoint at rest.

        Raises:
            ControlError: a change is in progress, or the endpoint failed and can only be deleted.
        """
        if endpoint.change is not None:
            raise ControlError(f'Cannot update in-progress endpoint "{arn("endpoint", endpoint.name)}".')
        if endpoint.status == "Failed" and kind != "delete":
            raise ControlError(f'Cannot update failed endpoint "{arn("endpoint", endpoint.name)}"; delete it.')
        now = self.wall()
        change = Change(kind=kind, fleet=fleet, started=now, ready_at=now + self._update_seconds)
        update: dict[str, Any] = {"status": _DURING[kind], "change": change, "modified": now}
        self.put_endpoint(endpoint.name, endpoint.model_copy(update=update))
        if kind == "delete":
            self._live.pop(endpoint.name, None)
        self._follow(endpoint.name)

    def _follow(self, name: str) -> None:
        task = asyncio.get_running_loop().create_task(self._complete(name))
        self._tasks[name] = task
        task.add_done_callback(lambda done: self._tasks.pop(name) if self._tasks.get(name) is done else None)

    async def _complete(self, name: str) -> None:
        endpoint = self.endpoint(name)
        change = endpoint.change
        if change is None:
            return
        live: LiveEndpoint | None = None
        failure: StagedRolloutError | None = None
        try:
            if change.fleet is not None:
                live = await self._load(name, change.fleet)
        except StagedRolloutError as error:
            _LOG.exception("change of endpoint %s failed", name)
            failure = error
        # The machine's clock may have been set back since the change began.
        await asyncio.sleep(min(max(0.0, change.ready_at - self.wall()), self._update_seconds))
        endpoint = self.endpoint(name)  # its tags may have changed meanwhile
        if failure is not None:
            self._fail(endpoint, failure)
        elif change.fleet is None or live is None:
            self.put_endpoint(name, None)
        else:
            self._enter_service(endpoint, change.fleet, live)

    def _enter_service(self, endpoint: StoredEndpoint, fleet: Fleet, live: LiveEndpoint) -> None:
        update: dict[str, Any] = {"status": "InService", "fleet": fleet, "config": fleet.config, "change": None}
        update |= {"failure": "", "modified": self.wall()}
        self.put_endpoint(endpoint.name, endpoint.model_copy(update=update))
        self._live[endpoint.name] = live

    def _fail(self, endpoint: StoredEndpoint, error: StagedRolloutError) -> None:
        # As on AWS, an update that fails leaves the old fleet in service.
        status: Status = "InService" if endpoint.name in self._live else "Failed"
        reason = str(error)[:_REASON_LIMIT]
        update = {"status": status, "change": None, "failure": reason, "modified": self.wall()}
        self.put_endpoint(endpoint.name, endpoint.model_copy(update=update))

    async def _load(self, name: str, fleet: Fleet) -> LiveEndpoint:
        return await asyncio.to_thread(load_fleet, name, fleet, self.shelf, self._delays)

    def _save(self, **update: Any) -> None:
        state = self._state.model_copy(update=update)
        self._file.save(state)
        self._state = state


def _with(resources: dict[str, Resource], name: str, resource: Resource | None) -> dict[str, Resource]:
    rest = {key: value for key, value in resources.items() if key != name}
    return rest if resource is None else {**rest, name: resource}
