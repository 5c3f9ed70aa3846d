"""SIMULATOR of 随申办's server. Invented after public descriptions; see docs/profiles.md."""

from __future__ import annotations

from typing import ClassVar

from flask import Response, request

from consent.showing import Person
from wallet_api.profiles import suishenban as shanghai
from wallet_api.profiles.accounts import Account, adapter
from wallet_api.profiles.port import AppProfile
from wallet_api.profiles.simulators.backroom import Backroom, Gone, String, labelled, random_text, says, sent
from wallet_api.profiles.ways import InProcess

Said = tuple[Response, int]


class SuishenbanServer:
    """Token by app id and secret, the scan, the interface for the delta, and the login by tokenSNO."""

    app: ClassVar[str] = shanghai.APP

    def __init__(self, backroom: Backroom, account: Account) -> None:
        self._room, self._account = backroom, account
        self._app_id, self._secret = account.client, account.secret
        self.wsgi = labelled(self.app)
        for path, view in (
            (shanghai.TOKEN_PATH, self._token),
            (shanghai.SCAN_PATH, self._scan),
            (shanghai.DELTA_PATH, self._delta),
            (shanghai.ACCESS_PATH, self._access),
            (shanghai.USER_PATH, self._user),
        ):
            self.wsgi.add_url_rule(path, path, view, methods=["POST"])

    def profile(self) -> AppProfile:
        """See `Simulator`."""
        return adapter(self._room.province, InProcess(self.wsgi), self._account)

    def unlock(self, person: Person) -> str:
        """See `Simulator`: a tokenSNO."""
        return self._room.grant("sno", person)

    def counter_string(self, showing_id: str) -> str:
        """See `Simulator`: the 随申码."""
        return self._room.draw("https://s.sh.gov.cn/" + random_text(43, "0123456789abcdef"), showing_id)

    def hold_up(self, showing_id: str) -> str:
        """See `Simulator`."""
        return self.counter_string(showing_id)

    def _token(self) -> Said:
        form = request.form
        if form.get("appId") != self._app_id or form.get("appSecret") != self._secret:
            return says(self.app, "token_refused")
        return says(self.app, "token", token=self._room.grant("scan", True))

    def _scan(self) -> Said:
        if self._room.redeem("scan", request.headers.get("token")) is None:
            return says(self.app, "scan_without_token")
        found = self._room.take(sent(request.get_json(silent=True)).get("qrCode"))
        if isinstance(found, Gone):
            return says(self.app, f"scan_{found}")
        return says(self.app, "scan", showing=found.showing_id)

    def _delta(self) -> Said:
        found: String | Gone = self._room.take(request.form.get("qrCode"))
        if isinstance(found, Gone):
            return says(self.app, f"delta_{found}")
        return says(self.app, "delta", showing=found.showing_id)

    def _access(self) -> Said:
        person = self._room.redeem("sno", sent(request.get_json(silent=True)).get("tokenSNO"))
        if person is None:
            return says(self.app, "access_refused")
        return says(self.app, "access", token=self._room.grant("access", person))

    def _user(self) -> Said:
        body = sent(request.get_json(silent=True))
        found = self._room.vouch("access", body.get("accessToken"), body.get("device"))
        return says(self.app, "user_refused") if found is None else says(self.app, "user", **found)
