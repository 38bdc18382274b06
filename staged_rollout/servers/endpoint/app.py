"""The local endpoint as a web application."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response

from staged_rollout.servers.endpoint.capture import Capture
from staged_rollout.servers.endpoint.control_api import control
from staged_rollout.servers.endpoint.control_plane import ControlPlane
from staged_rollout.servers.endpoint.models import ModelShelf
from staged_rollout.servers.endpoint.runtime import Runtime
from staged_rollout.servers.endpoint.shadow_failures import ShadowFailures
from staged_rollout.servers.endpoint.state import StateFile
from staged_rollout.spec.home import Home

IDENTITY = "staged-rollout-endpoint"


def create_app(home: Home, *, update_seconds: float, delays: dict[str, float], simulated_time: bool) -> FastAPI:
    """Build the application; models are loaded and changes resumed when it starts.

    Args:
        home: Where state, registry and capture lie.
        update_seconds: How long creating and updating last at least.
        delays: Seconds to add to answers, per model package name (`churn/2`).
        simulated_time: Whether loopback callers may say what time it is.

    Raises:
        PlatformError: the state file is not one.
    """
    plane = ControlPlane(
        StateFile(home.serving), ModelShelf(home.registry), update_seconds=update_seconds, delays=delays
    )
    capture = Capture(home.capture)
    failures = ShadowFailures(home.serving / "shadow_failures.json")
    runtime = Runtime(plane.live, capture, failures, simulated_time=simulated_time)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await plane.resume()
        flusher = asyncio.create_task(_each_second(failures))
        yield
        flusher.cancel()
        with suppress(asyncio.CancelledError):
            await flusher
        await runtime.drain()
        await plane.stop()
        failures.flush()
        capture.close()

    app = FastAPI(title="Staged Rollout local endpoint", lifespan=lifespan, openapi_url=None)

    @app.post("/endpoints/{name}/invocations")
    async def invocations(name: str, request: Request) -> Response:
        return await runtime.invoke(name, request)

    @app.post("/")
    async def operate(request: Request) -> Response:
        return await control(plane, request)

    @app.get("/ping")
    async def ping() -> dict[str, Any]:
        return identity(home.root)

    return app


def identity(home: Path) -> dict[str, Any]:
    """Who answers on this port: told so that nobody stops a stranger's process."""
    return {"server": IDENTITY, "pid": os.getpid(), "home": str(home)}


async def _each_second(failures: ShadowFailures) -> None:
    while True:
        await asyncio.sleep(1.0)
        failures.flush()
