"""`verifier work`: what a province does while nobody is waiting on the line.

Four rounds, each small and each safe to repeat, because every effect is keyed:
 1. outbox    letters to other provinces (through the exchange) or to ourselves; sheets and ends for the phones
 2. errands   what wallet_api asks: holdings, approvals, withdrawals, looks at the history, objections
 3. expiry    claims without an answer, visits without a certificate, libraries and provinces without a word, codes
              nobody scanned
 4. cleaning  uses of documents that have expired anyway, letters that arrived a day ago, keys and answers that nobody needs

A letter that nobody accepts is tried again with growing pauses, as long as it can still matter. A row that fails in a way
that nobody has foreseen, or whose worker dies over it again and again, is parked after some tries; the others flow on. The
errands are rows of the outer network, so any of them may hold anything.

Redis only says "look now"; without it the worker looks twice a second by itself.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, Engine, Table

from consent.clock import Clock
from consent.errors import Reason, Refusal, Unavailable
from consent.invitation import LENGTH as INVITATION_LENGTH
from consent.shapes import Members, Text
from consent.states import SHOWING
from consent.stores import handover, queue
from consent.stores.base import attempt, reading, writing
from consent.stores.queue import Item
from consent.stores.signals import Wake
from consent.telling import Log
from consent.transport import Letter, Topic, Transport, letter_from
from verifier.office import Office, errand_topic, outbox_topic, showing_topic
from verifier.peers import Peers
from verifier.stores import couples, inner

LEASE: Final = timedelta(seconds=30)
BATCH: Final = 16
TRIES: Final = 12  # for letters that only inform; then a person must look
PAUSES: Final = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)  # seconds between tries of one letter
SWEEP: Final = timedelta(seconds=1)
CLEANING: Final = timedelta(minutes=1)  # between two of them; nothing waits for it
KEPT: Final = timedelta(days=1)  # how long a letter that arrived stays; its once_key must outlive every document
_ERRAND: Final = Members({"approval": Text(2000)})
_COME: Final = Members({"counter": Text(INVITATION_LENGTH), "code": Text(600)})
# Tries while somebody stands at a counter, or looks at a phone.
_URGENT: Final = {Topic.ASK: 3, Topic.FETCH: 3, Topic.COME: 2, Topic.HOLDINGS: 1, Topic.HISTORY: 1, Topic.OBJECT: 2}


@dataclass(slots=True, kw_only=True)
class Worker:
    """One worker of one province. Several may run; leases keep them out of each other's way."""

    office: Office
    peers: Peers
    transport: Transport
    clock: Clock
    log: Log
    _swept: datetime | None = None
    _cleaned: datetime | None = None

    def run(self, stop: threading.Event, awake: threading.Event | None = None) -> None:
        """Work until told to stop. A round that fails for want of a database is tried again in the next.

        While `awake` is there and not set, the worker rests.
        """
        topics = (outbox_topic(self.office.province), errand_topic(self.office.province))
        with self.office.signals.listen(*topics) as ear:
            wake: Wake | None = None
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
                if done and wake is not None:
                    ear.useful(wake)
                wake = None if done else ear.wait(1.0)

    def run_once(self) -> int:
        """All four rounds; returns how much was done, 0 when there was nothing."""
        done = self._outbox() + self._errands()
        now = self.clock.now()
        if self._swept is None or now - self._swept >= SWEEP:
            self._swept = now
            done += self._expire(now)
        return done

    def _outbox(self) -> int:
        items = self._take(self.office.inner, inner.outbox)
        done = [item for item in items if self._guarded(item, self.office.inner, inner.outbox, self._carry)]
        if done:
            # One fsync for the batch. Whoever dies before it sends these again, and receivers bear that.
            with writing(self.office.inner) as conn:
                for item in done:
                    queue.finish(conn, inner.outbox, item, now=self.clock.now())
        return len(items)

    def _carry(self, item: Item) -> bool:
        return self._send(item) if item.kind == "letter" else self._hand_over(item)

    def _guarded(self, item: Item, engine: Engine, table: Table, work: Callable[[Item], bool]) -> bool:
        """What the work on one row says; whatever happens over it, the rows behind it are not held up."""
        try:
            if item.attempts > TRIES:
                raise Refusal(Reason.STATE_FORBIDS, detail="its workers die over it")
            return work(item)
        except (Refusal, Unavailable) as no:
            self.log.warning("row_waits", table=table.name, kind=item.kind, reason=no.reason, detail=no.detail)
            error: str = no.reason
        except Exception as fault:  # a row must not stop the others, whatever it holds
            # The type alone: a message may quote the row.
            self.log.error("row_failed", table=table.name, kind=item.kind, fault=type(fault).__name__)
            error = type(fault).__name__
        now = self.clock.now()
        with writing(engine) as conn:
            if item.attempts >= TRIES:
                queue.park(conn, table, item, now=now, error=error)
            else:
                queue.again(conn, table, item, due_at=now + _pause(item), error=error)
        return False

    def _take(self, engine: Engine, table: Table) -> list[Item]:
        now = self.clock.now()
        with reading(engine) as conn:
            # Most looks find nothing, and a write transaction costs an fsync even then.
            if not queue.due(conn, table, now=now):
                return []
        with writing(engine) as conn:
            return queue.take(conn, table, now=now, lease=LEASE, limit=BATCH)

    def _send(self, item: Item) -> bool:
        """Whether the letter has arrived; where not, its row says what becomes of it."""
        letter = letter_from(json.dumps(dict(item.body)).encode())
        try:
            if letter.to == self.office.province:
                self.peers.receive(letter, now=self.clock.now())
            else:
                self.transport.send(letter)
        except Refusal as no:
            self.log.warning("letter_refused", topic=letter.topic, to=letter.to, reason=no.reason, detail=no.detail)
            self._undeliverable(item, letter, no)
            self._park(item, no.reason)
            return False
        except Unavailable as silence:
            self._later(item, letter, silence)
            return False
        if letter.topic is Topic.COME:
            self._came(item.ref, None)
        return True

    def _later(self, item: Item, letter: Letter, silence: Unavailable) -> None:
        tries = _URGENT.get(letter.topic, TRIES)
        self.log.info("letter_waits", topic=letter.topic, to=letter.to, reason=silence.reason, attempt=item.attempts)
        if item.attempts >= tries:
            self._undeliverable(item, letter, silence)
            self._park(item, silence.reason)
            return
        with writing(self.office.inner) as conn:
            queue.again(conn, inner.outbox, item, due_at=self.clock.now() + _pause(item), error=silence.reason)

    def _undeliverable(self, item: Item, letter: Letter, why: Refusal | Unavailable) -> None:
        now = self.clock.now()
        if letter.topic is Topic.HOLDINGS:
            self.peers.lookups.undeliverable(item.ref, now=now)
            self.peers.cards.silent(item.ref, now=now)
            return
        if letter.topic is Topic.COME:
            self._came(item.ref, why.reason)
            return
        if letter.topic in (Topic.HISTORY, Topic.OBJECT):
            self.peers.rounds.silent(item.ref, now=now)
            return
        reason, facts = why.reason, dict(why.facts)
        if isinstance(why, Unavailable) and letter.topic is Topic.FETCH and reason is not Reason.EXCHANGE_UNREACHABLE:
            reason, facts = Reason.LIBRARY_UNREACHABLE, {"what": letter.to}
        self.peers.desk.undeliverable(letter, request=item.ref, reason=reason, facts=facts, now=now)

    def _hand_over(self, item: Item) -> bool:
        """A sheet or an end for the phone: the hand-over store compares and swaps, so twice is once. Whether it is done."""
        now = self.clock.now()
        body: dict[str, Any] = dict(item.body)
        if item.kind == "sheet":
            self._put_sheet(item, body, now)
        elif item.kind == "turned":
            self.peers.invitations.turned(item.ref, body["desk"], body["request"], body["answer"])
        elif not self._put_end(item.ref, body, now):
            # Its forerunner is still with another worker; the order of the states is kept by waiting for it.
            raise Refusal(Reason.STATE_FORBIDS, detail=f"{body['event']} is early")
        self.office.wake(showing_topic(item.ref))
        return True

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
        if body["reason"] is not None or body["result"] is not None:
            columns["reason"] = body["reason"]  # an end takes away what a pause has said
        if body["result"] is not None:
            columns["result"] = json.dumps(body["result"], ensure_ascii=False)
        target, sources = SHOWING.target(body["event"]), set(SHOWING.sources(body["event"]))
        pause = body["event"] == "undetermine" and body["result"] is None
        if pause:
            sources.discard("WITHDRAWING")  # a silent library is no answer to somebody who takes the consent back
        else:
            sources.add(target)  # a pause may have come first, but only the end brings the phone its last page
        with writing(self.office.handover) as conn:
            if body["event"] == "deliver":
                # Whoever wanted to take it back must read that it was too late.
                late = {**columns, "reason": Reason.WITHDRAWAL_TOO_LATE.value}
                if handover.move(conn, showing_id, to=target, frm={"WITHDRAWING"}, now=now, **late):
                    return True
                sources.discard("WITHDRAWING")
            if handover.move(conn, showing_id, to=target, frm=sources, now=now, **columns):
                return True
            showing = handover.find(conn, showing_id)
        passed_over = SHOWING.ends | {target, "WITHDRAWING"} if pause else SHOWING.ends
        return showing is None or showing.state in passed_over

    def _errands(self) -> int:
        items = self._take(self.office.handover, handover.errands)
        for item in items:
            self._guarded(item, self.office.handover, handover.errands, self._errand)
        return len(items)

    def _errand(self, item: Item) -> bool:
        now = self.clock.now()
        try:
            if item.kind == "holdings":
                self.peers.lookups.ask(item, now=now)
                return True  # finished when the libraries have answered
            if item.kind == "history":
                self.peers.looking.look(item, now=now)
                return True  # finished when the provinces have answered
            if item.kind == "objection":
                self.peers.intake.object(item, now=now)
                return True
            if item.kind == "come":
                if not _COME.fits(item.body):
                    raise Refusal(Reason.BODY_INVALID, detail="errand")
                self.peers.invitations.come(item, now=now)
                return True  # finished when the counter's province has answered
            if item.kind == "offer":
                offer = self.peers.offers.answer(item.body, now=now)
                return self._answer(item, json.dumps(offer, ensure_ascii=False), now=now)
            if not _ERRAND.fits(item.body):
                raise Refusal(Reason.BODY_INVALID, detail="errand")
            if item.kind == "approval":
                self.peers.consents.approve(item.ref, item.body["approval"], now=now)
            else:
                self.peers.consents.withdraw(item.ref, item.body["approval"], now=now)
        except Refusal as no:
            self.log.warning("errand_refused", kind=item.kind, reason=no.reason, detail=no.detail)
            answer = json.dumps({"reason": no.reason})
        else:
            answer = "{}"
        return self._answer(item, answer, now=now)

    def _came(self, ref: str, reason: Reason | None) -> None:
        """What became of a phone that went to a counter: the answer to its errand, named in the letter's `ref`."""
        errand, _, attempts = ref.partition(":")
        now = self.clock.now()
        answer = "{}" if reason is None else json.dumps({"reason": reason})
        with writing(self.office.handover) as conn:
            queue.settle(conn, handover.errands, int(errand), int(attempts), now=now, answer=answer)

    def _answer(self, item: Item, answer: str, *, now: datetime) -> bool:
        with writing(self.office.handover) as conn:
            return queue.finish(conn, handover.errands, item, now=now, answer=answer)

    def _expire(self, now: datetime) -> int:
        rounds: tuple[Callable[[], int], ...] = (
            lambda: self.peers.consents.expire(now=now),
            lambda: self.peers.desk.expire(now=now),
            lambda: self.peers.lookups.expire(now=now),
            lambda: self.peers.cards.expire(now=now),
            lambda: self.peers.rounds.expire(now=now),
            lambda: self._expire_showings(now),
            lambda: self._clean(now),
        )
        done = 0
        for each in rounds:
            try:
                done += each()
            except Refusal as no:  # a document of our own that no longer opens, because its key was taken off the list
                self.log.error("expiry_refused", reason=no.reason, detail=no.detail)
        return done

    def _clean(self, now: datetime) -> int:
        if self._cleaned is not None and now - self._cleaned < CLEANING:
            return 0
        self._cleaned = now
        self.peers.desk.forget(now=now)
        self.peers.lookups.forget(now=now)
        self.peers.cards.forget(now=now)
        self.peers.invitations.forget(now=now)
        self.peers.rounds.forget(now=now)

        def clean(conn: Connection) -> None:
            inner.forget_uses(conn, expired_before=now - timedelta(minutes=1))
            couples.forget(conn, inner.couples, before=now - KEPT)
            queue.forget(conn, inner.outbox, answered_before=now - KEPT)

        attempt(self.office.inner, clean)
        return 0

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

    def _park(self, item: Item, reason: Reason) -> None:
        with writing(self.office.inner) as conn:
            queue.park(conn, inner.outbox, item, now=self.clock.now(), error=reason)


def _pause(item: Item) -> timedelta:
    """How long to wait before the next try; longer each time."""
    return timedelta(seconds=PAUSES[min(item.attempts, len(PAUSES)) - 1])
