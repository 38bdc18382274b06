"""Sending recorded requests at a rate, and counting what came back.

The schedule is open-loop: request k is due k/rate seconds after the first, whether earlier ones were answered or not.
A closed loop would slow down with the endpoint and hide what its callers wait for.
"""

from __future__ import annotations

import hashlib
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol

from staged_rollout.records.traffic import BadLine, TrafficLine

OK = "200"
_SHOWN = 10
_WIDTH = math.log(1.01)
"""Latencies are counted in classes 1% wide, so that hours of traffic take no memory."""
_HOPELESS = 20
_WAKE_S = 0.2


@dataclass(frozen=True)
class Reply:
    """What became of a request.

    Attributes:
        code: `200`, or the error's name (`ThrottlingException`) or HTTP status.
        variant: Who answered, "" when nobody did.
        reason: Why it failed, or "".
    """

    code: str
    variant: str
    reason: str = ""


class Sender(Protocol):
    """Sends one request and waits for its answer; may be called from several threads."""

    def send(self, line: TrafficLine, request_id: str) -> Reply:
        """Send it; a failure is a Reply too."""
        ...


@dataclass
class Tally:
    """What a replay has counted.

    Attributes:
        sent: Requests that were sent.
        answered: Requests that were answered, or had failed.
        bad: Lines that are no requests.
        codes: Answers by code; `200` are predictions.
        variants: Predictions by the variant that answered.
        first_bad: The first bad lines.
        first_errors: The first reason for each code.
        seconds: From the first request to the last answer.
        sending_s: From the first request to the last one.
    """

    sent: int = 0
    answered: int = 0
    bad: int = 0
    codes: Counter[str] = field(default_factory=Counter)
    variants: Counter[str] = field(default_factory=Counter)
    first_bad: list[BadLine] = field(default_factory=list)
    first_errors: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    sending_s: float = 0.0
    _latency: Counter[int] = field(default_factory=Counter)
    _late: Counter[int] = field(default_factory=Counter)

    @property
    def rate(self) -> float:
        """Requests a second, as they were sent; 0 for fewer than two."""
        return (self.sent - 1) / self.sending_s if self.sent > 1 and self.sending_s > 0 else 0.0

    def latency_ms(self, share: float) -> float | None:
        """A quantile of what callers waited for, within 1%, of predictions only; None without one."""
        return _quantile(self._latency, share)

    def late_ms(self, share: float) -> float | None:
        """A quantile of how long after its time a request was sent: above a few ms, concurrency is too small."""
        return _quantile(self._late, share)

    def count_bad(self, line: BadLine) -> None:
        """Count a line that is no request."""
        self.bad += 1
        if len(self.first_bad) < _SHOWN:
            self.first_bad.append(line)

    def count_reply(self, reply: Reply, took_s: float, late_s: float) -> None:
        """Count an answer."""
        self.answered += 1
        self.codes[reply.code] += 1
        self._late[_class(late_s)] += 1
        if reply.code == OK:
            self.variants[reply.variant] += 1
            self._latency[_class(took_s)] += 1
        else:
            self.first_errors.setdefault(reply.code, reply.reason)

    @property
    def hopeless(self) -> bool:
        """Whether the first requests have all failed: going on would only send more of the same."""
        return self.answered >= _HOPELESS and not self.codes[OK]


@dataclass(frozen=True)
class Pace:
    """How a replay runs.

    Attributes:
        per_second: Requests a second.
        concurrency: Requests that may be under way at once.
        seconds: When sending ends; None: with the file.
        run: Tells this replay's requests from those of another one of the same file.
    """

    per_second: float
    concurrency: int
    seconds: float | None = None
    run: str = ""


def replay(
    passes: Iterable[Iterator[TrafficLine | BadLine]],
    sender: Sender,
    pace: Pace,
    *,
    on_line: Callable[[int, TrafficLine | BadLine], None] = lambda *_: None,
    on_reply: Callable[[TrafficLine, str, Reply], None] = lambda *_: None,
    tally: Tally | None = None,
) -> Tally:
    """Send the requests of every pass over a file.

    Interrupting it (KeyboardInterrupt) sends nothing more, waits for the answers that are under way, and raises again;
    `tally` then has all that was counted.

    Args:
        passes: The file's lines, once for each pass.
        sender: Sends one.
        pace: How fast, and for how long.
        on_line: Told the pass, counted from 1, and each line when it was read and its time had come.
        on_reply: Told each request, its id and its answer; one at a time.
        tally: Where to count; None: a new one.
    """
    counted = Tally() if tally is None else tally
    running = _Running(sender, counted, on_reply, threading.Semaphore(pace.concurrency))
    started = time.monotonic()
    try:
        with ThreadPoolExecutor(pace.concurrency, thread_name_prefix="traffic") as pool:
            for number, lines in enumerate(passes, start=1):
                before = counted.sent
                for line in lines:
                    if isinstance(line, BadLine):
                        counted.count_bad(line)
                        on_line(number, line)
                        continue
                    after = counted.sent / pace.per_second
                    due = started + after
                    if (pace.seconds is not None and after >= pace.seconds) or not running.wait_until(due):
                        return counted
                    identifier = traffic_id(pace.run, number, line)
                    on_line(number, line)
                    counted.sent += 1
                    counted.sending_s = time.monotonic() - started
                    pool.submit(running.one, line, identifier, due)
                if counted.sent == before:
                    return counted  # a pass without a request: the next one would have none either
    finally:
        counted.seconds = time.monotonic() - started
    running.raise_defect()
    return counted


def traffic_id(run: str, number: int, line: TrafficLine) -> str:
    """The InferenceId of a request: 32 hexadecimal digits (SageMaker allows 1 to 64 characters).

    The same line of the same pass of the same run has the same id in every replay, so that labels that come later
    join, and a replay that is repeated after a kill is the same set of requests.
    """
    digest = hashlib.sha256(f"{run}\x1f{number}\x1f{line.number}\x1f".encode("utf-8", "surrogatepass"))
    digest.update((line.unit or "").encode() + b"\x1f" + line.body)
    return digest.hexdigest()[:32]


@dataclass
class _Running:
    """Requests that are under way."""

    sender: Sender
    tally: Tally
    on_reply: Callable[[TrafficLine, str, Reply], None]
    places: threading.Semaphore
    lock: threading.Lock = field(default_factory=threading.Lock)
    defect: BaseException | None = None

    def wait_until(self, due: float) -> bool:
        """Wait for a request's time and for a place; False when sending must end."""
        while (left := due - time.monotonic()) > 0:
            if self._ended:
                return False
            time.sleep(min(left, _WAKE_S))
        while not self.places.acquire(timeout=_WAKE_S):
            if self._ended:
                return False
        if self._ended:
            self.places.release()
            return False
        return True

    @property
    def _ended(self) -> bool:
        self.raise_defect()
        return self.tally.hopeless

    def raise_defect(self) -> None:
        if self.defect is not None:
            raise self.defect

    def one(self, line: TrafficLine, identifier: str, due: float) -> None:
        try:
            began = time.monotonic()
            reply = self.sender.send(line, identifier)
            took = time.monotonic() - began
            with self.lock:
                self.tally.count_reply(reply, took, max(0.0, began - due))
                self.on_reply(line, identifier, reply)
        except BaseException as error:  # noqa: BLE001 - raised again by the thread that sends
            self.defect = error
        finally:
            self.places.release()


def _class(seconds: float) -> int:
    return round(math.log(max(seconds * 1000, 1e-3)) / _WIDTH)


def _quantile(classes: Counter[int], share: float) -> float | None:
    total = sum(classes.values())
    if not total:
        return None
    rank, seen = max(1, math.ceil(share * total)), 0
    for number in sorted(classes):
        seen += classes[number]
        if seen >= rank:
            return round(math.exp(number * _WIDTH), 3)
    raise AssertionError(rank)
