"""SIMULATOR of 浙里办's gateway and the services behind it. Invented after public descriptions; see docs/profiles.md.

Stricter than the gateway that it imitates: a signature counts once, and it must speak for the body.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final

from flask import Response, request

from consent.errors import Reason, Refusal
from consent.showing import Person
from wallet_api.profiles import zheliban as zhejiang
from wallet_api.profiles.accounts import Account, adapter
from wallet_api.profiles.gateway import AccessKey, Gate
from wallet_api.profiles.port import AppProfile
from wallet_api.profiles.simulators.backroom import Backroom, Gone, labelled, random_text, says, sent
from wallet_api.profiles.ways import InProcess

Said = tuple[Response, int]
_SAID: Final[Mapping[Reason, str]] = {
    Reason.DOCUMENT_SIGNATURE: "gateway_signature",
    Reason.DOCUMENT_KEY_UNKNOWN: "gateway_key",
    Reason.DOCUMENT_EXPIRED: "gateway_skew",
    Reason.DOCUMENT_NOT_YET_VALID: "gateway_skew",
    Reason.DOCUMENT_REPLAYED: "gateway_replayed",
}


class ZhelibanServer:
    """The gateway, the single sign-on and the code service."""

    app: ClassVar[str] = zhejiang.APP

    def __init__(self, backroom: Backroom, account: Account) -> None:
        self._room, self._account = backroom, account
        self._app_id = account.client
        self.key = AccessKey(id=account.access_key, secret=account.secret.encode())
        self.gate = Gate(keys={self.key.id: self.key.secret})
        self.wsgi = labelled(self.app)
        self.wsgi.before_request(self._gate)
        self.wsgi.add_url_rule(zhejiang.TICKET_PATH, "ticket", self._ticket, methods=["GET"])
        self.wsgi.add_url_rule(zhejiang.USER_PATH, "user", self._user, methods=["POST"])
        self.wsgi.add_url_rule(zhejiang.RESOLVE_PATH, "resolve", self._resolve, methods=["POST"])

    def profile(self) -> AppProfile:
        """See `Simulator`."""
        return adapter(self._room.province, InProcess(self.wsgi), self._account)

    def unlock(self, person: Person) -> str:
        """See `Simulator`: the ticket of the bridge."""
        return self._room.grant("ticket", person)

    def counter_string(self, showing_id: str) -> str:
        """See `Simulator`: the 浙江证照码."""
        return self._room.draw("ZJZZM" + random_text(40, "0123456789ABCDEFGHJKMNPQRSTVWXYZ"), showing_id)

    def hold_up(self, showing_id: str) -> str:
        """See `Simulator`."""
        return self.counter_string(showing_id)

    def _gate(self) -> Said | None:
        query = list(request.args.items(multi=True))
        now = self._room.clock.now()
        try:
            self.gate.admit(request.method, request.path, query, request.headers, request.get_data(), now=now)
        except Refusal as no:
            return says(self.app, _SAID.get(no.reason, "gateway_signature"))
        return None if request.url_rule is not None else says(self.app, "gateway_route")

    def _ticket(self) -> Said:
        person = self._room.redeem("ticket", request.args.get("ticketId"))
        if person is None or request.args.get("appId") != self._app_id:
            return says(self.app, "ticket_refused")
        return says(self.app, "ticket", token=self._room.grant("access", person))

    def _user(self) -> Said:
        body = sent(request.get_json(silent=True))
        found = self._room.vouch("access", body.get("token"), body.get("device"))
        return says(self.app, "user_refused") if found is None else says(self.app, "user", **found)

    def _resolve(self) -> Said:
        found = self._room.take(sent(request.get_json(silent=True)).get("code"))
        if isinstance(found, Gone):
            return says(self.app, f"resolve_{found}")
        return says(self.app, "resolve", showing=found.showing_id)
