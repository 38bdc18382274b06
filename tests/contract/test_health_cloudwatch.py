"""CloudWatch: what an endpoint's variants did over the last day, and the figures of looks as metrics."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import pytest

from staged_rollout.adapters.aws_client import make_client
from staged_rollout.adapters.health_cloudwatch import CloudWatchHealth, JoinedHealth
from staged_rollout.adapters.health_files import FileHealth
from staged_rollout.adapters.tracker_cloudwatch import NAMESPACE, CloudWatchTracker, SeveralTrackers
from staged_rollout.errors import PlatformError, RefusedError
from staged_rollout.ports import Health, HealthReading, Tracker

pytest_plugins = ("tests.aws_fixtures",)

NOW = datetime.now(UTC).replace(second=30, microsecond=0)
CALLS, LOAD = "AWS/SageMaker", "/aws/sagemaker/Endpoints"


@pytest.fixture
def endpoint(aws):
    """`churn-prod` with `v1` and the shadow `v2`."""
    client = aws.client("sagemaker")
    role = f"arn:aws:iam::{aws.account}:role/models"
    image = f"{aws.account}.dkr.ecr.{aws.region}.amazonaws.com/serving:1"
    client.create_model(ModelName="m", ExecutionRoleArn=role, PrimaryContainer={"Image": image})
    variant = {"ModelName": "m", "InitialInstanceCount": 1, "InstanceType": "ml.m5.xlarge", "InitialVariantWeight": 1.0}
    client.create_endpoint_config(
        EndpointConfigName="c",
        ProductionVariants=[{"VariantName": "v1", **variant}],
        ShadowProductionVariants=[{"VariantName": "v2", **variant}],
    )
    client.create_endpoint(EndpointName="churn-prod", EndpointConfigName="c")
    return "churn-prod"


@pytest.fixture
def put(aws, endpoint):
    """Writes one minute of one metric as SageMaker does: `put(variant, metric, value, minutes ago)`."""

    def put(variant, metric, value, ago, namespace=CALLS, name=endpoint):
        aws.client("cloudwatch").put_metric_data(
            Namespace=namespace,
            MetricData=[
                {
                    "MetricName": metric,
                    "Dimensions": [
                        {"Name": "EndpointName", "Value": name},
                        {"Name": "VariantName", "Value": variant},
                    ],
                    "Timestamp": NOW - timedelta(minutes=ago),
                    "Value": value,
                }
            ],
        )

    return put


def health(aws):
    return CloudWatchHealth(
        make_client("cloudwatch", region=aws.region), make_client("sagemaker", region=aws.region), now=lambda: NOW
    )


def test_each_variant_has_its_own_figures_of_the_last_day(aws, put):
    """The law: nothing of another variant, another endpoint or another day is counted; ModelLatency is microseconds."""
    for ago, count in ((10, 40), (700, 60), (25 * 60, 1000)):
        put("v1", "Invocations", count, ago)
    put("v1", "Invocation4XXErrors", 3, 10)
    put("v1", "Invocation5XXErrors", 2, 700)
    for value in (10_000, 30_000):
        put("v1", "ModelLatency", value, 12)
    put("v1", "ModelLatency", 80_000, 700)
    for metric, values in {"CPUUtilization": (20, 140), "MemoryUtilization": (50,), "DiskUtilization": (7, 9)}.items():
        for place, value in enumerate(values):
            put("v1", metric, value, 20 + 300 * place, LOAD)
    put("v2", "Invocations", 5, 3)
    put("v1", "Invocations", 999, 10, name="other")

    port: Health = health(aws)
    reading = port.read("churn-prod")

    champion, shadow = reading.variants
    assert ("v1", 100, 3, 2) == (champion.name, champion.invocations, champion.errors_4xx, champion.errors_5xx)
    assert (40.0, 80.0) == (champion.latency_ms, champion.latency_max_ms)
    assert (140.0, 50.0, 9.0) == (champion.cpu, champion.memory, champion.disk)
    assert ("v2", 5, None, None) == (shadow.name, shadow.invocations, shadow.latency_ms, shadow.disk)
    assert 105 == reading.calls
    assert reading.last_call_at == (NOW - timedelta(minutes=3)).replace(second=0)


def test_a_reading_is_two_requests(aws, endpoint):
    aws.forget_calls()
    reading = health(aws).read(endpoint)
    assert ["DescribeEndpoint", "GetMetricData"] == [call.operation for call in aws.calls()]
    assert (0, None) == (reading.calls, reading.last_call_at)
    assert [None, None] == [one.latency_ms for one in reading.variants]


def test_no_endpoint_has_no_calls_and_a_refusal_is_an_error(aws, endpoint):
    """The law: that AWS does not tell is not that there was no call."""
    assert HealthReading(0, None) == health(aws).read("elsewhere")
    aws.fault("refuse", "GetMetricData", code="AccessDenied", message="not allowed to cloudwatch:GetMetricData")
    with pytest.raises(PlatformError, match="metrics of endpoint churn-prod: AccessDenied"):
        health(aws).read(endpoint)
    aws.fault("refuse", "DescribeEndpoint", code="AccessDenied", message="not allowed")
    with pytest.raises(PlatformError, match="describe endpoint churn-prod: AccessDenied"):
        health(aws).read(endpoint)
    with pytest.raises(RefusedError, match="endpoint =="):
        health(aws).read("../up")


@pytest.mark.parametrize("ago", [1, 30])
def test_a_call_that_routers_or_cloudwatch_saw_was_one(aws, put, tmp_path, ago):
    put("v1", "Invocations", 40, 10)
    files = FileHealth(tmp_path)
    files.write("churn-prod", "r1", HealthReading(12, NOW - timedelta(minutes=ago)))

    reading = JoinedHealth(files, health(aws)).read("churn-prod")

    last = NOW - timedelta(minutes=1) if ago == 1 else (NOW - timedelta(minutes=10)).replace(second=0)
    assert (40, last) == (reading.calls, reading.last_call_at)
    assert ["v1", "v2"] == [one.name for one in reading.variants]


# --- our own figures -------------------------------------------------------------------------------------------------


def values(aws, name, rollout="churn-v3"):
    told = aws.client("cloudwatch").get_metric_statistics(
        Namespace=NAMESPACE,
        MetricName=name,
        Dimensions=[{"Name": "Rollout", "Value": rollout}],
        StartTime=NOW - timedelta(hours=1),
        EndTime=NOW + timedelta(hours=1),
        Period=3600,
        Statistics=["Average", "Maximum"],
    )
    return sorted((point["Average"], point["Maximum"]) for point in told["Datapoints"])


def test_the_figures_of_a_look_are_metrics_of_its_rollout(aws):
    tracker: Tracker = CloudWatchTracker(make_client("cloudwatch", region=aws.region), now=lambda: NOW)
    figures = {"z": 2.5, "information": 0.4, "srm_log_e": -1.5, "odd": math.inf, "none": math.nan}

    for _ in range(2):  # at least once: a second time changes neither average nor extreme
        tracker.record("churn-v3", "look-1", figures, {"title": "look 1"})

    assert [(2.5, 2.5)] == values(aws, "z")
    assert [(-1.5, -1.5)] == values(aws, "srm_log_e")
    assert [] == values(aws, "odd") == values(aws, "none") == values(aws, "z", "other-v1")


def test_a_tracker_that_fails_keeps_no_other_from_being_told(aws):
    tracker = CloudWatchTracker(make_client("cloudwatch", region=aws.region), now=lambda: NOW)
    aws.fault("refuse", "PutMetricData", code="AccessDenied", message="not allowed")
    with pytest.raises(PlatformError, match="put the metrics of look-1 of churn-v3: AccessDenied"):
        SeveralTrackers([tracker, tracker]).record("churn-v3", "look-1", {"z": 1.0}, {})
    assert [(1.0, 1.0)] == values(aws, "z")
