"""SIMULATOR of 皖事通's server. Invented after public descriptions; see docs/profiles.md."""

from __future__ import annotations

from typing import ClassVar

from flask import Response, request

from consent.showing import Person
from wallet_api.profiles import wanshitong as anhui
from wallet_api.profiles.accounts import Account, adapter
from wallet_api.profiles.port import AppProfile
from wallet_api.profiles.simulators.backroom import Backroom, Gone, labelled, random_text, says, sent
from wallet_api.profiles.ways import InProcess

Said = tuple[Response, int]


class WanshitongServer:
    """The bridge's login, and material behind a token that its holder must authorise."""

    app: ClassVar[str] = anhui.APP

    def __init__(self, backroom: Backroom, account: Account) -> None:
        self._room, self._account = backroom, account
        self._apply_id = account.client
        self.wsgi = labelled(self.app)
        self.wsgi.add_url_rule(anhui.USER_PATH, "user", self._user, methods=["POST"])
        self.wsgi.add_url_rule(anhui.MATERIAL_PATH, "material", self._material, methods=["POST"])

    def profile(self) -> AppProfile:
        """See `Simulator`."""
        return adapter(self._room.province, InProcess(self.wsgi), self._account)

    def unlock(self, person: Person) -> str:
        """See `Simulator`: what UserPlugin.login gives the page."""
        return self._room.grant("bridge", person)

    def counter_string(self, showing_id: str, *, by_app: bool = True) -> str:
        """See `Simulator`: a pending authToken. `by_app` is false where another page than the app's draws it."""
        text = "AHM" + random_text(36, "0123456789abcdefghjkmnpqrstvwxyz")
        return self._room.draw(text, showing_id, granted=False, by_app=by_app)

    def authorise(self, text: str) -> None:
        """The holder agrees, in the app, that whoever scans the text may use it."""
        self._room.authorise(text)

    def hold_up(self, showing_id: str) -> str:
        """See `Simulator`: drawn and authorised."""
        text = self.counter_string(showing_id)
        self.authorise(text)
        return text

    def _user(self) -> Said:
        body = sent(request.get_json(silent=True))
        if anhui.AGENT not in request.headers.get("User-Agent", ""):
            return says(self.app, "user_refused")
        found = self._room.vouch("bridge", body.get("token"), body.get("device"))
        return says(self.app, "user_refused") if found is None else says(self.app, "user", **found)

    def _material(self) -> Said:
        body = sent(request.get_json(silent=True))
        if body.get("applyId") != self._apply_id:
            return says(self.app, "material_stranger")
        found = self._room.take(body.get("authToken"))
        if isinstance(found, Gone):
            return says(self.app, f"material_{found}")
        if not found.granted:
            return says(self.app, "material_pending")
        if not found.by_app:
            return says(self.app, "material_elsewhere", showing=found.showing_id)
        return says(self.app, "material", showing=found.showing_id)
