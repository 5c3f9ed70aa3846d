"""苏服办 (Jiangsu): two steps for everything. First a bearer token for the system, then a token for the one act.

login     bearer token, then the page's `ssotoken`, which counts once
counter   the 苏服码. Bearer token; then code, case, operator, equipment and the wanted `items` buy a validate token with an
          extra id; then both buy the answer, once. `000001` means yes.

`items` are the certificate types by the names that the province's own dictionary uses. An answer with an `agent` block says
that somebody handles another person's affair; a certificate is shown by its holder only, so that is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode

from consent.errors import Reason, Refusal
from consent.request import Request
from consent.shapes import Listing, Members, Text
from wallet_api.profiles.port import HOLDER_TEXT, SHOWING_ID, TOKEN, Answer, Read, Way, as_json, silence

APP: Final = "sufuban"
TOKEN_PATH: Final = "/oauth/token"  # noqa: S105 - a path
VALIDATE_PATH: Final = "/sfm/validate"
RETRIEVE_PATH: Final = "/sfm/retrieve"
USER_PATH: Final = "/sso/user"

OK, USED, EXPIRED, UNKNOWN = "000001", "000011", "000012", "000021"
ITEMS: Final[Mapping[str, str]] = {"marriage": "结婚证", "divorce": "离婚证"}
_CODE: Final = Text(6, 6, re.compile(r"[0-9]{6}"))
_SAID: Final[Mapping[str, Reason]] = {USED: Reason.CODE_ALREADY_USED, EXPIRED: Reason.CODE_EXPIRED}


_ONE: Final = Listing(Members({"name": Text(40), "showing": SHOWING_ID}), most=1, least=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sufuban:
    """The adapter of 苏服办, a client of its OAuth server."""

    way: Way
    client_id: str
    client_secret: str = field(repr=False)

    def log_in(self, credential: str, device: Mapping[str, str], *, now: datetime) -> str:
        """See `AppProfile.log_in`; the credential is an `ssotoken`."""
        return read_user(self._call(USER_PATH, self._bearer(), {"ssotoken": credential, "device": dict(device)}))

    def resolve(self, text: str, request: Request, *, now: datetime) -> str:
        """See `AppProfile.resolve`. The case is told to Jiangsu as our request id: a case number may say too much."""
        bearer = self._bearer()
        ask = request.ask
        asked = {
            "qrcode": text,
            "case": request.id,
            "operator": ask.officer,
            "equipment": ask.window,
            "items": [ITEMS[ask.type]],
        }
        token, extra = read_validation(self._call(VALIDATE_PATH, bearer, asked))
        return read_retrieve(self._call(RETRIEVE_PATH, bearer, {"validatetoken": token, "extraid": extra}))

    def _bearer(self) -> str:
        form = {
            "grant_type": "client_credentials",
            "client_id": self.client_id,
            "client_secret": self.client_secret,
            "scope": "default",
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return read_token(self.way.call("POST", TOKEN_PATH, headers=headers, body=urlencode(form).encode()))

    def _call(self, path: str, bearer: str, asked: Mapping[str, Any]) -> Answer:
        headers = {"Authorization": f"Bearer {bearer}", "Content-Type": "application/json"}
        answer = self.way.call("POST", path, headers=headers, body=as_json(asked))
        if answer.status == 401:
            raise silence("sufuban: bearer token refused")
        return answer


def read_token(answer: Answer) -> str:
    """The bearer token."""
    if answer.status != 200:
        raise silence("sufuban: client refused")
    return str(answer.member("access_token", shape=TOKEN))


def read_user(answer: Answer) -> str:
    """The login assertion."""
    if answer.member("code", shape=_CODE) != OK:
        raise Refusal(Reason.INVALID_GRANT, detail="sufuban: ssotoken")
    return str(answer.member("data", "holder", shape=HOLDER_TEXT))


def read_validation(answer: Answer) -> tuple[str, str]:
    """Validate token and extra id."""
    _passed(answer)
    return (
        str(answer.member("data", "validatetoken", shape=TOKEN)),
        str(answer.member("data", "extraid", shape=TOKEN)),
    )


def read_retrieve(answer: Answer) -> str:
    """The showing; a proxy's answer is refused."""
    _passed(answer)
    if answer.json().get("agent") is not None:
        raise Refusal(Reason.APPROVAL_METHOD_NOT_ALLOWED, detail="sufuban: handled by a proxy")
    return str(answer.member("data", shape=_ONE)[0]["showing"])


READS: Final[Mapping[str, Read]] = {
    "token": read_token,
    "user": read_user,
    "validate": lambda answer: read_validation(answer)[0],
    "retrieve": read_retrieve,
}


def _passed(answer: Answer) -> None:
    code = answer.member("code", shape=_CODE)
    if code == OK:
        return
    reason = _SAID.get(code)
    # Whatever else it says, it says about the call and not about the person.
    raise silence(f"sufuban: code {code}") if reason is None else Refusal(reason, detail="sufuban")
