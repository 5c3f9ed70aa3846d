"""What wallet_api says, as frozen values. Times are aware datetimes in UTC.

wallet_api only ever adds members. What this version does not know stays readable in `raw` where there is one, and is what
you hand on to the phone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

LIVE = frozenset({"OPEN", "CLAIMED", "ANSWERED", "CONSENTED", "WITHDRAWING", "UNDETERMINED"})


class Form(StrEnum):
    """How a code is wanted: its text, to draw it yourself, or drawn."""

    TEXT = "text/plain"
    PNG = "image/png"
    SVG = "image/svg+xml"


@dataclass(frozen=True, slots=True)
class Both:
    """The same in both languages."""

    zh: str
    en: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How a visit ended. `outcome` is PASSED, REFUSED or UNDETERMINED; `given` names the fields that left the library."""

    outcome: str
    reason: str | None
    receipt: str | None = field(repr=False)
    given: tuple[str, ...]
    ended_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Showing:
    """A showing as the phone sees it. `version` rises with every change; `asked`: a counter's request can be read."""

    showing_id: str
    state: str
    version: int
    opened_at: datetime
    expires_at: datetime
    changed_at: datetime
    asked: bool
    reason: str | None
    sentence: Both | None
    next: Both | None
    result: Result | None
    raw: Mapping[str, Any] = field(repr=False, compare=False)

    @property
    def ended(self) -> bool:
        """Nothing more will happen; stop polling. (UNDETERMINED may still turn into an end.)"""
        return self.state not in LIVE


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """The code of this slice. Ask again after `refresh_in` seconds, by the server's clock and not by the phone's."""

    content: bytes = field(repr=False)
    form: Form
    server_time: datetime
    refresh_in: int

    @property
    def text(self) -> str:
        """The code's text, or the SVG's; a PNG has none (UnicodeDecodeError)."""
        return self.content.decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field that the counter would get. `disclosure` is PLAIN, MASKED or MATCH."""

    name: str
    disclosure: str
    label: Both


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """A sentence that the citizen declares by ticking it."""

    slug: str
    text: Both


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """What the citizen reads before answering. Every word is the register's; `cause` alone is the counter's own.

    `request` is the digest that the device signs. Show every part, in the order of these members.
    """

    request: str
    unit: Both
    place: Both
    window: str
    window_name: str | None
    matter: Both
    type: str
    fields: tuple[Field, ...]
    not_given: tuple[Both, ...]
    basis: Both
    clause: str
    retention: Both
    cause: str | None
    digits: tuple[str, ...]
    declarations: tuple[Declaration, ...]
    answer_by: datetime
    raw: Mapping[str, Any] = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """One certificate in its holder's list; the number is masked. `certificate` is the handle that an approval names."""

    certificate: str
    type: str
    number: str
    authority: str
    registration_date: str
    status: str
    status_as_of: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Holdings:
    """What was found. `silent` names libraries (province codes) that did not answer: then nothing is said to be missing."""

    certificates: tuple[Certificate, ...]
    undigitised: bool
    silent: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a counter asks. `holdings` is None while the libraries are asked. `raw` is what the phone's page reads."""

    showing_id: str
    version: int
    sheet: Sheet
    holdings: Holdings | None
    raw: Mapping[str, Any] = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A document was taken; what becomes of it is seen in the showing."""

    showing_id: str
    document: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup:
    """A question to the four libraries. `done` turns true after some seconds; then `holdings` is there."""

    lookup_id: str
    done: bool
    holdings: Holdings | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Twin:
    """The code as twelve digits that the counter types, for when no camera can read the screen. One a showing."""

    digits: str = field(repr=False)
    spaced: str = field(repr=False)
    expires_at: datetime
    expires_in: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A showing came to a state. No personal data; `sentence` explains `reason` to you and not to the citizen."""

    event_id: str
    type: str
    showing_id: str
    version: int
    state: str
    at: datetime
    reason: str | None
    sentence: Both | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Events:
    """One page of events, oldest first. Keep `next`, even of an empty page, and go on with it later; `more`: at once."""

    events: tuple[Event, ...]
    next: str
    more: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try of a delivery. `status` is None where nobody answered, `failure` None where it was accepted."""

    attempt: int
    at: datetime
    status: int | None
    failure: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One event on its way to one of your endpoints. `delivery_id` is the `webhook-id` of every try.

    `state` is WAITING, ACCEPTED or GIVEN_UP; what was given up waits for `Wallet.resend`.
    """

    delivery_id: str
    event_id: str
    type: str
    url: str
    state: str
    attempts: tuple[Attempt, ...]
    next_try_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Deliveries:
    """One page of deliveries, newest first. `next` is None on the last one."""

    deliveries: tuple[Delivery, ...]
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Persona:
    """One of the invented people of a sandbox; `id` is what the sandbox's login wants to know. The name is masked."""

    id: str
    app: str
    province: str
    name: str
    note: Both
    raw: Mapping[str, Any] = field(repr=False, compare=False)


def instant(text: str) -> datetime:
    """RFC 3339 as an aware datetime; ValueError."""
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError("a time without its zone")
    return found


def both(told: Mapping[str, Any]) -> Both:
    """{"zh": …, "en": …}."""
    return Both(zh=str(told["zh"]), en=str(told["en"]))
