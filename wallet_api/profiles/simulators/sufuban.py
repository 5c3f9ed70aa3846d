"""SIMULATOR of 苏服办's server. Invented after public descriptions; see docs/profiles.md."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any, ClassVar, Final

from flask import Response, request

from consent.shapes import Choice, Listing, Text
from consent.showing import Person
from wallet_api.profiles import sufuban as jiangsu
from wallet_api.profiles.accounts import Account, adapter
from wallet_api.profiles.port import AppProfile
from wallet_api.profiles.simulators.backroom import Backroom, Gone, labelled, random_text, says, sent
from wallet_api.profiles.ways import InProcess

Said = tuple[Response, int]
_ITEMS: Final = Listing(Choice(frozenset(jiangsu.ITEMS.values())), most=4, least=1)
_WORD: Final = Text(80)


class SufubanServer:
    """Bearer tokens, then one token for each act."""

    app: ClassVar[str] = jiangsu.APP

    def __init__(self, backroom: Backroom, account: Account) -> None:
        self._room, self._account = backroom, account
        self._client_id, self._secret = account.client, account.secret
        self._bearers: set[str] = set()
        self.wsgi = labelled(self.app)
        for path, view in (
            (jiangsu.TOKEN_PATH, self._token),
            (jiangsu.VALIDATE_PATH, self._validate),
            (jiangsu.RETRIEVE_PATH, self._retrieve),
            (jiangsu.USER_PATH, self._user),
        ):
            self.wsgi.add_url_rule(path, path, view, methods=["POST"])

    def profile(self) -> AppProfile:
        """See `Simulator`."""
        return adapter(self._room.province, InProcess(self.wsgi), self._account)

    def unlock(self, person: Person) -> str:
        """See `Simulator`: the page's ssotoken."""
        return self._room.grant("sso", person)

    def counter_string(self, showing_id: str) -> str:
        """See `Simulator`: the 苏服码."""
        return self._room.draw("SFM" + random_text(32, "0123456789ABCDEF"), showing_id)

    def hold_up(self, showing_id: str) -> str:
        """See `Simulator`."""
        return self.counter_string(showing_id)

    def _token(self) -> Said:
        form = request.form
        asked = (form.get("grant_type"), form.get("client_id"), form.get("client_secret"), form.get("scope"))
        if asked != ("client_credentials", self._client_id, self._secret, "default"):
            return says(self.app, "token_refused")
        bearer = secrets.token_urlsafe(24)
        self._bearers.add(bearer)
        return says(self.app, "token", token=bearer)

    def _known(self) -> bool:
        return request.headers.get("Authorization", "").removeprefix("Bearer ") in self._bearers

    def _validate(self) -> Said:
        if not self._known():
            return says(self.app, "bearer_refused")
        body = sent(request.get_json(silent=True))
        if not _complete(body):
            return says(self.app, "validate_incomplete")
        found = self._room.take(body["qrcode"])
        if isinstance(found, Gone):
            return says(self.app, f"validate_{found}")
        extra = secrets.token_hex(8)
        token = self._room.grant("validate", (extra, found.showing_id, body["items"][0]))
        return says(self.app, "validate", token=token, extra=extra)

    def _retrieve(self) -> Said:
        if not self._known():
            return says(self.app, "bearer_refused")
        body = sent(request.get_json(silent=True))
        extra, showing, item = self._room.redeem("validate", body.get("validatetoken")) or (None, "", "")
        if extra is None or extra != body.get("extraid"):
            return says(self.app, "retrieve_used")
        return says(self.app, "retrieve", showing=showing, item=item)

    def _user(self) -> Said:
        if not self._known():
            return says(self.app, "bearer_refused")
        body = sent(request.get_json(silent=True))
        found = self._room.vouch("sso", body.get("ssotoken"), body.get("device"))
        return says(self.app, "user_refused") if found is None else says(self.app, "user", **found)


def _complete(body: Mapping[str, Any]) -> bool:
    words = all(_WORD.fits(body.get(name)) for name in ("qrcode", "case", "operator", "equipment"))
    return words and _ITEMS.fits(body.get("items"))
