"""Letters that come in, by topic: to the desk, to the consents, to the library. Also the library's side of a visit.

A letter is accepted when its effect is committed; the sender may then forget it. Receiving it again has no second
effect. A Refusal means "never"; Unavailable means "send it again".

`fetch`, at the library, checks everything once more and believes nobody:
 1. consent     sealed by the province that it names, for this request, for this library
 2. request     sealed by the desk that sent the letter, allowed by that desk's province's signed scope
 3. method      one that the matter allows; of a consent given without a phone, the words behind it (`library.evidence`)
 4. fields      asked for ∩ allowed at the desk ∩ let out here
 5. **L1**      the library spends the consent and seals the copy (`library.register`)
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from consent.answer import open_answer
from consent.card import CARD
from consent.errors import Reason, Refusal
from consent.grant import CONSENT, Consent, open_consent, open_grant
from consent.holding import open_holding
from consent.invitation import LENGTH as INVITATION_LENGTH
from consent.request import Request, open_request
from consent.seal import unverified_issuer
from consent.shapes import BASE64URL, DIGEST, ID128, PROVINCE, Maybe, Members, Text
from consent.stores.base import attempt
from consent.transport import LETTER_LENGTH, Letter, Topic, read_letter
from verifier import intake, looking
from verifier.admit import released
from verifier.cards import Cards, is_card
from verifier.consents import Consents
from verifier.desk import Desk
from verifier.history import History
from verifier.intake import Intake
from verifier.invitations import Invitations
from verifier.library.evidence import judge_evidence
from verifier.library.register import Library
from verifier.looking import Looking
from verifier.lookups import Lookups
from verifier.matters.scope import second_officer
from verifier.offers import Offers
from verifier.office import Office
from verifier.rounds import Rounds
from verifier.stores import inner

_JWT: Final = Text(90_000, 1, re.compile(r"[A-Za-z0-9_.-]+"))

_EVIDENCE: Final = Members({"card": _JWT, "pad": _JWT, "officer": Maybe(_JWT)})

CONTENTS: Final[Mapping[Topic, Members]] = {
    Topic.ASK: Members({"request": _JWT, "aside": Text(4000, 1, BASE64URL), "code": Text(CARD.max_length)}),
    Topic.CONSENT: Members({"request": DIGEST, "consent": Maybe(_JWT), "answer": Maybe(_JWT)}),
    Topic.FETCH: Members({"request": _JWT, "consent": _JWT, "evidence": Maybe(_EVIDENCE)}),
    Topic.COPY: Members({"request": DIGEST, "copy": Maybe(_JWT), "answer": Maybe(_JWT)}),
    Topic.ACKNOWLEDGE: Members({"request": DIGEST, "consent_issuer": PROVINCE, "consent": ID128, "receipt": _JWT}),
    Topic.OUTCOME: Members({"request": DIGEST, "answer": _JWT}),
    Topic.WITHDRAW: Members({"consent": _JWT, "request": _JWT, "answer": _JWT}),
    Topic.WITHDRAWN: Members({"consent": DIGEST, "answer": _JWT}),
    Topic.HOLDINGS: Members({"question": _JWT}),
    Topic.HELD: Members({"question": DIGEST, "answer": _JWT}),
    Topic.COME: Members({"counter": Text(INVITATION_LENGTH), "code": Text(600)}),
    Topic.REPORT: Members({"slice": DIGEST, "report": _JWT}),
    Topic.HISTORY: Members({"question": _JWT, "earlier": looking.EARLIER}),
    Topic.HISTORIED: Members({"question": DIGEST, "answer": _JWT}),
    Topic.OBJECT: Members({"question": _JWT, **intake.OBJECTION}),
    Topic.OBJECTED: Members({"question": DIGEST, "answer": _JWT}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Peers:
    """The mailbox of one province."""

    office: Office
    desk: Desk
    consents: Consents
    cards: Cards
    lookups: Lookups
    offers: Offers
    invitations: Invitations
    library: Library
    history: History
    rounds: Rounds
    looking: Looking
    intake: Intake

    def receive(self, letter: Letter, *, now: datetime) -> None:
        """One letter, from the exchange or from ourselves; Refusal or Unavailable where it had no effect."""
        if letter.to != self.office.province or len(letter.body) > LETTER_LENGTH:
            raise Refusal(Reason.WRONG_PROVINCE, detail="a letter for another province")
        content = read_letter(letter, self.office.envelope_key, content=CONTENTS[letter.topic])
        receivers = {
            Topic.ASK: self.cards.claim if is_card(content.get("code", "")) else self.consents.claim,
            Topic.CONSENT: self.desk.consent_arrived,
            Topic.FETCH: self.fetch,
            Topic.COPY: self.desk.copy_arrived,
            Topic.ACKNOWLEDGE: self.acknowledge,
            Topic.OUTCOME: self.consents.outcome,
            Topic.WITHDRAW: self.withdraw,
            Topic.WITHDRAWN: self.consents.withdrawn,
            Topic.HOLDINGS: self.holdings,
            Topic.HELD: self.held,
            Topic.COME: self.invitations.arrived,
            Topic.REPORT: self.history.reported,
            Topic.HISTORY: self.looking.asked,
            Topic.HISTORIED: self.looking.told,
            Topic.OBJECT: self.intake.asked,
            Topic.OBJECTED: self.intake.told,
        }
        receivers[letter.topic](content, letter, now=now)

    def fetch(self, content: Mapping[str, Any], letter: Letter, *, now: datetime) -> None:
        """The library's side of a visit, in the order above. L1."""
        issuer = unverified_issuer(CONSENT, content["consent"])
        request = open_request(content["request"], self.office.ring, holder_province=issuer, now=now)  # 2
        if request.desk != letter.sender:
            raise Refusal(Reason.SENDER_UNKNOWN, detail="a request of another desk")
        try:
            copy = self._copy(request, content["consent"], content["evidence"], now=now)
        except Refusal as no:
            if no.reason is Reason.QUOTA_EXHAUSTED:
                self.office.log.warning(
                    "card_quota", desk=request.desk, unit=request.ask.unit, window=request.ask.window
                )
            self._send_copy(request, None, no, now=now)
            return
        self._send_copy(request, copy, None, now=now)

    def _copy(
        self, request: Request, consent_text: str, evidence: Mapping[str, str | None] | None, *, now: datetime
    ) -> str:
        consent = open_consent(consent_text, self.office.ring, request=request, now=now)  # 1
        if consent.library != self.office.province:
            raise Refusal(Reason.CONSENT_MISMATCH, detail="for another library")
        may = self.office.judge(request)
        if consent.method not in may.matter.methods:  # 3
            raise Refusal(Reason.APPROVAL_METHOD_NOT_ALLOWED, detail=consent.method)
        own = self.office.scope(self.office.province)
        second = second_officer(may.matter, (self.office.scope(request.desk), own))
        at_counter = judge_evidence(request, consent, evidence, self.office.ring, second_officer=second)
        fields = released(may, request.ask, library=own)  # 4
        grant = open_grant(consent, self.office.envelope_key)
        return self.library.release(request, consent, grant, fields, now=now, at_counter=at_counter)  # 5

    def _send_copy(self, request: Request, copy: str | None, no: Refusal | None, *, now: datetime) -> None:
        answer = None if no is None else self.office.answer(request.desk, request.digest, no.reason, now=now)
        content = {"request": request.digest, "copy": copy, "answer": answer}
        letter = self.office.letter(request.desk, Topic.COPY, content, request_id=request.id, ask=request.ask)
        attempt(self.office.inner, lambda conn: inner.post(conn, letter, ref=request.digest, now=now))
        self.office.wake_worker()

    def acknowledge(self, content: Mapping[str, Any], letter: Letter, *, now: datetime) -> None:
        """The desk has the copy."""
        self.library.acknowledge(content["consent_issuer"], content["consent"], now=now, receipt=content["receipt"])

    def withdraw(self, content: Mapping[str, Any], letter: Letter, *, now: datetime) -> None:
        """The citizen's province withdraws a consent of its own; the library says done, or too late."""
        request = open_request(content["request"], self.office.ring, holder_province=letter.sender, now=now)
        consent: Consent = open_consent(content["consent"], self.office.ring, request=request, now=now)
        order = open_answer(
            content["answer"],
            self.office.ring,
            issuer=letter.sender,
            audience=self.office.province,
            question=consent.sealed.digest,
            now=now,
        )
        if order.reason is not Reason.WITHDRAWN or consent.issuer != letter.sender:
            raise Refusal(Reason.CONSENT_MISMATCH, detail="not an order to withdraw")
        reason = Reason.WITHDRAWN
        try:
            self.library.withdraw(request, consent, now=now)
        except Refusal as no:
            reason = no.reason
        content = {
            "consent": consent.sealed.digest,
            "answer": self.office.answer(letter.sender, consent.sealed.digest, reason, now=now),
        }
        reply = self.office.letter(letter.sender, Topic.WITHDRAWN, content, request_id=request.id, ask=request.ask)
        attempt(self.office.inner, lambda conn: inner.post(conn, reply, ref=consent.sealed.digest, now=now))
        self.office.wake_worker()

    def held(self, content: Mapping[str, Any], letter: Letter, *, now: datetime) -> None:
        """A library says what it has of somebody: of a citizen with a phone, or of one at our own counter."""
        if not self.lookups.held(content, letter, now=now) and not self.cards.held(content, letter, now=now):
            raise Refusal(Reason.REQUEST_UNKNOWN, detail="nothing was asked there")

    def holdings(self, content: Mapping[str, Any], letter: Letter, *, now: datetime) -> None:
        """What this library has of a holder, for the holder's own province; the same answer to a question that comes again."""
        question = open_holding(content["question"], self.office.ring, library=self.office.province, now=now)
        if question.issuer != letter.sender:
            raise Refusal(Reason.SENDER_UNKNOWN, detail="a question of another province")
        answer = self.library.holdings(question, self.office.keylist.recipient(letter.sender), now=now)
        content = {"question": question.digest, "answer": answer}
        reply = self.office.letter(letter.sender, Topic.HELD, content, request_id=letter.request_id)
        attempt(self.office.inner, lambda conn: inner.post(conn, reply, ref=question.digest, now=now))
        self.office.wake_worker()
