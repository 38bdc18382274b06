"""The contract of `ports.clock.Clock`, kept by the real and the simulated clock."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from staged_rollout.adapters.clocks import RealClock, SimulatedClock
from staged_rollout.errors import PlatformError, RefusedError
from staged_rollout.ports import Clock

NOON = datetime(2026, 3, 2, 12, 0, 0, 123456, tzinfo=UTC)

ADVANCE = """
import sys
from datetime import timedelta
from pathlib import Path
from staged_rollout.adapters.clocks import SimulatedClock

clock = SimulatedClock(Path(sys.argv[1]))
for _ in range(40):
    clock.advance(timedelta(minutes=1))
print(clock.now().isoformat())
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "clock.json"


@pytest.fixture
def simulated(path: Path) -> SimulatedClock:
    clock = SimulatedClock(path)
    clock.set(NOON)
    return clock


@pytest.fixture(params=["real", "simulated"])
def clock(request: pytest.FixtureRequest) -> Clock:
    return RealClock() if request.param == "real" else request.getfixturevalue("simulated")


def test_now_is_utc_and_wall_is_the_machine(clock):
    assert clock.now().tzinfo is UTC
    before = time.time()
    assert before <= clock.wall() <= time.time()


def test_time_never_goes_back(clock):
    readings = [clock.now() for _ in range(100)]
    assert sorted(readings) == readings


def test_the_real_clock_is_the_wall_clock():
    clock = RealClock()
    assert not clock.simulated
    assert abs(clock.now().timestamp() - clock.wall()) < 5


def test_simulated_time_stands_still_until_it_is_moved(simulated):
    assert simulated.simulated
    assert simulated.now() == NOON
    time.sleep(0.01)
    assert simulated.now() == NOON
    simulated.advance(timedelta(days=1, microseconds=1))
    assert simulated.now() == NOON + timedelta(days=1, microseconds=1)
    simulated.set(NOON + timedelta(days=2))
    assert simulated.now() == NOON + timedelta(days=2)


def test_a_moment_is_kept_in_utc(simulated):
    simulated.set((NOON + timedelta(hours=1)).astimezone(timezone(timedelta(hours=9))))
    assert simulated.now().isoformat() == "2026-03-02T13:00:00.123456+00:00"


def test_it_refuses_to_go_back_and_says_from_where_to_where(simulated):
    with pytest.raises(RefusedError, match=r"stands at 2026-03-02T12:00:00\.123456\+00:00, 2026-03-02T11"):
        simulated.set(NOON - timedelta(hours=1))
    with pytest.raises(RefusedError):
        simulated.advance(timedelta(microseconds=-1))
    simulated.set(NOON)
    assert simulated.now() == NOON


def test_a_moment_without_zone_is_refused(simulated):
    with pytest.raises(ValueError, match="must have a time zone"):
        simulated.set(NOON.replace(tzinfo=None) + timedelta(days=1))


def test_it_survives_its_process(path, simulated):
    assert SimulatedClock(path).now() == NOON
    assert json.loads(path.read_text()) == {"now": "2026-03-02T12:00:00.123456+00:00"}


def test_a_clock_that_was_never_set_says_so(path):
    clock = SimulatedClock(path)
    for act in (clock.now, lambda: clock.advance(timedelta(days=1))):
        with pytest.raises(PlatformError, match="never set"):
            act()


@pytest.mark.parametrize("damage", ["", "{", "{}", "[]", '{"now": 5}', '{"now": "yesterday"}'])
def test_a_damaged_file_is_not_a_time(path, simulated, damage):
    path.write_text(damage)
    with pytest.raises(PlatformError, match="cannot be read"):
        simulated.now()


def test_a_home_that_cannot_be_written(tmp_path):
    (tmp_path / "home").write_text("a file where the folder should be")
    with pytest.raises(PlatformError, match=r"clock\.json"):
        SimulatedClock(tmp_path / "home" / "clock.json").set(NOON)


def test_processes_that_advance_at_once_lose_no_step(path, simulated, python):
    """Each reads the time that the others left, and nobody ever reads half a file."""
    movers = [python(ADVANCE, str(path)) for _ in range(2)]
    seen = []
    while any(mover.poll() is None for mover in movers):
        seen.append(simulated.now())
    for mover in movers:
        mover.communicate()
    assert simulated.now() == NOON + timedelta(minutes=80)
    assert sorted(seen) == seen
