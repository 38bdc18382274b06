"""Where replayed requests go: an endpoint through boto3, or a router over HTTP. One attempt each: a failure is told."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import orjson

from staged_rollout.operations.replay import OK, Reply
from staged_rollout.records.traffic import JSON_TYPE, TrafficLine

NO_ANSWER = "no answer"
_LONGEST = 300


class EndpointSender:
    """InvokeEndpoint, for each line once.

    Args:
        client: A boto3 client of `sagemaker-runtime` that does not retry: a replay measures single calls.
        endpoint: The endpoint.
        content_type: What the bodies are.
        variant: The variant that every request names (TargetVariant); None: the endpoint's weights choose.
    """

    def __init__(self, client: Any, endpoint: str, content_type: str, variant: str | None) -> None:
        self._client = client
        self._shared = {"EndpointName": endpoint, "ContentType": content_type, "Accept": content_type}
        if variant is not None:
            self._shared["TargetVariant"] = variant

    def send(self, line: TrafficLine, request_id: str) -> Reply:
        """Ask the endpoint; the unit is told in CustomAttributes as `unit=ID`, percent-encoded."""
        from botocore.exceptions import BotoCoreError, ClientError

        more = {} if line.unit is None else {"CustomAttributes": f"unit={quote(line.unit, safe='')}"}
        try:
            told = self._client.invoke_endpoint(**self._shared, **more, Body=line.body, InferenceId=request_id)
            told["Body"].read()
        except ClientError as error:
            return Reply(str(error.response["Error"].get("Code", "")) or "error", "", str(error)[:_LONGEST])
        except BotoCoreError as error:
            return Reply(type(error).__name__, "", str(error)[:_LONGEST])
        return Reply(OK, str(told.get("InvokedProductionVariant", "")))

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


class RouterSender:
    """A router's `/endpoints/NAME/predict`, or its `/predict` where no endpoint is named.

    Args:
        url: The router's base address.
        endpoint: The endpoint, or None.
        timeout_s: Seconds to wait for each answer.
        concurrency: Connections kept open.
    """

    def __init__(self, url: str, endpoint: str | None, *, timeout_s: float, concurrency: int) -> None:
        import httpx

        self._path = "/predict" if endpoint is None else f"/endpoints/{quote(endpoint, safe='')}/predict"
        limits = httpx.Limits(max_connections=concurrency, max_keepalive_connections=concurrency)
        # No proxy of the environment: a router that is asked for by address is asked there.
        self._client = httpx.Client(base_url=url, timeout=timeout_s, limits=limits, trust_env=False)

    def send(self, line: TrafficLine, request_id: str) -> Reply:
        """Ask the router."""
        import httpx

        # Not orjson, which refuses an unpaired surrogate: whether it is accepted is the router's to say.
        body = json.dumps({"unit_id": line.unit, "features": line.features, "request_id": request_id})
        try:
            answer = self._client.post(self._path, content=body, headers={"content-type": JSON_TYPE})
        except httpx.HTTPError as error:
            return Reply(type(error).__name__, "", str(error)[:_LONGEST])
        try:
            told = orjson.loads(answer.content)
        except orjson.JSONDecodeError:
            told = None
        if not isinstance(told, dict):
            return Reply(NO_ANSWER, "", f"HTTP {answer.status_code} without a JSON object")
        if answer.status_code != httpx.codes.OK:
            return Reply(str(answer.status_code), "", str(told.get("error", ""))[:_LONGEST])
        return Reply(OK, str(told.get("variant", "")))

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
