"""The contract of `ports.tracker.Tracker`, kept by MLflow on SQLite."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from staged_rollout.adapters.tracker_mlflow import LOOK_TAG, MlflowTracker
from staged_rollout.errors import PlatformError
from staged_rollout.ports import Tracker

FIGURES = {"z": 1.25, "information": 0.4, "bound": 2.77}
TAGS = {"state": "LIVE", "kind": "efficacy"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One store for all tests: MLflow takes seconds to make its tables. Each test has a rollout of its own."""
    return tmp_path_factory.mktemp("home") / "registry"


@pytest.fixture
def tracker(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MlflowTracker:
    monkeypatch.chdir(tmp_path)
    return MlflowTracker(folder)


def runs(tracker: MlflowTracker, rollout: str) -> list[Any]:
    client = tracker._open()
    return list(client.search_runs([client.get_experiment_by_name(rollout).experiment_id]))


def test_a_rollout_is_an_experiment_and_a_look_is_a_run(tracker):
    port: Tracker = tracker
    port.record("a-v1", "look-1", FIGURES, TAGS)
    port.record("a-v1", "look-2", FIGURES, {})
    port.record("b-v1", "look-1", FIGURES, {})

    first = next(run for run in runs(tracker, "a-v1") if run.info.run_name == "look-1")
    assert first.data.metrics == FIGURES
    assert first.data.tags.items() >= {**TAGS, LOOK_TAG: "look-1"}.items()
    assert first.info.status == "FINISHED"
    assert {run.info.run_name for run in runs(tracker, "a-v1")} == {"look-1", "look-2"}
    assert len(runs(tracker, "b-v1")) == 1


def test_recording_a_look_again_changes_nothing(tracker, folder):
    tracker.record("c-v1", "look-1", FIGURES, TAGS)
    before = [run.to_dictionary() for run in runs(tracker, "c-v1")]

    tracker.record("c-v1", "look-1", {"z": 9.0, "new": 1.0}, {"state": "other"})
    MlflowTracker(folder).record("c-v1", "look-1", {"z": 9.0}, {})

    assert [run.to_dictionary() for run in runs(tracker, "c-v1")] == before


def test_a_run_that_was_cut_off_is_finished_not_doubled(tracker, monkeypatch):
    class KilledError(Exception):
        """Stands for a SIGKILL between two calls to MLflow."""

    def killed(*_: object, **__: object) -> None:
        raise KilledError

    with monkeypatch.context() as patched:
        patched.setattr(tracker._open(), "set_terminated", killed)
        with pytest.raises(KilledError):
            tracker.record("d-v1", "look-1", FIGURES, TAGS)
    assert runs(tracker, "d-v1")[0].info.status == "RUNNING"

    tracker.record("d-v1", "look-1", FIGURES, TAGS)

    (run,) = runs(tracker, "d-v1")
    assert run.info.status == "FINISHED"
    assert run.data.metrics == FIGURES
    history = tracker._open().get_metric_history(run.info.run_id, "z")
    assert [point.value for point in history] == [1.25]


def test_names_are_data(tracker):
    look = """look' OR 1=1 -- "%;`"""
    for _ in range(2):
        tracker.record("e-v1", look, FIGURES, {})
    (run,) = runs(tracker, "e-v1")
    assert run.data.tags[LOOK_TAG] == look


def test_a_figure_that_is_not_a_number_stays_none(tracker):
    tracker.record("f-v1", "look-1", {"z": math.nan}, {})
    assert math.isnan(runs(tracker, "f-v1")[0].data.metrics["z"])


def test_nothing_is_written_into_the_working_directory(tracker, tmp_path, folder):
    tracker.record("g-v1", "look-1", FIGURES, TAGS)
    assert list(tmp_path.iterdir()) == []
    assert (folder / "mlflow.db").is_file()


def test_a_deleted_experiment_comes_back(tracker):
    tracker.record("h-v1", "look-1", FIGURES, TAGS)
    client = tracker._open()
    client.delete_experiment(client.get_experiment_by_name("h-v1").experiment_id)

    tracker.record("h-v1", "look-2", FIGURES, TAGS)

    assert client.get_experiment_by_name("h-v1").lifecycle_stage == "active"


def test_what_mlflow_refuses_is_our_error_with_a_hint(tracker):
    with pytest.raises(PlatformError, match="look look-1 of i-v1 was not recorded") as refused:
        tracker.record("i-v1", "look-1", {"no\nname": 1.0}, {})
    assert "ledger" in refused.value.hint


def test_importing_the_adapter_does_not_import_mlflow(python):
    program = python("import sys, staged_rollout.adapters.tracker_mlflow; print('mlflow' in sys.modules)")
    assert program.communicate(timeout=60)[0] == "False\n"
