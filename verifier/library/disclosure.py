"""From a certificate to the annotated copy (加注件): exactly the allowed fields, each disclosed as the catalogue says.

Pure. Three rules stand here so that no list of fields, however it came about, can break them:

1. A field is disclosed in the ways that DISCLOSABLE names for it and in no other. What cannot be computed honestly is not
   there: no request carries a date to compare with or a second person to match, so AT_LEAST_DATE has no field yet and
   MATCH answers for the holder alone.
2. The other party did not consent. Of that person only what is masked goes out.
3. Where the certificate is not valid, nothing of its face goes out: its status is the answer.

What stands beside the fields says nothing of the face either: `authority` is the department that answers for this library
(颁发机构). Where somebody was registered (登记机关) is a field like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final

from consent.annotated_copy import CopyBody, Field
from consent.certificate_numbers import CertificateNumber, NumberKind
from consent.clock import rfc3339
from consent.errors import Reason, Refusal
from consent.people import Name
from consent.provinces import province
from verifier.library.certificate import Certificate
from verifier.matters.catalogue import MatterField

COPY_TERM: Final = timedelta(hours=12)  # how long a counter may lean on a copy; the annotation says so

YES: Final = "yes"


def disclose(
    certificate: Certificate, fields: Sequence[MatterField], *, library: str, cause: str, now: datetime
) -> CopyBody:
    """The body of the copy. `fields` are already what unit, desk's province and this library allow.

    Refusal(FIELD_NOT_ALLOWED) for a field that no certificate has, or a way in which it is not disclosed.
    """
    given = tuple(_field(certificate, field) for field in fields)
    return CopyBody(
        type=certificate.type,
        status=certificate.status,
        status_as_of=rfc3339(now),
        library=library,
        authority=province(library).civil_affairs_zh,
        cause=cause,
        expires=rfc3339(now + COPY_TERM),
        fields=given if certificate.status == "VALID" else (),
    )


def masked_name(text: str) -> str:
    """张*, 张*三."""
    return Name.parse(text).masked()


def masked_id(text: str) -> str:
    """First six and last four of 18 characters; of a shorter number that would be most of it, so nothing."""
    return f"{text[:6]}{'*' * (len(text) - 10)}{text[-4:]}" if len(text) >= 18 else "*" * len(text)


def masked_number(text: str) -> str:
    """J******-****-**0012: enough to tell two booklets apart, without county and year of the registration.

    A number of the old forms (京海结字…) names its registry in front and may be short: at most a quarter of it stays, and
    never more than two characters.
    """
    number = CertificateNumber.parse(text)
    if number.kind is NumberKind.LEGACY or number.sequence is None:
        shown = min(2, len(number.raw) // 4)
        return "*" * (len(number.raw) - shown) + number.raw[len(number.raw) - shown :]
    return f"{number.kind}******-****-{'*' * (len(number.sequence) - 4)}{number.sequence[-4:]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """Where a field's value comes from, and what hides its middle. None where it may not go out that way."""

    match: Callable[[Certificate], str] | None = None
    plain: Callable[[Certificate], str] | None = None
    masked: Callable[[Certificate], str] | None = None

    def ways(self) -> Mapping[str, Callable[[Certificate], str]]:
        """The ways by name."""
        found = {"MATCH": self.match, "PLAIN": self.plain, "MASKED": self.masked}
        return {way: value for way, value in found.items() if value is not None}


_SOURCES: Final[Mapping[str, _Source]] = {
    # The grant named this holder, the person at the counter was matched with it, and the certificate is the holder's own.
    "holder_match": _Source(match=lambda it: YES),
    "holder_name": _Source(plain=lambda it: it.own.name, masked=lambda it: masked_name(it.own.name)),
    "certificate_number": _Source(plain=lambda it: it.number, masked=lambda it: masked_number(it.number)),
    "registration_date": _Source(plain=lambda it: it.registration_date.isoformat()),
    "registration_authority": _Source(plain=lambda it: it.authority),
    "other_party_name": _Source(masked=lambda it: masked_name(it.other.name)),
    "other_party_id": _Source(masked=lambda it: masked_id(it.other.id_number)),
}

DISCLOSABLE: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {name: frozenset(source.ways()) for name, source in _SOURCES.items()}
)
"""Every field that a certificate has, and the ways in which it may be disclosed."""


def _field(certificate: Certificate, field: MatterField) -> Field:
    source = _SOURCES.get(field.name)
    value = None if source is None else source.ways().get(field.disclosure)
    if value is None:
        raise Refusal(Reason.FIELD_NOT_ALLOWED, detail=f"{field.name} as {field.disclosure}")
    return Field(name=field.name, disclosure=field.disclosure, value=value(certificate))
