"""HTTP without a network: a line, and a transport over it, straight into a WSGI application of this process.

The same application code runs as in nine processes: routes, guards, bodies, problem documents. Only sockets are missing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from wsgiref.types import WSGIApplication

from werkzeug.datastructures import Headers
from werkzeug.test import Client, EnvironBuilder
from werkzeug.wrappers import Response

from consent.errors import Reason, Refusal, Unavailable
from consent.transport import Letter
from scanner_kiosk.province_client import Reply, failure_of
from verifier.doors.guards import PEER


@dataclass(frozen=True, slots=True)
class WsgiLine:
    """A `Line` into an application. `peer` is the name that a client certificate would carry."""

    app: WSGIApplication
    peer: str = ""

    def call(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        """One request, one answer."""
        environ = {PEER: self.peer} if self.peer else {}
        builder = EnvironBuilder(
            path=path, method=method, data=body, headers=Headers(headers), environ_overrides=environ
        )
        try:
            answer: Response = Client(self.app, Response, use_cookies=False).open(builder, buffered=True)
        finally:
            builder.close()
        return Reply(
            status=answer.status_code,
            headers={name.lower(): value for name, value in answer.headers.items()},
            body=answer.get_data(),
        )


@dataclass(frozen=True, slots=True)
class InsideTransport:
    """A `Transport` over a line. `silence` is what it means to the sender that nobody answers."""

    line: WsgiLine
    path: str
    silence: Reason

    def send(self, letter: Letter) -> None:
        """Hand one letter over; see `consent.transport.Transport`."""
        reply = self.line.call(
            "POST", self.path, json.dumps(letter.to_json()).encode(), {"Content-Type": "application/json"}
        )
        if reply.status == 202:
            return
        failure = failure_of(reply)
        if isinstance(failure, Refusal):
            raise failure
        known = failure.reason in (Reason.LIBRARY_UNREACHABLE, Reason.EXCHANGE_UNREACHABLE)
        raise Unavailable(failure.reason if known else self.silence, what=letter.to, detail=failure.detail)
