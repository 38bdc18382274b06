"""The demo's last page: endings, the endpoint as it is, the books, and what Prefect counted."""

from __future__ import annotations

import asyncio
import json
import os

from prefect.client.orchestration import get_client

from demo.reports import report_file, where, write_report
from demo.screen import Ending, Screen
from demo.stopwatch import Stopwatch
from staged_rollout.adapters.atomic_file import replace_file
from staged_rollout.ports import Platform
from staged_rollout.spec.home import ENV_ENVIRONMENT, ENV_HOME


def finale(screen: Screen, platform: Platform, endings: list[Ending], stopwatch: Stopwatch) -> None:
    """Print the final table and what stands around it."""
    screen.table(endings)
    told = {ending.version: ending.ending for ending in endings}
    replace_file(platform.home.root / "endings.json", json.dumps(told).encode())
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
    screen.say(f"time: {stopwatch.told()}")
    for ending in endings:
        if not report_file(platform, ending.rollout).exists():  # killed between the ending and its report
            write_report(platform, ending.rollout)
    files = [where(report_file(platform, ending.rollout)) for ending in endings]
    screen.say(f"what was decided and why, with charts: {'  '.join(files)}")
    home = os.path.relpath(platform.home.root)
    screen.say(f'to ask more: export PATH="$PWD/.venv/bin:$PATH" {ENV_HOME}={home} {ENV_ENVIRONMENT}=demo')
    screen.say(f"every event: staged-rollout history {endings[0].rollout}")


def _endpoints(platform: Platform) -> list[str]:
    """Endpoints that have routers, by name."""
    return sorted(path.stem for path in platform.home.assignments.glob("*.json"))


async def _flow_runs() -> int:
    async with get_client() as client:
        return await client.count_flow_runs()
