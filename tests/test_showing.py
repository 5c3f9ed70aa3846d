"""A showing: whose login holds, for how long, and which slice of it a code names."""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consent.b64 import new_id
from consent.envelope import new_envelope_key
from consent.errors import Reason, Refusal
from consent.keys import jwk_of, new_key
from consent.showing import (
    LIFE,
    LOGIN_AGE,
    SLICE,
    Holder,
    Person,
    judge_slice,
    name_slice,
    new_showing_id,
    open_holder,
    read_slice,
    refresh_in,
    seal_holder,
    slice_at,
)
from tests.counts import count, is_refused, outcome
from tests.papers import (
    APP_KEY,
    BY_TYP,
    DEVICE_KEY,
    HOLDER_TEXT,
    HOME,
    INNER,
    NOW,
    PERSON,
    RING,
    SECOND,
    VAULT,
)

PAPER = BY_TYP["holder+jwt"]


def opened(text: str = HOLDER_TEXT) -> Holder:
    return open_holder(text, RING, province=HOME, now=NOW)


def refused(text: str) -> Reason:
    with pytest.raises(Refusal) as no:
        opened(text)
    return no.value.reason


def login(**changes: Any) -> str:
    arguments: dict[str, Any] = {
        "sub": "pseudonym-1",
        "device_jwk": jwk_of(DEVICE_KEY.public),
        "auth_time": NOW,
        "key": APP_KEY,
        "province": HOME,
        "inner": INNER.recipient,
        "now": NOW,
    }
    return seal_holder(PERSON, **(arguments | changes))


# Who ------------------------------------------------------------------------------------------------------


def test_a_login_says_which_app_which_pseudonym_and_which_device() -> None:
    holder = opened()
    assert (holder.app, holder.sub) == (APP_KEY.issuer, "pseudonym-1")
    assert holder.device.kid == DEVICE_KEY.kid
    assert holder.device.kinds == {"approval+jwt", "standing+jwt"}
    assert holder.device.issuer == "pseudonym-1"


def test_only_the_inner_network_learns_the_person() -> None:
    holder = opened()
    assert holder.person(INNER) == PERSON
    for key in (VAULT, new_envelope_key()):
        with pytest.raises(Refusal) as no:
            holder.person(key)
        assert no.value.reason is Reason.ENVELOPE_UNREADABLE
    assert PERSON.id_number not in repr(holder)


def test_the_person_cannot_be_moved_into_another_login() -> None:
    moved = opened(PAPER.forged(jti=new_id()))
    with pytest.raises(Refusal) as no:
        moved.person(INNER)
    assert no.value.reason is Reason.ENVELOPE_UNREADABLE


@pytest.mark.parametrize(("age", "passes"), [(-11, False), (-10, True), (0, True), (60, True), (61, False)])
def test_the_app_was_unlocked_a_minute_ago_at_most(age: int, passes: bool) -> None:
    assert LOGIN_AGE == 60 * SECOND
    text = login(auth_time=NOW - age * SECOND)
    if passes:
        assert opened(text)
    else:
        assert refused(text) is Reason.DOCUMENT_EXPIRED


def test_a_device_key_is_a_point_of_p_256() -> None:
    jwk = PAPER.claims["dev"]
    assert refused(PAPER.forged(dev={**jwk, "y": jwk["x"]})) is Reason.KEY_NOT_ALLOWED
    assert refused(PAPER.forged(dev={**jwk, "x": "A" * 42 + "B"})) is Reason.KEY_NOT_ALLOWED
    for dev in (
        jwk_of(new_key("EdDSA", issuer="x").public),
        {**jwk, "d": jwk["x"]},
        {**jwk, "crv": "P-384"},
        {**jwk, "kid": "x"},
        {"kty": "EC"},
        {},
    ):
        assert refused(PAPER.forged(dev=dev)) is Reason.DOCUMENT_CLAIMS


def test_a_device_key_speaks_for_as_long_as_its_showing_may_last() -> None:
    device = opened().device
    assert device.not_before <= NOW
    assert device.not_after >= NOW + 60 * SECOND + LIFE


@pytest.mark.parametrize(
    "sub", ["", "short", "x" * 65, "with blank", "含汉字的假名字串", PERSON.id_number + "!", None, 12345678]
)
def test_a_pseudonym_is_opaque_text(sub: Any) -> None:
    assert refused(PAPER.forged(sub=sub)) is Reason.DOCUMENT_CLAIMS


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", Reason.DOCUMENT_MALFORMED),
        (b"{", Reason.DOCUMENT_MALFORMED),
        (b"[]", Reason.DOCUMENT_CLAIMS),
        (b"{}", Reason.DOCUMENT_CLAIMS),
        (b'{"id":"310199199001010018"}', Reason.DOCUMENT_CLAIMS),
        (b'{"id":"310199199001010018","name":""}', Reason.DOCUMENT_CLAIMS),
        (b'{"id":310199199001010018,"name":"x"}', Reason.DOCUMENT_CLAIMS),
        (b'{"id":"310199199001010018","name":"x","x":1}', Reason.DOCUMENT_MALFORMED),
        (b'{"id":"31019919900101","name":"x"}', Reason.DOCUMENT_CLAIMS),
    ],
)
def test_a_person_in_another_shape_is_refused(raw: bytes, reason: Reason) -> None:
    with pytest.raises(Refusal) as no:
        Person.from_bytes(raw)
    assert no.value.reason is reason


def test_a_person_with_a_rare_name_is_read_back() -> None:
    for name in ("𬱖𫖮", "阿卜杜拉·买买提", "O'Neil-Ødegård", "\ue000"):
        person = Person(id_number=PERSON.id_number, name=name)
        assert Person.from_bytes(person.to_bytes()) == person


@settings(max_examples=count(500, 60), deadline=None)
@given(st.binary(max_size=60))
def test_any_payload_is_a_person_or_is_refused(raw: bytes) -> None:
    found = outcome(Person.from_bytes, raw)
    assert is_refused(found) or isinstance(found, Person)


# Slices ---------------------------------------------------------------------------------------------------


@settings(max_examples=count(500, 60), deadline=None)
@given(st.binary(min_size=12, max_size=12), st.integers(0, 2**32 - 1), st.binary(min_size=32, max_size=32))
def test_a_slice_is_named_and_read_under_one_key(showing: bytes, number: int, key: bytes) -> None:
    cti = name_slice(showing.hex(), number, key)
    assert len(cti) == 16
    assert read_slice(cti, key) == (showing.hex(), number)
    assert read_slice(cti, bytes(32)) != (showing.hex(), number) or key == bytes(32)


def test_neighbouring_slices_show_nothing_in_common() -> None:
    """A photograph of two codes must not tell that one phone showed both."""
    showing, key = new_showing_id(), secrets.token_bytes(32)
    names = [name_slice(showing, number, key) for number in range(21)]
    assert len(set(names)) == 21
    for one in names:
        for other in names:
            alike = sum(a == b for a, b in zip(one, other, strict=True))
            assert alike == 16 if one == other else alike < 8


def test_showings_have_names_of_their_own() -> None:
    names = {new_showing_id() for _ in range(200)}
    assert len(names) == 200
    assert all(len(bytes.fromhex(name)) == 12 for name in names)


@pytest.mark.parametrize(
    ("seconds", "number", "refresh"),
    [
        (0, 0, 30),
        (0.5, 0, 29),
        (1, 0, 29),
        (29, 0, 1),
        (29.9, 0, 1),
        (30, 1, 30),
        (59, 1, 1),
        (600, 20, 30),
        (-5, 0, 5),
    ],
)
def test_slices_are_counted_from_the_opening(seconds: float, number: int, refresh: int) -> None:
    now = NOW + timedelta(seconds=seconds)
    assert slice_at(NOW, now) == number
    assert refresh_in(NOW, now) == refresh


@pytest.mark.parametrize("current", [0, 1, 2, 19])
def test_the_current_and_the_previous_slice_pass(current: int) -> None:
    now = NOW + current * SLICE + 3 * SECOND
    for number in range(current + 5):
        found = outcome(judge_slice, number, opened_at=NOW, now=now)
        if number < current - 1:
            assert found is Reason.CODE_SUPERSEDED
        elif number > current + 1:  # the next one may be right: a clock may be ten seconds ahead
            assert found is Reason.CODE_NOT_YET_VALID
        else:
            assert found is None
