"""Fixtures: both local servers, started once for a whole test run.

A suite asks for them with `pytest_plugins = ("tests.local_fixtures",)`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from staged_rollout.adapters.local_servers import LocalServers
from staged_rollout.adapters.registry_mlflow import MlflowRegistry
from staged_rollout.spec.home import Home
from tests.local_platform import SLOW_MS, UPDATE_SECONDS, LocalPlatform, register_models


@pytest.fixture(scope="session")
def model_registry(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home with registered models."""
    home = Home(tmp_path_factory.mktemp("platform"))
    register_models(MlflowRegistry(home.registry))
    return home


@pytest.fixture(scope="session")
def platform(model_registry: Home) -> Iterator[LocalPlatform]:
    """Both servers, on simulated time, with version 4 slow."""
    with LocalServers(
        model_registry,
        endpoint="main",
        simulated_time=True,
        router_poll_s=0.1,
        router_timeout_s=1.0,
        update_seconds=UPDATE_SECONDS,
        slow={"churn/4": f"{SLOW_MS:g}ms"},
    ) as servers:
        opened = LocalPlatform(model_registry, servers)
        yield opened
        opened.close()


_NUMBERS = itertools.count(1)


@pytest.fixture
def fresh_endpoint() -> str:
    """The name of an endpoint that does not exist."""
    return f"fresh-{next(_NUMBERS)}"
