"""What a member of a document may look like: a handful of shapes, judged without reading a schema at run time.

A shape answers one question, `fits(value)`, about a value that came out of `json.loads`. Shapes are exact: a bool is not
a number, a float never fits, an object has exactly the members that are listed. Whatever is not named is refused, so a
new member in a document is a new version of its kind and never a surprise.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol


class Shape(Protocol):
    """Judges one JSON value. Pure and total: never raises, whatever the value is."""

    def fits(self, value: Any) -> bool:
        """Whether the value has this shape."""
        ...


@dataclass(frozen=True, slots=True)
class Text:
    """A string of `least` to `most` characters that matches `pattern` as a whole, where one is given."""

    most: int
    least: int = 1
    pattern: re.Pattern[str] | None = None

    def fits(self, value: Any) -> bool:
        """Whether the value is such a string."""
        if not isinstance(value, str) or not self.least <= len(value) <= self.most:
            return False
        return self.pattern is None or self.pattern.fullmatch(value) is not None


@dataclass(frozen=True, slots=True)
class Number:
    """A JSON integer from `low` to `high`; `true` is not one, although Python thinks so."""

    low: int
    high: int

    def fits(self, value: Any) -> bool:
        """Whether the value is such an integer."""
        return type(value) is int and self.low <= value <= self.high


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a closed list of strings."""

    of: frozenset[str]

    def fits(self, value: Any) -> bool:
        """Whether the value is on the list."""
        return isinstance(value, str) and value in self.of


@dataclass(frozen=True, slots=True)
class Maybe:
    """null, or the shape."""

    of: Shape

    def fits(self, value: Any) -> bool:
        """Whether the value is null or fits."""
        return value is None or self.of.fits(value)


@dataclass(frozen=True, slots=True)
class Listing:
    """An array of `least` to `most` values of one shape."""

    of: Shape
    most: int
    least: int = 0

    def fits(self, value: Any) -> bool:
        """Whether the value is such an array."""
        if not isinstance(value, list) or not self.least <= len(value) <= self.most:
            return False
        return all(self.of.fits(each) for each in value)


@dataclass(frozen=True, slots=True)
class Members:
    """An object with exactly these members."""

    of: Mapping[str, Shape]

    def fits(self, value: Any) -> bool:
        """Whether the value is such an object."""
        if not isinstance(value, dict) or value.keys() != self.of.keys():
            return False
        return all(shape.fits(value[name]) for name, shape in self.of.items())


def choice(*of: str) -> Choice:
    """The shape "one of these"."""
    return Choice(frozenset(of))


PROVINCE: Final = Text(2, 2, re.compile(r"[1-9][0-9]"))
SLUG: Final = Text(64, 1, re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*"))
ID128: Final = Text(22, 22, re.compile(r"[A-Za-z0-9_-]{21}[AQgw]"))  # 128 bits, canonical base64url
DIGEST: Final = Text(43, 43, re.compile(r"[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]"))  # 256 bits, canonical
BASE64URL: Final = re.compile(r"[A-Za-z0-9_-]+")
EPOCH: Final = Number(0, 253_402_300_799)
USCC: Final = Text(18, 18, re.compile(r"[0-9A-HJ-NPQRTUWXY]{18}"))
