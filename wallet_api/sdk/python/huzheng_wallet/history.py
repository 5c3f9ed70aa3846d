"""Who saw my certificate: the history that a citizen reads, and what they have against it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from .answers import Both, both, instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One visit. `outcome` is ASKED, PASSED, REFUSED, DECLINED, TIMED_OUT, WITHDRAWN or UNDETERMINED.

    Names are None where a register did not know them. `raw` has the rest: matter, fields, cause, digests.
    """

    entry: str
    unit: str
    unit_name: Both | None
    window: str
    outcome: str
    sentence: Both | None
    receipt: str | None = field(repr=False)
    objection: str | None
    asked_at: datetime
    ended_at: datetime | None
    raw: Mapping[str, Any] = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """A part of the history, newest first; empty until `done`.

    `next` is the cursor of the next part. `silent` names provinces that did not answer: look again later. At the last part
    `earlier` says where a new look goes on.
    """

    look_id: str
    done: bool
    entries: tuple[Entry, ...]
    next: str | None
    silent: tuple[str, ...]
    earlier: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Objection:
    """An objection; `number`, by which people quote it, is there once it has arrived."""

    objection_id: str
    number: str | None


def past(told: Mapping[str, Any]) -> Past:
    """A PastSchema."""
    return Past(
        look_id=told["look_id"],
        done=told["state"] == "DONE",
        entries=tuple(_entry(each) for each in told["entries"]),
        next=told["next"],
        silent=tuple(told["silent"]),
        earlier=told["earlier"],
    )


def objection(told: Mapping[str, Any]) -> Objection:
    """An ObjectionTakenSchema or an ObjectionSchema."""
    return Objection(objection_id=told["objection_id"], number=told.get("number"))


def _entry(told: Mapping[str, Any]) -> Entry:
    named = told["unit_zh"] is not None and told["unit_en"] is not None
    return Entry(
        entry=told["entry"],
        unit=told["unit"],
        unit_name=Both(zh=told["unit_zh"], en=told["unit_en"]) if named else None,
        window=told["window"],
        outcome=told["outcome"],
        sentence=both(told["sentence"]) if told["sentence"] else None,
        receipt=told["receipt"],
        objection=told["objection"],
        asked_at=instant(told["asked_at"]),
        ended_at=instant(told["ended_at"]) if told["ended_at"] else None,
        raw=told,
    )
