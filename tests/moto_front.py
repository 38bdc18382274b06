"""What stands before moto: a control interface, a log of every call, and faults on request.

Everything that tests say to it goes through `/_tests/`, so it may as well be driven from outside:

    curl localhost:5077/_tests/calls -d ''
    curl localhost:5077/_tests/faults -d '[{"kind": "throttle", "operation": "UpdateEndpoint", "nth": 2}]'
    curl localhost:5077/_tests/settings -d '{"update_seconds": 0.5}'
    curl localhost:5077/_tests/reset -d ''
"""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable, Iterable
from typing import Any

from tests.moto_faults import Answer, Faults, answer_of
from tests.moto_gaps import SETTINGS
from tests.moto_gaps_runtime import WRITTEN
from tests.moto_wire import Call, recognise

_CONTROL = "/_tests/"


class Front:
    """What stands before moto: the control interface, the log, and faults."""

    def __init__(self, moto: Callable[..., Iterable[bytes]]) -> None:
        self._moto = moto
        self._faults = Faults()
        self._lock = threading.Lock()
        self._calls: list[Call] = []
        self._controls: dict[str, Callable[[Any], Any]] = {
            "calls": lambda _: self._told(),
            "faults": lambda rules: self._faults.add(rules) if rules else self._faults.hits(),
            "settings": self._set,
            "forget": lambda _: self._forget(),
            "flush": lambda _: WRITTEN.flush(),
            "reset": lambda _: self._reset(),
        }

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        body = _body(environ)
        environ["wsgi.input"] = io.BytesIO(body)
        path = environ.get("PATH_INFO", "")
        if path.startswith(_CONTROL):
            told = self._controls[path.removeprefix(_CONTROL)](json.loads(body or b"null"))
            return _answered(start, (200, [("Content-Type", "application/json")], json.dumps(told).encode()))
        call = recognise(environ, body)
        rule = self._faults.next(call)
        kind = rule.kind if rule else ""
        answer: Answer | None = None
        if kind == "stale":
            answer = self._faults.remembered(call)
        elif rule is not None and kind in {"throttle", "server_error", "refuse"}:
            answer = answer_of(rule, call)
        if answer is None and kind != "timeout":
            answer = self._asked(environ)
            self._faults.remember(call, answer)
        dropped = kind in {"timeout", "lost"}
        self._log(Call(call.service, call.operation, call.parameters, 0 if dropped or not answer else answer[0], kind))
        if dropped or answer is None:
            environ["werkzeug.socket"].shutdown(2)
            return [b""]
        return _answered(start, answer)

    def _asked(self, environ: dict[str, Any]) -> Answer:
        told: list[Any] = []
        parts = self._moto(environ, lambda status, headers, *_: told.extend((status, headers)))
        body = b"".join(parts)
        return int(told[0].split()[0]), told[1], body

    def _log(self, call: Call) -> None:
        with self._lock:
            self._calls.append(call)

    def _told(self) -> list[dict[str, Any]]:
        with self._lock:
            return [call.as_json() for call in self._calls]

    def _forget(self) -> None:
        with self._lock:
            self._calls = []

    def _set(self, changes: dict[str, Any] | None) -> dict[str, Any]:
        return SETTINGS.change(changes or {})

    def _reset(self) -> None:
        from moto.core.base_backend import BackendDict
        from moto.core.model_instances import reset_model_data

        self._faults.clear()
        self._forget()
        WRITTEN.flush()
        SETTINGS.reset()
        BackendDict.reset()
        reset_model_data()


def _body(environ: dict[str, Any]) -> bytes:
    if environ.get("wsgi.input_terminated"):  # a chunked body: boto3 sends S3 uploads so
        return bytes(environ["wsgi.input"].read())
    return bytes(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)))


def _answered(start: Callable[..., Any], answer: Answer) -> Iterable[bytes]:
    status, headers, body = answer
    start(f"{status} -", headers)
    return [body]
