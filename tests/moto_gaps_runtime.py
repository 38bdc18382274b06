"""InvokeEndpoint that answers by variant: moto's is canned, and answers for endpoints that do not exist.

- A variant by weight, or the TargetVariant; the shadow gets copies, by its weight over production's.
- The model is what the variant's package says: a container with the environment variable LINEAR,
  `{"weights": {"minutes": 1.5}, "bias": -0.5}`, is a logistic model of these features; else the version of the same
  number in the `models_home` setting's registry, through the local endpoint's own loader; else what moto says.
- A model that fails is a ModelError (424). An image tagged `fails` fails always.
- Data Capture: SageMaker's lines, by the local endpoint's own writer, put on S3 when `/_tests/flush` is asked for.
- CloudWatch: Invocations, Invocation4XXErrors, Invocation5XXErrors and ModelLatency of each variant, in microseconds.
"""

from __future__ import annotations

import json
import math
import random
import shutil
import tempfile
import threading
import time
import uuid
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from moto.sagemakerruntime.responses import SageMakerRuntimeResponse

from staged_rollout.servers.endpoint.capture import Call, Capture
from staged_rollout.servers.endpoint.models import AnswerError, ModelShelf
from staged_rollout.servers.endpoint.shapes import DataCaptureConfig
from staged_rollout.servers.simulated_time import request_time
from tests.moto_gaps import SETTINGS
from tests.moto_gaps_serving import Endpoint, serving_of

_canned = SageMakerRuntimeResponse.invoke_endpoint
_CHANCE = random.SystemRandom()
_HEADER = "x-amzn-sagemaker-"
_ATTRIBUTES_LIMIT, _BODY_LIMIT = 1024, 6_291_456


class Written:
    """Captured lines that have not been put on S3 yet."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._begin()

    def _begin(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="moto-capture-"))
        self._capture = Capture(self._folder)
        self._places: dict[str, tuple[str, str, str]] = {}

    def record(self, place: tuple[str, str, str], variant: str, config: dict[str, Any], call: Call, out: bytes) -> None:
        told = {key: value for key, value in config.items() if key != "KmsKeyId"}
        with self._lock:
            self._places[call.endpoint] = place
            self._capture.record(variant, DataCaptureConfig.model_validate(told), call, out)

    def flush(self) -> int:
        """Put every file where its endpoint's config says; how many. A bucket that is not there loses them."""
        from moto.s3.models import s3_backends

        with self._lock:
            self._capture.close()
            folder, places = self._folder, self._places
            self._begin()
        files = sorted(folder.rglob("*.jsonl"))
        for file in files:
            account, _region, uri = places[file.relative_to(folder).parts[0]]
            bucket, _, prefix = uri.removeprefix("s3://").partition("/")
            backend = s3_backends[account]["aws"]
            if bucket in backend.buckets:
                key = f"{prefix.rstrip('/')}/{file.relative_to(folder).parent}/{uuid.uuid4()}.jsonl"
                backend.put_object(bucket, key.lstrip("/"), file.read_bytes())
        shutil.rmtree(folder)
        return len(files)


WRITTEN = Written()


class LinearModel:
    """A logistic model of numbers."""

    def __init__(self, told: dict[str, Any], version: str) -> None:
        self._weights, self._bias, self._version = told["weights"], told.get("bias", 0.0), version

    def answer(self, content_type: str, body: bytes) -> bytes:
        """`{"prediction", "score", "model_version"}`, or for text/csv of the weights' columns the score alone."""
        try:
            if content_type.startswith("text/csv"):
                numbers = [float(cell) for cell in body.decode().strip().split(",")]
                score = self._score(dict(zip(self._weights, numbers, strict=True)))
                return f"{score}".encode()
            score = self._score(json.loads(body))
        except (ValueError, KeyError, TypeError) as error:
            raise AnswerError(400, f"the body does not fit the model: {error!r}") from error
        told = {"prediction": int(score >= 0.5), "score": score, "model_version": self._version}
        return json.dumps(told).encode()

    def _score(self, features: dict[str, Any]) -> float:
        total = self._bias + sum(weight * float(features[name]) for name, weight in self._weights.items())
        return 1.0 / (1.0 + math.exp(-max(-50.0, min(50.0, total))))


@lru_cache(maxsize=8)
def _shelf(home: str) -> ModelShelf:
    return ModelShelf(Path(home))


def _model(backend: Any, endpoint: Endpoint, variant: dict[str, Any]) -> Any:
    """What answers for a variant; None: what moto says."""
    model = endpoint.running[variant["VariantName"]]
    package = backend.model_packages.get(model.get("PrimaryContainer", {}).get("ModelPackageName", ""))
    if package is None:
        return None
    (container, *_) = package.inference_specification["Containers"]
    if container["Image"].endswith(":fails"):
        raise AnswerError(500, "the container ended")
    if "LINEAR" in container.get("Environment", {}):
        return LinearModel(json.loads(container["Environment"]["LINEAR"]), str(package.model_package_version))
    home = SETTINGS.now.models_home
    if not home:
        return None
    return _shelf(home).load(f"{package.model_package_group_name}/{package.model_package_version}")


def _error(status: int, code: str, message: str, **more: Any) -> tuple[int, dict[str, Any], bytes]:
    headers = {"x-amzn-ErrorType": code, "Content-Type": "application/json", "status": status}  # where moto looks
    return status, headers, json.dumps({"Message": message, **more}).encode()


def invoke_endpoint(self: Any) -> Any:
    from moto.sagemaker.models import sagemaker_backends

    name = self.path.split("/")[2]
    backend = sagemaker_backends[self.current_account][self.region]
    endpoint = serving_of(backend).endpoints.get(name)
    if endpoint is None or endpoint.fleet is None:
        return _error(400, "ValidationError", f"Endpoint {name} of account {self.current_account} not found.")
    headers = {key.lower(): value for key, value in self.headers.items()}
    body = self.body if isinstance(self.body, bytes) else str(self.body or "").encode()
    if len(body) > _BODY_LIMIT:
        return _error(413, "ValidationError", f"HTTP content length exceeded {_BODY_LIMIT} bytes.")
    if len(headers.get(f"{_HEADER}custom-attributes", "")) > _ATTRIBUTES_LIMIT:
        return _error(400, "ValidationError", "CustomAttributes is too long.")
    variants = {one["VariantName"]: one for one in endpoint.fleet.config["ProductionVariants"]}
    target = headers.get(f"{_HEADER}target-variant")
    if target is not None and target not in variants:
        return _error(400, "ValidationError", f"Variant {target} not found in endpoint {name}.")
    weights = endpoint.fleet.weights
    chosen = target or _CHANCE.choices(list(variants), [weights[one] for one in variants])[0]
    call = Call(
        endpoint=name,
        event_id=str(uuid.uuid4()),
        content_type=headers.get("content-type", "application/octet-stream"),
        body=body,
        inference_id=headers.get(f"{_HEADER}inference-id"),
        custom_attributes=headers.get(f"{_HEADER}custom-attributes"),
        at=request_time(headers, "127.0.0.1", enabled=True) or datetime.now(UTC),
    )
    began = time.perf_counter()
    try:
        model = _model(backend, endpoint, variants[chosen])
        if model is None:
            return _canned(self)
        answer = model.answer(call.content_type, body)
    except Exception as error:  # noqa: BLE001 - whatever a model does wrong is its variant's failure
        status = getattr(error, "status", 500)
        _measure(self, call, chosen, time.perf_counter() - began, status)
        told = f'Received {"client" if status < 500 else "server"} error ({status}) from {chosen}: "{error}".'
        return _error(424, "ModelError", told, OriginalStatusCode=status, OriginalMessage=str(error), LogStreamArn="")
    _measure(self, call, chosen, time.perf_counter() - began, 200)
    capture = endpoint.fleet.config.get("DataCaptureConfig") or {}
    place = (self.current_account, self.region, capture.get("DestinationS3Uri", ""))
    kept = capture.get("EnableCapture") and _CHANCE.random() * 100 < capture["InitialSamplingPercentage"]
    if kept:
        WRITTEN.record(place, chosen, capture, call, answer)
    if target is None:
        _copy(backend, endpoint, call, capture if kept else None, place)
    return 200, {"Content-Type": "application/json", "x-Amzn-Invoked-Production-Variant": chosen}, answer


def _copy(backend: Any, endpoint: Endpoint, call: Call, capture: dict[str, Any] | None, place: Any) -> None:
    """The shadow's answer, which nobody waits for and which is captured alone."""
    assert endpoint.fleet is not None
    for shadow in endpoint.fleet.config.get("ShadowProductionVariants", ()):
        weights = endpoint.fleet.weights
        production = sum(weights[one["VariantName"]] for one in endpoint.fleet.config["ProductionVariants"])
        if _CHANCE.random() * production >= weights[shadow["VariantName"]]:
            continue
        try:
            answer = _model(backend, endpoint, shadow).answer(call.content_type, call.body)
        except Exception:  # noqa: BLE001 - a shadow that fails is not captured
            continue
        if capture is not None:
            WRITTEN.record(place, shadow["VariantName"], capture, call, answer)


def _measure(response: Any, call: Call, variant: str, seconds: float, status: int) -> None:
    from moto.cloudwatch.models import cloudwatch_backends

    dimensions = [{"Name": "EndpointName", "Value": call.endpoint}, {"Name": "VariantName", "Value": variant}]
    figures = {
        "Invocations": 1.0,
        "Invocation4XXErrors": float(400 <= status < 500),
        "Invocation5XXErrors": float(status >= 500),
        "ModelLatency": seconds * 1e6,
    }
    rows = [
        {"MetricName": name, "Dimensions": dimensions, "Value": value, "Timestamp": call.at.replace(tzinfo=None)}
        for name, value in figures.items()
    ]
    cloudwatch_backends[response.current_account][response.region].put_metric_data("AWS/SageMaker", rows)


def close() -> None:
    """Put this in the place of moto's."""
    SageMakerRuntimeResponse.invoke_endpoint = invoke_endpoint
