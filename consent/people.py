"""People and organisations by their numbers and names: read, refused, masked, compared.

A value of this file has passed its checks: `CitizenId.parse`, `Uscc.parse` and `Name.parse` either return one
or raise `Refusal`, whatever they are given. Nothing here prints itself: `repr` shows no number and no name,
so that a value in a log line or a traceback says nothing about anybody.

Four things are easy to get wrong, and have been by the packages that we could have used:

1. County codes change. A number keeps the code of birth for life, so unknown and retired counties are flags,
   never refusals; only the province prefix is checked.
2. Residents from Hong Kong, Macao and Taiwan (810000, 820000, 830000) and foreign permanent residents (first
   digit 9, since 2023-12-01) carry 18 digits with the same check character. They are people with numbers like
   everybody else.
3. Names are sequences of code points. They are never normalised (NFC and NFKC would replace registered
   characters by others), their length is counted in code points, and only the *comparison* unifies the
   separator dots.
4. A 15-digit number is a way to search old files, never a proof of who somebody is: A33 digitises 18-digit
   files only.

Sources: GB 11643-1999 (ISO 7064 MOD 11-2), GB 32100-2015, GB 11714-1997, 民委发〔2016〕33号 for names.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Final, Self

from consent.divisions import Standing, standing_of
from consent.errors import Reason, Refusal

# ------------------------------------------------------------------------------------------
# Citizen ID numbers


class IdKind(StrEnum):
    """Whose number it is."""

    CITIZEN = "citizen"
    HK_MACAO_TAIWAN_PERMIT = "hk_macao_taiwan_permit"
    PERMANENT_RESIDENT = "permanent_resident"
    LEGACY = "legacy"


class Sex(StrEnum):
    """As the 17th digit says it; a register may say otherwise, which is a flag there and no error here."""

    MALE = "male"
    FEMALE = "female"


class Flag(StrEnum):
    """What is unusual about a number without being wrong."""

    DIVISION_UNKNOWN = "division_unknown"
    DIVISION_RETIRED = "division_retired"
    DIVISION_STATISTICAL = "division_statistical"


_WEIGHTS: Final = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_EARLIEST_YEAR: Final = 1900
_PERMIT_PREFIXES: Final = frozenset({"81", "82", "83"})
_PREFIXES: Final = _PERMIT_PREFIXES | {
    str(prefix)
    for span in (
        range(11, 16),
        range(21, 24),
        range(31, 38),
        range(41, 47),
        range(50, 55),
        range(61, 66),
        (71,),
    )
    for prefix in span
}
_FLAGS: Final = {
    Standing.UNKNOWN: frozenset({Flag.DIVISION_UNKNOWN}),
    Standing.RETIRED: frozenset({Flag.DIVISION_RETIRED}),
    Standing.STATISTICAL: frozenset({Flag.DIVISION_STATISTICAL}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CitizenId:
    """An 18-character number whose check character, date and province prefix are right.

    `number` is in canonical form (upper-case X). Build it with `parse` or `expand_legacy`, never by hand.
    """

    number: str = field(repr=False)
    kind: IdKind
    birth_date: date = field(repr=False)
    sex: Sex = field(repr=False)
    flags: frozenset[Flag]

    @classmethod
    def parse(cls, text: str, *, today: date) -> Self:
        """Read an 18-character number; `today` is the date in Shanghai. Raises Refusal(ID_NUMBER_MALFORMED).

        Blanks around it and a lower-case x are forgiven, because readers and keyboards produce them.
        """
        number = _text(text, Reason.ID_NUMBER_MALFORMED).strip(" \t\r\n").upper()
        if not re.fullmatch(r"[1-9][0-9]{16}[0-9X]", number):
            raise _bad_id("shape")
        return cls._judge(number, kind=_kind_of(number), today=today)

    @classmethod
    def _judge(cls, number: str, *, kind: IdKind, today: date) -> Self:
        if id_check_character(number[:17]) != number[17]:
            raise _bad_id("check character")
        born = _birth_date(number[6:14], today)
        if kind is not IdKind.PERMANENT_RESIDENT and number[:2] not in _PREFIXES:
            raise _bad_id("province prefix")
        standing = Standing.ELSEWHERE if kind is IdKind.PERMANENT_RESIDENT else standing_of(number[:6])
        return cls(
            number=number,
            kind=kind,
            birth_date=born,
            sex=Sex.MALE if int(number[16]) % 2 else Sex.FEMALE,
            flags=_FLAGS.get(standing, frozenset()),
        )

    @property
    def compare_key(self) -> str:
        """What must be equal for two numbers to be one person's. A legacy number equals no 18-digit
        number."""
        return f"legacy:{self.number}" if self.kind is IdKind.LEGACY else self.number

    def masked(self) -> str:
        """First six, eight stars, last four: the form that Shanghai's own interface returns."""
        return f"{self.number[:6]}********{self.number[14:]}"


def expand_legacy(text: str, *, today: date) -> CitizenId:
    """Read a 15-digit number of before 1999 as a *search* key: insert the century 19, append the check
    character.

    The result's kind is LEGACY and its compare key never equals an 18-digit one. Raises
    Refusal(ID_NUMBER_MALFORMED).
    """
    old = _text(text, Reason.ID_NUMBER_MALFORMED).strip(" \t\r\n")
    if not re.fullmatch(r"[1-8][0-9]{14}", old):
        raise _bad_id("shape")
    body = f"{old[:6]}19{old[6:]}"
    return CitizenId._judge(body + id_check_character(body), kind=IdKind.LEGACY, today=today)


def id_check_character(first_17: str) -> str:
    """The 18th character for 17 digits (ISO 7064 MOD 11-2)."""
    total = sum(int(digit) * weight for digit, weight in zip(first_17, _WEIGHTS, strict=True))
    return "10X98765432"[total % 11]


def synthetic_id(division: str, birth_date: date, sequence: int) -> str:
    """A number with a right check character for a person who cannot exist.

    `division` must be a county code of one of the four provinces that never existed (310199), `sequence` 0 to
    999, odd for men. A code that is or ever was real raises ValueError: the number might be somebody's.
    """
    if not re.fullmatch(r"[0-9]{6}", division) or standing_of(division) is not Standing.UNKNOWN:
        raise ValueError("a synthetic person lives in a county that never existed")
    if division.endswith("00") or not 0 <= sequence <= 999:
        raise ValueError("not a county code, or a sequence outside of 0 to 999")
    body = f"{division}{birth_date:%Y%m%d}{sequence:03d}"
    return body + id_check_character(body)


def _kind_of(number: str) -> IdKind:
    if number[0] == "9":
        return IdKind.PERMANENT_RESIDENT
    return IdKind.HK_MACAO_TAIWAN_PERMIT if number[:2] in _PERMIT_PREFIXES else IdKind.CITIZEN


def _birth_date(digits: str, today: date) -> date:
    try:
        born = date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        raise _bad_id("no such day") from None
    if born.year < _EARLIEST_YEAR or born > today:
        raise _bad_id("birth date out of range")
    return born


def _bad_id(detail: str) -> Refusal:
    return Refusal(Reason.ID_NUMBER_MALFORMED, detail=detail)


# ------------------------------------------------------------------------------------------
# Unified social credit codes

_USCC_ALPHABET: Final = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_ORGANISATION_WEIGHTS: Final = (3, 7, 9, 10, 5, 8, 4, 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Uscc:
    """An organisation's unified social credit code with both check characters right (GB 32100, GB 11714).

    Strict, for organisations that *we* register. Issuer codes in certificates from elsewhere are not read
    with this: real libraries hold malformed ones.
    """

    code: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read 18 characters; lower case and blanks around them are forgiven. Raises
        Refusal(USCC_MALFORMED)."""
        code = _text(text, Reason.USCC_MALFORMED).strip(" \t\r\n").upper()
        if not re.fullmatch(rf"[{_USCC_ALPHABET}]{{2}}[0-9]{{6}}[{_USCC_ALPHABET}]{{10}}", code):
            raise Refusal(Reason.USCC_MALFORMED, detail="shape")
        if organisation_check_character(code[8:16]) != code[16]:
            raise Refusal(Reason.USCC_MALFORMED, detail="organisation check character")
        if uscc_check_character(code[:17]) != code[17]:
            raise Refusal(Reason.USCC_MALFORMED, detail="check character")
        return cls(code=code)

    @property
    def division(self) -> str:
        """The six-digit code of the office that registered the organisation."""
        return self.code[2:8]


def organisation_check_character(first_8: str) -> str:
    """The 9th character of an organisation code (GB 11714): weighted sum modulo 11, ten is written X."""
    total = sum(int(char, 36) * weight for char, weight in zip(first_8, _ORGANISATION_WEIGHTS, strict=True))
    return "0123456789X"[-total % 11]


def uscc_check_character(first_17: str) -> str:
    """The 18th character (GB 32100): weights are the powers of 3 modulo 31."""
    total = sum(_USCC_ALPHABET.index(char) * pow(3, place, 31) for place, char in enumerate(first_17))
    return _USCC_ALPHABET[-total % 31]


# ------------------------------------------------------------------------------------------
# Names

NAME_LIMIT: Final = 50
"""Code points in a name: 25 Han characters took 50 bytes when the rule was written; we grant 50
characters."""

SEPARATOR: Final = "\u00b7"
"""The only separator dot that the twelve ministries allow in a name (GB 13000 00B7, GB 18030 A1A4)."""

# What keyboards, phones and old systems write instead. NFKC does not unify them, and would damage the rest.
_DOTS: Final = "\u2022\u30fb\uff65\u2027\uff0e."
_TO_SEPARATOR: Final = str.maketrans(dict.fromkeys(_DOTS, SEPARATOR))
_KEPT_IN_MASK: Final = frozenset(SEPARATOR + _DOTS + " ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Name:
    """A person's name exactly as registered. Equal names may still be written with different dots: see
    compare_key."""

    raw: str = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a name of 1 to 50 code points; blanks around it (cards pad with them) are dropped.

        Raises Refusal(NAME_PUA_CHARACTER) for private-use characters, which are only a picture on somebody's
        screen (GB 18030-2022 gave the last of them a real place), and Refusal(NAME_MALFORMED) for controls,
        invisible characters, halves of surrogate pairs, and names without a letter.
        """
        raw = _text(text, Reason.NAME_MALFORMED).strip(" \t\r\n\u3000")
        if len(raw) > NAME_LIMIT:
            raise Refusal(Reason.NAME_MALFORMED, detail="too long", n=NAME_LIMIT)
        check_characters(raw, Reason.NAME_MALFORMED)
        if _KEPT_IN_MASK.issuperset(raw):
            raise Refusal(Reason.NAME_MALFORMED, detail="no letter")
        return cls(raw=raw)

    @property
    def compare_key(self) -> str:
        """The name with every separator dot as U+00B7 and nothing else changed."""
        return self.raw.translate(_TO_SEPARATOR)

    def masked(self) -> str:
        """`张*`, `张*三`, `阿***·**提`: first and last character and the separators stay."""
        letters = [place for place, char in enumerate(self.raw) if char not in _KEPT_IN_MASK]
        shown = {letters[0], letters[-1]} if len(letters) > 2 else set(letters[:1]) if len(letters) == 2 else set()
        hidden = set(letters) - shown
        return "".join("*" if place in hidden else char for place, char in enumerate(self.raw))


def check_characters(text: str, malformed: Reason) -> None:
    """Refuse characters that have no business in a registered text.

    Unassigned code points pass: registers get new characters (extension H of 2022) years before Python's
    tables do.
    """
    for char in text:
        point, category = ord(char), unicodedata.category(char)
        if category == "Co":
            raise Refusal(Reason.NAME_PUA_CHARACTER, detail="private-use character")
        noncharacter = 0xFDD0 <= point <= 0xFDEF or point & 0xFFFE == 0xFFFE
        if category in ("Cc", "Cf", "Cs", "Zl", "Zp") or noncharacter or char == "\ufffd":
            raise Refusal(malformed, detail="control, invisible, lost or impossible character")


def _text(value: object, malformed: Reason) -> str:
    if not isinstance(value, str):
        raise Refusal(malformed, detail="not text")
    return value
