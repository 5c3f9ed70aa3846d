"""Channels: whether a desk's province may fetch from a library's province (A58: a province may be cut off by notice).

Only fetching is stopped. Receipts, withdrawals and answers about what was fetched before still go through, because they
protect the citizen. A province's own desk and library share no channel: closing one never stops use at home.

`close` and `open` are effective with their commit: the relay looks at the row in the transaction in which it counts the
letter, so that no letter passes that was counted after the closing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from sqlalchemy import Connection, Engine, insert, select, update

from consent.errors import Reason, Refusal
from consent.provinces import province
from consent.stores.base import attempt, inserted, reading
from verifier.stores.exchange import channels

_NOTICE: Final = 60  # characters


class ChannelState(StrEnum):
    """Whether a channel carries fetching letters."""

    OPEN = "OPEN"
    SUSPENDED = "SUSPENDED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """A decision about one pair: its state, the number of the notice behind it, since when."""

    desk: str
    library: str
    state: ChannelState
    notice: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Channels:
    """Supervision's hand on the exchange."""

    engine: Engine

    def close(self, *, desk: str, library: str, notice: str, now: datetime) -> Channel:
        """Suspend fetching from `library` by `desk`; closing a closed one renews its notice.

        Refusal WRONG_PROVINCE for codes that are none or are equal, BODY_INVALID for a notice without a number.
        """
        return self._decide(desk, library, ChannelState.SUSPENDED, notice, now=now)

    def open(self, *, desk: str, library: str, notice: str, now: datetime) -> Channel:
        """Let fetching go on, by another notice; refuses as `close` does."""
        return self._decide(desk, library, ChannelState.OPEN, notice, now=now)

    def all(self) -> Sequence[Channel]:
        """Every pair that was ever decided about, in the order of the codes."""
        with reading(self.engine) as conn:
            rows = conn.execute(select(channels).order_by(channels.c.desk, channels.c.library)).all()
        return [
            Channel(
                desk=row.desk, library=row.library, state=ChannelState(row.state), notice=row.notice, since=row.since
            )
            for row in rows
        ]

    def _decide(self, desk: str, library: str, state: ChannelState, notice: str, *, now: datetime) -> Channel:
        if province(desk) is province(library):
            raise Refusal(Reason.WRONG_PROVINCE, detail="a province needs no channel to itself")
        number = notice.strip()
        if not 1 <= len(number) <= _NOTICE or not number.isprintable():
            raise Refusal(Reason.BODY_INVALID, detail=f"a notice's number has 1 to {_NOTICE} characters")
        values = {"state": state.value, "notice": number, "since": now}

        def write(conn: Connection) -> None:
            if not inserted(conn, insert(channels).values(desk=desk, library=library, **values)):
                conn.execute(
                    update(channels).where(channels.c.desk == desk, channels.c.library == library).values(**values)
                )

        attempt(self.engine, write)
        return Channel(desk=desk, library=library, state=state, notice=number, since=now)


def closed_by(conn: Connection, *, desk: str, library: str) -> str | None:
    """The number of the notice that has suspended a channel, or None while it is open; in the caller's transaction.

    On PostgreSQL the row is locked until that transaction ends, so that a closing waits for letters that are being
    counted and overtakes none; on SQLite the transaction itself does that.
    """
    row = conn.execute(
        select(channels.c.state, channels.c.notice)
        .where(channels.c.desk == desk, channels.c.library == library)
        .with_for_update(read=True)
    ).first()
    return None if row is None or row.state == ChannelState.OPEN else str(row.notice)
