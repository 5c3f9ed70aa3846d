"""Pages that hang together by cursors.

A cursor is a place in a row that only grows: the kind of row and the number of its last entry, as 12 characters of
base64url. It is opaque to vendors, does not expire, and opens nothing that its bearer's token does not open; so it
needs no signature, only to be judged: one of another row, or one that was changed into no number, is refused (422).
A page may be asked for again and starts at the same place.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from marshmallow import ValidationError, fields, validate

from consent.b64 import from_b64, to_b64
from consent.errors import Refusal

MOST: Final = 100
USUAL: Final = 50

_LENGTH: Final = 9  # bytes: the row, and a number of eight that is never negative


class Cursor(fields.String):
    """Reads a cursor of one row (a single byte names it) into its number."""

    def __init__(self, row: bytes, **more: Any) -> None:
        super().__init__(metadata={"pattern": "^[A-Za-z0-9_-]{12}$", **more.pop("metadata", {})}, **more)
        self._row = row

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Any:
        text = super()._deserialize(value, attr, data, **kwargs)
        try:
            raw = from_b64(text)
        except Refusal as problem:
            raise ValidationError("Not a cursor.") from problem
        number = int.from_bytes(raw[1:], signed=True)
        if len(raw) != _LENGTH or raw[:1] != self._row or number < 0:
            raise ValidationError("Not a cursor of this operation.")
        return number


def limit() -> fields.Integer:
    """How many entries a page may have at most: 1 to `MOST`."""
    return fields.Integer(load_default=USUAL, validate=validate.Range(min=1, max=MOST))


def cursor(row: bytes, number: int) -> str:
    """The cursor behind an entry. ValueError for a row that is no single byte, OverflowError for a negative number."""
    if len(row) != 1:
        raise ValueError("a row is named by one byte")
    return to_b64(row + number.to_bytes(_LENGTH - 1))
