"""What a member may look like, and the one spelling of bytes: both are total, whatever they are given."""

from __future__ import annotations

import re
from base64 import urlsafe_b64encode
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consent.b64 import digest_of, from_b64, new_id, to_b64
from consent.errors import Reason, Refusal
from consent.shapes import (
    DIGEST,
    EPOCH,
    ID128,
    PROVINCE,
    SLUG,
    USCC,
    Listing,
    Maybe,
    Members,
    Number,
    Shape,
    Text,
    choice,
)
from tests.counts import count, outcome

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=10,
)
ALL: dict[str, Shape] = {
    "text": Text(5),
    "pattern": Text(5, 0, re.compile(r"a*")),
    "number": Number(1, 9),
    "choice": choice("a", "b"),
    "maybe": Maybe(Number(0, 1)),
    "listing": Listing(Text(3), most=2, least=1),
    "members": Members({"a": Text(3), "b": Maybe(Number(0, 9))}),
}


@pytest.mark.parametrize(
    ("shape", "fitting", "others"),
    [
        (ALL["text"], ["a", "五个汉字啊", "\0"], ["", "aaaaaa", 1, None, True, b"a", ["a"]]),
        (ALL["pattern"], ["", "aaa"], ["aab", "aaaaaa", "aaa\n"]),
        (ALL["number"], [1, 9], [0, 10, True, False, 1.0, "1", None, float("nan")]),
        (ALL["choice"], ["a", "b"], ["", "ab", "A", None, 1, ["a"], {}]),
        (ALL["maybe"], [None, 0, 1], [2, True, "0", []]),
        (ALL["listing"], [["a"], ["a", "abc"]], [[], ["a"] * 3, ["a", 1], "a", ("a",), {"a": 1}, None]),
        (
            ALL["members"],
            [{"a": "x", "b": None}, {"b": 9, "a": "x"}],
            [{"a": "x"}, {"a": "x", "b": 1, "c": 1}, {"a": 1, "b": 1}, {"a": "x", "c": 1}, [], None, "ab"],
        ),
        (PROVINCE, ["31", "99"], ["01", "3", "310", "三一", "３１", "3a", 31]),
        (SLUG, ["a", "housing.fund_2"], ["", "A", ".a", "a.", "a..b", "1a", "a-b", "a" * 65, "é"]),
        (ID128, ["A" * 22, "_" * 21 + "w"], ["A" * 21 + "B", "A" * 21, "A" * 23, "A" * 21 + "="]),
        (DIGEST, ["A" * 43], ["A" * 42 + "B", "A" * 42, "A" * 44, "A" * 42 + "\n"]),
        (EPOCH, [0, 253_402_300_799], [-1, 253_402_300_800, True, 1.0]),
        (USCC, ["11310000MB2F30019L"], ["11310000MB2F30019", "11310000MB2F3001IL", "11310000mb2f30019l"]),
    ],
    ids=lambda each: "",
)
def test_a_shape_takes_what_fits_and_nothing_else(shape: Shape, fitting: list[Any], others: list[Any]) -> None:
    assert [value for value in fitting if not shape.fits(value)] == []
    assert [value for value in others if shape.fits(value)] == []


@settings(max_examples=count(500, 40), deadline=None)
@given(JSON, st.sampled_from(sorted(ALL)))
def test_a_shape_answers_for_whatever_json_can_hold(value: Any, name: str) -> None:
    assert ALL[name].fits(value) in {True, False}


@settings(max_examples=count(500, 60), deadline=None)
@given(st.binary(max_size=70))
def test_bytes_come_back_as_they_were(raw: bytes) -> None:
    assert from_b64(to_b64(raw)) == raw
    padded = urlsafe_b64encode(raw).decode()
    if padded != to_b64(raw):
        with pytest.raises(Refusal):
            from_b64(padded)


@settings(max_examples=count(500, 60), deadline=None)
@given(st.text() | st.text("ABab01-_=+/ \n", max_size=12))
def test_a_text_is_the_one_spelling_of_its_bytes_or_is_refused(text: str) -> None:
    found = outcome(from_b64, text)
    assert found is Reason.DOCUMENT_MALFORMED or to_b64(found) == text


@pytest.mark.parametrize("text", ["A", "AB", "AAB", "AA==", "A A", "AA\n", "+/AA", "AAA=", "一", "\ud800", "AAAAA"])
def test_other_spellings_are_refused(text: str) -> None:
    with pytest.raises(Refusal) as no:
        from_b64(text)
    assert no.value.reason is Reason.DOCUMENT_MALFORMED


def test_identifiers_and_digests_have_the_shapes_that_documents_ask_for() -> None:
    assert all(ID128.fits(new_id()) for _ in range(200))
    assert all(DIGEST.fits(digest_of(bytes([number]))) for number in range(200))
    assert len({new_id() for _ in range(200)}) == 200
