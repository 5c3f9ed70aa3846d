"""Express: the citizen agrees before the scan, to one unit in one matter (`consent.standing`). No HTTP here.

 1. ask     the units of a province, then the offer of one of them: the register's own words, by errand
 2. stand   hand in what the device key signed over that offer; until a counter has asked, it can be taken back
 3. stands  look at what was handed in, while it is worth something

This room checks to give a quick answer. Whether the standing answer becomes a consent is judged by the inner network when
a counter claims the showing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, Engine

from consent.errors import Reason, Refusal
from consent.keys import KeyRing
from consent.showing import open_holder
from consent.standing import Standing, open_standing
from consent.states import SHOWING
from consent.stores import standings
from consent.stores.base import reading, writing
from consent.stores.handover import ShowingRow
from consent.stores.signals import Signals
from wallet_api.errands import answered, ask

OFFER_LIFE: Final = timedelta(minutes=10)  # an answer that nobody fetched is of no use later


@dataclass(frozen=True, slots=True, kw_only=True)
class Express:
    """Offers and standing answers of one province's apps."""

    engine: Engine
    province: str
    keys: KeyRing
    signals: Signals

    def ask(self, connection: Connection, app: str, question: Mapping[str, str | None], *, now: datetime) -> str:
        """Ask for an offer and return its id. Writes into the caller's transaction; call `asked` after its commit."""
        return ask(connection, app, "offer", question, now=now)

    def asked(self) -> None:
        """Wake the worker, after the commit."""
        self.signals.notify(f"errand:{self.province}")

    def offered(self, app: str, offer_id: str, *, now: datetime) -> dict[str, Any] | None:
        """What the register says; None while it is asked. REQUEST_UNKNOWN for an id that is another app's, old, or none;
        the register's own reason where the unit may not ask."""
        return answered(self.engine, app, "offer", offer_id, now=now)

    def stand(self, showing: ShowingRow, standing_jwt: str, *, now: datetime) -> str:
        """Keep the standing answer and return its digest; another one takes its place.

        DOCUMENT_… and APPROVAL_MISMATCH where it is none of this device for this showing, STATE_FORBIDS once a counter has
        asked.
        """
        _open(showing)
        standing = self.read(showing, standing_jwt, now=now)
        with writing(self.engine) as connection:
            standings.put(connection, showing.showing_id, standing_jwt, now=now)
        return standing.sealed.digest

    def take_back(self, showing: ShowingRow) -> None:
        """Forget the standing answer; nothing happens where there is none. STATE_FORBIDS once a counter has asked."""
        _open(showing)
        with writing(self.engine) as connection:
            standings.take_back(connection, showing.showing_id)

    def stands(self, showing: ShowingRow, *, now: datetime) -> Standing | None:
        """The standing answer that is kept for a showing; None where there is none or its time is over."""
        with reading(self.engine) as connection:
            text = standings.find(connection, showing.showing_id)
        if text is None:
            return None
        try:
            return self.read(showing, text, now=now)
        except Refusal:
            return None

    def read(self, showing: ShowingRow, standing_jwt: str, *, now: datetime) -> Standing:
        """A standing answer of the showing's own device; Refusal DOCUMENT_… or APPROVAL_MISMATCH."""
        holder = open_holder(showing.holder_jwt, self.keys, province=self.province, now=showing.opened_at)
        return open_standing(
            standing_jwt, holder.device, province=self.province, showing_id=showing.showing_id, now=now
        )


def _open(showing: ShowingRow) -> None:
    if showing.state != SHOWING.start:
        raise Refusal(Reason.STATE_FORBIDS, detail=f"express in {showing.state}")
