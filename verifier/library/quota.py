"""How much a library gives on the card route: counted here, in its own store, whatever a desk's province says (T6).

Behind a visit with a phone stands a key of the citizen's. Behind one without a phone stand two devices of the desk's own
province, and whose card was read only that province can open. Should its inner network be taken over one day, real words of
a reader and a pad could be turned to other people's certificates. Three rules bound that, and none of them asks the desk:

 1. one request opens one certificate here: `request_digest` is the primary key, the database refuses the second consent
 2. a window gets no more in an hour than people can be served there
 3. a unit gets no more in a day than its windows could serve

The count is written in the transaction that spends the consent and seals the copy (L1), after the ledger's entry: whoever
appends holds the lock on the ledger's head until the commit, so that nobody else counts meanwhile. A copy without its count
does not exist, and what is refused is not counted.

Each library counts for itself; the four together give at most four times as much.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, Connection, delete, func, insert, select

from consent.errors import Reason, Refusal
from consent.request import Request
from consent.stores.base import inserted
from verifier.stores.library import card_fetches

HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)
WINDOW_IN_AN_HOUR: Final = 20  # card, sheet, signature, copy: nobody is served in less than three minutes
UNIT_IN_A_DAY: Final = 120  # most people bring a phone; two windows that see nobody else all morning stay below this
_KEPT: Final = timedelta(days=2)  # longer than the longest count, and than any consent lives


def count(conn: Connection, request: Request, *, now: datetime) -> None:
    """Count one certificate given on the card route, the three rules above; after the ledger's entry, in its transaction.

    Refusal CONSENT_SPENT for a request that has one already, QUOTA_EXHAUSTED.
    """
    ask, c = request.ask, card_fetches.c
    conn.execute(delete(card_fetches).where(c.at < now - _KEPT))
    row = {"request_digest": request.digest, "desk": request.desk, "window": ask.window, "unit": ask.unit, "at": now}
    if not inserted(conn, insert(card_fetches).values(row)):  # 1
        raise Refusal(Reason.CONSENT_SPENT, detail="another consent for the same request")
    if _given(conn, request, c.window == ask.window, since=now - HOUR) > WINDOW_IN_AN_HOUR:  # 2
        raise Refusal(Reason.QUOTA_EXHAUSTED, detail=f"window {ask.window}")
    if _given(conn, request, c.unit == ask.unit, since=now - DAY) > UNIT_IN_A_DAY:  # 3
        raise Refusal(Reason.QUOTA_EXHAUSTED, detail=f"unit {ask.unit}")


def _given(conn: Connection, request: Request, whose: ColumnElement[bool], *, since: datetime) -> int:
    c = card_fetches.c
    query = select(func.count()).select_from(card_fetches).where(c.desk == request.desk, whose, c.at > since)
    return conn.execute(query).scalar_one()
