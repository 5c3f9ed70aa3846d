"""A marriage or divorce e-certificate: one party's copy of one registration (domain: certificate face, 证照照面信息).

`problems` judges the cross-field rules and returns everything that is wrong at once, because a person has to mend it.
An "error" keeps a certificate out of the library; a "warning" is kept and shown to whoever mends data:

- ages at registration (Civil Code art. 1047): earlier law and autonomous areas had lower ones
- the sex that an ID number says: registers hold numbers that say the other one
- a county that did not stand in the number's year, and an identifier whose check character follows neither dialect: both
  are in the field on certificates that are perfectly valid
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import date
from typing import Any, Final

from consent.certificate_numbers import CertificateIdentifier, CertificateNumber, CheckDialect, NumberKind
from consent.errors import Refusal
from consent.holding import STATUSES
from consent.people import CitizenId, Name, Sex

# A certificate's type → its registration types (op_type of the ministry's record): new, and reissued.
REGISTRATION_TYPES: Final = {"marriage": ("IA", "ICA"), "divorce": ("IB", "ICB")}
FIRST_LAW: Final = date(1950, 5, 1)  # the first Marriage Law
AGES: Final = {"husband": 22, "wife": 20}  # Civil Code art. 1047
_SEXES: Final = {"husband": Sex.MALE, "wife": Sex.FEMALE}
_AUTHORITY_LIMIT: Final = 80  # characters, as in the answer to a holder
_VERSIONS: Final = range(1, 1000)  # three digits in the identifier
# Letters of the 字号 → the registration type that they stand for. Older forms say nothing about it.
_KINDS: Final = {
    NumberKind.MARRIAGE: "IA",
    NumberKind.MARRIAGE_REISSUED: "ICA",
    NumberKind.DIVORCE: "IB",
    NumberKind.DIVORCE_REISSUED: "ICB",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """One of the two people of a registration. Never printed."""

    name: str
    id_number: str

    def __repr__(self) -> str:
        return "Party(…)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """One certificate instance. `holder` is "husband" or "wife"; `handle` names it inside this system only."""

    handle: str
    identifier: str = field(repr=False)
    number: str = field(repr=False)
    type: str
    registration_type: str
    registration_date: date
    authority: str
    husband: Party
    wife: Party
    holder: str
    status: str
    version: int
    provenance: str

    @property
    def own(self) -> Party:
        """The holder."""
        return self.husband if self.holder == "husband" else self.wife

    @property
    def other(self) -> Party:
        """The other party of the registration."""
        return self.wife if self.holder == "husband" else self.husband

    def face(self) -> bytes:
        """All of it but handle and status as bytes, for the encrypted column."""
        found = asdict(self)
        found["registration_date"] = self.registration_date.isoformat()
        return json.dumps({name: found[name] for name in _FACE}, ensure_ascii=False).encode()

    @classmethod
    def from_face(cls, raw: bytes, *, handle: str, status: str) -> Certificate:
        """Read `face` again."""
        found: dict[str, Any] = json.loads(raw)
        found["registration_date"] = date.fromisoformat(found["registration_date"])
        found["husband"], found["wife"] = Party(**found["husband"]), Party(**found["wife"])
        return cls(handle=handle, status=status, **found)


_FACE: Final = (
    "identifier",
    "number",
    "type",
    "registration_type",
    "registration_date",
    "authority",
    "husband",
    "wife",
    "holder",
    "version",
    "provenance",
)


@dataclass(frozen=True, slots=True)
class Problem:
    """One broken rule: "error" or "warning", and a sentence without personal data."""

    level: str
    text: str


def problems(certificate: Certificate, *, today: date) -> tuple[Problem, ...]:
    """Every broken rule of a certificate, errors and warnings. `today` is the date in Shanghai."""
    return (
        *_plain_rules(certificate, today),
        *_people_rules(certificate, today),
        *_number_rules(certificate),
        *_identifier_rules(certificate),
    )


def _plain_rules(it: Certificate, today: date) -> Iterator[Problem]:
    if it.status not in STATUSES:
        yield Problem("error", "a status that does not exist")
    if it.registration_type not in REGISTRATION_TYPES.get(it.type, ()):
        yield Problem("error", "certificate type and registration type do not agree")
    if it.holder not in AGES:
        yield Problem("error", "the holder is neither husband nor wife")
    if not FIRST_LAW <= it.registration_date <= today:
        yield Problem("error", "the registration date lies in the future or before the first Marriage Law")
    if not 1 <= len(it.authority) <= _AUTHORITY_LIMIT:
        yield Problem("error", "the registration authority is missing or too long")
    if it.version not in _VERSIONS:
        yield Problem("error", "a version that does not exist")


def _people_rules(it: Certificate, today: date) -> Iterator[Problem]:
    if it.husband.id_number == it.wife.id_number:
        yield Problem("error", "both parties have one ID number")
    for role, party in (("husband", it.husband), ("wife", it.wife)):
        yield from _name_rules(role, party)
        yield from _id_rules(role, party, it.registration_date, today)


def _name_rules(role: str, party: Party) -> Iterator[Problem]:
    try:
        Name.parse(party.name)
    except Refusal as no:
        yield Problem("error", f"{role}: {no.reason}")


def _id_rules(role: str, party: Party, registered: date, today: date) -> Iterator[Problem]:
    try:
        number = CitizenId.parse(party.id_number, today=today)
    except Refusal as no:
        yield Problem("error", f"{role}: {no.reason}")
        return
    if number.number != party.id_number:
        # The holder is found by an HMAC of these very characters.
        yield Problem("error", f"{role}: the ID number is not in its canonical form")
    if number.birth_date > registered:
        yield Problem("error", f"{role}: born after the registration")
    elif _age(number.birth_date, registered) < AGES[role]:
        yield Problem("warning", f"{role}: younger than the Civil Code's age at registration")
    if number.sex is not _SEXES[role]:
        yield Problem("warning", f"{role}: the ID number says the other sex")


def _age(born: date, on: date) -> int:
    return on.year - born.year - ((on.month, on.day) < (born.month, born.day))


def _number_rules(it: Certificate) -> Iterator[Problem]:
    try:
        number = CertificateNumber.parse(it.number)
    except Refusal as no:
        yield Problem("error", f"{no.reason}")
        return
    if _KINDS.get(number.kind, it.registration_type) != it.registration_type:
        yield Problem("error", "the letters of the number do not fit the registration type")
    if not number.fits_registration(it.registration_date.year):
        yield Problem("error", "the year of the number does not fit the registration date")
    if not number.division_stood:
        yield Problem("warning", "the county of the number did not stand in that year")


def _identifier_rules(it: Certificate) -> Iterator[Problem]:
    try:
        identifier = CertificateIdentifier.parse(it.identifier)
    except Refusal as no:
        yield Problem("error", f"{no.reason}")
        return
    if int(identifier.version) != it.version:
        yield Problem("error", "the identifier is of another version")
    if identifier.dialect is CheckDialect.NEITHER:
        yield Problem("warning", "the identifier's check character follows neither dialect")
