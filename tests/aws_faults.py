"""Which faults a run tries: some, drawn by a seed, in `make test`; every one in `make aws-faults`."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from typing import TypeVar

CaseT = TypeVar("CaseT")
SEED = int(os.environ.get("AWS_FAULTS_SEED", "7"))
EVERY = os.environ.get("AWS_FAULTS") == "all"


def drawn(cases: Sequence[CaseT], count: int) -> list[CaseT]:
    """Some of the cases, in their order; all of them when `AWS_FAULTS=all`."""
    if EVERY:
        return list(cases)
    kept = set(random.Random(SEED).sample(range(len(cases)), min(count, len(cases))))
    return [case for number, case in enumerate(cases) if number in kept]
