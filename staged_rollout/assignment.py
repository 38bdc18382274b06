"""Which unit gets which variant: two independent salted hashes, published as one versioned document per endpoint.

*Arm* is the live split and never changes while a rollout runs. *Enrol* decides whether a unit is counted at all; a
stage only raises the enrolled share. See docs/adr/0003-two-hashes.md for why one moving threshold is wrong.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Arm = Literal["control", "treatment"]


class VariantRef(BaseModel):
    """A variant of an endpoint and the registry version that it serves."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    version: str


class AssignmentDocument(BaseModel):
    """What routers follow: one document per endpoint, replaced by compare-and-set on its epoch.

    Attributes:
        endpoint: The endpoint that the routers call.
        epoch: Grows by one with every publication; stamped on every logged row.
        rollout: The running rollout's id (`churn-v3`), or None when only the champion serves.
        stage: The state that published it (`shadow`, `canary`, `live`, `promoting`, `baking`), or None.
        step: The canary or promote step, counted from 1; 0 elsewhere.
        champion: The variant of the champion.
        candidate: The live candidate; None in shadow and outside rollouts.
        split: The candidate's share of the arms, in (0, 1); fixed for the whole rollout.
        enrolled: The share of units that the rollout counts, in [0, 1].
        share: While promoting, the candidate's share of *all* units, in [split, 1]; 0 before.
        published_at: When it was published, in the clock's time.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    document: Literal["staged-rollout/assignment/1"] = "staged-rollout/assignment/1"
    endpoint: str
    epoch: int = Field(ge=0)
    rollout: str | None = None
    stage: str | None = None
    step: int = 0
    champion: VariantRef
    candidate: VariantRef | None = None
    split: float = Field(default=0.5, gt=0.0, lt=1.0)
    enrolled: float = Field(default=0.0, ge=0.0, le=1.0)
    share: float = Field(default=0.0, ge=0.0, le=1.0)
    published_at: datetime

    @model_validator(mode="after")
    def _consistent(self) -> AssignmentDocument:
        if self.candidate is not None and self.rollout is None:
            raise ValueError("a candidate needs the rollout that it belongs to")
        if self.share and self.share < self.split - 1e-12:
            raise ValueError(f"share {self.share} would take units back from the candidate (split {self.split})")
        return self

    @property
    def arm_salt(self) -> str:
        """The salt of the arm hash."""
        return f"{self.rollout}:arm"

    @property
    def enrol_salt(self) -> str:
        """The salt of the enrolment hash, independent of the arm's."""
        return f"{self.rollout}:enrol"

    @property
    def exposure(self) -> float:
        """The expected share of units that the candidate answers, in [0, 1]."""
        if self.candidate is None:
            return 0.0
        return self.share or self.split * self.enrolled

    def same_content(self, other: AssignmentDocument) -> bool:
        """Whether both say the same but for epoch and time."""
        ignored = {"epoch", "published_at"}
        return self.model_dump(exclude=ignored) == other.model_dump(exclude=ignored)


@dataclass(frozen=True)
class Assigned:
    """What the document says of one unit.

    Attributes:
        variant: The variant that should answer.
        rollout: The rollout that counts the row, or None when the unit is not enrolled.
        arm: The unit's arm, or None when it is not enrolled.
        target: Whether the router must name the variant (TargetVariant), overriding the endpoint's weights.
    """

    variant: VariantRef
    rollout: str | None
    arm: Arm | None
    target: bool


def position(salt: str, unit: str) -> float:
    """Where a unit lies on [0, 1) under a salt: uniform, stable, and independent between salts."""
    # A router must answer whatever id a caller sends, unpaired surrogates too. 53 bits: more would round up to 1.0.
    digest = hashlib.sha256(f"{salt}\x1f{unit}".encode("utf-8", "surrogatepass")).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / 2**53


def arm_of(document: AssignmentDocument, unit: str) -> Arm:
    """The side of the split that a unit is drawn for; depends on the rollout and the unit alone."""
    return "treatment" if position(document.arm_salt, unit) < document.split else "control"


def assign(document: AssignmentDocument, unit: str | None) -> Assigned:
    """Which variant answers a unit, and whether the rollout counts it.

    A request without a unit (None or "") is served by the champion and not enrolled: lumping such requests into one
    variant would make the split depend on who forgets the id.
    """
    if document.rollout is None or not unit:
        # Named even without a rollout: right after a rollback the endpoint's weights may still favour the candidate.
        return Assigned(document.champion, None, None, target=document.stage != "shadow")
    if document.candidate is None:  # shadow: the endpoint copies requests, so the caller must not name a variant
        return Assigned(document.champion, document.rollout, None, target=False)
    arm = arm_of(document, unit)
    if document.share:  # promoting and baking: the control arm moves over by the same hash, monotonically
        candidate = position(document.arm_salt, unit) < document.share
        return Assigned(document.candidate if candidate else document.champion, document.rollout, arm, target=True)
    if position(document.enrol_salt, unit) >= document.enrolled:
        return Assigned(document.champion, None, None, target=True)
    return Assigned(document.candidate if arm == "treatment" else document.champion, document.rollout, arm, target=True)


def request_id(rollout_or_endpoint: str, unit: str | None, nonce: str) -> str:
    """A deterministic request id: the same call sent again carries the same id, and is deduplicated.

    Returns:
        32 hexadecimal digits (SageMaker allows 1 to 64 characters in InferenceId).
    """
    named = f"{rollout_or_endpoint}\x1f{unit or ''}\x1f{nonce}"
    return hashlib.sha256(named.encode("utf-8", "surrogatepass")).hexdigest()[:32]
