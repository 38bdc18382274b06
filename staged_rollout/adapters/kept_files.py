"""Checks of what else lies below a home: lake, model registry, assignment documents, routers' counters."""

from __future__ import annotations

import json
import re
import shlex
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from staged_rollout.adapters.assignments_file import FileAssignments
from staged_rollout.adapters.diagnosis import UPDATE, Check, Found
from staged_rollout.adapters.health_files import FileHealth
from staged_rollout.adapters.lake_catalog import NAMESPACE
from staged_rollout.adapters.lake_schema import READABLE_VERSIONS, SCHEMA_VERSION
from staged_rollout.adapters.still_sqlite import read_still
from staged_rollout.errors import StagedRolloutError
from staged_rollout.report.figures import count
from staged_rollout.spec.home import Home

_SHOWN = 3
_REVISION = re.compile(r"^(down_)?revision\s*(?::[^=]*)?=\s*['\"](\w+)['\"]", re.MULTILINE)


def home_checks(home: Home) -> list[Check]:
    """What lies below a home beside the ledger; each part may be absent, and is then made at its first use."""
    root = shlex.quote(str(home.root))
    return [
        Check(
            "lake",
            "the newest batch can be read, with every file that it names",
            f"cp -a BACKUP/lake {root}/",
            lambda: lake_found(home),
        ),
        Check(
            "registry",
            "it opens, its schema is the installed MLflow's, and every version has its files",
            f"cp -a BACKUP/registry {root}/",
            lambda: registry_found(home),
        ),
        Check(
            "assignments",
            "every document in assignments/ is one",
            f"cp -a BACKUP/assignments {root}/",
            lambda: assignments_found(home),
        ),
        Check("counters", "every router's counters can be read", f"rm -r {root}/health", lambda: counters_found(home)),
    ]


def lake_found(home: Home) -> Found:
    """The newest sealed batch, and each table's snapshot and data files that it pins."""
    sealed = home.lake / "batches.db"
    if not sealed.exists():
        return Found("ok", "no lake yet; the first ingest makes it")
    version, head = read_still(sealed, _head)
    if version not in {0, *READABLE_VERSIONS}:
        text = f"{sealed} has schema version {version}, this program reads {SCHEMA_VERSION}"
        return Found("broken", text, UPDATE)
    if head is None:
        return Found("ok", "no batch yet")
    number, pins = head
    if not (home.lake / "unit.key").is_file():
        return Found("broken", f"unit.key is gone: units of the {number} batches cannot be told any more")
    places = read_still(home.lake / "catalog.db", _places)
    pinned = {table: snapshot for table, snapshot in pins.items() if snapshot is not None}
    files, missing = 0, []
    for table, snapshot in pinned.items():
        try:
            names = _data_files(places.get(table), snapshot)
        except Exception as error:  # noqa: BLE001 - damaged metadata may raise anything; the other tables are still read
            missing.append(f"readable metadata of table {table} ({type(error).__name__}: {error})")
            continue
        if names is None:
            missing.append(f"snapshot {snapshot} of table {table}")
            continue
        files += len(names)
        missing += [name for name in names if not Path(name).is_file()]
    if missing:
        more = f", and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
        return Found("broken", f"batch {number} lacks {', '.join(missing[:_SHOWN])}{more}")
    return Found("ok", f"batch {number}: {count(files, 'file')} in {count(len(pinned), 'table')}")


def registry_found(home: Home) -> Found:
    """MLflow's schema, and the folder of each version's files."""
    path = home.registry / "mlflow.db"
    if not path.exists():
        return Found("ok", "no registry yet; the first registered model makes it")
    revision, sources = read_still(path, _registered)
    known, newest = _mlflow_revisions()
    if revision not in known:
        return Found("broken", f"revision {revision} is none that the installed MLflow knows", UPDATE)
    if revision != newest:
        mend = f"mlflow db upgrade {shlex.quote(f'sqlite:///{path}')}"
        return Found("broken", f"its schema is of revision {revision}, the installed MLflow's is {newest}", mend)
    gone = [
        f"{model}/{version}"
        for model, version, source in sources
        if not Path(source).is_dir() and not (home.registry / "artifacts" / model / Path(source).name).is_dir()
    ]
    if gone:
        mend = f"cp -a BACKUP/registry/artifacts {shlex.quote(str(home.registry))}/"
        return Found("broken", f"the files of {', '.join(gone[:_SHOWN])} are gone", mend)
    return Found("ok", f"{count(len(sources), 'version')} of {count(len({model for model, _, _ in sources}), 'model')}")


def assignments_found(home: Home) -> Found:
    """Each endpoint's document."""
    assignments = FileAssignments(home.assignments)
    return _each([path.stem for path in _inside(home.assignments, "*.json")], assignments.read, "document")


def counters_found(home: Home) -> Found:
    """Each endpoint's counters, as its routers write them."""
    return _each([path.name for path in _inside(home.health, "*")], FileHealth(home.health).read, "endpoint")


def _each(names: list[str], read: Any, what: str) -> Found:
    wrong = []
    for name in names:
        try:
            read(name)
        except StagedRolloutError as error:
            wrong.append(error.message)
    if wrong:
        return Found("broken", "; ".join(wrong[:_SHOWN]))
    return Found("ok", count(len(names), what) if names else "none yet")


def _inside(folder: Path, pattern: str) -> list[Path]:
    if not folder.exists():
        return []
    next(folder.iterdir(), None)  # says why a folder cannot be listed, which glob would keep to itself
    return sorted(path for path in folder.glob(pattern) if not path.name.startswith("."))


def _head(uri: str) -> tuple[int, tuple[int, Mapping[str, int | None]] | None]:
    with closing(sqlite3.connect(uri, uri=True)) as connection:
        version = int(connection.execute("PRAGMA user_version").fetchone()[0])
        if version != SCHEMA_VERSION:
            return version, None
        if (told := connection.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
            raise sqlite3.DatabaseError(f"batches.db: {told}")
        row = connection.execute("SELECT number, snapshots FROM batches ORDER BY number DESC LIMIT 1").fetchone()
    return version, None if row is None else (row[0], json.loads(row[1]))


def _places(uri: str) -> dict[str, str]:
    """Each table's metadata file, as the catalog names it."""
    query = "SELECT table_name, metadata_location FROM iceberg_tables WHERE catalog_name = ? AND table_namespace = ?"
    with closing(sqlite3.connect(uri, uri=True)) as connection:
        return dict(connection.execute(query, ("lake", NAMESPACE)).fetchall())


def _data_files(metadata: str | None, snapshot: int) -> list[str] | None:
    """The data files of a snapshot; None when the snapshot, or the metadata that would know it, is gone."""
    from pyiceberg.table import StaticTable

    place = Path((metadata or "").removeprefix("file://"))
    if not place.is_file():
        return None
    table = StaticTable.from_metadata(str(place))
    if table.snapshot_by_id(snapshot) is None:
        return None
    return [task.file.file_path.removeprefix("file://") for task in table.scan(snapshot_id=snapshot).plan_files()]


def _registered(uri: str) -> tuple[str, list[tuple[str, int, str]]]:
    with closing(sqlite3.connect(uri, uri=True)) as connection:
        if (told := connection.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
            raise sqlite3.DatabaseError(f"mlflow.db: {told}")
        revision = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        query = "SELECT name, version, COALESCE(source, '') FROM model_versions ORDER BY name, version"
        return str(revision and revision[0]), connection.execute(query).fetchall()


def _mlflow_revisions() -> tuple[set[str], str]:
    """All schema revisions of the installed MLflow, and the newest: read as text, as importing it takes seconds."""
    found = find_spec("mlflow")
    if found is None or found.origin is None:
        raise ModuleNotFoundError("mlflow is not installed")
    folder = Path(found.origin).parent / "store" / "db_migrations" / "versions"
    named: set[str] = set()
    followed: set[str] = set()
    for file in folder.glob("*.py"):
        for down, revision in _REVISION.findall(file.read_text(encoding="utf-8")):
            (followed if down else named).add(revision)
    (newest,) = named - followed
    return named, newest
