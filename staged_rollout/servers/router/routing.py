"""One request from its body to its answer and its row."""

from __future__ import annotations

import logging
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from staged_rollout.assignment import assign, request_id
from staged_rollout.servers.router.calls import EndpointCalls, Outcome, at_simulated_time
from staged_rollout.servers.router.documents import Documents
from staged_rollout.servers.router.prediction_log import PredictionRow, timestamp
from staged_rollout.servers.router.requests import PredictRequest
from staged_rollout.servers.router.tallies import Tallies

_LOG = logging.getLogger(__name__)
_NO_DOCUMENT = 503


@dataclass(frozen=True)
class Answer:
    """What the caller gets: an HTTP status and a JSON object."""

    status: int
    body: dict[str, Any]


class RowLog(Protocol):
    """Keeps rows."""

    def write(self, endpoint: str, at: datetime, row: PredictionRow) -> None:
        """Keep a row.

        Raises:
            OSError: it is not kept.
        """
        ...


class Routing:
    """Assigns, asks, logs and counts. Thread-safe.

    Args:
        documents: The assignments in force.
        calls: The endpoint.
        log: The exposure record.
        tallies: The counters.
    """

    def __init__(self, documents: Documents, calls: EndpointCalls, log: RowLog, tallies: Tallies) -> None:
        self._documents = documents
        self._calls = calls
        self._log = log
        self._tallies = tallies

    def predict(self, request: PredictRequest, simulated: datetime | None) -> Answer:
        """Answer one request; blocks while the endpoint is asked."""
        started = time.perf_counter()
        at = simulated or datetime.now(UTC)
        document = self._documents.current(request.endpoint)
        if document is None:
            reason = f"no assignment document for endpoint {request.endpoint!r}: nothing was published yet"
            return Answer(_NO_DOCUMENT, {"error": reason, "endpoint": request.endpoint})
        assigned = assign(document, request.unit)
        nonce = uuid.uuid4().hex if request.nonce is None else request.nonce
        identifier = request.request_id or request_id(document.rollout or document.endpoint, request.unit, nonce)
        with at_simulated_time(None if simulated is None else simulated.isoformat()):
            outcome = self._calls.predict(
                document, assigned, request.features, unit=request.unit, request_id=identifier
            )
        latency_ms = round((time.perf_counter() - started) * 1000, 3)
        row = PredictionRow(
            request_id=identifier,
            timestamp=timestamp(at),
            rollout=assigned.rollout,
            unit_id=request.unit,
            assigned_variant=None if assigned.rollout is None else assigned.variant.name,
            variant=outcome.variant,
            fallback=outcome.fallback,
            epoch=document.epoch,
            model_version=outcome.model_version,
            prediction=outcome.prediction,
            latency_ms=latency_ms,
            status=outcome.status,
            features=request.features,
        )
        self._write(document.endpoint, at, row)
        failed = outcome.status != 200
        self._tallies.count(document.endpoint, outcome.variant, at, failed=failed, fallback=outcome.fallback)
        return Answer(outcome.status, _told(row, outcome))

    def status(self) -> dict[str, Any]:
        """What every endpoint's routing is now."""
        return {
            document.endpoint: {
                "epoch": document.epoch,
                "rollout": document.rollout,
                "stage": document.stage,
                "step": document.step,
                "calls": self._tallies.calls(document.endpoint),
            }
            for document in self._documents.all()
        }

    def _write(self, endpoint: str, at: datetime, row: PredictionRow) -> None:
        try:
            self._log.write(endpoint, at, row)
        except OSError:  # the caller still gets the answer; the rollout sees fewer rows than calls
            self._tallies.count_log_failure()
            _LOG.exception("request %s was not logged", row["request_id"])


def _told(row: PredictionRow, outcome: Outcome) -> dict[str, Any]:
    told: dict[str, Any] = {
        "request_id": row["request_id"],
        "prediction": row["prediction"],
        "variant": row["variant"],
        "model_version": row["model_version"],
        "rollout": row["rollout"],
        "latency_ms": row["latency_ms"],
        "epoch": row["epoch"],
        "fallback": row["fallback"],
    }
    return told | {"error": outcome.reason} if outcome.reason else told
