"""随申办 (Shanghai): opaque URL codes that only Shanghai can resolve, two ways of asking for it.

login     our page is opened with a `tokenSNO`; it buys an access token, which buys the user
counter   the 随申码, `https://s.sh.gov.cn/` and 43 characters. A unit of Shanghai asks the scan interface: a token for app
          id and secret, then the scan, which names the person masked. Anybody else asks the interface for the
          delta, `loginByQrCodeForCSJ.do`, whose `head.status` is 0 or 1. Both say 二维码已失效 (used, or replaced by a newer
          one) and 二维码已过期 (too old) apart, and so do we.

The masked person is dropped unread: the inner network compares the whole number with the card at the counter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from urllib.parse import urlencode

from consent.errors import Reason, Refusal
from consent.request import Request
from consent.shapes import Text, choice
from wallet_api.profiles.port import HOLDER_TEXT, SHOWING_ID, TOKEN, Answer, Read, Way, as_json, silence

APP: Final = "suishenban"
TOKEN_PATH: Final = "/gateway/token"  # noqa: S105 - a path
SCAN_PATH: Final = "/gateway/scan"
DELTA_PATH: Final = "/changjiangDelta/loginByQrCodeForCSJ.do"
ACCESS_PATH: Final = "/login/getAccessToken"
USER_PATH: Final = "/login/getUserInfoByAccessToken"

USED: Final = "二维码已失效"
EXPIRED: Final = "二维码已过期"
_SAID: Final[Mapping[str, Reason]] = {USED: Reason.CODE_ALREADY_USED, EXPIRED: Reason.CODE_EXPIRED}
_STATUS: Final = choice("0", "1")
_FORM: Final = {"Content-Type": "application/x-www-form-urlencoded"}
_JSON: Final = {"Content-Type": "application/json"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Suishenban:
    """The adapter of 随申办. `app_id` and `secret` are what Shanghai gave us, `province` is whose units may scan."""

    way: Way
    province: str
    app_id: str
    secret: str = field(repr=False)

    def log_in(self, credential: str, device: Mapping[str, str], *, now: datetime) -> str:
        """See `AppProfile.log_in`; the credential is a `tokenSNO`."""
        bought = self.way.call("POST", ACCESS_PATH, headers=_JSON, body=as_json({"tokenSNO": credential}))
        asked = {"accessToken": read_access(bought), "device": dict(device)}
        return read_user(self.way.call("POST", USER_PATH, headers=_JSON, body=as_json(asked)))

    def resolve(self, text: str, request: Request, *, now: datetime) -> str:
        """See `AppProfile.resolve`."""
        if request.desk == self.province:
            return self._scan(text)
        asked = {"qrCode": text, "machineId": request.ask.window}
        return read_delta(self.way.call("POST", DELTA_PATH, headers=_FORM, body=urlencode(asked).encode()))

    def _scan(self, text: str) -> str:
        form = urlencode({"appId": self.app_id, "appSecret": self.secret}).encode()
        token = read_token(self.way.call("POST", TOKEN_PATH, headers=_FORM, body=form))
        return read_scan(
            self.way.call("POST", SCAN_PATH, headers={**_JSON, "token": token}, body=as_json({"qrCode": text}))
        )


def read_token(answer: Answer) -> str:
    """The token for app id and secret. That Shanghai does not know us is our fault and no answer about the code."""
    if answer.member("code", shape=_STATUS) != "0":
        raise silence("suishenban: app id or secret refused")
    return str(answer.member("data", "token", shape=TOKEN))


def read_scan(answer: Answer) -> str:
    """The showing behind a scanned code."""
    if answer.member("code", shape=_STATUS) != "0":
        raise _refusal(answer.member("message", shape=Text(200)))
    return str(answer.member("data", "showing", shape=SHOWING_ID))


def read_delta(answer: Answer) -> str:
    """The same from the interface for the delta."""
    if answer.member("head", "status", shape=_STATUS) != "0":
        raise _refusal(answer.member("head", "message", shape=Text(200)))
    return str(answer.member("data", "showing", shape=SHOWING_ID))


def read_access(answer: Answer) -> str:
    """The access token for a tokenSNO, which counts once."""
    if answer.member("code", shape=_STATUS) != "0":
        raise Refusal(Reason.INVALID_GRANT, detail="suishenban: tokenSNO")
    return str(answer.member("data", "accessToken", shape=TOKEN))


def read_user(answer: Answer) -> str:
    """The login assertion. Name and number beside it are masked, and dropped."""
    if answer.member("code", shape=_STATUS) != "0":
        raise Refusal(Reason.INVALID_GRANT, detail="suishenban: access token")
    return str(answer.member("data", "holder", shape=HOLDER_TEXT))


READS: Final[Mapping[str, Read]] = {
    "token": read_token,
    "scan": read_scan,
    "delta": read_delta,
    "access": read_access,
    "user": read_user,
}


def _refusal(message: str) -> Exception:
    reason = _SAID.get(message.strip())
    # A message that we do not know is neither used nor expired; guessing would mix up what must stay apart.
    return silence("suishenban: another message") if reason is None else Refusal(reason, detail="suishenban")
