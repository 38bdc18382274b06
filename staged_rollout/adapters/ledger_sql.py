"""The ledger on SQLite or PostgreSQL, through SQLAlchemy Core. Every name is a bound parameter."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Self

from sqlalchemy import Connection, Engine, Executable, Row, and_, delete, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from staged_rollout.adapters.ledger_chain import chain, row_of, verified
from staged_rollout.adapters.ledger_engine import make_engine, transaction
from staged_rollout.adapters.ledger_tables import cursors, endpoint_claims, utc, watches
from staged_rollout.adapters.ledger_tables import events as events_table
from staged_rollout.adapters.migrations import bring_to_head
from staged_rollout.errors import ConflictError, LedgerCorruptError, StaleSequenceError
from staged_rollout.ports.ledger import Claim
from staged_rollout.state import GENESIS, Actor, Event, EventType, NewEvent

CLOCK_SET_BACK = timedelta(minutes=5)
"""Two guards that end in another order than they began are never so far apart."""
_NUMBERS = re.compile(r"([0-9]{1,18})")


def open_ledger(url: str) -> SqlLedger:
    """Open a ledger, and make or upgrade its tables when needed.

    Args:
        url: `sqlite:///PATH` (the folder is made) or `postgresql://USER@HOST/DATABASE`.

    Raises:
        PlatformError: the database cannot be opened or upgraded, or its tables are newer than this program.
    """
    engine = make_engine(url)
    try:
        bring_to_head(engine)
    except BaseException:
        engine.dispose()
        raise
    return SqlLedger(engine)


class SqlLedger:
    """Keeps the contract of `ports.ledger.Ledger`; made by `open_ledger`. Safe between threads and processes.

    All methods raise PlatformError when the database cannot be reached, read or written; nothing is written then.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @property
    def engine(self) -> Engine:
        """The database's connections, for the adapters beside this one."""
        return self._engine

    @property
    def url(self) -> str:
        """Where the ledger lies, without a password."""
        return self._engine.url.render_as_string(hide_password=True)

    def close(self) -> None:
        """Close all connections; the next call opens one again."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def append(
        self,
        rollout: str,
        events: Sequence[NewEvent],
        *,
        expected_seq: int,
        at: datetime,
        actor: Actor,
        claim: str | None = None,
        release: str | None = None,
    ) -> list[Event]:
        """Append events in one transaction, numbered from `expected_seq + 1`; see `ports.ledger.Ledger.append`.

        Raises:
            ValueError: no events, or a time without a time zone.
            DataError: a payload holds what JSON cannot (NaN, for one); nothing was written.
            StaleSequenceError: the ledger moved on; nothing was written.
            ConflictError: the endpoint belongs to another rollout; nothing was written.
        """
        if not events:
            raise ValueError(f"no events to append to {rollout}, must be one or more")
        moment = utc(at)
        chain(rollout, events, after=expected_seq, prev_hash=GENESIS, at=moment, actor=actor)  # refuse before locking
        with transaction(self._engine, write=True) as connection:
            head, prev_hash = _head(connection, rollout)
            if head != expected_seq:
                raise _stale(rollout, expected_seq, head)
            written = chain(rollout, events, after=head, prev_hash=prev_hash, at=moment, actor=actor)
            try:
                connection.execute(insert(events_table), [row_of(event) for event in written])
            except IntegrityError as error:  # PostgreSQL: another writer committed between our reading and writing
                raise _stale(rollout, expected_seq, None) from error.orig
            if release is not None:
                connection.execute(
                    delete(endpoint_claims).where(
                        endpoint_claims.c.endpoint == release, endpoint_claims.c.rollout == rollout
                    )
                )
            if claim is not None:
                _claim(connection, claim, rollout)
        return written

    def events(self, rollout: str, *, after: int = 0) -> list[Event]:
        """Events with a sequence number above `after`, in order; [] for an unknown rollout.

        Raises:
            LedgerCorruptError: a row is missing, moved or changed.
        """
        columns = events_table.c
        query = select(events_table).where(columns.rollout == rollout, columns.seq >= after).order_by(columns.seq)
        with transaction(self._engine, write=False) as connection:
            rows = connection.execute(query).mappings().all()
        return verified(rollout, rows, after=after)

    def head(self, rollout: str) -> int:
        """The last sequence number, 0 for an unknown rollout."""
        with transaction(self._engine, write=False) as connection:
            return _head(connection, rollout)[0]

    def rollouts(self) -> list[str]:
        """All rollouts, in the order of their first event; of the same moment, churn-v2 before churn-v10."""
        columns = events_table.c
        first = select(columns.rollout, func.min(columns.seq).label("seq")).group_by(columns.rollout).subquery()
        # Numbers come from the key alone; of the rows themselves, only the first of each rollout is touched.
        query = select(columns.rollout, columns.at).join(
            first, and_(columns.rollout == first.c.rollout, columns.seq == first.c.seq)
        )
        with transaction(self._engine, write=False) as connection:
            rows = connection.execute(query).all()
        return [row.rollout for row in sorted(rows, key=_begun)]

    def registrations(self) -> list[Event]:
        """The first event of each rollout that is not settled, its own hash checked; broken ones are left out."""
        columns, others = events_table.c, events_table.alias("others")
        settled = select(others.c.seq).where(
            others.c.rollout == columns.rollout, others.c.type == EventType.SETTLED.value
        )
        query = select(events_table).where(columns.seq == 1, ~settled.exists())
        with transaction(self._engine, write=False) as connection:
            rows = connection.execute(query).mappings().all()
        found: list[Event] = []
        for row in rows:
            with suppress(LedgerCorruptError):  # whoever reads that rollout says so
                found += verified(row["rollout"], [row], after=0)
        return found

    def verify(self) -> int:
        """Walk every chain of the ledger from its first event.

        Returns:
            The number of events; all of them are as they were written.

        Raises:
            LedgerCorruptError: a row is missing, moved or changed.
        """
        return sum(len(self.events(rollout)) for rollout in self.rollouts())

    def claim_of(self, endpoint: str) -> Claim | None:
        """Who owns the endpoint."""
        query = select(endpoint_claims).where(endpoint_claims.c.endpoint == endpoint)
        with transaction(self._engine, write=False) as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else Claim(row.endpoint, row.rollout, row.token, row.lease_until)

    def claims(self) -> list[Claim]:
        """Every claim, by endpoint."""
        with transaction(self._engine, write=False) as connection:
            rows = connection.execute(select(endpoint_claims)).all()
        return sorted((Claim(*row) for row in rows), key=lambda claim: claim.endpoint)

    def lease(self, endpoint: str, rollout: str, *, token: str, now: float, until: float, seize: str = "") -> bool:
        """Make `token` the acting process of a claimed endpoint until the wall time `until`; see `ports.ledger`.

        Raises:
            ValueError: the token is empty, which means "nobody".
        """
        if not token:
            raise ValueError('token == "", must name a process')
        columns = endpoint_claims.c
        free = or_(columns.token.in_({"", token, seize}), columns.lease_until <= now)
        return self._changes(
            update(endpoint_claims)
            .where(columns.endpoint == endpoint, columns.rollout == rollout, free)
            .values(token=token, lease_until=until)
        )

    def unlease(self, endpoint: str, *, token: str) -> None:
        """End this token's lease; nothing happens when it is not the holder."""
        columns = endpoint_claims.c
        self._changes(
            update(endpoint_claims)
            .where(columns.endpoint == endpoint, columns.token == token)
            .values(token="", lease_until=0.0)
        )

    def cursor(self, name: str) -> int:
        """How far a reader has come, 0 at first."""
        with transaction(self._engine, write=False) as connection:
            value = connection.execute(select(cursors.c.value).where(cursors.c.name == name)).scalar_one_or_none()
        return 0 if value is None else int(value)

    def cursors(self) -> dict[str, int]:
        """Every cursor, by name."""
        with transaction(self._engine, write=False) as connection:
            rows = connection.execute(select(cursors.c.name, cursors.c.value)).all()
        return {row.name: int(row.value) for row in sorted(rows)}

    def move_cursor(self, name: str, *, expected: int, value: int) -> bool:
        """Compare-and-set a cursor; False when another process moved it."""
        moved = update(cursors).where(cursors.c.name == name, cursors.c.value == expected).values(value=value)
        return self._changes(moved) or (expected == 0 and self._adds(insert(cursors).values(name=name, value=value)))

    def watched(self, rollout: str, at: datetime) -> None:
        """Note that a guard looked at an exposed rollout: one overwritten row, never earlier than the last.

        But for a row that lies ahead of now by more than `CLOCK_SET_BACK`: the clock was set back since, and to keep
        that row would hide for as long that nobody watches.
        """
        moment = utc(at)
        moved = or_(watches.c.at < moment, watches.c.at > moment + CLOCK_SET_BACK)
        later = update(watches).where(watches.c.rollout == rollout, moved).values(at=moment)
        if not self._changes(later) and not self._adds(insert(watches).values(rollout=rollout, at=moment)):
            self._changes(later)  # another guard added the row in between, perhaps with an earlier time

    def last_watched(self, rollout: str) -> datetime | None:
        """When a guard last looked, or None."""
        with transaction(self._engine, write=False) as connection:
            return connection.execute(select(watches.c.at).where(watches.c.rollout == rollout)).scalar_one_or_none()

    def _changes(self, statement: Executable) -> bool:
        """Run one statement in a transaction of its own; whether it found a row."""
        with transaction(self._engine, write=True) as connection:
            return bool(connection.execute(statement).rowcount)

    def _adds(self, statement: Executable) -> bool:
        """Insert one row in a transaction of its own; False when its key is there already."""
        with transaction(self._engine, write=True) as connection:
            try:
                connection.execute(statement)
            except IntegrityError:
                connection.rollback()
                return False
        return True


def _begun(row: Row[tuple[str, datetime]]) -> tuple[str, list[tuple[int, str]]]:
    """When a rollout began; then its name, numbers in it as numbers."""
    at = row.at.isoformat(timespec="microseconds") if isinstance(row.at, datetime) else str(row.at)
    return at, [(int(part) if part.isdecimal() else -1, part) for part in _NUMBERS.split(row.rollout)]


def _head(connection: Connection, rollout: str) -> tuple[int, str]:
    columns = events_table.c
    query = select(columns.seq, columns.hash).where(columns.rollout == rollout).order_by(columns.seq.desc()).limit(1)
    row = connection.execute(query).one_or_none()
    return (0, GENESIS) if row is None else (row.seq, row.hash)


def _claim(connection: Connection, endpoint: str, rollout: str) -> None:
    owner = select(endpoint_claims.c.rollout).where(endpoint_claims.c.endpoint == endpoint).with_for_update()
    found = connection.execute(owner).scalar_one_or_none()
    if found == rollout:
        return
    if found is not None:
        raise _owned(endpoint, rollout, found)
    row: dict[str, Any] = {"endpoint": endpoint, "rollout": rollout, "token": "", "lease_until": 0.0}
    try:
        connection.execute(insert(endpoint_claims).values(row))
    except IntegrityError as error:
        raise _owned(endpoint, rollout, "another rollout") from error.orig


def _owned(endpoint: str, rollout: str, owner: str) -> ConflictError:
    return ConflictError(
        f"endpoint {endpoint} belongs to {owner}, {rollout} cannot claim it",
        hint="wait until that rollout has ended, or roll it back",
        endpoint=endpoint,
        rollout=rollout,
        owner=owner,
    )


def _stale(rollout: str, expected: int, found: int | None) -> StaleSequenceError:
    beyond = "another writer was first" if found is None else f"its last event is {found}"
    return StaleSequenceError(
        f"{rollout} was read up to event {expected}, but {beyond}",
        hint="read the events again and decide again",
        rollout=rollout,
        expected=expected,
        found=found,
    )
