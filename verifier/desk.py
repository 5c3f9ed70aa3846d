"""The desk: one presentation at one counter, from the scanned text to the certificate on the screen.

Order of checks in `present`, cheap and safe ones first; nothing is written before all of them have passed:
 1. window      its key held (`proof`, before the body is even read), its unit is found in this province's own scope
 2. officer     sign-in is not built yet; the request and the receipt say "not-verified"
 3. code        shape, key, signature, time; of a typed twin or a simple code the shape, and a try left (`named`)
 4. scope       matter, day, unit, certificate type, fields (`admit.permitted`)
 5. precondition ticked by the officer, holder match given
 6. **D1**      the sealed request, its ledger entry and the letter to the code's province, in one transaction

Then answers arrive, each judged against the stored request:
 7. `consent_arrived`  a consent goes on to the library that it names; a refusal ends the visit
 8. `copy_arrived`     **D2**: `admit.admit`, then copy, receipt, ledger entry and acknowledgement in one transaction

The same window with the same request id and the same bytes is a retry: it gets the stored visit after a fresh look at
window, unit and scope. The same id with other bytes is refused. A retry after "the library does not answer" asks that
library again under the same consent, as long as the consent lives.

The key that opens a copy is thrown away when the counter clears, when a visit is refused, and after a while anyway.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection

from consent.annotated_copy import COPY, CopyBody, open_copy
from consent.answer import open_answer
from consent.card import open_card
from consent.clock import shanghai_date
from consent.code import Form, Name, fresh, open_code
from consent.counter_strings import recognise
from consent.envelope import close_envelope, envelope_key, new_envelope_key
from consent.errors import Outcome, Reason, Refusal, outcome_of, seen_at_counter
from consent.failpoint import reach
from consent.grant import CONSENT, Consent, open_consent
from consent.ledger import Act
from consent.people import CitizenId
from consent.receipt import seal_receipt
from consent.request import NO_OFFICER, REQUEST, Aside, Ask, Request, open_request, seal_request
from consent.seal import signed_digest, strict_json, unverified_issue
from consent.shapes import ID128, Members, Text
from consent.states import VISIT
from consent.stores.base import attempt, reading
from consent.transport import Letter, Topic
from consent.window import Proof, issuer_of, open_window
from verifier import couples, named
from verifier.admit import Admission, Permitted, admit, permitted, prerequisites
from verifier.couples import Together
from verifier.enrolment import WindowKeys
from verifier.history import report
from verifier.matters.catalogue import Matter
from verifier.matters.scope import Unit
from verifier.named import binding
from verifier.office import Office, visit_topic
from verifier.stores import inner
from verifier.stores.cards import evidence_of, second_officer
from verifier.stores.inner import VisitRow
from verifier.stores.ledger import append

ANSWER_WITHIN: Final = timedelta(minutes=2)  # how long a citizen has to answer
GRACE: Final = timedelta(seconds=30)  # how long the desk waits for the other province after that
FORGET_AFTER: Final = timedelta(minutes=15)  # after that; by then no consent lives, and nobody stands at the counter
_MATCH: Final = Members({"id": Text(18, 15)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Presentation:
    """What a kiosk sent. `digest` is over the bytes of the body; `match` is an envelope with the ID number, for us."""

    request_id: str
    code: str
    matter: str
    case_number: str
    type: str
    cause: str
    match: str | None
    preconditions: tuple[str, ...]
    digest: str
    card: str | None = None  # the card reader's word, in place of a code
    together: Together | None = None  # the other party of a visit of two


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """What the counter sees of one presentation. Times are aware; `copy` is there only while the state is PASSED."""

    request_id: str
    window: str
    state: str
    version: int
    digits: str
    outcome: Outcome | None
    reason: Reason | None
    facts: Mapping[str, str | int]
    holder_province: str
    library: str | None
    matter: str
    copy: CopyBody | None
    receipt: str | None
    officer: str
    asked_at: datetime
    answer_by: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Register:
    """What a counter page offers: this window, its unit, and the matters in force today with their types. `second_officer`
    has those among them that want one where there is no phone."""

    unit: Unit
    window: str
    window_name: str
    matters: tuple[tuple[Matter, tuple[str, ...]], ...]
    second_officer: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """The desk of one province."""

    office: Office

    def proof(self, text: str, *, method: str, path: str, body: bytes, now: datetime) -> Proof:
        """The window behind a call, its proof used up; Refusal WINDOW_UNKNOWN or DOCUMENT_…"""
        try:
            proof = open_window(
                text,
                WindowKeys(self.office),
                province=self.office.province,
                method=method,
                path=path,
                body=body,
                now=now,
            )
        except Refusal as no:
            if no.reason is Reason.DOCUMENT_KEY_UNKNOWN:
                raise Refusal(Reason.WINDOW_UNKNOWN, detail=no.detail) from no
            raise
        if proof.sealed.issuer != issuer_of(self.office.province, proof.window):
            raise Refusal(Reason.WINDOW_UNKNOWN, detail="a window of another province")
        sealed = proof.sealed
        if not attempt(
            self.office.inner, lambda conn: inner.use_once(conn, sealed.issuer, sealed.jti, sealed.expires_at)
        ):
            raise Refusal(Reason.DOCUMENT_REPLAYED, detail="window proof")
        return proof

    def register(self, window: str, *, now: datetime) -> Register:
        """What this window may do today."""
        scope, today = self.office.scope(self.office.province), shanghai_date(now)
        unit = scope.unit_of_window(window)
        matters = []
        for slug in unit.matters:
            try:
                matter, listed = self.office.catalogue.on(slug, today), scope.listing(unit.uscc, slug, today)
            except Refusal:
                continue  # not in force or not listed today: not offered
            matters.append((matter, tuple(each for each in matter.types if each in listed.types)))
        return Register(
            unit=unit,
            window=window,
            window_name=unit.window(window),
            matters=tuple(matters),
            second_officer=frozenset(matter.slug for matter, _ in matters if self.office.wants_second(matter)),
        )

    def present(self, window: str, presentation: Presentation, *, now: datetime) -> Visit:
        """One presentation, in the order above: the visit as it now stands, or a Refusal with nothing written here. What is
        refused is told to the citizen's province, because it stands in the citizen's history."""
        try:
            return self._present(window, presentation, now=now)
        except Refusal as no:
            self._report(window, presentation, no.reason, now=now)
            raise

    def _named(self, window: str, presentation: Presentation, *, now: datetime) -> tuple[Name, Presentation]:
        """What was scanned or typed; a card that was read also says who stands here."""
        if presentation.card is None:
            return recognise(presentation.code), presentation
        office = self.office
        card = open_card(
            presentation.card,
            office.ring,
            province=office.province,
            window=window,
            request_id=presentation.request_id,
            now=now,
        )
        payload = json.dumps({"id": card.person(office.envelope_key).id_number}).encode()
        own = office.keylist.recipient(office.province)
        match = close_envelope(own, payload, info=presentation.request_id)
        return Name(form=Form.CARD, text=presentation.card, province=office.province), replace(
            presentation, match=match
        )

    def examine(self, window: str, presentation: Presentation, *, now: datetime) -> Permitted:
        """Steps 1, 4 and 5 alone, for a presentation that has no code yet; Refusal as in `present`."""
        unit = self.office.scope(self.office.province).unit_of_window(window)
        _judge_texts(presentation)
        may = self._permitted(unit, window, presentation, now=now)
        prerequisites(may.matter, presentation.preconditions)
        if presentation.match is None and may.matter.holder_match:
            raise Refusal(Reason.HOLDER_MATCH_MISSING, detail=may.matter.slug)
        return may

    def _report(self, window: str, presentation: Presentation, reason: Reason, *, now: datetime) -> None:
        office = self.office
        try:
            unit = office.scope(office.province).unit_of_window(window)
            _judge_texts(presentation)
            code = open_code(presentation.code, office.ring, now=now)
        except Refusal:
            return  # nobody's window, or nobody's code
        report(
            office,
            code,
            unit,
            window=window,
            request_id=presentation.request_id,
            matter=presentation.matter,
            type_=presentation.type,
            cause=presentation.cause,
            reason=reason,
            now=now,
        )

    def _present(self, window: str, presentation: Presentation, *, now: datetime) -> Visit:
        office = self.office
        unit = office.scope(office.province).unit_of_window(window)  # 1
        _judge_texts(presentation)
        if (again := self._again(window, presentation, now=now)) is not None:
            return again
        name, presentation = self._named(window, presentation, now=now)  # 3
        holder = name.province or fresh(open_code(name.text, office.ring, now=now), now=now).province
        may = self._permitted(unit, window, presentation, now=now)  # 4
        prerequisites(may.matter, presentation.preconditions)  # 5
        if presentation.together is not None and not may.matter.couple:
            raise Refusal(Reason.BODY_INVALID, detail="together: a matter for one person")
        aside = self._aside(presentation, may.matter, name, now=now)
        answer_key = new_envelope_key()
        text = seal_request(
            _ask(presentation, may, answer_key=answer_key.recipient.text, code=binding(name, aside)),
            aside,
            office.request_key,
            request_id=presentation.request_id,
            holder_province=holder,
            now=now,
        )
        request = open_request(text, office.ring, holder_province=holder, now=now)
        row = VisitRow(
            window=window,
            request_id=presentation.request_id,
            body_digest=presentation.digest,
            request_digest=request.digest,
            request=text,
            answer_secret=answer_key.secret(),
            digits=aside.digits,
            holder_province=holder,
            library=None,
            consent=None,
            copy=None,
            receipt=None,
            state=VISIT.start,
            version=1,
            reason=None,
            facts="{}",
            asked_at=now,
            answer_by=now + ANSWER_WITHIN,
        )
        content = {
            "request": text,
            "aside": aside.close(office.keylist.recipient(holder), request_digest=request.digest),
            "code": name.text,
        }
        letter = office.letter(holder, Topic.ASK, content, request_id=request.id, ask=request.ask)
        return self._store(row, letter, request, presentation, name, aside, now=now)  # 6

    def _store(
        self,
        row: VisitRow,
        letter: Letter,
        request: Request,
        presentation: Presentation,
        name: Name,
        aside: Aside,
        *,
        now: datetime,
    ) -> Visit:
        def d1(conn: Connection) -> bool:
            if not inner.add_visit(conn, row):
                return False
            if name.form is Form.TWIN:
                named.begin(conn, request, now=now)
            if presentation.together is not None:
                couples.join(conn, self.office, presentation.together, request, aside, now=now)
            append(conn, inner.ledger, Act.ASKED, _entry(request), now=now)
            inner.post(conn, letter, ref=request.digest, now=now)
            reach("D1.before_commit")
            return True

        if attempt(self.office.inner, d1):
            reach("D1.after_commit")
            self.office.wake_worker()
        # Whoever lost the race for this request id is judged like any retry.
        return self._retried(self._row(row.window, row.request_id), presentation, now=now)

    def _again(self, window: str, presentation: Presentation, *, now: datetime) -> Visit | None:
        with reading(self.office.inner) as conn:
            row = inner.find_visit(conn, window, presentation.request_id)
        return None if row is None else self._retried(row, presentation, now=now)

    def _retried(self, row: VisitRow, presentation: Presentation, *, now: datetime) -> Visit:
        if row.body_digest != presentation.digest:
            raise Refusal(Reason.REQUEST_ID_REUSED, detail="the same id for other bytes")
        request = self._request(row)
        self.office.judge(request)  # a retry is judged afresh by today's lists
        if row.state == "UNDETERMINED" and row.consent is not None and not couples.is_half(self.office, request.digest):
            return self._ask_library_again(row, request, now=now)
        return self._view(row, request)

    def _ask_library_again(self, row: VisitRow, request: Request, *, now: datetime) -> Visit:
        try:
            alive = open_request(row.request, self.office.ring, holder_province=row.holder_province, now=now)
            consent = open_consent(row.consent or "", self.office.ring, request=alive, now=now)
        except Refusal:
            return self._view(row, request)  # request or consent is over; the visit ends as it stands
        letter = self._fetch(request, consent)

        def again(conn: Connection) -> None:
            columns = {"reason": None, "facts": "{}", "receipt": None, "answer_by": now}
            if inner.move_visit(conn, row.request_digest, VISIT, "retry", **columns):
                inner.post(conn, letter, ref=row.request_digest, now=now)

        attempt(self.office.inner, again)
        self.office.wake_worker()
        return self.visit(row.window, row.request_id, now=now)

    def visit(self, window: str, request_id: str, *, now: datetime) -> Visit:
        """The visit as it stands; Refusal(REQUEST_UNKNOWN) for another window's or nobody's."""
        row = self._row(window, request_id)
        return self._view(row, self._request(row))

    def _row(self, window: str, request_id: str) -> VisitRow:
        with reading(self.office.inner) as conn:
            row = inner.find_visit(conn, window, request_id)
        if row is None:
            raise Refusal(Reason.REQUEST_UNKNOWN, detail="no such visit at this window")
        return row

    def clear(self, window: str, request_id: str, *, now: datetime) -> None:
        """The counter has cleared its screen: forget the key, so that nobody opens the copy again."""

        digest = self._row(window, request_id).request_digest
        attempt(self.office.inner, lambda conn: inner.move_visit(conn, digest, VISIT, "clear", answer_secret=None))

    def consent_arrived(self, content: Mapping[str, Any], letter: Letter, *, now: datetime) -> None:
        """Step 7: what the code's province says to our request. It says it once; what comes later changes nothing. A consent
        to a visit that has ended meanwhile (the other of two did not agree) is told that end."""
        row = self._asked(content["request"])
        if letter.sender != row.holder_province:
            raise Refusal(Reason.REQUEST_UNKNOWN, detail="not asked of them")
        if row.state not in VISIT.sources("fetch"):
            if content["consent"] is not None and row.consent is None and row.reason is not None:
                self._tell_holder_late(row, now=now)
            return
        request = self._request(row)
        if content["consent"] is None:
            answer = open_answer(
                content["answer"] or "",
                self.office.ring,
                issuer=letter.sender,
                audience=self.office.province,
                question=request.digest,
                now=now,
            )
            self.end(request, answer.reason or Reason.NOT_AUTHORISED, now=now, tell_holder=False)
            return
        consent = open_consent(content["consent"], self.office.ring, request=request, now=now)
        fetch = self._fetch(request, consent)

        columns = {"consent": consent.sealed.text, "library": consent.library}

        def fetch_other(conn: Connection, other: VisitRow) -> None:
            asked = self._request(other)
            letter = self._fetch(asked, self._kept_consent(other.consent or "", asked))
            inner.set_answer_by(conn, other.request_digest, now)
            inner.post(conn, letter, ref=other.request_digest, now=now)

        def forward(conn: Connection) -> None:
            if couples.agreed(conn, request.digest, columns, lambda other: fetch_other(conn, other)):
                return
            # The citizen has answered; from now on the library is waited for.
            if inner.move_visit(conn, request.digest, VISIT, "fetch", **columns, answer_by=now):
                inner.post(conn, fetch, ref=request.digest, now=now)

        attempt(self.office.inner, forward)
        named.end(self.office, request, None)
        self.office.wake_worker()
        self.office.wake(visit_topic(request.id))

    def _tell_holder_late(self, row: VisitRow, *, now: datetime) -> None:
        """How a visit ended before the citizen had agreed, once: the phone would otherwise wait until the consent dies."""
        request, reason = self._request(row), Reason(row.reason or "")
        letter = self._outcome(request, reason, None, now=now)
        once = f"late:{request.digest}"
        attempt(self.office.inner, lambda conn: inner.post(conn, letter, ref=request.digest, now=now, once_key=once))
        self.office.wake_worker()

    def copy_arrived(self, content: Mapping[str, Any], letter: Letter, *, now: datetime) -> None:
        """Step 8: what the library says. D2."""
        row = self._asked(content["request"])
        if row.consent is None or letter.sender != row.library:
            raise Refusal(Reason.REQUEST_UNKNOWN, detail="nothing was fetched from there")
        if row.state not in VISIT.sources("admit") or row.answer_secret is None:
            return  # it has its answer; after "nobody answers" the counter must ask again
        request = self._request(row)
        if content["copy"] is None:
            answer = open_answer(
                content["answer"] or "",
                self.office.ring,
                issuer=letter.sender,
                audience=self.office.province,
                question=request.digest,
                now=now,
            )
            self.end(request, answer.reason or Reason.NOT_AUTHORISED, now=now)
            return
        consent = self._kept_consent(row.consent, request)
        copy = open_copy(content["copy"], self.office.ring, request=request, library=letter.sender, now=now)
        try:
            may = self.office.judge(request)
            body = copy.body(envelope_key(row.answer_secret))
            admission = admit(copy, body, request=request, consent=consent, may=may, now=now)
        except Refusal as no:
            self.end(request, no.reason, facts=no.facts, now=now, copy_digest=copy.digest)
            return
        self._admit(admission, request, consent, now=now)

    def _admit(self, admission: Admission, request: Request, consent: Consent, *, now: datetime) -> None:
        columns = {"copy": admission.copy.sealed.text, "reason": None, "facts": "{}"}

        def show(conn: Connection, row: VisitRow) -> None:
            inner.move_visit(conn, row.request_digest, VISIT, "admit")
            asked = self._request(row)
            kept = self._kept_consent(row.consent or "", asked)
            self._conclude(conn, Act.ADMITTED, asked, None, kept, signed_digest(row.copy or ""), now=now)

        def d2(conn: Connection) -> None:
            if couples.copied(conn, request.digest, columns, lambda row: show(conn, row)):
                reach("D2.before_commit")
                return
            if not inner.move_visit(conn, request.digest, VISIT, "admit", **columns):
                return
            self._conclude(conn, Act.ADMITTED, request, None, consent, admission.copy.digest, now=now)
            reach("D2.before_commit")

        attempt(self.office.inner, d2)
        reach("D2.after_commit")
        self.office.wake_worker()
        self.office.wake(visit_topic(request.id))

    def end(
        self,
        request: Request,
        reason: Reason,
        *,
        now: datetime,
        facts: Mapping[str, str | int] | None = None,
        copy_digest: str | None = None,
        tell_holder: bool = True,
    ) -> None:
        """End a visit without a copy on the screen: refused, or undetermined where nobody knows. Where there was a consent,
        the unit's receipt names it, as the citizen's does."""
        undetermined = outcome_of(reason) is Outcome.UNDETERMINED
        event, act = ("undetermine", Act.UNDETERMINED) if undetermined else ("refuse", Act.REFUSED)
        half = couples.is_half(self.office, request.digest)

        def close(conn: Connection) -> None:
            columns: dict[str, Any] = {"reason": reason.value, "facts": inner.facts_text(facts or {})}
            if not undetermined or half:  # of two people nobody asks again for one, and what was held is discarded
                columns |= {"answer_secret": None, "copy": None}
            if inner.move_visit(conn, request.digest, VISIT, event, **columns):
                consent = self._consent_of(conn, request)
                self._conclude(conn, act, request, reason, consent, copy_digest, now=now, tell_holder=tell_holder)

        attempt(self.office.inner, close)
        if half and (other := couples.partner(self.office, request.digest)) is not None:
            self.end(self._request(other), Reason.PARTNER_MISSING, now=now)  # also to a phone that has not answered yet
        named.end(self.office, request, reason)
        self.office.wake_worker()
        self.office.wake(visit_topic(request.id))

    def _conclude(
        self,
        conn: Connection,
        act: Act,
        request: Request,
        reason: Reason | None,
        consent: Consent | None,
        copy_digest: str | None,
        *,
        now: datetime,
        tell_holder: bool = True,
    ) -> None:
        """Ledger entry, the unit's receipt, and the letters that tell library and citizen, in the caller's transaction."""
        office = self.office
        entry = {**_entry(request), **self._second(conn, request), "reason": reason}
        position = append(conn, inner.ledger, act, entry, now=now)
        receipt = seal_receipt(
            office.answer_key,
            side="unit",
            ask=request.ask,
            request_digest=request.digest,
            consent_digest=None if consent is None else consent.sealed.digest,
            copy_digest=copy_digest,
            reason=reason,
            ledger=position,
            now=now,
        )
        inner.set_receipt(conn, request.digest, receipt)
        if consent is not None and copy_digest is not None:
            content = {
                "request": request.digest,
                "consent_issuer": consent.issuer,
                "consent": consent.jti,
                "receipt": receipt,
            }
            letter = office.letter(consent.library, Topic.ACKNOWLEDGE, content, request_id=request.id, ask=request.ask)
            inner.post(conn, letter, ref=request.digest, now=now)
        if tell_holder:
            letter = self._outcome(request, reason, copy_digest, now=now)
            inner.post(conn, letter, ref=request.digest, now=now)

    def _second(self, conn: Connection, request: Request) -> dict[str, str]:
        """Who was the second officer of a visit without a phone. The unit's receipt names the entry that says so."""
        if request.holder_province != self.office.province:
            return {}  # a card is read at the desk's own province
        officer = second_officer(conn, inner.card_visits, request.digest)
        return {} if officer is None else {"second_officer": officer}

    def _outcome(self, request: Request, reason: Reason | None, copy_digest: str | None, *, now: datetime) -> Letter:
        """The letter that tells the citizen's province how the visit ended."""
        office, to = self.office, request.holder_province
        answer = office.answer(to, request.digest, reason, now=now, copy=copy_digest)
        content = {"request": request.digest, "answer": answer}
        return office.letter(to, Topic.OUTCOME, content, request_id=request.id, ask=request.ask)

    def undeliverable(
        self, letter: Letter, *, request: str, reason: Reason, facts: Mapping[str, str | int], now: datetime
    ) -> None:
        """A letter of ours was refused for good, or stayed unanswered: the visit behind it ends with that reason.

        `request` is the digest that the letter was posted under.
        """
        if letter.topic in (Topic.ASK, Topic.FETCH):
            found = self._request(self._asked(request))
            self.end(found, reason, facts=facts, now=now, tell_holder=letter.topic is Topic.FETCH)

    def expire(self, *, now: datetime, limit: int = 100) -> int:
        """End visits that waited too long; returns how many."""
        with reading(self.office.inner) as conn:
            rows = inner.overdue_visits(
                conn, states=("ASKED", "AGREED", "FETCHING", "HELD"), before=now - GRACE, limit=limit
            )
        for row in rows:
            # The citizen's province has had its time and more; that it says nothing is not a no. Where the citizen has agreed,
            # the phone must not wait until the consent dies.
            self.end(self._request(row), Reason.DEADLINE, now=now, tell_holder=row.consent is not None)
        return len(rows)

    def forget(self, *, now: datetime) -> None:
        """Throw away the keys of visits that nobody cleared."""
        old = now - FORGET_AFTER
        attempt(self.office.inner, lambda conn: inner.forget_answer_keys(conn, VISIT, answered_before=old))

    def _permitted(self, unit: Unit, window: str, presentation: Presentation, *, now: datetime) -> Permitted:
        return permitted(
            unit=unit.uscc,
            window=window,
            matter=presentation.matter,
            type_=presentation.type,
            scope=self.office.scope(self.office.province),
            catalogue=self.office.catalogue,
            on=shanghai_date(now),
        )

    def _aside(self, presentation: Presentation, matter: Matter, name: Name, *, now: datetime) -> Aside:
        id_number = None
        if presentation.match is not None:
            id_number = self._number(presentation.match, presentation, now=now)
        elif matter.holder_match or name.form is Form.TWIN:
            raise Refusal(Reason.HOLDER_MATCH_MISSING, detail=matter.slug)
        other = (
            None if presentation.together is None else self._number(presentation.together.other, presentation, now=now)
        )
        return Aside(
            salt=secrets.token_bytes(16), id_number=id_number, digits=f"{secrets.randbelow(100):02d}", other=other
        )

    def _number(self, envelope: str, presentation: Presentation, *, now: datetime) -> str:
        """The ID number in an envelope of the kiosk, as it is compared."""
        found = strict_json(self.office.envelope_key.open(envelope, info=presentation.request_id), depth=1, members=1)
        if not _MATCH.fits(found):
            raise Refusal(Reason.HOLDER_MATCH_MISSING, detail="match")
        return CitizenId.parse(found["id"], today=shanghai_date(now)).compare_key

    def _fetch(self, request: Request, consent: Consent) -> Letter:
        with reading(self.office.inner) as conn:
            evidence = evidence_of(conn, inner.card_visits, request.digest)
        content = {"request": request.sealed.text, "consent": consent.sealed.text, "evidence": evidence}
        return self.office.letter(consent.library, Topic.FETCH, content, request_id=request.id, ask=request.ask)

    def _request(self, row: VisitRow) -> Request:
        return open_request(row.request, self.office.archive, holder_province=row.holder_province, now=row.asked_at)

    def _kept_consent(self, text: str, request: Request) -> Consent:
        # Judged when it came in. The citizen may have taken minutes, and the token may be over by now.
        return open_consent(text, self.office.archive, request=request, now=unverified_issue(CONSENT, text))

    def _consent_of(self, conn: Connection, request: Request) -> Consent | None:
        """The consent that a visit has come to, or None."""
        row = inner.visit_of_request(conn, request.digest)
        return None if row is None or row.consent is None else self._kept_consent(row.consent, request)

    def _asked(self, request_digest: str) -> VisitRow:
        with reading(self.office.inner) as conn:
            row = inner.visit_of_request(conn, request_digest)
        if row is None:
            raise Refusal(Reason.REQUEST_UNKNOWN, detail="not asked by us")
        return row

    def _view(self, row: VisitRow, request: Request) -> Visit:
        body = None
        if row.state == "PASSED" and row.copy is not None and row.answer_secret is not None:
            judged = unverified_issue(COPY, row.copy)
            copy = open_copy(row.copy, self.office.archive, request=request, library=row.library or "", now=judged)
            body = copy.body(envelope_key(row.answer_secret))
        reason = None if row.reason is None else seen_at_counter(Reason(row.reason))
        ended = row.state in ("PASSED", "CLEARED", "REFUSED", "UNDETERMINED")
        return Visit(
            request_id=row.request_id,
            window=row.window,
            state=row.state,
            version=row.version,
            digits=row.digits,
            outcome=outcome_of(reason) if ended else None,
            reason=reason,
            facts=json.loads(row.facts),
            holder_province=row.holder_province,
            library=row.library,
            matter=request.ask.matter,
            copy=body,
            receipt=row.receipt,
            officer=request.ask.officer,
            asked_at=row.asked_at,
            answer_by=row.answer_by,
        )


def _judge_texts(presentation: Presentation) -> None:
    """What the kiosk typed must fit a request; a sealed document never carries what its reader would refuse."""
    shapes = REQUEST.claims
    if not ID128.fits(presentation.request_id):
        raise Refusal(Reason.BODY_INVALID, detail="request_id")
    for name, value in (
        ("matter", presentation.matter),
        ("case", presentation.case_number),
        ("cause", presentation.cause),
        ("type", presentation.type),
    ):
        if not shapes[name].fits(value):
            raise Refusal(Reason.BODY_INVALID, detail=name)


def _ask(presentation: Presentation, may: Permitted, *, answer_key: str, code: str) -> Ask:
    return Ask(
        unit=may.unit.uscc,
        window=may.window,
        officer=NO_OFFICER,  # 2
        matter=may.matter.slug,
        case=presentation.case_number,
        type=may.type,
        fields=tuple(field.name for field in may.fields),
        cause=presentation.cause,
        code=code,
        declarations=tuple(each.slug for each in may.matter.declarations),
        answer_key=answer_key,
    )


def _entry(request: Request) -> dict[str, Any]:
    """What the ledger keeps of a request: who asked whom for what, and no person."""
    ask = request.ask
    return {
        "request": request.digest,
        "to": request.holder_province,
        "unit": ask.unit,
        "window": ask.window,
        "officer": ask.officer,
        "matter": ask.matter,
        "type": ask.type,
        "fields": list(ask.fields),
    }
