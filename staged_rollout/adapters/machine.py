"""Checks of the machine itself: Python, packages, the home folder, the disk, loopback, a browser."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import socket
import sys
import tomllib
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

from staged_rollout.adapters.diagnosis import CHECKOUT, REINSTALL, Check, Found
from staged_rollout.spec.home import Home

DISTRIBUTION = "staged-rollout"
LITTLE_SPACE = 10**9
"""Bytes; below that a few days of logs may fill the disk."""
NO_SPACE = 10**7
"""Bytes; below that the ledger's next event may fail."""
BROWSERS = ("google-chrome", "chromium", "chromium-browser", "firefox", "microsoft-edge", "safari", "open")


def machine_checks(home: Home, *, postgres: bool) -> list[Check]:
    """What any installation needs of its machine.

    Args:
        home: Where everything lies, or will lie.
        postgres: Whether the ledger is on PostgreSQL, which needs a driver.
    """
    root = shlex.quote(str(home.root))
    return [
        Check(
            "python",
            "the Python that this program declares",
            REINSTALL,
            python_found,
        ),
        Check(
            "packages",
            "every pinned package, in a version that fits its pin",
            REINSTALL,
            lambda: packages_found(postgres=postgres),
        ),
        Check("home", "a folder that this user can write", f"chmod -R u+rwX {root}", lambda: home_found(home)),
        Check("disk", f"{_size(LITTLE_SPACE)} free where the home lies", f"du -sh {root}/*", lambda: disk_found(home)),
        Check("ports", "a free port on 127.0.0.1", "ip address show lo", loopback_found),
        Check("browser", "none; any browser opens a report", "", browser_found),
    ]


def declared() -> dict[str, Any]:
    """What this program needs: a checkout's pyproject.toml, or else what its distribution says.

    Returns:
        `requires-python`, `dependencies` and `optional-dependencies`, as in pyproject.toml.

    Raises:
        PackageNotFoundError: neither is there.
    """
    file = CHECKOUT / "pyproject.toml"
    if file.is_file():
        project: dict[str, Any] = tomllib.loads(file.read_text(encoding="utf-8"))["project"]
        if project["name"] == DISTRIBUTION:
            return project
    told = metadata.metadata(DISTRIBUTION)
    lines = metadata.requires(DISTRIBUTION) or []
    extra = re.compile(r"""^(.*);.*extra == ['"]([\w-]+)['"]""")
    extras: dict[str, list[str]] = {}
    for match in filter(None, map(extra.match, lines)):
        extras.setdefault(match[2], []).append(match[1])
    plain = [line for line in lines if not extra.match(line)]
    return {"requires-python": told["Requires-Python"], "dependencies": plain, "optional-dependencies": extras}


def python_found() -> Found:
    """This interpreter against `requires-python`."""
    from packaging.specifiers import SpecifierSet

    version = ".".join(str(part) for part in sys.version_info[:3])
    needed = str(declared()["requires-python"])
    fits = SpecifierSet(needed).contains(version, prereleases=True)
    return Found("ok" if fits else "broken", f"Python {version} (declared: {needed}) at {sys.executable}")


def packages_found(*, postgres: bool = False) -> Found:
    """Installed versions against the pins."""
    project = declared()
    pins = [*project["dependencies"], *(project["optional-dependencies"]["postgres"] if postgres else ())]
    wrong = misfits(pins)
    if not wrong:
        return Found("ok", f"{len(pins)} pinned packages fit")
    mend = shlex.join([sys.executable, "-m", "pip", "install", *wrong])
    return Found("broken", "; ".join(wrong.values()), mend)


def misfits(pins: Iterable[str]) -> dict[str, str]:
    """Pins that nothing installed fits: each with what is there instead.

    >>> misfits(["numpy>=2", "no-such-package==1"])
    {'no-such-package==1': 'no-such-package is missing, needed ==1'}
    """
    from packaging.requirements import Requirement

    wrong = {}
    for pin in pins:
        requirement = Requirement(pin)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            wrong[pin] = f"{requirement.name} is missing, needed {requirement.specifier or 'in any version'}"
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            wrong[pin] = f"{requirement.name} is {version}, needed {requirement.specifier}"
    return wrong


def home_found(home: Home) -> Found:
    """Whether the home, and what lies in it, can be read and written; or made, when it is not there yet."""
    root = home.root
    if not _is_there(root):
        above = _existing(root)
        if not above.is_dir():
            return Found("broken", f"{above} is not a folder, so {root} cannot be made in it", _elsewhere())
        if not os.access(above, os.W_OK | os.X_OK):
            return Found("broken", f"{root} is not there, and this user cannot make it in {above}", _elsewhere())
        return Found("ok", f"{root} is not there yet; the first command makes it")
    if not root.is_dir():
        return Found("broken", f"{root} is not a folder", _elsewhere())
    if not os.access(root, os.R_OK | os.W_OK | os.X_OK):
        return Found("broken", f"this user cannot read and write {root}")
    closed = [path.name for path in sorted(root.iterdir()) if not os.access(path, os.R_OK | os.W_OK)]
    if closed:
        return Found("broken", f"this user cannot read and write, in {root}: {', '.join(closed[:5])}")
    return Found("ok", str(root))


def disk_found(home: Home, *, little: int = LITTLE_SPACE, none: int = NO_SPACE) -> Found:
    """Free space where the home lies or will lie, in bytes."""
    free = shutil.disk_usage(_existing(home.root)).free
    return Found("broken" if free < none else "warning" if free < little else "ok", f"{_size(free)} free")


def loopback_found() -> Found:
    """Whether the local endpoint and router could listen: they take any free port."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        return Found("ok", f"free ones, such as {listener.getsockname()[1]}")


def browser_found() -> Found:
    """A browser on this machine; a report may as well be opened on another one."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    return Found("ok", found or "none on this machine: a report is one file, open it where there is one")


def _is_there(path: Path) -> bool:
    """Whether anything has this name; a name that nothing can have, or that this user may not ask for, raises."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _existing(path: Path) -> Path:
    """The path itself, or the nearest one above that exists."""
    return next(above for above in (path, *path.parents) if os.path.lexists(above))


def _elsewhere() -> str:
    return "export STAGED_ROLLOUT_HOME=FOLDER"


def _size(size: float) -> str:
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:,.0f} MB"
