"""The two ways to an app's server: over the network, and into one that lives in this process (the same HTTP, no sockets)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlencode
from wsgiref.types import WSGIApplication

from urllib3 import HTTPConnectionPool, Timeout, connection_from_url
from urllib3.exceptions import HTTPError
from werkzeug.datastructures import Headers
from werkzeug.test import Client, EnvironBuilder

from wallet_api.profiles.port import LONGEST, Answer, silence

_PATIENCE: Final = Timeout(connect=0.5, read=1.5)  # seconds
_TOGETHER: Final = 8  # connections to one app


@dataclass(slots=True)
class OverNetwork:
    """A `Way` to `http[s]://host[:port][/path]`, no slash at the end. Nothing is repeated and no redirect followed: a text
    may be used up by the first call. ValueError for an address that cannot be used."""

    address: str
    _pool: HTTPConnectionPool = field(init=False, repr=False)
    _below: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        scheme, _, rest = self.address.partition("://")
        host, slash, below = rest.partition("/")
        if scheme not in ("http", "https") or not host or self.address.endswith("/"):
            raise ValueError("an app's server is at http[s]://host[:port][/path]")
        self._pool = connection_from_url(f"{scheme}://{host}", timeout=_PATIENCE, maxsize=_TOGETHER, block=False)
        self._below = slash + below

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
        target = self._below + path + ("?" + urlencode(query) if query else "")
        try:
            answer = self._pool.urlopen(
                method,
                target,
                body=body,
                headers=dict(headers or {}),
                retries=False,
                redirect=False,
                preload_content=False,
                decode_content=False,
            )
            try:
                found = answer.read(LONGEST + 1)
            finally:
                answer.release_conn()
        except HTTPError as problem:
            raise silence(f"app's server: {type(problem).__name__}") from problem
        return Answer(status=answer.status, body=found)


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
