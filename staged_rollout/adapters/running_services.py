"""Checks of what should answer over HTTP: the local endpoint and router, and Prefect's API."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from staged_rollout.adapters.diagnosis import Check, Found
from staged_rollout.adapters.local_servers import RunFile, running_servers
from staged_rollout.adapters.machine import declared
from staged_rollout.errors import PlatformError
from staged_rollout.spec.home import Home

NETWORK_S = 2.0
"""Seconds for one answer; the check as a whole is given up a little later."""
_LONGEST = 65_536


def service_checks(home: Home, *, local_servers: Callable[[], bool], rollout: str, prefect_url: str) -> list[Check]:
    """What should answer.

    Args:
        home: Its run.json names the local servers.
        local_servers: Whether the environment is served by them.
        rollout: The rollout file that would start them.
        prefect_url: `PREFECT_API_URL`, "" when it is not set.
    """
    return [
        Check(
            "servers",
            "the local endpoint and router answer for this home",
            f"staged-rollout servers {rollout}",
            lambda: servers_found(home, expected=local_servers()),
            limit_s=2 * NETWORK_S + 1,
        ),
        Check(
            "prefect",
            "Prefect's API answers, and is of the version that is pinned",
            "prefect server start",
            lambda: prefect_found(prefect_url),
            limit_s=2 * NETWORK_S + 1,
        ),
    ]


def servers_found(home: Home, *, expected: bool = True) -> Found:
    """Whether the processes that run.json names live, and answer as this home's."""
    if not expected:
        return Found("ok", "this environment's endpoints are not local")
    if RunFile.read(home) is None:
        if not home.run_file.exists():
            return Found("warning", "not running: looks, rollbacks of routers and status work, endpoints do not move")
        return Found("broken", f"{home.run_file} cannot be read")
    try:
        told = running_servers(home)
    except PlatformError:
        return Found("warning", "not running: run.json names processes that have ended")
    wrong = []
    for name, url in (("endpoint", told.endpoint_url), ("router", told.router_url)):
        answer, reason = _asked(f"{url}/ping", trust_env=False)
        if reason:
            wrong.append(f"the {name} at {url} does not answer: {reason}")
        elif not isinstance(answer, dict) or answer.get("home") != str(home.root):
            wrong.append(f"something else answers at {url}, where run.json has the {name}")
    if wrong:
        return Found("broken", "; ".join(wrong))
    return Found("ok", f"endpoint {told.endpoint_url}, router {told.router_url}")


def prefect_found(url: str) -> Found:
    """`PREFECT_API_URL`, asked over plain HTTP; no credentials are sent."""
    if not url:
        return Found("ok", "PREFECT_API_URL is not set: flows run on a server of their own, commands need none")
    shown = _without_password(url)
    if not url.startswith(("http://", "https://")):
        return Found(
            "broken", f"PREFECT_API_URL == {shown!r}, must be like http://127.0.0.1:4200/api", "unset PREFECT_API_URL"
        )
    base = url.rstrip("/")
    healthy, reason = _asked(f"{base}/health")
    if reason:
        return Found("broken", f"{shown} does not answer: {reason}")
    if healthy is not True:
        return Found("broken", f"{shown}/health answers {str(healthy)[:80]!r}, must be true", "unset PREFECT_API_URL")
    version, reason = _asked(f"{base}/admin/version")
    if reason:
        return Found("warning", f"{shown} is healthy, and does not tell its version: {reason}", "prefect version")
    pin = next(pin for pin in declared()["dependencies"] if pin.startswith("prefect"))
    text = f"{shown} is healthy, version {str(version)[:40]}"
    if not _fits(version, pin):
        return Found("warning", f"{text}, pinned: {pin}", f"pip install '{pin}'  # where the server runs")
    return Found("ok", text)


def _fits(version: Any, pin: str) -> bool:
    from packaging.requirements import Requirement
    from packaging.version import InvalidVersion, Version

    try:
        return Requirement(pin).specifier.contains(Version(str(version)), prereleases=True)
    except InvalidVersion:
        return False


def _asked(url: str, *, trust_env: bool = True) -> tuple[Any, str]:
    """The JSON that an address answers, and why there is none ("" when there is)."""
    import httpx

    try:
        with (
            httpx.Client(timeout=NETWORK_S, trust_env=trust_env) as client,
            client.stream("GET", url) as response,
        ):
            if response.status_code != httpx.codes.OK:
                return None, f"status {response.status_code}"
            content = b""
            for part in response.iter_bytes():
                content += part
                if len(content) > _LONGEST:
                    return None, f"more than {_LONGEST} bytes"
        return httpx.Response(200, content=content).json(), ""
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        return None, str(error) or type(error).__name__


def _without_password(url: str) -> str:
    """An address as it may be shown."""
    parts = urlsplit(url)
    host = re.sub(r"^.*@", "***@", parts.netloc)
    return f"{parts.scheme}://{host}{parts.path}" if parts.netloc else re.sub(r"^.*@", "***@", url)
