"""Takes one look at a home's lake, through the real `gather()`; prints its CPU seconds and what it counted, as JSON.

    python benchmarks/look_at.py HOME DAY

The rollout is in LIVE since the first day, its plan has a look each day, and the look of DAY (from 1) is due: traffic,
contradictions, the success metric with its moments, guardrails, sample ratio, drift, segments, freshness. Only the
ledger, the endpoint and the assignments are in memory; the lake and its statements are the real ones.
"""

from __future__ import annotations

import json
import sys
import time
from datetime import timedelta
from pathlib import Path

from checkout import find_tests

find_tests()

from staged_rollout.adapters.lake_iceberg import IcebergLake  # noqa: E402 - after the path is set
from staged_rollout.operations.look import gather  # noqa: E402 - as above
from staged_rollout.spec.home import Home  # noqa: E402 - as above
from staged_rollout.state import Actor, EventType, State  # noqa: E402 - as above
from tests.conftest import CHURN, RolloutBuilder  # noqa: E402 - as above
from tests.fakes.figures import PLAN  # noqa: E402 - as above
from tests.fakes.log_corpus import START  # noqa: E402 - as above
from tests.fakes.memory import world  # noqa: E402 - as above
from tests.fakes.ports import MemoryHealth  # noqa: E402 - as above

LAST = 70
"""Days of enrolment and maturation."""

LIVE = {"split": [0.5, 0.5], "looks": {"every": "1d"}, "min": "1d", "max": f"{LAST - 1}d"}


def main() -> None:
    """Take the look."""
    home, day = Home(Path(sys.argv[1]).absolute()), int(sys.argv[2])
    spec = {**CHURN, "stages": {**CHURN["stages"], "live": LIVE}, "success": {**CHURN["success"], "baseline": 0.8}}
    days = [f"{number}d" for number in range(1, LAST + 1)]
    plan = {
        **PLAN,
        "slots": days,
        "efficacy": days,
        "last": days[-1],
        "latency_grid_ms": [20.0, 30.0, 36.0, 40.0, 43.0],
    }
    built = RolloutBuilder(spec).at(State.LIVE).add(EventType.PLAN_FROZEN, **plan)
    began = built.state.effective_at(State.LIVE)
    if began is None or built.epoch != 5 or began - START > timedelta(days=1):
        message = f"LIVE began at {began} in epoch {built.epoch}, but the generated logs are of epoch 5"
        raise ValueError(message)
    now = began + timedelta(days=day, hours=1)
    platform = world(built.events, now)
    platform.health = MemoryHealth(calls=1, last_call_at=now)
    platform.lake = IcebergLake(home)
    # What is imported late is not the look's: one statement asked before brings the engine and the catalog.
    asked = {"endpoint": spec["endpoint"], "rollout": built.rollout, "cut_off": now}
    platform.lake.query("freshness", asked, batch=platform.lake.head())
    start = time.process_time()
    _, evidence = gather(platform, built.rollout, Actor("advance_rollout"))
    spent = time.process_time() - start
    platform.lake.close()
    look = evidence.look
    if look is None:
        message = f"no look was due on day {day}"
        raise ValueError(message)
    requests = evidence.traffic.champion.requests + evidence.traffic.candidate.requests
    print(json.dumps({"cpu_s": spent, "slot": look.slot, "requests": requests}))


if __name__ == "__main__":
    main()
