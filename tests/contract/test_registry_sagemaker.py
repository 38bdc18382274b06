"""What SageMaker's Model Registry adds to the contract: approvals, shared accounts, calls, hostile answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from staged_rollout.adapters.platform import open_platform
from staged_rollout.adapters.registry_sagemaker import SageMakerRegistry
from staged_rollout.errors import NotFoundError, PlatformError
from staged_rollout.spec.environment import EnvironmentSpec
from staged_rollout.spec.home import Home
from tests.aws_server import ACCOUNT, REGION, Aws

pytest_plugins = ("tests.aws_fixtures",)

OTHER = "111122223333"
READS = ["DescribeModelPackageGroup", "ListModelPackages", "DescribeModelPackage"]


@pytest.fixture
def registry(aws: Aws) -> SageMakerRegistry:
    return SageMakerRegistry(aws.client("sagemaker"), "production")


def test_approval_and_stage_are_written_back(aws: Aws, registry: SageMakerRegistry):
    """The law: what is promoted is approved, what is rolled back is rejected, everything else keeps its approval."""
    expected = {
        "candidate": ("PendingManualApproval", "Candidate"),
        "champion": ("Approved", "Champion"),
        "retired": ("Approved", "Retired"),
        "kept_champion": ("Approved", "KeptChampion"),
        "rolled_back": ("Rejected", "RolledBack"),
        "cancelled": ("Rejected", "Cancelled"),
    }
    arn = aws.package("churn", approved=False)
    for lifecycle, (approval, stage) in expected.items():
        registry.set_lifecycle("churn", "1", lifecycle, "churn-v1")  # type: ignore[arg-type]
        told = aws.client("sagemaker").describe_model_package(ModelPackageName=arn)
        life = told["ModelLifeCycle"]
        assert (approval, "production", stage) == (told["ModelApprovalStatus"], life["Stage"], life["StageStatus"])
        assert "rollout churn-v1" == life["StageDescription"]
    assert "rolled back by rollout churn-v1 in production" == told["ApprovalDescription"]
    assert "rejected" == registry.version("churn", "1").status


def test_what_is_so_already_is_not_written_again(aws: Aws, registry: SageMakerRegistry):
    """The law: an idempotent write costs reads only, and emits no event."""
    aws.package("churn")
    for _ in range(3):
        registry.set_champion("churn", "1")
        registry.set_lifecycle("churn", "1", "champion", "churn-v1")
    assert 1 == len(aws.calls("AddTags"))
    assert 1 == len(aws.calls("UpdateModelPackage"))


def test_environments_that_share_a_registry_do_not_see_each_other(aws: Aws):
    """The law: what staging promoted has not yet run in production, and is not its champion."""
    aws.package("churn")
    staging, production = (SageMakerRegistry(aws.client("sagemaker"), name) for name in ("staging", "production"))
    staging.set_champion("churn", "1")
    staging.set_lifecycle("churn", "1", "champion", "churn-v1")
    assert "champion" == staging.version("churn", "1").tags["lifecycle"]
    assert "lifecycle" not in production.version("churn", "1").tags
    assert production.champion("churn") is None


def test_a_poll_without_news_costs_two_calls_and_a_version_one_more(aws: Aws, registry: SageMakerRegistry):
    for _ in range(3):
        aws.package("churn")
    aws.forget_calls()
    assert 3 == len(registry.versions_after("churn", 0))
    assert [*READS, *READS[-1:] * 2] == [call.operation for call in aws.calls()]
    aws.forget_calls()
    assert [] == registry.versions_after("churn", 3)
    assert READS[1:2] == [call.operation for call in aws.calls()]


def test_a_long_list_is_read_no_further_than_the_cursor(aws: Aws, registry: SageMakerRegistry):
    for _ in range(205):
        aws.package("churn")
    aws.forget_calls()
    assert ["204", "205"] == [one.version for one in registry.versions_after("churn", 203)]
    assert 1 == len(aws.calls("ListModelPackages"))
    aws.forget_calls()
    assert [str(number) for number in range(5, 206)] == [one.version for one in registry.versions_after("churn", 4)]
    assert 3 == len(aws.calls("ListModelPackages"))


def test_metadata_of_others_is_told_and_is_not_taken_for_ours(aws: Aws, registry: SageMakerRegistry):
    """The law: only our own keys say that a version has run; a digest that is none is none."""
    aws.package(
        "churn",
        CustomerMetadataProperties={
            "lifecycle": "champion",
            "rollout": "../../etc",
            "staged-rollout/digest": "a" * 63 + "/",
            "note": "=HYPERLINK",
        },
    )
    version = registry.version("churn", "1")
    assert {"note", "staged-rollout/digest"} == set(version.tags)
    assert "" == version.digest


@pytest.mark.parametrize("value", ["", "../1", "latest", "-1", "1 or 1=1"])
def test_a_champion_tag_that_holds_no_number_is_an_error(aws: Aws, registry: SageMakerRegistry, value: str):
    aws.package("churn")
    group = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:model-package-group/churn"
    tag = {"Key": "staged-rollout/production/champion", "Value": value.replace("1=1", "1")}
    aws.client("sagemaker").add_tags(ResourceArn=group, Tags=[tag])
    with pytest.raises(PlatformError, match="must be a version's number"):
        registry.champion("churn")


def test_a_champion_that_was_deleted_is_named(aws: Aws, registry: SageMakerRegistry):
    arn = aws.package("churn")
    registry.set_champion("churn", "1")
    aws.client("sagemaker").delete_model_package(ModelPackageName=arn)
    with pytest.raises(NotFoundError, match="churn has no version 1"):
        registry.champion("churn")


def test_a_version_deleted_while_it_is_listed_is_left_out(aws: Aws, registry: SageMakerRegistry):
    for _ in range(2):
        aws.package("churn")
    missing = "ModelPackage arn:aws:sagemaker:us-east-1:123456789012:model-package/churn/1 does not exist."
    aws.fault("refuse", "DescribeModelPackage", code="ValidationException", message=missing)
    assert ["2"] == [one.version for one in registry.versions_after("churn", 0)]


def test_a_refusal_is_no_absence(aws: Aws, registry: SageMakerRegistry):
    """The law: no permission is an error; it must not read as a registry without versions."""
    aws.package("churn")
    aws.fault("refuse", "DescribeModelPackageGroup", code="AccessDeniedException", message="not authorized", times=9)
    with pytest.raises(PlatformError, match="AccessDeniedException: not authorized"):
        registry.versions_after("churn", 0)


def test_a_registry_in_another_account_is_read_through_its_own_role(aws: Aws, tmp_path: Path):
    """The law: groups, versions and the champion are those of the registry's account, and references are its ARNs."""
    role = f"arn:aws:iam::{OTHER}:role/registry-of-all"
    environment = EnvironmentSpec.model_validate(
        {
            "name": "production",
            "account": ACCOUNT,
            "region": REGION,
            "adapters": {"registry": "aws"},
            "aws": {"registry_role": role},
        }
    )
    platform = open_platform(environment, Home(tmp_path))
    aws.package("churn")  # of our own account: not what is meant
    assert [] == platform.registry.versions_after("churn", 0)
    assert role == aws.calls("AssumeRole")[0].parameters["RoleArn"]
    client = platform.registry_aws.client("sagemaker")  # type: ignore[attr-defined]
    client.create_model_package_group(ModelPackageGroupName="churn")
    client.create_model_package(ModelPackageGroupName="churn", ModelApprovalStatus="Approved")
    platform.registry.set_champion("churn", "1")
    champion = platform.registry.champion("churn")
    assert champion is not None
    assert f"arn:aws:sagemaker:{REGION}:{OTHER}:model-package/churn/1" == champion.reference
