"""The local endpoint's control plane, as an unmodified boto3 client meets it; every shape is held against AWS's."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.local_platform import LocalPlatform, eventually, variant

pytest_plugins = ("tests.local_fixtures",)

INSTANCE = {"InstanceType": "ml.m5.xlarge", "InitialInstanceCount": 1}
CAPTURE = {
    "InitialSamplingPercentage": 100,
    "DestinationS3Uri": "s3://bucket/capture",
    "CaptureOptions": [{"CaptureMode": "InputAndOutput"}],
}


def production(name: str, model: str, weight: float) -> dict[str, Any]:
    return {"VariantName": name, "ModelName": model, "InitialVariantWeight": weight, **INSTANCE}


@pytest.fixture(scope="module")
def control(platform: LocalPlatform) -> Any:
    """A client, with models m1 and m2 and an endpoint `control` on weights 95 and 5."""
    client = platform.client("sagemaker")
    for number in (1, 2):
        client.create_model(ModelName=f"m{number}", PrimaryContainer={"ModelPackageName": f"churn/{number}"})
    client.create_endpoint_config(
        EndpointConfigName="c1",
        ProductionVariants=[production("champ", "m1", 95), production("cand", "m2", 5)],
        DataCaptureConfig=CAPTURE,
        Tags=[{"Key": "team", "Value": "growth"}],
    )
    client.create_endpoint(EndpointName="control", EndpointConfigName="c1", Tags=[{"Key": "a", "Value": "1"}])
    in_service(client)
    return client


def in_service(client: Any, name: str = "control") -> dict[str, Any]:
    eventually(lambda: client.describe_endpoint(EndpointName=name)["EndpointStatus"] == "InService", 20)
    told: dict[str, Any] = client.describe_endpoint(EndpointName=name)
    return told


def refusal(call: Any, **parameters: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert caught.value.response["Error"]["Code"] == "ValidationException"
    return str(caught.value.response["Error"]["Message"])


def test_weights_are_relative_float32_and_stay_where_they_are_left_out(control: Any):
    """Sending only cand=10 beside an old champ=95 gives 10/105: hence the adapter always sends all."""
    control.update_endpoint_weights_and_capacities(
        EndpointName="control", DesiredWeightsAndCapacities=[{"VariantName": "cand", "DesiredWeight": 0.05}]
    )
    during = control.describe_endpoint(EndpointName="control")
    assert during["EndpointStatus"] == "Updating"
    figures = [(one["CurrentWeight"], one["DesiredWeight"]) for one in during["ProductionVariants"]]
    assert figures == [(95.0, 95.0), (5.0, 0.05000000074505806)]
    after = in_service(control)
    assert [one["CurrentWeight"] for one in after["ProductionVariants"]] == [95.0, 0.05000000074505806]
    control.update_endpoint_weights_and_capacities(
        EndpointName="control", DesiredWeightsAndCapacities=[{"VariantName": "cand", "DesiredWeight": 5}]
    )
    in_service(control)


def test_what_does_not_exist_is_not_found_in_awss_words(control: Any):
    arn = "arn:aws:sagemaker:local:000000000000"
    assert refusal(control.describe_endpoint, EndpointName="no") == f'Could not find endpoint "{arn}:endpoint/no".'
    assert (
        refusal(control.describe_endpoint_config, EndpointConfigName="no")
        == f'Could not find endpoint configuration "{arn}:endpoint-config/no".'
    )
    assert refusal(control.describe_model, ModelName="no") == f'Could not find model "{arn}:model/no".'
    assert "Could not find" in refusal(control.create_endpoint, EndpointName="x", EndpointConfigName="no")
    assert "Could not find" in refusal(control.delete_model, ModelName="no")
    assert "not found in endpoint" in refusal(
        control.update_endpoint_weights_and_capacities,
        EndpointName="control",
        DesiredWeightsAndCapacities=[{"VariantName": "no", "DesiredWeight": 1.0}],
    ).replace("are not found", "not found")


def test_a_name_can_be_taken_once(control: Any):
    taken = 'Cannot create already existing endpoint "arn'
    assert refusal(control.create_endpoint, EndpointName="control", EndpointConfigName="c1").startswith(taken)
    again = [production("champ", "m1", 1)]
    assert "already existing" in refusal(
        control.create_endpoint_config, EndpointConfigName="c1", ProductionVariants=again
    )
    package = {"ModelPackageName": "churn/1"}
    assert "already existing" in refusal(control.create_model, ModelName="m1", PrimaryContainer=package)


def test_a_config_in_use_cannot_be_deleted(control: Any):
    assert "uses it" in refusal(control.delete_endpoint_config, EndpointConfigName="c1")


def test_one_shadow_beside_exactly_one_production_variant(control: Any):
    one, two = production("a", "m1", 1), production("b", "m2", 1)
    for variants, shadows in (([one, two], [production("s", "m2", 1)]), ([one], [two, production("s", "m2", 1)])):
        assert "one shadow variant is allowed" in refusal(
            control.create_endpoint_config,
            EndpointConfigName="shadows",
            ProductionVariants=variants,
            ShadowProductionVariants=shadows,
        )


def test_only_approved_versions_become_models(control: Any):
    package = {"ModelPackageName": "churn/3"}
    assert "is pending, must be approved" in refusal(control.create_model, ModelName="m3", PrimaryContainer=package)


def test_a_setting_that_would_be_ignored_is_refused(control: Any):
    serverless = {
        "VariantName": "a",
        "ModelName": "m1",
        "ServerlessConfig": {"MemorySizeInMB": 1024, "MaxConcurrency": 1},
    }
    message = refusal(control.create_endpoint_config, EndpointConfigName="s", ProductionVariants=[serverless])
    assert "ServerlessConfig" in message


def test_configs_and_models_are_told_as_they_were_given(control: Any):
    told = control.describe_endpoint_config(EndpointConfigName="c1")
    assert [one["VariantName"] for one in told["ProductionVariants"]] == ["champ", "cand"]
    assert told["DataCaptureConfig"]["DestinationS3Uri"] == "s3://bucket/capture"
    model = control.describe_model(ModelName="m2")
    assert model["PrimaryContainer"] == {"ModelPackageName": "churn/2"}
    assert control.describe_endpoint(EndpointName="control")["DataCaptureConfig"]["CaptureStatus"] == "Started"


def test_lists_are_filtered_ordered_and_paged(control: Any):
    names = [f"page-{number:02d}" for number in range(23)]
    for name in names:
        control.create_model(ModelName=name, PrimaryContainer={"ModelPackageName": "churn/1"})
    pages = list(
        control.get_paginator("list_models").paginate(NameContains="PAGE", SortBy="Name", SortOrder="Ascending")
    )
    assert [len(page["Models"]) for page in pages] == [10, 10, 3]
    assert [row["ModelName"] for page in pages for row in page["Models"]] == names
    newest = control.list_models(NameContains="page", MaxResults=1)["Models"]
    assert [row["ModelName"] for row in newest] == names[-1:]
    assert {"control"} <= {row["EndpointName"] for row in control.list_endpoints(MaxResults=100)["Endpoints"]}


def test_tags_are_merged_by_key(control: Any):
    arn = control.describe_endpoint(EndpointName="control")["EndpointArn"]
    control.add_tags(ResourceArn=arn, Tags=[{"Key": "a", "Value": "2"}, {"Key": "b", "Value": "3"}])
    assert control.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "a", "Value": "2"}, {"Key": "b", "Value": "3"}]
    config = control.describe_endpoint_config(EndpointConfigName="c1")["EndpointConfigArn"]
    assert control.list_tags(ResourceArn=config)["Tags"] == [{"Key": "team", "Value": "growth"}]
    assert "is not the ARN" in refusal(control.list_tags, ResourceArn=arn.replace("control", "../control"))


def test_retained_weights_survive_a_new_config(control: Any):
    """A new config resets weights unless RetainAllVariantProperties is set."""
    control.create_endpoint_config(
        EndpointConfigName="c-retain",
        ProductionVariants=[production("champ", "m1", 1), production("cand", "m2", 1)],
    )
    control.update_endpoint(EndpointName="control", EndpointConfigName="c-retain", RetainAllVariantProperties=True)
    assert [one["CurrentWeight"] for one in in_service(control)["ProductionVariants"]] == [95.0, 5.0]
    control.update_endpoint(EndpointName="control", EndpointConfigName="c1")
    in_service(control)


def test_an_operation_that_is_not_spoken_is_named(platform: LocalPlatform):
    with pytest.raises(ClientError, match=r"'SageMaker\.ListTrainingJobs' is not an operation"):
        platform.client("sagemaker").list_training_jobs()


def test_the_adapters_variants_are_those_that_boto3_sees(platform: LocalPlatform, control: Any):
    assert variant(1, 1.0).reference == control.describe_model(ModelName="m1")["PrimaryContainer"]["ModelPackageName"]
