"""Consents: the citizen's province. One showing goes to one counter; an approval becomes a consent token.

`claim`, from a desk's letter (all judged at the instant at which the desk sealed its request, which may be a minute ago):
 1. request      sealed by the desk that sent the letter, allowed by its own province's scope, catalogue and fields; one
                 that has claimed already gets its answer again
 2. code         the very code that the request names, ours, genuine, alive; a twin or simple code see `verifier.named`,
                 an app's own string `verifier.scanned`
 3. showing      in the hand-over store, its login assertion opened again; slice current or the one before
 4. holder       the person at the counter is the person of the phone; a mismatch refuses before anything is claimed, and
                 so does a citizen who has been asked often enough (`verifier.pressing`)
 5. **C1**       the claim, unique for the showing, its ledger entry, and the sheet for the phone, in one transaction; of two
                 people nobody is asked whose desk has said already that the other is missing
 6. express      a standing answer that fits this very request becomes the consent at once (C2); one that does not changes
                 nothing, and the citizen reads the sheet

`approve`, from an errand of wallet_api, of which nothing is believed but signatures:
 1. the login is that of the person who was asked, and its device key signed an answer to this very request, in time, used
    once
 2. declined: the desk hears "not authorised", as it does for silence
 3. digits       those of the counter's screen, one try
 4. declaration  every one that the matter needs
 5. certificate  picked by the citizen; only now may "none" be said
 6. **C2**       the consent token, its ledger entry and the letter to the desk, in one transaction

Whatever is stored and sent is sent again as the same bytes.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection

from consent.answer import Answer, open_answer
from consent.approval import Approval, Decision, open_approval
from consent.attest import Attest, evidence_of
from consent.b64 import digest_of
from consent.clock import rfc3339, shanghai_date
from consent.code import PREFIX, Form, fresh, open_code
from consent.counter_strings import recognise
from consent.errors import UNAVAILABLE, Outcome, Reason, Refusal, Unavailable, outcome_of
from consent.failpoint import reach
from consent.grant import CONSENT, Consent, Grant, open_consent, seal_consent
from consent.grant import LIFE as CONSENT_LIFE
from consent.ledger import Act
from consent.people import CitizenId
from consent.provinces import province, provinces
from consent.receipt import Position, seal_receipt
from consent.request import LIFE as REQUEST_LIFE
from consent.request import Aside, Request, open_aside, open_request
from consent.seal import SKEW, Sealed, unverified_issue
from consent.showing import Holder, Person, judge_slice, open_holder, read_slice
from consent.standing import Standing, offer_digest, open_standing
from consent.states import CLAIM
from consent.stores import handover, standings
from consent.stores.base import attempt, reading
from consent.stores.handover import ShowingRow
from consent.transport import Letter, Topic, letter_from
from verifier.admit import Permitted
from verifier.history import History
from verifier.named import Shown, claimed, find_showing, mismatched
from verifier.office import Office, showing_topic
from verifier.pressing import judge_pressing
from verifier.scanned import NoResolver, Resolver, resolved
from verifier.sheet import write_offer, write_sheet
from verifier.stores import inner
from verifier.stores.history import EntryRow
from verifier.stores.inner import ClaimRow
from verifier.stores.ledger import append

ANSWER_WITHIN: Final = timedelta(minutes=2)
_TRAVEL: Final = timedelta(seconds=60)  # how old a request may be when it claims; the desk judged the code then
_DECOYS: Final = 2
_GONE: Final[Mapping[str, Reason]] = {"SUPERSEDED": Reason.CODE_SUPERSEDED, "EXPIRED": Reason.CODE_EXPIRED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreed:
    """How the citizen agreed (one of `consent.grant.METHODS`), and the document that proves it; at a counter without a phone
    also a second officer's word, where there is one."""

    method: str
    sealed: Sealed
    attest: Attest | None = None

    @property
    def evidence(self) -> str:
        """What the consent commits to."""
        return evidence_of(self.sealed, self.attest)

    @property
    def entry(self) -> dict[str, str]:
        """What the ledger keeps of it."""
        second = {} if self.attest is None else {"second_officer": self.attest.officer}
        return {"approval": self.sealed.digest, "method": self.method, **second}


@dataclass(frozen=True, slots=True, kw_only=True)
class Consents:
    """Claims and consents of one province's citizens."""

    office: Office
    resolver: Resolver = field(default_factory=NoResolver)

    def claim(self, content: Mapping[str, Any], letter: Letter, *, now: datetime) -> None:
        """C1, in the order above. A refusal after step 1's seal goes to the desk as a letter, before it as an error."""
        request = open_request(content["request"], self.office.ring, holder_province=self.office.province, now=now)  # 1
        if request.desk != letter.sender:
            raise Refusal(Reason.SENDER_UNKNOWN, detail="a request of another desk")
        seen: list[str] = []  # the showing, once it is found: a refusal stands in its holder's history
        try:
            self._claim(request, content, seen, now=now)
        except Refusal as no:
            self._refuse(request, no, content["code"], seen, now=now)
        except Unavailable as silent:
            if silent.reason is not Reason.APP_UNREACHABLE:
                raise
            # The letter has arrived; that the app says nothing is for the counter to hear now, while somebody stands there.
            self.office.log.warning("app_silent", request_id=request.id, detail=silent.detail)
            self._refuse(request, silent, content["code"], seen, now=now)

    def _claim(self, request: Request, content: Mapping[str, Any], seen: list[str], *, now: datetime) -> None:
        may = self.office.judge(request)
        if self._answered(request, now=now):
            return
        aside = open_aside(content["aside"], self.office.envelope_key, request)
        shown = self._shown(request, aside, content["code"], now=now)  # 2
        seen.append(shown.showing_id)
        with reading(self.office.handover) as conn:
            showing = handover.find(conn, shown.showing_id)
        if showing is None:
            # Unknown looks like expired: nobody learns which showings there were.
            raise Refusal(Reason.CODE_EXPIRED, detail="no such showing")
        holder = self._holder(showing)  # 3
        if shown.number is not None:
            judge_slice(shown.number, opened_at=showing.opened_at, now=request.sealed.issued_at)
        with reading(self.office.inner) as conn:
            claim = inner.find_claim(conn, shown.showing_id)
        if claim is not None:
            if self._answered(request, now=now):
                return  # this very letter, which arrived twice at once
            raise Refusal(shown.gone(Reason.CODE_ALREADY_USED), detail="claimed by another request")
        if showing.state in _GONE:
            raise Refusal(shown.gone(_GONE[showing.state]), detail=showing.state)
        try:
            self._match(holder, aside, now=now)  # 4
        except Refusal:
            mismatched(self.office, request, shown, now=now)
            raise
        judge_pressing(self.office, History(office=self.office).name_of(holder), request, now=now)
        stored = self._store_claim(showing, request, may, aside, shown, content["aside"], now=now)  # 5
        claimed(self.office, shown)
        if stored is not None:
            self._stand(stored, holder, request, may, content["code"], now=now)  # 6

    def _shown(self, request: Request, aside: Aside, code_text: str, *, now: datetime) -> Shown:
        if (name := recognise(code_text)).form is Form.APP:
            return resolved(self.resolver, self.office.province, request, name, now=now)
        if not code_text.startswith(PREFIX):
            return find_showing(self.office, request, aside, code_text, now=now)
        if digest_of(code_text.encode()) != request.ask.code:
            raise Refusal(Reason.CODE_MALFORMED, detail="not the code that the request names")
        judged_at = request.sealed.issued_at
        if now - judged_at > _TRAVEL:
            raise Refusal(Reason.CODE_EXPIRED, detail="the request travelled too long")
        code = fresh(open_code(code_text, self.office.ring, now=now), now=judged_at)
        if code.province != self.office.province:
            raise Refusal(Reason.WRONG_PROVINCE, detail="a code of another province")
        showing_id, number = read_slice(code.cti, self.office.showing_key)
        return Shown(showing_id=showing_id, number=number, form=Form.CODE)

    def _holder(self, showing: ShowingRow) -> Holder:
        # The row is the outer network's; the login assertion in it is not. It was alive when the showing was opened.
        return open_holder(showing.holder_jwt, self.office.ring, province=self.office.province, now=showing.opened_at)

    def _asked(self, showing: ShowingRow, claim: ClaimRow) -> Holder:
        # The row may hold another login by now, of somebody who would gladly agree. The holder match was made with the one
        # that was there at the claim, and the history knows whose that was.
        holder = self._holder(showing)
        if not History(office=self.office).is_of(claim.request_digest, holder):
            raise Refusal(Reason.APPROVAL_MISMATCH, detail="the login of somebody who was not asked")
        return holder

    def _match(self, holder: Holder, aside: Aside, *, now: datetime) -> None:
        if aside.id_number is None:
            return  # a matter without holder match; step 1 has judged whether this is one
        number = holder.person(self.office.envelope_key).id_number
        own = CitizenId.parse(number, today=shanghai_date(now)).compare_key
        if not secrets.compare_digest(aside.id_number.encode(), own.encode()):
            raise Refusal(Reason.HOLDER_MISMATCH, detail="another person at the counter")

    def _answered(self, request: Request, *, now: datetime) -> bool:
        """Whether this very request has claimed before; its answer, if there is one by now, goes out again."""
        with reading(self.office.inner) as conn:
            claim = inner.claim_of_request(conn, request.digest)
        if claim is None:
            return False
        if claim.reply is not None:
            reply = letter_from(claim.reply.encode())
            attempt(self.office.inner, lambda conn: inner.post(conn, reply, ref=request.digest, now=now))
            self.office.wake_worker()
        return True

    def _store_claim(
        self,
        showing: ShowingRow,
        request: Request,
        may: Permitted,
        aside: Aside,
        shown: Shown,
        envelope: str,
        *,
        now: datetime,
    ) -> ClaimRow | None:
        """The claim; None where the same letter, arriving twice at once, has made it already and goes on by itself."""
        row = ClaimRow(
            showing_id=showing.showing_id,
            desk=request.desk,
            window=request.ask.window,
            request_id=request.id,
            request_digest=request.digest,
            request=request.sealed.text,
            digits=aside.digits,
            state=CLAIM.start,
            reason=None,
            approval_digest=None,
            consent=None,
            reply=None,
            claimed_at=now,
            answer_by=now + ANSWER_WITHIN,
            named=shown.form.value,
            aside=None if aside.other is None else envelope,
        )
        sheet = write_sheet(request, may, digits=_choices(aside.digits), asked_at=now, answer_by=row.answer_by)
        history = History(office=self.office)
        past = history.entry(showing.showing_id, self._holder(showing), request, now=now)

        def c1(conn: Connection) -> bool:
            if not inner.add_claim(conn, row):
                return False
            if request.other is not None and not _first_word(conn, request.desk, request.digest, now=now):
                raise Refusal(Reason.PARTNER_MISSING, detail="the other ended before this one was asked")
            append(conn, inner.ledger, Act.CLAIMED, {"request": request.digest, "desk": request.desk}, now=now)
            body = {"sheet": sheet, "request": request.digest}
            inner.hand_over(conn, "sheet", showing.showing_id, body, now=now, once_key=f"sheet:{request.digest}")
            history.asked(conn, past)
            reach("C1.before_commit")
            return True

        if attempt(self.office.inner, c1):
            reach("C1.after_commit")
            self.office.wake_worker()
            return row
        if not self._answered(request, now=now):
            raise Refusal(shown.gone(Reason.CODE_ALREADY_USED), detail="claimed in the same moment")
        return None

    def _stand(
        self, claim: ClaimRow, holder: Holder, request: Request, may: Permitted, code_text: str, *, now: datetime
    ) -> None:
        with reading(self.office.handover) as conn:
            text = standings.find(conn, claim.showing_id)
        if text is None:
            return
        province, showing_id = self.office.province, claim.showing_id
        try:
            standing = open_standing(text, holder.device, province=province, showing_id=showing_id, now=now)
            _judge_standing(standing, request, may, code_text)
        except Refusal:
            return  # agreed to something else, or too long ago: the sheet asks
        agreed = Agreed(method="express", sealed=standing.sealed)
        person = holder.person(self.office.envelope_key)
        self.consent(claim, person, request, agreed, standing.certificate, now=now)

    def _refuse(
        self, request: Request, no: Refusal | Unavailable, code_text: str, seen: list[str], *, now: datetime
    ) -> None:
        past = History(office=self.office).refusal(seen[0] if seen else None, code_text, request, now=now)
        self.refuse(request, no, past, now=now)

    def refuse(self, request: Request, no: Refusal | Unavailable, past: EntryRow | None, *, now: datetime) -> None:
        """Tell the desk no, once for each request, with a ledger entry, and `past` for the holder's history. Nothing of a
        showing is used up."""
        reason = no.reason
        reply = self._reply(request, reason, now=now)

        def tell(conn: Connection) -> None:
            if inner.post(conn, reply, ref=request.digest, now=now, once_key=f"refuse:{request.digest}"):
                position = append(
                    conn, inner.ledger, Act.REFUSED, {"request": request.digest, "reason": reason}, now=now
                )
                receipt = self._receipt(request, None, reason, position, now=now)
                if past is not None:
                    History.refused(conn, past, reason, receipt=receipt, now=now)
                    # The showing stays open and says nothing; a phone that went to this counter itself waits to be asked.
                    body = {"desk": request.desk, "request": request.id, "answer": {"reason": reason, **no.facts}}
                    once = f"turned:{request.digest}"
                    inner.hand_over(conn, "turned", past.showing_id, body, now=now, once_key=once)

        attempt(self.office.inner, tell)
        self.office.wake_worker()

    def approve(self, showing_id: str, approval_text: str, *, now: datetime) -> None:
        """C2, in the order above. Refusal where the errand proves nothing; then nothing has changed."""
        with reading(self.office.handover) as conn:
            showing = handover.find(conn, showing_id)
        with reading(self.office.inner) as conn:
            claim = inner.find_claim(conn, showing_id)
        if showing is None or claim is None:
            raise Refusal(Reason.SHOWING_UNKNOWN, detail="an answer without a question")
        if claim.state not in CLAIM.sources("consent"):
            return  # answered before; the stored answer stands
        if claim.answer_by < now:
            # `expire` will say so. A token sealed now would outlive the end that it is believed to have.
            raise Refusal(Reason.TIMED_OUT, detail="the answer came after its time")
        holder, request = self._asked(showing, claim), self.request_of(claim)
        approval = open_approval(  # 1
            approval_text,
            holder.device,
            province=self.office.province,
            request_digest=request.digest,
            now=now,
        )
        if approval.decision is Decision.WITHDRAW:
            raise Refusal(Reason.STATE_FORBIDS, detail="nothing to withdraw yet")
        if approval.decision is Decision.DECLINE:  # 2
            self.close(claim, request, Act.DECLINED, Reason.DECLINED, approval.sealed, now=now)
            return
        try:
            if approval.digits is None or not secrets.compare_digest(approval.digits, claim.digits):  # 3
                raise Refusal(Reason.DIGITS_WRONG)
            if missing := set(request.ask.declarations) - set(approval.declarations):  # 4
                raise Refusal(Reason.DECLARATION_MISSING, detail=", ".join(sorted(missing)))
            certificate = self._picked(showing, request, approval)  # 5
        except (Refusal, Unavailable) as no:
            act = Act.UNDETERMINED if outcome_of(no.reason) is Outcome.UNDETERMINED else Act.REFUSED
            self.close(claim, request, act, no.reason, approval.sealed, now=now)
            return
        agreed = Agreed(method="app", sealed=approval.sealed)
        self.consent(claim, holder.person(self.office.envelope_key), request, agreed, certificate, now=now)  # 6

    def _picked(self, showing: ShowingRow, request: Request, approval: Approval) -> str:
        """The chosen certificate's handle; else what may be said now that the citizen has agreed."""
        if approval.certificate is not None:
            province(approval.certificate.partition(".")[0])
            return approval.certificate
        # From our own store: the copy in the hand-over store is for the phone to read, and is not believed.
        with reading(self.office.inner) as conn:
            said = inner.lookups_for(conn, showing.showing_id)
        answers = {library: json.loads(found) for library, _, found in said if found is not None}
        if [each for found in answers.values() for each in found["certificates"] if each["type"] == request.ask.type]:
            raise Refusal(Reason.AMBIGUOUS, detail="certificates, but none picked")
        if silent := [code for code in provinces() if code not in answers]:
            # One silent library is enough: it may be the one that has the certificate.
            raise Unavailable(Reason.LIBRARY_UNREACHABLE, what=silent[0])
        undigitised = any(found["undigitised"] for found in answers.values())
        raise Refusal(Reason.NOT_DIGITISED if undigitised else Reason.NOT_FOUND)

    def consent(
        self,
        claim: ClaimRow,
        person: Person,
        request: Request,
        agreed: Agreed,
        certificate: str,
        *,
        now: datetime,
    ) -> None:
        """C2: seal the consent and send it, unless this claim has its answer already."""
        text = seal_consent(
            Grant(person=person, certificate=certificate, other=self._other(claim, request)),
            self.office.consent_key,
            request=request,
            method=agreed.method,
            evidence=agreed.evidence,
            library=self.office.keylist.recipient(certificate.partition(".")[0]),
            now=now,
        )
        reply = self.office.letter(
            request.desk,
            Topic.CONSENT,
            {"request": request.digest, "consent": text, "answer": None},
            request_id=request.id,
            ask=request.ask,
        )

        def c2(conn: Connection) -> None:
            columns = {"consent": text, "reply": json.dumps(reply.to_json())}
            if not self._first(conn, claim, agreed.sealed, "consent", **columns):
                return
            append(conn, inner.ledger, Act.CONSENTED, {"request": request.digest, **agreed.entry}, now=now)
            inner.post(conn, reply, ref=request.digest, now=now)
            self._settle(conn, claim.showing_id, "consent", request.digest, now=now)
            reach("C2.before_commit")

        attempt(self.office.inner, c2)
        reach("C2.after_commit")
        self.office.wake_worker()

    def _other(self, claim: ClaimRow, request: Request) -> str | None:
        return None if claim.aside is None else open_aside(claim.aside, self.office.envelope_key, request).other

    def close(
        self,
        claim: ClaimRow,
        request: Request,
        act: Act,
        reason: Reason,
        sealed: Sealed | None,
        *,
        now: datetime,
    ) -> None:
        """End a claim without a consent and tell both sides; the desk hears what a counter may hear. `sealed` is the answer
        that ended it, where there was one."""
        told = Reason.NOT_AUTHORISED if reason in (Reason.DECLINED, Reason.TIMED_OUT) else reason
        reply = self._reply(request, told, now=now)
        event = {Act.DECLINED: "decline", Act.TIMED_OUT: "time_out", Act.UNDETERMINED: "undetermine"}.get(act, "refuse")

        def end(conn: Connection) -> None:
            columns = {"reason": reason.value, "reply": json.dumps(reply.to_json())}
            if not self._first(conn, claim, sealed, "end", **columns):
                return
            position = append(conn, inner.ledger, act, {"request": request.digest, "reason": reason}, now=now)
            inner.post(conn, reply, ref=request.digest, now=now)
            receipt = self._receipt(request, None, reason, position, now=now)
            self._settle(conn, claim.showing_id, event, request.digest, reason=reason, receipt=receipt, now=now)

        attempt(self.office.inner, end)
        self.office.wake_worker()

    def _first(self, conn: Connection, claim: ClaimRow, sealed: Sealed | None, event: str, **columns: Any) -> bool:
        """Whether this answer is the first for its claim, and the document behind it was never used before."""
        if sealed is not None:
            columns["approval_digest"] = sealed.digest
        if not inner.move_claim(conn, claim.showing_id, CLAIM, event, **columns):
            return False
        if sealed is None:
            return True
        if not inner.use_once(conn, f"{claim.showing_id}:{sealed.issuer}", sealed.jti, sealed.expires_at):
            raise Refusal(Reason.DOCUMENT_REPLAYED, detail="approval")
        return True

    def withdraw(self, showing_id: str, approval_text: str, *, now: datetime) -> None:
        """Ask the library to withdraw. It is done when the library has said so, or when the token has expired."""
        with reading(self.office.handover) as conn:
            showing = handover.find(conn, showing_id)
        with reading(self.office.inner) as conn:
            claim = inner.find_claim(conn, showing_id)
        if showing is None or claim is None or claim.consent is None:
            raise Refusal(Reason.CONSENT_UNKNOWN, detail="nothing was consented to")
        holder, request = self._asked(showing, claim), self.request_of(claim)
        approval = open_approval(
            approval_text,
            holder.device,
            province=self.office.province,
            request_digest=request.digest,
            now=now,
        )
        if approval.decision is not Decision.WITHDRAW:
            raise Refusal(Reason.APPROVAL_MISMATCH, detail="not a withdrawal")
        consent = open_consent(claim.consent, self.office.ring, request=request, now=now)
        content = {
            "consent": claim.consent,
            "request": claim.request,
            "answer": self.office.answer(consent.library, consent.sealed.digest, Reason.WITHDRAWN, now=now),
        }
        letter = self.office.letter(consent.library, Topic.WITHDRAW, content, request_id=request.id, ask=request.ask)
        digest, once = consent.sealed.digest, f"withdraw:{consent.sealed.digest}"
        attempt(self.office.inner, lambda conn: inner.post(conn, letter, ref=digest, now=now, once_key=once))
        self.office.wake_worker()

    def withdrawn(self, content: Mapping[str, Any], letter: Letter, *, now: datetime) -> None:
        """What the library says to a withdrawal: done, or too late."""
        claim, request, consent = self._consented(letter.request_id, content["consent"])
        if consent.library != letter.sender:
            raise Refusal(Reason.CONSENT_MISMATCH, detail="another library's consent")
        answer = open_answer(
            content["answer"],
            self.office.ring,
            issuer=letter.sender,
            audience=self.office.province,
            question=content["consent"],
            now=now,
        )
        if answer.reason is Reason.WITHDRAWN:
            self._end(claim, request, Act.WITHDRAWN, "withdrawn", Reason.WITHDRAWN, now=now)
            if request.other is not None:
                # The desk fetches for both or for nobody, so that no library would tell it: the other one would wait in vain.
                reply, once = self._reply(request, Reason.WITHDRAWN, now=now), f"withdrawn:{request.digest}"
                attempt(
                    self.office.inner,
                    lambda conn: inner.post(conn, reply, ref=request.digest, now=now, once_key=once),
                )
                self.office.wake_worker()
        else:
            # A copy is out. However this ends, it does not end as withdrawn.
            late = Reason.WITHDRAWAL_TOO_LATE.value
            attempt(self.office.inner, lambda conn: inner.note_claim(conn, claim.showing_id, CLAIM, reason=late))

    def _consented(self, request_id: str, digest: str) -> tuple[ClaimRow, Request, Consent]:
        """The claim whose consent has this digest; Refusal(CONSENT_UNKNOWN)."""
        with reading(self.office.inner) as conn:
            claims = inner.claims_under(conn, request_id)
        for claim in claims:
            request = self.request_of(claim)
            if claim.consent is not None:
                consent = self._kept_consent(claim.consent, request)
                if consent.sealed.digest == digest:
                    return claim, request, consent
        raise Refusal(Reason.CONSENT_UNKNOWN, detail="no such consent")

    def outcome(self, content: Mapping[str, Any], letter: Letter, *, now: datetime) -> None:
        """How the visit ended at the desk: the citizen gets a receipt, and the phone its last page."""
        claim = self._claim_of(content["request"])
        if claim is None:
            claim = self._remembered(content, letter, now=now)
            if claim is None:
                return  # the question has not come yet; when it comes, it is too late
        if claim.desk != letter.sender:
            raise Refusal(Reason.REQUEST_UNKNOWN, detail="not asked by this desk")
        answer = self._said(content, letter, now=now)
        request, copy = self.request_of(claim), answer.copy
        if claim.consent is None:
            self._alone(claim, request, answer.reason, now=now)
        elif answer.outcome is Outcome.PASSED:
            if copy is None:
                raise Refusal(Reason.DOCUMENT_CLAIMS, detail="passed without a copy")
            self._end(claim, request, Act.DELIVERED, "deliver", None, now=now, copy=copy)
        elif answer.reason is Reason.WITHDRAWN:
            self._end(claim, request, Act.WITHDRAWN, "withdrawn", answer.reason, now=now)
        elif answer.reason in UNAVAILABLE and request.other is None:
            # The library was silent. The consent lives on, and the counter may ask again; for one of two nobody does.
            self._pause(claim, request, answer.reason, now=now)
        elif answer.outcome is Outcome.UNDETERMINED:
            self._end(claim, request, Act.UNDETERMINED, "undetermine", answer.reason, now=now, copy=copy)
        else:
            self._end(claim, request, Act.REFUSED, "refuse", answer.reason, now=now, copy=copy)

    def _claim_of(self, request_digest: str) -> ClaimRow | None:
        with reading(self.office.inner) as conn:
            return inner.claim_of_request(conn, request_digest)

    def _said(self, content: Mapping[str, Any], letter: Letter, *, now: datetime) -> Answer:
        return open_answer(
            content["answer"],
            self.office.ring,
            issuer=letter.sender,
            audience=self.office.province,
            question=content["request"],
            now=now,
        )

    def _remembered(self, content: Mapping[str, Any], letter: Letter, *, now: datetime) -> ClaimRow | None:
        """News about a question that has not come: of two people, that the other is missing. The claim, where the question
        came in this very moment; None where it is remembered now."""
        request = content["request"]
        try:
            missing = self._said(content, letter, now=now).reason is Reason.PARTNER_MISSING
        except Refusal:
            missing = False
        if not missing:
            raise Refusal(Reason.REQUEST_UNKNOWN, detail="nothing was asked")
        attempt(self.office.inner, lambda conn: _first_word(conn, letter.sender, request, now=now))
        return self._claim_of(request)

    def _alone(self, claim: ClaimRow, request: Request, reason: Reason | None, *, now: datetime) -> None:
        """The other of two will not come, and this one has not answered yet: the sheet closes now, and says why."""
        if request.other is None or reason is not Reason.PARTNER_MISSING:
            raise Refusal(Reason.STATE_FORBIDS, detail="nothing can have been fetched without a consent")
        self.close(claim, request, Act.REFUSED, reason, None, now=now)

    def _pause(self, claim: ClaimRow, request: Request, reason: Reason, *, now: datetime) -> None:
        def pause(conn: Connection) -> None:
            self._settle(conn, claim.showing_id, "undetermine", request.digest, reason=reason, now=now)

        attempt(self.office.inner, pause)
        self.office.wake_worker()

    def overtaken(self, showing_id: str, request_digest: str, *, now: datetime) -> None:
        """A claim whose showing was no longer open when the sheet arrived there: it ends, and says why."""
        with reading(self.office.handover) as conn:
            showing = handover.find(conn, showing_id)
        with reading(self.office.inner) as conn:
            claim = inner.find_claim(conn, showing_id)
        if showing is None or claim is None or showing.request_digest == request_digest:
            return
        reason = _GONE.get(showing.state, Reason.CODE_EXPIRED)
        self.close(claim, self.request_of(claim), Act.REFUSED, reason, None, now=now)

    def _end(
        self,
        claim: ClaimRow,
        request: Request,
        act: Act,
        event: str,
        reason: Reason | None,
        *,
        now: datetime,
        copy: str | None = None,
    ) -> None:
        def end(conn: Connection) -> None:
            if not inner.move_claim(
                conn, claim.showing_id, CLAIM, "end", reason=None if reason is None else reason.value
            ):
                return
            position = append(conn, inner.ledger, act, {"request": request.digest, "reason": reason}, now=now)
            receipt = self._receipt(request, claim.consent, reason, position, now=now, copy=copy)
            self._settle(
                conn,
                claim.showing_id,
                event,
                request.digest,
                reason=reason,
                receipt=receipt,
                given=request,
                now=now,
            )

        attempt(self.office.inner, end)
        self.office.wake_worker()

    def expire(self, *, now: datetime, limit: int = 100) -> int:
        """End claims that nobody answered, and withdrawals whose token has died; returns how many."""
        with reading(self.office.inner) as conn:
            silent = inner.overdue_claims(conn, state="ASKED", before=now, limit=limit)
            # Every token was sealed before `answer_by`; a library's clock may be a little behind ours.
            dead = now - CONSENT_LIFE - SKEW
            stale = inner.overdue_claims(conn, state="CONSENTED", before=dead, limit=limit)
        for claim in silent:
            self.close(claim, self.request_of(claim), Act.TIMED_OUT, Reason.TIMED_OUT, None, now=now)
        for claim in stale:
            self._expire_consent(claim, now=now)
        return len(silent) + len(stale)

    def _expire_consent(self, claim: ClaimRow, *, now: datetime) -> None:
        """The token has died and nobody told us how the visit ended; a withdrawal that waited for this is done."""
        with reading(self.office.handover) as conn:
            showing = handover.find(conn, claim.showing_id)
        request = self.request_of(claim)
        too_late = claim.reason == Reason.WITHDRAWAL_TOO_LATE
        if showing is not None and showing.state == "WITHDRAWING" and not too_late:
            self._end(claim, request, Act.WITHDRAWN, "withdrawn", Reason.WITHDRAWN, now=now)
        else:
            self._end(claim, request, Act.UNDETERMINED, "undetermine", Reason.DEADLINE, now=now)

    def request_of(self, claim: ClaimRow) -> Request:
        """The request that claimed, as it was judged then."""
        return open_request(
            claim.request, self.office.archive, holder_province=self.office.province, now=claim.claimed_at
        )

    def _kept_consent(self, text: str, request: Request) -> Consent:
        # Our own token as we keep it; it may have expired since.
        return open_consent(text, self.office.archive, request=request, now=unverified_issue(CONSENT, text))

    def _reply(self, request: Request, reason: Reason, *, now: datetime) -> Letter:
        answer = self.office.answer(request.desk, request.digest, reason, now=now)
        content = {"request": request.digest, "consent": None, "answer": answer}
        return self.office.letter(request.desk, Topic.CONSENT, content, request_id=request.id, ask=request.ask)

    def _receipt(
        self,
        request: Request,
        consent: str | None,
        reason: Reason | None,
        position: Position,
        *,
        now: datetime,
        copy: str | None = None,
    ) -> str:
        return seal_receipt(
            self.office.answer_key,
            side="citizen",
            ask=request.ask,
            request_digest=request.digest,
            consent_digest=None if consent is None else self._kept_consent(consent, request).sealed.digest,
            copy_digest=copy,
            reason=reason,
            ledger=position,
            now=now,
        )

    def _settle(
        self,
        conn: Connection,
        showing_id: str,
        event: str,
        request_digest: str,
        *,
        now: datetime,
        reason: Reason | None = None,
        receipt: str | None = None,
        given: Request | None = None,
    ) -> None:
        """Put the showing's next state into the outbox; with a receipt it is the end, and the phone's last page."""
        result = None
        if receipt is not None:
            passed = reason is None and given is not None
            result = {
                "outcome": outcome_of(reason),
                "reason": reason,
                "receipt": receipt,
                "given": list(given.ask.fields) if given is not None and passed else [],
                "ended_at": rfc3339(now),
            }
        body = {"event": event, "reason": reason, "result": result}
        kind = "pause" if event == "undetermine" and result is None else event
        inner.hand_over(conn, "settle", showing_id, body, now=now, once_key=f"settle:{kind}:{request_digest}")
        History.settled(conn, event, request_digest, reason=reason, receipt=receipt, now=now)
        self.office.wake(showing_topic(showing_id))


def _first_word(conn: Connection, desk: str, request_digest: str, *, now: datetime) -> bool:
    """Of two people, the question to one and the news that the other is missing come in any order, or in one moment: the
    database lets one of them be first. A request cannot claim for longer than this is kept."""
    return inner.use_once(conn, f"couple:{desk}:{request_digest}", "first", now + REQUEST_LIFE + SKEW)


def _judge_standing(standing: Standing, request: Request, may: Permitted, code_text: str) -> None:
    """Pass a standing answer that was given for exactly this; Refusal where it was not.

    It wants a genuine code on a phone: whoever only knows twelve digits has not shown that the citizen is here.
    """
    if not code_text.startswith(PREFIX):
        raise Refusal(Reason.APPROVAL_METHOD_NOT_ALLOWED, detail="express wants a signed code")
    if request.other is not None:
        raise Refusal(Reason.APPROVAL_MISMATCH, detail="two people, and the offer spoke of one")
    if "express" not in may.matter.methods:
        raise Refusal(Reason.APPROVAL_METHOD_NOT_ALLOWED, detail=f"express for {may.matter.slug}")
    if (standing.unit, standing.matter) != (request.ask.unit, request.ask.matter):
        raise Refusal(Reason.APPROVAL_MISMATCH, detail="stands for another unit or matter")
    if standing.offer != offer_digest(write_offer(request.desk, may, request.ask.fields)):
        raise Refusal(Reason.APPROVAL_MISMATCH, detail="more or other than was offered")
    if missing := set(request.ask.declarations) - set(standing.declarations):
        raise Refusal(Reason.DECLARATION_MISSING, detail=", ".join(sorted(missing)))


def _choices(digits: str) -> list[str]:
    """The right digits among two others, in an order that says nothing."""
    choices = {digits}
    while len(choices) < _DECOYS + 1:
        choices.add(f"{secrets.randbelow(100):02d}")
    return sorted(choices)
