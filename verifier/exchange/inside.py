"""The way of a letter inside one process: the same doors, the same answers, no network.

For a country in one process, as in the demonstration and in tests. The peer's name is put where the TLS layer puts it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self
from wsgiref.types import WSGIApplication

from werkzeug.test import Client

from consent.errors import Reason
from consent.transport import Letter
from verifier.exchange.client import EXCHANGE, EXCHANGE_PATH, NO_EXCHANGE, NO_PROVINCE, PEER, PEER_PATH, body_of, judge


@dataclass(frozen=True, slots=True, kw_only=True)
class InProcess:
    """A Transport into a WSGI application; `peer` is who we are."""

    app: WSGIApplication
    peer: str
    path: str
    silence: Reason
    _client: Client = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_client", Client(self.app, use_cookies=False))

    @classmethod
    def to_exchange(cls, app: WSGIApplication, *, province: str) -> Self:
        """How a province reaches the exchange."""
        return cls(app=app, peer=province, path=EXCHANGE_PATH, silence=NO_EXCHANGE)

    @classmethod
    def to_province(cls, app: WSGIApplication) -> Self:
        """How the exchange reaches a province."""
        return cls(app=app, peer=EXCHANGE, path=PEER_PATH, silence=NO_PROVINCE)

    def send(self, letter: Letter) -> None:
        """See `consent.transport.Transport`."""
        answer = self._client.post(
            self.path, data=body_of(letter), content_type="application/json", environ_base={PEER: self.peer}
        )
        kind = answer.headers.get("Content-Type", "")
        judge(letter, answer.status_code, kind, answer.get_data(), silence=self.silence)
