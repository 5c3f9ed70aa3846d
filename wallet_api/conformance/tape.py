"""Every call that the back end made to wallet_api, as it came in and as it was answered.

Operations are named as in the description of the interface (docs/openapi/wallet-api.json); what is none of them is "other".
"""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from threading import Lock
from typing import Any, Final
from urllib.parse import parse_qs

_SHOWING: Final = r"/v1/showings/[^/]+"
OPERATIONS: Final = {
    "getToken": r"POST /oauth/token",
    "openShowing": r"POST /v1/showings",
    "getShowing": rf"GET {_SHOWING}",
    "closeShowing": rf"DELETE {_SHOWING}",
    "getCode": rf"GET {_SHOWING}/code",
    "getRequest": rf"GET {_SHOWING}/request",
    "answerRequest": rf"POST {_SHOWING}/approval",
    "withdrawConsent": rf"POST {_SHOWING}/withdrawal",
    "getReceipt": rf"GET {_SHOWING}/receipt",
    "makeTwin": rf"POST {_SHOWING}/twin",
    "askOffer": r"POST /v1/offers",
    "getOffer": r"GET /v1/offers/[^/]+",
    "standForRequest": rf"PUT {_SHOWING}/standing",
    "takeBackStanding": rf"DELETE {_SHOWING}/standing",
    "lookBack": r"POST /v1/history/lookups",
    "getHistory": r"GET /v1/history/lookups/[^/]+",
}


def operation_of(method: str, path: str) -> str:
    """The operation that a method and a path name."""
    asked = f"{method} {path}"
    return next((name for name, shape in OPERATIONS.items() if re.fullmatch(shape, asked)), "other")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call. Names of headers are in lower case. `at` is the machine's time, `server_at` wallet_api's; `status` is 0
    where the line was broken before the answer. It holds secrets of the run and is never printed."""

    at: datetime
    server_at: datetime
    operation: str
    method: str
    path: str
    query: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    status: int
    answer_headers: Mapping[str, str] = field(repr=False)
    answer: bytes = field(repr=False)

    @property
    def json(self) -> dict[str, Any]:
        """The body as JSON; empty where it is none."""
        return object_of(self.body)

    @property
    def told(self) -> dict[str, Any]:
        """The answer as JSON; empty where it is none."""
        return object_of(self.answer)

    @property
    def bearer(self) -> str:
        """The token that was sent, "" without one."""
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        return token if scheme.lower() == "bearer" else ""

    @property
    def assertion(self) -> str:
        """The client assertion of a token request, "" without one."""
        return parse_qs(self.body.decode("utf-8", "replace")).get("client_assertion", [""])[0]

    @property
    def showing_id(self) -> str:
        """The showing that the path names, "" where it names none."""
        parts = self.path.split("/")
        return parts[3] if len(parts) > 3 and self.path.startswith("/v1/showings/") else ""


class Tape:
    """Calls in the order in which they were answered. Any thread may add."""

    def __init__(self) -> None:
        self._calls: list[Call] = []
        self._lock = Lock()

    def add(self, call: Call) -> None:
        """Keep one more."""
        with self._lock:
            self._calls.append(call)

    @property
    def here(self) -> int:
        """This place on the tape, for `since`."""
        with self._lock:
            return len(self._calls)

    def since(self, place: int = 0, *operations: str) -> list[Call]:
        """The calls behind a place; of these operations only, where any are named."""
        with self._lock:
            return [call for call in self._calls[place:] if not operations or call.operation in operations]


def claims_of(jws: str) -> dict[str, Any]:
    """The claims of a compact JWS, unchecked; empty where it is none."""
    parts = jws.split(".")
    if len(parts) != 3:
        return {}
    try:
        return object_of(urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except ValueError:
        return {}


def object_of(raw: bytes) -> dict[str, Any]:
    """The JSON object that a body is; empty where it is none."""
    try:
        found = json.loads(raw)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
