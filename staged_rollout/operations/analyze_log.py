"""What a lake's log is the log of: endpoint, rollout, champion, candidate, and when both began to be compared."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from staged_rollout.errors import DataError, NotFoundError
from staged_rollout.ports import Batch, Lake, Rows
from staged_rollout.ports.lens import Lens
from staged_rollout.spec.model import RolloutSpec

CHAMPION_NAMES = frozenset({"control", "champion", "baseline", "a", "old", "off"})
"""Names that say which of two variants is the champion, whatever their case."""
CHANCE = 1e-9
"""Probability below which one variant's lead is no chance: only one of the two was served then."""
_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,127}")
_SHOWN = 12


@dataclass(frozen=True)
class Asked:
    """What the caller names; None: what the log itself says, where it is unmistakable.

    Attributes:
        rollout: The value in the log's `rollout` column.
        champion: A variant as it was logged.
        candidate: The other one.
        since: When LIVE begins.
        as_of: No later row counts.
    """

    rollout: str | None = None
    champion: str | None = None
    candidate: str | None = None
    since: datetime | None = None
    as_of: datetime | None = None


@dataclass(frozen=True)
class Comparison:
    """What is compared.

    Attributes:
        lens: The log as the rollout's.
        as_of: No later row counts.
        last_row_at: The newest row of both variants in LIVE.
        unlogged: Guardrails whose figure the log does not tell for both variants.
        notes: What was inferred, and from what; for people.
    """

    lens: Lens
    as_of: datetime
    last_row_at: datetime
    unlogged: frozenset[str]
    notes: tuple[str, ...]


def compared(lake: Lake, batch: Batch, spec: RolloutSpec, asked: Asked) -> Comparison:
    """Find out what a log compares.

    Args:
        lake: Where the log is.
        batch: Which state of it.
        spec: The rollout file.
        asked: What the caller names.

    Raises:
        NotFoundError: the lake has no rows, or not those that are named.
        DataError: the log compares nothing, or it is not unmistakable what.
    """
    notes: list[str] = []
    cut_off = asked.as_of or datetime(9999, 12, 31, tzinfo=UTC)
    rows = lake.query("logged_variants", {"cut_off": cut_off}, batch=batch)
    outcomes = lake.query("logged_outcomes", {"cut_off": cut_off}, batch=batch)
    if not rows:
        until = f" up to {asked.as_of.isoformat()}" if asked.as_of else ""
        raise NotFoundError(f"the lake has no predictions{until}", hint="staged-rollout ingest SOURCE... --lake DIR")
    endpoint = _endpoint(rows, spec, notes)
    whole = [row for row in rows if row["endpoint"] == endpoint]
    rollout = _rollout(whole, spec, asked, notes)
    mine = [row for row in whole if row["rollout"] == rollout]
    champion, candidate = _variants(mine, f"{rollout}", spec, asked, notes)
    pair = [row for row in mine if row["assigned_variant"] in {champion, candidate}]
    others = sorted({str(row["assigned_variant"]) for row in mine} - {champion, candidate, "None"})
    if others:
        notes.append(f"rows of other variants are left out: {_listed(others)}")
    epochs = _live_epochs(whole, pair, (champion, candidate), spec, notes)
    live = [row for row in pair if row["epoch"] in epochs]
    since = asked.since or _begin(lake, batch, (endpoint, rollout), live, (champion, candidate), spec, notes)
    labels = [row for row in outcomes if row["endpoint"] == endpoint]
    last_row = max(row["last_at"] for row in live)
    as_of = asked.as_of or max([last_row, *(row["last_at"] for row in labels)])
    if last_row < since:
        raise DataError(
            f"no row of {champion} or {candidate} from {since.isoformat()} on; the newest is of {last_row.isoformat()}",
            hint="--since names a moment within the log",
        )
    if spec.success.metric == "correct" and not any(row["name"] is None for row in labels):
        elsewhere = sorted({row["endpoint"] for row in outcomes if row["name"] is None})
        also = f"; labels are there of endpoint {_listed(elsewhere)}" if elsewhere else ""
        raise DataError(
            f"no outcome of endpoint {endpoint} is in the lake, and success.metric correct needs them{also}",
            hint='ingest labels: lines of {"unit_id" or "request_id", "timestamp", "outcome"}, '
            "staged-rollout ingest FILE --format outcomes",
        )
    return Comparison(
        lens=Lens(
            endpoint=spec.endpoint,
            logged_endpoint=endpoint,
            # Operations name files after a rollout: what a log calls it may be anything.
            rollout=rollout if rollout is not None and _SAFE.fullmatch(rollout) else spec.rollout,
            logged_rollout=rollout,
            variants=(champion, candidate),
            live_epochs=epochs,
            since=since,
        ),
        as_of=as_of,
        last_row_at=last_row,
        unlogged=_unlogged(live, (champion, candidate)),
        notes=tuple(notes),
    )


def _endpoint(rows: Rows, spec: RolloutSpec, notes: list[str]) -> str:
    counts = _counted(rows, "endpoint")
    if spec.endpoint in counts:
        return spec.endpoint
    if len(counts) == 1:
        only: str = next(iter(counts))
        notes.append(f"endpoint {only}: the only one in the lake; the file says {spec.endpoint}")
        return only
    raise NotFoundError(
        f"no rows of endpoint {spec.endpoint} in the lake; it has {_tally(counts)}",
        hint="name one of these as endpoint in the rollout file",
    )


def _rollout(rows: Rows, spec: RolloutSpec, asked: Asked, notes: list[str]) -> str | None:
    """The logged rollout: named, or the only one with assigned variants, or the only one after the file's name."""
    counts = _counted([row for row in rows if row["assigned_variant"] is not None], "rollout")
    named = {key: number for key, number in counts.items() if key is not None}
    if asked.rollout is not None:
        if asked.rollout not in named:
            raise NotFoundError(
                f"no rows of rollout {asked.rollout!r} in the lake; it has {_tally(named)}",
                hint="--rollout names one of these",
            )
        return asked.rollout
    if len(named) == 1:
        only: str = next(iter(named))
        if None in counts:
            notes.append(f"rollout {only}: rows without a rollout ({counts[None]:,}) are left out")
        return only
    if not named:
        if not counts:
            raise DataError(
                "no row of the lake names a variant that its unit was assigned to",
                hint="--field assigned_variant=THEIRS at ingest; a model's answers alone compare nothing",
            )
        notes.append("no row names a rollout: all that name a variant are taken")
        return None
    fitting: list[str] = [key for key in named if key == spec.rollout or key.startswith(f"{spec.rollout}-v")]
    if len(fitting) == 1:
        notes.append(f"rollout {fitting[0]}: the only one of {spec.rollout} in the lake")
        return fitting[0]
    raise NotFoundError(
        f"{len(named)} rollouts are in the lake: {_tally(named)}", hint="--rollout ID says which one to analyze"
    )


def _variants(rows: Rows, rollout: str, spec: RolloutSpec, asked: Asked, notes: list[str]) -> tuple[str, str]:
    """Champion and candidate: as named, by a name that says it, or by the rollout's id, which ends in the candidate."""
    counts = {name: number for name, number in _counted(rows, "assigned_variant").items() if name is not None}
    for option, name in (("--champion", asked.champion), ("--candidate", asked.candidate)):
        if name is not None and name not in counts:
            raise NotFoundError(f"no rows of variant {name!r} ({option}); the log has {_tally(counts)}")
    if len(counts) < 2:
        raise DataError(
            f"one variant only: {_tally(counts)}; a comparison needs two",
            hint="--field assigned_variant=THEIRS at ingest reads another key",
        )
    if asked.champion is not None and asked.champion == asked.candidate:
        raise DataError(f"champion and candidate are both {asked.champion}", hint=f"the log has {_tally(counts)}")
    if asked.champion is not None and asked.candidate is not None:
        return asked.champion, asked.candidate
    if len(counts) == 2:
        first, second = sorted(counts)
        if asked.champion is not None:
            return asked.champion, second if asked.champion == first else first
        if asked.candidate is not None:
            return second if asked.candidate == first else first, asked.candidate
        ours = [name for name in (first, second) if rollout == f"{spec.rollout}-{name}"]
        if len(ours) == 1:
            champion, candidate = second if ours[0] == first else first, ours[0]
            notes.append(f"candidate {candidate} by the rollout's id, champion {champion}: the only other variant")
            return champion, candidate
        known = [name for name in (first, second) if name.lower() in CHAMPION_NAMES]
        if len(known) == 1:
            champion, candidate = known[0], second if known[0] == first else first
            notes.append(f"champion {champion} by its name, candidate {candidate}: the only other variant")
            return champion, candidate
    raise DataError(
        f"which variant is the champion, and which the candidate? The log has {_tally(counts)}",
        hint="--champion NAME --candidate NAME",
        variants=sorted(counts),
    )


def _live_epochs(
    whole: Rows, pair: Rows, variants: tuple[str, str], spec: RolloutSpec, notes: list[str]
) -> tuple[int, ...]:
    """The epochs of LIVE: of those with both variants, the ones that enrol everybody at the file's split."""
    both = [epoch for epoch in _epochs(pair) if _epochs_of(pair, epoch) == set(variants)]
    if not both:
        raise DataError(
            f"{variants[0]} and {variants[1]} never were in one epoch: they were served one after the other",
            hint="a comparison needs both at the same time",
        )
    if len(both) == 1:
        return (both[0],)
    design = (spec.stages.live.split[1], *(step.share for step in spec.stages.promote))
    chosen: list[int] = []
    for epoch in both:
        counted = sum(row["rows"] for row in pair if row["epoch"] == epoch)
        served = sum(row["rows"] for row in whole if row["epoch"] == epoch)
        units = {row["assigned_variant"]: row["units"] for row in pair if row["epoch"] == epoch}
        if counted == served and _likeliest(units[variants[0]], units[variants[1]], design) == 0:
            chosen.append(epoch)
    if not chosen:
        raise DataError(
            f"none of the epochs {_listed(both)} enrolled everybody at {100 * design[0]:g}%: there was no LIVE",
            hint="stages.live.split is the split that was served",
        )
    notes.append(
        f"LIVE is epoch {_listed(chosen)}: both variants, everybody enrolled, shares as stages.live.split; "
        f"epochs with both variants: {_listed(both)}"
    )
    return tuple(chosen)


def _likeliest(champion: int, candidate: int, shares: Sequence[float]) -> int:
    """Which designed share explains the counts best (binomial likelihood)."""

    def likelihood(share: float) -> float:
        inside = min(max(share, 1e-9), 1.0 - 1e-9)
        return candidate * math.log(inside) + champion * math.log1p(-inside)

    return max(range(len(shares)), key=lambda place: likelihood(shares[place]))


def _begin(
    lake: Lake,
    batch: Batch,
    place: tuple[str, str | None],
    live: Rows,
    variants: tuple[str, str],
    spec: RolloutSpec,
    notes: list[str],
) -> datetime:
    """The first row of either variant; when one led by more units than chance explains, the other's first."""
    first: dict[str, datetime] = {
        name: min(row["first_at"] for row in live if row["assigned_variant"] == name) for name in variants
    }
    leader, follower = sorted(variants, key=lambda name: first[name])
    led = lake.query(
        "logged_lead",
        {
            "endpoint": place[0],
            "rollout": place[1],
            "epochs": sorted({row["epoch"] for row in live}),
            "variant": leader,
            "cut_off": first[follower],
        },
        batch=batch,
    )[0]["units"]
    share = spec.stages.live.split[variants.index(leader)]
    if led * math.log(share) >= math.log(CHANCE):
        return min(first.values())
    notes.append(
        f"LIVE begins with the first row of {follower}: {led:,} units met {leader} before it, when only {leader} was "
        "served"
    )
    return first[follower]


def _unlogged(live: Rows, variants: tuple[str, str]) -> frozenset[str]:
    """Guardrails without a single figure of one of the variants."""
    columns = {"error_rate": "statuses", "latency_p95": "latencies"}
    return frozenset(
        guardrail
        for guardrail, column in columns.items()
        if not all(sum(row[column] for row in live if row["assigned_variant"] == name) for name in variants)
    )


def _epochs(rows: Rows) -> list[int]:
    return sorted({row["epoch"] for row in rows})


def _epochs_of(rows: Rows, epoch: int) -> set[str]:
    return {row["assigned_variant"] for row in rows if row["epoch"] == epoch}


def _counted(rows: Rows, column: str) -> dict[Any, int]:
    counts: dict[Any, int] = {}
    for row in rows:
        counts[row[column]] = counts.get(row[column], 0) + row["rows"]
    return counts


def _tally(counts: Mapping[Any, int]) -> str:
    """Names with their numbers of rows, the commonest first."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], str(item[0])))
    return _listed([f"{name} ({number:,} rows)" for name, number in ordered]) or "none"


def _listed(items: Sequence[object]) -> str:
    shown = ", ".join(str(item) for item in items[:_SHOWN])
    return shown + (f" and {len(items) - _SHOWN:,} more" if len(items) > _SHOWN else "")
