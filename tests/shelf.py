"""A library of the sandbox for one test: its keys, its database, people who cannot exist, and visits that end at it.

The keys lie in files of a folder, so that another process can open the same library and read the same documents.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from consent.annotated_copy import COPY, CopyBody, open_copy
from consent.answer import ANSWER, open_answer
from consent.b64 import digest_of, from_b64, new_id
from consent.certificate_numbers import CertificateIdentifier
from consent.envelope import EnvelopeKey, new_envelope_key
from consent.grant import CONSENT, Consent, Grant, open_consent, open_grant, seal_consent
from consent.holding import HOLDING, Holdings, holdings_from, open_holding, seal_holding
from consent.keys import KeyRing, SigningKey, load_key, new_key, write_private
from consent.people import synthetic_id
from consent.receipt import RECEIPT
from consent.request import NO_OFFICER, REQUEST, Aside, Ask, Request, open_request, seal_request
from consent.seal import Sealed
from consent.showing import Person
from consent.stores.base import open_engine, reading
from verifier.library.certificate import Certificate, Party
from verifier.library.evidence import AtCounter
from verifier.library.issuing import new_handle
from verifier.library.register import Library
from verifier.library.vault import Vault
from verifier.matters.catalogue import MatterField
from verifier.stores import library as tables

NOW = datetime(2026, 3, 2, 1, 2, 3, tzinfo=UTC)
SECOND, YEAR = timedelta(seconds=1), timedelta(days=365)
HOME, DESK, HERE = "31", "32", "33"  # whose app showed the code, whose counter asks, whose library this is
INDEX_KEY, DATA_KEY = bytes(range(32)), bytes(range(32, 64))

HUSBAND = Party(name="测试·甲", id_number=synthetic_id("310199", date(1988, 1, 1), 1))
WIFE = Party(name="试验乙", id_number=synthetic_id("330199", date(1990, 6, 7), 2))

ROLES = {
    "request": (DESK, (REQUEST,)),
    "consent": (HOME, (CONSENT, HOLDING)),
    "library": (HERE, (COPY,)),
    "answer": (HERE, (RECEIPT, ANSWER)),
}


def fields(**ways: str) -> tuple[MatterField, ...]:
    """Fields with how they are disclosed."""
    return tuple(MatterField(name=name, disclosure=how, label_zh="栏", label_en="Field") for name, how in ways.items())


SOME = fields(holder_match="MATCH", certificate_number="PLAIN", registration_date="PLAIN", other_party_id="MASKED")


def certificate(**changes: Any) -> Certificate:
    """The husband's own certificate of a marriage in 2015, sound in every rule, with these members changed."""
    found: dict[str, Any] = {
        "handle": new_handle(HERE),
        "identifier": CertificateIdentifier.compose(
            type_code="111000000000131433001", issuer="11330000MB99991100", serial="20150000123", version=1
        ).text,
        "number": "J330106-2015-000123",
        "type": "marriage",
        "registration_type": "IA",
        "registration_date": date(2015, 5, 20),
        "authority": "杭州市西湖区婚姻登记处",
        "husband": HUSBAND,
        "wife": WIFE,
        "holder": "husband",
        "status": "VALID",
        "version": 1,
        "provenance": "sandbox",
    }
    return Certificate(**{**found, **changes})


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """A request and a consent to it, as the library opens them, and the key that reads the copy."""

    request: Request
    consent: Consent
    grant: Grant
    answer_key: EnvelopeKey

    @property
    def texts(self) -> tuple[str, str, str]:
        """Request, consent, and the certificate's handle: enough for another process."""
        return self.request.sealed.text, self.consent.sealed.text, self.grant.certificate


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """A library, and everybody's keys."""

    library: Library
    keys: Mapping[str, SigningKey]
    ring: KeyRing
    inner: EnvelopeKey

    def visit(
        self, of: Certificate, *, person: Party | None = None, type_: str | None = None, now: datetime = NOW, **at: str
    ) -> Visit:
        """A citizen agreed that the desk gets this certificate; `person` where somebody else did. `at`: unit and window."""
        key = new_envelope_key()
        request = self.ask(type_ or of.type, key, now=now, **at)
        return self.agreed(request, of, person=person or of.own, answer_key=key, now=now)

    def ask(
        self,
        type_: str,
        key: EnvelopeKey,
        *,
        unit: str = "11320000MB99991100",
        window: str = "32-R1",
        now: datetime = NOW,
    ) -> Request:
        """A request of the desk."""
        ask = Ask(
            unit=unit,
            window=window,
            officer=NO_OFFICER,
            matter="realestate.register",
            case="2026-0001",
            type=type_,
            fields=tuple(field.name for field in SOME),
            cause="办理不动产登记",
            code=digest_of(new_id().encode()),
            declarations=("marital_status",),
            answer_key=key.recipient.text,
        )
        aside = Aside(salt=from_b64(new_id()), id_number=HUSBAND.id_number, digits="07")
        text = seal_request(ask, aside, self.keys["request"], request_id=new_id(), holder_province=HOME, now=now)
        return open_request(text, self.ring, holder_province=HOME, now=now)

    def agreed(
        self, request: Request, of: Certificate, *, person: Party, answer_key: EnvelopeKey, now: datetime = NOW
    ) -> Visit:
        """The consent of that person to that request."""
        grant = Grant(person=Person(id_number=person.id_number, name=person.name), certificate=of.handle)
        text = seal_consent(
            grant,
            self.keys["consent"],
            request=request,
            method="app",
            evidence=digest_of(b"an approval"),
            library=self.inner.recipient,
            now=now,
        )
        consent = open_consent(text, self.ring, request=request, now=now)
        opened = open_grant(consent, self.inner)
        return Visit(request=request, consent=consent, grant=opened, answer_key=answer_key)

    def release(
        self,
        visit: Visit,
        which: Sequence[MatterField] = SOME,
        *,
        now: datetime = NOW,
        request: Request | None = None,
        at_counter: AtCounter | None = None,
    ) -> str:
        """L1."""
        request = request or visit.request
        return self.library.release(request, visit.consent, visit.grant, tuple(which), now=now, at_counter=at_counter)

    def question(self, holder: str, *, now: datetime = NOW) -> Sealed:
        """A question of the citizen's province about what a person has here; each one is another question."""
        under = digest_of(b"a login")
        text = seal_holding(self.keys["consent"], library=HERE, holder=holder, under=under, now=now)
        return open_holding(text, self.ring, library=HERE, now=now)

    def held(self, holder: str) -> Holdings:
        """What the citizen's province reads in the answer to a question of its own."""
        question = self.question(holder)
        text = self.library.holdings(question, self.inner.recipient, now=NOW)
        answer = open_answer(text, self.ring, issuer=HERE, audience=HOME, question=question.digest, now=NOW)
        return holdings_from(answer.payload(self.inner))

    def withdraw(self, visit: Visit, *, now: datetime = NOW) -> None:
        """The citizen takes the consent back."""
        self.library.withdraw(visit.request, visit.consent, now=now)

    def body(self, visit: Visit, copy: str) -> CopyBody:
        """What the desk reads in the copy."""
        opened = open_copy(copy, self.ring, request=visit.request, library=HERE, now=NOW)
        return opened.body(visit.answer_key)

    def spends(self) -> list[Any]:
        """All rows of the table for which spending and withdrawing compete."""
        with reading(self.library.engine) as conn:
            return list(conn.execute(tables.spends.select()).all())


def make_keys(folder: Path) -> None:
    """The key files of a new country."""
    for role, (issuer, _) in ROLES.items():
        write_private(folder / f"{role}.pem", new_key("EdDSA", issuer=issuer).pem())


def open_shelf(folder: Path, url: str) -> Shelf:
    """The library at that URL with the keys in that folder; makes the file, not the tables."""
    keys = {
        role: load_key(f"file:{folder}/{role}.pem", issuer=issuer, sandbox=True) for role, (issuer, _) in ROLES.items()
    }
    ring = KeyRing(
        [
            keys[role].published(*(kind.typ for kind in kinds), not_before=NOW - YEAR, not_after=NOW + YEAR)
            for role, (_, kinds) in ROLES.items()
        ]
    )
    library = Library(
        engine=open_engine(url, must_exist=False),
        province=HERE,
        library_key=keys["library"],
        answer_key=keys["answer"],
        index_key=INDEX_KEY,
        vault=Vault(DATA_KEY),
    )
    return Shelf(library=library, keys=keys, ring=ring, inner=new_envelope_key())


def reopened(shelf: Shelf, texts: tuple[str, str, str], person: Party) -> Visit:
    """A visit in another process, from its documents; the envelope's key stays where it was made."""
    request = open_request(texts[0], shelf.ring, holder_province=HOME, now=NOW)
    consent = open_consent(texts[1], shelf.ring, request=request, now=NOW)
    grant = Grant(person=Person(id_number=person.id_number, name=person.name), certificate=texts[2])
    return Visit(request=request, consent=consent, grant=grant, answer_key=shelf.inner)
