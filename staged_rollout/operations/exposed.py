"""Which units met a candidate, and when: for remediation, after an ending too."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from staged_rollout.errors import NotFoundError, PlatformError
from staged_rollout.operations.journal import load
from staged_rollout.ports import Batch, Platform, Rows
from staged_rollout.state import EXPOSED, RolloutState, State

FOR_EVER = datetime(9999, 1, 1, tzinfo=UTC)
"""`until` where none is given."""
_FORMS: dict[str, Literal["parquet", "csv"]] = {".csv": "csv", ".parquet": "parquet"}


@dataclass(frozen=True)
class Exposure:
    """Who met a rollout's candidate, as of one sealed batch of the lake.

    Attributes:
        state: The rollout.
        batch: Of the lake.
        since: Rows from this moment on count: by default the rollout's registration.
        until: Rows before it count.
        asked: Hash to id, of the units that were asked for; None: all.
        totals: `units`, `requests`, `by_candidate`, `failed`, `without_unit`, `first_at`, `last_at`, `held_since`.
    """

    state: RolloutState
    batch: Batch
    since: datetime
    until: datetime
    asked: Mapping[str, str] | None
    totals: Mapping[str, Any]

    @property
    def parameters(self) -> dict[str, Any]:
        """What `sql/exposed_units.sql` is asked with."""
        return _parameters(self.state, self.since, self.until, self.asked)

    @property
    def began(self) -> datetime | None:
        """When routers first sent people to the candidate; None: never."""
        return next((stay.effective_at for stay in self.state.stages if stay.state in EXPOSED), None)

    @property
    def forgotten(self) -> bool:
        """Whether the lake no longer holds the rows of the first days of exposure."""
        held, began = self.totals["held_since"], self.began
        return began is not None and (held is None or held.date() > max(began, self.since).date())

    @property
    def champion_since(self) -> datetime | None:
        """Since when the candidate is the champion, where its answers as such count too; None: they do not."""
        ends = (stay.entered_at for stay in self.state.stages if stay.state is State.PROMOTED)
        promoted = next(ends, None)
        return promoted if promoted is not None and promoted < self.until else None


def exposure(
    platform: Platform,
    rollout: str,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    units: Sequence[str] = (),
) -> Exposure:
    """Sums over the units that the candidate answered; those themselves are given by `rows` and `save`.

    Args:
        platform: Ledger and lake are read.
        rollout: Running or ended.
        since: Rows from it on; by default since the rollout was registered.
        until: Rows before it; by default all.
        units: Ids as callers give them; none: all units.

    Raises:
        NotFoundError: no such rollout.
        DataError: the lake cannot be read.
    """
    state, batch = load(platform, rollout), platform.lake.head()
    asked = {platform.lake.unit_id(unit): unit for unit in units} if units else None
    begin, end = since or state.registered_at, until or FOR_EVER
    totals = platform.lake.query("exposed_totals", _parameters(state, begin, end, asked), batch=batch)[0]
    return Exposure(state, batch, begin, end, asked, totals)


def rows(platform: Platform, found: Exposure) -> Rows:
    """Every unit, oldest first; `unit` is its id where it was asked for by that, else null."""
    answer = platform.lake.query("exposed_units", found.parameters, batch=found.batch)
    asked = found.asked or {}
    return [{"unit": asked.get(row["unit_id"]), **row} for row in answer]


def save(platform: Platform, found: Exposure, file: Path) -> None:
    """Every unit as `.csv` or `.parquet`, written aside and renamed into place; readable by its owner only.

    Raises:
        NotFoundError: another ending of the name.
        PlatformError: the file cannot be written.
        DataError: the lake cannot be read.
    """
    form = _FORMS.get(file.suffix.lower())
    if form is None:
        raise NotFoundError(f"no format for {file.name!r}", hint=f"a name that ends in {' or '.join(_FORMS)}")
    aside = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        os.close(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        platform.lake.save("exposed_units", found.parameters, batch=found.batch, path=aside, form=form)
        aside.chmod(0o600)
        aside.replace(file)
    except OSError as error:
        raise PlatformError(f"{file} cannot be written: {error.strerror}", file=str(file)) from error
    finally:
        aside.unlink(missing_ok=True)


def _parameters(
    state: RolloutState, since: datetime, until: datetime, asked: Mapping[str, str] | None
) -> dict[str, Any]:
    return {
        "endpoint": state.spec.endpoint,
        "candidate": state.candidate.variant,
        "since": since,
        "until": until,
        "first_day": since.astimezone(UTC).date(),
        "units": list(asked) if asked is not None else None,
    }
