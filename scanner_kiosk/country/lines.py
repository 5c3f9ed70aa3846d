"""HTTP without a network: a line straight into a WSGI application of this process.

The same application code runs as in nine processes: routes, guards, bodies, problem documents. Only sockets are
missing. (`verifier.exchange.inside` does the same for letters.)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from wsgiref.types import WSGIApplication

from werkzeug.datastructures import Headers
from werkzeug.test import Client, EnvironBuilder
from werkzeug.wrappers import Response

from scanner_kiosk.province_client import Reply
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
