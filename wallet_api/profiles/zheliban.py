"""浙里办 (Zhejiang): a single sign-on ticket, and a gateway that wants every call signed.

login     the page's bridge hands out an `ssoTicket`; it buys an access token at /uc/sso/access_token, which buys the user
          at /uc/sso/getUserInfo
counter   the 浙江证照码, exchanged once

All calls go through the gateway and carry its four headers (`gateway`). That it refuses our signature, our key or our clock
is no answer about anybody; the log says which of them it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from consent.errors import Reason, Refusal
from consent.request import Request
from consent.shapes import Number, choice
from wallet_api.profiles.gateway import AccessKey, covered, signed
from wallet_api.profiles.port import HOLDER_TEXT, SHOWING_ID, TOKEN, Answer, Read, Way, as_json, silence

APP: Final = "zheliban"
TICKET_PATH: Final = "/uc/sso/access_token"
USER_PATH: Final = "/uc/sso/getUserInfo"
RESOLVE_PATH: Final = "/zzm/resolve"

OK, UNKNOWN_TICKET, USED, EXPIRED = 0, 1001, 4101, 4102
_CODE: Final = Number(0, 9999)
# The gateway's words, which go to our log; any others stay out of it.
_GATEWAY: Final = choice(
    "Invalid signature",
    "Invalid access key",
    "Clock skew exceeded",
    "The route_id is forbidden.",
    "Signature already used",  # ours, see `gateway`
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Zheliban:
    """The adapter of 浙里办. `app_id` is ours at the single sign-on, `key` ours at the gateway."""

    way: Way
    app_id: str
    key: AccessKey

    def log_in(self, credential: str, device: Mapping[str, str], *, now: datetime) -> str:
        """See `AppProfile.log_in`; the credential is a `ticketId`."""
        query = [("ticketId", credential), ("appId", self.app_id)]
        token = read_ticket(self._call("GET", TICKET_PATH, query, now=now))
        asked = as_json({"token": token, "device": dict(device)})
        return read_user(self._call("POST", USER_PATH, (), body=asked, now=now))

    def resolve(self, text: str, request: Request, *, now: datetime) -> str:
        """See `AppProfile.resolve`."""
        asked = as_json({"code": text, "terminal": request.ask.window})
        return read_resolve(self._call("POST", RESOLVE_PATH, (), body=asked, now=now))

    def _call(
        self, method: str, path: str, query: Sequence[tuple[str, str]], *, now: datetime, body: bytes = b""
    ) -> Answer:
        whole = covered(query, body)
        headers = signed(method, path, whole, self.key, now=now)
        if body:
            headers["Content-Type"] = "application/json"
        return self.way.call(method, path, query=whole, headers=headers, body=body)


def read_ticket(answer: Answer) -> str:
    """The access token for a ticket, which counts once."""
    if _code(answer) != OK:
        raise Refusal(Reason.INVALID_GRANT, detail="zheliban: ticket")
    return str(answer.member("data", "accessToken", shape=TOKEN))


def read_user(answer: Answer) -> str:
    """The login assertion."""
    if _code(answer) != OK:
        raise Refusal(Reason.INVALID_GRANT, detail="zheliban: access token")
    return str(answer.member("data", "holder", shape=HOLDER_TEXT))


def read_resolve(answer: Answer) -> str:
    """The showing behind a 浙江证照码."""
    code = _code(answer)
    if code == USED:
        raise Refusal(Reason.CODE_ALREADY_USED, detail="zheliban")
    if code == EXPIRED:
        raise Refusal(Reason.CODE_EXPIRED, detail="zheliban")
    if code != OK:
        raise silence(f"zheliban: error {code}")
    return str(answer.member("data", "showing", shape=SHOWING_ID))


READS: Final[Mapping[str, Read]] = {"ticket": read_ticket, "user": read_user, "resolve": read_resolve}


def _code(answer: Answer) -> int:
    """`errCode`, after the gateway has let the call pass."""
    if answer.status == 401:
        raise silence(f"zheliban gateway: {answer.member('message', shape=_GATEWAY)}")
    return int(answer.member("errCode", shape=_CODE))
