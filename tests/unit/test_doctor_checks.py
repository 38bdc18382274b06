"""Single checks of `staged-rollout doctor`: packages, disk, servers, Prefect, and what bounds them."""

from __future__ import annotations

import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from staged_rollout.adapters import machine
from staged_rollout.adapters.diagnosis import Check, Found, diagnose
from staged_rollout.adapters.local_servers import RunFile
from staged_rollout.adapters.machine import declared, disk_found, misfits, python_found
from staged_rollout.adapters.running_services import prefect_found, servers_found
from staged_rollout.errors import PlatformError
from staged_rollout.spec.home import Home

ROOT = Path(__file__).parents[2]
PREFECT = metadata.version("prefect")
GRADES = ("ok", "warning", "broken")


@pytest.fixture(autouse=True)
def _own_installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAGED_ROLLOUT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("STAGED_ROLLOUT_CONFIGS", str(ROOT / "configs"))
    for name in ("STAGED_ROLLOUT_LEDGER", "STAGED_ROLLOUT_ENVIRONMENT", "PREFECT_API_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@contextmanager
def web(answers: dict[str, tuple[int, bytes]], *, slow_s: float = 0.0) -> Iterator[str]:
    """A real HTTP server on loopback; its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answers.get(self.path, (404, b""))
            self.send_response(status)
            self.end_headers()
            with suppress(OSError):  # who asked may have gone
                for part in (body[at : at + 1] for at in range(len(body))) if slow_s else (body,):
                    self.wfile.write(part)
                    self.wfile.flush()
                    time.sleep(slow_s)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.block_on_close = False
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_pins_are_read_from_the_project_and_misfits_named():
    assert f"prefect=={PREFECT}" in declared()["dependencies"]
    assert {} == misfits(declared()["dependencies"])
    wrong = misfits(["numpy<1", "rich==1.0", "scipy", "absent>=2; extra == 'x'", "absent>=2"])

    assert ["numpy<1", "rich==1.0", "absent>=2"] == list(wrong)
    assert wrong["absent>=2"] == "absent is missing, needed >=2"
    assert wrong["rich==1.0"].endswith("needed ==1.0")


def test_without_a_checkout_the_distribution_tells_the_same(monkeypatch, tmp_path):
    """What was built may be older than pyproject.toml by a pin; the packages are the same."""

    def names(told: dict[str, Any]) -> tuple[set[str], set[str]]:
        pins = (told["dependencies"], told["optional-dependencies"]["postgres"])
        plain, postgres = ({re.match(r"[\w-]+", pin)[0] for pin in group} for group in pins)
        return plain, postgres

    checkout = declared()
    monkeypatch.setattr(machine, "CHECKOUT", tmp_path)
    installed = declared()

    assert names(checkout) == names(installed)
    assert "ok" == machine.packages_found(postgres=True).grade
    assert ">=3.11" in installed["requires-python"]


def test_this_python_fits_what_is_declared():
    assert python_found().grade == "ok"


def test_disk_space_is_ok_then_a_warning_then_broken(home):
    free = shutil.disk_usage("/").free
    far = free * 1000

    assert ["ok", "warning", "broken"] == [
        disk_found(home, little=little, none=none).grade for little, none in ((0, 0), (far, 0), (far, far))
    ]


def test_somebody_else_at_the_address_of_run_json_is_not_taken_for_a_server(home):
    home.root.mkdir()
    with web({"/ping": (200, b'{"home": "/elsewhere"}')}) as url:
        RunFile(url, f"{url}/none", {"endpoint": os.getpid(), "router": os.getpid()}).write(home)
        found = servers_found(home)

    assert "broken" == found.grade
    assert f"something else answers at {url}" in found.text
    assert "status 404" in found.text


def test_servers_are_not_expected_where_an_environment_has_none(home):
    assert "ok" == servers_found(home, expected=False).grade


def test_a_run_file_that_is_none_is_broken(home):
    home.root.mkdir()
    home.run_file.write_text("{")

    assert "broken" == servers_found(home).grade


@pytest.mark.parametrize(
    ("answers", "grade", "word"),
    [
        ({"/api/health": (200, b"true"), "/api/admin/version": (200, f'"{PREFECT}"'.encode())}, "ok", PREFECT),
        (
            {"/api/health": (200, b"true"), "/api/admin/version": (200, b'"3.7.0"')},
            "warning",
            f"pinned: prefect=={PREFECT}",
        ),
        ({"/api/health": (200, b"true"), "/api/admin/version": (401, b"")}, "warning", "status 401"),
        ({"/api/health": (200, b"<html>")}, "broken", "does not answer"),
        ({"/api/health": (200, b'"\\u001b[2J"')}, "broken", "must be true"),
        ({"/api/health": (200, b" " * 100_000)}, "broken", "more than 65536 bytes"),
        ({}, "broken", "status 404"),
    ],
)
def test_prefect_is_asked_over_http(answers, grade, word):
    with web(answers) as url:
        found = prefect_found(f"{url}/api/")

    assert grade == found.grade
    assert word in found.text


def test_prefect_that_is_not_there_or_no_address_is_broken_and_no_password_is_shown():
    for url in (
        "http://ana:geheim@127.0.0.1:1/api",
        "ftp://ana:geheim@x",
        "ana:geheim@x",
        "http://[::1",
        "http://\x00",
    ):
        (found,) = one(partial(prefect_found, url))
        assert "broken" == found.grade
        assert "geheim" not in found.text


def one(examine: Callable[[], Found], limit_s: float = 5.0) -> Iterator[Found]:
    """A check's answer through the doctor's own isolation."""
    for answer in diagnose([Check("it", "well", "mend it", examine, limit_s)]):
        yield Found(answer.grade, answer.found, answer.mend)


def test_an_answer_that_drips_is_given_up_in_bounded_time():
    with web({"/api/health": (200, b" " * 1000)}, slow_s=0.3) as url:
        began = time.monotonic()
        (found,) = one(lambda: prefect_found(f"{url}/api"), limit_s=1.0)
        took = time.monotonic() - began

    assert Found("broken", "no answer within 1 s", "mend it") == found
    assert took < 3


@pytest.mark.parametrize(
    "failure",
    [RuntimeError("odd"), PlatformError("ours"), OSError(13, "Permission denied", "x"), SystemExit(3), MemoryError()],
)
def test_whatever_a_check_raises_is_its_own_answer(failure):
    """Law: one answer per check, in order, whatever the others raise."""

    def fail() -> Found:
        raise failure

    checks = [Check("a", "n", "m", fail), Check("b", "n", "m", lambda: Found("ok", "fine"))]
    answers = list(diagnose(checks))

    assert [("a", "broken", "m"), ("b", "ok", "")] == [(told.check, told.grade, told.mend) for told in answers]
