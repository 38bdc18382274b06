"""The local endpoint as a process: it refuses while updating, outlives its killing, and ends with its parent."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from staged_rollout.errors import RefusedError
from staged_rollout.servers.endpoint.state import StateFile
from staged_rollout.servers.simulated_time import HEADER
from staged_rollout.spec.home import Home
from tests.local_platform import CUSTOMER, boto3_client, eventually, read_lines

pytest_plugins = ("tests.local_fixtures",)

UPDATE_SECONDS = 1.2
BODY = json.dumps(CUSTOMER).encode()


class EndpointProcess:
    """An endpoint that can be killed and started again on the same home."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.process: subprocess.Popen[bytes] | None = None
        self.clients: list[Any] = []
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "staged_rollout.servers.endpoint", "--home", str(self.home.root)]
        command += ["--update-seconds", str(UPDATE_SECONDS), "--parent-pipe", "--slow", "churn/4=400ms"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.url = f"http://127.0.0.1:{json.loads(self.process.stdout.readline())['port']}"
        self.control, self.runtime = (boto3_client(name, self.url) for name in ("sagemaker", "sagemaker-runtime"))
        self.clients += [self.control, self.runtime]

    def end(self, how: Callable[[subprocess.Popen[bytes]], object]) -> int:
        how(self.process)
        code = self.process.wait(20)
        self.process.stdout.close()
        if not self.process.stdin.closed:
            self.process.stdin.close()
        return code

    def status(self) -> str:
        return str(self.control.describe_endpoint(EndpointName="ep")["EndpointStatus"])

    def ask(self, **more: Any) -> Any:
        answer = self.runtime.invoke_endpoint(EndpointName="ep", Body=BODY, ContentType="application/json", **more)
        return answer["InvokedProductionVariant"], json.loads(answer["Body"].read())


@pytest.fixture(scope="module")
def endpoint(model_registry: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EndpointProcess]:
    """An endpoint `ep` on config c1 (version 1); c2 (version 2) and c4 (2, and 4 as a slow shadow) are ready."""
    home = Home(tmp_path_factory.mktemp("restarted"))
    home.registry.symlink_to(model_registry.registry)
    process = EndpointProcess(home)
    instance = {"InstanceType": "ml.m5.xlarge", "InitialInstanceCount": 1, "InitialVariantWeight": 1.0}
    for version in (1, 2, 4):
        package = {"ModelPackageName": f"churn/{version}"}
        process.control.create_model(ModelName=f"m{version}", PrimaryContainer=package)
    capture = {
        "InitialSamplingPercentage": 100,
        "DestinationS3Uri": "s3://bucket/capture",
        "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
        "CaptureContentTypeHeader": {"JsonContentTypes": ["application/json"]},
    }
    for config, version, shadows in (("c1", 1, []), ("c2", 2, []), ("c4", 2, [4])):
        process.control.create_endpoint_config(
            EndpointConfigName=config,
            ProductionVariants=[{"VariantName": f"v{version}", "ModelName": f"m{version}", **instance}],
            DataCaptureConfig=capture,
            **({"ShadowProductionVariants": [{"VariantName": "v4", "ModelName": "m4", **instance}]} if shadows else {}),
        )
    process.control.create_endpoint(EndpointName="ep", EndpointConfigName="c1")
    eventually(lambda: process.status() == "InService", 20)
    yield process
    if process.process.poll() is None:
        process.end(lambda running: running.stdin.close())
    for client in process.clients:
        client.close()


def test_updating_is_refused_for_at_least_a_second_while_the_old_variant_answers(endpoint: EndpointProcess):
    """One change in flight per endpoint; callers are served by the old variants until the new ones are ready."""
    control = endpoint.control
    control.update_endpoint(EndpointName="ep", EndpointConfigName="c2")
    began, refusals = time.monotonic(), 0
    while time.monotonic() - began < 1.0:
        weights = [{"VariantName": "v1", "DesiredWeight": 1.0}]
        for call, more in (
            (control.update_endpoint, {"EndpointConfigName": "c1"}),
            (control.update_endpoint_weights_and_capacities, {"DesiredWeightsAndCapacities": weights}),
            (control.delete_endpoint, {}),
        ):
            with pytest.raises(ClientError, match='Cannot update in-progress endpoint "arn:aws:sagemaker:') as caught:
                call(EndpointName="ep", **more)
            assert caught.value.response["Error"]["Code"] == "ValidationException"
            refusals += 1
        told = control.describe_endpoint(EndpointName="ep")
        assert (told["EndpointStatus"], told["EndpointConfigName"]) == ("Updating", "c1")
        assert told["PendingDeploymentSummary"]["EndpointConfigName"] == "c2"
        assert endpoint.ask()[0] == "v1"
    assert refusals >= 3
    eventually(lambda: endpoint.status() == "InService")
    assert endpoint.ask()[0] == "v2"
    assert "PendingDeploymentSummary" not in control.describe_endpoint(EndpointName="ep")


def test_simulated_time_is_ignored_where_it_is_not_enabled(endpoint: EndpointProcess):
    """Nobody writes history into a real log: without --simulated-time the header does nothing."""

    def at(params: dict[str, Any], **_: Any) -> None:
        params["headers"][HEADER] = "2020-01-01T00:00:00+00:00"

    endpoint.runtime.meta.events.register("before-call.sagemaker-runtime.InvokeEndpoint", at)
    endpoint.ask(InferenceId="not-2020")
    endpoint.runtime.meta.events.unregister("before-call.sagemaker-runtime.InvokeEndpoint", at)
    lines = {line["eventMetadata"].get("inferenceId"): line for line in read_lines(endpoint.home.capture / "ep")}
    told = datetime.fromisoformat(lines["not-2020"]["eventMetadata"]["inferenceTime"])
    assert abs((datetime.now(UTC) - told).total_seconds()) < 60
    assert not (endpoint.home.capture / "ep" / "v2" / "2020").exists()


def test_a_killed_endpoint_comes_back_and_completes_its_update_and_has_lost_no_line(endpoint: EndpointProcess):
    """SIGKILL in the middle of an update: state, models and captured lines are all there, and the update completes."""
    endpoint.control.update_endpoint(EndpointName="ep", EndpointConfigName="c1")
    for number in range(20):
        endpoint.ask(InferenceId=f"before-{number}")
    assert endpoint.status() == "Updating"
    before = endpoint.control.describe_endpoint_config(EndpointConfigName="c4")
    endpoint.end(lambda process: process.kill())
    lines = read_lines(endpoint.home.capture / "ep" / "v2")
    captured = {line["eventMetadata"].get("inferenceId") for line in lines}
    assert {f"before-{number}" for number in range(20)} <= captured

    endpoint.start()
    after = endpoint.control.describe_endpoint_config(EndpointConfigName="c4")
    del before["ResponseMetadata"], after["ResponseMetadata"]
    assert before == after
    assert endpoint.ask()[0] in {"v1", "v2"}, "it answers as soon as it is ready"
    eventually(lambda: endpoint.status() == "InService")
    assert endpoint.control.describe_endpoint(EndpointName="ep")["EndpointConfigName"] == "c1"
    assert endpoint.ask()[0] == "v1"


def test_a_second_endpoint_on_the_same_home_is_refused(endpoint: EndpointProcess):
    with (
        pytest.raises(RefusedError, match="another local endpoint serves from"),
        StateFile(endpoint.home.serving).held(patience_s=0.1),
    ):
        pytest.fail("the state was held twice")


def test_when_its_parent_is_gone_it_finishes_copies_in_flight_and_exits_with_0(endpoint: EndpointProcess):
    """The end of standard input is the parent's death: copies that the shadow still answers are captured first."""
    endpoint.control.update_endpoint(EndpointName="ep", EndpointConfigName="c4")
    eventually(lambda: endpoint.status() == "InService")
    assert endpoint.ask(InferenceId="last")[0] == "v2"
    assert 0 == endpoint.end(lambda process: process.stdin.close())
    lines = read_lines(endpoint.home.capture / "ep" / "v4")
    assert [line["eventMetadata"]["inferenceId"] for line in lines] == ["last"]


def test_a_servers_parent_may_die_by_sigkill(tmp_path, python: Callable[..., subprocess.Popen[str]]):
    """No server outlives the process that started it, however that process ends."""
    parent = python(
        """
        import sys
        from pathlib import Path
        from staged_rollout.adapters.local_servers import LocalServers
        from staged_rollout.spec.home import Home

        with LocalServers(Home(Path(sys.argv[1]))) as servers:
            print(*servers.pids.values(), flush=True)
            sys.stdin.read()
        """,
        str(tmp_path),
    )
    pids = [int(pid) for pid in parent.stdout.readline().split()]
    assert 2 == len(pids)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    for stream in (parent.stdin, parent.stdout):
        stream.close()
    eventually(lambda: not any(is_running(pid) for pid in pids))


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
