"""The books added up again: claims, snapshots, rows and identities, each against what else says the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from staged_rollout.adapters import lake_sql
from staged_rollout.adapters.lake_batches import Batches
from staged_rollout.adapters.lake_catalog import IcebergTables
from staged_rollout.errors import DataError
from staged_rollout.ports.lake import Batch
from staged_rollout.ports.lake_upkeep import Finding
from staged_rollout.records.tables import FROM_LINES, TABLES, TableName

DOUBLED = {"predictions": "doubled_predictions", "captures": "doubled_captures"}
"""Tables whose rows have an id of their own, and the statement that counts rows that share one."""

SHOWN = 3
"""Examples in a finding."""


def verified(batches: Batches, tables: IcebergTables, damaged_runs: list[str]) -> list[Finding]:
    """Every check, in the order in which rows come to be.

    Args:
        batches: What was sealed.
        tables: The Iceberg tables.
        damaged_runs: Names of identity files that are not the ones that were sealed.
    """
    head = batches.head()
    return [
        _books(batches),
        _claims(batches),
        _lines(batches),
        *_tables(batches, tables, head),
        *_doubled(tables, head),
        _finding("identities are the ones that were sealed", damaged_runs, "all files intact"),
    ]


def _books(batches: Batches) -> Finding:
    books = batches.books(0)
    wrong = [f"{book.name} in batch {book.batch}" for book in books if not book.balanced]
    lines = sum(book.lines for book in books)
    total = f"{lines:,} lines in {len({book.name for book in books}):,} files"
    return _finding("lines = accepted + duplicates + quarantined + late + blank, for each file", wrong, total)


def _claims(batches: Batches) -> Finding:
    wrong, ranges = [], 0
    for source, generations in batches.all_claims().items():
        for claims in generations.values():
            expected = 0
            for claim in claims:
                ranges += 1
                if claim.from_byte != expected or claim.to_byte <= claim.from_byte:
                    wrong.append(f"{source}: bytes {expected:,} to {claim.from_byte:,}")
                expected = claim.to_byte
    return _finding("claimed ranges of each file follow each other without gap or overlap", wrong, f"{ranges:,} ranges")


def _lines(batches: Batches) -> Finding:
    claimed = Counter(
        {
            source: sum(claim.lines for claims in generations.values() for claim in claims)
            for source, generations in batches.all_claims().items()
        }
    )
    booked: Counter[str] = Counter()
    for book in batches.books(0):
        booked[book.name] += book.lines
    wrong = [
        f"{name}: {claimed[name]:,} claimed, {booked[name]:,} in the books"
        for name in sorted(claimed.keys() | booked.keys())
        if claimed[name] != booked[name]
    ]
    return _finding("each file's claims have the lines that its books have", wrong, f"{sum(booked.values()):,} lines")


def _tables(batches: Batches, tables: IcebergTables, head: Batch) -> Iterator[Finding]:
    rows: Counter[str] = Counter()
    for table in TABLES:
        try:
            files = tables.data_files(table, head.snapshots.get(table))
        except DataError as error:
            yield Finding(f"{table}: the pinned snapshot can be read", ok=False, detail=error.message)
            continue
        wrong = [found for file in files if (found := _unlike(file))]
        rows[table] = sum(file.record_count for file in files)
        size = sum(file.file_size_in_bytes for file in files)
        detail = f"{rows[table]:,} rows in {len(files):,} files, {size / 1e6:,.1f} MB"
        yield _finding(f"{table}: files are there, with the size and rows that the snapshot says", wrong, detail)
    removed = batches.removed()
    accepted = quarantined = 0
    for book in batches.books(0):
        accepted += book.accepted
        quarantined += book.quarantined + book.late
    kept = {"rows": accepted, "quarantine": quarantined}
    for name, of in (("rows", FROM_LINES), ("quarantine", ("quarantine",))):
        held, gone = sum(rows[table] for table in of), sum(removed[table] for table in of)
        detail = f"{kept[name]:,} taken in = {held:,} held + {gone:,} removed by retention and erasure"
        what = "accepted lines" if name == "rows" else "quarantined and late lines"
        yield Finding(f"{what} are held, or were removed on purpose", ok=kept[name] == held + gone, detail=detail)


def _unlike(file: Any) -> str:
    """How a data file differs from what its snapshot says, or ""."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = Path(str(file.file_path).removeprefix("file://"))
    try:
        size, rows = path.stat().st_size, pq.read_metadata(path).num_rows
    except (OSError, pa.ArrowException) as error:
        return f"{path.name}: {error}"
    if size != file.file_size_in_bytes:
        return f"{path.name}: {size:,} bytes, must be {file.file_size_in_bytes:,}"
    return "" if rows == file.record_count else f"{path.name}: {rows:,} rows, must be {file.record_count:,}"


def _doubled(tables: IcebergTables, head: Batch) -> Iterator[Finding]:
    for table, statement in DOUBLED.items():

        def files(name: TableName) -> list[str]:
            return tables.files(name, head.snapshots.get(name))

        try:
            found = lake_sql.rows_of(lake_sql.run(statement, {}, files))[0]
        except DataError as error:
            yield Finding(f"{table}: no row is there twice", ok=False, detail=error.message)
            continue
        yield Finding(
            f"{table}: no row is there twice",
            ok=found["doubled"] == 0,
            detail=f"{found['rows']:,} rows, {found['doubled']:,} of them share an id",
        )


def _finding(check: str, wrong: list[str], detail: str) -> Finding:
    if not wrong:
        return Finding(check, ok=True, detail=detail)
    more = f" and {len(wrong) - SHOWN:,} more" if len(wrong) > SHOWN else ""
    return Finding(check, ok=False, detail="; ".join(wrong[:SHOWN]) + more)
