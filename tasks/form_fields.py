"""What a form may hold: names, never paths. Prefect refuses anything else before a run exists, and again in the run."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

EnvironmentName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]{0,63}$")]
"""Name of a file in configs/environments: a path would let a form choose the file that says who may approve."""
RolloutFile = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]{0,63}$")]
"""Name of a file in configs/rollouts."""
RolloutId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]{0,79}$")]
"""Such as churn-v3: a ledger key, and part of the names of artifacts."""
ModelVersion = Annotated[str, Field(pattern=r"^[0-9]{1,9}$")]
"""The registry's version number."""
