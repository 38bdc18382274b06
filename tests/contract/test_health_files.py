"""The contract of `ports.health.Health`, kept by the routers' files."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from staged_rollout.adapters.health_files import FileHealth
from staged_rollout.errors import PlatformError, RefusedError
from staged_rollout.ports.health import HealthReading

NINE, TEN = (datetime(2026, 3, 2, hour, tzinfo=UTC) for hour in (9, 10))


def test_before_any_router_reported_there_are_no_calls(tmp_path: Path):
    assert FileHealth(tmp_path).read("churn-prod") == HealthReading(0, None)


def test_routers_are_summed_and_the_latest_call_counts(tmp_path: Path):
    """Routers share an endpoint, and a router that is gone still counts: calls never decrease."""
    health = FileHealth(tmp_path)
    health.write("churn-prod", "r1", HealthReading(3, TEN))
    health.write("churn-prod", "r2", HealthReading(4, NINE))
    health.write("churn-prod", "r3", HealthReading(0, None))
    health.write("other", "r1", HealthReading(100, TEN))
    assert health.read("churn-prod") == HealthReading(7, TEN)
    health.write("churn-prod", "r2", HealthReading(9, NINE))
    assert health.read("churn-prod") == HealthReading(12, TEN)


@pytest.mark.parametrize(("endpoint", "router"), [("../up", "r1"), ("churn", "../r1"), ("churn", "")])
def test_a_name_that_is_none_reaches_no_path(tmp_path: Path, endpoint: str, router: str):
    with pytest.raises(RefusedError):
        FileHealth(tmp_path).write(endpoint, router, HealthReading(1, NINE))
    assert list(tmp_path.iterdir()) == []


def test_a_broken_file_is_an_error_and_not_silence(tmp_path: Path):
    """Missing data is never a pass: a counter that cannot be read must not look like no traffic."""
    health = FileHealth(tmp_path)
    health.write("churn-prod", "r1", HealthReading(3, TEN))
    (tmp_path / "churn-prod" / "r1.json").write_text("{}")
    with pytest.raises(PlatformError, match="router counters"):
        health.read("churn-prod")
