"""Calls over HTTP to the router, by two client threads."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from demo.world import Call, Outcome
from staged_rollout.errors import PlatformError

THREADS = 2
TIME_HEADER = "x-staged-rollout-time"


def already_logged(folder: Path) -> set[str]:
    """Request ids that the router logged on one day before the demo was killed: these calls were made.

    Args:
        folder: The day's.
    """
    known: set[str] = set()
    for file in sorted(folder.glob("*.jsonl")):
        for line in file.read_bytes().splitlines():
            try:
                known.add(json.loads(line)["request_id"])
            except (ValueError, KeyError):  # a line that the kill cut short; ingest quarantines it
                continue
    return known


def send(url: str, calls: Sequence[Call], on_answer: Callable[[int], None]) -> None:
    """Make every call; the answers are the router's business, and are logged there.

    Args:
        url: The router's base address.
        calls: In order of time.
        on_answer: Told how many calls were answered since it was last told.

    Raises:
        PlatformError: the router did not answer.
    """
    limits = httpx.Limits(max_connections=THREADS, max_keepalive_connections=THREADS)
    with httpx.Client(base_url=url, timeout=30.0, limits=limits) as client, ThreadPoolExecutor(THREADS) as pool:

        def one(call: Call) -> None:
            body = {"request_id": call.request_id, "unit_id": call.unit_id, "features": call.features}
            response = client.post("/predict", json=body, headers={TIME_HEADER: call.at.isoformat()})
            if response.status_code != httpx.codes.OK:
                raise PlatformError(f"the router answered {response.status_code}: {response.text[:200]}")
            on_answer(1)

        try:
            for _ in pool.map(one, calls):
                pass
        except httpx.HTTPError as error:
            raise PlatformError(f"the router did not answer: {error}", hint="make demo RESUME=1 goes on") from error


def deliver(folder: Path, day: str, outcomes: Iterable[Outcome]) -> None:
    """Write a day's outcomes as one log file; writing it again gives the same bytes."""
    lines = [
        json.dumps({"unit_id": outcome.unit_id, "timestamp": outcome.at.isoformat(), "outcome": outcome.outcome})
        for outcome in sorted(outcomes, key=lambda outcome: (outcome.at, outcome.unit_id))
    ]
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f"{day}.part"
    part.write_text("".join(line + "\n" for line in lines))
    part.rename(folder / f"{day}.jsonl")
