"""A version is served outside any rollout: the first champion, and the way back from a wrong promotion."""

from __future__ import annotations

import pytest

from staged_rollout.errors import ConflictError
from staged_rollout.operations.serve import serve
from staged_rollout.spec.model import RolloutSpec
from staged_rollout.state import State
from tests.fakes.platform import ENDPOINT, FakePlatform, reached

STEPS = 30


@pytest.fixture
def spec(churn):
    return RolloutSpec.model_validate(churn)


def test_serving_the_first_champion_is_one_step_at_a_time(tmp_path, spec):
    platform = FakePlatform.at(tmp_path / "empty")
    platform.serving.patience = 1
    said = [serve(platform, spec, "2") for _ in range(4)]
    assert said == ["updating", "updating", "in service", "in service"]
    assert platform.registry.champions == {"churn": "2"}
    assert (platform.document().epoch, platform.document().champion.name) == (1, "v2")


def test_serving_does_not_touch_an_endpoint_that_a_rollout_owns(tmp_path, churn, spec):
    with pytest.raises(ConflictError, match="churn-prod belongs to churn-v3"):
        serve(reached(tmp_path / "live", churn, State.LIVE), spec, "2")


@pytest.mark.parametrize("die_after", [None, *range(6)])
def test_back_from_a_wrong_promotion_no_router_is_sent_to_a_variant_that_is_not_there(tmp_path, churn, die_after):
    """At every step, and at every end of an update, the document's champion is served; also when a step is lost."""
    platform = reached(tmp_path, churn, State.PROMOTED)
    spec = RolloutSpec.model_validate(churn)
    assert ["v3"] == [variant.name for variant in platform.serving.endpoints[ENDPOINT].production]
    platform.environment = platform.environment.model_copy(update={"drain_s": 5.0})
    platform.serving.patience = 1
    epoch, said, served = platform.document().epoch, [], []
    for step in range(STEPS):
        if step == die_after:
            platform.serving.failures = ["an update fails, and the endpoint stays as it was"]
        said.append(serve(platform, spec, "2"))
        endpoint = platform.serving.endpoints[ENDPOINT]
        names = [variant.name for variant in endpoint.production]
        served += [names] if served[-1:] != [names] else []
        assert platform.document().champion.name in names
        if said[-1] == "in service":
            break
        platform.clock.skip(1.0)
    assert [["v3"], ["v3", "v2"], ["v2"]] == served
    assert "in service" == said[-1]
    assert "2" == platform.registry.champion("churn").version
    assert ["champion", "rolled_back"] == [platform.registry.version("churn", one).tags["lifecycle"] for one in "23"]
    assert epoch + 1 == platform.document().epoch
    assert "in service" == serve(platform, spec, "2")
    assert epoch + 1 == platform.document().epoch
