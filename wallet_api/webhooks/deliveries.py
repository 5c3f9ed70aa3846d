"""One row for each event and endpoint, from the moment when the event is read until the receiver has it.

    WAITING ──take──▶ WAITING, leased ──note──▶ ACCEPTED
       ▲                  │  └──note──▶ WAITING, due later       pauses grow
       │                  └─────note──▶ GIVEN_UP                 24 hours after the round began, or the endpoint ended
       └──resend── ACCEPTED or GIVEN_UP                          a new round, under the same webhook-id

At least once: a delivery is leased, sent, and only then noted. Whoever dies in between has sent it under an id that is
sent again when the lease is over. `attempts` is the token of the lease, as in `consent.stores.queue`.

In order: a delivery is not taken while one of an earlier version of the same showing waits for the same endpoint.
Other showings flow on.

Two tables of pauses. Where a receiver answered and did not accept, something is wrong with this event or with its
program: it has hours to be mended. Where nobody answered, the endpoint rests as a whole and is looked at again at least
every five minutes, since whatever waits for it could go at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cache
from typing import Any, Final

from sqlalchemy import Connection, Engine, Row, bindparam, delete, exists, func, insert, or_, select, update
from sqlalchemy.sql.dml import ReturningUpdate

from consent.errors import Reason, Refusal
from consent.stores.base import UtcDateTime, reading, writing
from wallet_api.vendors.tables import webhook_attempts, webhook_deliveries, webhook_endpoints
from wallet_api.webhooks.sending import Outcome

ROUND: Final = timedelta(hours=24)
LEASE: Final = timedelta(seconds=120)  # longer than a whole lane of `deliver`, which counts from its beginning
KEPT: Final = timedelta(days=30)  # what is settled stays in the log for so long
NOT_ACCEPTED: Final = tuple(
    timedelta(seconds=each) for each in (5, 30, 120, 300, 900, 1_800, 3_600, 7_200, 14_400, 28_800)
)
SILENT: Final = tuple(timedelta(seconds=each) for each in (5, 15, 30, 60, 120, 300))

_OLDEST: Final = 1000


class State(StrEnum):
    """WAITING is on its way, ACCEPTED was answered with 2xx, GIVEN_UP waits for a resend."""

    WAITING = "WAITING"
    ACCEPTED = "ACCEPTED"
    GIVEN_UP = "GIVEN_UP"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One leased row. `attempt` is 1 at the first take, and is the token of this lease."""

    delivery_id: str
    endpoint_id: str
    showing_id: str
    version: int
    showing_state: str
    reason: str | None
    at: datetime
    attempt: int
    round_began_at: datetime
    round_tries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try as the vendor's log shows it. No status: no answer. No failure: accepted."""

    attempt: int
    at: datetime
    status: int | None
    failure: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One delivery as the vendor's log shows it. `next_try_at` is None when it is settled."""

    number: int
    delivery_id: str
    url: str
    showing_id: str
    version: int
    showing_state: str
    reason: str | None
    at: datetime
    state: State
    attempts: tuple[Attempt, ...]
    next_try_at: datetime | None


# Taking and noting ------------------------------------------------------------------------------------------


@cache
def _taking() -> ReturningUpdate[Any]:
    c, earlier = webhook_deliveries.c, webhook_deliveries.alias("earlier")
    now = bindparam("now", type_=UtcDateTime)
    held_up = exists().where(
        earlier.c.endpoint_id == c.endpoint_id,
        earlier.c.showing_id == c.showing_id,
        earlier.c.version < c.version,
        earlier.c.state == State.WAITING,
    )
    free = (
        select(c.number)
        .where(
            c.endpoint_id == bindparam("endpoint"),
            c.state == State.WAITING,
            c.due_at <= now,
            or_(c.lease_until.is_(None), c.lease_until <= now),
            ~held_up,
        )
        .order_by(c.due_at, c.number)
        .limit(1)
        .with_for_update(skip_locked=True, of=webhook_deliveries)
        .cte("free")
    )
    return (
        update(webhook_deliveries)
        .where(c.number.in_(select(free.c.number)))
        .values(lease_until=bindparam("lease", type_=UtcDateTime), attempts=c.attempts + 1)
        .returning(webhook_deliveries)
    )


def take(connection: Connection, endpoint_id: str, *, now: datetime) -> Delivery | None:
    """Lease the delivery that is due longest, if one may go. The caller commits before it sends."""
    row = connection.execute(_taking(), {"endpoint": endpoint_id, "now": now, "lease": now + LEASE}).one_or_none()
    if row is None:
        return None
    return Delivery(
        delivery_id=row.delivery_id,
        endpoint_id=row.endpoint_id,
        showing_id=row.showing_id,
        version=row.version,
        showing_state=row.showing_state,
        reason=row.reason,
        at=row.at,
        attempt=row.attempts,
        round_began_at=row.round_began_at,
        round_tries=row.round_tries,
    )


def note(connection: Connection, sent: Delivery, outcome: Outcome, *, now: datetime) -> bool:
    """Write down how it ended. False when the lease was lost meanwhile: the try stands in the log and decides nothing."""
    row = {
        "delivery_id": sent.delivery_id,
        "attempt": sent.attempt,
        "at": now,
        "status": outcome.status,
        "failure": outcome.failure,
    }
    connection.execute(insert(webhook_attempts), row)
    c = webhook_deliveries.c
    own = (c.delivery_id == sent.delivery_id, c.attempts == sent.attempt, c.state == State.WAITING)
    changed = update(webhook_deliveries).where(*own).values(lease_until=None, **_next(sent, outcome, now))
    return connection.execute(changed).rowcount == 1


def _next(sent: Delivery, outcome: Outcome, now: datetime) -> dict[str, Any]:
    if outcome.accepted:
        return {"state": State.ACCEPTED}
    end = sent.round_began_at + ROUND
    if now >= end:
        return {"state": State.GIVEN_UP}
    pauses = SILENT if outcome.silent else NOT_ACCEPTED
    # The last try stands at the very end of the round.
    return {"round_tries": sent.round_tries + 1, "due_at": min(now + pause(pauses, sent.round_tries + 1), end)}


def pause(pauses: Sequence[timedelta], failures: int) -> timedelta:
    """How long to wait after so many failures in a row (at least 1)."""
    return pauses[min(failures, len(pauses)) - 1]


def give_up(connection: Connection, endpoint_id: str, *, began_by: datetime | None = None) -> None:
    """Give up what waits for an endpoint: everything, or the rounds that began by that instant. Nobody tries each event
    at an endpoint that does not answer; one was tried for all."""
    c = webhook_deliveries.c
    old = () if began_by is None else (c.round_began_at <= began_by,)
    waiting = update(webhook_deliveries).where(c.endpoint_id == endpoint_id, c.state == State.WAITING, *old)
    connection.execute(waiting.values(state=State.GIVEN_UP, lease_until=None))


def forget(engine: Engine, *, before: datetime) -> None:
    """Remove what was settled in a round that began before that instant, with its attempts. Looks at the oldest rows
    only, so that it costs the same however long the log is; called again and again it gets through."""
    c = webhook_deliveries.c
    oldest = select(c.delivery_id, c.state, c.round_began_at).order_by(c.number).limit(_OLDEST)
    with reading(engine) as connection:
        rows = connection.execute(oldest).all()
    old = [row.delivery_id for row in rows if row.state != State.WAITING and row.round_began_at < before]
    if old:
        with writing(engine) as connection:
            connection.execute(delete(webhook_attempts).where(webhook_attempts.c.delivery_id.in_(old)))
            gone = (c.delivery_id.in_(old), c.state != State.WAITING)  # one may have been sent again meanwhile
            connection.execute(delete(webhook_deliveries).where(*gone))


# For the vendor ---------------------------------------------------------------------------------------------


def resend(connection: Connection, client_id: str, delivery_id: str, *, now: datetime) -> Entry:
    """Begin a new round of tries now, under the same webhook-id. DELIVERY_UNKNOWN for an id that is not this vendor's,
    STATE_FORBIDS when its endpoint has ended."""
    c = webhook_deliveries.c
    whose = (c.delivery_id == delivery_id, c.client_id == client_id)
    live = select(webhook_endpoints.c.endpoint_id).where(webhook_endpoints.c.ended_at.is_(None))
    again = (
        update(webhook_deliveries)
        .where(*whose, c.endpoint_id.in_(live))
        .values(state=State.WAITING, round_began_at=now, round_tries=0, due_at=now)
    )
    if connection.execute(again).rowcount == 0:
        if connection.execute(select(c.number).where(*whose)).first() is None:
            raise Refusal(Reason.DELIVERY_UNKNOWN)
        raise Refusal(Reason.STATE_FORBIDS, detail="the endpoint has ended")
    return _entries(connection, *whose, limit=1)[0]


def log_of(connection: Connection, client_id: str, *, before: int | None, limit: int) -> list[Entry]:
    """A vendor's deliveries, newest first, those below a number."""
    c = webhook_deliveries.c
    older = () if before is None else (c.number < before,)
    return _entries(connection, c.client_id == client_id, *older, limit=limit)


def waiting(connection: Connection) -> int:
    """How many are on their way, for the log of the process."""
    query = select(func.count()).where(webhook_deliveries.c.state == State.WAITING)
    return int(connection.execute(query).scalar_one())


def _entries(connection: Connection, *which: Any, limit: int) -> list[Entry]:
    c, tries = webhook_deliveries.c, webhook_attempts.c
    query = (
        select(webhook_deliveries, webhook_endpoints.c.url)
        .join_from(webhook_deliveries, webhook_endpoints, webhook_endpoints.c.endpoint_id == c.endpoint_id)
        .where(*which)
        .order_by(c.number.desc())
        .limit(limit)
    )
    rows = connection.execute(query).all()
    mine = tries.delivery_id.in_([row.delivery_id for row in rows])
    made: dict[str, list[Attempt]] = {}
    for each in connection.execute(select(webhook_attempts).where(mine).order_by(tries.attempt)):
        attempt = Attempt(attempt=each.attempt, at=each.at, status=each.status, failure=each.failure)
        made.setdefault(each.delivery_id, []).append(attempt)
    return [_entry(row, made.get(row.delivery_id, [])) for row in rows]


def _entry(row: Row[Any], attempts: Sequence[Attempt]) -> Entry:
    state = State(row.state)
    return Entry(
        number=row.number,
        delivery_id=row.delivery_id,
        url=row.url,
        showing_id=row.showing_id,
        version=row.version,
        showing_state=row.showing_state,
        reason=row.reason,
        at=row.at,
        state=state,
        attempts=tuple(attempts),
        next_try_at=row.due_at if state is State.WAITING else None,
    )
