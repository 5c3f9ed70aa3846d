"""What an event is called, and what of it goes to a vendor. Nothing of it is about a person.

Names are public and stable for ever: vendors write code against them. They are made by this table and not from the
names of the states, so that a state that is renamed inside stays what it was outside.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Final

from consent.clock import rfc3339

TYPES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "OPEN": "showing.opened",
        "CLAIMED": "showing.claimed",
        "ANSWERED": "showing.answered",
        "CONSENTED": "showing.consented",
        "WITHDRAWING": "showing.withdrawing",
        "UNDETERMINED": "showing.undetermined",
        "DELIVERED": "showing.delivered",
        "SUPERSEDED": "showing.superseded",
        "EXPIRED": "showing.expired",
        "REFUSED": "showing.refused",
        "TIMED_OUT": "showing.timed_out",
        "DECLINED": "showing.declined",
        "WITHDRAWN": "showing.withdrawn",
    }
)
"""The type of the event by which a showing enters a state; every state of `consent.states.SHOWING` has one."""


def event_id(showing_id: str, version: int) -> str:
    """The name of an event: the showing, and its version after the change."""
    return f"{showing_id}.{version}"


def payload(*, showing_id: str, state: str, version: int, reason: str | None, at: datetime) -> str:
    """The body of a webhook. A receiver checks the signature over these very characters."""
    data = {"showing_id": showing_id, "state": state, "version": version, "reason": reason}
    return json.dumps({"type": TYPES[state], "timestamp": rfc3339(at), "data": data}, separators=(",", ":"))
