"""What a Prefect server needs beside deployments: the work pool's limit, global limits, automations."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from datetime import timedelta

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
from prefect.exceptions import ObjectAlreadyExists

from demo.stack.site import ENVIRONMENT
from demo.stack.stack import POOL, RUNS_AT_A_TIME
from staged_rollout.spec.load import load_rollout
from staged_rollout.spec.locations import find_rollout
from tasks.automations import ensure
from tasks.platforms import platform_of
from tasks.turns import LAKE_WRITER


async def pool() -> None:
    """The work pool, for processes, and the global limits."""
    async with get_client() as client:
        with suppress(ObjectAlreadyExists):
            await client.create_work_pool(WorkPoolCreate(name=POOL, type="process"))
        await client.update_work_pool(POOL, WorkPoolUpdate(concurrency_limit=RUNS_AT_A_TIME))
        await client.upsert_global_concurrency_limit_by_name(LAKE_WRITER, 1)


async def automations() -> None:
    """Automations, once there are deployments."""
    spec = load_rollout(find_rollout("churn"), environment=platform_of(ENVIRONMENT).environment)
    for name, done in (await ensure(ENVIRONMENT, max(spec.blind_after, timedelta(minutes=2)))).items():
        print(f"{done:9} {name}")


if __name__ == "__main__":
    asyncio.run({"pool": pool, "automations": automations}[sys.argv[1]]())
