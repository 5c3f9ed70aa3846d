"""The QR text: always the same length, one spelling, and not a bit of it can be changed."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import base45
import cbor2
import numpy as np
import pytest
import qrcode
import zxingcpp
from hypothesis import given, settings
from hypothesis import strategies as st
from qrcode.constants import ERROR_CORRECT_M

from consent.code import LENGTH, LIFE, PREFIX, TYP, Code, fresh, mint, open_code
from consent.errors import Reason, Refusal
from consent.keys import KeyRing, SigningKey, new_key
from tests.counts import count

NOW = datetime(2026, 3, 2, 1, 2, 3, tzinfo=UTC)
SECOND, DAY = timedelta(seconds=1), timedelta(days=1)
BASE45 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"

KEYS = {alg: new_key(alg, issuer=province) for alg, province in (("EdDSA", "31"), ("ES256", "33"))}
RING = KeyRing([key.published(TYP, not_before=NOW - DAY, not_after=NOW + DAY) for key in KEYS.values()])
EVERY_KEY = pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)

MALFORMED = {Reason.CODE_MALFORMED}
NO = MALFORMED | {Reason.CODE_UNKNOWN_KEY, Reason.CODE_BAD_SIGNATURE}


def new(key: SigningKey, now: datetime = NOW) -> str:
    return mint(secrets.token_bytes(16), key, now=now)


def raw(text: str) -> bytes:
    return bytes(base45.b45decode(text.removeprefix(PREFIX)))


def spelled(whole: bytes) -> str:
    return PREFIX + str(base45.b45encode(whole).decode())


def refused(text: str, ring: KeyRing = RING) -> Reason:
    with pytest.raises(Refusal) as no:
        open_code(text, ring, now=NOW)
    return no.value.reason


# What a code is -------------------------------------------------------------------------------------------


@EVERY_KEY
def test_a_code_says_what_it_was_minted_with(key: SigningKey) -> None:
    cti = bytes(range(16))
    code = open_code(mint(cti, key, now=NOW + timedelta(milliseconds=700)), RING, now=NOW)
    assert code == Code(province=key.issuer, cti=cti, issued_at=NOW, expires_at=NOW + LIFE)


@EVERY_KEY
def test_a_code_is_the_cose_that_its_standards_describe(key: SigningKey) -> None:
    """Read with a general CBOR reader: COSE_Sign1 around a CWT, and no claim besides exp, iat and cti."""
    whole = cbor2.loads(raw(new(key)))
    assert isinstance(whole, cbor2.CBORTag)
    assert whole.tag == 18
    protected, unprotected, payload, signature = whole.value
    assert cbor2.loads(protected) == {1: {"EdDSA": -8, "ES256": -7}[key.alg], 4: key.kid4}
    assert unprotected == {}
    claims = cbor2.loads(payload)
    assert set(claims) == {4, 6, 7}
    assert claims[4] - claims[6] == LIFE.total_seconds()
    assert len(signature) == 64


@EVERY_KEY
def test_ten_thousand_codes_fit_version_7(key: SigningKey) -> None:
    """178 characters is all that version 7 takes at level M in alphanumeric mode."""
    texts = {new(key, NOW + number * SECOND) for number in range(count(10_000, 500))}
    assert len(texts) == count(10_000, 500)
    assert {len(text) for text in texts} == {LENGTH}
    assert LENGTH <= 178
    assert all(set(text) <= set(BASE45) for text in texts)


@EVERY_KEY
def test_a_drawn_code_is_read_again(key: SigningKey) -> None:
    for _ in range(count(200, 10)):
        text = new(key)
        drawing = qrcode.QRCode(error_correction=ERROR_CORRECT_M, border=4, box_size=1)
        drawing.add_data(text)
        drawing.make(fit=True)
        assert drawing.version <= 7
        pixels = np.where(np.array(drawing.get_matrix()), 0, 255).astype(np.uint8)
        found = zxingcpp.read_barcodes(
            np.kron(pixels, np.ones((4, 4), np.uint8)), formats=zxingcpp.BarcodeFormat.QRCode
        )
        assert [each.text for each in found] == [text]
        assert open_code(found[0].text, RING, now=NOW)


@pytest.mark.parametrize("cti", [b"", bytes(15), bytes(17)])
def test_a_cti_has_sixteen_bytes(cti: bytes) -> None:
    with pytest.raises(ValueError):
        mint(cti, KEYS["EdDSA"], now=NOW)


# Not a bit of it ------------------------------------------------------------------------------------------


def one_bit_changed(whole: bytes) -> Iterator[bytes]:
    for position in range(len(whole) * 8):
        changed = bytearray(whole)
        changed[position // 8] ^= 1 << position % 8
        yield bytes(changed)


@EVERY_KEY
def test_no_single_bit_can_be_flipped(key: SigningKey) -> None:
    for _ in range(count(25, 1)):
        seen = {refused(spelled(changed)) for changed in one_bit_changed(raw(new(key)))}
        assert seen == NO


@EVERY_KEY
def test_no_single_character_can_be_changed(key: SigningKey) -> None:
    text = new(key)
    for position, character in enumerate(text):
        others = [each for each in BASE45 + "aé\0\n二" if each != character]
        for other in others if count(1, 0) else secrets.SystemRandom().sample(others, 3):
            assert refused(text[:position] + other + text[position + 1 :]) in NO


@EVERY_KEY
def test_no_character_can_be_left_out_or_put_in(key: SigningKey) -> None:
    text = new(key)
    for position in range(len(text) + 1):
        assert refused(text[:position] + "0" + text[position:]) is Reason.CODE_MALFORMED
        if position < len(text):
            assert refused(text[:position] + text[position + 1 :]) is Reason.CODE_MALFORMED


@EVERY_KEY
def test_a_code_has_one_spelling(key: SigningKey) -> None:
    text = new(key)
    for other in (
        text.lower(),
        " " + text,
        text + "\n",
        text.replace("YRD1:", "yrd1:"),
        text.replace("YRD1:", "YRD2:"),
        text.replace("YRD1:", ""),
        "YRD1:" + text,
        text + text,
        "",
        PREFIX,
        PREFIX + "0" * (LENGTH - len(PREFIX)),
        PREFIX
        + "0" * (LENGTH - len(PREFIX) - 1)
        + "\n",  # base45 forgives a line end, and then there is a byte too few
        PREFIX + ":" * (LENGTH - len(PREFIX)),  # three characters worth more than two bytes
        PREFIX + "二" * (LENGTH - len(PREFIX)),
        PREFIX + "\ud800" * (LENGTH - len(PREFIX)),
    ):
        assert refused(other) in NO


@EVERY_KEY
def test_a_code_of_another_length_in_bytes_is_refused(key: SigningKey) -> None:
    """168 characters of base45 are 112 bytes, and each other number of bytes is another number of characters."""
    whole = raw(new(key))
    for other in (whole[:-1], whole + b"\0", whole[:-2]):
        assert refused(spelled(other)) is Reason.CODE_MALFORMED


@EVERY_KEY
def test_the_same_claims_in_longer_or_unsorted_cbor_are_refused(key: SigningKey) -> None:
    """Correctly signed, but not the one spelling: a sloppy encoder on our side would show here."""
    protected = cbor2.dumps({4: key.kid4, 1: {"EdDSA": -8, "ES256": -7}[key.alg]})
    whole = cbor2.loads(raw(new(key)))
    rewritten = cbor2.dumps(cbor2.CBORTag(18, [protected, {}, whole.value[2], whole.value[3]]))
    assert len(rewritten) == len(raw(new(key)))
    assert refused(spelled(rewritten)) in NO


def test_times_that_cbor_writes_shorter_are_no_code() -> None:
    """A code of 1970 would have shorter numbers and so another shape."""
    text = mint(bytes(16), KEYS["EdDSA"], now=datetime(1970, 1, 1, tzinfo=UTC))
    assert len(text) < LENGTH
    assert refused(text) is Reason.CODE_MALFORMED
    whole = bytearray(raw(new(KEYS["EdDSA"])))
    whole[18:22] = bytes(4)
    assert refused(spelled(bytes(whole))) is Reason.CODE_MALFORMED


@EVERY_KEY
def test_what_is_no_text_is_refused(key: SigningKey) -> None:
    for other in (None, 5, new(key).encode(), [new(key)]):
        assert refused(other) is Reason.CODE_MALFORMED  # type: ignore[arg-type]


# Keys -----------------------------------------------------------------------------------------------------


@EVERY_KEY
def test_a_key_that_the_ring_does_not_know_opens_nothing(key: SigningKey) -> None:
    stranger = new_key(key.alg, issuer=key.issuer)
    assert refused(new(stranger)) is Reason.CODE_UNKNOWN_KEY


@EVERY_KEY
def test_a_key_for_other_documents_seals_no_codes(key: SigningKey) -> None:
    ring = KeyRing([key.published("request+jwt", not_before=NOW - DAY, not_after=NOW + DAY)])
    assert refused(new(key), ring) is Reason.CODE_UNKNOWN_KEY


@EVERY_KEY
def test_a_key_outside_of_its_time_seals_no_codes(key: SigningKey) -> None:
    for begins, ends in ((NOW + SECOND, NOW + DAY), (NOW - DAY, NOW)):
        assert refused(new(key), KeyRing([key.published(TYP, not_before=begins, not_after=ends)])) is (
            Reason.CODE_UNKNOWN_KEY
        )


@EVERY_KEY
def test_a_stranger_cannot_borrow_a_kid(key: SigningKey) -> None:
    """The stranger's signature over exactly what the right key would have signed."""
    stranger = new_key(key.alg, issuer=key.issuer)
    borrowed = SigningKey(issuer=key.issuer, alg=key.alg, kid=key.kid, private=stranger.private)
    assert refused(new(borrowed)) is Reason.CODE_BAD_SIGNATURE


# Time -----------------------------------------------------------------------------------------------------


def code(issued: int, expires: int) -> Code:
    """A code by its times, in seconds from NOW."""
    return Code(province="31", cti=bytes(16), issued_at=NOW + issued * SECOND, expires_at=NOW + expires * SECOND)


def test_reading_a_code_does_not_judge_its_age() -> None:
    old = new(KEYS["EdDSA"], NOW - 300 * SECOND)
    read = open_code(old, RING, now=NOW)
    with pytest.raises(Refusal) as no:
        fresh(read, now=NOW)
    assert no.value.reason is Reason.CODE_EXPIRED


@pytest.mark.parametrize(
    ("issued", "expires", "reason"),
    [
        (0, 60, None),
        (-59, 1, None),
        (-60, 0, Reason.CODE_EXPIRED),
        (-61, -1, Reason.CODE_EXPIRED),
        (-1, 60, Reason.CODE_EXPIRED),  # lives a second too long
        (10, 70, None),
        (11, 71, Reason.CODE_NOT_YET_VALID),
        (3600, 3660, Reason.CODE_NOT_YET_VALID),
        (0, -5, Reason.CODE_EXPIRED),
    ],
)
def test_a_code_lives_for_its_seconds(issued: int, expires: int, reason: Reason | None) -> None:
    judged = code(issued, expires)
    if reason is None:
        assert fresh(judged, now=NOW) is judged
        return
    with pytest.raises(Refusal) as no:
        fresh(judged, now=NOW)
    assert no.value.reason is reason


@pytest.mark.parametrize(("ahead", "minutes"), [(11, 1), (60, 1), (150, 2), (3600, 60)])
def test_a_code_from_the_future_says_by_how_many_minutes(ahead: int, minutes: int) -> None:
    with pytest.raises(Refusal) as no:
        fresh(code(ahead, ahead + 60), now=NOW)
    assert no.value.facts == {"n": minutes}


# Whatever a camera hands us -------------------------------------------------------------------------------


@settings(max_examples=count(2000, 60), deadline=None)
@given(
    st.one_of(
        st.text(),
        st.text(BASE45, min_size=LENGTH - len(PREFIX), max_size=LENGTH - len(PREFIX)).map(PREFIX.__add__),
        st.binary(min_size=112, max_size=112).map(spelled),
    )
)
def test_anything_is_a_code_or_is_refused(text: str) -> None:
    assert refused(text) in NO


@settings(max_examples=count(2000, 60), deadline=None)
@given(st.sampled_from(list(KEYS)), st.integers(0, 111), st.binary(min_size=1, max_size=20))
def test_a_code_with_a_piece_replaced_is_refused(alg: str, start: int, piece: bytes) -> None:
    whole = raw(new(KEYS[alg]))
    changed = (whole[:start] + piece + whole[start + len(piece) :])[: len(whole)]
    if changed == whole:
        assert open_code(spelled(changed), RING, now=NOW)
    else:
        assert refused(spelled(changed)) in NO
