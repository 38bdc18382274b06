"""`--lake DIR`: a lake that lies elsewhere than below the home."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from staged_rollout.cli.session import Session
from staged_rollout.errors import NotFoundError
from staged_rollout.ports import Platform
from staged_rollout.spec.home import Home

LakeOption = Annotated[
    Path | None,
    typer.Option("--lake", metavar="DIR", readable=False, help="The lake's folder. [default: lake below the home]"),
]


def home_with(session: Session, lake: Path | None) -> Home:
    """The session's home, with its lake in another folder."""
    return session.home if lake is None else replace(session.home, lake_folder=lake.absolute())


def platform_with(session: Session, lake: Path | None) -> Platform:
    """The session's platform, with its lake in another folder; a new folder becomes an empty lake.

    Raises:
        NotFoundError: it is not a folder.
    """
    from staged_rollout.adapters.platform import open_platform

    home = home_with(session, lake)
    if home.lake.exists() and not home.lake.is_dir():
        raise NotFoundError(f"{home.lake} is not a folder", hint="--lake DIR names the folder of a lake")
    return open_platform(session.environment, home)


def existing_lake(session: Session, lake: Path | None) -> Platform:
    """As `platform_with`, for commands that only read.

    Raises:
        NotFoundError: there is no lake.
    """
    home = home_with(session, lake)
    if not (home.lake / "batches.db").is_file():
        raise NotFoundError(
            f"there is no lake in {home.lake}", hint="staged-rollout ingest makes one", lake=str(home.lake)
        )
    return platform_with(session, lake)
