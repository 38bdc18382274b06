"""What CloudWatch knows of an endpoint: calls, errors, latency and load of each variant over the last day."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from staged_rollout.adapters.aws_client import told_as_ours
from staged_rollout.adapters.resource_names import checked_name
from staged_rollout.adapters.s3_place import status_of
from staged_rollout.ports.health import Health, HealthReading, VariantHealth

WINDOW = timedelta(days=1)
"""How far CloudWatch is asked back."""

_CALLS = "AWS/SageMaker"
_LOAD = "/aws/sagemaker/Endpoints"
_MINUTE = 60
_COARSE = 300
_MICROSECONDS_PER_MS = 1000.0
_QUERIES_PER_REQUEST = 500


@dataclass(frozen=True)
class _Series:
    """One series of a variant: where CloudWatch has it, and how it is summed up over a period of seconds."""

    name: str
    namespace: str
    metric: str
    statistic: str
    period: int = _COARSE


_SERIES = (
    # By the minute: the last one that has a call tells when the last call was.
    _Series("invocations", _CALLS, "Invocations", "Sum", _MINUTE),
    _Series("errors_4xx", _CALLS, "Invocation4XXErrors", "Sum"),
    _Series("errors_5xx", _CALLS, "Invocation5XXErrors", "Sum"),
    _Series("latency_sum", _CALLS, "ModelLatency", "Sum"),
    _Series("latency_count", _CALLS, "ModelLatency", "SampleCount"),
    _Series("latency_max", _CALLS, "ModelLatency", "Maximum"),
    _Series("cpu", _LOAD, "CPUUtilization", "Maximum"),
    _Series("memory", _LOAD, "MemoryUtilization", "Maximum"),
    _Series("disk", _LOAD, "DiskUtilization", "Maximum"),
)

_Points = list[tuple[datetime, float]]


class CloudWatchHealth:
    """Satisfies `ports.health.Health`; two requests for each reading of an endpoint of up to 18 variants.

    Args:
        cloudwatch: A boto3 client of `cloudwatch`.
        sagemaker: A boto3 client of `sagemaker`, which tells the variants' names: CloudWatch itself lists a new one
            late.
        now: The clock's present.
    """

    def __init__(self, cloudwatch: Any, sagemaker: Any, *, now: Callable[[], datetime]) -> None:
        self._cloudwatch = cloudwatch
        self._sagemaker = sagemaker
        self._now = now

    def read(self, endpoint: str) -> HealthReading:
        """Calls of the last day, and each variant's figures; zero calls when there is no endpoint.

        Raises:
            RefusedError: the endpoint's name is not one.
            PlatformError: AWS refused.
        """
        variants = self._variants(checked_name(endpoint, "endpoint"))
        points = self._points(endpoint, variants) if variants else {}
        read = tuple(_variant(name, points) for name in variants)
        calls = [at for name in variants for at, count in points.get((name, "invocations"), []) if count > 0]
        return HealthReading(sum(one.invocations for one in read), max(calls, default=None), read)

    def _variants(self, endpoint: str) -> list[str]:
        from botocore.exceptions import ClientError

        with told_as_ours(f"describe endpoint {endpoint}"):
            try:
                told = self._sagemaker.describe_endpoint(EndpointName=endpoint)
            except ClientError as error:
                if status_of(error) == 400 and "Could not find" in error.response["Error"].get("Message", ""):
                    return []
                raise
        rows = (*told.get("ProductionVariants", ()), *told.get("ShadowProductionVariants", ()))
        return [row["VariantName"] for row in rows]

    def _points(self, endpoint: str, variants: list[str]) -> dict[tuple[str, str], _Points]:
        queries: list[dict[str, Any]] = []
        wanted: dict[str, tuple[str, str]] = {}
        for variant in variants:
            for series in _SERIES:
                key = f"q{len(queries)}"
                wanted[key] = (variant, series.name)
                queries.append(_query(key, endpoint, variant, series))
        end = self._now()
        # On a whole period, so that points lie on whole minutes.
        begin_s = (end - WINDOW).timestamp()
        since = datetime.fromtimestamp(begin_s - begin_s % _COARSE, UTC)
        found: dict[tuple[str, str], _Points] = {}
        for begin in range(0, len(queries), _QUERIES_PER_REQUEST):
            pages = self._cloudwatch.get_paginator("get_metric_data").paginate(
                MetricDataQueries=queries[begin : begin + _QUERIES_PER_REQUEST], StartTime=since, EndTime=end
            )
            with told_as_ours(f"read CloudWatch's metrics of endpoint {endpoint}"):
                for row in (row for page in pages for row in page["MetricDataResults"]):
                    points = zip(row.get("Timestamps", ()), row.get("Values", ()), strict=True)
                    found.setdefault(wanted[row["Id"]], []).extend(
                        (at.astimezone(UTC), float(value)) for at, value in points
                    )
        return found


@dataclass(frozen=True)
class JoinedHealth:
    """Routers' own counters beside CloudWatch: a call that either of them saw was one."""

    routers: Health
    endpoint: Health

    def read(self, endpoint: str) -> HealthReading:
        """The greater count, the later last call, and CloudWatch's figures of each variant."""
        counted, watched = self.routers.read(endpoint), self.endpoint.read(endpoint)
        times = [at for at in (counted.last_call_at, watched.last_call_at) if at is not None]
        return HealthReading(max(counted.calls, watched.calls), max(times, default=None), watched.variants)


def _query(key: str, endpoint: str, variant: str, series: _Series) -> dict[str, Any]:
    dimensions = [{"Name": "EndpointName", "Value": endpoint}, {"Name": "VariantName", "Value": variant}]
    metric = {"Namespace": series.namespace, "MetricName": series.metric, "Dimensions": dimensions}
    return {"Id": key, "MetricStat": {"Metric": metric, "Period": series.period, "Stat": series.statistic}}


def _variant(name: str, points: Mapping[tuple[str, str], _Points]) -> VariantHealth:
    def values(series: str) -> list[float]:
        return [value for _, value in points.get((name, series), ())]

    count, longest = sum(values("latency_count")), max(values("latency_max"), default=None)
    return VariantHealth(
        name=name,
        invocations=round(sum(values("invocations"))),
        errors_4xx=round(sum(values("errors_4xx"))),
        errors_5xx=round(sum(values("errors_5xx"))),
        latency_ms=sum(values("latency_sum")) / count / _MICROSECONDS_PER_MS if count else None,
        latency_max_ms=None if longest is None else longest / _MICROSECONDS_PER_MS,
        cpu=max(values("cpu"), default=None),
        memory=max(values("memory"), default=None),
        disk=max(values("disk"), default=None),
    )
