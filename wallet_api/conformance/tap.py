"""In front of wallet_api: keeps every call, and lets happen what was planned for it.

    Said      an answer in wallet_api's place; the call never reaches it
    Lost      wallet_api acts, and the line breaks before its answer
    Changed   wallet_api's own answer, with its JSON changed on the way
    Slow      wallet_api's own answer, after some seconds

A plan is for the next calls of one operation and is used up by them.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from io import BytesIO
from threading import Lock
from typing import Any, Final

from consent.b64 import new_id
from consent.clock import Clock, rfc3339
from consent.errors import Refusal, Unavailable
from consent.sentences import Audience
from consent.telling import PROBLEM_TYPE, problem_of
from wallet_api.conformance.pace import Pace
from wallet_api.conformance.tape import Call, Tape, operation_of

MOST_BODY: Final = 65_536  # bytes; wallet_api itself refuses sooner


@dataclass(frozen=True, slots=True)
class Said:
    """This problem, as wallet_api words it."""

    failure: Refusal | Unavailable
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Lost:
    """The line breaks after wallet_api has acted."""


@dataclass(frozen=True, slots=True)
class Changed:
    """The answer's JSON object, changed."""

    change: Callable[[dict[str, Any]], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Slow:
    """The answer takes so many seconds."""

    seconds: float


Fault = Said | Lost | Changed | Slow
WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Tap:
    """A WSGI application around another. `pace` is the machine's time, `server` wallet_api's."""

    def __init__(self, app: WsgiApp, tape: Tape, *, pace: Pace, server: Clock) -> None:
        self._app = app
        self.tape = tape
        self._pace = pace
        self._server = server
        self._plans: list[list[Any]] = []
        self._lock = Lock()

    def plan(self, operation: str, fault: Fault, times: int = 1) -> None:
        """Let this happen to the next `times` calls of an operation; "" is any operation."""
        with self._lock:
            self._plans.append([operation, fault, times])

    def clear(self) -> None:
        """Forget what is planned."""
        with self._lock:
            self._plans.clear()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        at, server_at = self._pace.now(), self._server.now()
        body = _body(environ)
        operation = operation_of(environ["REQUEST_METHOD"], environ["PATH_INFO"])
        fault = self._due(operation)
        if isinstance(fault, Said):
            status, headers, answer = self._said(fault)
        else:
            status, headers, answer = self._asked(environ, body)
        if isinstance(fault, Slow):
            self._pace.advance(fault.seconds)
        if isinstance(fault, Changed) and status < 300 and "json" in headers.get("Content-Type", ""):
            answer = json.dumps(fault.change(json.loads(answer)), ensure_ascii=False).encode()
            headers["Content-Length"] = str(len(answer))
        call = Call(
            at=at,
            server_at=server_at,
            operation=operation,
            method=environ["REQUEST_METHOD"],
            path=environ["PATH_INFO"],
            query=environ.get("QUERY_STRING", ""),
            headers=_headers(environ),
            body=body,
            status=0 if isinstance(fault, Lost) else status,
            answer_headers=headers,
            answer=answer,
        )
        self.tape.add(call)
        if isinstance(fault, Lost):
            _break(environ)
            return []
        start_response(f"{status} {_WORD}", list(headers.items()))
        return [answer]

    def _due(self, operation: str) -> Fault | None:
        with self._lock:
            for plan in self._plans:
                if plan[0] in ("", operation):
                    plan[2] -= 1
                    if plan[2] <= 0:
                        self._plans.remove(plan)
                    found: Fault = plan[1]
                    return found
        return None

    def _said(self, fault: Said) -> tuple[int, dict[str, str], bytes]:
        request_id = new_id()
        problem = problem_of(fault.failure, audience=Audience.VENDOR, request_id=request_id, headers=fault.headers)
        headers = {**problem.headers, "Content-Type": PROBLEM_TYPE, "Request-Id": request_id}
        headers["Server-Time"] = rfc3339(self._server.now())
        return problem.status, headers, json.dumps(problem.body, ensure_ascii=False).encode()

    def _asked(self, environ: dict[str, Any], body: bytes) -> tuple[int, dict[str, str], bytes]:
        told: list[tuple[str, list[tuple[str, str]]]] = []

        def keep(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], None]:
            told.append((status, headers))
            return lambda raw: None

        whole = {**environ, "wsgi.input": BytesIO(body), "CONTENT_LENGTH": str(len(body))}
        parts = self._app({name: value for name, value in whole.items() if name not in _CHUNKED}, keep)
        try:
            answer = b"".join(parts)
        finally:
            if hasattr(parts, "close"):
                parts.close()
        status, headers = told[-1]
        return int(status.split()[0]), dict(headers), answer


_WORD: Final = "as told"  # a reason phrase means nothing (RFC 9112 §4), but WSGI wants one
_CHUNKED: Final = frozenset({"HTTP_TRANSFER_ENCODING", "wsgi.input_terminated"})


def _body(environ: Mapping[str, Any]) -> bytes:
    """The body, whole, whether its length was said or it came in chunks."""
    if environ.get("wsgi.input_terminated"):
        return bytes(environ["wsgi.input"].read(MOST_BODY))
    length = str(environ.get("CONTENT_LENGTH") or "0")
    return bytes(environ["wsgi.input"].read(min(int(length), MOST_BODY))) if length.isdecimal() else b""


def _headers(environ: Mapping[str, Any]) -> dict[str, str]:
    found = {key[5:].replace("_", "-").lower(): str(value) for key, value in environ.items() if key.startswith("HTTP_")}
    if environ.get("CONTENT_TYPE"):
        found["content-type"] = environ["CONTENT_TYPE"]
    return found


def _break(environ: Mapping[str, Any]) -> None:
    """Shut the caller's socket, as a line that breaks does. werkzeug's server hands it out for such cases."""
    line: socket.socket = environ["werkzeug.socket"]
    with suppress(OSError):
        line.shutdown(socket.SHUT_RDWR)
