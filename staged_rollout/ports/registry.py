"""The model registry: versions, the champion, and what became of a candidate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

RegistryStatus = Literal["pending", "approved", "rejected"]
Lifecycle = Literal["candidate", "champion", "retired", "rolled_back", "kept_champion", "cancelled"]


@dataclass(frozen=True)
class ModelVersion:
    """One registered model.

    Attributes:
        model: Registered model (MLflow) or model package group (SageMaker).
        version: `"3"`; a decimal integer as text.
        status: Whether it may be served.
        reference: What Serving loads: a model package name such as `churn/3`, or its ARN.
        digest: SHA-256 of the artifact, or "" where the registry does not tell.
        created_at: When it was registered.
        tags: The registry's own tags.
    """

    model: str
    version: str
    status: RegistryStatus
    reference: str
    digest: str
    created_at: datetime
    tags: Mapping[str, str]


class Registry(Protocol):
    """Versions after a cursor, at least once; polling is the truth, events only make it faster."""

    def versions_after(self, model: str, cursor: int) -> list[ModelVersion]:
        """Versions with a number above the cursor, oldest first, whatever their status."""
        ...

    def version(self, model: str, version: str) -> ModelVersion:
        """One version.

        Raises:
            NotFoundError: no such model or version.
        """
        ...

    def champion(self, model: str) -> ModelVersion | None:
        """The version that serves, or None before the first."""
        ...

    def set_champion(self, model: str, version: str) -> None:
        """Move the champion; idempotent."""
        ...

    def set_lifecycle(self, model: str, version: str, lifecycle: Lifecycle, rollout: str) -> None:
        """Write back what became of a version; idempotent."""
        ...
