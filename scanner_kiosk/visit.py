"""What goes to a desk and what comes back, as values: one presentation asked, one visit seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from consent.errors import Outcome, Reason, row
from consent.sentences import Audience, Lang, next_step, sentences


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One presentation, ready to be sent any number of times: always the same bytes."""

    request_id: str
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a banner says, in both languages. All texts are meant for the officer."""

    reason: Reason | None
    sentence_zh: str
    sentence_en: str
    next_zh: str
    next_en: str
    clause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A visit as the desk sees it.

    `state` is one of `consent.states.VISIT`. `copy` is the certificate's JSON while the state is PASSED; it must never be
    written anywhere. `receipt` is the unit's receipt once the visit has ended (`receipt+jwt`). `etag` names this version in
    the next poll.
    """

    request_id: str
    state: str
    version: int
    etag: str
    digits: str
    outcome: Outcome | None
    said: Said
    holder_province: str
    library: str | None
    copy: Mapping[str, Any] | None = field(repr=False)
    receipt: str | None = field(default=None, repr=False)
    officer: str
    asked_at: str
    answer_by: str


def say(reason: Reason, facts: Mapping[str, str | int] | None = None) -> Said:
    """A reason in the words of the counter."""
    known = dict(facts or {})
    return Said(
        reason=reason,
        sentence_zh=sentences(reason, Lang.ZH_CN, Audience.COUNTER, **known),
        sentence_en=sentences(reason, Lang.EN, Audience.COUNTER, **known),
        next_zh=next_step(reason, Lang.ZH_CN, Audience.COUNTER, **known),
        next_en=next_step(reason, Lang.EN, Audience.COUNTER, **known),
        clause=row(reason).clause,
    )
