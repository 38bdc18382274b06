"""`staged-rollout replay-traffic` as a process, against the local endpoint and router."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from staged_rollout.ports.serving import EndpointTarget
from staged_rollout.spec.locations import configs_dir
from tests.local_platform import LocalPlatform, eventually, variant

pytest_plugins = ("tests.local_fixtures",)

HEADER = "id,minutes,calls,plan,left"


@pytest.fixture(scope="module")
def endpoint(platform: LocalPlatform) -> str:
    """Versions 1 and 2 with equal weights."""
    target = EndpointTarget("traffic", (variant(1, 1.0), variant(2, 1.0)))
    platform.settle(target, deadline_s=180)  # the endpoint loads its first models
    return "traffic"


@pytest.fixture
def customers(tmp_path: Path) -> Path:
    """60 requests, a bad line and one that the models refuse."""
    rows = [f"u{n},{n / 60},{n % 5},yes,{'yes' if n > 30 else 'no'}" for n in range(60)]
    path = tmp_path / "customers.csv"
    path.write_text("\n".join([HEADER, *rows[:30], "torn", *rows[30:], "u60,0.5,1,maybe,no"]) + "\n")
    return path


def command(platform: LocalPlatform, *words: str | Path) -> list[str]:
    configs = str(configs_dir(None))
    program = [sys.executable, "-m", "staged_rollout.cli", "--home", str(platform.home.root), "--configs", configs]
    return [*program, "replay-traffic", *map(str, words)]


def run(platform: LocalPlatform, *words: str | Path, code: int = 0) -> dict[str, Any]:
    done = subprocess.run(command(platform, *words, "--json"), capture_output=True, text=True, timeout=300, check=False)
    assert code == done.returncode, done.stderr
    told: dict[str, Any] = json.loads(done.stdout or done.stderr)
    return told


LABELS = ("--unit-column", "id", "--label", "left", "--positive", "yes")


def test_every_line_is_asked_once_and_the_summary_says_what_came_back(
    platform: LocalPlatform, endpoint: str, customers: Path, tmp_path: Path
):
    """Ids join labels with captures: each of the 60 answers is captured under an id that has its label."""
    truth, outcomes = tmp_path / "truth.jsonl", tmp_path / "outcomes.jsonl"
    files = ("--ground-truth", truth, "--outcomes", outcomes)
    told = run(platform, customers, "--endpoint", endpoint, "--rate", "200/s", *LABELS, *files)
    assert (61, 60, 1) == (told["sent"], told["answered"], told["bad_lines"])
    assert {"200": 60, "ModelError": 1} == told["codes"]
    assert [{"line": 32, "reason": "1 fields, the header has 5"}] == told["first_bad_lines"]
    assert {"v1", "v2"} == set(told["variants"])
    assert 60 == sum(told["variants"].values())
    assert 0 < told["latency_ms"]["p50"] <= told["latency_ms"]["p99"]
    labels = {}
    for line in truth.read_text().splitlines():
        row = json.loads(line)
        labels[row["eventMetadata"]["eventId"]] = float(row["groundTruthData"]["data"])
    assert {row["request_id"]: row["outcome"] for row in map(json.loads, outcomes.read_text().splitlines())} == labels
    assert (61, 29) == (len(labels), sum(labels.values()))
    again = run(platform, customers, "--endpoint", endpoint, "--rate", "200/s", *files, *LABELS, code=4)
    assert "exists, and is not written over" in again["error"]["message"]


def test_a_named_variant_answers_every_request(platform: LocalPlatform, endpoint: str, customers: Path):
    told = run(platform, customers, "--endpoint", endpoint, "--rate", "500/s", "--variant", "v2", *LABELS)
    assert {"v2": 60} == told["variants"]


def test_a_router_is_asked_with_the_unit(platform: LocalPlatform, endpoint: str, customers: Path):
    platform.publish(endpoint)
    url = platform.servers.router_url
    told = run(platform, customers, "--router", url, "--endpoint", endpoint, "--rate", "300/s", *LABELS)
    assert ({"v1": 60}, {"200": 60, "424": 1}) == (told["variants"], told["codes"])
    assert {f"u{n}" for n in range(61)} == {row["unit_id"] for row in platform.logged(endpoint)}


def test_an_endpoint_that_is_not_there_ends_it_soon_and_with_an_error(platform: LocalPlatform, tmp_path: Path):
    path = tmp_path / "many.jsonl"
    path.write_text('{"a": 1}\n' * 5000)
    done = subprocess.run(
        command(platform, path, "--endpoint", "nobody", "--rate", "1000/s"),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert 9 == done.returncode
    assert "Endpoint nobody of account" in done.stderr
    assert "20 requests" in done.stdout or "21 requests" in done.stdout or "ValidationError" in done.stdout


def test_an_interrupt_prints_what_was_sent(platform: LocalPlatform, endpoint: str, customers: Path, tmp_path: Path):
    truth = tmp_path / "truth.jsonl"
    words = (customers, "--endpoint", endpoint, "--rate", "20/s", "--for", "1h", *LABELS, "--ground-truth", truth)
    process = subprocess.Popen(command(platform, *words, "--json"), stdout=subprocess.PIPE, text=True)
    eventually(lambda: truth.exists() and truth.read_text().count("\n") >= 5, deadline_s=180)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=180)
    told = json.loads(out)
    assert (130, True) == (process.returncode, told["interrupted"])
    assert told["sent"] == len(truth.read_text().splitlines()) >= 5


REFUSED = {
    "rate": (("--endpoint", "e", "--rate", "50"), 2, "--rate == '50', must be like 50/s, 600/min or 90/h, above 0"),
    "no rate": (("--endpoint", "e", "--rate", "0/s"), 2, "--rate == '0/s'"),
    "span": (("--endpoint", "e", "--rate", "5/s", "--for", "soon"), 2, "--for == 'soon'"),
    "nobody": (("--rate", "5/s"), 2, "neither --endpoint nor --router"),
    "name": (("--endpoint", "../etc", "--rate", "5/s"), 4, "endpoint == '../etc'"),
    "type": (("--endpoint", "e", "--rate", "5/s", "--content-type", "x/y"), 2, "--content-type == 'x/y'"),
    "labels": (("--endpoint", "e", "--rate", "5/s", "--outcomes", "o"), 2, "need labels"),
    "column": (("--endpoint", "traffic", "--rate", "5/s", "--label", "churned"), 7, "no column 'churned', there are"),
    "nameless": (("--endpoint", "e", "--rate", "5/s", "--no-header", "--label", "left"), 2, "a column's number from 1"),
    "router": (("--router", "http://h", "--variant", "v", "--rate", "5/s"), 4, "chooses the variant itself"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_done_is_said_with_what_would_be(
    platform: LocalPlatform, endpoint: str, customers: Path, case: str, capsys: pytest.CaptureFixture[str]
):
    from staged_rollout.cli.main import run as program

    words, code, message = REFUSED[case]
    with pytest.raises(SystemExit) as ended:
        program(command(platform, customers, *words, "--json")[3:])
    assert code == ended.value.code
    assert message in json.loads(capsys.readouterr().err)["error"]["message"]


def test_a_file_that_is_no_traffic_is_refused(platform: LocalPlatform, tmp_path: Path):
    parquet, empty = tmp_path / "a.parquet", tmp_path / "a.csv"
    parquet.write_bytes(b"PAR1")
    empty.write_text("a,b\n")
    assert "must be .csv" in run(platform, parquet, "--endpoint", "e", "--rate", "5/s", code=2)["error"]["message"]
    assert (
        "no file" in run(platform, tmp_path / "b.csv", "--endpoint", "e", "--rate", "5/s", code=3)["error"]["message"]
    )
    done = subprocess.run(
        command(platform, empty, "--endpoint", "e", "--rate", "5/s"), capture_output=True, text=True, check=False
    )
    assert (7, True) == (done.returncode, "holds no request" in done.stderr)
