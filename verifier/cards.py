"""The card route at the desk's own province: no phone, the same gates, the same receipt (A29, A30).

The desk opens the visit as always (`desk.present`), with the reader's word in place of a code, and asks its own province.

`claim`, from the desk's letter to ourselves:
 1. request      ours; the reader of that very window read the card for it
 2. method       the matter takes an answer at the counter
 3. **C1**       the claim, unique for the card, its ledger entry and its place in the holder's history

`answer`, from the counter:
 4. the pad of that very window signed an answer to this request; declined ends it
 5. declaration  every one that the matter needs; method one that the matter takes
 6. the four libraries are asked who holds what; before the holder has agreed nobody may be told

`found`, when all have answered or are silent:
 7. exactly one certificate of the type, else the visit ends: ambiguity is refused, never chosen
 8. **C2**       `consents.consent`; the desk fetches, and the library checks the words of reader and pad itself (`evidence`)
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final

from sqlalchemy import Connection

from consent.approval import Decision
from consent.b64 import digest_of, new_id
from consent.card import METHODS, CardRead, PadAnswer, open_card, open_pad
from consent.clock import shanghai_date
from consent.code import Form
from consent.errors import Outcome, Reason, Refusal, Unavailable, outcome_of
from consent.grant import Consent
from consent.holding import holder_index, seal_holding
from consent.ledger import Act
from consent.people import CitizenId
from consent.provinces import provinces
from consent.request import Request, open_aside, open_request
from consent.seal import signed_digest
from consent.showing import Person
from consent.states import CLAIM
from consent.stores.base import attempt, reading
from consent.transport import Letter, Topic
from verifier.admit import Permitted
from verifier.consents import ANSWER_WITHIN, Agreed, Consents
from verifier.history import History
from verifier.lookups import heard
from verifier.office import Office
from verifier.sheet import write_sheet
from verifier.stores import cards, inner
from verifier.stores.inner import ClaimRow
from verifier.stores.ledger import append

PATIENCE: Final = timedelta(seconds=5)
KEPT: Final = timedelta(minutes=30)


def is_card(text: str) -> bool:
    """Whether a desk's letter brings a reader's word instead of a code."""
    return text.startswith("eyJ")


def showing_of(card_jwt: str) -> str:
    """What stands for the showing: one name for each card that was read, so that it is claimed once."""
    return sha256(signed_digest(card_jwt).encode()).hexdigest()[:24]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cards:
    """Visits without a phone, at one province's counters."""

    office: Office
    consents: Consents

    # The claim ----------------------------------------------------------------------------------------------

    def claim(self, content: Mapping[str, Any], letter: Letter, *, now: datetime) -> None:
        """Steps 1 to 3. A refusal goes to our own desk as a letter."""
        province = self.office.province
        request = open_request(content["request"], self.office.ring, holder_province=province, now=now)  # 1
        if letter.sender != province or request.desk != province:
            raise Refusal(Reason.SENDER_UNKNOWN, detail="a card is read at the desk's own province")
        with reading(self.office.inner) as conn:
            if inner.claim_of_request(conn, request.digest) is not None:
                return
        try:
            may = self.office.judge(request)
            card = self._card(request, content["code"], now=request.sealed.issued_at)
            aside = open_aside(content["aside"], self.office.envelope_key, request)
            person = card.person(self.office.envelope_key)
            if aside.id_number != CitizenId.parse(person.id_number, today=shanghai_date(now)).compare_key:
                raise Refusal(Reason.HOLDER_MISMATCH, detail="the card and the request name different people")
            if not set(METHODS) & set(may.matter.methods):  # 2
                raise Refusal(Reason.APPROVAL_METHOD_NOT_ALLOWED, detail=f"a card for {may.matter.slug}")
            self._claim(request, content["code"], person, digits=aside.digits, now=now)  # 3
        except Refusal as no:
            self.consents.refuse(request, no.reason, None, now=now)

    def _card(self, request: Request, text: str, *, now: datetime) -> CardRead:
        if digest_of(text.encode()) != request.ask.code:
            raise Refusal(Reason.DOCUMENT_CLAIMS, detail="not the card that the request names")
        return open_card(
            text,
            self.office.ring,
            province=request.desk,
            window=request.ask.window,
            request_id=request.id,
            now=now,
        )

    def _claim(self, request: Request, card_jwt: str, person: Person, *, digits: str, now: datetime) -> None:
        row = ClaimRow(
            showing_id=showing_of(card_jwt),
            desk=request.desk,
            window=request.ask.window,
            request_id=request.id,
            request_digest=request.digest,
            request=request.sealed.text,
            digits=digits,
            state=CLAIM.start,
            reason=None,
            approval_digest=None,
            consent=None,
            reply=None,
            claimed_at=now,
            answer_by=now + ANSWER_WITHIN,
            named=Form.CARD.value,
        )
        history = History(office=self.office)
        past = history.entry(row.showing_id, person, request, now=now)

        def c1(conn: Connection) -> None:
            if not inner.add_claim(conn, row):
                raise Refusal(Reason.CODE_ALREADY_USED, detail="this card was claimed by another request")
            append(conn, inner.ledger, Act.CLAIMED, {"request": request.digest, "desk": request.desk}, now=now)
            cards.add(conn, request.digest, card_jwt, now=now)
            history.asked(conn, past)

        attempt(self.office.inner, c1)

    # The answer ---------------------------------------------------------------------------------------------

    def sheet(self, window: str, request_id: str, *, now: datetime) -> dict[str, Any]:
        """What the person at the counter reads before signing, in the register's words."""
        claim, request, may = self._open(window, request_id)
        return write_sheet(request, may, digits=(), asked_at=claim.claimed_at, answer_by=claim.answer_by)

    def answer(self, window: str, request_id: str, pad_jwt: str, *, now: datetime) -> None:
        """Steps 4 to 6. The same answer again changes nothing; another one is STATE_FORBIDS."""
        claim, request, may = self._open(window, request_id)
        if claim.state != CLAIM.start:
            raise Refusal(Reason.STATE_FORBIDS, detail=f"answer in {claim.state}")
        if claim.answer_by < now:
            raise Refusal(Reason.TIMED_OUT, detail="the answer came after its time")
        pad = self._pad(request, pad_jwt, now=now)  # 4
        if pad.decision is Decision.DECLINE:
            self.consents.close(claim, request, Act.DECLINED, Reason.DECLINED, pad.sealed, now=now)
            return
        try:
            if pad.method not in may.matter.methods:  # 5
                raise Refusal(Reason.APPROVAL_METHOD_NOT_ALLOWED, detail=pad.method)
            if missing := set(request.ask.declarations) - set(pad.declarations):
                raise Refusal(Reason.DECLARATION_MISSING, detail=", ".join(sorted(missing)))
        except Refusal as no:
            self.consents.close(claim, request, Act.REFUSED, no.reason, pad.sealed, now=now)
            return
        self._ask(request, pad_jwt, now=now)  # 6

    def _pad(self, request: Request, text: str, *, now: datetime) -> PadAnswer:
        return open_pad(
            text,
            self.office.ring,
            province=request.desk,
            window=request.ask.window,
            request_digest=request.digest,
            now=now,
        )

    def _open(self, window: str, request_id: str) -> tuple[ClaimRow, Request, Permitted]:
        with reading(self.office.inner) as conn:
            visit = inner.find_visit(conn, window, request_id)
            claim = None if visit is None else inner.claim_of_request(conn, visit.request_digest)
        if claim is None or claim.named != Form.CARD.value:
            raise Refusal(Reason.REQUEST_UNKNOWN, detail="no visit of the card route at this window")
        request = self.consents.request_of(claim)
        return claim, request, self.office.judge(request)

    def _ask(self, request: Request, pad_jwt: str, *, now: datetime) -> None:
        """Keep the pad's word and ask every library, in one transaction."""
        office = self.office

        def put(conn: Connection) -> None:
            if not cards.answer(conn, request.digest, pad_jwt):
                kept = cards.find(conn, request.digest)
                if kept is None or kept.pad_jwt != pad_jwt:
                    raise Refusal(Reason.STATE_FORBIDS, detail="answered before")
                return
            kept = cards.find(conn, request.digest)
            person = self._card(request, kept.card_jwt, now=kept.at).person(office.envelope_key) if kept else None
            if person is None:
                raise Refusal(Reason.REQUEST_UNKNOWN, detail="no card")
            index = holder_index(person.id_number, office.index_key)
            under = signed_digest(pad_jwt)
            for library in provinces():
                question = seal_holding(office.consent_key, library=library, holder=index, under=under, now=now)
                cards.ask(conn, request.digest, library, signed_digest(question), now=now)
                letter = office.letter(library, Topic.HOLDINGS, {"question": question}, request_id=new_id())
                inner.post(conn, letter, ref=signed_digest(question), now=now)
            append(conn, inner.ledger, Act.LOOKED, {"under": under}, now=now)

        attempt(office.inner, put)
        office.wake_worker()

    # The libraries ------------------------------------------------------------------------------------------

    def held(self, content: Mapping[str, Any], letter: Letter, *, now: datetime) -> bool:
        """One library's answer; False where the question was none of ours."""
        question = content["question"]
        with reading(self.office.inner) as conn:
            row = cards.asked(conn, question)
        if row is None:
            return False
        if row.library != letter.sender:
            raise Refusal(Reason.REQUEST_UNKNOWN, detail="nothing was asked there")
        text = heard(self.office, content, letter, now=now)
        self._note(question, row.request_digest, "ANSWERED", text, now=now)
        return True

    def silent(self, question: str, *, now: datetime) -> None:
        """A question that could not be delivered; nothing happens where it was none of ours."""
        with reading(self.office.inner) as conn:
            row = cards.asked(conn, question)
        if row is not None:
            self._note(question, row.request_digest, "SILENT", None, now=now)

    def expire(self, *, now: datetime, limit: int = 100) -> int:
        """Call libraries silent that have had their time; returns how many."""
        with reading(self.office.inner) as conn:
            late = cards.overdue(conn, before=now - PATIENCE, limit=limit)
        for question in late:
            self.silent(question, now=now)
        return len(late)

    def forget(self, *, now: datetime) -> None:
        """Forget who stood at a counter."""
        attempt(self.office.inner, lambda conn: cards.forget(conn, before=now - KEPT))

    def _note(self, question: str, request_digest: str, state: str, found: str | None, *, now: datetime) -> None:
        attempt(self.office.inner, lambda conn: cards.note(conn, question, state, found))
        self._found(request_digest, now=now)

    def _found(self, request_digest: str, *, now: datetime) -> None:
        """Steps 7 and 8, once no library is waited for. Twice is once: the claim takes one answer."""
        with reading(self.office.inner) as conn:
            said = cards.said(conn, request_digest)
            card = cards.find(conn, request_digest)
            claim = inner.claim_of_request(conn, request_digest)
        waiting = any(row.state == "WAITING" for row in said)
        if waiting or card is None or card.pad_jwt is None or claim is None or claim.state != CLAIM.start:
            return
        request = self.consents.request_of(claim)
        pad = self._pad(request, card.pad_jwt, now=card.at)
        person = self._card(request, card.card_jwt, now=card.at).person(self.office.envelope_key)
        answers = {row.library: json.loads(row.found) for row in said if row.found is not None}
        try:
            certificate = the_one(request.ask.type, answers)  # 7
        except (Refusal, Unavailable) as no:
            act = Act.UNDETERMINED if outcome_of(no.reason) is Outcome.UNDETERMINED else Act.REFUSED
            self.consents.close(claim, request, act, no.reason, pad.sealed, now=now)
            return
        agreed = Agreed(method=pad.method, sealed=pad.sealed)
        self.consents.consent(claim, person, request, agreed, certificate, now=now)  # 8


def the_one(type_: str, answers: Mapping[str, Mapping[str, Any]]) -> str:
    """The one certificate of that type; a valid one comes before those that are no more. `answers` by library."""
    found = [each for said in answers.values() for each in said["certificates"] if each["type"] == type_]
    valid = [each for each in found if each["status"] == "VALID"] or found
    if silent := [code for code in provinces() if code not in answers]:
        raise Unavailable(Reason.LIBRARY_UNREACHABLE, what=silent[0])
    if len(valid) > 1:
        raise Refusal(Reason.AMBIGUOUS, detail="more than one")
    if not valid:
        undigitised = any(said["undigitised"] for said in answers.values())
        raise Refusal(Reason.NOT_DIGITISED if undigitised else Reason.NOT_FOUND)
    return str(valid[0]["certificate"])


def judge_evidence(request: Request, consent: Consent, evidence: Mapping[str, str] | None, office: Office) -> None:
    """At the library: a consent that was given at a counter stands on the words of that window's own devices.

    Both are judged as of the moment at which the consent was sealed. Refusal APPROVAL_MISMATCH where one is missing or
    another, DOCUMENT_… where one does not hold.
    """
    if (consent.method in METHODS) != (evidence is not None):
        raise Refusal(Reason.APPROVAL_MISMATCH, detail="evidence and method do not belong together")
    if evidence is None:
        return
    if digest_of(evidence["card"].encode()) != request.ask.code:
        raise Refusal(Reason.APPROVAL_MISMATCH, detail="another card")
    where = {"province": request.desk, "window": request.ask.window}
    asked_at, agreed_at = request.sealed.issued_at, consent.sealed.issued_at
    open_card(evidence["card"], office.ring, request_id=request.id, now=asked_at, **where)
    pad = open_pad(evidence["pad"], office.ring, request_digest=request.digest, now=agreed_at, **where)
    if (pad.sealed.digest, pad.method, pad.decision) != (consent.evidence, consent.method, Decision.AGREE):
        raise Refusal(Reason.APPROVAL_MISMATCH, detail="another answer")
