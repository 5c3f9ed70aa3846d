"""The library database, and **L1**: spend a consent, seal a copy, both or neither.

`release`, after `peers` has judged consent, request, scope and fields, in one transaction:
 1. the certificate that the citizen picked is here, and is the holder's own; its row is held, so that its status cannot
    change before the end
 2. it is of the type that was asked for; of two people who came together, the other one is its other party
 3. the consent is spent: its row goes in, or somebody was first. Then
      withdrawn             refused
      another request       refused, the consent is spent
      the same request      a retry: the same bytes, unless the certificate is no longer what it was
 4. the copy is made and sealed: the allowed fields, status, `status_as_of`, cause and term
 5. ledger entry and the library's receipt; of a visit without a phone the count too (`quota`)

A withdrawal inserts the same row first or finds it taken. Nothing here reads first and writes then.

`holdings` answers a question once: its digest goes in with the sealed answer and the ledger's entry, or somebody was first,
and then that answer goes out again, byte for byte. So a letter that comes twice is one look in the ledger.

Locks are taken in one order everywhere, certificate before spend before ledger head: so no two of us wait for each other.
An answer takes its own row before the ledger head and no other.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, Connection, Engine, Row, and_, delete, insert, select, update

from consent.annotated_copy import seal_copy
from consent.answer import seal_answer
from consent.clock import rfc3339
from consent.envelope import Recipient
from consent.errors import Reason, Refusal
from consent.failpoint import reach
from consent.grant import Consent, Grant
from consent.holding import MOST, Holding, Holdings, holder_index
from consent.keys import SigningKey
from consent.ledger import Act
from consent.people import Name
from consent.receipt import Position, seal_receipt
from consent.request import Request
from consent.seal import Sealed, signed_digest
from consent.states import CONSENT
from consent.stores.base import attempt, inserted
from verifier.library import quota
from verifier.library.certificate import Certificate
from verifier.library.disclosure import disclose
from verifier.library.evidence import AtCounter
from verifier.library.vault import Vault
from verifier.matters.catalogue import MatterField
from verifier.stores.ledger import append
from verifier.stores.library import answers, certificates, ledger, spends, undigitised

# How long an answer is kept after its question has expired: longer than the clocks of two processes lie apart.
_LONGER: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Library:
    """The library of one province."""

    engine: Engine
    province: str
    library_key: SigningKey
    answer_key: SigningKey
    index_key: bytes = field(repr=False)
    vault: Vault

    def holdings(self, question: Sealed, recipient: Recipient, *, now: datetime) -> str:
        """The sealed answer to a question (`consent.holding`): what a person has here, padded to one length, for the asker's
        province alone. Looking is in the ledger too (A31), once for each question."""
        holder = question.claims["holder"]

        def look(conn: Connection) -> str:
            answer = seal_answer(
                self.answer_key,
                to=question.issuer,
                question=question.digest,
                payload=_held(conn, holder, now=now).to_bytes(),
                recipient=recipient,
                now=now,
            )
            c = answers.c
            conn.execute(delete(answers).where(c.expires_at < now - _LONGER))
            row = {"question": question.digest, "answer": answer, "expires_at": question.expires_at}
            if not inserted(conn, insert(answers).values(row)):
                return str(conn.execute(select(c.answer).where(c.question == question.digest)).scalar_one())
            append(conn, ledger, Act.LOOKED, {"holder": holder}, now=now)
            return answer

        return attempt(self.engine, look)

    def release(
        self,
        request: Request,
        consent: Consent,
        grant: Grant,
        fields: tuple[MatterField, ...],
        *,
        now: datetime,
        at_counter: AtCounter | None = None,
    ) -> str:
        """L1, in the order above: the sealed copy. `at_counter` is there for a visit without a phone.

        Refusal NOT_FOUND, HOLDER_MISMATCH, CERTIFICATE_TYPE_NOT_ALLOWED, CONSENT_SPENT, WITHDRAWN, FIELD_NOT_ALLOWED,
        QUOTA_EXHAUSTED, CERTIFICATE_NOT_VALID with `status` and `as_of` (a retry whose certificate has lost its validity
        since). A refused consent is not spent. A certificate that is not valid is no refusal: its copy says so and has no
        fields."""

        def spend(conn: Connection) -> str:
            certificate = self._certificate(conn, grant)  # 1
            if certificate.type != request.ask.type:  # 2
                raise Refusal(Reason.CERTIFICATE_TYPE_NOT_ALLOWED, detail="the picked certificate is of the other type")
            _judge_couple(request, grant, certificate)
            row = {
                "consent_issuer": consent.issuer,
                "jti": consent.jti,
                "state": CONSENT.after(CONSENT.start, "spend"),
                "request_digest": request.digest,
                "certificate": certificate.handle,
                "status": certificate.status,
                "at": now,
                "tries": 1,
            }
            if not inserted(conn, insert(spends).values(row)):  # 3
                return self._again(conn, request, consent, certificate, now=now)
            body = disclose(certificate, fields, library=self.province, cause=request.ask.cause, now=now)  # 4
            copy = seal_copy(
                body, self.library_key, request=request, consent_issuer=consent.issuer, consent_jti=consent.jti, now=now
            )
            self._record(conn, request, consent, copy, at_counter, now=now)  # 5
            reach("L1.before_commit")
            return copy

        released = attempt(self.engine, spend)
        reach("L1.after_commit")
        return released

    def _certificate(self, conn: Connection, grant: Grant) -> Certificate:
        query = select(certificates).where(certificates.c.handle == grant.certificate).with_for_update(read=True)
        row = conn.execute(query).one_or_none()
        if row is None:
            raise Refusal(Reason.NOT_FOUND, detail="no such certificate")
        certificate = self._opened(row)
        own = Name.parse(certificate.own.name).compare_key == Name.parse(grant.person.name).compare_key
        if row.holder != holder_index(grant.person.id_number, self.index_key) or not own:
            raise Refusal(Reason.HOLDER_MISMATCH, detail="not the holder's own certificate")
        return certificate

    def _opened(self, row: Row[tuple[object, ...]]) -> Certificate:
        face = self.vault.open(row.face, place=f"certificates|face|{row.handle}")
        return Certificate.from_face(face, handle=row.handle, status=row.status)

    def _again(
        self, conn: Connection, request: Request, consent: Consent, certificate: Certificate, *, now: datetime
    ) -> str:
        c = spends.c
        found = conn.execute(
            update(spends)
            .where(_is(consent))
            .values(tries=c.tries + 1)
            .returning(c.state, c.request_digest, c.status, c.copy)
        ).one()
        if found.state == CONSENT.target("withdraw"):
            raise Refusal(Reason.WITHDRAWN)
        if found.request_digest != request.digest:
            raise Refusal(Reason.CONSENT_SPENT, detail="spent for another request")
        if certificate.status not in (found.status, "VALID"):
            # Model checking found this: a resumed request must not give out what has been withdrawn since. A copy made
            # while the certificate was not valid has no fields and names its own time: resending it does no harm.
            raise Refusal(Reason.CERTIFICATE_NOT_VALID, status=certificate.status, as_of=rfc3339(now))
        return str(found.copy)

    def _record(
        self,
        conn: Connection,
        request: Request,
        consent: Consent,
        copy: str,
        at_counter: AtCounter | None,
        *,
        now: datetime,
    ) -> None:
        digest = signed_digest(copy)
        entry = {
            "request": request.digest,
            "consent": consent.sealed.digest,
            "copy": digest,
            "desk": request.desk,
            "unit": request.ask.unit,
            "matter": request.ask.matter,
            "fields": list(request.ask.fields),
            "method": consent.method,
        }
        if at_counter is not None and at_counter.second_officer is not None:
            entry["second_officer"] = at_counter.second_officer
        position = append(conn, ledger, Act.SPENT, entry, now=now)
        if at_counter is not None:
            quota.count(conn, request, now=now)
        receipt = self._receipt(request, consent, digest, None, position, now=now)
        conn.execute(update(spends).where(_is(consent)).values(copy=copy, receipt=receipt))

    def _receipt(
        self,
        request: Request,
        consent: Consent,
        copy_digest: str | None,
        reason: Reason | None,
        position: Position,
        *,
        now: datetime,
    ) -> str:
        return seal_receipt(
            self.answer_key,
            side="library",
            ask=request.ask,
            request_digest=request.digest,
            consent_digest=consent.sealed.digest,
            copy_digest=copy_digest,
            reason=reason,
            ledger=position,
            now=now,
        )

    def withdraw(self, request: Request, consent: Consent, *, now: datetime) -> None:
        """Withdraw a consent that was not spent, with the library's receipt; Refusal(CONSENT_SPENT) where it was. Twice is
        once."""

        def take(conn: Connection) -> None:
            state = CONSENT.after(CONSENT.start, "withdraw")
            row = {
                "consent_issuer": consent.issuer,
                "jti": consent.jti,
                "state": state,
                "request_digest": request.digest,
                "at": now,
                "tries": 1,
            }
            if inserted(conn, insert(spends).values(row)):
                entry = {"request": request.digest, "consent": consent.sealed.digest}
                position = append(conn, ledger, Act.WITHDRAWN, entry, now=now)
                receipt = self._receipt(request, consent, None, Reason.WITHDRAWN, position, now=now)
                conn.execute(update(spends).where(_is(consent)).values(receipt=receipt))
                return
            found = conn.execute(select(spends.c.state).where(_is(consent))).scalar_one()
            if found != state:
                raise Refusal(Reason.CONSENT_SPENT, detail="too late to withdraw")

        attempt(self.engine, take)

    def acknowledge(self, consent_issuer: str, jti: str, *, now: datetime, receipt: str) -> None:
        """The desk has the copy: SPENT becomes DELIVERED, once; Refusal(CONSENT_UNKNOWN) for what was never spent."""
        c = spends.c

        def deliver(conn: Connection) -> None:
            moved = conn.execute(
                update(spends)
                .where(
                    c.consent_issuer == consent_issuer,
                    c.jti == jti,
                    c.state.in_(sorted(CONSENT.sources("acknowledge"))),
                )
                .values(state=CONSENT.target("acknowledge"), unit_receipt=receipt)
            ).rowcount
            if moved:
                append(conn, ledger, Act.DELIVERED, {"receipt": signed_digest(receipt)}, now=now)
                return
            query = select(c.state).where(c.consent_issuer == consent_issuer, c.jti == jti)
            if conn.execute(query).scalar_one_or_none() != CONSENT.target("acknowledge"):
                raise Refusal(Reason.CONSENT_UNKNOWN, detail="nothing was released under it")

        attempt(self.engine, deliver)


def _is(consent: Consent) -> ColumnElement[bool]:
    return and_(spends.c.consent_issuer == consent.issuer, spends.c.jti == consent.jti)


def _judge_couple(request: Request, grant: Grant, certificate: Certificate) -> None:
    """Where two people came for one visit: the one who came along is the certificate's other party (A13)."""
    if (request.other is None) != (grant.other is None):
        raise Refusal(Reason.CONSENT_MISMATCH, detail="a couple's consent for one, or the reverse")
    if grant.other is not None and not secrets.compare_digest(
        grant.other.encode(), certificate.other.id_number.encode()
    ):
        raise Refusal(Reason.COUPLE_MISMATCH, detail="not the other party")


def _held(conn: Connection, holder: str, *, now: datetime) -> Holdings:
    """What a person has here, masked, newest registration first."""
    rows = conn.execute(
        select(certificates)
        .where(certificates.c.holder == holder)
        .order_by(certificates.c.registration_date.desc(), certificates.c.issued_at.desc())
        .limit(MOST)
    ).all()
    paper = conn.execute(select(undigitised).where(undigitised.c.holder == holder)).first() is not None
    return Holdings(certificates=tuple(_holding(row, now) for row in rows), undigitised=paper)


def _holding(row: Row[tuple[object, ...]], now: datetime) -> Holding:
    return Holding(
        certificate=row.handle,
        type=row.type,
        number=row.number_masked,
        authority=row.authority,
        registration_date=row.registration_date.isoformat(),
        status=row.status,
        status_as_of=rfc3339(now),
    )
