"""HTTP/1.1 towards callers that may be slow, broken or hostile: none of them holds a connection for long.

uvicorn's own protocol bounds headers (64 KiB) and idle connections (5 s). It does not bound how long a request may
take to arrive, how long an answer may take to be read, or how many connections may wait for either; this one does.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

_TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


@dataclass
class Limits:
    """What one server grants to those who keep it waiting.

    Attributes:
        request_s: Seconds from a request's first byte, or from the connection, to the request's last byte; and seconds
            that an answer may wait for a caller who does not read it.
        most_waiting: Connections that may be in the middle of a request or an answer. One more, and the one that has
            waited longest is closed: who floods the server displaces the flood and not the others.
    """

    request_s: float = 20.0
    most_waiting: int = 256
    waiting: OrderedDict[BoundedHttp, None] = field(default_factory=OrderedDict, repr=False)


class BoundedHttp(H11Protocol):
    """uvicorn's protocol, with a deadline on whatever the caller has to do next.

    Attributes:
        limits: Set by `bounded`, shared by all connections of a server.
    """

    limits: Limits

    _deadline: asyncio.TimerHandle | None = None
    _unread = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A caller has connected, and owes a request."""
        super().connection_made(transport)
        self._owes()

    def connection_lost(self, exc: Exception | None) -> None:
        """The caller is gone."""
        self._owes_nothing()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """More of a request; the deadline stays that of its first byte."""
        try:
            super().data_received(data)
        except h11.LocalProtocolError:  # garbage after a request whose answer has begun: there is no way to say so
            self.transport.abort()
        self._settle()

    def on_response_complete(self) -> None:
        """The answer is written; uvicorn's own timer runs while the connection is idle."""
        super().on_response_complete()
        if self.timeout_keep_alive_task is not None and self.conn.their_state is h11.SEND_BODY:
            self._unset_keepalive_if_required()  # answered before its body ended, which is still owed
        self._settle()

    def pause_writing(self) -> None:
        """The caller does not read."""
        super().pause_writing()
        self._unread = True
        self._settle()

    def resume_writing(self) -> None:
        """The caller reads again."""
        super().resume_writing()
        self._unread = False
        self._settle()

    def _settle(self) -> None:
        idle = self.timeout_keep_alive_task is not None
        halfway = self.conn.their_state in {h11.IDLE, h11.SEND_BODY} and not idle
        if self.transport.is_closing() or not (halfway or self._unread):
            self._owes_nothing()
        elif self._deadline is None:
            self._owes()

    def _owes(self) -> None:
        self._deadline = self.loop.call_later(self.limits.request_s, self._give_up)
        waiting = self.limits.waiting
        waiting[self] = None
        if len(waiting) > self.limits.most_waiting:
            longest, _ = waiting.popitem(last=False)
            longest._give_up()  # noqa: SLF001 - its own kind

    def _owes_nothing(self) -> None:
        self.limits.waiting.pop(self, None)
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        self._owes_nothing()
        answering = self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete
        if self._unread or answering:
            self.transport.abort()
            return
        if self.conn.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            self.transport.write(_TOO_SLOW)
        self.transport.close()


def bounded(limits: Limits) -> type[BoundedHttp]:
    """The protocol of one server.

    Args:
        limits: Its own; servers do not share them.
    """
    members: dict[str, Any] = {"limits": limits}
    return type("BoundedHttpOfServer", (BoundedHttp,), members)
