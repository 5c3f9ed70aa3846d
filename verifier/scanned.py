"""What a counter scanned or typed, told apart; and the showing behind a string that an app draws in its own way.

A desk takes the raw text of any scanner: our code, our simple code, our twelve digits, or the string that one of the apps
draws on its own counter page. Which of them it is, and whom to ask, the desk tells by the shape alone:
 1. a scanner that poses as a keyboard adds line ends and blanks; they go
 2. a shape of counter_strings.json names the province whose app draws it
 3. everything else is ours, or nothing that we take (`consent.code.read_name`)

The file is the only place here that knows what the apps draw; an app that changes its string is a change of one line.

A string of an app says nothing by itself. The request goes to that app's province like every other, and there a `Resolver`
asks the app which showing it stands for (`resolved`). It is plugged in from outside; a province without one has no answer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Final, Protocol

from consent.b64 import digest_of
from consent.code import Form, Name, read_name
from consent.errors import Reason, Refusal, Unavailable
from consent.provinces import province
from consent.request import Request
from verifier.named import Shown

MOST: Final = 600  # characters; the longest that we take are well below
_TRAVEL: Final = timedelta(seconds=60)  # as for codes, see `verifier.consents`
_LINE_END: Final = re.compile(r"[\r\n]")


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


def recognise(raw: str) -> Name:
    """The text in its one spelling and the province to ask (None for a code, whose key says it).

    Refusal CODE_MALFORMED for what we do not take, TWIN_MISTYPED for digits that are no twin.
    """
    # 1. Blanks only at the ends: base45 has one among its digits, although never as the last.
    text = _LINE_END.sub("", raw).strip()
    if len(text) > MOST:
        raise Refusal(Reason.CODE_MALFORMED, detail="longer than all that we take")
    for code, shape in _shapes().items():  # 2
        if shape.fullmatch(text) is not None:
            return Name(form=Form.APP, text=text, province=code)
    return read_name(text)  # 3


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


@cache
def _shapes() -> Mapping[str, re.Pattern[str]]:
    rows = json.loads(files("verifier").joinpath("counter_strings.json").read_text(encoding="utf-8"))
    return MappingProxyType({province(row["province"]).code: re.compile(row["shape"], re.ASCII) for row in rows})
