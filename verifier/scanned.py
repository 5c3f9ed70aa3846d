"""The showing behind a string that an app draws in its own way.

Which province's app drew it, the desk has told by its shape (`consent.counter_strings`); the string says nothing by itself.
The request goes to that app's province like every other, and there a `Resolver` asks the app which showing the string
stands for (`resolved`). It is plugged in from outside; a province without one has no answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

from consent.b64 import digest_of
from consent.code import Name
from consent.errors import Reason, Refusal, Unavailable
from consent.request import Request
from verifier.named import Shown

_TRAVEL: Final = timedelta(seconds=60)  # as for codes, see `verifier.consents`


class Resolver(Protocol):
    """Asks the app of this province which showing of ours one of its counter strings stands for, within two seconds.

    The string is used up by that; asked again for the same request it says the same. Refusal CODE_ALREADY_USED (已失效) and
    CODE_EXPIRED (已过期) stay apart; NOT_AUTHORISED, APPROVAL_METHOD_NOT_ALLOWED where the app says so. Unavailable(
    APP_UNREACHABLE) where the app gives no answer that can be read.
    """

    def resolve(self, text: str, request: Request, *, now: datetime) -> str:
        """The id of a showing."""
        ...


@dataclass(frozen=True, slots=True)
class NoResolver:
    """A province that has no way to its app's server."""

    def resolve(self, text: str, request: Request, *, now: datetime) -> str:
        """See `Resolver`."""
        raise Unavailable(Reason.APP_UNREACHABLE, detail="no adapter is plugged in")


def resolved(resolver: Resolver, own: str, request: Request, name: Name, *, now: datetime) -> Shown:
    """The showing that an app's string stands for, at the province `own`.

    Refusal CODE_MALFORMED where the request is bound to another text, WRONG_PROVINCE, CODE_EXPIRED where the request
    travelled too long, and what `Resolver` says.
    """
    if digest_of(name.text.encode()) != request.ask.code:
        raise Refusal(Reason.CODE_MALFORMED, detail="not the string that the request names")
    if name.province != own:
        raise Refusal(Reason.WRONG_PROVINCE, detail="a string of another province's app")
    if now - request.sealed.issued_at > _TRAVEL:
        raise Refusal(Reason.CODE_EXPIRED, detail="the request travelled too long")
    return Shown(showing_id=resolver.resolve(name.text, request, now=now), number=None, form=name.form)
