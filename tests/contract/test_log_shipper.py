"""A router's log on S3: each line once, whoever ships it and whenever it is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import time

import pytest

from staged_rollout.adapters.aws_client import make_client
from staged_rollout.adapters.log_folder import place_of
from staged_rollout.adapters.log_shipper import KEPT_S, QUIET_S, LogShipper
from staged_rollout.adapters.s3_place import S3Place
from staged_rollout.errors import DataError
from staged_rollout.servers.router.shipping import Shipping
from tests.aws_server import eventually

pytest_plugins = ("tests.aws_fixtures",)

NAME = "predictions/churn-prod/2026-03-12/r1"


@pytest.fixture
def place(aws):
    aws.client("s3").create_bucket(Bucket="rollouts")
    return S3Place.at(make_client("s3", region=aws.region), "s3://rollouts/team/logs")


@pytest.fixture
def log(tmp_path):
    """The router's file; `log("line", ...)` appends."""
    path = tmp_path / "logs" / f"{NAME}.jsonl"
    path.parent.mkdir(parents=True)

    def append(*lines, end="\n"):
        with path.open("a") as file:
            file.write("".join(f"{line}{end}" for line in lines))

    append.path = path
    return append


def shipper(place, tmp_path, ahead_s=0.0):
    return LogShipper(tmp_path / "logs", place, wall=lambda: time.time() + ahead_s)


def pieces(place):
    found = {}
    for row in place.objects():
        answer = place.client.get_object(Bucket=place.bucket, Key=f"{place.prefix}{row.key}")
        found[row.key.removeprefix(f"{NAME}.")] = answer["Body"].read().decode()
    return found


def test_whole_lines_are_shipped_in_order_and_the_half_one_waits(place, log, tmp_path):
    one = shipper(place, tmp_path)
    log("a", "b")
    log("c", end="")
    shipped = one.ship()
    assert (1, 4, 1, 0) == (shipped.objects, shipped.bytes, shipped.waiting_bytes, shipped.removed)
    log("d")
    assert 1 == one.ship().objects
    assert 0 == one.ship().objects
    assert {f"{0:016d}.jsonl": "a\nb\n", f"{4:016d}.jsonl": "cd\n"} == pieces(place)
    assert all(place_of(f"logs/{row.key}") for row in place.objects())


def test_nothing_new_costs_nothing(aws, place, log, tmp_path):
    one = shipper(place, tmp_path)
    log("a")
    one.ship()
    aws.forget_calls()
    one.ship()
    assert [] == aws.calls()


def test_another_process_goes_on_behind_what_is_there(place, log, tmp_path):
    """The law: how far a file was shipped is told by S3, not by a note that a kill could lose."""
    log("a")
    shipper(place, tmp_path).ship()
    log("b")
    assert 1 == shipper(place, tmp_path).ship().objects
    assert ["a\n", "b\n"] == list(pieces(place).values())


def test_two_that_ship_the_same_file_put_each_line_once(place, log, tmp_path):
    first, second = shipper(place, tmp_path), shipper(place, tmp_path)
    log("a")
    first.ship()
    second.ship()
    log("b")
    first.ship()
    log("c")
    second.ship()  # its piece would begin where the other's does, and be longer
    second.ship()
    first.ship()
    assert ["a\n", "b\n", "c\n"] == list(pieces(place).values())


@pytest.mark.parametrize("kind", ["lost", "timeout", "throttle"])
def test_an_answer_that_is_lost_doubles_nothing(aws, place, log, tmp_path, kind):
    one = shipper(place, tmp_path)
    log("a")
    aws.fault(kind, "PutObject")
    one.ship()
    log("b")
    one.ship()
    assert ["a\n", "b\n"] == list(pieces(place).values())


def test_the_last_words_of_a_killed_router_are_shipped_when_it_is_quiet(place, log, tmp_path):
    log("a")
    log("half", end="")
    assert 4 == shipper(place, tmp_path).ship().waiting_bytes
    assert 0 == shipper(place, tmp_path, QUIET_S + 60).ship().waiting_bytes
    assert ["a\n", "half"] == list(pieces(place).values())
    assert log.path.exists()


def test_a_file_is_removed_long_after_it_was_shipped_whole(place, log, tmp_path):
    log("a")
    assert 1 == shipper(place, tmp_path, KEPT_S + 60).ship().removed
    assert ["a\n"] == list(pieces(place).values())
    assert not log.path.exists()


def test_a_router_that_took_anothers_id_is_told_and_overwrites_nothing(place, log, tmp_path):
    """The law: lines of another disk's file of the same name are never taken for lines that were shipped."""
    log("first")
    shipper(place, tmp_path).ship()
    log.path.write_text("other\nlines\n")
    with pytest.raises(DataError, match="does not begin as s3://rollouts/team/logs/predictions/churn-prod"):
        shipper(place, tmp_path).ship()
    log.path.write_text("")
    with pytest.raises(DataError):
        shipper(place, tmp_path).ship()
    assert ["first\n"] == list(pieces(place).values())


def test_what_is_no_log_and_what_leads_out_is_left_alone(place, log, tmp_path):
    (tmp_path / "secret").write_text("secret\n")
    (log.path.parent / "link.jsonl").symlink_to(tmp_path / "secret")
    (tmp_path / "logs" / "predictions" / "it's").mkdir()
    (tmp_path / "logs" / "predictions" / "it's" / "day").mkdir()
    (tmp_path / "logs" / "predictions" / "it's" / "day" / "x.jsonl").write_text("x\n")
    assert 0 == shipper(place, tmp_path).ship().objects


def test_a_kill_at_any_moment_loses_and_doubles_nothing(place, log, tmp_path, python):
    """A process ships in a loop and is killed, again and again, while lines are appended."""
    source = """
        import sys
        from pathlib import Path
        from staged_rollout.adapters.aws_client import make_client
        from staged_rollout.adapters.log_shipper import LogShipper
        from staged_rollout.adapters.s3_place import S3Place
        shipper = LogShipper(Path(sys.argv[1]), S3Place.at(make_client("s3"), "s3://rollouts/team/logs"))
        print("ready", flush=True)
        while True:
            shipper.ship()
    """
    written, lines = 0, []
    for _ in range(3):
        process: subprocess.Popen[str] = python(source, str(tmp_path / "logs"))
        assert "ready\n" == process.stdout.readline()
        before = len(pieces(place))
        while len(pieces(place)) < before + 3:
            lines.append(f"line {written}")
            log(lines[-1])
            written += 1
        os.kill(process.pid, signal.SIGKILL)
        process.communicate(timeout=60)
    shipper(place, tmp_path).ship()
    assert lines == "".join(pieces(place).values()).splitlines()


def test_a_router_ships_in_the_background_and_at_its_end(aws, place, log, tmp_path):
    """The law: a round that fails is tried again, and stopping ships what is left."""
    log("a")
    aws.fault("refuse", "ListObjectsV2", code="AccessDenied", message="not allowed")
    shipping = Shipping(shipper(place, tmp_path), every_s=0.05)
    shipping.start()
    eventually(lambda: aws.hits() == [1])
    eventually(lambda: len(pieces(place)) == 1)
    log("b")
    shipping.stop()
    assert ["a\n", "b\n"] == list(pieces(place).values())
