"""The stand-in of AWS behaves as AWS where moto does not, and its faults hit the call that they name."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

from tests.aws_model import AwsModelError
from tests.aws_server import ROLE, Aws, eventually

pytest_plugins = ("tests.aws_fixtures",)


def variant(name: str, weight: float = 1.0, count: int = 1) -> dict[str, Any]:
    return {
        "VariantName": name,
        "ModelName": f"m-{name}",
        "InstanceType": "ml.m5.xlarge",
        "InitialInstanceCount": count,
        "InitialVariantWeight": weight,
    }


@pytest.fixture
def sagemaker(aws: Aws) -> Any:
    client = aws.client("sagemaker")
    package = aws.package("churn")
    for name in ("v1", "v2"):
        client.create_model(
            ModelName=f"m-{name}", ExecutionRoleArn=ROLE, PrimaryContainer={"ModelPackageName": package}
        )
    client.create_endpoint_config(EndpointConfigName="one", ProductionVariants=[variant("v1", count=3)])
    client.create_endpoint_config(EndpointConfigName="two", ProductionVariants=[variant("v1"), variant("v2", 0.0)])
    client.create_endpoint_config(
        EndpointConfigName="shadow", ProductionVariants=[variant("v1")], ShadowProductionVariants=[variant("v2", 0.05)]
    )
    return client


def settled(client: Any, name: str = "churn") -> dict[str, Any]:
    eventually(lambda: client.describe_endpoint(EndpointName=name)["EndpointStatus"] in {"InService", "Failed"})
    told: dict[str, Any] = client.describe_endpoint(EndpointName=name)
    return told


def test_an_endpoint_updates_and_refuses_meanwhile(aws: Aws, sagemaker: Any):
    """The law: Creating, Updating and Deleting last; every change is refused meanwhile; the pending config is told."""
    aws.settings(update_seconds=0.4)
    sagemaker.create_endpoint(EndpointName="churn", EndpointConfigName="one")
    assert sagemaker.describe_endpoint(EndpointName="churn")["EndpointStatus"] == "Creating"
    settled(sagemaker)
    sagemaker.update_endpoint(EndpointName="churn", EndpointConfigName="two")
    told = sagemaker.describe_endpoint(EndpointName="churn")
    assert ("Updating", "one", "two") == (
        told["EndpointStatus"],
        told["EndpointConfigName"],
        told["PendingDeploymentSummary"]["EndpointConfigName"],
    )
    for refused in (
        lambda: sagemaker.update_endpoint(EndpointName="churn", EndpointConfigName="one"),
        lambda: sagemaker.delete_endpoint(EndpointName="churn"),
        lambda: sagemaker.update_endpoint_weights_and_capacities(
            EndpointName="churn", DesiredWeightsAndCapacities=[{"VariantName": "v1", "DesiredWeight": 1.0}]
        ),
    ):
        with pytest.raises(ClientError, match="Cannot update in-progress endpoint"):
            refused()
    assert [0.0] == [one["CurrentWeight"] for one in settled(sagemaker)["ProductionVariants"][1:]]


def test_weights_are_float32_and_counts_stay(sagemaker: Any):
    """The law: a weight change keeps the instance counts that it leaves out; .05 reads .05000000074505806."""
    sagemaker.create_endpoint(EndpointName="churn", EndpointConfigName="one")
    settled(sagemaker)
    sagemaker.update_endpoint_weights_and_capacities(
        EndpointName="churn", DesiredWeightsAndCapacities=[{"VariantName": "v1", "DesiredWeight": 0.05}]
    )
    (told,) = settled(sagemaker)["ProductionVariants"]
    assert (0.05000000074505806, 3) == (told["CurrentWeight"], told["CurrentInstanceCount"])


def test_a_shadow_is_kept_and_told(sagemaker: Any):
    sagemaker.create_endpoint(EndpointName="churn", EndpointConfigName="shadow")
    (told,) = settled(sagemaker)["ShadowProductionVariants"]
    assert ("v2", 0.05000000074505806) == (told["VariantName"], told["CurrentWeight"])


@pytest.mark.parametrize(
    ("production", "shadows", "words"),
    [
        ([variant("v1"), variant("v2")], [variant("v3")], "One shadow variant"),
        ([variant("v1"), variant("v1")], [], "must be unique"),
        ([variant("v1", 0.0)], [], "must be above 0"),
        ([variant("v9")], [], "Could not find model"),
    ],
)
def test_configs_that_aws_refuses_are_refused(sagemaker: Any, production, shadows, words):
    more = {"ShadowProductionVariants": shadows} if shadows else {}
    with pytest.raises(ClientError, match=words):
        sagemaker.create_endpoint_config(EndpointConfigName="bad", ProductionVariants=production, **more)


def test_names_are_given_once_and_a_config_in_use_stays(sagemaker: Any):
    sagemaker.create_endpoint(EndpointName="churn", EndpointConfigName="one")
    with pytest.raises(ClientError, match="Cannot create already existing endpoint "):
        sagemaker.create_endpoint(EndpointName="churn", EndpointConfigName="one")
    with pytest.raises(ClientError, match="Cannot create already existing endpoint configuration"):
        sagemaker.create_endpoint_config(EndpointConfigName="one", ProductionVariants=[variant("v1")])
    with pytest.raises(ClientError, match="uses it"):
        sagemaker.delete_endpoint_config(EndpointConfigName="one")


def test_an_update_that_fails_rolls_back_to_the_old_config(aws: Aws, sagemaker: Any):
    """The law: Updating, RollingBack, InService on the old config, and why."""
    sagemaker.create_endpoint(EndpointName="churn", EndpointConfigName="one")
    settled(sagemaker)
    aws.settings(update_seconds=0.6, failing_updates=[{"endpoint": "churn", "reason": "no capacity"}])
    sagemaker.update_endpoint(EndpointName="churn", EndpointConfigName="two")
    seen = set()
    end = time.monotonic() + 30
    while "InService" not in seen and time.monotonic() < end:
        seen.add(sagemaker.describe_endpoint(EndpointName="churn")["EndpointStatus"])
    assert {"Updating", "RollingBack", "InService"} == seen
    told = settled(sagemaker)
    assert ("one", "no capacity") == (told["EndpointConfigName"], told["FailureReason"])
    sagemaker.update_endpoint(EndpointName="churn", EndpointConfigName="two")
    assert "two" == settled(sagemaker)["EndpointConfigName"], "a failure is spent"


def test_lists_are_told_in_pages_newest_first(aws: Aws):
    """The law: AWS tells ten rows unless asked for more, and a paginator finds them all."""
    for _ in range(12):
        arn = aws.package("churn")
    client = aws.client("sagemaker")
    page = client.list_model_packages(ModelPackageGroupName="churn")
    assert 10 == len(page["ModelPackageSummaryList"])
    assert arn == page["ModelPackageSummaryList"][0]["ModelPackageArn"]
    pages = client.get_paginator("list_model_packages").paginate(ModelPackageGroupName="churn")
    assert 12 == sum(len(one["ModelPackageSummaryList"]) for one in pages)


def test_a_model_package_keeps_what_an_update_leaves_out(aws: Aws):
    """The law: a lifecycle or metadata does not wipe the approval; tags and deletion work on versions."""
    client, arn = aws.client("sagemaker"), aws.package("churn", CustomerMetadataProperties={"a": "1"})
    stage = {"Stage": "Production", "StageStatus": "Approved"}
    client.update_model_package(ModelPackageArn=arn, ModelLifeCycle=stage)
    client.update_model_package(ModelPackageArn=arn, CustomerMetadataProperties={"b": "2"})
    told = client.describe_model_package(ModelPackageName=arn)
    assert ("Approved", stage, {"a": "1", "b": "2"}) == (
        told["ModelApprovalStatus"],
        told["ModelLifeCycle"],
        told["CustomerMetadataProperties"],
    )
    client.add_tags(ResourceArn=arn, Tags=[{"Key": "rollout", "Value": "churn-v1"}])
    assert [{"Key": "rollout", "Value": "churn-v1"}] == client.list_tags(ResourceArn=arn)["Tags"]
    second = aws.package("churn")
    client.delete_model_package(ModelPackageName=arn)
    client.delete_model_package(ModelPackageName=second)
    assert aws.package("churn").endswith("/3"), "a number is never given twice"


def test_a_change_of_a_model_package_reaches_a_queue(aws: Aws):
    """The law: event, rule, queue; as many copies as AWS sends; lost when it loses them."""
    sqs, events = aws.client("sqs"), aws.client("events")
    queue = sqs.create_queue(QueueName="versions")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    pattern = {"source": ["aws.sagemaker"], "detail": {"ModelApprovalStatus": ["Approved"]}}
    events.put_rule(Name="versions", EventPattern=json.dumps(pattern))
    events.put_targets(Rule="versions", Targets=[{"Id": "1", "Arn": arn}])
    aws.settings(event_copies=2)
    aws.package("churn", approved=False)
    package = aws.package("churn")
    aws.settings(events=False)
    aws.package("churn")
    told = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)["Messages"]
    details = [json.loads(message["Body"])["detail"]["ModelPackageArn"] for message in told]
    assert [package, package] == details


def test_quotas_are_those_of_the_setting(aws: Aws):
    aws.settings(quotas={"ml.m5.xlarge": 4.0})
    told = aws.client("service-quotas").list_service_quotas(ServiceCode="sagemaker")["Quotas"]
    assert [("ml.m5.xlarge for endpoint usage", 4.0)] == [(one["QuotaName"], one["Value"]) for one in told]


FAULTS = {
    "throttle": (ClientError, "ThrottlingException"),
    "server_error": (ClientError, "InternalFailure"),
    "timeout": (ConnectionClosedError, "closed"),
    "lost": (ConnectionClosedError, "closed"),
    "refuse": (ClientError, "in-progress"),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_hits_the_nth_call_and_no_other(aws: Aws, kind: str):
    """The law: nothing is done, but for `lost`, which is done and not answered; the log tells the fault."""
    client = aws.client("sagemaker")
    aws.fault(kind, "CreateModelPackageGroup", nth=2)
    error, words = FAULTS[kind]
    client.create_model_package_group(ModelPackageGroupName="g1")
    with pytest.raises(error, match=words):
        client.create_model_package_group(ModelPackageGroupName="g2")
    client.create_model_package_group(ModelPackageGroupName="g3")
    groups = client.list_model_package_groups()["ModelPackageGroupSummaryList"]
    made = {row["ModelPackageGroupName"] for row in groups}
    assert made == {"g1", "g3"} | ({"g2"} if kind == "lost" else set())
    assert ["", kind, ""] == [call.fault for call in aws.calls("CreateModelPackageGroup")]
    assert [1] == aws.hits()


def test_a_stale_answer_is_the_one_before(aws: Aws):
    """The law: eventual consistency: a read tells what the same read told the last time."""
    client = aws.client("sagemaker")
    assert [] == client.list_model_package_groups()["ModelPackageGroupSummaryList"]
    client.create_model_package_group(ModelPackageGroupName="g1")
    aws.fault("stale", "ListModelPackageGroups")
    assert [] == client.list_model_package_groups()["ModelPackageGroupSummaryList"]
    assert 1 == len(client.list_model_package_groups()["ModelPackageGroupSummaryList"])


def test_faults_are_worded_as_each_service_does(aws: Aws):
    s3, sts, sqs = aws.client("s3"), aws.client("sts"), aws.client("sqs")
    s3.create_bucket(Bucket="logs")
    for operation in ("PutObject", "GetCallerIdentity", "CreateQueue"):
        aws.fault("throttle", operation)
    with pytest.raises(ClientError, match="SlowDown"):
        s3.put_object(Bucket="logs", Key="a/b", Body=b"1")
    with pytest.raises(ClientError, match="Throttling"):
        sts.get_caller_identity()
    with pytest.raises(ClientError, match="Throttling"):
        sqs.create_queue(QueueName="q")
    s3.put_object(Bucket="logs", Key="a/b", Body=b"1")
    assert b"1" == s3.get_object(Bucket="logs", Key="a/b")["Body"].read()
    assert ["CreateBucket", "PutObject", "GetCallerIdentity", "CreateQueue", "PutObject", "GetObject"] == [
        call.operation for call in aws.calls()
    ]


def test_every_session_of_the_process_is_validated(aws: Aws):
    """The law: code under test makes its own sessions; a request that AWS would not take is refused there too."""
    import boto3

    theirs = boto3.session.Session().client("sagemaker")
    theirs.list_endpoints()
    with pytest.raises(AwsModelError, match="does not match"):
        theirs.create_model_package_group(ModelPackageGroupName="under_score")
    assert 1 == len(aws.violations)
    aws.violations.clear()
