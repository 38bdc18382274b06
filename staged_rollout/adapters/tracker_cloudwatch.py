"""A look's figures as CloudWatch metrics, for alarms and dashboards beside the endpoint's own."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from staged_rollout.adapters.aws_client import told_as_ours
from staged_rollout.errors import StagedRolloutError
from staged_rollout.ports.tracker import Tracker

NAMESPACE = "StagedRollout"
_PER_REQUEST = 1000
_LARGEST = 2.0**360
"""What CloudWatch takes, either sign."""


class CloudWatchTracker:
    """Satisfies `ports.tracker.Tracker`: a metric for each figure, by rollout.

    CloudWatch has no record that could be written again. A look that is published twice, which happens only when a
    process dies in between, is one more sample of the same value: averages and extremes are unchanged, sums are not.

    Args:
        client: A boto3 client of `cloudwatch`.
        now: The clock's present: CloudWatch takes the last two weeks only.
    """

    def __init__(self, client: Any, *, now: Callable[[], datetime]) -> None:
        self._client = client
        self._now = now

    def record(self, rollout: str, look: str, metrics: Mapping[str, float], tags: Mapping[str, str]) -> None:  # noqa: ARG002 - metrics have no tags
        """Write one look's figures; those that are not finite are left out, for CloudWatch refuses them.

        Raises:
            PlatformError: CloudWatch refused.
        """
        at = self._now()
        rows = [
            {
                "MetricName": name,
                "Dimensions": [{"Name": "Rollout", "Value": rollout}],
                "Timestamp": at,
                "Value": float(value),
            }
            for name, value in sorted(metrics.items())
            if math.isfinite(value) and abs(value) <= _LARGEST
        ]
        for begin in range(0, len(rows), _PER_REQUEST):
            with told_as_ours(f"put the metrics of {look} of {rollout}"):
                self._client.put_metric_data(Namespace=NAMESPACE, MetricData=rows[begin : begin + _PER_REQUEST])


class SeveralTrackers:
    """Satisfies `ports.tracker.Tracker`: every one is told, even when one before it failed.

    Args:
        trackers: In the order in which they are told.
    """

    def __init__(self, trackers: Sequence[Tracker]) -> None:
        self._trackers = tuple(trackers)

    def record(self, rollout: str, look: str, metrics: Mapping[str, float], tags: Mapping[str, str]) -> None:
        """Tell all.

        Raises:
            StagedRolloutError: the first failure, once all were told.
        """
        failures: list[StagedRolloutError] = []
        for tracker in self._trackers:
            try:
                tracker.record(rollout, look, metrics, tags)
            except StagedRolloutError as error:
                failures.append(error)
        if failures:
            raise failures[0]
