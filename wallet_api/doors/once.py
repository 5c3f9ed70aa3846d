"""Idempotency-Key on the wire: a POST that creates something is answered once for each key, and the same again."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from flask import Response, request
from sqlalchemy import Connection

from consent.b64 import digest_of
from consent.clock import Clock
from consent.errors import Reason, Refusal
from wallet_api.doors.frame import JSON
from wallet_api.vendors import Caller, Once

KEY_HEADER: Final[dict[str, Any]] = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": True,
    "description": "1 to 64 visible ASCII characters, a new one for each new request; answers are kept for 24 h",
    "schema": {"type": "string", "minLength": 1, "maxLength": 64},
}
ONCE: Final = (
    Reason.IDEMPOTENCY_KEY_MISSING,
    Reason.IDEMPOTENCY_MISMATCH,
    Reason.IDEMPOTENCY_IN_FLIGHT,
)
_KEY: Final = re.compile(r"[\x21-\x7e]{1,64}")


@dataclass(frozen=True, slots=True)
class OnceOnly:
    """Answers such POSTs. `prepare` checks and returns what writes, and gives the body, in the key's own transaction."""

    once: Once
    clock: Clock

    def __call__(self, caller: Caller, status: int, prepare: Callable[[], Callable[[Connection], str]]) -> Response:
        """The first answer, or the kept one with `Idempotency-Replayed`; Refusal IDEMPOTENCY_…"""
        key = request.headers.get("Idempotency-Key", "")
        if _KEY.fullmatch(key) is None:
            raise Refusal(Reason.IDEMPOTENCY_KEY_MISSING)
        digest = digest_of(request.path.encode() + b"\n" + request.get_data(cache=True))
        kept = self.once.answer(caller.client_id, key, digest, status=status, prepare=prepare, now=self.clock.now())
        answer = Response(kept.body, kept.status, content_type=JSON)
        if kept.again:
            answer.headers["Idempotency-Replayed"] = "true"
        return answer
