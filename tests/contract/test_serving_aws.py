"""What the serving adapter does on AWS alone: fewest calls, keys, tags, quotas, and every fault that AWS has."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from staged_rollout.adapters.aws_session import AwsSession
from staged_rollout.adapters.platform_aws import AwsPlatform
from staged_rollout.adapters.serving_sagemaker import tag_text
from staged_rollout.errors import PlatformError, RefusedError
from staged_rollout.ports.serving import Applied, EndpointStatus, EndpointTarget, Serving, VariantTarget
from staged_rollout.spec.environment import EnvironmentSpec
from staged_rollout.spec.home import Home
from tests.aws_faults import drawn
from tests.aws_server import ACCOUNT, REGION, ROLE, Aws

pytest_plugins = ("tests.aws_fixtures",)

ENDPOINT = "churn-prod"
KEY = "alias/rollouts"
ENVIRONMENT: dict[str, Any] = {
    "name": "aws",
    "account": ACCOUNT,
    "region": REGION,
    "kms_key": KEY,
    "adapters": {"serving": "aws"},
    "aws": {"bucket": "rollouts", "model_role": ROLE},
}
SPEC = EnvironmentSpec.model_validate(ENVIRONMENT)


class World:
    """The adapter as an environment opens it, and packages 1 to 4 of a group."""

    def __init__(self, aws: Aws, home: Path) -> None:
        self.aws = aws
        self.home = home
        self.packages = [aws.package("churn") for _ in range(2)]
        self.session = AwsSession.of(SPEC)
        aws.settings(update_seconds=0.05)

    def opened(self) -> Serving:
        """As a new process would open it: nothing is remembered but connections."""
        platform = AwsPlatform(SPEC, Home(self.home))
        platform.__dict__["aws"] = self.session
        return platform.serving

    def variant(self, version: int, weight: float, **more: Any) -> VariantTarget:
        return VariantTarget(f"v{version}", str(version), self.packages[version - 1], weight, **more)

    @property
    def champion(self) -> EndpointTarget:
        return EndpointTarget(ENDPOINT, (self.variant(1, 1.0),))

    @property
    def shadow(self) -> EndpointTarget:
        return EndpointTarget(ENDPOINT, (self.variant(1, 1.0),), self.variant(2, 1.0))

    @property
    def live(self) -> EndpointTarget:
        return EndpointTarget(ENDPOINT, (self.variant(1, 1.0), self.variant(2, 0.0)))

    @property
    def promoting(self) -> EndpointTarget:
        return EndpointTarget(ENDPOINT, (self.variant(1, 0.25), self.variant(2, 0.75)))

    @property
    def promoted(self) -> EndpointTarget:
        return EndpointTarget(ENDPOINT, (self.variant(2, 1.0),))

    def settle(self, target: EndpointTarget, *, tries: int = 0) -> None:
        """Apply, each time in a new process, until nothing is left to do."""
        end = time.monotonic() + 60
        while True:
            assert time.monotonic() < end
            try:
                if self.opened().apply(target) is Applied.UNCHANGED:
                    return
            except PlatformError:
                if tries == 0:
                    raise
                tries -= 1
            time.sleep(0.02)

    def rest(self) -> None:
        """Wait until nothing is on its way."""
        end = time.monotonic() + 60
        while self.aws.client("sagemaker").describe_endpoint(EndpointName=ENDPOINT)["EndpointStatus"] != "InService":
            assert time.monotonic() < end
            time.sleep(0.02)

    def calls(self, act: Callable[[], Any]) -> Counter[str]:
        """The calls of an act, but for the one that tells who we are."""
        self.rest()
        self.aws.forget_calls()
        act()
        return Counter(call.operation for call in self.aws.calls() if call.operation != "GetCallerIdentity")

    def left(self) -> tuple[int, int, int]:
        """Endpoints, configs and models that exist."""
        client = self.aws.client("sagemaker")
        return (
            len(client.list_endpoints()["Endpoints"]),
            len(client.list_endpoint_configs()["EndpointConfigs"]),
            len(client.list_models()["Models"]),
        )


@pytest.fixture
def world(aws: Aws, tmp_path: Path) -> Iterator[World]:
    made = World(aws, tmp_path)
    yield made
    made.session.close()


QUOTAS = Counter(ListServiceQuotas=1)
CHANGE = Counter(DescribeEndpoint=2, ListTags=1)


def test_reconcile_makes_the_fewest_calls(world: World):
    """The law: each step from a cold process; a steady state is one call, weights four, a new config seven at most."""

    def step(target: EndpointTarget) -> Callable[[], None]:
        def act() -> None:
            serving = world.opened()
            found = serving.describe(ENDPOINT, expected=target)
            assert found is not None
            if not found.satisfies(target):
                assert serving.apply(target) is Applied.STARTED

        return act

    world.settle(world.champion)
    assert Counter(DescribeEndpoint=1) == world.calls(step(world.champion))
    made = CHANGE + Counter(DescribeEndpointConfig=1, CreateEndpointConfig=1, UpdateEndpoint=1)
    assert made + Counter(CreateModel=1) + QUOTAS == world.calls(step(world.shadow))
    assert Counter(DescribeEndpoint=1) == world.calls(step(world.shadow))
    assert made + QUOTAS == world.calls(step(world.live))
    weighed = CHANGE + Counter(UpdateEndpointWeightsAndCapacities=1)
    assert weighed == world.calls(step(world.promoting))
    assert Counter(DescribeEndpoint=1) == world.calls(step(world.promoting))
    # The loser's model lies in the config, and is not expected any more: it is looked up once.
    assert made + Counter(DescribeModel=2) + QUOTAS == world.calls(step(world.promoted))


def test_cleaning_up_asks_only_about_what_it_may_delete(world: World):
    """The law: with nothing to delete two lists and the config in use are read, and no tag of it."""
    world.settle(world.champion)
    steady = Counter(DescribeEndpoint=1, ListTags=1, ListEndpointConfigs=1, ListModels=1, DescribeEndpointConfig=1)
    assert steady == world.calls(lambda: world.opened().apply(world.champion))


def test_everything_that_is_made_is_tagged_and_encrypted_and_captured(world: World):
    """The law: our tag on endpoint, config and model; the key on volumes and capture; content types by header."""
    world.settle(world.shadow)
    client = world.aws.client("sagemaker")
    arns = [client.describe_endpoint(EndpointName=ENDPOINT)["EndpointArn"]]
    arns += [row["EndpointConfigArn"] for row in client.list_endpoint_configs()["EndpointConfigs"]]
    arns += [row["ModelArn"] for row in client.list_models()["Models"]]
    tag = {"Key": "staged-rollout", "Value": "managed"}
    assert [[tag]] * 4 == [client.list_tags(ResourceArn=arn)["Tags"] for arn in arns]
    (row,) = client.list_endpoint_configs()["EndpointConfigs"]
    config = client.describe_endpoint_config(EndpointConfigName=row["EndpointConfigName"])
    assert KEY == config["KmsKeyId"]
    assert {
        "EnableCapture": True,
        "InitialSamplingPercentage": 100,
        "DestinationS3Uri": "s3://rollouts/staged-rollout/capture",
        "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
        "CaptureContentTypeHeader": {"JsonContentTypes": ["application/json"], "CsvContentTypes": ["text/csv"]},
        "KmsKeyId": KEY,
    } == config["DataCaptureConfig"]
    (model,) = {one["ModelName"] for one in config["ProductionVariants"]}
    told = client.describe_model(ModelName=model)
    assert (ROLE, world.packages[0]) == (told["ExecutionRoleArn"], told["PrimaryContainer"]["ModelPackageName"])


@pytest.mark.parametrize(("kind", "key"), [("ml.m5.xlarge", KEY), ("ml.m5d.xlarge", None), ("ml.g5.xlarge", None)])
def test_no_volume_key_is_sent_for_disks_that_encrypt_themselves(world: World, kind: str, key: str | None):
    """The law: SageMaker refuses a volume key beside local NVMe storage; capture is encrypted all the same."""
    world.settle(EndpointTarget(ENDPOINT, (world.variant(1, 1.0, instance_type=kind),)))
    client = world.aws.client("sagemaker")
    (row,) = client.list_endpoint_configs()["EndpointConfigs"]
    config = client.describe_endpoint_config(EndpointConfigName=row["EndpointConfigName"])
    assert (key, KEY) == (config.get("KmsKeyId"), config["DataCaptureConfig"]["KmsKeyId"])


def test_a_quota_that_does_not_hold_the_new_fleet_is_told_before_anything_is_made(world: World):
    """The law: the new fleet stands beside the old one; what is needed, in use and allowed is told; nothing is made."""
    world.aws.settings(quotas={"ml.m5.xlarge": 2.0})
    world.settle(world.champion)
    before = world.left()
    with pytest.raises(
        RefusedError, match=r"needs 2 x ml\.m5\.xlarge beside the 1 in use, the quota .* is 2"
    ) as caught:
        world.opened().apply(world.shadow)
    assert "request-service-quota-increase --service-code sagemaker --quota-code L-" in caught.value.hint
    assert "--desired-value 3" in caught.value.hint
    assert before == world.left()
    world.aws.settings(quotas={"ml.m5.xlarge": 3.0})
    world.settle(world.shadow)


def test_a_quota_counts_what_others_run(world: World):
    """The law: usage is the account's own metric, the newest value of it."""
    world.aws.settings(quotas={"ml.m5.xlarge": 4.0})
    told = world.aws.client("service-quotas").list_service_quotas(ServiceCode="sagemaker")["Quotas"][0]["UsageMetric"]
    dimensions = [{"Name": name, "Value": value} for name, value in told["MetricDimensions"].items()]
    world.aws.client("cloudwatch").put_metric_data(
        Namespace=told["MetricNamespace"],
        MetricData=[{"MetricName": told["MetricName"], "Dimensions": dimensions, "Value": 4.0}],
    )
    with pytest.raises(RefusedError, match=r"needs 1 x ml\.m5\.xlarge beside the 4 in use"):
        world.opened().apply(world.champion)


def test_quotas_that_may_not_be_read_hold_nothing_up(world: World):
    world.aws.fault("refuse", "ListServiceQuotas", times=99, code="AccessDeniedException", message="not you")
    world.settle(world.champion)


def test_names_and_types_that_aws_would_refuse_reach_no_service(world: World):
    world.aws.forget_calls()
    serving = world.opened()
    for kind in ("m5.xlarge", "ml.M5.xlarge", "ml.m5.xlarge; rm", "", "ml.m5"):
        with pytest.raises(RefusedError, match=r"must be like ml\.m5\.xlarge"):
            serving.apply(EndpointTarget(ENDPOINT, (world.variant(1, 1.0, instance_type=kind),)))
    assert [] == [call for call in world.aws.calls() if call.operation != "GetCallerIdentity"]


def test_a_tags_text_holds_what_tags_can_hold():
    assert "ana: it's ours" != tag_text("ana: it's ours")
    assert "ana: it s ours, 100" == tag_text("ana: it's ours, 100%").replace("  ", ", ")
    assert 256 == len(tag_text("x" * 999))


def test_a_broken_endpoint_is_told_and_never_deleted_by_itself(world: World):
    """The law: UpdateRollbackFailed needs an operator; teardown, which is one, may delete it."""
    world.settle(world.champion)
    failure = {"endpoint": ENDPOINT, "reason": "mixed fleet", "ends": "UpdateRollbackFailed"}
    world.aws.settings(failing_updates=[failure])
    assert world.opened().apply(world.live) is Applied.STARTED
    end = time.monotonic() + 30
    while (found := world.opened().describe(ENDPOINT)) is not None and found.status.in_flight:
        assert time.monotonic() < end
    assert found is not None
    assert found.status is EndpointStatus.UPDATE_ROLLBACK_FAILED
    with pytest.raises(PlatformError, match="is UpdateRollbackFailed: mixed fleet"):
        world.opened().apply(world.champion)
    while not world.opened().teardown(ENDPOINT):
        assert time.monotonic() < end
    assert (0, 0, 0) == world.left()


FAULTS: dict[str, dict[str, Any]] = {
    "throttle": {},
    "server_error": {},
    "timeout": {},
    "lost": {},
    "stale": {},
    "updating": {"kind": "refuse"},
}
OPERATIONS = (
    "DescribeEndpoint",
    "ListTags",
    "DescribeEndpointConfig",
    "DescribeModel",
    "CreateModel",
    "CreateEndpointConfig",
    "CreateEndpoint",
    "UpdateEndpoint",
    "UpdateEndpointWeightsAndCapacities",
    "ListEndpointConfigs",
    "ListModels",
    "DeleteEndpointConfig",
    "DeleteModel",
    "DeleteEndpoint",
)
REFUSED_WHILE_UPDATING = {"UpdateEndpoint", "UpdateEndpointWeightsAndCapacities", "DeleteEndpoint"}
CASES = [
    (fault, operation)
    for fault in FAULTS
    for operation in OPERATIONS
    if fault != "updating" or operation in REFUSED_WHILE_UPDATING
]


@pytest.mark.parametrize(("fault", "operation"), drawn(CASES, 10))
def test_a_fault_at_any_call_changes_nothing_about_where_it_ends(world: World, fault: str, operation: str):
    """The law: from nothing through a whole rollout to nothing again, each operation's first call fails once."""
    world.aws.fault(FAULTS[fault].get("kind", fault), operation)
    for target in (world.champion, world.shadow, world.live, world.promoting, world.promoted):
        world.settle(target)
        found = world.opened().describe(ENDPOINT)
        assert found is not None
        assert found.satisfies(target)
    assert (1, 1, 1) == world.left()
    end = time.monotonic() + 60
    while not world.opened().teardown(ENDPOINT):
        assert time.monotonic() < end
        time.sleep(0.02)
    assert (0, 0, 0) == world.left()
    assert [1] == world.aws.hits()
