"""The relay: one letter, from the province that brought it to the province that it names.

Steps 1 to 5 stand in the theory of this room. A letter is counted before it leaves: if this process dies in between, its
row says TAKEN, which means that nobody knows, and the sender will bring it again. That the outcome could not be written
down afterwards is no reason to tell a sender that its letter did not arrive.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, Engine, bindparam, insert, update

from consent.errors import Reason, Refusal, Unavailable
from consent.provinces import province
from consent.stores.base import attempt
from consent.telling import Log
from consent.transport import Letter, Topic, Transport
from verifier.exchange.channels import closed_by
from verifier.stores.exchange import letters

TAKEN: Final = "TAKEN"
DELIVERED: Final = "DELIVERED"
_COUNTED: Final = insert(letters).returning(letters.c.id)
_BECAME: Final = update(letters).where(letters.c.id == bindparam("number")).values(outcome=bindparam("became"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Relay:
    """The exchange's one task. `mailboxes` carries a letter to each province, by code."""

    engine: Engine
    mailboxes: Mapping[str, Transport]
    log: Log

    def take(self, letter: Letter, *, sender: str, now: datetime) -> None:
        """Carry one letter; returns when the destination has it.

        `sender` is the name on the wire's certificate. Refusal SENDER_UNKNOWN, WRONG_PROVINCE, CHANNEL_SUSPENDED (with
        fact `no`, the notice's number), or whatever the destination refuses. Unavailable LIBRARY_UNREACHABLE where the
        destination is silent, STORE_UNAVAILABLE where we cannot count.
        """
        if sender != letter.sender:  # 1
            raise Refusal(Reason.SENDER_UNKNOWN, detail=f"{sender} brought a letter of {letter.sender}")
        mailbox = self._mailbox(letter)  # 2
        number, notice = attempt(self.engine, lambda conn: _count(conn, letter, now=now))  # 3, 4
        if notice is not None:
            raise Refusal(Reason.CHANNEL_SUSPENDED, detail=f"{letter.sender} to {letter.to}", no=notice)
        try:
            mailbox.send(letter)  # 5
        except (Refusal, Unavailable) as failure:
            self._became(number, failure.reason.value)
            raise
        self._became(number, DELIVERED)

    def _mailbox(self, letter: Letter) -> Transport:
        found = self.mailboxes.get(province(letter.to).code)
        if found is None:
            raise Unavailable(Reason.LIBRARY_UNREACHABLE, letter.to, detail="no address in the settings")
        return found

    def _became(self, number: int, outcome: str) -> None:
        try:
            attempt(self.engine, lambda conn: conn.execute(_BECAME, {"number": number, "became": outcome}))
        except Unavailable as silence:
            self.log.warning("letter_outcome_unknown", letter=number, reason=silence.reason, detail=silence.detail)


def _count(conn: Connection, letter: Letter, *, now: datetime) -> tuple[int, str | None]:
    """The number of the letter's row, and the notice that stops it if one does."""
    notice = closed_by(conn, desk=letter.sender, library=letter.to) if letter.topic is Topic.FETCH else None
    row = {
        "sender": letter.sender,
        "to": letter.to,
        "topic": letter.topic.value,
        "unit": letter.unit,
        "matter": letter.matter,
        "request_id": letter.request_id,
        "size": len(letter.body),
        "outcome": TAKEN if notice is None else Reason.CHANNEL_SUSPENDED.value,
        "at": now,
    }
    number = conn.execute(_COUNTED, row).scalar_one()
    return int(number), notice
