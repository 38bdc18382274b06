"""The stand-in's endpoints answer by weight and target, copy to the shadow, capture to S3 and count in CloudWatch."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.aws_server import ROLE, Aws, eventually

pytest_plugins = ("tests.aws_fixtures",)

ENDPOINT = "churn-prod"
BODY = json.dumps({"minutes": 2.0}).encode()
CAPTURE = {
    "EnableCapture": True,
    "InitialSamplingPercentage": 100,
    "DestinationS3Uri": "s3://rollouts/capture",
    "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
    "CaptureContentTypeHeader": {"JsonContentTypes": ["application/json"], "CsvContentTypes": ["text/csv"]},
}


def serve(aws: Aws, weights: dict[str, float], shadow: str | None = None) -> Any:
    """An endpoint of variants v1 (says 1 for two minutes), v2 (says 0) and v3 (fails)."""
    client = aws.client("sagemaker")
    aws.client("s3").create_bucket(Bucket="rollouts")
    aws.settings(update_seconds=0)
    for version, weight in ((1, 1.0), (2, -1.0), (3, 1.0)):
        package = aws.package(
            "churn", image="serving:fails" if version == 3 else "serving:1", linear={"weights": {"minutes": weight}}
        )
        container = {"ModelPackageName": package}
        client.create_model(ModelName=f"m-v{version}", ExecutionRoleArn=ROLE, PrimaryContainer=container)

    def variant(name: str, weight: float) -> dict[str, Any]:
        instance = {"InstanceType": "ml.m5.xlarge", "InitialInstanceCount": 1, "InitialVariantWeight": weight}
        return {"VariantName": name, "ModelName": f"m-{name}", **instance}

    more = {"ShadowProductionVariants": [variant(shadow, 1.0)]} if shadow else {}
    client.create_endpoint_config(
        EndpointConfigName="c",
        ProductionVariants=[variant(name, weight) for name, weight in weights.items()],
        DataCaptureConfig=CAPTURE,
        **more,
    )
    client.create_endpoint(EndpointName=ENDPOINT, EndpointConfigName="c")
    eventually(lambda: client.describe_endpoint(EndpointName=ENDPOINT)["EndpointStatus"] == "InService")
    return aws.client("sagemaker-runtime")


def invoke(runtime: Any, body: bytes = BODY, **more: Any) -> Any:
    return runtime.invoke_endpoint(EndpointName=ENDPOINT, Body=body, **({"ContentType": "application/json"} | more))


def captured(aws: Aws, variant: str) -> list[dict[str, Any]]:
    s3 = aws.client("s3")
    keys = [
        row["Key"] for row in s3.list_objects_v2(Bucket="rollouts", Prefix=f"capture/{ENDPOINT}/{variant}/")["Contents"]
    ]
    bodies = [s3.get_object(Bucket="rollouts", Key=key)["Body"].read() for key in keys]
    return [json.loads(line) for body in bodies for line in body.splitlines()]


def test_weights_and_targets_decide_who_answers(aws: Aws):
    runtime = serve(aws, {"v1": 1.0, "v2": 1.0})
    answered = Counter(invoke(runtime)["InvokedProductionVariant"] for _ in range(60))
    assert {"v1", "v2"} == set(answered)
    for name, prediction in (("v1", 1), ("v2", 0)):
        answer = invoke(runtime, TargetVariant=name)
        assert name == answer["InvokedProductionVariant"]
        told = json.loads(answer["Body"].read())
        assert (prediction, name[1:]) == (told["prediction"], told["model_version"])
    with pytest.raises(ClientError, match="Variant v9 not found"):
        invoke(runtime, TargetVariant="v9")
    with pytest.raises(ClientError, match="Endpoint other of account"):
        runtime.invoke_endpoint(EndpointName="other", Body=b"{}")


def test_calls_and_shadow_copies_are_captured_as_aws_writes_them(aws: Aws):
    runtime = serve(aws, {"v1": 1.0}, shadow="v2")
    invoke(runtime, InferenceId="r-1", CustomAttributes="unit=u1")
    invoke(runtime, TargetVariant="v1")
    assert 2 == aws.flush_capture()
    first, second = captured(aws, "v1")
    (copy,) = captured(aws, "v2")
    sides = first["captureData"]
    assert ("r-1", ["unit=u1"]) == (first["eventMetadata"]["inferenceId"], first["eventMetadata"]["customAttributes"])
    assert (BODY.decode(), "JSON") == (sides["endpointInput"]["data"], sides["endpointInput"]["encoding"])
    assert 1 == json.loads(sides["endpointOutput"]["data"])["prediction"]
    assert "inferenceId" not in second["eventMetadata"]
    assert 0 == json.loads(copy["captureData"]["endpointOutput"]["data"])["prediction"]


def test_failures_are_told_apart_and_counted(aws: Aws):
    runtime = serve(aws, {"v1": 1.0, "v3": 0.0})
    invoke(runtime)
    assert b"0.8807970779778823" == invoke(runtime, b"2.0", ContentType="text/csv")["Body"].read()
    with pytest.raises(ClientError, match=r"ModelError.*client error \(400\)"):
        invoke(runtime, b"[]")
    with pytest.raises(ClientError, match=r"ModelError.*server error \(500\)"):
        invoke(runtime, TargetVariant="v3")
    now = datetime.now(UTC)

    def counted(metric: str, variant: str) -> float:
        dimensions = [{"Name": "EndpointName", "Value": ENDPOINT}, {"Name": "VariantName", "Value": variant}]
        points = aws.client("cloudwatch").get_metric_statistics(
            Namespace="AWS/SageMaker",
            MetricName=metric,
            Dimensions=dimensions,
            StartTime=now - timedelta(hours=1),
            EndTime=now + timedelta(hours=1),
            Period=7200,
            Statistics=["Sum"],
        )["Datapoints"]
        return sum(point["Sum"] for point in points)

    assert [3.0, 1.0, 0.0] == [counted(f"Invocation{name}", "v1") for name in ("s", "4XXErrors", "5XXErrors")]
    assert [1.0, 0.0, 1.0] == [counted(f"Invocation{name}", "v3") for name in ("s", "4XXErrors", "5XXErrors")]
    assert counted("ModelLatency", "v1") > 1
