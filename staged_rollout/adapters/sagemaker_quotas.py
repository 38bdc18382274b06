"""Whether an account may run what a target needs: Service Quotas, and the usage metric that each quota names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from staged_rollout.adapters.aws_client import told_as_ours
from staged_rollout.adapters.sagemaker_recipes import variants_of
from staged_rollout.errors import PlatformError, RefusedError
from staged_rollout.ports.serving import EndpointTarget, ObservedEndpoint

_SERVICE = "sagemaker"
_WINDOW = timedelta(hours=3)
_PERIOD = timedelta(minutes=5)


class InstanceQuotas:
    """Checks instances for endpoints before any is asked for. Quotas are read once in a process.

    Args:
        client: Makes a boto3 client of a service (`service-quotas`, `cloudwatch`).
        now: The real time, for the usage metric.
    """

    def __init__(
        self, client: Callable[[str], Any], *, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._client = client
        self._now = now
        self._quotas: dict[str, dict[str, Any]] | None = None

    def check(self, target: EndpointTarget, found: ObservedEndpoint | None) -> None:
        """Refuse a target that the account's quotas do not hold.

        An update starts the new fleet beside the old one, so both count until it is done. An account that does not let
        its quotas be read is not held up: SageMaker itself refuses then, less clearly.

        Raises:
            RefusedError: with what is needed, in use and allowed.
        """
        needed: Counter[str] = Counter()
        for variant in variants_of(target):
            needed[variant.instance_type] += variant.instance_count
        running: Counter[str] = Counter()
        if found is not None:
            for one in (*found.production, *((found.shadow,) if found.shadow else ())):
                running[one.instance_type] += one.instance_count
        for kind, count in needed.items():
            quota = self.quota(kind)
            if quota is None:
                continue
            used = max(running[kind], self._used(quota))
            if used + count > quota["Value"]:
                raise RefusedError(
                    f"endpoint {target.endpoint} needs {count} x {kind} beside the {used} in use, "
                    f"the quota for endpoint usage is {quota['Value']:g}",
                    hint=f"ask for {used + count}: aws service-quotas request-service-quota-increase "
                    f"--service-code {_SERVICE} --quota-code {quota['QuotaCode']} --desired-value {used + count}",
                    instance_type=kind,
                    needed=count,
                    used=used,
                    quota=quota["Value"],
                )

    def quota(self, instance_type: str) -> dict[str, Any] | None:
        """The quota of an instance type for endpoints, as Service Quotas tells it; None when it tells none."""
        if self._quotas is None:
            try:
                with told_as_ours("list service quotas"):
                    pages = self._client("service-quotas").get_paginator("list_service_quotas")
                    rows = [row for page in pages.paginate(ServiceCode=_SERVICE) for row in page["Quotas"]]
            except PlatformError:
                rows = []
            self._quotas = {row["QuotaName"]: row for row in rows if "Value" in row}
        return self._quotas.get(f"{instance_type} for endpoint usage")

    def _used(self, quota: dict[str, Any]) -> int:
        metric = quota.get("UsageMetric")
        if not metric:
            return 0
        now = self._now()
        try:
            with told_as_ours(f"read {metric['MetricNamespace']}"):
                told = self._client("cloudwatch").get_metric_statistics(
                    Namespace=metric["MetricNamespace"],
                    MetricName=metric["MetricName"],
                    Dimensions=[{"Name": key, "Value": value} for key, value in metric["MetricDimensions"].items()],
                    StartTime=now - _WINDOW,
                    EndTime=now + _PERIOD,  # the end is excluded, and told in whole seconds
                    Period=int(_PERIOD.total_seconds()),
                    Statistics=["Maximum"],
                )
        except PlatformError:
            return 0
        newest = max(told["Datapoints"], key=lambda point: point["Timestamp"], default=None)
        return int(newest["Maximum"]) if newest else 0
