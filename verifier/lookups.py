"""Where are a citizen's certificates? All four libraries are asked at once; one that is silent is named, never guessed.

An errand of wallet_api carries the login assertion that allows the question. The answers go back to the hand-over store
as soon as every library has answered or is known to be silent: its letter could not be delivered, or five seconds are
over.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, insert, select, update

from consent.answer import open_answer
from consent.b64 import new_id
from consent.errors import Reason, Refusal
from consent.holding import holder_index, holdings_from, seal_holding
from consent.ledger import Act
from consent.provinces import provinces
from consent.seal import signed_digest
from consent.showing import open_holder
from consent.stores import handover
from consent.stores.base import attempt, inserted, reading
from consent.stores.queue import Item, settle
from consent.transport import Letter, Topic
from verifier.office import Office, showing_topic
from verifier.stores import inner
from verifier.stores.inner import lookups
from verifier.stores.ledger import append

PATIENCE: Final = timedelta(seconds=5)
KEPT: Final = timedelta(minutes=30)  # as long as a showing and its visit may last, and more


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookups:
    """The questions of one province's citizens."""

    office: Office

    def ask(self, item: Item, *, now: datetime) -> None:
        """Take an errand "holdings" and ask every library under its login assertion; Refusal where that does not hold."""
        office = self.office
        holder = open_holder(item.body["holder"], office.ring, province=office.province, now=now)
        index = holder_index(holder.person(office.envelope_key).id_number, office.index_key)
        questions = {
            library: seal_holding(
                office.consent_key, library=library, holder=index, under=holder.sealed.digest, now=now
            )
            for library in provinces()
        }

        def put(conn: Connection) -> None:
            for library, question in questions.items():
                row = {
                    "errand": item.id,
                    "library": library,
                    "attempt": item.attempts,
                    "ref": item.ref,
                    "showing_id": item.body.get("showing_id"),
                    "question": signed_digest(question),
                    "state": "WAITING",
                    "asked_at": now,
                }
                if not inserted(conn, insert(lookups).values(row)):
                    # Asked before, by a worker that died meanwhile: the errand is ours now, and so are its answers.
                    conn.execute(update(lookups).where(lookups.c.errand == item.id).values(attempt=item.attempts))
                    return
                letter = office.letter(library, Topic.HOLDINGS, {"question": question}, request_id=new_id())
                inner.post(conn, letter, ref=signed_digest(question), now=now)
            append(conn, inner.ledger, Act.LOOKED, {"under": holder.sealed.digest}, now=now)

        attempt(office.inner, put)
        office.wake_worker()
        self._complete(item.id, now=now)

    def held(self, content: Mapping[str, Any], letter: Letter, *, now: datetime) -> bool:
        """One library's answer; False where the question was none of ours."""
        with reading(self.office.inner) as conn:
            row = conn.execute(
                select(lookups.c.errand, lookups.c.library).where(lookups.c.question == content["question"])
            ).one_or_none()
        if row is None:
            return False
        if row.library != letter.sender:
            raise Refusal(Reason.REQUEST_UNKNOWN, detail="nothing was asked there")
        text = heard(self.office, content, letter, now=now)
        self._note(row.errand, row.library, "ANSWERED", text, now=now)
        return True

    def undeliverable(self, question: str, *, now: datetime) -> None:
        """A question (its digest) that could not be delivered: for it, that library is silent."""
        with reading(self.office.inner) as conn:
            rows = conn.execute(select(lookups.c.errand, lookups.c.library).where(lookups.c.question == question)).all()
        for row in rows:
            self._note(row.errand, row.library, "SILENT", None, now=now)

    def expire(self, *, now: datetime, limit: int = 100) -> int:
        """Call libraries silent that have had their time; returns how many."""
        with reading(self.office.inner) as conn:
            rows = conn.execute(
                select(lookups.c.errand, lookups.c.library)
                .where(lookups.c.state == "WAITING", lookups.c.asked_at < now - PATIENCE)
                .limit(limit)
            ).all()
        for row in rows:
            self._note(row.errand, row.library, "SILENT", None, now=now)
        return len(rows)

    def forget(self, *, now: datetime) -> None:
        """Forget old answers: whoever asked has them."""
        attempt(self.office.inner, lambda conn: inner.forget_lookups(conn, asked_before=now - KEPT))

    def _note(self, errand: int, library: str, state: str, found: str | None, *, now: datetime) -> None:
        c = lookups.c
        # A library that was called silent may still speak: the phone reads on, and late is better than never.
        before = ("WAITING", "SILENT") if state == "ANSWERED" else ("WAITING",)

        def note(conn: Connection) -> bool:
            changed = conn.execute(
                update(lookups)
                .where(c.errand == errand, c.library == library, c.state.in_(before))
                .values(state=state, found=found)
            ).rowcount
            return bool(changed)

        if attempt(self.office.inner, note):
            self._complete(errand, now=now)

    def _complete(self, errand: int, *, now: datetime) -> None:
        """Write the answer once no library is waited for. Two that finish at once write the same."""
        with reading(self.office.inner) as conn:
            rows = conn.execute(select(lookups).where(lookups.c.errand == errand)).all()
        if any(row.state == "WAITING" for row in rows):
            return
        founds = [json.loads(row.found) for row in rows if row.found is not None]
        answer = json.dumps(
            {
                "certificates": [each for found in founds for each in found["certificates"]],
                "undigitised": any(found["undigitised"] for found in founds),
                "silent": sorted(row.library for row in rows if row.state == "SILENT"),
            },
            ensure_ascii=False,
        )
        first = rows[0]

        def hand_over(conn: Connection) -> None:
            settle(conn, handover.errands, errand, first.attempt, now=now, answer=answer)
            if first.showing_id is not None:
                handover.note(conn, first.showing_id, now=now, holdings=answer)

        attempt(self.office.handover, hand_over)
        topic = f"lookup:{first.ref}" if first.showing_id is None else showing_topic(first.showing_id)
        self.office.wake(topic)


def heard(office: Office, content: Mapping[str, Any], letter: Letter, *, now: datetime) -> str:
    """What a library says to a question of ours, as we keep it; Refusal DOCUMENT_… where it is no answer to it."""
    answer = open_answer(
        content["answer"],
        office.ring,
        issuer=letter.sender,
        audience=office.province,
        question=content["question"],
        now=now,
    )
    found = holdings_from(answer.payload(office.envelope_key))
    return json.dumps(
        {"certificates": [asdict(each) for each in found.certificates], "undigitised": found.undigitised},
        ensure_ascii=False,
    )
