"""What instances and requests cost."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated

from pydantic import Field

from staged_rollout.errors import NotFoundError
from staged_rollout.spec.locations import configs_dir
from staged_rollout.spec.values import FrozenModel
from staged_rollout.spec.yaml_model import load_model

Usd = Annotated[float, Field(ge=0)]


class PriceOverrides(FrozenModel):
    """What an environment pays instead of the table's prices.

    Args:
        instances: US dollars an hour, by instance type.
        per_million_requests: US dollars; None: the table's.
    """

    instances: dict[str, Usd] = Field(default_factory=dict, description="US dollars an hour, by instance type")
    per_million_requests: Usd | None = Field(default=None, description="US dollars from 0")


class PriceTable(FrozenModel):
    """One file of prices.

    Args:
        region: Where they hold.
        as_of: When they were looked up.
        source: Where they come from; shown in errors.
        instances: US dollars an hour, by instance type.
        per_million_requests: US dollars for a million calls, whatever stands before the endpoint included.
    """

    region: str
    as_of: date
    source: str
    instances: dict[str, Usd] = Field(description="US dollars an hour, by instance type")
    per_million_requests: Usd = Field(description="US dollars from 0")

    def overridden(self, overrides: PriceOverrides) -> PriceTable:
        """The table with an environment's own prices in place."""
        requests = overrides.per_million_requests
        return self.model_copy(
            update={
                "instances": {**self.instances, **overrides.instances},
                "per_million_requests": self.per_million_requests if requests is None else requests,
            }
        )

    def hourly(self, instance_type: str) -> float:
        """US dollars for an hour of one instance.

        Raises:
            NotFoundError: If the table does not know the type.
        """
        if instance_type not in self.instances:
            known = ", ".join(sorted(self.instances))
            raise NotFoundError(
                f"instance type {instance_type!r} has no price in {self.source} ({self.region}); it knows {known}",
                hint="add it to configs/prices.yaml, or under prices.instances of the environment",
                instance_type=instance_type,
            )
        return self.instances[instance_type]


def load_prices(path: Path | None = None) -> PriceTable:
    """Read a price table; None: `prices.yaml` of the configs folder.

    Raises:
        SpecError: If the file is no price table; with all findings.
    """
    return load_model(path or configs_dir() / "prices.yaml", PriceTable)
