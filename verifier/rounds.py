"""A round: one errand of wallet_api becomes a sealed question to one or more provinces, and their answers its answer.

    history      all four provinces, each for what its own app's history has of the person
    objection    the province whose history has the entry

 1. `begin`      the questions and their letters, in one transaction; a worker that died over the errand left them behind
 2. `heard`      one province's answer, which its seal ties to the question
 3. `silent`     the letter could not be delivered, or five seconds are over
 4. the errand is finished once nobody is waited for. A province that said nothing is named, never left out.

What comes after that is too late: whoever asked has read an answer, and asks again if a province was silent in it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection

from consent.answer import Answer, open_answer
from consent.b64 import new_id
from consent.errors import Reason, Refusal
from consent.holding import seal_holding
from consent.seal import signed_digest
from consent.showing import Holder
from consent.stores import handover
from consent.stores.base import attempt, reading
from consent.stores.queue import Item, settle
from consent.transport import Letter, Topic
from verifier.office import Office
from verifier.stores import inner
from verifier.stores.history import (
    add_look,
    forget_looks,
    look_of,
    looks_of_errand,
    note_look,
    overdue_looks,
)

PATIENCE: Final = timedelta(seconds=5)
KEPT: Final = timedelta(minutes=30)

Heard = Mapping[str, Any]
Compose = Callable[[Mapping[str, Heard], list[str]], Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rounds:
    """The rounds of one province. `compose` makes the errand's answer, by kind, from what was heard and who was silent."""

    office: Office
    compose: Mapping[str, Compose]

    def begin(
        self,
        item: Item,
        provinces: tuple[str, ...],
        topic: Topic,
        content: Mapping[str, Any],
        *,
        holder: Holder,
        index: str,
        now: datetime,
    ) -> None:
        """Ask each of these provinces the same, under the holder's login. `content` goes beside the question."""
        office = self.office
        questions = {
            code: seal_holding(office.consent_key, library=code, holder=index, under=holder.sealed.digest, now=now)
            for code in provinces
        }

        def put(conn: Connection) -> None:
            for code, question in questions.items():
                columns = {
                    "errand": item.id,
                    "province": code,
                    "kind": item.kind,
                    "attempt": item.attempts,
                    "ref": item.ref,
                    "question": signed_digest(question),
                    "asked_at": now,
                }
                if not add_look(conn, inner.history, **columns):
                    return  # asked before, by a worker that died meanwhile: the errand is ours now
                letter = office.letter(code, topic, {**content, "question": question}, request_id=new_id())
                inner.post(conn, letter, ref=signed_digest(question), now=now)

        attempt(office.inner, put)
        office.wake_worker()
        self._complete(item.id, now=now)

    def answer(self, content: Mapping[str, Any], letter: Letter, *, now: datetime) -> Answer:
        """A province's answer to a question of ours; Refusal REQUEST_UNKNOWN or DOCUMENT_…"""
        with reading(self.office.inner) as conn:
            look = look_of(conn, inner.history, content["question"])
        if look is None or look.province != letter.sender:
            raise Refusal(Reason.REQUEST_UNKNOWN, detail="nothing was asked there")
        return open_answer(
            content["answer"],
            self.office.ring,
            issuer=letter.sender,
            audience=self.office.province,
            question=content["question"],
            now=now,
        )

    def heard(self, question: str, found: Heard, *, now: datetime) -> None:
        """Keep what a province said, once."""
        self._note(question, "ANSWERED", json.dumps(dict(found), ensure_ascii=False), now=now)

    def silent(self, question: str, *, now: datetime) -> None:
        """A question (its digest) that cannot be delivered."""
        self._note(question, "SILENT", None, now=now)

    def expire(self, *, now: datetime, limit: int = 100) -> int:
        """Call provinces silent that have had their time; returns how many."""
        with reading(self.office.inner) as conn:
            late = overdue_looks(conn, inner.history, asked_before=now - PATIENCE, limit=limit)
        for question in late:
            self.silent(question, now=now)
        return len(late)

    def forget(self, *, now: datetime) -> None:
        """Forget old answers: whoever asked has them."""
        attempt(self.office.inner, lambda conn: forget_looks(conn, inner.history, asked_before=now - KEPT))

    def _note(self, question: str, state: str, found: str | None, *, now: datetime) -> None:
        with reading(self.office.inner) as conn:
            look = look_of(conn, inner.history, question)
        if look is not None and attempt(
            self.office.inner, lambda conn: note_look(conn, inner.history, question, state, found)
        ):
            self._complete(look.errand, now=now)

    def _complete(self, errand: int, *, now: datetime) -> None:
        """Write the answer once nobody is waited for. Two that finish at once write the same."""
        with reading(self.office.inner) as conn:
            looks = looks_of_errand(conn, inner.history, errand)
        if any(look.state == "WAITING" for look in looks):
            return
        first = looks[0]
        heard = {look.province: json.loads(look.found) for look in looks if look.found is not None}
        silent = [look.province for look in looks if look.found is None]
        answer = json.dumps(self.compose[first.kind](heard, silent), ensure_ascii=False)
        token = first.attempt
        attempt(
            self.office.handover,
            lambda conn: settle(conn, handover.errands, errand, token, now=now, answer=answer),
        )
        self.office.wake(f"{first.kind}:{first.ref}")
