"""From a certificate to the annotated copy (加注件): exactly the allowed fields, each disclosed as the catalogue says.

Pure. Where the certificate is not valid nothing of its face goes out: its status is the answer. The other party did not
consent; of that person only what is masked or matched may appear, whatever a list of fields says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from consent.annotated_copy import CopyBody, Field
from consent.clock import rfc3339
from consent.errors import Reason, Refusal
from consent.people import Name
from verifier.library.certificate import Certificate
from verifier.matters.catalogue import MatterField

COPY_TERM: Final = timedelta(hours=12)  # how long a counter may lean on a copy; the annotation says so

YES: Final = "yes"

_VALUES: Final[Mapping[str, Callable[[Certificate], str]]] = {
    "holder_match": lambda it: YES,  # the grant named this holder, and the certificate is the holder's own
    "holder_name": lambda it: it.own.name,
    "certificate_number": lambda it: it.number,
    "registration_date": lambda it: it.registration_date.isoformat(),
    "registration_authority": lambda it: it.authority,
    "other_party_name": lambda it: it.other.name,
    "other_party_id": lambda it: it.other.id_number,
}
_OF_OTHERS: Final = frozenset({"other_party_name", "other_party_id"})


def disclose(
    certificate: Certificate, fields: Sequence[MatterField], *, library: str, cause: str, now: datetime
) -> CopyBody:
    """The body of the copy. `fields` are already what unit, desk's province and this library allow.

    Refusal(FIELD_NOT_ALLOWED) for a field that no certificate has, or one of the other party in plain.
    """
    valid = certificate.status == "VALID"
    return CopyBody(
        type=certificate.type,
        status=certificate.status,
        status_as_of=rfc3339(now),
        library=library,
        authority=certificate.authority,
        cause=cause,
        expires=rfc3339(now + COPY_TERM),
        fields=tuple(_field(certificate, field) for field in fields) if valid else (),
    )


def _field(certificate: Certificate, field: MatterField) -> Field:
    value = _VALUES.get(field.name)
    if value is None or (field.name in _OF_OTHERS and field.disclosure == "PLAIN"):
        raise Refusal(Reason.FIELD_NOT_ALLOWED, detail=f"{field.name} as {field.disclosure}")
    text = value(certificate)
    if field.disclosure == "MASKED":
        text = masked(field.name, text)
    return Field(name=field.name, disclosure=field.disclosure, value=text)


def masked(name: str, text: str) -> str:
    """A value with its middle hidden: names as 张*三, numbers as first six, stars, last four."""
    if name.endswith("_name"):
        return Name.parse(text).masked()
    if name.endswith("_id"):
        return f"{text[:6]}********{text[-4:]}"
    return f"{text[:7]}{'*' * max(4, len(text) - 9)}{text[-2:]}"
