"""What flows ingest: the platform's logs, with the fields that the metrics of its rollouts name."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from functools import lru_cache

from staged_rollout.operations.ingest import IngestReport, ingest
from staged_rollout.ports import Platform
from staged_rollout.ports.logs import LogFile, LogSource
from staged_rollout.records.blocks import FieldMap
from staged_rollout.spec.metric import measure_names
from staged_rollout.spec.model import RolloutSpec
from staged_rollout.state import canonical

_WITH_MEASURES = frozenset({"predictions", "shadow"})


class MeasuredLogs:
    """A log source whose prediction logs keep some numeric fields, where a line has them.

    Args:
        logs: The source.
        measures: Names of the fields. A file whose own field map names one keeps its rule.
    """

    def __init__(self, logs: LogSource, measures: Collection[str]) -> None:
        self._logs = logs
        self._measures = {name: f"{name}?" for name in sorted(measures)}

    def list(self) -> list[LogFile]:
        """All files, ordered by name."""
        return [self._measured(file) for file in self._logs.list()]

    def read(self, file: LogFile, start: int = 0) -> Iterator[bytes]:
        """The file's bytes, as the source gives them."""
        return self._logs.read(file, start)

    def settled(self) -> None:
        """As the source."""
        self._logs.settled()

    def _measured(self, file: LogFile) -> LogFile:
        if not self._measures or file.kind not in _WITH_MEASURES:
            return file
        fields = file.fields
        return replace(file, fields=FieldMap(fields.theirs, {**self._measures, **fields.measures}))


def measured_logs(platform: Platform) -> MeasuredLogs:
    """The platform's logs, with the fields that the metrics of its running rollouts name.

    Such a field is kept from its rollout's registration on; lines that were read before have none.
    """
    registered = platform.ledger.registrations()
    return MeasuredLogs(
        platform.logs, {name for event in registered for name in _measures(canonical(event.payload["spec"]))}
    )


@lru_cache(maxsize=1024)
def _measures(spec: str) -> frozenset[str]:
    """Fields that a stored specification's metrics name; a rollout's metrics never change."""
    return frozenset(measure_names(RolloutSpec.model_validate_json(spec).metrics))


def ingest_new(platform: Platform) -> IngestReport:
    """Read what is new in the platform's logs into its lake.

    Raises:
        LeaseHeldError: another process is writing.
        DataError: the lake cannot be written.
    """
    return ingest(logs=measured_logs(platform), lake=platform.lake, clock=platform.clock)
