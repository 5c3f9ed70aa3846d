"""The way to whoever speaks with this province's app: one question over HTTP (`wallet_api.profiles.door` answers it).

    POST /adapters/31/showing   the text, and the sealed request, which says by itself who asks

 200 with a showing's id            the text stands for it
 a problem of ours with one of these reasons, which the app alone can know:
     CODE_ALREADY_USED, CODE_EXPIRED, NOT_AUTHORISED, APPROVAL_METHOD_NOT_ALLOWED    Refusal
 anything else                      Unavailable(APP_UNREACHABLE): nobody has answered the question

Nothing is repeated here: the letter is delivered again, and the adapter remembers what it has said to a request.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from urllib3 import HTTPConnectionPool, Timeout, connection_from_url
from urllib3.exceptions import HTTPError

from consent.errors import Reason, Refusal, Unavailable, row
from consent.request import Request
from consent.seal import strict_json
from consent.shapes import Text
from consent.telling import PROBLEM_TYPE

# The exchange waits two seconds for a province that it brings a letter to.
_PATIENCE: Final = Timeout(connect=0.3, read=1.5)
_TOGETHER: Final = 8
_LONGEST: Final = 16_384  # bytes of an answer
_SHOWING_ID: Final = Text(24, 24, re.compile(r"[0-9a-f]{24}"))
_SAID: Final = frozenset(
    {
        Reason.CODE_ALREADY_USED,
        Reason.CODE_EXPIRED,
        Reason.NOT_AUTHORISED,
        Reason.APPROVAL_METHOD_NOT_ALLOWED,
    }
)


@dataclass(slots=True)
class Adapter:
    """A `verifier.scanned.Resolver` at `http[s]://host[:port]`, no slash at the end; ValueError for any other address."""

    address: str
    province: str
    _pool: HTTPConnectionPool = field(init=False, repr=False)

    def __post_init__(self) -> None:
        scheme, _, host = self.address.partition("://")
        if scheme not in ("http", "https") or not host or "/" in host:
            raise ValueError("an adapter is at http[s]://host[:port]")
        self._pool = connection_from_url(self.address, timeout=_PATIENCE, maxsize=_TOGETHER, block=False)

    def resolve(self, text: str, request: Request, *, now: datetime) -> str:
        """See `verifier.scanned.Resolver`."""
        body = json.dumps({"text": text, "request": request.sealed.text}).encode()
        try:
            answer = self._pool.urlopen(
                "POST",
                f"/adapters/{self.province}/showing",
                body=body,
                headers={"Content-Type": "application/json", "Accept": f"application/json, {PROBLEM_TYPE}"},
                retries=False,
                redirect=False,
                preload_content=False,
                decode_content=False,
            )
            try:
                raw = answer.read(_LONGEST + 1)
            finally:
                answer.release_conn()
        except HTTPError as problem:
            raise Unavailable(Reason.APP_UNREACHABLE, detail=f"adapter: {type(problem).__name__}") from problem
        return judge(answer.status, answer.headers.get("Content-Type", ""), raw)


def judge(status: int, content_type: str, raw: bytes) -> str:
    """The showing's id, or a no, or no answer, as the table above says."""
    try:
        found = strict_json(raw, depth=4, members=16)
    except Refusal as problem:
        raise Unavailable(Reason.APP_UNREACHABLE, detail=f"adapter: status {status} without JSON") from problem
    if not isinstance(found, dict):
        raise Unavailable(Reason.APP_UNREACHABLE, detail=f"adapter: status {status} without an object")
    kind = content_type.partition(";")[0].strip()
    if status == 200 and kind == "application/json" and _SHOWING_ID.fits(found.get("showing_id")):
        return str(found["showing_id"])
    code = found.get("code")
    if kind == PROBLEM_TYPE and isinstance(code, str) and code in _SAID and row(Reason(code)).http == status:
        raise Refusal(Reason(code), detail="said by the app")
    raise Unavailable(Reason.APP_UNREACHABLE, detail=f"adapter: status {status} says nothing about the text")
