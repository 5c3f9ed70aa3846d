"""Questions to the inner network whose answer an app fetches later: holdings, offers, what became of a phone at a counter.

A question is an errand in the hand-over store, and a row here that says whose it is. The id that the app gets opens the
answer for ten minutes, to this app and for this kind of question; anything else looks like an id that never was.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, Engine, delete, insert, select

from consent.b64 import new_id
from consent.errors import UNAVAILABLE, Reason, Refusal, Unavailable
from consent.seal import SKEW
from consent.sentences import PLACEHOLDERS
from consent.showing import Holder
from consent.stores import handover
from consent.stores.base import reading
from consent.stores.queue import Answer, answer_of, put
from wallet_api.vendors.tables import lookups

KEPT: Final = timedelta(minutes=10)  # an answer that nobody fetched is of no use later


def ask(
    connection: Connection, app: str, kind: str, body: Mapping[str, Any], *, now: datetime, ref: str | None = None
) -> str:
    """Put the question, in the caller's transaction, and return the id of its answer. `ref` is that id unless it is said."""
    answer_id = new_id()
    errand = put(connection, handover.errands, kind=kind, ref=ref or answer_id, body=body, now=now)
    connection.execute(delete(lookups).where(lookups.c.created_at <= now - KEPT))
    connection.execute(insert(lookups), {"lookup_id": answer_id, "app": app, "errand": errand, "created_at": now})
    return answer_id


def answered(
    engine: Engine,
    app: str,
    kind: str,
    answer_id: str,
    *,
    now: datetime,
    ref: str | None = None,
    parked: Reason = Reason.STORE_UNAVAILABLE,
) -> dict[str, Any] | None:
    """The answer; None while there is none.

    REQUEST_UNKNOWN for an id that is another app's, another kind's, old, or none; the errand's own reason where the inner
    network refused it; Unavailable(`parked`) where a person must look.
    """
    c, errands = lookups.c, handover.errands.c
    query = (
        select(c.errand)
        .join(handover.errands, errands.id == c.errand)
        .where(c.lookup_id == answer_id, c.app == app, c.created_at > now - KEPT)
        .where(errands.kind == kind, errands.ref == (ref or answer_id))
    )
    with reading(engine) as connection:
        errand = connection.execute(query).scalar_one_or_none()
        if errand is None:
            raise Refusal(Reason.REQUEST_UNKNOWN, detail=f"no such {kind}")
        answer = answer_of(connection, handover.errands, errand)
    return said(answer, what=kind, parked=parked)


def said(answer: Answer | None, *, what: str, parked: Reason = Reason.STORE_UNAVAILABLE) -> dict[str, Any] | None:
    """What an errand's answer says; None while there is none. A `reason` in it is raised, with the facts beside it."""
    if answer is None:
        return None
    if answer.text is None:
        raise Unavailable(parked, what=what, detail="the errand is parked")
    found: dict[str, Any] = json.loads(answer.text)
    if found.get("reason") is not None:
        reason, facts = Reason(found["reason"]), {name: found[name] for name in PLACEHOLDERS & found.keys()}
        raise Unavailable(reason, **facts) if reason in UNAVAILABLE else Refusal(reason, **facts)
    return found


def use_login(connection: Connection, holder: Holder) -> None:
    """Use a login assertion up, in the caller's transaction; Refusal(DOCUMENT_REPLAYED) where it was used before."""
    sealed = holder.sealed
    if not handover.use_once(connection, sealed.issuer, sealed.jti, sealed.expires_at + SKEW):
        raise Refusal(Reason.DOCUMENT_REPLAYED, detail="this login was used before")
