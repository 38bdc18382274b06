"""Faults that hit the nth call of an operation: what AWS does on a bad day, at a place of the test's choice.

| kind | what happens |
|---|---|
| throttle | nothing is done; ThrottlingException (S3: 503 SlowDown) |
| server_error | nothing is done; 500 InternalFailure |
| timeout | nothing is done; the connection is dropped without an answer |
| lost | it is done; the connection is dropped without an answer |
| refuse | nothing is done; 400 with the code and message of the rule |
| stale | nothing is done; what the same request was answered the last time: eventual consistency, a message twice |
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tests.moto_wire import Call, error_answer

Answer = tuple[int, list[tuple[str, str]], bytes]
KINDS = ("throttle", "server_error", "timeout", "lost", "refuse", "stale")
UPDATING = ("ValidationException", "Cannot update in-progress endpoint.")


@dataclass
class Rule:
    """One fault.

    Attributes:
        kind: One of KINDS.
        operation: AWS's name; "*": any.
        nth: The first call that it hits, counted from 1 from the moment the rule is made.
        times: How many calls in a row it hits.
        code: Of `refuse`.
        message: Of `refuse`.
        seen: Calls of the operation since the rule was made.
        hit: How many it has hit.
    """

    kind: str
    operation: str
    nth: int = 1
    times: int = 1
    code: str = UPDATING[0]
    message: str = UPDATING[1]
    seen: int = 0
    hit: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind == {self.kind!r}, must be one of {KINDS}")

    def hits(self, call: Call) -> bool:
        """Whether it hits a call; counts it."""
        if self.operation not in {"*", call.operation}:
            return False
        self.seen += 1
        hit = self.nth <= self.seen < self.nth + self.times
        self.hit += hit
        return hit


class Faults:
    """The rules in force, and what was answered before."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rules: list[Rule] = []
        self._answers: dict[str, Answer] = {}

    def add(self, rules: Iterable[dict[str, Any]]) -> None:
        """Make rules."""
        made = [Rule(**rule) for rule in rules]
        with self._lock:
            self._rules += made

    def clear(self) -> None:
        """Forget rules and answers."""
        with self._lock:
            self._rules, self._answers = [], {}

    def hits(self) -> list[int]:
        """How many calls each rule has hit, in the order in which they were made."""
        with self._lock:
            return [rule.hit for rule in self._rules]

    def next(self, call: Call) -> Rule | None:
        """The rule that hits this call, or None; every rule counts it."""
        with self._lock:
            hitting = [rule for rule in self._rules if rule.hits(call)]
        return hitting[0] if hitting else None

    def remember(self, call: Call, answer: Answer) -> None:
        """Keep an answer, for `stale`."""
        with self._lock:
            self._answers[_key(call)] = answer

    def remembered(self, call: Call) -> Answer | None:
        """What the same request was answered the last time."""
        with self._lock:
            return self._answers.get(_key(call))


def answer_of(rule: Rule, call: Call) -> Answer:
    """The error that a rule answers a call with: throttle, server_error and refuse."""
    if rule.kind == "throttle":
        status, code = (503, "SlowDown") if call.service == "s3" else (400, "ThrottlingException")
        return error_answer(call, status, code, "Rate exceeded")
    if rule.kind == "server_error":
        return error_answer(call, 500, "InternalFailure", "An internal failure was injected.")
    return error_answer(call, 400, rule.code, rule.message)


def _key(call: Call) -> str:
    return json.dumps([call.service, call.operation, call.parameters], sort_keys=True, default=str)
