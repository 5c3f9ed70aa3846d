"""皖事通 (Anhui): a token is pending until its holder authorises it in the app.

login     the page's bridge (`UserPlugin.login`) hands out a token; the user agent says `citytoken`
counter   the app's page asks for an `authToken` (`getUnAuthToken`) and draws it, the holder authorises, whoever scans it asks
          for the material. Before the authorisation there is nothing to have, and asking does not use the token up.

`isApp` says whether 皖事通 itself drew the symbol. Otherwise an SMS code would authorise it, which proves neither a phone nor
a person at this counter: refused. `querySummary`, which says whether somebody has a certificate before anybody agreed, is
never called.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from consent.errors import Reason, Refusal
from consent.request import Request
from consent.shapes import choice
from wallet_api.profiles.port import HOLDER_TEXT, SHOWING_ID, Answer, Read, Way, as_json

APP: Final = "wanshitong"
USER_PATH: Final = "/user/info"
MATERIAL_PATH: Final = "/material/queryMaterial"
AGENT: Final = "citytoken"

PENDING, GRANTED, USED, EXPIRED = "PENDING", "GRANTED", "USED", "EXPIRED"
_STATE: Final = choice(PENDING, GRANTED, USED, EXPIRED)
_FLAG: Final = choice("0", "1")
_SAID: Final[Mapping[str, Reason]] = {
    PENDING: Reason.NOT_AUTHORISED,
    USED: Reason.CODE_ALREADY_USED,
    EXPIRED: Reason.CODE_EXPIRED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanshitong:
    """The adapter of 皖事通. `apply_id` is who we are to its material service."""

    way: Way
    apply_id: str

    def log_in(self, credential: str, device: Mapping[str, str], *, now: datetime) -> str:
        """See `AppProfile.log_in`; the credential is the bridge's token."""
        return read_user(self._call(USER_PATH, {"token": credential, "device": dict(device)}))

    def resolve(self, text: str, request: Request, *, now: datetime) -> str:
        """See `AppProfile.resolve`; Refusal(NOT_AUTHORISED) while the token is pending."""
        return read_material(self._call(MATERIAL_PATH, {"authToken": text, "applyId": self.apply_id}))

    def _call(self, path: str, asked: Mapping[str, object]) -> Answer:
        headers = {"Content-Type": "application/json", "User-Agent": f"Huzheng {AGENT}"}
        return self.way.call("POST", path, headers=headers, body=as_json(asked))


def read_user(answer: Answer) -> str:
    """The login assertion."""
    if answer.member("flag", shape=_FLAG) != "1":
        raise Refusal(Reason.INVALID_GRANT, detail="wanshitong: token")
    return str(answer.member("data", "holder", shape=HOLDER_TEXT))


def read_material(answer: Answer) -> str:
    """The showing behind an authorised token that the app itself drew."""
    state = answer.member("data", "state", shape=_STATE)
    if (reason := _SAID.get(state)) is not None:
        raise Refusal(reason, detail=f"wanshitong: {state.lower()}")
    if answer.member("data", "isApp", shape=_FLAG) != "1":
        raise Refusal(Reason.APPROVAL_METHOD_NOT_ALLOWED, detail="wanshitong: not drawn by the app")
    return str(answer.member("data", "showing", shape=SHOWING_ID))


READS: Final[Mapping[str, Read]] = {"user": read_user, "material": read_material}
