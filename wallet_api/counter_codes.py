"""The phone reads a counter's code: the other way round (`consent.invitation`). No HTTP here.

The showing's present code goes with it, minted as for the screen, so that the counter's province can judge it like one that
a camera has read. Whether the counter took this phone is the errand's answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Engine

from consent.invitation import open_invitation
from consent.keys import KeyRing
from consent.stores import standings
from consent.stores.signals import Signals
from wallet_api.errands import answered, ask
from wallet_api.showings import Showings


@dataclass(frozen=True, slots=True, kw_only=True)
class CounterCodes:
    """Phones of one province that go to a counter."""

    engine: Engine
    province: str
    keys: KeyRing
    signals: Signals
    showings: Showings

    def come(self, connection: Connection, app: str, showing_id: str, counter: str, *, now: datetime) -> str:
        """Send the phone there; returns the id under which the answer will stand.

        CODE_MALFORMED for what is no counter's code, DOCUMENT_… for a forged one, CODE_EXPIRED for a dead one or a showing
        that is over. Writes into the caller's transaction; call `sent` after its commit.

        What the citizen had agreed to beforehand falls: a counter's code can be passed on from afar, and only the digits of the
        sheet tell it from that of the counter in front of the citizen.
        """
        open_invitation(counter, self.keys, now=now)
        body = {"counter": counter, "code": self.showings.code(app, showing_id, now=now).text}
        standings.take_back(connection, showing_id)
        return ask(connection, app, "come", body, ref=showing_id, now=now)

    def sent(self) -> None:
        """Wake the worker, after the commit."""
        self.signals.notify(f"errand:{self.province}")

    def came(self, app: str, showing_id: str, come_id: str, *, now: datetime) -> bool:
        """Whether the counter has taken this phone; False while nobody knows. Refusal with the counter's reason, also after
        it had taken the phone, where the request was refused before there was a sheet; and
        REQUEST_UNKNOWN for an id that is another app's or showing's, old, or none."""
        return answered(self.engine, app, "come", come_id, ref=showing_id, now=now) is not None
