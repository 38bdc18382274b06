"""The statements of sql/: found, composed, checked against their parameters, and run by DuckDB over files."""

from __future__ import annotations

import atexit
import os
import re
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Literal

from staged_rollout.errors import DataError, NotFoundError
from staged_rollout.ports.lens import Lens
from staged_rollout.records.tables import TABLES, ColumnType, TableName

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_PARAMETER = re.compile(r"\$([a-z][a-z0-9_]*)")
_COMMENT = re.compile(r"--[^\n]*")
_STRING = re.compile(r"'(?:[^']|'')*'")
_USES = re.compile(r"^-- uses: ([a-z0-9_, ]+)$", re.MULTILINE)
_KEPT = re.compile(r"^-- kept: merged by ([a-z0-9_]+)$", re.MULTILINE)
_USED = re.compile(r"(?P<file>[a-z0-9_]+)(?: as (?P<name>[a-z0-9_]+))?")
_READ = re.compile(r"\b(?:FROM|JOIN)\s+([a-z_]+)")
_WITH = re.compile(r"\s*WITH\b\s*", re.IGNORECASE)

_ENGINE: dict[str, Any] = {}
_LOCK = threading.Lock()

_DUCKDB_TYPES: dict[ColumnType, str] = {
    "text": "VARCHAR",
    "integer": "BIGINT",
    "number": "DOUBLE",
    "flag": "BOOLEAN",
    "time": "TIMESTAMPTZ",
    "day": "DATE",
    "bytes": "BLOB",
}


def _not_kept(_: str) -> None:
    """The default of `run`: no answer is kept."""


@dataclass(frozen=True)
class Statement:
    """One SELECT, ready to run.

    Attributes:
        name: The file's name without `.sql`.
        text: The SELECT, with the statements that it uses put in front as common table expressions.
        parameters: The names that must be bound, without `$`.
        tables: The lake's tables that it reads.
        kept: The statements whose answers over all of `predictions` it reads; a lake may keep those in files.
    """

    name: str
    text: str
    parameters: frozenset[str]
    tables: frozenset[TableName]
    kept: frozenset[str]


def sql_folder() -> Path:
    """Where the statements lie: inside an installed package, or in the checkout's `sql/`."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "_sql"
    return installed if installed.is_dir() else package.parent / "sql"


def statement_names() -> list[str]:
    """All statements, sorted."""
    return sorted(path.stem for path in sql_folder().glob("*.sql"))


@cache
def kept_statements() -> dict[str, str]:
    """Statements whose answers a lake may keep, by name, each with the one that merges several kept answers.

    Their header says `-- kept: merged by NAME`. They read `predictions` alone and take no cut-off, and merging the
    answers over parts of the rows gives the answer over all of them. Who uses one binds its parameters too.
    """
    return {name: match[1] for name in statement_names() if (match := _KEPT.search(_source(name)))}


@cache
def statement(name: str) -> Statement:
    """A statement by its name.

    A header line `-- uses: exposures` (or `-- uses: champion_exposures as exposures`) makes the SELECT of that file a
    common table expression of that name, so that what an exposure is, is written once.

    Raises:
        NotFoundError: no such file.
    """
    used: dict[str, str] = {}
    _collect(name, used)
    body = _preceded(_body(name), {part: _body(file) for part, file in used.items()})
    bare = _STRING.sub("''", _COMMENT.sub("", body))
    words = set(_READ.findall(bare))
    return Statement(
        name,
        body,
        frozenset(_PARAMETER.findall(bare)),
        frozenset(table for table in TABLES if table in words),
        frozenset(kept for kept in kept_statements() if kept in words and kept != name),
    )


def run(
    name: str,
    parameters: Mapping[str, Any],
    files: Callable[[TableName], Sequence[str]],
    kept: Callable[[str], Sequence[str] | None] = _not_kept,
    *,
    lens: Lens | None = None,
) -> Any:
    """Run a statement and answer a pyarrow Table.

    Args:
        name: The statement.
        parameters: At least its parameters, others are left aside; lists are bound as lists, moments must have a zone.
        files: Parquet files of a table that the statement reads; an empty list is an empty table.
        kept: Parquet files that hold the answer of one of `kept_statements()`, in parts; None: it is computed.
        lens: What the tables are seen through, if anything; no answer is kept then.

    Raises:
        NotFoundError: no such statement.
        DataError: missing parameters, a moment without a zone, or what the engine refused.
    """
    with _asked(name, parameters, files, kept, lens) as answer:
        return answer.to_arrow_table()


def save(
    name: str,
    parameters: Mapping[str, Any],
    files: Callable[[TableName], Sequence[str]],
    kept: Callable[[str], Sequence[str] | None],
    path: Path,
    *,
    form: Literal["parquet", "csv"] = "parquet",
) -> None:
    """Run a statement, as `run` does, and write its answer as a file without holding all of it.

    Raises:
        NotFoundError: no such statement.
        DataError: as `run`, or the file cannot be written.
    """
    with _asked(name, parameters, files, kept) as answer:
        if form == "csv":
            answer.write_csv(str(path), header=True)
        else:
            answer.write_parquet(str(path), compression="zstd")


def engine() -> Any:
    """This process's DuckDB, in memory; a question takes a `.cursor()` of it, with views of its own."""
    import duckdb

    with _LOCK:
        return _engine(duckdb)


def _engine(duckdb: Any) -> Any:
    # Not one that a fork brought along: its threads stayed behind.
    if _ENGINE.get("process") != os.getpid():
        _ENGINE.clear()
        # What does not fit into memory goes here; by default it would go below the folder in which a command is given.
        spill = tempfile.mkdtemp(prefix="staged-rollout-")
        # No extension is downloaded.
        config: dict[str, str | bool | int | float | list[str]] = {
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "temp_directory": spill,
        }
        _ENGINE.update(process=os.getpid(), database=duckdb.connect(config=config), spill=spill)
    return _ENGINE["database"]


@atexit.register
def _close_engine() -> None:
    # A connection that outlives the interpreter's other parts may crash it.
    if _ENGINE.get("process") == os.getpid():
        _ENGINE["database"].close()
        shutil.rmtree(_ENGINE["spill"], ignore_errors=True)
    _ENGINE.clear()


@contextmanager
def _asked(
    name: str,
    parameters: Mapping[str, Any],
    files: Callable[[TableName], Sequence[str]],
    kept: Callable[[str], Sequence[str] | None],
    lens: Lens | None = None,
) -> Iterator[Any]:
    import duckdb

    from staged_rollout.adapters.lake_lens import SHOWN, look_through

    found = statement(name)
    _check_parameters(found, parameters)
    answers = {name: kept(name) for name in sorted(found.kept)}
    computed = {name: statement(name) for name, parts in answers.items() if parts is None}
    tables = found.tables.union(*(one.tables for one in computed.values()))
    wanted = found.parameters.union(*(one.parameters for one in computed.values()))
    text = _preceded(found.text, {name: one.text for name, one in computed.items()})
    with engine().cursor() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        try:
            for table in sorted(tables):
                connection.execute(_view(table, files(table), below="logged_" if lens and table in SHOWN else ""))
            if lens is not None:
                look_through(connection, lens, tables)
            for view, parts in answers.items():
                if parts is not None:
                    connection.execute(_kept_view(view, parts))
            yield connection.sql(text, params={key: parameters[key] for key in wanted})
        except duckdb.Error as error:
            raise DataError(f"sql/{name}.sql failed: {error}", statement=name) from error


def _kept_view(name: str, parts: Sequence[str]) -> str:
    return f"CREATE TEMP VIEW {name} AS SELECT * FROM read_parquet([{_listed(parts)}], union_by_name = true)"  # noqa: S608 - names are ours, quotes are doubled


def rows_of(table: Any) -> list[dict[str, Any]]:
    """A pyarrow Table as rows; moments in `datetime.UTC`."""
    rows: list[dict[str, Any]] = table.to_pylist()
    return [
        {key: value.astimezone(UTC) if isinstance(value, datetime) else value for key, value in row.items()}
        for row in rows
    ]


def _collect(name: str, used: dict[str, str], above: tuple[str, ...] = ()) -> None:
    """Add what a statement uses, each after what it uses itself; the first to claim a name keeps it."""
    if name in above:
        raise DataError(f"sql/{name}.sql uses itself: {' -> '.join((*above, name))}")
    for line in _USES.finditer(_source(name)):
        for part in line[1].split(","):
            match = _USED.fullmatch(part.strip())
            if match is None:
                raise DataError(f"sql/{name}.sql: uses {part.strip()!r}, accepted: FILE or FILE as NAME")
            alias = match["name"] or match["file"]
            if alias not in used:
                _collect(match["file"], used, (*above, name))
                used[alias] = match["file"]


def _preceded(body: str, parts: Mapping[str, str]) -> str:
    """A SELECT with others put in front as common table expressions."""
    if not parts:
        return body
    joined = ",\n".join(f"{name} AS (\n{part}\n)" for name, part in parts.items())
    match = _WITH.match(body)
    return f"WITH {joined},\n{body[match.end() :]}" if match else f"WITH {joined}\n{body}"


@cache
def _source(name: str) -> str:
    path = sql_folder() / f"{name}.sql"
    if not _NAME.fullmatch(name) or not path.is_file():
        raise NotFoundError(f"no statement {name!r}", hint=f"known: {', '.join(statement_names())}", statement=name)
    return path.read_text(encoding="utf-8")


def _body(name: str) -> str:
    lines = _source(name).splitlines()
    start = next(
        (number for number, line in enumerate(lines) if line.strip() and not line.startswith("--")), len(lines)
    )
    return "\n".join(lines[start:]).strip().removesuffix(";")


def _check_parameters(found: Statement, parameters: Mapping[str, Any]) -> None:
    missing = found.parameters - parameters.keys()
    if missing:
        raise DataError(
            f"sql/{found.name}.sql needs {', '.join(sorted(missing))}",
            hint=f"it takes {', '.join(sorted(found.parameters))}",
        )
    for key, value in parameters.items():
        if isinstance(value, datetime) and value.tzinfo is None:
            raise DataError(f"sql/{found.name}.sql: {key} = {value} has no time zone")


def _view(table: TableName, files: Sequence[str], *, below: str = "") -> str:
    columns = TABLES[table]
    nulls = ", ".join(f'CAST(NULL AS {_DUCKDB_TYPES[column.type]}) AS "{column.name}"' for column in columns)
    empty = f"SELECT {nulls} WHERE false"
    if not files:
        return f"CREATE TEMP VIEW {below}{table} AS {empty}"
    cells = ", ".join(f'CAST("{column.name}" AS {_DUCKDB_TYPES[column.type]}) AS "{column.name}"' for column in columns)
    # The empty SELECT names the columns that no file has, where all were written before the table got them.
    stored = f"SELECT * FROM read_parquet([{_listed(files)}], union_by_name = true) UNION ALL BY NAME {empty}"  # noqa: S608 - names are ours, quotes are doubled
    return f"CREATE TEMP VIEW {below}{table} AS SELECT {cells} FROM ({stored})"  # noqa: S608 - as above


def _listed(files: Sequence[str]) -> str:
    return ", ".join("'" + file.replace("'", "''") + "'" for file in files)
