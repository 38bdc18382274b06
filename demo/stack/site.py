"""The stack's site, as a process: the local endpoint and router, people who call every second, and what became of them.

It also registers the models: a champion first, then one candidate after another as the one before has its answer.
"""

from __future__ import annotations

import argparse
import json
import logging
import signal
import sys
import time
import uuid
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import numpy as np

from demo import models
from demo.candidates import CANDIDATES, Fitted
from demo.stack.rules import CALLERS_PER_SECOND
from staged_rollout.adapters.local_servers import LocalServers
from staged_rollout.adapters.registry_mlflow import MlflowRegistry
from staged_rollout.errors import PlatformError, RefusedError
from staged_rollout.operations.journal import load
from staged_rollout.operations.serve import serve
from staged_rollout.ports import Platform
from staged_rollout.spec.home import Home
from staged_rollout.spec.load import load_rollout
from staged_rollout.spec.locations import find_rollout
from staged_rollout.spec.model import RolloutSpec
from tasks.platforms import platform_of

ENVIRONMENT = "up"
READY = "site.json"
"""Written below the home once the champion serves."""
LABELLED_AFTER = timedelta(seconds=30)
"""From a call to its outcome: within the rollout file's matures_after."""
SEED = 7
_CHECK_S = 5.0
_LOG = logging.getLogger("demo.stack.site")


class Site:
    """Everything outside the rollout itself.

    Args:
        platform: Of the environment `up`.
        spec: The rollout file.
        servers: Running.
    """

    def __init__(self, platform: Platform, spec: RolloutSpec, servers: LocalServers) -> None:
        self._platform = platform
        self._spec = spec
        self._servers = servers
        self._customers = models.load_customers(SEED)
        self._rng = np.random.default_rng()
        self._due: deque[tuple[datetime, str, int]] = deque()

    def open(self) -> None:
        """Serve the first champion, unless one serves already.

        Raises:
            PlatformError: the endpoint did not come into service.
        """
        if self._platform.registry.champion(self._spec.registry) is None:
            if not self._platform.registry.versions_after(self._spec.registry, 0):
                self._submit(models.champion_v1(self._customers))
            deadline = time.monotonic() + 90
            while serve(self._platform, self._spec, "1") != "in service":
                if time.monotonic() > deadline:
                    raise PlatformError("the endpoint did not come into service within 90 s")
                time.sleep(0.5)

    def live(self) -> None:
        """Calls and outcomes, for ever."""
        checked = 0.0
        with httpx.Client(timeout=10.0) as client:
            for _ in _beats(1.0 / CALLERS_PER_SECOND):
                self._call(client)
                self._tell()
                if time.monotonic() - checked > _CHECK_S:
                    checked = time.monotonic()
                    self._check()

    def _call(self, client: httpx.Client) -> None:
        customer = int(self._rng.choice(self._customers.traffic))
        unit = f"visitor-{uuid.uuid4().hex[:12]}"
        body = {"request_id": uuid.uuid4().hex, "unit_id": unit, "features": self._customers.rows[customer]}
        try:
            client.post(f"{self._servers.router_url}/predict", json=body)
        except httpx.HTTPError as error:  # a visitor who meets a broken page goes away
            _LOG.warning("the router did not answer: %s", error)
            return
        self._due.append((datetime.now(UTC) + LABELLED_AFTER, unit, int(self._customers.left[customer])))

    def _tell(self) -> None:
        """Append the outcomes that are known by now, each as a whole line."""
        now, lines = datetime.now(UTC), []
        while self._due and self._due[0][0] <= now:
            at, unit, left = self._due.popleft()
            lines.append(json.dumps({"unit_id": unit, "timestamp": at.isoformat(), "outcome": left}) + "\n")
        if lines:
            file = self._platform.home.logs / "outcomes" / self._spec.endpoint / f"{now.date()}.jsonl"
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("a", encoding="utf-8") as stream:
                stream.write("".join(lines))

    def _check(self) -> None:
        """Start servers again that have died, and submit the next candidate when the last one has its answer."""
        if not self._servers.alive:
            _LOG.warning("a server has died; both are started again")
            self._servers.stop()
            self._servers.start()
        known = max(int(one.version) for one in self._platform.registry.versions_after(self._spec.registry, 0))
        if known > 1:
            rollout = f"{self._spec.rollout}-v{known}"
            if not self._platform.ledger.head(rollout) or not load(self._platform, rollout).settled:
                return
        candidate = next((one for one in CANDIDATES if one.version == known + 1), None)
        if candidate is not None:
            self._submit(candidate.fit(self._customers, SEED))
            _LOG.warning("v%d (%s) is registered", candidate.version, candidate.words)

    def _submit(self, fitted: Fitted) -> None:
        registry = self._platform.registry
        if not isinstance(registry, MlflowRegistry):
            raise RefusedError("the stack registers models with MLflow", hint="--environment up")
        estimator, features = fitted
        encodings = {name: codes for name, codes in self._customers.encodings.items() if name in features}
        registry.register(self._spec.registry, estimator, features=features, encodings=encodings)


def _beats(seconds: float) -> Iterator[None]:
    """At a steady pace; what a slow beat lost is not made up for in a burst."""
    due = time.monotonic()
    while True:
        yield
        due = max(due + seconds, time.monotonic() - 1.0)
        time.sleep(max(0.0, due - time.monotonic()))


def main() -> int:
    """Run the site until it is asked to stop."""
    parser = argparse.ArgumentParser(prog="python -m demo.stack.site", description=__doc__)
    parser.add_argument("--home", type=Path, required=True)
    home = Home(parser.parse_args().home)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    platform = platform_of(ENVIRONMENT)
    spec = load_rollout(find_rollout("churn"), environment=platform.environment)
    with LocalServers(home, endpoint=spec.endpoint, router_poll_s=1.0, update_seconds=5.0) as servers:
        site = Site(platform, spec, servers)
        site.open()
        (home.root / READY).write_text(json.dumps({"endpoint": servers.endpoint_url, "router": servers.router_url}))
        site.live()
    return 0


if __name__ == "__main__":
    sys.exit(main())
