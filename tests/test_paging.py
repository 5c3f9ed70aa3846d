"""Cursors: every place comes back as it was, and what is no cursor of this row is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from marshmallow import Schema, ValidationError

from consent.b64 import to_b64
from tests.counts import count
from wallet_api.doors.paging import MOST, USUAL, Cursor, cursor, limit


class Query(Schema):
    after = Cursor(b"e")
    limit = limit()


PLACES = st.integers(min_value=0, max_value=2**63 - 1)


@given(PLACES)
def test_a_place_comes_back_as_it_was(number: int) -> None:
    text = cursor(b"e", number)
    assert (len(text), text.isascii()) == (12, True)
    assert Query().load({"after": text}) == {"after": number, "limit": USUAL}


@given(PLACES)
def test_a_cursor_of_another_row_is_none_of_this_one(number: int) -> None:
    with pytest.raises(ValidationError):
        Query().load({"after": cursor(b"d", number)})


@given(st.text(max_size=count(40, 20)))
def test_any_other_text_is_refused(text: str) -> None:
    try:
        found = Query().load({"after": text})["after"]
    except ValidationError:
        return
    assert cursor(b"e", found) == text


@pytest.mark.parametrize("raw", [b"", b"e", b"e" + b"\xff" * 8, b"e" + b"\0" * 7, b"e" + b"\0" * 9])
def test_a_number_that_no_row_has_is_refused(raw: bytes) -> None:
    with pytest.raises(ValidationError):
        Query().load({"after": to_b64(raw)})


@pytest.mark.parametrize(
    ("asked", "taken"), [("1", 1), (str(MOST), MOST), ("0", None), (str(MOST + 1), None), ("x", None)]
)
def test_a_page_has_1_to_100_entries(asked: str, taken: int | None) -> None:
    if taken is None:
        with pytest.raises(ValidationError):
            Query().load({"limit": asked})
    else:
        assert Query().load({"limit": asked})["limit"] == taken


def test_only_a_place_can_be_written() -> None:
    with pytest.raises(ValueError):
        cursor(b"ev", 1)
    with pytest.raises(OverflowError):
        cursor(b"e", -1)
