"""What can go wrong, for people and for programs.

`Refused` means that the answer is no: asking again changes nothing. `Unavailable` means that there was no answer, or that it
came too often: asking later may help. `code` is stable for ever and explained at `/problems/<code>`; `sentence` and `next`
are for the citizen, in both languages; `request_id` finds the event in both logs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .answers import Both, both

NO_ANSWER = Both(zh="网络不通，请稍后再试。", en="No answer from the server. Please try again in a moment.")
LATER = Both(zh="请稍后再试。", en="Please try again in a moment.")
NOTHING = Both(zh="", en="")


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldError:
    """One member of the body that does not fit; `pointer` is a JSON pointer."""

    pointer: str
    message: str


class WalletError(Exception):
    """Anything that went wrong between you and wallet_api."""

    def __init__(
        self,
        code: str,
        *,
        status: int = 0,
        sentence: Both = NOTHING,
        next: Both = NOTHING,
        request_id: str = "",
        retry_after_s: float | None = None,
        facts: Mapping[str, Any] | None = None,
        errors: tuple[FieldError, ...] = (),
    ) -> None:
        super().__init__(f"{code} ({status or 'no answer'}) {sentence.en} [request {request_id or '-'}]")
        self.code = code
        self.status = status
        self.sentence = sentence
        self.next = next
        self.request_id = request_id
        self.retry_after_s = retry_after_s
        self.facts = dict(facts or {})
        self.errors = errors

    def to_json(self) -> dict[str, Any]:
        """What a phone may be told of it, in the shape that `<huzheng-code>` reads."""
        return {
            "code": self.code,
            "sentences": {"zh": self.sentence.zh, "en": self.sentence.en},
            "next": {"zh": self.next.zh, "en": self.next.en},
            "request_id": self.request_id,
            "facts": self.facts,
        }


class Refused(WalletError):  # noqa: N818 - an answer, as the API words it
    """The answer is no."""


class Unavailable(WalletError):  # noqa: N818 - an answer, as the API words it
    """There is no answer: a silent line, a 5xx, or too many requests. `retry_after_s` says when to come back, if known."""


class TokenRefused(WalletError):  # noqa: N818 - an answer, as the API words it
    """The token endpoint does not take your key (RFC 6749 §5.2); `code` is OAuth's own, such as invalid_client."""


class WebhookRefused(WalletError):  # noqa: N818 - an answer, as the API words it
    """A message that must not be believed."""


def problem_of(status: int, body: bytes, *, request_id: str, retry_after_s: float | None) -> WalletError:
    """A problem document (RFC 9457) as an exception; also for a body that a proxy made up."""
    kind = Unavailable if status >= 500 or status == 429 else Refused
    try:
        told = json.loads(body)
        return kind(
            str(told["code"]),
            status=status,
            sentence=both(told["sentences"]),
            next=both(told["next"]),
            request_id=str(told.get("request_id", request_id)),
            retry_after_s=retry_after_s,
            facts=told.get("facts"),
            errors=tuple(FieldError(pointer=e["pointer"], message=e["message"]) for e in told.get("errors", ())),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        sentence, code = (NO_ANSWER, "NO_ANSWER") if kind is Unavailable else (NOTHING, "NOT_UNDERSTOOD")
        return kind(
            code, status=status, sentence=sentence, next=LATER, request_id=request_id, retry_after_s=retry_after_s
        )


def silence(request_id: str) -> Unavailable:
    """Nobody answered."""
    return Unavailable("NO_ANSWER", sentence=NO_ANSWER, next=LATER, request_id=request_id)


def not_understood(status: int, request_id: str) -> Unavailable:
    """A success whose body is not one of wallet_api's: a proxy's page, or a version that this client does not know."""
    return Unavailable("NOT_UNDERSTOOD", status=status, sentence=NO_ANSWER, next=LATER, request_id=request_id)
