"""Someone who looks all the time: are weights and shares valid, is the champion served, does the router answer?"""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import Any

import httpx

from demo.traffic import TIME_HEADER
from staged_rollout.adapters.assignments_file import FileAssignments
from staged_rollout.adapters.aws_client import make_client
from staged_rollout.errors import StagedRolloutError
from staged_rollout.state import State
from tests.chaos.mortal_servers import MortalServers
from tests.e2e.small_world import SmallWorld, Story

EVERY_S = 0.5


class Witness(threading.Thread):
    """Samples the endpoint, the document in force and the router until it is told to stop.

    Attributes:
        seen: How many samples of each kind were taken.
        excused: Samples that could not be taken while endpoint or router was down.
        violations: What must never be, in words.
    """

    def __init__(self, world: SmallWorld, servers: MortalServers, story: Story, rollout: str, probe: Any) -> None:
        super().__init__(name="witness", daemon=True)
        self._world, self._servers, self._story, self._rollout = world, servers, story, rollout
        self._probe_body = probe
        self._assignments = FileAssignments(world.home.assignments)
        self._client = make_client(
            "sagemaker", endpoint_url=servers.endpoint_url, region="us-east-1", retries=0, connect_timeout_s=2.0
        )
        self._stopped = threading.Event()
        self.seen: Counter[str] = Counter()
        self.excused = 0
        self.violations: list[str] = []

    def run(self) -> None:
        with httpx.Client(base_url=self._servers.router_url, timeout=30.0, trust_env=False) as http:
            while not self._stopped.wait(EVERY_S):
                self._look("document", self._document)
                self._look("endpoint", self._endpoint)
                self._look("router", lambda: self._router(http))

    def stop(self) -> None:
        self._stopped.set()
        self.join()
        self._client.close()

    def _look(self, kind: str, look: Any) -> None:
        begun = time.monotonic()
        try:
            wrong = look()
        except Exception as error:  # noqa: BLE001 - a witness tells whatever it met
            wrong = f"{type(error).__name__}: {error}"
        self.seen[kind] += 1
        if not wrong:
            return
        if kind != "document" and self._servers.out(begun, time.monotonic()):
            self.excused += 1
        else:
            self.violations.append(f"{kind}: {wrong}")

    def _document(self) -> str:
        published = self._assignments.read(self._story.endpoint)
        if published is None:
            return "no document is in force"
        document = published.document
        shares = (document.split, document.enrolled, document.share)
        return "" if all(0.0 <= share <= 1.0 for share in shares) else f"shares {shares}"

    def _endpoint(self) -> str:
        told = self._client.describe_endpoint(EndpointName=self._story.endpoint)
        weights = {one["VariantName"]: one["CurrentWeight"] for one in told["ProductionVariants"]}
        if min(weights.values()) < 0 or abs(sum(weights.values()) - 1.0) > 1e-6:
            return f"weights {weights}"
        counts = {one["VariantName"]: one["CurrentInstanceCount"] for one in told["ProductionVariants"]}
        if counts.get("v1", 0) < 1 and not self._promoted():
            return f"the champion is not served: {counts}"
        return ""

    def _router(self, http: httpx.Client) -> str:
        answer = http.post(
            f"/endpoints/{self._story.endpoint}/predict",
            json={"unit_id": None, "features": self._probe_body},
            headers={TIME_HEADER: self._world.clock.now().isoformat()},
        )
        if answer.status_code != httpx.codes.OK:
            return f"answered {answer.status_code}: {answer.text[:200]}"
        variant = answer.json()["variant"]
        if variant != "v1" and not self._promoted():
            return f"a caller without a unit was answered by {variant}"
        return ""

    def _promoted(self) -> bool:
        """Whether the candidate is on its way to being the champion, whose weights then rise."""
        try:
            state = self._world.state(self._rollout)
        except StagedRolloutError:
            return False
        later = {State.PROMOTING, State.BAKING, State.PROMOTED}
        return state.state in later or any(stay.state in later for stay in state.stages)
