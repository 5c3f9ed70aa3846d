"""The two numbers of a certificate: 字号 on its face, and 证照标识 in the library.

A `CertificateNumber` is J310101-2010-000001: kind, county of registration, year, sequence of that year.
Certificates of before 2003 carry other forms (京海结字…, 政字第…); they are just as valid, so that free text
is kept as a legacy number and never refused for its form.

A `CertificateIdentifier` is 1.2.156.3005.2.type.issuer.serial.version.check (GB/T 36904). Two dialects of the
check character are in the field, and the wrong one is the more common for marriage certificates. We record
which one matched and refuse neither.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Self

from consent.divisions import stood_in
from consent.errors import Reason, Refusal
from consent.people import check_characters

NUMBER_LIMIT: Final = 50
_HALF_WIDTH: Final = {point: point - 0xFEE0 for point in range(0xFF01, 0xFF5F)} | {0x3000: 0x20}
_DASHES: Final = dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2014\u2015\u2212"), "-")
_CANONICAL: Final = re.compile(
    r"(?P<kind>J|L|BJ|BL)(?P<division>[0-9]{6})-(?P<year>(?:19|20)[0-9]{2})-(?P<sequence>[0-9]{4,8})"
)


class NumberKind(StrEnum):
    """The letters of a 字号. LEGACY is every form from before them."""

    MARRIAGE = "J"
    DIVORCE = "L"
    MARRIAGE_REISSUED = "BJ"
    DIVORCE_REISSUED = "BL"
    LEGACY = "legacy"

    @property
    def reissued(self) -> bool:
        """Whether the year in the number is the year of the reissue, not of the registration."""
        return self in (NumberKind.MARRIAGE_REISSUED, NumberKind.DIVORCE_REISSUED)


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateNumber:
    """A 字号. `raw` is as written, `normal` is for comparison; the parts are None in a legacy number."""

    raw: str = field(repr=False)
    normal: str = field(repr=False)
    kind: NumberKind
    division: str | None = None
    year: int | None = None
    sequence: str | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read any 字号 of 1 to 50 code points. Raises Refusal(CERTIFICATE_NUMBER_MALFORMED).

        Only writing habits are unified: full width to half width, all dashes to "-", blanks around it, upper
        case.
        """
        raw = _text(text, Reason.CERTIFICATE_NUMBER_MALFORMED).strip(" \t\r\n\u3000")
        if not 1 <= len(raw) <= NUMBER_LIMIT:
            raise Refusal(Reason.CERTIFICATE_NUMBER_MALFORMED, detail="length", n=NUMBER_LIMIT)
        try:
            check_characters(raw, Reason.CERTIFICATE_NUMBER_MALFORMED)
        except Refusal as refusal:
            raise Refusal(Reason.CERTIFICATE_NUMBER_MALFORMED, detail=refusal.detail) from None
        normal = raw.translate(_HALF_WIDTH).translate(_DASHES).upper()
        found = _CANONICAL.fullmatch(normal)
        if found is None:
            return cls(raw=raw, normal=normal, kind=NumberKind.LEGACY)
        return cls(
            raw=raw,
            normal=normal,
            kind=NumberKind(found["kind"]),
            division=found["division"],
            year=int(found["year"]),
            sequence=found["sequence"],
        )

    @property
    def division_stood(self) -> bool:
        """False when the county code is known not to have been in force in the number's year (a flag, no
        error)."""
        return self.division is None or self.year is None or stood_in(self.division, self.year)

    def fits_registration(self, year: int) -> bool:
        """Whether the number may belong to a registration of `year`: the same year, or not later for
        reissues."""
        if self.year is None:
            return True
        return year <= self.year if self.kind.reissued else year == self.year


class CheckDialect(StrEnum):
    """Which reading of ISO 7064 MOD 37,36 the check character of an identifier follows."""

    STANDARD = "standard"
    LEGACY = "legacy"
    NEITHER = "neither"


IDENTIFIER_ROOT: Final = "1.2.156.3005.2"
_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_IDENTIFIER: Final = re.compile(
    r"1\.2\.156\.3005\.2\.(?P<type_code>[0-9A-Z]{21})\.(?P<issuer>[0-9A-Z]{18}|[0-9]{6})"
    r"\.(?P<serial>[0-9A-Z]{1,64})\.(?P<version>[0-9]{3})\.(?P<check>[0-9A-Z])"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateIdentifier:
    """A 证照标识. `issuer` is a USCC, or a six-digit division code in some libraries; it is not checked
    further."""

    text: str = field(repr=False)
    type_code: str
    issuer: str
    serial: str = field(repr=False)
    version: str
    dialect: CheckDialect

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read an identifier. Raises Refusal(CERTIFICATE_IDENTIFIER_MALFORMED) for its shape only."""
        written = _text(text, Reason.CERTIFICATE_IDENTIFIER_MALFORMED).strip(" \t\r\n")
        found = _IDENTIFIER.fullmatch(written)
        if found is None:
            raise Refusal(Reason.CERTIFICATE_IDENTIFIER_MALFORMED, detail="shape")
        body = found["type_code"] + found["issuer"] + found["serial"] + found["version"]
        return cls(
            text=written,
            type_code=found["type_code"],
            issuer=found["issuer"],
            serial=found["serial"],
            version=found["version"],
            dialect=_dialect_of(body, found["check"]),
        )

    @classmethod
    def compose(cls, *, type_code: str, issuer: str, serial: str, version: int) -> Self:
        """Make the identifier of a new certificate, with the standard check character. Refuses wrong
        shapes."""
        body = f"{type_code}{issuer}{serial}{version:03d}"
        if not re.fullmatch(r"[0-9A-Z]+", body):
            raise Refusal(Reason.CERTIFICATE_IDENTIFIER_MALFORMED, detail="shape")
        check = identifier_check_character(body)
        return cls.parse(f"{IDENTIFIER_ROOT}.{type_code}.{issuer}.{serial}.{version:03d}.{check}")


def identifier_check_character(body: str) -> str:
    """The standard check character over type, issuer, serial and version without dots (ISO 7064 MOD
    37,36)."""
    product = 36
    for char in body:
        product = ((product + int(char, 36)) % 36 or 36) * 2 % 37
    return _ALPHABET[(37 - product) % 36]


def legacy_check_character(body: str) -> str:
    """The field dialect, reproduced with its two mistakes: letters count from 11 and are reduced modulo 37
    before 36, and the result is shifted by one. Real certificates carry it, so that we have to recognise
    it."""
    product = 36
    for char in body:
        total = product + int(char, 36)
        if char.isalpha():
            total = (total + 1) % 37 if total + 1 > 37 else total + 1
        product = (total % 36 or 36) * 2 % 37
    return _ALPHABET[36 - product]


def _dialect_of(body: str, check: str) -> CheckDialect:
    if identifier_check_character(body) == check:
        return CheckDialect.STANDARD
    return CheckDialect.LEGACY if legacy_check_character(body) == check else CheckDialect.NEITHER


def _text(value: object, malformed: Reason) -> str:
    if not isinstance(value, str):
        raise Refusal(malformed, detail="not text")
    return value
