"""The plugin for SageMaker-managed MLflow against a real `mlflow server` here: signed requests, real runs."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from staged_rollout.adapters.aws_session import AwsSession
from staged_rollout.adapters.tracker_sagemaker import SageMakerMlflowTracker
from staged_rollout.errors import PlatformError, RefusedError
from staged_rollout.ports import Tracker
from staged_rollout.servers.listening import LOOPBACK
from tests.aws_server import ACCOUNT, REGION

pytest_plugins = ("tests.aws_fixtures",)

ARN = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:mlflow-tracking-server/rollouts"
FIGURES = {"z": 1.25, "value_champion": 0.62, "value_candidate": 0.65}


def free_port():
    import socket

    with socket.socket() as one:
        one.bind((LOOPBACK, 0))
        return one.getsockname()[1]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """An MLflow server, and a function that stops it."""
    folder: Path = tmp_path_factory.mktemp("mlflow")
    url = f"http://{LOOPBACK}:{free_port()}"
    host, _, port = url.removeprefix("http://").partition(":")
    store = f"sqlite:///{folder / 'runs.db'}"
    command = [sys.executable, "-m", "mlflow", "server", "--host", host, "--port", port, "--workers", "1"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--backend-store-uri", store, "--artifacts-destination", str(folder / "artifacts")],
            env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "PYTHONWARNINGS": "ignore"},
            cwd=folder,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    deadline = time.monotonic() + 300
    while True:
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=5):
                break
        except OSError:
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.2)
    yield url
    os.killpg(process.pid, 15)
    process.wait(60)


@pytest.fixture
def tracker(aws, server, monkeypatch):
    monkeypatch.setenv("SAGEMAKER_MLFLOW_CUSTOM_ENDPOINT", server)
    session = AwsSession(account=ACCOUNT, region=REGION)
    yield SageMakerMlflowTracker(ARN, session)
    session.close()


def runs(server, rollout):
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=server)
    return list(client.search_runs([client.get_experiment_by_name(rollout).experiment_id]))


def test_a_look_is_a_run_on_the_server_once(tracker, server):
    """The law: the same contract as on SQLite; MLflow's own address is afterwards what it was before."""
    import mlflow

    before = mlflow.is_tracking_uri_set()
    port: Tracker = tracker
    port.record("churn-v3", "look-1", FIGURES, {"title": "look 1"})
    port.record("churn-v3", "look-1", {"z": 9.0}, {})

    (run,) = runs(server, "churn-v3")
    assert ("look-1", "FINISHED", FIGURES) == (run.info.run_name, run.info.status, run.data.metrics)
    assert "look 1" == run.data.tags["title"]
    assert before == mlflow.is_tracking_uri_set()


def test_requests_are_signed_with_the_environments_credentials(tracker, monkeypatch):
    """The law: the session's credentials sign, for the tracking server's service and region."""
    from sagemaker_mlflow.auth import AuthBoto

    signed = []
    signer = AuthBoto.__call__

    def noted(self, request):
        done = signer(self, request)
        signed.append(done.headers["Authorization"])
        return done

    monkeypatch.setattr(AuthBoto, "__call__", noted)
    tracker.record("signed-v1", "look-1", FIGURES, {})

    key = os.environ["AWS_ACCESS_KEY_ID"]
    assert signed
    assert all(f"Credential={key}/" in str(one) and f"/{REGION}/sagemaker-mlflow/" in str(one) for one in signed)


def test_credentials_of_another_account_reach_no_server(aws, server, monkeypatch):
    monkeypatch.setenv("SAGEMAKER_MLFLOW_CUSTOM_ENDPOINT", server)
    session = AwsSession(account="111122223333", region=REGION)
    with pytest.raises(RefusedError, match="the environment says account 111122223333"):
        SageMakerMlflowTracker(ARN, session).record("churn-v3", "look-9", FIGURES, {})
    session.close()


def test_a_server_that_is_not_there_is_an_error_with_a_hint(aws, monkeypatch):
    monkeypatch.setenv("SAGEMAKER_MLFLOW_CUSTOM_ENDPOINT", f"http://{LOOPBACK}:{free_port()}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    session = AwsSession(account=ACCOUNT, region=REGION)
    with pytest.raises(PlatformError, match="was not recorded in MLflow") as caught:
        SageMakerMlflowTracker(ARN, session).record("churn-v3", "look-1", FIGURES, {})
    assert "see that the tracking server runs" in caught.value.hint
    session.close()
