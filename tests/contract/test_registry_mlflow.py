"""What registering with MLflow adds to the contract of `ports.registry.Registry`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression

from staged_rollout.adapters.registry_mlflow import MlflowRegistry, artifact_digest
from staged_rollout.errors import RefusedError
from staged_rollout.servers.endpoint.models import ModelShelf

ROWS = np.array([[0.1, 1.0], [0.9, 0.0], [0.2, 1.0], [0.8, 0.0]])
FITTED = LogisticRegression().fit(ROWS, [0, 1, 0, 1])
CONTRACT: dict[str, Any] = {"features": ["minutes", "plan"], "encodings": {"plan": {"yes": 1.0, "no": 0.0}}}


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> MlflowRegistry:
    """Versions of `churn`: 1 approved, 2 pending, 3 rejected; one of `other`."""
    opened = MlflowRegistry(tmp_path_factory.mktemp("home") / "registry")
    for status in ("approved", "pending", "rejected"):
        opened.register("churn", FITTED, **CONTRACT, status=status, tags={"made_by": "tests"})
    opened.register("other", FITTED, **CONTRACT)
    return opened


def test_a_version_tells_all_of_itself(registry: MlflowRegistry):
    version = registry.version("churn", "1")
    assert (version.model, version.version, version.reference) == ("churn", "1", "churn/1")
    assert version.digest == artifact_digest(registry.artifact("churn", "1"))
    assert len(version.digest) == 64
    assert version.created_at.tzinfo is not None
    assert version.tags["made_by"] == "tests"
    assert json.loads(version.tags["features"]) == ["minutes", "plan"]


def test_a_version_without_a_status_is_pending(registry: MlflowRegistry):
    """Registered by hand, with MLflow's own client: nobody has approved it."""
    registry.register("by-hand", FITTED, **CONTRACT)
    registry._client.create_model_version("by-hand", source=str(registry.artifact("by-hand", "1")))
    assert registry.version("by-hand", "2").status == "pending"


def test_another_process_sees_the_same_registry(registry: MlflowRegistry):
    again = MlflowRegistry(registry._folder)
    assert [one.version for one in again.versions_after("churn", 0)] == ["1", "2", "3"]


def test_a_registered_model_answers_as_the_fitted_one(registry: MlflowRegistry):
    shelf = ModelShelf(registry._folder)
    told = json.loads(shelf.load("churn/1").answer("application/json", b'{"plan": "no", "minutes": 0.9}'))
    expected = float(FITTED.predict_proba([[0.9, 0.0]])[0, 1])
    assert told == {"prediction": int(expected >= 0.5), "score": pytest.approx(expected), "model_version": "1"}


@pytest.mark.parametrize(
    ("estimator", "contract", "words"),
    [
        (LinearRegression().fit(ROWS, [0, 1, 0, 1]), CONTRACT, "has no predict_proba"),
        (LogisticRegression().fit(ROWS, [1, 2, 1, 2]), CONTRACT, r"classes == \[1, 2\]"),
        (FITTED, {"features": ["minutes"]}, "takes 2 columns, features names 1"),
        (FITTED, {"features": ["a", "a"]}, "distinct names"),
        (FITTED, {"features": ["a", "b"], "encodings": {"c": {}}}, "not among the features"),
    ],
)
def test_what_does_not_fit_the_contract_is_not_registered(registry, estimator, contract, words):
    with pytest.raises(RefusedError, match=words):
        registry.register("refused", estimator, **contract)
    assert registry.versions_after("refused", 0) == []


def test_nothing_is_written_into_the_working_directory_and_a_moved_home_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    registry = MlflowRegistry(Path("../old"))
    registry.register("churn", FITTED, **CONTRACT)
    registry.set_champion("churn", "1")
    assert list((tmp_path / "cwd").iterdir()) == []
    assert {path.name for path in (tmp_path / "old").iterdir()} == {"mlflow.db", "artifacts"}

    (tmp_path / "old").rename(tmp_path / "new")
    moved = MlflowRegistry(tmp_path / "new")
    assert artifact_digest(moved.artifact("churn", "1")) == moved.version("churn", "1").digest
