"""The card route at the desk's own province: no phone, the same gates, the same receipt (A29, A30).

The desk opens the visit as always (`desk.present`), with the reader's word in place of a code, and asks its own province.

`claim`, from the desk's letter to ourselves:
 1. request      ours; the reader of that very window read the card for it
 2. method       the matter takes an answer at the counter
 3. **C1**       the claim, unique for the card, its ledger entry and its place in the holder's history

`answer`, from the counter:
 4. the pad of that very window signed an answer to this request; declined ends it
 5. second officer  where the matter wants one, a staff card of the unit said so about this request; without it nothing ends,
                 and the counter may answer again in time
 6. declaration  every one that the matter needs; method one that the matter takes
 7. the four libraries are asked who holds what; before the holder has agreed nobody may be told

`found`, when all have answered or are silent:
 8. exactly one certificate of the type, else the visit ends: ambiguity is refused, never chosen
 9. **C2**       `consents.consent`; the desk fetches, and the library opens all these words itself (`library.evidence`)

Where the certificate is nobody knows before step 8. So the counter asks for a second officer where its own province or any
library's wants one.
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
from consent.attest import ATTEST, Attest, open_attest
from consent.b64 import digest_of, new_id
from consent.card import METHODS, PAD, CardRead, PadAnswer, open_card, open_pad
from consent.clock import shanghai_date
from consent.code import Form
from consent.errors import Outcome, Reason, Refusal, Unavailable, outcome_of
from consent.holding import holder_index, seal_holding
from consent.keys import Keys
from consent.ledger import Act
from consent.people import CitizenId
from consent.provinces import provinces
from consent.request import Request, open_aside, open_request
from consent.seal import signed_digest, unverified_issue
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
            card = self._card(request, content["code"], self.office.ring)
            aside = open_aside(content["aside"], self.office.envelope_key, request)
            person = card.person(self.office.envelope_key)
            if aside.id_number != CitizenId.parse(person.id_number, today=shanghai_date(now)).compare_key:
                raise Refusal(Reason.HOLDER_MISMATCH, detail="the card and the request name different people")
            if not set(METHODS) & set(may.matter.methods):  # 2
                raise Refusal(Reason.APPROVAL_METHOD_NOT_ALLOWED, detail=f"a card for {may.matter.slug}")
            self._claim(request, content["code"], person, digits=aside.digits, now=now)  # 3
        except Refusal as no:
            self.consents.refuse(request, no, None, now=now)

    def _card(self, request: Request, text: str, keys: Keys) -> CardRead:
        """The card of a request, as of the moment at which the desk took it: it lives for a minute, and people read longer."""
        if digest_of(text.encode()) != request.ask.code:
            raise Refusal(Reason.DOCUMENT_CLAIMS, detail="not the card that the request names")
        return open_card(
            text,
            keys,
            province=request.desk,
            window=request.ask.window,
            request_id=request.id,
            now=request.sealed.issued_at,
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
            cards.add(conn, inner.card_visits, request.digest, card_jwt, now=now)
            history.asked(conn, past)

        attempt(self.office.inner, c1)

    # The answer ---------------------------------------------------------------------------------------------

    def sheet(self, window: str, request_id: str, *, now: datetime) -> dict[str, Any]:
        """What the person at the counter reads before signing, in the register's words; `second_officer` says whether the
        answer wants a second officer's word beside it."""
        claim, request, may = self._open(window, request_id)
        sheet = write_sheet(request, may, digits=(), asked_at=claim.claimed_at, answer_by=claim.answer_by)
        return {**sheet, "second_officer": self.office.wants_second(may.matter)}

    def answer(
        self, window: str, request_id: str, pad_jwt: str, *, officer_jwt: str | None = None, now: datetime
    ) -> None:
        """Steps 4 to 7. The same answer again changes nothing; another one is STATE_FORBIDS.

        Refusal SECOND_OFFICER_MISSING, and DOCUMENT_… or APPROVAL_MISMATCH for words that are not about this request at this
        window: none of these ends anything.
        """
        claim, request, may = self._open(window, request_id)
        if claim.state != CLAIM.start:
            raise Refusal(Reason.STATE_FORBIDS, detail=f"answer in {claim.state}")
        if claim.answer_by < now:
            raise Refusal(Reason.TIMED_OUT, detail="the answer came after its time")
        pad = self._pad(request, pad_jwt, self.office.ring, now=now)  # 4
        if pad.decision is Decision.DECLINE:
            self.consents.close(claim, request, Act.DECLINED, Reason.DECLINED, pad.sealed, now=now)
            return
        attest = self._second(request, may, officer_jwt, now=now)  # 5
        try:
            if pad.method not in may.matter.methods:  # 6
                raise Refusal(Reason.APPROVAL_METHOD_NOT_ALLOWED, detail=pad.method)
            if missing := set(request.ask.declarations) - set(pad.declarations):
                raise Refusal(Reason.DECLARATION_MISSING, detail=", ".join(sorted(missing)))
        except Refusal as no:
            self.consents.close(claim, request, Act.REFUSED, no.reason, pad.sealed, now=now)
            return
        self._ask(request, pad_jwt, attest, now=now)  # 7

    def _second(self, request: Request, may: Permitted, text: str | None, *, now: datetime) -> Attest | None:
        """Where nobody asks for one, a second officer may confirm all the same, and is then judged like any other."""
        if text is not None:
            return open_attest(text, self.office.ring, request=request, now=now)
        if self.office.wants_second(may.matter):
            raise Refusal(Reason.SECOND_OFFICER_MISSING, detail=may.matter.slug)
        return None

    def _pad(self, request: Request, text: str, keys: Keys, *, now: datetime) -> PadAnswer:
        return open_pad(
            text,
            keys,
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

    def _ask(self, request: Request, pad_jwt: str, attest: Attest | None, *, now: datetime) -> None:
        """Keep the words and ask every library, in one transaction."""
        office, tables = self.office, inner.card_visits
        words = (pad_jwt, None if attest is None else attest.sealed.text)

        def put(conn: Connection) -> None:
            who = None if attest is None else attest.officer
            fresh = cards.answer(conn, tables, request.digest, words[0], officer_jwt=words[1], officer=who)
            kept = cards.find(conn, tables, request.digest)
            if kept is None:
                raise Refusal(Reason.REQUEST_UNKNOWN, detail="no card")
            if not fresh:
                if (kept.pad_jwt, kept.officer_jwt) != words:
                    raise Refusal(Reason.STATE_FORBIDS, detail="answered before")
                return
            if attest is not None:
                self._confirm(conn, request, attest)
            person = self._card(request, kept.card_jwt, office.archive).person(office.envelope_key)
            index = holder_index(person.id_number, office.index_key)
            under = signed_digest(pad_jwt)
            for library in provinces():
                question = seal_holding(office.consent_key, library=library, holder=index, under=under, now=now)
                cards.ask(conn, tables, request.digest, library, signed_digest(question), now=now)
                letter = office.letter(library, Topic.HOLDINGS, {"question": question}, request_id=new_id())
                inner.post(conn, letter, ref=signed_digest(question), now=now)
            append(conn, inner.ledger, Act.LOOKED, {"under": under}, now=now)

        attempt(office.inner, put)
        office.wake_worker()

    def _confirm(self, conn: Connection, request: Request, attest: Attest) -> None:
        """A staff card's word counts once, and the holder can read that there was a second officer."""
        sealed = attest.sealed
        if not inner.use_once(conn, sealed.issuer, sealed.jti, sealed.expires_at):
            raise Refusal(Reason.DOCUMENT_REPLAYED, detail="a staff card's word")
        History.confirmed(conn, request.digest, attest.officer)

    # The libraries ------------------------------------------------------------------------------------------

    def held(self, content: Mapping[str, Any], letter: Letter, *, now: datetime) -> bool:
        """One library's answer; False where the question was none of ours."""
        question = content["question"]
        with reading(self.office.inner) as conn:
            row = cards.asked(conn, inner.card_visits, question)
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
            row = cards.asked(conn, inner.card_visits, question)
        if row is not None:
            self._note(question, row.request_digest, "SILENT", None, now=now)

    def expire(self, *, now: datetime, limit: int = 100) -> int:
        """Call libraries silent that have had their time; returns how many."""
        with reading(self.office.inner) as conn:
            late = cards.overdue(conn, inner.card_visits, before=now - PATIENCE, limit=limit)
        for question in late:
            self.silent(question, now=now)
        return len(late)

    def forget(self, *, now: datetime) -> None:
        """Forget who stood at a counter."""
        attempt(self.office.inner, lambda conn: cards.forget(conn, inner.card_visits, before=now - KEPT))

    def _note(self, question: str, request_digest: str, state: str, found: str | None, *, now: datetime) -> None:
        attempt(self.office.inner, lambda conn: cards.note(conn, inner.card_visits, question, state, found))
        self._found(request_digest, now=now)

    def _found(self, request_digest: str, *, now: datetime) -> None:
        """Steps 8 and 9, once no library is waited for. Twice is once: the claim takes one answer."""
        with reading(self.office.inner) as conn:
            said = cards.said(conn, inner.card_visits, request_digest)
            card = cards.find(conn, inner.card_visits, request_digest)
            claim = inner.claim_of_request(conn, request_digest)
        waiting = any(row.state == "WAITING" for row in said)
        if waiting or card is None or card.pad_jwt is None or claim is None or claim.state != CLAIM.start:
            return
        request = self.consents.request_of(claim)
        pad, attest = self._kept(request, card.pad_jwt, card.officer_jwt)
        person = self._card(request, card.card_jwt, self.office.archive).person(self.office.envelope_key)
        answers = {row.library: json.loads(row.found) for row in said if row.found is not None}
        try:
            certificate = the_one(request.ask.type, answers)  # 8
        except (Refusal, Unavailable) as no:
            act = Act.UNDETERMINED if outcome_of(no.reason) is Outcome.UNDETERMINED else Act.REFUSED
            self.consents.close(claim, request, act, no.reason, pad.sealed, now=now)
            return
        agreed = Agreed(method=pad.method, sealed=pad.sealed, attest=attest)
        self.consents.consent(claim, person, request, agreed, certificate, now=now)  # 9

    def _kept(self, request: Request, pad_jwt: str, officer_jwt: str | None) -> tuple[PadAnswer, Attest | None]:
        """Both words as they were judged when they came in."""
        keys = self.office.archive
        pad = self._pad(request, pad_jwt, keys, now=unverified_issue(PAD, pad_jwt))
        if officer_jwt is None:
            return pad, None
        return pad, open_attest(officer_jwt, keys, request=request, now=unverified_issue(ATTEST, officer_jwt))


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
