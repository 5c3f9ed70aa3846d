"""The way to an app's server that lives in this process: the same HTTP, no sockets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode
from wsgiref.types import WSGIApplication

from werkzeug.datastructures import Headers
from werkzeug.test import Client, EnvironBuilder

from wallet_api.profiles.port import Answer


@dataclass(frozen=True, slots=True)
class InProcess:
    """A `Way` into a WSGI application."""

    app: WSGIApplication

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> Answer:
        """See `wallet_api.profiles.port.Way`."""
        builder = EnvironBuilder(
            path=path, method=method, query_string=urlencode(query), headers=Headers(dict(headers or {})), data=body
        )
        try:
            answer = Client(self.app, use_cookies=False).open(builder, buffered=True)
        finally:
            builder.close()
        return Answer(status=answer.status_code, body=answer.get_data())
