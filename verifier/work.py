"""`verifier work`: what a province does while nobody is waiting on the line.

Four rounds, each small and each safe to repeat, because every effect is keyed:
 1. outbox    letters to other provinces (through the exchange) or to ourselves; sheets and ends for the phones
 2. errands   what wallet_api asks: holdings, approvals, withdrawals
 3. expiry    claims without an answer, visits without a certificate, libraries without a word, codes nobody scanned
 4. cleaning  uses of documents that have expired anyway

A letter that nobody accepts is tried again with growing pauses, as long as it can still matter. What kills its worker
over and over is parked, and the others flow on.

Redis only says "look now"; without it the worker looks twice a second by itself.
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Engine, Table

from consent.clock import Clock
from consent.errors import Reason, Refusal, Unavailable
from consent.states import SHOWING
from consent.stores import handover, queue
from consent.stores.base import attempt, reading, writing
from consent.stores.queue import Item
from consent.telling import Log
from consent.transport import Letter, Topic, Transport, letter_from
from verifier.office import Office, errand_topic, outbox_topic, showing_topic
from verifier.peers import Peers
from verifier.stores import inner

LEASE: Final = timedelta(seconds=30)
BATCH: Final = 16
TRIES: Final = 12  # for letters that only inform; then a person must look
PAUSES: Final = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)  # seconds between tries of one letter
SWEEP: Final = timedelta(seconds=1)
_URGENT: Final = {Topic.ASK: 3, Topic.FETCH: 3, Topic.HOLDINGS: 1}  # tries while somebody stands at a counter


@dataclass(slots=True, kw_only=True)
class Worker:
    """One worker of one province. Several may run; leases keep them out of each other's way."""

    office: Office
    peers: Peers
    transport: Transport
    clock: Clock
    log: Log
    _swept: datetime | None = None

    def run(self, stop: threading.Event, awake: threading.Event | None = None) -> None:
        """Work until told to stop. A round that fails for want of a database is tried again in the next.

        While `awake` is there and not set, the worker rests.
        """
        topics = (outbox_topic(self.office.province), errand_topic(self.office.province))
        with self.office.signals.listen(*topics) as ear:
            while not stop.is_set():
                if awake is not None:
                    awake.wait()
                try:
                    done = self.run_once()
                except Unavailable as silence:
                    self.log.warning(
                        "work_unavailable", reason=silence.reason, what=silence.what, detail=silence.detail
                    )
                    done = 0
                if done:
                    continue
                wake = ear.wait(1.0)
                if self._something_due():
                    ear.useful(wake)

    def run_once(self) -> int:
        """All four rounds; returns how much was done, 0 when there was nothing."""
        done = self._outbox() + self._errands()
        now = self.clock.now()
        if self._swept is None or now - self._swept >= SWEEP:
            self._swept = now
            done += self._expire(now)
        return done

    def _something_due(self) -> bool:
        now = self.clock.now()
        try:
            for engine, table in ((self.office.inner, inner.outbox), (self.office.handover, handover.errands)):
                with reading(engine) as conn:
                    if queue.due(conn, table, now=now):
                        return True
        except Unavailable:
            return False
        return False

    def _outbox(self) -> int:
        items = self._take(self.office.inner, inner.outbox)
        for item in items:
            if item.kind == "letter":
                self._send(item)
            else:
                self._hand_over(item)
        return len(items)

    def _take(self, engine: Engine, table: Table) -> list[Item]:
        now = self.clock.now()
        with reading(engine) as conn:
            # Most looks find nothing, and a write transaction costs an fsync even then.
            if not queue.due(conn, table, now=now):
                return []
        with writing(engine) as conn:
            return queue.take(conn, table, now=now, lease=LEASE, limit=BATCH)

    def _send(self, item: Item) -> None:
        letter = letter_from(json.dumps(dict(item.body)).encode())
        try:
            if letter.to == self.office.province:
                self.peers.receive(letter, now=self.clock.now())
            else:
                self.transport.send(letter)
        except Refusal as no:
            self.log.warning("letter_refused", topic=letter.topic, to=letter.to, reason=no.reason, detail=no.detail)
            self._undeliverable(letter, no)
            self._park(item, no.reason)
        except Unavailable as silence:
            self._later(item, letter, silence)
        else:
            self._done(item)

    def _later(self, item: Item, letter: Letter, silence: Unavailable) -> None:
        tries = _URGENT.get(letter.topic, TRIES)
        self.log.info("letter_waits", topic=letter.topic, to=letter.to, reason=silence.reason, attempt=item.attempts)
        if item.attempts >= tries:
            self._undeliverable(letter, silence)
            self._park(item, silence.reason)
            return
        pause = PAUSES[min(item.attempts, len(PAUSES)) - 1]
        due = self.clock.now() + timedelta(seconds=pause)
        with writing(self.office.inner) as conn:
            queue.again(conn, inner.outbox, item, due_at=due, error=silence.reason)

    def _undeliverable(self, letter: Letter, why: Refusal | Unavailable) -> None:
        now = self.clock.now()
        if letter.topic is Topic.HOLDINGS:
            self.peers.lookups.undeliverable(letter, now=now)
            return
        reason, facts = why.reason, dict(why.facts)
        if isinstance(why, Unavailable) and letter.topic is Topic.FETCH and reason is not Reason.EXCHANGE_UNREACHABLE:
            reason, facts = Reason.LIBRARY_UNREACHABLE, {"what": letter.to}
        self.peers.desk.undeliverable(letter, reason=reason, facts=facts, now=now)

    def _hand_over(self, item: Item) -> None:
        """A sheet or an end for the phone: the hand-over store compares and swaps, so twice is once."""
        now = self.clock.now()
        body: dict[str, Any] = dict(item.body)
        if item.kind == "sheet":
            self._put_sheet(item, body, now)
        elif not self._put_end(item.ref, body, now):
            # Its forerunner is still with another worker; the order of the states is kept by waiting for it.
            with writing(self.office.inner) as conn:
                queue.again(conn, inner.outbox, item, due_at=now + timedelta(seconds=PAUSES[0]), error="early")
            return
        self.office.wake(showing_topic(item.ref))
        self._done(item)

    def _put_sheet(self, item: Item, body: dict[str, Any], now: datetime) -> None:
        with writing(self.office.handover) as conn:
            moved = handover.move(
                conn,
                item.ref,
                to=SHOWING.target("claim"),
                frm=SHOWING.sources("claim"),
                now=now,
                sheet=json.dumps(body["sheet"], ensure_ascii=False),
                request_digest=body["request"],
                asked_at=now,
            )
        if not moved:
            self.peers.consents.overtaken(item.ref, body["request"], now=now)

    def _put_end(self, showing_id: str, body: dict[str, Any], now: datetime) -> bool:
        """Whether the showing has come to this state, or can no longer."""
        columns: dict[str, Any] = {}
        if body["reason"] is not None:
            columns["reason"] = body["reason"]
        if body["result"] is not None:
            columns["result"] = json.dumps(body["result"], ensure_ascii=False)
        target = SHOWING.target(body["event"])
        with writing(self.office.handover) as conn:
            if handover.move(conn, showing_id, to=target, frm=SHOWING.sources(body["event"]), now=now, **columns):
                return True
            showing = handover.find(conn, showing_id)
        return showing is None or showing.state == target or showing.state in SHOWING.ends

    def _errands(self) -> int:
        items = self._take(self.office.handover, handover.errands)
        for item in items:
            self._errand(item)
        return len(items)

    def _errand(self, item: Item) -> None:
        now = self.clock.now()
        try:
            if item.kind == "holdings":
                self.peers.lookups.ask(item, now=now)
                return  # finished when the libraries have answered
            if item.kind == "approval":
                self.peers.consents.approve(item.ref, item.body["approval"], now=now)
            else:
                self.peers.consents.withdraw(item.ref, item.body["approval"], now=now)
        except Refusal as no:
            self.log.warning("errand_refused", kind=item.kind, reason=no.reason, detail=no.detail)
            answer = json.dumps({"reason": no.reason})
        else:
            answer = "{}"
        with writing(self.office.handover) as conn:
            queue.finish(conn, handover.errands, item, now=now, answer=answer)

    def _expire(self, now: datetime) -> int:
        done = self.peers.consents.expire(now=now)
        done += self.peers.desk.expire(now=now)
        done += self.peers.lookups.expire(now=now)
        done += self._expire_showings(now)
        attempt(self.office.inner, lambda conn: inner.forget_uses(conn, expired_before=now - timedelta(minutes=1)))
        return done

    def _expire_showings(self, now: datetime) -> int:
        with reading(self.office.handover) as conn:
            rows = handover.past(conn, states=("OPEN",), expired_by=now, limit=100)
        for row in rows:
            with writing(self.office.handover) as conn:
                handover.move(
                    conn,
                    row.showing_id,
                    to=SHOWING.target("expire"),
                    frm=SHOWING.sources("expire"),
                    now=now,
                    reason=Reason.CODE_EXPIRED.value,
                )
            self.office.wake(showing_topic(row.showing_id))
        return len(rows)

    def _done(self, item: Item) -> None:
        with writing(self.office.inner) as conn:
            queue.finish(conn, inner.outbox, item, now=self.clock.now())

    def _park(self, item: Item, reason: Reason) -> None:
        with writing(self.office.inner) as conn:
            queue.park(conn, inner.outbox, item, now=self.clock.now(), error=reason)
