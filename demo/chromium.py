"""Headless Chromium by its command line: for the screenshots of the documents, and for the tests of the report."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from staged_rollout.errors import PlatformError

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
)
TIMEOUT_S = 90.0


@cache
def browser() -> str | None:
    """The first browser of these names on the path, if it starts."""
    for name in NAMES:
        found = shutil.which(name)
        if found and subprocess.run([found, "--version"], capture_output=True, check=False).returncode == 0:  # noqa: S603 - its own path
            return found
    return None


def opened(address: str, folder: Path, *options: str) -> str:
    """Open one address in a browser that knows nothing, and let it do what the options say.

    Args:
        address: http://, https:// or file://.
        folder: Where its profile lies meanwhile.
        options: Such as `--screenshot=FILE`, `--window-size=W,H`, `--dump-dom`, `--print-to-pdf=FILE`.

    Returns:
        What it wrote to its standard output.

    Raises:
        PlatformError: there is no browser, or it failed or did not end in time.
    """
    found = browser()
    if found is None:
        raise PlatformError(f"no browser: none of {', '.join(NAMES)} starts", hint="apt-get install chromium")
    with tempfile.TemporaryDirectory(dir=folder, ignore_cleanup_errors=True) as user:
        command = [found, *QUIET, f"--user-data-dir={user}", *options, address]
        try:
            done = subprocess.run(  # noqa: S603 - a browser, and our own options
                command,
                capture_output=True,
                text=True,
                timeout=TIMEOUT_S,
                check=False,
                env={**os.environ, "HOME": user},
            )
        except subprocess.TimeoutExpired as error:
            raise PlatformError(f"{found} did not end within {TIMEOUT_S:.0f} s") from error
    if done.returncode:
        raise PlatformError(f"{found} ended with exit code {done.returncode}: {done.stderr[-500:]}")
    return done.stdout
