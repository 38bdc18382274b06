"""Router and endpoint among slow, broken and hostile callers: good ones are answered meanwhile and afterwards."""

from __future__ import annotations

import contextlib
import json
import random
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from staged_rollout.adapters.assignments_file import FileAssignments
from staged_rollout.assignment import AssignmentDocument, VariantRef
from staged_rollout.servers.bounded_http import Limits
from staged_rollout.spec.home import Home
from tests.local_platform import eventually

REQUEST_S = 1.0
MOST = Limits().most_waiting
GOOD_S = 20.0
"""What a good caller may have to wait on a busy machine; what is asked of an attacked server is that it answers."""
GROWTH_MIB = 200
"""More than all that one attack may leave in memory; 256 bodies of 6 MiB would be 1,536."""


@dataclass
class Server:
    """One server as a process."""

    name: str
    process: subprocess.Popen[bytes]
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def path(self) -> str:
        return "/endpoints/main/" + ("predict" if self.name == "router" else "invocations")

    def answers(self) -> None:
        """A good caller is answered in full: the server lives, and its own work gets done."""
        with httpx.Client(base_url=self.url, timeout=GOOD_S, trust_env=False) as http:
            assert self.process.pid == http.get("/ping").json()["pid"]
            answer = http.post(self.path, json={"unit_id": "u", "features": {"minutes": 1}})
            # Behind this router there is no endpoint, and on this endpoint nothing is deployed: both say so.
            assert answer.status_code == (503 if self.name == "router" else 400), answer.text

    def memory_mib(self) -> int:
        fields = Path(f"/proc/{self.process.pid}/statm").read_text().split()
        return int(fields[1]) * resource.getpagesize() // 2**20

    def connections(self) -> int:
        """Open sockets of the process, its listener and what it keeps for itself included."""
        links = Path(f"/proc/{self.process.pid}/fd").iterdir()
        found = 0
        for link in links:
            with contextlib.suppress(OSError):
                found += link.readlink().name.startswith("socket:")
        return found

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=GOOD_S)


@pytest.fixture(scope="module", params=["router", "endpoint"])
def server(request, tmp_path_factory) -> Iterator[Server]:
    home = Home(tmp_path_factory.mktemp(request.param))
    champion = VariantRef(name="v1", version="1")
    document = AssignmentDocument(
        endpoint="main", epoch=1, champion=champion, published_at=datetime(2026, 1, 1, tzinfo=UTC)
    )
    FileAssignments(home.assignments).publish(document, expected_epoch=None)
    command = [sys.executable, "-m", f"staged_rollout.servers.{request.param}", "--home", str(home.root)]
    command += ["--parent-pipe", "--request-timeout", f"{REQUEST_S}s"]
    if request.param == "router":
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            unused = nobody.getsockname()[1]
        command += ["--runtime-url", f"http://127.0.0.1:{unused}"]
    log = (home.root / "server.log").open("wb")
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log)
    started = Server(request.param, process, json.loads(process.stdout.readline())["port"])
    started.answers()
    yield started
    process.stdin.close()
    assert 0 == process.wait(60)
    process.stdout.close()
    log.close()
    told = (home.root / "server.log").read_text()
    assert "Traceback" not in told, told[-3000:]


def sent(server: Server, data: bytes, *, end: bool = True) -> bytes:
    """What comes back for some bytes, until the server closes or says nothing more for a while."""
    answer = b""
    with server.connect() as caller, contextlib.suppress(OSError):
        caller.sendall(data)
        if end:
            caller.shutdown(socket.SHUT_WR)
        while part := caller.recv(65_536):
            answer += part
    return answer


def closed_by_server(caller: socket.socket) -> bool:
    """Whether the other side has ended the connection."""
    caller.setblocking(False)  # noqa: FBT003 - the socket's own signature
    try:
        while part := caller.recv(65_536):
            del part
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def test_it_listens_on_loopback_alone(server: Server):
    """Unless somebody says otherwise, no other machine can reach it."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    listening = {row[1] for row in rows if row[3] == "0A" and int(row[1].split(":")[1], 16) == server.port}
    assert {f"0100007F:{server.port:04X}"} == listening


def test_more_slow_callers_than_it_keeps_do_not_shut_out_a_good_one(server: Server):
    """Slowloris: more callers than are kept, each with half a request; the flood displaces itself."""
    half = f"POST {server.path} HTTP/1.1\r\nHost: x\r\nX-Slow: ".encode()
    callers = [server.connect() for _ in range(MOST + 60)]
    try:
        for caller in callers:
            with contextlib.suppress(OSError):
                caller.sendall(half)
        server.answers()
        for caller in callers:
            with contextlib.suppress(OSError):
                caller.sendall(b"a")
        server.answers()
        # A byte now and then buys no time: the deadline is that of the whole request.
        eventually(lambda: all(closed_by_server(caller) for caller in callers), 60)
    finally:
        for caller in callers:
            caller.close()
    server.answers()


@pytest.mark.parametrize(
    "begun",
    [
        b"",
        b"P",
        b"GET /ping HTTP/1.1\r\nHost: x\r\n",
        b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{",
        b"POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\r\n",
        b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n{",
    ],
    ids=["nothing", "one byte", "half headers", "half a body", "half a chunk", "refused body"],
)
def test_whoever_does_not_finish_is_let_go(server: Server, begun: bytes):
    """Half-open and stalled at any place: after its time the connection is closed by the server."""
    with server.connect() as caller:
        caller.sendall(begun.replace(b"%s", server.path.encode()))
        eventually(lambda: closed_by_server(caller), 60)
    server.answers()


def test_who_is_too_slow_is_told(server: Server):
    with server.connect() as caller:
        caller.sendall(b"GET /ping HTTP/1.1\r\n")
        assert caller.recv(65_536).startswith(b"HTTP/1.1 408 ")


def test_a_caller_who_never_reads_is_let_go(server: Server):
    """Pipelined requests whose answers nobody takes: neither memory nor the connection is held for long."""
    if server.name == "endpoint":
        request, times = b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n" * 100, 20
    else:  # an answer as long as the question: no kernel keeps so many of them
        body = b'{"' + b"a" * 1_000_000 + b'": 1}'
        head = f"POST {server.path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        request, times = head.encode() + body, 20
    before, open_before = server.memory_mib(), server.connections()
    with server.connect() as caller:
        caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        caller.settimeout(5)
        with contextlib.suppress(OSError):
            for _ in range(times):
                caller.sendall(request)
        server.answers()
        eventually(lambda: server.connections() <= open_before, 60)
    assert server.memory_mib() - before < GROWTH_MIB


def test_large_bodies_sent_by_many_at_once_stay_within_bounds(server: Server):
    """As many bodies as connections are kept, none of them ended: bounded memory, and a good caller gets through."""
    before, callers = server.memory_mib(), []
    head = f"POST {server.path} HTTP/1.1\r\nHost: x\r\nContent-Length: 6000000\r\n\r\n".encode()
    highest = before
    try:
        for _ in range(60):
            caller = server.connect()
            callers.append(caller)
            caller.settimeout(0.5)
            with contextlib.suppress(OSError):
                caller.sendall(head + b" " * 3_000_000)
            highest = max(highest, server.memory_mib())
        server.answers()
    finally:
        for caller in callers:
            caller.close()
    assert highest - before < GROWTH_MIB
    server.answers()


def test_a_body_without_end_is_cut_off(server: Server):
    """Chunks for ever: refused at the limit, and not read on for ever afterwards."""
    head = f"POST {server.path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    chunk = b"10000\r\n" + b"a" * 65_536 + b"\r\n"
    begun = time.monotonic()
    cut = False
    with server.connect() as caller:
        caller.sendall(head)
        while not cut and time.monotonic() < begun + 60:
            try:
                caller.sendall(chunk)
            except OSError:  # reset or broken pipe, as it happens
                cut = True
    assert cut
    server.answers()


HEADERS = {
    "one of 10 MB": b"X-A: " + b"a" * 10_000_000,
    "100,000 of them": b"\r\n".join(b"X-%d: a" % number for number in range(100_000)),
    "a name of 1 MB": b"a" * 1_000_000 + b": a",
}


@pytest.mark.parametrize("kind", HEADERS)
def test_a_flood_of_headers_is_refused(server: Server, kind: str):
    before = server.memory_mib()
    told = sent(server, b"GET /ping HTTP/1.1\r\nHost: x\r\n" + HEADERS[kind] + b"\r\n\r\n")
    assert told == b"" or told.startswith(b"HTTP/1.1 400 ")  # nothing: closed while the flood still came
    server.answers()
    assert server.memory_mib() - before < GROWTH_MIB


REQUESTS: dict[str, Callable[[bytes], bytes]] = {
    "two lengths": lambda p: b"POST " + p + b" HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n{}",
    "length and chunks": lambda p: (
        b"POST " + p + b" HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    ),
    "negative length": lambda p: b"POST " + p + b" HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
    "length of 5,000 digits": lambda p: (
        b"POST " + p + b" HTTP/1.1\r\nHost: x\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n"
    ),
    "a chunk of no size": lambda p: b"POST " + p + b" HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "a chunk of all sizes": lambda p: (
        b"POST " + p + b" HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n"
    ),
    "garbage after a request": lambda p: b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n\x00\xff\x00\xff\r\n\r\n",
    "no host": lambda p: b"GET /ping HTTP/1.1\r\n\r\n",
    "no version": lambda p: b"GET /ping\r\n\r\n",
    "another version": lambda p: b"GET /ping HTTP/3.7\r\nHost: x\r\n\r\n",
    "TLS": lambda p: bytes.fromhex("16030100c8010000c40303") + bytes(range(180)),
    "HTTP/2": lambda p: b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "an upgrade": lambda p: b"GET /ping HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    "a way out of the path": lambda p: b"GET /../../../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n",
    "percent nonsense": lambda p: b"POST /endpoints/%ff%00%zz/predict HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
}


@pytest.mark.parametrize("kind", REQUESTS)
def test_what_is_no_request_is_answered_or_closed(server: Server, kind: str):
    told = sent(server, REQUESTS[kind](server.path.encode()))
    assert b"root:" not in told
    assert b" 500 " not in told[:20]
    server.answers()


def nested(depth: int, opening: str, closing: str) -> bytes:
    return (opening * depth + "1" + closing * depth).encode()


BODIES = {
    "empty": b"",
    "no JSON": b"{",
    "a list": b"[]",
    "NaN": b'{"unit_id": "u", "features": {"a": NaN}}',
    "a large exponent": b'{"unit_id": "u", "features": {"a": 1e99999}}',
    "a whole number of 4,000 digits": b'{"unit_id": "u", "features": {"a": ' + b"7" * 4000 + b"}}",
    "half a surrogate": b'{"unit_id": "\\ud800", "features": {}}',
    "no UTF-8": b'{"unit_id": "\xff\xfe", "features": {}}',
    "lists in lists": b'{"unit_id": "u", "features": {"a": ' + nested(900, "[", "]") + b"}}",
    "lists in lists without end": b'{"unit_id": "u", "features": {"a": ' + nested(200_000, "[", "]") + b"}}",
    "objects in objects": b'{"unit_id": "u", "features": ' + nested(300, '{"a": ', "}") + b"}",
    "the same key twice": b'{"unit_id": "u", "unit_id": "w", "features": {}}',
    "a unit of 1 MB": b'{"unit_id": "' + b"u" * 1_000_000 + b'", "features": {}}',
    "a hundred thousand features": json.dumps(
        {"unit_id": "u", "features": {f"f{n}": n for n in range(100_000)}}
    ).encode(),
    "lines in a unit": b'{"unit_id": "a\\nb\\r\\n\\u0000", "features": {}}',
}


@pytest.mark.parametrize("kind", BODIES)
def test_a_body_that_is_no_request_never_breaks_the_server(server: Server, kind: str):
    """It is refused, or answered as what it says; never an internal error."""
    with httpx.Client(base_url=server.url, timeout=GOOD_S, trust_env=False) as http:
        answer = http.post(server.path, content=BODIES[kind], headers={"Content-Type": "application/json"})
        assert answer.status_code in {400, 413, 415, 424, 503}, answer.text
        if server.name == "endpoint":
            headers = {"X-Amz-Target": "SageMaker.CreateModel", "Content-Type": "application/x-amz-json-1.1"}
            told = http.post("/", content=BODIES[kind], headers=headers)
            assert told.status_code in {400, 413}, told.text
    server.answers()


NOISE = [
    *(b"GET ", b"POST ", b"/ping", b"/", b" HTTP/1.1", b"\r\n", b"\n", b"Host: x", b": ", b"Content-Length: 3"),
    *(b"Transfer-Encoding: chunked", b"3\r\nabc\r\n", b"0\r\n\r\n", b"Expect: 100-continue", b"\x00", b"{}"),
]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.one_of(
        st.binary(max_size=400),
        st.lists(
            st.sampled_from(NOISE),
            max_size=30,
        ).map(b"".join),
    )
)
def test_bytes_at_random_never_break_it(server: Server, data: bytes):
    """Whatever comes at the socket's level, the answer is HTTP, or the connection is closed."""
    told = sent(server, data)
    assert told == b"" or told.startswith(b"HTTP/1.1 ")
    assert b" 500 " not in told[:20]


def test_after_all_of_that_a_good_caller_is_answered_and_nothing_is_left_open(server: Server):
    """Ten thousand bytes of noise on each of a hundred connections, cut off at once; then it is as before."""
    noise = random.Random(7)
    for _ in range(100):
        with server.connect() as caller, contextlib.suppress(OSError):
            caller.sendall(noise.randbytes(10_000))
    server.answers()
    eventually(lambda: server.connections() < 40, 60)
