"""Running a web application as a well-behaved process: a free port, one line when ready, no life beyond its parent."""

from __future__ import annotations

import argparse
import json
import os
import socket
import sys
import threading

import uvicorn
from starlette.types import ASGIApp

from staged_rollout.servers.bounded_http import Limits, bounded

LOOPBACK = "127.0.0.1"
REQUEST_S = 20.0
"""Seconds that a caller may take to send a request: 6 MiB at 320 KiB/s."""


def add_request_timeout(parser: argparse.ArgumentParser) -> None:
    """The option that both servers share."""
    parser.add_argument(
        "--request-timeout",
        type=_seconds,
        default=REQUEST_S,
        metavar="20s",
        help="what a caller may take to send a request, or to read an answer",
    )


def _seconds(text: str) -> float:
    try:
        seconds = float(text.removesuffix("s"))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}, must be like 20s") from error
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r}, must be above 0s")
    return seconds


def listen(app: ASGIApp, *, host: str, port: int, parent_pipe: bool, request_s: float = REQUEST_S) -> None:
    """Serve until SIGTERM, SIGINT, or (with `parent_pipe`) until standard input ends; then stop gracefully.

    Prints one JSON line `{"port": N, "pid": P}` on standard output once connections are accepted.

    Args:
        app: What answers.
        host: Address to bind.
        port: Port; 0 for a free one.
        parent_pipe: Whether standard input is a pipe from the parent, whose end means that the parent is gone, also
            when it was killed.
        request_s: Seconds that a caller may take to send a request, or to read an answer.

    Raises:
        OSError: the port is taken.
    """
    listener = _bound(host, port)
    config = uvicorn.Config(
        app,
        http=bounded(Limits(request_s)),
        ws="none",
        log_level="warning",
        access_log=False,
        lifespan="on",
        timeout_graceful_shutdown=10,
    )
    server = _Announcing(config, listener.getsockname()[1])
    if parent_pipe:
        threading.Thread(target=_stop_with_parent, args=(server,), name="parent-pipe", daemon=True).start()
    server.run(sockets=[listener])
    if not server.started:
        raise SystemExit(1)


def _bound(host: str, port: int) -> socket.socket:
    # asyncio turns Nagle's algorithm off only where the socket names its protocol; with it each answer waits 40 ms for
    # an acknowledgement that the client delays.
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(512)
    except OSError:
        listener.close()
        raise
    return listener


class _Announcing(uvicorn.Server):
    """Says its port only when a connection would be answered."""

    def __init__(self, config: uvicorn.Config, port: int) -> None:
        super().__init__(config)
        self._port = port

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            sys.stdout.write(json.dumps({"port": self._port, "pid": os.getpid()}) + "\n")
            sys.stdout.flush()


def _stop_with_parent(server: uvicorn.Server) -> None:
    # os.read and not sys.stdin: a lock on the buffered reader would make the interpreter's shutdown fail.
    while os.read(0, 4096):
        pass
    server.should_exit = True
