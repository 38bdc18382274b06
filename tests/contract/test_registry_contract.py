"""The contract of `ports.registry.Registry`, on MLflow's SQLite and on SageMaker's Model Registry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from staged_rollout.adapters.registry_mlflow import MlflowRegistry
from staged_rollout.adapters.registry_sagemaker import DIGEST, SageMakerRegistry
from staged_rollout.errors import NotFoundError, RefusedError
from staged_rollout.ports import Registry
from tests.aws_server import Aws

pytest_plugins = ("tests.aws_fixtures",)

ROWS = np.array([[0.1, 1.0], [0.9, 0.0], [0.2, 1.0], [0.8, 0.0]])
APPROVALS = {"approved": "Approved", "pending": "PendingManualApproval", "rejected": "Rejected"}
HEX = "ab" * 32


@dataclass
class Shelf:
    """A registry, and how somebody else registers the next version of a model in it."""

    registry: Registry
    register: Callable[[str, str], object]
    set_status: Callable[[str, str, str], object]


@pytest.fixture(scope="module")
def mlflow(tmp_path_factory: pytest.TempPathFactory) -> MlflowRegistry:
    return MlflowRegistry(tmp_path_factory.mktemp("home") / "registry")


@pytest.fixture(params=["mlflow", "sagemaker"])
def shelf(request: pytest.FixtureRequest) -> Shelf:
    if request.param == "mlflow":
        registry: MlflowRegistry = request.getfixturevalue("mlflow")
        fitted = LogisticRegression().fit(ROWS, [0, 1, 0, 1])

        def register(model: str, status: Any) -> None:
            registry.register(model, fitted, features=["minutes", "plan"], status=status, tags={"made_by": "tests"})

        return Shelf(registry, register, registry.set_status)  # type: ignore[arg-type]
    aws: Aws = request.getfixturevalue("aws")
    client = aws.client("sagemaker")

    def package(model: str, status: str) -> None:
        arn = aws.package(model, CustomerMetadataProperties={"made_by": "tests", DIGEST: HEX})
        client.update_model_package(ModelPackageArn=arn, ModelApprovalStatus=APPROVALS[status])

    def set_status(model: str, version: str, status: str) -> None:
        arn = f"arn:aws:sagemaker:{aws.region}:{aws.account}:model-package/{model}/{version}"
        client.update_model_package(ModelPackageArn=arn, ModelApprovalStatus=APPROVALS[status])

    return Shelf(SageMakerRegistry(client, "production"), package, set_status)


def test_versions_come_in_order_after_the_cursor_whatever_their_status(shelf: Shelf):
    """The law: a cursor below a version always delivers it, at least once."""
    for status in ("approved", "pending", "rejected"):
        shelf.register("ordered", status)
    shelf.register("ordered-too", "approved")
    registry = shelf.registry
    found = [(one.version, one.status) for one in registry.versions_after("ordered", 0)]
    assert [("1", "approved"), ("2", "pending"), ("3", "rejected")] == found
    assert ["2", "3"] == [one.version for one in registry.versions_after("ordered", 1)]
    assert [] == registry.versions_after("ordered", 3)
    assert ["1"] == [one.version for one in registry.versions_after("ordered-too", 0)]


def test_a_model_that_does_not_exist_has_no_versions_and_no_champion(shelf: Shelf):
    assert [] == shelf.registry.versions_after("nobody", 0)
    assert shelf.registry.champion("nobody") is None


def test_a_version_tells_all_of_itself(shelf: Shelf):
    """The law: the list, the version and the champion tell the same, so that they can be compared."""
    shelf.register("told", "approved")
    shelf.registry.set_champion("told", "1")
    version = shelf.registry.version("told", "1")
    assert ("told", "1", "approved") == (version.model, version.version, version.status)
    assert 64 == len(version.digest)
    assert version.created_at.tzinfo is not None
    assert "tests" == version.tags["made_by"]
    assert "lifecycle" not in version.tags
    assert [version] == shelf.registry.versions_after("told", 0)
    assert version == shelf.registry.champion("told")


@pytest.mark.parametrize(("model", "version"), [("one", "9"), ("no-one", "1"), ("one", "first"), ("one", "-1")])
def test_a_version_that_does_not_exist_is_not_found(shelf: Shelf, model: str, version: str):
    shelf.register("one", "approved")
    for call in (
        lambda: shelf.registry.version(model, version),
        lambda: shelf.registry.set_champion(model, version),
        lambda: shelf.registry.set_lifecycle(model, version, "retired", "one-v3"),
    ):
        with pytest.raises(NotFoundError, match=model):
            call()


@pytest.mark.parametrize("name", ["", "a/b", "a' or name != 'b", "../up", "a" * 64, "café", "a\n", "arn:aws:sagemaker"])
def test_a_name_that_is_none_reaches_no_query(shelf: Shelf, name: str):
    """The law: what the service would refuse is refused before the call."""
    for call in (
        lambda: shelf.registry.versions_after(name, 0),
        lambda: shelf.registry.version(name, "1"),
        lambda: shelf.registry.champion(name),
        lambda: shelf.registry.set_champion(name, "1"),
    ):
        with pytest.raises(RefusedError, match="model =="):
            call()


def test_the_champion_moves_and_moving_it_again_changes_nothing(shelf: Shelf):
    for _ in range(2):
        shelf.register("moving", "approved")
    shelf.register("staying", "approved")
    assert shelf.registry.champion("moving") is None
    for version in ("1", "1", "2"):
        shelf.registry.set_champion("moving", version)
        champion = shelf.registry.champion("moving")
        assert champion is not None
        assert version == champion.version
    assert shelf.registry.champion("staying") is None


def test_a_lifecycle_is_written_back_and_may_change(shelf: Shelf):
    shelf.register("lived", "approved")
    for lifecycle in ("candidate", "candidate", "rolled_back"):
        shelf.registry.set_lifecycle("lived", "1", lifecycle, "lived-v1")
        tags = shelf.registry.version("lived", "1").tags
        assert (lifecycle, "lived-v1") == (tags["lifecycle"], tags["rollout"])
        assert "tests" == tags["made_by"]


def test_a_status_may_change(shelf: Shelf):
    shelf.register("changing", "pending")
    assert "pending" == shelf.registry.version("changing", "1").status
    shelf.set_status("changing", "1", "approved")
    assert "approved" == shelf.registry.version("changing", "1").status
