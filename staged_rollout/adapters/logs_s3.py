"""LogSource on S3: Data Capture where SageMaker writes it, and the logs of routers, outcomes and ground truth.

Below `capture`: `ENDPOINT/VARIANT/yyyy/mm/dd/hh/FILE`. Below `logs`: `predictions/ENDPOINT/yyyy-mm-dd/FILE`,
`ground-truth/ENDPOINT/yyyy/mm/dd/hh/FILE` (Model Monitor's layout) and `outcomes/ENDPOINT/FILE`. Files end in `.jsonl`
or `.jsonl.gz` and are known by the names that they would have below a home.
"""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import Any

from staged_rollout.adapters.atomic_file import replace_file
from staged_rollout.adapters.aws_client import told_as_ours
from staged_rollout.adapters.log_bytes import CHUNK, inflated
from staged_rollout.adapters.log_folder import hour_of, place_of
from staged_rollout.adapters.s3_place import S3Object, S3Place
from staged_rollout.errors import DataError
from staged_rollout.ports.logs import LogFile

LOOK_BACK = timedelta(hours=6)
"""How long after its hour an object may appear, and still be found by the next listing; later ones wait for a whole
listing."""

WHOLE_EVERY = timedelta(days=1)
"""How often everything is listed, so that nothing is overlooked for longer."""

ATTEMPTS = 5
"""Connections that may break, one after the other without a byte between them, while an object is read."""

_OBJECTS_OWN = frozenset({"NoSuchKey", "404", "PreconditionFailed", "412", "AccessDenied", "403", "InvalidRange"})
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Memory:
    """What earlier listings have settled.

    Attributes:
        at: When the last one was made.
        whole_at: When the last one of everything was made.
    """

    at: datetime
    whole_at: datetime


class S3Logs:
    """Satisfies `ports.logs.LogSource`.

    A listing asks each endpoint's and variant's keys from a few hours before the last settled listing on: keys contain
    their hour, and S3 lists from any key on. So what was listed long ago costs nothing, and once a day everything is
    listed, a thousand objects for each request. Outcomes have no hour in their names and are always listed whole.

    Args:
        capture: Where endpoints write Data Capture.
        logs: Where routers' logs, outcomes and ground truth lie.
        memory: A file that keeps when listings were settled; without it everything is listed.
        now: The clock's present.
    """

    def __init__(self, capture: S3Place, logs: S3Place, *, memory: Path, now: Callable[[], datetime]) -> None:
        self._places = {"capture": capture, "logs": logs}
        self._memory = memory
        self._now = now
        self._listed: _Memory | None = None

    def list(self) -> list[LogFile]:
        """All files that may hold something new, ordered by name.

        Raises:
            PlatformError: S3 refused.
        """
        now = self._now()
        known = self._remembered()
        # A clock that was set back would otherwise leave out what was written meanwhile.
        if known is None or not known.whole_at <= known.at <= now or now - known.whole_at >= WHOLE_EVERY:
            found, whole_at = self._everything(), now
        else:
            found, whole_at = self._since(known.at - LOOK_BACK), known.whole_at
        files = [file for file in map(_file, found) if file is not None]
        self._listed = _Memory(now, whole_at)
        return sorted(files, key=lambda file: file.name)

    def settled(self) -> None:
        """The next listing begins a few hours before the last one."""
        if self._listed is None:
            return
        at, whole_at = self._listed.at.isoformat(), self._listed.whole_at.isoformat()
        row = {"at": at, "whole_at": whole_at, "places": self._named_places()}
        try:
            replace_file(self._memory, json.dumps(row).encode() + b"\n", durable=False)
        except OSError:
            _LOG.exception("%s was not written: the next listing is a whole one", self._memory)

    def read(self, file: LogFile, start: int = 0) -> Iterator[bytes]:
        """The object's bytes from a (decompressed) offset, in chunks of 1 MiB: of the version that was listed.

        A connection that breaks is taken up again where it broke.

        Raises:
            DataError: the object is gone, was replaced since it was listed, may not be read, or a compressed one is
                broken or not complete; chunks given before are good.
            PlatformError: S3 does not answer.
        """
        if not file.compressed:
            yield from self._bytes(file, start)
            return
        with io.BufferedReader(_Compressed(self._bytes(file, 0)), CHUNK) as stream:
            yield from inflated(stream, file.name, start)

    def _everything(self) -> Iterator[tuple[str, S3Object]]:
        return (
            (f"{root}/{row.key}", row)
            for root, below in (
                ("capture", ""),
                ("logs", "predictions/"),
                ("logs", "ground-truth/"),
                ("logs", "outcomes/"),
            )
            for row in self._places[root].objects(below)
        )

    def _since(self, moment: datetime) -> Iterator[tuple[str, S3Object]]:
        hour = f"{moment.astimezone(UTC):%Y/%m/%d/%H/}"
        day = f"{moment.astimezone(UTC):%Y-%m-%d/}"
        capture, logs = self._places["capture"], self._places["logs"]
        streams = chain(
            (
                ("capture", f"{endpoint}/{variant}/", hour)
                for endpoint in capture.folders()
                for variant in capture.folders(f"{endpoint}/")
            ),
            (("logs", f"predictions/{endpoint}/", day) for endpoint in logs.folders("predictions/")),
            (("logs", f"ground-truth/{endpoint}/", hour) for endpoint in logs.folders("ground-truth/")),
            [("logs", "outcomes/", "")],
        )
        return (
            (f"{root}/{row.key}", row)
            for root, below, after in streams
            for row in self._places[root].objects(below, after=f"{below}{after}" if after else "")
        )

    def _bytes(self, file: LogFile, start: int) -> Iterator[bytes]:
        from botocore.exceptions import HTTPClientError, IncompleteReadError, ResponseStreamingError

        at, failures = start, 0
        while at < file.size:
            try:
                with closing(self._opened(file, at)) as body:
                    for chunk in body.iter_chunks(CHUNK):
                        at, failures = at + len(chunk), 0
                        yield chunk
            except (HTTPClientError, IncompleteReadError, ResponseStreamingError) as error:
                failures += 1
                if failures >= ATTEMPTS:
                    raise DataError(
                        f"{file.name} cannot be read from byte {at:,} on: {error}", file=file.name
                    ) from error

    def _opened(self, file: LogFile, at: int) -> Any:
        from botocore.exceptions import ClientError

        root, _, key = file.name.partition("/")
        place = self._places[root]
        part = {"Range": f"bytes={at}-{file.size - 1}"} if at else {}
        with told_as_ours(f"read {place.uri(key)}"):
            try:
                answer = place.client.get_object(
                    Bucket=place.bucket, Key=f"{place.prefix}{key}", IfMatch=f'"{file.version}"', **part
                )
            except ClientError as error:
                code = error.response["Error"].get("Code", "")
                if code not in _OBJECTS_OWN:
                    raise
                replaced = code in {"PreconditionFailed", "412"}
                raise DataError(
                    f"{file.name} cannot be read: {'it was replaced since it was listed' if replaced else code}",
                    hint=f"it is {place.uri(key)}; the next ingest reads what is there then",
                    file=file.name,
                ) from error
        return answer["Body"]

    def _named_places(self) -> dict[str, str]:
        return {name: str(place) for name, place in self._places.items()}

    def _remembered(self) -> _Memory | None:
        try:
            row = json.loads(self._memory.read_bytes())
            if row["places"] != self._named_places():
                return None
            return _Memory(datetime.fromisoformat(row["at"]), datetime.fromisoformat(row["whole_at"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None


def _file(found: tuple[str, S3Object]) -> LogFile | None:
    name, row = found
    place = place_of(name)
    if place is None:
        return None
    at = hour_of(name) if place.kind == "ground-truth" else None
    compressed = name.endswith(".gz")
    return LogFile(place.kind, place.endpoint, name, row.size, place.variant, row.version, compressed, at=at)


class _Compressed(io.RawIOBase):
    """Chunks as a stream, for gzip."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._held = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._held:
            self._held = next(self._chunks, b"")
        part = self._held[: len(buffer)]
        self._held = self._held[len(part) :]
        buffer[: len(part)] = part
        return len(part)
