"""The demo's last page: endings, the endpoint as it is, the books, and what Prefect counted."""

from __future__ import annotations

import asyncio
import os

from prefect.client.orchestration import get_client

from demo.screen import Ending, Screen
from staged_rollout.ports import Platform


def finale(screen: Screen, platform: Platform, endings: list[Ending]) -> None:
    """Print the final table and what stands around it."""
    screen.table(endings)
    for endpoint in _endpoints(platform):
        observed = platform.serving.describe(endpoint)
        if observed is None:
            continue
        variants = ", ".join(f"{v.name} ({v.reference}) at weight {v.weight:g}" for v in observed.production)
        shadow = f", shadow {observed.shadow.name}" if observed.shadow else ""
        screen.say(f"endpoint {endpoint}: {observed.status}, serves {variants}{shadow}")
    books = platform.lake.books()
    lines, accepted, duplicates, quarantined, late, blank = (
        sum(getattr(book, name) for book in books)
        for name in ("lines", "accepted", "duplicates", "quarantined", "late", "blank")
    )
    balanced = "balanced" if lines == accepted + duplicates + quarantined + late + blank else "NOT BALANCED"
    screen.say(
        f"logs: {lines:,} lines = {accepted:,} accepted + {duplicates:,} duplicates + {quarantined:,} quarantined + "
        f"{late:,} late + {blank:,} blank ({balanced}), in {platform.lake.head().number} batches"
    )
    screen.say(f"Prefect's database holds {asyncio.run(_flow_runs()):,} flow runs")
    home = os.path.relpath(platform.home.root)
    command = f".venv/bin/staged-rollout --environment demo history {endings[0].rollout}"
    screen.say(f"look closer: STAGED_ROLLOUT_HOME={home} {command}")


def _endpoints(platform: Platform) -> list[str]:
    """Endpoints that have routers, by name."""
    return sorted(path.stem for path in platform.home.assignments.glob("*.json"))


async def _flow_runs() -> int:
    async with get_client() as client:
        return await client.count_flow_runs()
