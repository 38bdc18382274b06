"""Both servers as child processes: run.json, stale ones of an earlier run, strangers, failures to start."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from staged_rollout.adapters.local_servers import LocalServers, RunFile, running_servers, stop_stale
from staged_rollout.errors import PlatformError
from staged_rollout.spec.home import Home
from tests.local_platform import eventually


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def test_run_json_tells_where_they_are_and_goes_with_them(home: Home):
    with LocalServers(home) as servers:
        told = RunFile.read(home)
        assert told == RunFile(servers.endpoint_url, servers.router_url, servers.pids) == running_servers(home)
        for url, server in ((told.endpoint_url, "endpoint"), (told.router_url, "router")):
            answer = httpx.get(f"{url}/ping").json()
            expected = {"server": f"staged-rollout-{server}", "pid": told.pids[server], "home": str(home.root)}
            assert answer == expected
        pids = list(servers.pids.values())
    assert not home.run_file.exists()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    with pytest.raises(PlatformError, match="no local servers are running"):
        running_servers(home)


def test_servers_that_an_earlier_run_left_are_stopped(home: Home):
    command = [sys.executable, "-m", "staged_rollout.servers.endpoint", "--home", str(home.root)]
    stale = subprocess.Popen(command, stdout=subprocess.PIPE)
    port = json.loads(stale.stdout.readline())["port"]
    RunFile(f"http://127.0.0.1:{port}", "http://127.0.0.1:9", {"endpoint": stale.pid}).write(home)
    with LocalServers(home) as servers:
        assert stale.wait(10) != 0
        assert servers.pids["endpoint"] != stale.pid
    stale.stdout.close()


def test_a_process_that_took_over_the_id_is_left_alone(home: Home):
    """A process id in an old run.json may be anybody's by now."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as stranger:
        RunFile("http://127.0.0.1:9", "http://127.0.0.1:9", {"endpoint": stranger.pid}).write(home)
        assert stop_stale(home) == []
        assert stranger.poll() is None
        assert not home.run_file.exists()
        stranger.communicate(b"\n")


def test_a_server_of_another_home_is_left_alone(home: Home, tmp_path: Path):
    with LocalServers(Home(tmp_path / "other")) as other:
        RunFile(other.endpoint_url, other.router_url, other.pids).write(home)
        assert stop_stale(home) == []
        assert httpx.get(f"{other.endpoint_url}/ping").status_code == 200


def test_one_that_does_not_start_is_an_error_and_leaves_none(home: Home, capfd: pytest.CaptureFixture[str]):
    servers = LocalServers(home, endpoint="../up")
    with pytest.raises(PlatformError, match="the local router was not ready within 60 s"):
        servers.start()
    assert "endpoint == '../up'" in capfd.readouterr().err
    assert servers.pids == {}
    eventually(lambda: not home.run_file.exists())


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"pids": 1}', '{"endpoint_url": "", "router_url": "", "pids": []}']
)
def test_a_run_json_that_is_none_is_no_run(home: Home, content: str):
    home.root.mkdir()
    home.run_file.write_text(content)
    assert RunFile.read(home) is None
    assert stop_stale(home) == []
