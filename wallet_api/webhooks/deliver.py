"""`wallet-api deliver`: what vendors are told, brought to them.

One round:
1. Events that nobody has read get their numbers and, in the same commit, a delivery for each endpoint (`spread`).
2. Every endpoint that has something due and does not rest gets a lane: a thread that sends one delivery after the other.
3. A lane sends, then notes how it ended and takes the next in one commit. It ends when nothing is due, after `BATCH`, or at
   the first silence; the endpoint then rests.

Lanes keep endpoints apart: a receiver that is slow or dead holds up itself. Any number of these processes may run; leases
keep them out of each other's way, and more of them bring more at once to one endpoint.

Nothing wakes this process: it looks twice a second, because an event is written where no Redis is known.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, Engine, exists, insert, or_, select
from standardwebhooks import Webhook

from consent.b64 import new_id
from consent.clock import Clock, to_epoch
from consent.errors import Unavailable
from consent.stores import timeline
from consent.stores.base import reading, writing
from consent.stores.timeline import EventRow
from consent.telling import Log
from wallet_api.vendors.tables import vendors, webhook_deliveries, webhook_endpoints
from wallet_api.webhooks import deliveries, endpoints
from wallet_api.webhooks.deliveries import Delivery, State
from wallet_api.webhooks.endpoints import Ended
from wallet_api.webhooks.events import payload
from wallet_api.webhooks.sending import Failure, Outcome, Sender

BATCH: Final = 8  # deliveries of one lane; its `now` must not grow old
LANES: Final = 16
LOOK_S: Final = 0.5
CLEANING: Final = timedelta(minutes=1)


def spread(engine: Engine, *, now: datetime, profile: str) -> int:
    """Number up to `timeline.AT_ONCE` events that nobody has read yet, and address each to the endpoints of its app's
    vendors; returns how many there were. Whoever reads events calls this first."""
    with reading(engine) as connection:
        if not timeline.waiting(connection):  # most looks find nothing, and a write costs an fsync
            return 0
    with writing(engine) as connection:
        events = timeline.number(connection)
        if rows := _addressed(connection, events, now=now, profile=profile):
            connection.execute(insert(webhook_deliveries).inline(), rows)
    return len(events)


def _addressed(connection: Connection, events: list[EventRow], *, now: datetime, profile: str) -> list[dict[str, Any]]:
    e, v = webhook_endpoints.c, vendors.c
    query = (
        select(e.endpoint_id, e.client_id, e.created_at, v.app)
        .join_from(webhook_endpoints, vendors, v.client_id == e.client_id)
        .where(e.ended_at.is_(None), v.disabled_at.is_(None), v.profile == profile)
        .order_by(e.created_at, e.endpoint_id)
    )
    live = connection.execute(query).all()
    return [
        {
            "delivery_id": f"msg_{new_id()}",
            "endpoint_id": each.endpoint_id,
            "client_id": each.client_id,
            "showing_id": event.showing_id,
            "version": event.version,
            "showing_state": event.state,
            "reason": event.reason,
            "at": event.at,
            "state": State.WAITING,
            "round_began_at": now,
            "round_tries": 0,
            "attempts": 0,
            "due_at": now,
        }
        for event in events
        for each in live
        if each.app == event.app and each.created_at <= event.at
    ]


@dataclass(slots=True, kw_only=True)
class Deliverer:
    """One process's deliveries, for the vendors of one profile."""

    engine: Engine
    profile: str
    sender: Sender
    log: Log
    _pool: ThreadPoolExecutor = field(
        init=False, default_factory=lambda: ThreadPoolExecutor(LANES, thread_name_prefix="webhook-lane")
    )
    _busy: set[str] = field(init=False, default_factory=set)
    _awake: threading.Event = field(init=False, default_factory=threading.Event)
    _ending: threading.Event = field(init=False, default_factory=threading.Event)
    _cleaned: datetime | None = field(init=False, default=None)

    def run(self, stop: threading.Event, clock: Clock) -> None:
        """Deliver until told to stop. A round that fails for want of a database is tried again in the next."""
        while not stop.is_set():
            self._awake.clear()
            try:
                self._begin(clock.now())
            except Unavailable as silence:
                self._silent(silence)
            self._awake.wait(LOOK_S)
        self.close()

    def run_once(self, now: datetime) -> int:
        """One round to its end; returns how many deliveries were sent."""
        return sum(lane.result() for lane in self._begin(now))

    def close(self) -> None:
        """Let every lane end what it is sending, and take no more."""
        self._ending.set()
        self._pool.shutdown()
        self.sender.close()

    def _begin(self, now: datetime) -> list[Future[int]]:
        if spread(self.engine, now=now, profile=self.profile) == timeline.AT_ONCE:  # 1
            self._awake.set()  # there may be more
        self._clean(now)
        lanes = []
        for endpoint_id, url in self._due(now):  # 2
            if endpoint_id not in self._busy:
                self._busy.add(endpoint_id)
                lane = self._pool.submit(self._lane, endpoint_id, url, now)
                lane.add_done_callback(self._ended(endpoint_id))
                lanes.append(lane)
        return lanes

    def _ended(self, endpoint_id: str) -> Callable[[Future[int]], None]:
        def ended(lane: Future[int]) -> None:
            self._busy.discard(endpoint_id)
            if lane.result() == BATCH:  # there may be more
                self._awake.set()

        return ended

    def _due(self, now: datetime) -> list[tuple[str, str]]:
        e, v, d = webhook_endpoints.c, vendors.c, webhook_deliveries.c
        something = exists().where(
            d.endpoint_id == e.endpoint_id,
            d.state == State.WAITING,
            d.due_at <= now,
            or_(d.lease_until.is_(None), d.lease_until <= now),
        )
        query = (
            select(e.endpoint_id, e.url)
            .join_from(webhook_endpoints, vendors, v.client_id == e.client_id)
            .where(
                e.ended_at.is_(None),
                or_(e.rests_until.is_(None), e.rests_until <= now),
                v.disabled_at.is_(None),
                v.profile == self.profile,
                something,
            )
        )
        with reading(self.engine) as connection:
            return [(row.endpoint_id, row.url) for row in connection.execute(query)]

    def _lane(self, endpoint_id: str, url: str, now: datetime) -> int:
        done = 0
        try:
            with writing(self.engine) as connection:
                sent, secrets = self._take(connection, endpoint_id, now)
            while sent is not None:
                outcome = self._send(url, sent, secrets, now)
                done += 1
                with writing(self.engine) as connection:  # 3
                    self._note(connection, sent, outcome, now)
                    on = done < BATCH and not self._ending.is_set() and _answers(outcome)
                    sent, secrets = self._take(connection, endpoint_id, now) if on else (None, ())
        except Unavailable as silence:
            self._silent(silence)
        except Exception as fault:  # a lane must not end the others; its lease brings the delivery back
            self.log.error("deliver_failed", endpoint=endpoint_id, fault=type(fault).__name__)
        return done

    @staticmethod
    def _take(connection: Connection, endpoint_id: str, now: datetime) -> tuple[Delivery | None, tuple[str, ...]]:
        taken = deliveries.take(connection, endpoint_id, now=now)
        return taken, () if taken is None else endpoints.signing(connection, endpoint_id, now=now)

    def _send(self, url: str, sent: Delivery, secrets: tuple[str, ...], now: datetime) -> Outcome:
        body = payload(
            showing_id=sent.showing_id,
            state=sent.showing_state,
            version=sent.version,
            reason=sent.reason,
            at=sent.at,
        )
        return self.sender.post(url, headers=signed(sent.delivery_id, body, secrets, now), body=body.encode())

    def _note(self, connection: Connection, sent: Delivery, outcome: Outcome, now: datetime) -> None:
        deliveries.note(connection, sent, outcome, now=now)
        if outcome.failure is Failure.GONE:
            endpoints.end(connection, sent.endpoint_id, Ended.GONE, now=now)
        elif outcome.silent:
            endpoints.rest(connection, sent.endpoint_id, now=now)
        else:
            endpoints.wake(connection, sent.endpoint_id)
        if not outcome.accepted:
            self.log.info(
                "webhook_waits",
                endpoint=sent.endpoint_id,
                delivery=sent.delivery_id,
                attempt=sent.attempt,
                failure=outcome.failure,
                status=outcome.status,
            )

    def _clean(self, now: datetime) -> None:
        if self._cleaned is None or now - self._cleaned >= CLEANING:
            self._cleaned = now
            deliveries.forget(self.engine, before=now - deliveries.KEPT)

    def _silent(self, silence: Unavailable) -> None:
        self.log.warning("deliver_unavailable", reason=silence.reason, what=silence.what, detail=silence.detail)


def _answers(outcome: Outcome) -> bool:
    return not outcome.silent and outcome.failure is not Failure.GONE


def signed(delivery_id: str, body: str, secrets: tuple[str, ...], now: datetime) -> dict[str, str]:
    """The headers of a delivery (Standard Webhooks): one signature for each secret."""
    return {
        "Content-Type": "application/json",
        "User-Agent": "huzheng-webhooks/1",
        "webhook-id": delivery_id,
        "webhook-timestamp": str(to_epoch(now)),
        "webhook-signature": " ".join(Webhook(each).sign(delivery_id, now, body) for each in secrets),
    }
