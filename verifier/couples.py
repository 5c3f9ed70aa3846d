"""Two people for one visit (A13): two showings, two requests, two consents, and either both certificates or none.

The desk links two requests of one window under a name that the kiosk chose (`couple`). Each person answers for himself on
the own phone, and each library says whether the one who came along is the certificate's other party.

 1. `join`     with D1: the first half, or the second. The second must name the same two people the other way round, and
               comes too late (PARTNER_MISSING) where the first has ended: nobody is asked in vain
 2. `agreed`   a consent has come: it is kept (AGREED). When both are there, both fetches go out in one transaction
 3. `copied`   a copy has been judged: it is kept (HELD). When both are there, both are admitted in one transaction (D2)
 4. `partner`  whoever ends otherwise takes the other along (PARTNER_MISSING): nothing that is held is ever shown, and the
               other's phone is told at once, answered or not

The order in which the two come, agree and are answered does not matter.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any, Final

from sqlalchemy import Connection

from consent.b64 import to_b64
from consent.errors import Reason, Refusal
from consent.request import Aside, Request
from consent.states import VISIT
from consent.stores.base import reading
from verifier.office import Office
from verifier.stores import couples, inner
from verifier.stores.couples import Half
from verifier.stores.inner import VisitRow

_ALIVE: Final = frozenset({"ASKED", "AGREED", "FETCHING", "HELD"})  # the other one may still come to both certificates


@dataclass(frozen=True, slots=True, kw_only=True)
class Together:
    """What a kiosk says about the second person: the couple's name (128 bits), and an envelope with the other's ID number."""

    couple: str
    other: str


def join(
    conn: Connection, office: Office, together: Together, request: Request, aside: Aside, *, now: datetime
) -> None:
    """Step 1, in the transaction that stores the request. Refusal COUPLE_MISMATCH, STATE_FORBIDS for a third person, and
    PARTNER_MISSING for the second of a first who has ended."""
    if aside.id_number is None or aside.other is None:
        raise Refusal(Reason.HOLDER_MATCH_MISSING, detail="of two people both are named")
    own, other = _name(office, aside.id_number), _name(office, aside.other)
    if own == other:
        raise Refusal(Reason.COUPLE_MISMATCH, detail="one person twice")
    window, couple = request.ask.window, together.couple
    there = couples.halves(conn, inner.couples, window, couple)
    if there and (there[0].own, there[0].other) != (other, own):
        raise Refusal(Reason.COUPLE_MISMATCH, detail="the two requests name different people")
    half = Half(
        window=window,
        couple=couple,
        slot=len(there) + 1,
        request_digest=request.digest,
        own=own,
        other=other,
        at=now,
    )
    if len(there) == 2 or not couples.add(conn, inner.couples, half):
        raise Refusal(Reason.STATE_FORBIDS, detail="two are here already")
    # Locked: a first who ends in this moment waits, and then finds the second here to take along.
    if there and not _alive(inner.visit_of_request(conn, there[0].request_digest, lock=True)):
        raise Refusal(Reason.PARTNER_MISSING, detail="the other has ended before this one came")


def _name(office: Office, id_number: str) -> str:
    return to_b64(hmac.digest(office.history_key, f"couple\n{id_number}".encode(), sha256))


def is_half(office: Office, request_digest: str) -> bool:
    """Whether a request is one of two."""
    with reading(office.inner) as conn:
        return couples.half_of(conn, inner.couples, request_digest) is not None


def agreed(
    conn: Connection, request_digest: str, columns: Mapping[str, Any], fetch: Callable[[VisitRow], None]
) -> bool:
    """Step 2: keep the consent; when the other's is there too, let `fetch` send for both. False for a visit of one."""
    both = _both(conn, request_digest)
    if both is None:
        return False
    if inner.move_visit(conn, request_digest, VISIT, "agree", **columns):
        _when_both(conn, both, "AGREED", lambda row: _fetch(conn, row, fetch))
    return True


def _fetch(conn: Connection, row: VisitRow, fetch: Callable[[VisitRow], None]) -> None:
    inner.move_visit(conn, row.request_digest, VISIT, "fetch")
    fetch(row)


def copied(conn: Connection, request_digest: str, columns: Mapping[str, Any], show: Callable[[VisitRow], None]) -> bool:
    """Step 3: keep the copy; when the other's is there too, let `show` admit both. False for a visit of one."""
    both = _both(conn, request_digest)
    if both is None:
        return False
    if inner.move_visit(conn, request_digest, VISIT, "hold", **columns):
        _when_both(conn, both, "HELD", show)
    return True


def _both(conn: Connection, request_digest: str) -> list[Half] | None:
    half = couples.half_of(conn, inner.couples, request_digest)
    return None if half is None else couples.halves(conn, inner.couples, half.window, half.couple)


def _when_both(conn: Connection, both: list[Half], state: str, do: Callable[[VisitRow], None]) -> None:
    # Locked: an end of the other half that comes in the same moment waits, and finds what is done here.
    rows = [inner.visit_of_request(conn, half.request_digest, lock=True) for half in both]
    found = [row for row in rows if row is not None and row.state == state]
    if len(found) == 2:
        for row in found:
            do(row)


def partner(office: Office, request_digest: str) -> VisitRow | None:
    """Step 4: the other half's visit, while it could still go on; None where there is none."""
    with reading(office.inner) as conn:
        both = _both(conn, request_digest) or []
        others = [inner.visit_of_request(conn, half.request_digest) for half in both]
    return next(
        (row for row in others if row is not None and row.request_digest != request_digest and _alive(row)), None
    )


def _alive(row: VisitRow | None) -> bool:
    return row is not None and row.state in _ALIVE
