"""The contract of `ports.serving.Serving`, kept over real HTTP by the local endpoint and by SageMaker on moto."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from staged_rollout.adapters.aws_session import AwsSession
from staged_rollout.adapters.sagemaker_recipes import prefix as resource_prefix
from staged_rollout.adapters.serving_sagemaker import SageMakerServing
from staged_rollout.errors import EndpointNotOursError, NotFoundError, PlatformError, RefusedError
from staged_rollout.ports.serving import Applied, EndpointStatus, EndpointTarget, VariantTarget
from tests.aws_server import ACCOUNT, REGION, ROLE, Aws
from tests.local_platform import LocalPlatform, variant

pytest_plugins = ("tests.local_fixtures", "tests.aws_fixtures")


@dataclass(frozen=True)
class Served:
    """An adapter, and what only its own service can tell.

    Attributes:
        serving: The adapter.
        control: A client of the service.
        packages: What versions 1, 2 and 4 are referred to by; 5 cannot be served, 99 does not exist.
        role: What models run with.
        broken: Why 5 cannot be served.
    """

    serving: SageMakerServing
    control: Any
    packages: str
    role: str | None
    broken: str

    def variant(self, version: int, weight: float, **more: Any) -> VariantTarget:
        """A variant named after its version."""
        return replace(variant(version, weight, **more), reference=f"{self.packages}/{version}")

    def again(self, client: Any) -> SageMakerServing:
        """The adapter on another client."""
        return SageMakerServing(client=client, role_arn=self.role)

    def settle(self, target: EndpointTarget) -> list[Applied]:
        answers: list[Applied] = []
        end = time.monotonic() + 30
        while not answers or answers[-1] is not Applied.UNCHANGED:
            assert time.monotonic() < end, answers
            answers.append(self.serving.apply(target))
            time.sleep(0.05)
        return answers

    def configs(self) -> set[str]:
        rows = self.control.get_paginator("list_endpoint_configs").paginate(NameContains="sr-")
        return {row["EndpointConfigName"] for page in rows for row in page["EndpointConfigs"]}

    def models(self) -> set[str]:
        rows = self.control.get_paginator("list_models").paginate(NameContains="sr-")
        return {row["ModelName"] for page in rows for row in page["Models"]}


@pytest.fixture(params=["local endpoint", "SageMaker"])
def served(request: pytest.FixtureRequest) -> Served:
    # The adapter runs on a validated client: every request that it sends is one that AWS would take.
    if request.param == "local endpoint":
        platform: LocalPlatform = request.getfixturevalue("platform")
        control = platform.client("sagemaker")
        return Served(SageMakerServing(client=control), control, "churn", None, "not the one that was registered")
    aws: Aws = request.getfixturevalue("aws")
    aws.settings(update_seconds=0.3)
    for version in range(1, 6):
        arn = aws.package("churn", image="serving:unhealthy" if version == 5 else "serving:1")
    serving = SageMakerServing(client=AwsSession(account=ACCOUNT, region=REGION).client("sagemaker"), role_arn=ROLE)
    return Served(serving, aws.client("sagemaker"), arn.rpartition("/")[0], ROLE, "did not pass the ping health check")


@pytest.fixture
def endpoint(served: Served, fresh_endpoint: str) -> Iterator[str]:
    yield fresh_endpoint
    end = time.monotonic() + 30
    while not served.serving.teardown(fresh_endpoint):
        assert time.monotonic() < end
        time.sleep(0.05)


def test_an_endpoint_goes_from_nothing_to_in_service_by_idempotent_steps(served: Served, endpoint: str):
    """Applying the same target again and again starts one change and then changes nothing."""
    target = EndpointTarget(endpoint, (served.variant(1, 1.0),))
    assert served.serving.describe(endpoint) is None
    answers = served.settle(target)
    assert answers[0] is Applied.STARTED
    assert set(answers[1:-1]) == {Applied.BUSY}
    observed = served.serving.describe(endpoint)
    assert observed is not None
    assert observed.satisfies(target)
    assert [(one.name, one.reference) for one in observed.production] == [("v1", f"{served.packages}/1")]
    assert served.serving.apply(target) is Applied.UNCHANGED


def test_shadow_then_live_then_weights_then_alone(served: Served, endpoint: str):
    """Structure changes make a new config, weights alone do not; what is no longer used is deleted."""
    shadow = EndpointTarget(endpoint, (served.variant(1, 1.0),), served.variant(2, 0.5))
    served.settle(shadow)
    observed = served.serving.describe(endpoint)
    assert observed is not None
    assert observed.satisfies(shadow)
    assert observed.shadow is not None
    assert observed.shadow.weight == 0.5
    shadow_config = observed.config

    live = EndpointTarget(endpoint, (served.variant(1, 1.0), served.variant(2, 0.0)))
    served.settle(live)
    observed = served.serving.describe(endpoint)
    assert observed is not None
    assert observed.satisfies(live)
    live_config = observed.config
    assert shadow_config not in served.configs()
    assert live_config in served.configs()

    # 0.05 is not a float32: comparing shares exactly would never be satisfied.
    weighed = EndpointTarget(endpoint, (served.variant(1, 0.95), served.variant(2, 0.05)))
    assert served.settle(weighed)[0] is Applied.STARTED
    observed = served.serving.describe(endpoint)
    assert observed is not None
    assert observed.satisfies(weighed)
    assert observed.config == live_config

    alone = EndpointTarget(endpoint, (served.variant(2, 1.0),))
    served.settle(alone)
    observed = served.serving.describe(endpoint)
    assert observed is not None
    assert observed.satisfies(alone)
    # Other tests serve other endpoints on the same local servers.
    begin = resource_prefix(endpoint)
    assert len([name for name in served.models() if name.startswith(begin)]) == 1
    assert {name for name in served.configs() if name.startswith(begin)} == {observed.config}


def test_a_shadows_share_is_followed_too(served: Served, endpoint: str):
    served.settle(EndpointTarget(endpoint, (served.variant(1, 1.0),), served.variant(2, 1.0)))
    answers = served.settle(EndpointTarget(endpoint, (served.variant(1, 1.0),), served.variant(2, 0.25)))
    assert answers[0] is Applied.STARTED
    observed = served.serving.describe(endpoint)
    assert observed is not None
    assert observed.shadow is not None
    assert observed.shadow.weight == 0.25


def test_nothing_is_sent_while_the_endpoint_updates(served: Served, endpoint: str):
    served.settle(EndpointTarget(endpoint, (served.variant(1, 1.0),)))
    assert served.serving.apply(EndpointTarget(endpoint, (served.variant(2, 1.0),))) is Applied.STARTED
    configs = served.configs()
    other = EndpointTarget(endpoint, (served.variant(1, 0.5), served.variant(2, 0.5)))
    assert served.serving.apply(other) is Applied.BUSY
    assert served.configs() == configs
    observed = served.serving.describe(endpoint)
    assert observed is not None
    assert observed.status is EndpointStatus.UPDATING
    assert observed.names() == ("v1",), "what is observed is what answers, not what is pending"
    assert served.serving.teardown(endpoint) is False


def test_a_failed_update_leaves_the_old_fleet_in_service_and_says_why(served: Served, endpoint: str):
    good = EndpointTarget(endpoint, (served.variant(1, 1.0),))
    served.settle(good)
    assert served.serving.apply(EndpointTarget(endpoint, (served.variant(5, 1.0),))) is Applied.STARTED
    end = time.monotonic() + 20
    while (observed := served.serving.describe(endpoint)) is None or observed.status.in_flight:
        assert time.monotonic() < end
        time.sleep(0.05)
    assert observed.satisfies(good)
    assert served.broken in observed.failure


def test_an_endpoint_that_could_not_be_created_is_reported_and_can_be_torn_down(served: Served, endpoint: str):
    broken = EndpointTarget(endpoint, (served.variant(5, 1.0),))
    assert served.serving.apply(broken) is Applied.STARTED
    end = time.monotonic() + 20
    while served.serving.describe(endpoint).status is EndpointStatus.CREATING:
        assert time.monotonic() < end
        time.sleep(0.05)
    with pytest.raises(PlatformError, match=f"is Failed: .*{served.broken}"):
        served.serving.apply(broken)


def test_teardown_leaves_nothing_behind_and_may_be_repeated(served: Served, endpoint: str):
    models, configs = served.models(), served.configs()
    served.settle(EndpointTarget(endpoint, (served.variant(1, 1.0),), served.variant(2, 1.0)))
    assert served.models() > models
    end = time.monotonic() + 20
    while not served.serving.teardown(endpoint):
        assert time.monotonic() < end
        time.sleep(0.05)
    assert served.serving.describe(endpoint) is None
    assert (served.models(), served.configs()) == (models, configs)
    assert served.serving.teardown(endpoint) is True


def test_an_endpoint_of_somebody_else_is_never_touched(served: Served, fresh_endpoint: str):
    control = served.control
    instance = {"InstanceType": "ml.m5.xlarge", "InitialInstanceCount": 1, "InitialVariantWeight": 1.0}
    role = {"ExecutionRoleArn": served.role} if served.role else {}
    control.create_model(ModelName="theirs", PrimaryContainer={"ModelPackageName": f"{served.packages}/1"}, **role)
    control.create_endpoint_config(
        EndpointConfigName="theirs",
        ProductionVariants=[{"VariantName": "AllTraffic", "ModelName": "theirs", **instance}],
    )
    control.create_endpoint(EndpointName=fresh_endpoint, EndpointConfigName="theirs")
    with pytest.raises(EndpointNotOursError, match="without the tag staged-rollout=managed"):
        served.serving.apply(EndpointTarget(fresh_endpoint, (served.variant(1, 1.0),)))
    with pytest.raises(EndpointNotOursError):
        served.serving.teardown(fresh_endpoint)
    observed = served.serving.describe(fresh_endpoint)
    assert observed is not None
    assert observed.names() == ("AllTraffic",)


ONE, TWO = variant(1, 1.0), variant(2, 1.0)


@pytest.mark.parametrize(
    ("production", "shadow", "words"),
    [
        ((ONE, TWO), variant(4, 1.0), "a shadow beside 2"),
        ((), None, "0 production variants"),
        (tuple(replace(ONE, name=f"n{n}") for n in range(11)), None, "11 production variants"),
        ((ONE, replace(TWO, name="v1")), None, "distinct names"),
        ((replace(ONE, weight=0.0),), None, "sum to 0"),
        ((replace(ONE, weight=-1.0), TWO), None, "must be >= 0"),
        ((replace(ONE, weight=float("nan")), TWO), None, "must be >= 0 and finite"),
        ((replace(ONE, instance_count=0),), None, "instance_count == 0"),
        ((replace(ONE, name="../v1"),), None, "letters, digits and hyphens"),
    ],
)
def test_a_target_that_breaks_the_rules_is_refused_before_anything_is_made(served: Served, production, shadow, words):
    before = served.models(), served.configs()
    with pytest.raises(RefusedError, match=words):
        served.serving.apply(EndpointTarget("never", production, shadow))
    assert (served.models(), served.configs()) == before


@pytest.mark.parametrize("name", ["", "../up", "a/b", "-a", "a-", "a_b", "a" * 64, "a\n"])
def test_a_name_that_is_none_reaches_no_service(served: Served, name: str):
    with pytest.raises(RefusedError, match="endpoint =="):
        served.serving.describe(name)


def test_a_reference_that_does_not_exist_is_refused_with_the_services_reason(served: Served, endpoint: str):
    with pytest.raises(PlatformError, match=r"create_model: ValidationException: .*churn/99"):
        served.serving.apply(EndpointTarget(endpoint, (served.variant(99, 1.0),)))


def test_an_endpoint_that_goes_while_it_is_looked_at_is_no_error(served: Served, fresh_endpoint: str):
    """Between describing an endpoint and reading its tags its deletion may end: then the next call decides."""
    served.settle(EndpointTarget(fresh_endpoint, (served.variant(1, 1.0),)))
    seen = served.control.describe_endpoint(EndpointName=fresh_endpoint)
    while not served.serving.teardown(fresh_endpoint):
        time.sleep(0.01)

    class Stale:
        """The client, but for one description that is told as it was before."""

        def __getattr__(self, name: str) -> Any:
            return getattr(served.control, name)

        def describe_endpoint(self, **_: Any) -> Any:
            return seen

    stale = served.again(Stale())
    assert stale.apply(EndpointTarget(fresh_endpoint, (served.variant(1, 1.0),))) is Applied.BUSY
    assert stale.teardown(fresh_endpoint) is False
    assert served.serving.teardown(fresh_endpoint) is True


def test_three_variants_live_at_once(served: Served, endpoint: str):
    """The law: .7/.2/.1 is served as it stands, and weighed anew without a new config."""
    three = EndpointTarget(endpoint, (served.variant(1, 0.7), served.variant(2, 0.2), served.variant(4, 0.1)))
    served.settle(three)
    first = served.serving.describe(endpoint)
    assert first is not None
    assert first.satisfies(three)
    other = EndpointTarget(endpoint, (served.variant(1, 0.0), served.variant(2, 0.5), served.variant(4, 0.5)))
    served.settle(other)
    observed = served.serving.describe(endpoint)
    assert observed is not None
    assert observed.satisfies(other)
    assert first.config == observed.config


def test_each_variant_has_its_own_capacity(served: Served, endpoint: str):
    """The law: type and count are per variant; a count alone is changed without a new config, a type with one."""

    def target(count: int, kind: str = "ml.c5.xlarge") -> EndpointTarget:
        small = served.variant(2, 0.0, instance_type=kind, instance_count=count)
        return EndpointTarget(endpoint, (served.variant(1, 1.0, instance_count=3), small))

    configs = []
    for wanted in (target(1), target(2, "ml.c5.xlarge"), target(2, "ml.g4dn.xlarge")):
        served.settle(wanted)
        observed = served.serving.describe(endpoint)
        assert observed is not None
        assert observed.satisfies(wanted)
        configs.append(observed.config)
    assert [True, False] == [configs[0] == configs[1], configs[1] == configs[2]]


def test_an_endpoint_that_was_adopted_keeps_its_variants_name_and_model(served: Served, fresh_endpoint: str):
    """The law: adoption changes nothing but tags; a rollout beside it keeps the variant; their model is not deleted."""
    control = served.control
    role = {"ExecutionRoleArn": served.role} if served.role else {}
    name = f"theirs-{fresh_endpoint}"
    control.create_model(ModelName=name, PrimaryContainer={"ModelPackageName": f"{served.packages}/1"}, **role)
    instance = {"InstanceType": "ml.c5.xlarge", "InitialInstanceCount": 2, "InitialVariantWeight": 1.0}
    variants = [{"VariantName": "AllTraffic", "ModelName": name, **instance}]
    control.create_endpoint_config(EndpointConfigName=name, ProductionVariants=variants)
    arn = control.create_endpoint(EndpointName=fresh_endpoint, EndpointConfigName=name)["EndpointArn"]

    adopted = served.serving.adopt(fresh_endpoint, "by ana: ours now <&> 100% sure")
    served.serving.adopt(fresh_endpoint, "by ana: again")

    assert [("AllTraffic", f"{served.packages}/1", 2)] == [
        (one.name, one.reference, one.instance_count) for one in adopted.production
    ]
    tags = {tag["Key"]: tag["Value"] for tag in control.list_tags(ResourceArn=arn)["Tags"]}
    assert {"staged-rollout": "managed", "staged-rollout-adopted": "by ana: again"} == tags
    champion = replace(served.variant(1, 1.0), name="AllTraffic", instance_type="ml.c5.xlarge", instance_count=2)
    served.settle(EndpointTarget(fresh_endpoint, (champion,), served.variant(2, 1.0)))
    config = served.serving.describe(fresh_endpoint).config
    (kept,) = control.describe_endpoint_config(EndpointConfigName=config)["ProductionVariants"]
    assert ("AllTraffic", name) == (kept["VariantName"], kept["ModelName"])
    end = time.monotonic() + 30
    while not served.serving.teardown(fresh_endpoint):
        assert time.monotonic() < end
        time.sleep(0.05)
    control.describe_model(ModelName=name)
    control.describe_endpoint_config(EndpointConfigName=name)


def test_an_endpoint_that_does_not_exist_cannot_be_adopted(served: Served, fresh_endpoint: str):
    with pytest.raises(NotFoundError, match=f"{fresh_endpoint} does not exist"):
        served.serving.adopt(fresh_endpoint, "by ana: a mistake")


def test_what_is_expected_is_not_trusted(served: Served, endpoint: str):
    """The law: with a wrong expectation the answer is the same as with none."""
    live = EndpointTarget(endpoint, (served.variant(1, 1.0), served.variant(2, 0.0)))
    served.settle(live)
    wrong = [
        EndpointTarget(endpoint, (served.variant(1, 1.0),)),
        EndpointTarget(endpoint, (served.variant(1, 1.0), served.variant(4, 0.0))),
        EndpointTarget(endpoint, (served.variant(1, 1.0),), served.variant(2, 1.0)),
        replace(live, production=(served.variant(1, 0.5), served.variant(2, 0.5))),
    ]
    alone = served.serving.describe(endpoint)
    assert [alone] * 5 == [served.serving.describe(endpoint, expected=one) for one in (*wrong, live)]
