"""Objections come in: a citizen says that something is wrong with an entry of the history (A49). Their desk comes later.

 1. `object`     an errand of wallet_api, under a fresh login; the text is enveloped to the inner network, because citizens
                 write names. It goes to the province whose history has the entry, which may be another app's.
 2. `asked`      there: the entry is the person's own, it has no open objection, and then it has one. The step that failed,
                 the reason and the digests of request and receipt are attached by itself, from the entry.
 3. `told`       its number, or why there is none

The same objection sent again has the same number. Another one to the same entry waits until the first is dealt with.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Connection

from consent.answer import seal_answer
from consent.b64 import digest_of
from consent.envelope import belongs_to
from consent.errors import Reason, Refusal
from consent.holding import holder_index
from consent.ledger import Act
from consent.seal import signed_digest, strict_json
from consent.shapes import BASE64URL, Members, Shape, Text, choice
from consent.showing import HOLDER, open_holder
from consent.stores.base import attempt
from consent.stores.queue import Item
from consent.transport import Letter, Topic
from verifier.history import End, holder_name
from verifier.library.vault import Vault
from verifier.looking import ENTRY_ID, objection_number, question_of
from verifier.office import Office
from verifier.rounds import Heard, Rounds
from verifier.stores import inner
from verifier.stores.history import EntryRow, add_objection, find_entry, open_objection
from verifier.stores.ledger import append

TEXT: Final = 500  # characters


class Wrong(StrEnum):
    """What can be wrong: the four kinds of A49, and data that are not right."""

    UNIT_CANNOT_RETRIEVE = "UNIT_CANNOT_RETRIEVE"
    UNIT_CANNOT_VERIFY = "UNIT_CANNOT_VERIFY"
    CITIZEN_CANNOT_OBTAIN = "CITIZEN_CANNOT_OBTAIN"
    CITIZEN_CANNOT_SHOW = "CITIZEN_CANNOT_SHOW"
    DATA_WRONG = "DATA_WRONG"


class Step(StrEnum):
    """The steps of a visit; NONE where none failed."""

    SHOW = "SHOW"
    ASK = "ASK"
    AGREE = "AGREE"
    FETCH = "FETCH"
    ADMIT = "ADMIT"
    NONE = "NONE"


_AGREEING: Final = (
    Reason.DECLINED,
    Reason.TIMED_OUT,
    Reason.NOT_AUTHORISED,
    Reason.DIGITS_WRONG,
    Reason.DECLARATION_MISSING,
    Reason.APPROVAL_MISMATCH,
    Reason.APPROVAL_METHOD_NOT_ALLOWED,
    Reason.FACE_NOT_MATCHED,
    Reason.AMBIGUOUS,
    Reason.WITHDRAWN,
)
_FETCHING: Final = (
    Reason.NOT_FOUND,
    Reason.NOT_DIGITISED,
    Reason.LIBRARY_UNREACHABLE,
    Reason.EXCHANGE_UNREACHABLE,
    Reason.CHANNEL_SUSPENDED,
    Reason.DEADLINE,
    Reason.CONSENT_EXPIRED,
    Reason.CONSENT_MISMATCH,
    Reason.CONSENT_SPENT,
)
_ADMITTING: Final = (Reason.CERTIFICATE_NOT_VALID, Reason.ENVELOPE_UNREADABLE)

_ENTRY: Final = Text(25, 25, ENTRY_ID)
_TEXT: Final = Text(TEXT, 0, re.compile(r"[^\x00-\x09\x0b-\x1f\x7f]*"))  # no controls, except line ends
OBJECTION: Final[Mapping[str, Shape]] = {"entry": _ENTRY, "kind": choice(*Wrong), "text": _TEXT}

_ERRAND: Final = Members(
    {
        "holder": Text(HOLDER.max_length),
        "app": Text(64),
        "entry": _ENTRY,
        "kind": choice(*Wrong),
        "text": Text(6000, 1, BASE64URL),
    }
)
_NOTE: Final = Members({"text": _TEXT})
_NUMBER: Final = Members({"number": Text(40, 1, re.compile(r"[1-9][0-9]-[0-9]+"))})


def note_info(province: str, ref: str) -> str:
    """What the envelope around an objection's text belongs to; `ref` is the errand's."""
    return belongs_to("objection", province, ref)


def failing_step(row: EntryRow) -> Step:
    """Where a visit failed, as far as its entry knows."""
    if row.outcome in (End.PASSED, End.ASKED):
        return Step.NONE
    if row.reason is None:
        return Step.AGREE
    reason = Reason(row.reason)
    if row.request_digest is None or reason.startswith("CODE_"):
        return Step.SHOW if reason.startswith("CODE_") else Step.ASK
    for step, reasons in ((Step.AGREE, _AGREEING), (Step.FETCH, _FETCHING), (Step.ADMIT, _ADMITTING)):
        if reason in reasons:
            return step
    return Step.ADMIT if reason.startswith("DOCUMENT_") else Step.ASK


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """Objections of this province's citizens, and those to this province's entries."""

    office: Office
    rounds: Rounds
    vault: Vault

    def object(self, item: Item, *, now: datetime) -> None:
        """Take an errand "objection"; Refusal where it proves nothing or reads as none."""
        office = self.office
        if not _ERRAND.fits(dict(item.body)):
            raise Refusal(Reason.BODY_INVALID, detail="errand")
        holder = open_holder(item.body["holder"], office.ring, province=office.province, now=now)
        raw = office.envelope_key.open(item.body["text"], info=note_info(office.province, item.ref))
        note = strict_json(raw, depth=1, members=1)
        if not _NOTE.fits(note):
            raise Refusal(Reason.BODY_INVALID, detail="the text of an objection")
        index = holder_index(holder.person(office.envelope_key).id_number, office.index_key)
        content = {"entry": item.body["entry"], "kind": item.body["kind"], "text": note["text"]}
        home = item.body["entry"].partition(".")[0]
        if home not in office.scopes:
            raise Refusal(Reason.ENTRY_UNKNOWN, detail="no such province")
        self.rounds.begin(item, (home,), Topic.OBJECT, content, holder=holder, index=index, now=now)

    def asked(self, content: Mapping[str, Any], letter: Letter, *, now: datetime) -> None:
        """An objection to an entry of ours, by the person whom the question names."""
        office = self.office
        question = question_of(office, content["question"], letter, now=now)
        name = holder_name(question.claims["holder"], office.history_key)

        def take(conn: Connection) -> None:
            try:
                payload = {"number": self._number(conn, content, name, question.digest, now=now)}
                reason = None
            except Refusal as no:
                payload, reason = {}, no.reason
            answer = seal_answer(
                office.answer_key,
                to=letter.sender,
                question=question.digest,
                reason=reason,
                payload=json.dumps(payload).encode(),
                recipient=office.keylist.recipient(letter.sender),
                now=now,
            )
            said = {"question": question.digest, "answer": answer}
            reply = office.letter(letter.sender, Topic.OBJECTED, said, request_id=letter.request_id)
            inner.post(conn, reply, ref=question.digest, now=now, once_key=f"objected:{question.digest}")

        attempt(office.inner, take)
        office.wake_worker()

    def _number(self, conn: Connection, content: Mapping[str, Any], name: str, question: str, *, now: datetime) -> str:
        province, _, entry = content["entry"].partition(".")
        row = find_entry(conn, inner.history, entry, name)
        if row is None or province != self.office.province:
            raise Refusal(Reason.ENTRY_UNKNOWN, detail="not an entry of this person")
        same = digest_of(f"{content['kind']}\n{content['text']}".encode())
        receipt = None if row.receipt is None else signed_digest(row.receipt)
        number = add_objection(
            conn,
            inner.history,
            entry=entry,
            holder=name,
            kind=content["kind"],
            text=self.vault.close(content["text"].encode(), place=place(question)),
            question=question,
            content=same,
            step=failing_step(row),
            reason=row.reason,
            request_digest=row.request_digest,
            receipt_digest=receipt,
            at=now,
        )
        if number is None:
            found = open_objection(conn, inner.history, entry)
            if found is None or found.content != same:
                raise Refusal(Reason.OBJECTION_OPEN, detail="another objection is open")
            return objection_number(province, found.id)
        said = {"entry": entry, "kind": content["kind"], "request": row.request_digest, "receipt": receipt}
        append(conn, inner.ledger, Act.OBJECTED, {**said, "number": number, "for": self.office.province}, now=now)
        return objection_number(province, number)

    def told(self, content: Mapping[str, Any], letter: Letter, *, now: datetime) -> None:
        """What became of an objection of ours."""
        answer = self.rounds.answer(content, letter, now=now)
        if answer.reason is not None:
            self.rounds.heard(content["question"], {"reason": answer.reason}, now=now)
            return
        found = strict_json(answer.payload(self.office.envelope_key), depth=1, members=1)
        if not _NUMBER.fits(found):
            raise Refusal(Reason.DOCUMENT_CLAIMS, detail="objection")
        self.rounds.heard(content["question"], found, now=now)


def place(question: str) -> str:
    """Where an objection's text stands, for the vault."""
    return f"objections|text|{question}"


def outcome(heard: Mapping[str, Heard], silent: list[str]) -> Mapping[str, Any]:
    """The answer of an errand "objection": its number, or the reason why there is none."""
    for found in heard.values():
        return found
    return {"reason": Reason.EXCHANGE_UNREACHABLE, "what": silent[0]}
