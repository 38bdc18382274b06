"""What the operations ask of the outside: one protocol per concern, small, without a client's types."""

from staged_rollout.ports.checks import (
    CheckReport,
    Checks,
    DayFacts,
    ExpectationResult,
    LabelCoverage,
    SkippedExpectation,
)
from staged_rollout.ports.clock import Clock
from staged_rollout.ports.health import Health, HealthReading, VariantHealth
from staged_rollout.ports.lake import Batch, FileBooks, Lake, Rows
from staged_rollout.ports.ledger import Claim, Ledger
from staged_rollout.ports.logs import LogFile, LogSource
from staged_rollout.ports.notifier import Notification, Notifier
from staged_rollout.ports.platform import Platform
from staged_rollout.ports.registry import ModelVersion, Registry
from staged_rollout.ports.serving import (
    Applied,
    Assignments,
    EndpointStatus,
    EndpointTarget,
    ObservedEndpoint,
    ObservedVariant,
    PublishedAssignment,
    Serving,
    VariantTarget,
)
from staged_rollout.ports.tracker import Tracker
from staged_rollout.ports.version_events import EventMessage, VersionEvent, VersionEvents

__all__ = [
    "Applied",
    "Assignments",
    "Batch",
    "CheckReport",
    "Checks",
    "Claim",
    "Clock",
    "DayFacts",
    "EndpointStatus",
    "EndpointTarget",
    "EventMessage",
    "ExpectationResult",
    "FileBooks",
    "Health",
    "HealthReading",
    "LabelCoverage",
    "Lake",
    "Ledger",
    "LogFile",
    "LogSource",
    "ModelVersion",
    "Notification",
    "Notifier",
    "ObservedEndpoint",
    "ObservedVariant",
    "Platform",
    "PublishedAssignment",
    "Registry",
    "Rows",
    "Serving",
    "SkippedExpectation",
    "Tracker",
    "VariantHealth",
    "VariantTarget",
    "VersionEvent",
    "VersionEvents",
]
