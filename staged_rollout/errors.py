"""One tree of errors. Each carries its facts as attributes, says what was found, what would be accepted, and a hint.

StagedRolloutError                      exit code 1
├── SpecError                     2     a rollout or environment file does not lint (all findings at once)
├── NotFoundError                 3     a rollout, look, variant or version that does not exist
├── RefusedError                  4     an act that the state or the rules do not allow
│   ├── NotApproverError                the person is not among those named
│   └── EndpointNotOursError            the endpoint is not managed by Staged Rollout
├── ConflictError                 5     somebody else was first; reading again and trying again is right
│   ├── StaleSequenceError              the ledger moved on since it was read
│   ├── LeaseHeldError                  another process acts on this endpoint
│   ├── StaleEpochError                 the assignment document moved on since it was read
│   └── EndpointUpdatingError           the endpoint refuses changes until it is InService
├── LedgerCorruptError            6     the hash chain, order or shape of stored events is broken
├── DataError                     7     logs, tables or figures that cannot be used
│   ├── LineRejectedError               one line, with its reason
│   └── QuantisationError               a value too large for exact sums
├── StatisticsError               8     numbers that no statistic is defined for
└── PlatformError                 9     an outside service failed or is not configured
"""

from __future__ import annotations

from typing import Any, ClassVar


class StagedRolloutError(Exception):
    """What a user can cause or mend.

    Args:
        message: What was found, with the value and the bound.
        hint: What to do about it; shown on a line of its own.
        **facts: The numbers and names in the message, kept as data.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str = "", **facts: Any) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.facts: dict[str, Any] = facts

    def __str__(self) -> str:
        return f"{self.message}. Hint: {self.hint}" if self.hint else self.message


class SpecError(StagedRolloutError):
    """A rollout or environment file does not lint; `facts["findings"]` holds every finding."""

    exit_code = 2


class NotFoundError(StagedRolloutError):
    """A rollout, look, variant or version that does not exist."""

    exit_code = 3


class RefusedError(StagedRolloutError):
    """An act that the state or the rules do not allow."""

    exit_code = 4


class NotApproverError(RefusedError):
    """The person is not among those named for this decision."""


class EndpointNotOursError(RefusedError):
    """The endpoint exists and is not managed by Staged Rollout."""


class ConflictError(StagedRolloutError):
    """Somebody else was first: read again, and try again."""

    exit_code = 5


class StaleSequenceError(ConflictError):
    """The ledger moved on since it was read."""


class LeaseHeldError(ConflictError):
    """Another process acts on this endpoint, and its lease has not ended."""


class StaleEpochError(ConflictError):
    """The assignment document moved on since it was read."""


class EndpointUpdatingError(ConflictError):
    """The endpoint refuses changes until it is InService."""


class LedgerCorruptError(StagedRolloutError):
    """The hash chain, order or shape of stored events is broken."""

    exit_code = 6


class DataError(StagedRolloutError):
    """Logs, tables or figures that cannot be used."""

    exit_code = 7


class LineRejectedError(DataError):
    """One line of a log, with the reason why it is not a record."""


class QuantisationError(DataError):
    """A value too large, or not finite, for exact integer sums."""


class StatisticsError(StagedRolloutError):
    """Numbers that no statistic is defined for."""

    exit_code = 8


class PlatformError(StagedRolloutError):
    """An outside service failed or is not configured."""

    exit_code = 9
