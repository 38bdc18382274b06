"""The router as a web application."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from staged_rollout.adapters.assignments_file import FileAssignments
from staged_rollout.adapters.aws_client import make_client
from staged_rollout.adapters.health_files import FileHealth
from staged_rollout.adapters.log_shipper import LogShipper
from staged_rollout.adapters.platform import open_platform
from staged_rollout.adapters.platform_aws import AwsPlatform
from staged_rollout.adapters.runtime_client import runtime_client
from staged_rollout.adapters.s3_place import S3Place
from staged_rollout.ports.serving import Assignments
from staged_rollout.servers.request_body import BodyTooLargeError, TooManyBodiesError, read_body
from staged_rollout.servers.router.calls import POOL, EndpointCalls
from staged_rollout.servers.router.documents import Documents
from staged_rollout.servers.router.prediction_log import PredictionLog
from staged_rollout.servers.router.requests import BadRequestError, read_request
from staged_rollout.servers.router.routing import Answer, Routing
from staged_rollout.servers.router.shipping import Shipping
from staged_rollout.servers.router.tallies import Tallies
from staged_rollout.servers.simulated_time import request_time
from staged_rollout.spec.environment import EnvironmentSpec
from staged_rollout.spec.home import Home

IDENTITY = "staged-rollout-router"
_BODY_LIMIT = 6_291_456


@dataclass(frozen=True)
class RouterSettings:
    """How a router runs.

    Attributes:
        home: Where assignments, logs and counters lie.
        router: This router's id; its log and counter files are named after it.
        endpoint: What `/predict` asks, or None: then only `/endpoints/NAME/predict` answers.
        runtime_url: The runtime's address; None for AWS.
        poll_s: Seconds between two reads of the assignment document.
        timeout_s: Seconds to wait for each attempt at the endpoint.
        simulated_time: Whether loopback callers may say what time it is.
        assignments_uri: Where documents lie on S3, `s3://BUCKET/PREFIX`; None: below the home.
        logs_uri: Where the log is shipped to on S3; None: it stays below the home.
        kms_key: What shipped objects are encrypted with; None: as the bucket does by itself.
        ship_s: Seconds between two rounds of shipping.
        environment: Where documents are published, whose endpoints are asked, where the log is shipped to, as far as
            nothing else says so; None: all of it is the home's.
    """

    home: Home
    router: str
    endpoint: str | None
    runtime_url: str | None
    poll_s: float
    timeout_s: float
    simulated_time: bool
    assignments_uri: str | None = None
    logs_uri: str | None = None
    kms_key: str | None = None
    ship_s: float = 30.0
    environment: EnvironmentSpec | None = None


def create_app(settings: RouterSettings) -> FastAPI:
    """Build the application.

    Raises:
        StagedRolloutError: the environment's AWS account cannot be reached, or is another one.
    """
    tallies = Tallies(FileHealth(settings.home.health), settings.router)
    documents = Documents(_assignments(settings), settings.poll_s)
    shipping = _shipping(settings)
    log = PredictionLog(settings.home.logs / "predictions", settings.router)
    calls = EndpointCalls(settings.runtime_url, timeout_s=settings.timeout_s, client=_client(settings))
    routing = Routing(documents, calls, log, tallies)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        if settings.endpoint is not None:
            documents.watch(settings.endpoint)
        documents.start()
        if shipping is not None:
            shipping.start()
        flusher = asyncio.create_task(_each_second(tallies))
        yield
        flusher.cancel()
        with suppress(asyncio.CancelledError):
            await flusher
        documents.stop()
        tallies.flush()
        log.close()
        if shipping is not None:
            await asyncio.to_thread(shipping.stop)
        calls.close()

    app = FastAPI(title="Staged Rollout router", lifespan=lifespan, openapi_url=None)

    async def answer(endpoint: str, request: Request) -> Response:
        try:
            told = read_request(endpoint, await read_body(request, _BODY_LIMIT))
            client = request.client.host if request.client else None
            simulated = request_time(request.headers, client, enabled=settings.simulated_time)
        except BodyTooLargeError:
            return _json(Answer(413, {"error": f"the body is larger than {_BODY_LIMIT} bytes"}))
        except TooManyBodiesError:
            return _json(Answer(503, {"error": "too many requests are being read at once: try again"}))
        except ClientDisconnect:
            return Response(status_code=400)  # nobody reads it
        except (BadRequestError, ValueError) as error:
            return _json(Answer(400, {"error": str(error)}))
        return _json(await run_in_threadpool(routing.predict, told, simulated))

    @app.post("/predict")
    async def predict(request: Request) -> Response:
        if settings.endpoint is None:
            return _json(Answer(404, {"error": "this router has no endpoint of its own: POST /endpoints/NAME/predict"}))
        return await answer(settings.endpoint, request)

    @app.post("/endpoints/{endpoint}/predict")
    async def predict_at(endpoint: str, request: Request) -> Response:
        return await answer(endpoint, request)

    @app.get("/status")
    async def status() -> dict[str, Any]:
        return {"router": settings.router, "endpoints": routing.status()}

    @app.get("/healthz")
    async def healthz() -> dict[str, Any]:
        return {"status": "ok", "log_failures": tallies.log_failures}

    @app.get("/ping")
    async def ping() -> dict[str, Any]:
        return {"server": IDENTITY, "pid": os.getpid(), "home": str(settings.home.root)}

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(tallies.exposition(), media_type="text/plain; version=0.0.4")

    return app


def _assignments(settings: RouterSettings) -> Assignments:
    environment = settings.environment
    if settings.assignments_uri is not None:
        from staged_rollout.adapters.assignments_s3 import S3Assignments

        # A poll that fails is made again by the next one: no caller waits for it.
        return S3Assignments(S3Place.at(make_client("s3", read_timeout_s=10.0, retries=1), settings.assignments_uri))
    if environment is not None and environment.on_aws("assignments"):
        return open_platform(environment, settings.home).assignments
    return FileAssignments(settings.home.assignments)


def _shipping(settings: RouterSettings) -> Shipping | None:
    environment = settings.environment
    if settings.logs_uri is not None:
        place = S3Place.at(make_client("s3"), settings.logs_uri, settings.kms_key)
    elif environment is not None and environment.on_aws("logs"):
        place = AwsPlatform(environment, settings.home).place("logs")
    else:
        return None
    return Shipping(LogShipper(settings.home.logs, place), every_s=settings.ship_s)


def _client(settings: RouterSettings) -> Any:
    """The environment's own client on AWS, with its region and role; else None: the address decides."""
    environment = settings.environment
    if settings.runtime_url is not None or environment is None or not environment.on_aws("serving"):
        return None
    return runtime_client(environment, settings.home, timeout_s=settings.timeout_s, pool=POOL)


def _json(answer: Answer) -> Response:
    return Response(orjson.dumps(answer.body), answer.status, media_type="application/json")


async def _each_second(tallies: Tallies) -> None:
    while True:
        await asyncio.sleep(1.0)
        await asyncio.to_thread(tallies.flush)
