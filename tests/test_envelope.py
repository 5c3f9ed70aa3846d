"""Envelopes: only the addressee opens them, only inside the document they belong to, and their length says nothing."""

from __future__ import annotations

from itertools import pairwise

import pytest
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from hypothesis import given, settings
from hypothesis import strategies as st

from consent.b64 import digest_of, from_b64, to_b64
from consent.envelope import (
    PAD,
    PUBLIC_LENGTH,
    EnvelopeKey,
    belongs_to,
    close_envelope,
    envelope_key,
    load_envelope_key,
    new_envelope_key,
    recipient,
)
from consent.errors import Reason, Refusal
from consent.keys import SANDBOX_MARK
from tests.counts import count, is_refused, outcome

KEY, OTHER = new_envelope_key(), new_envelope_key()
INFO = digest_of(b"the document around it")
LATTICE = 1184  # bytes of the ML-KEM-768 half of a public key

# Points of X25519 whose shared secret is the same for everybody (RFC 7748 §6.1).
LOW_ORDER = (
    bytes(32),
    bytes([1]) + bytes(31),
    bytes.fromhex("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    bytes.fromhex("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
)


def closed(payload: bytes = b"x", info: str = INFO, pad: int = PAD) -> str:
    return close_envelope(KEY.recipient, payload, info=info, pad=pad)


def unreadable(text: str, key: EnvelopeKey = KEY, info: str = INFO) -> bool:
    with pytest.raises(Refusal) as no:
        key.open(text, info=info)
    return no.value.reason is Reason.ENVELOPE_UNREADABLE


@pytest.mark.parametrize("payload", [b"", b"x", bytes(PAD - 4), bytes(PAD - 3), b"\x00\x01" * 5000, "甲".encode()])
def test_the_addressee_reads_what_was_written(payload: bytes) -> None:
    assert KEY.open(closed(payload), info=INFO) == payload


def test_nobody_else_reads_it() -> None:
    assert unreadable(closed(), key=OTHER)


def test_in_another_document_it_does_not_open() -> None:
    text = closed()
    for info in ("", INFO[:-1], digest_of(b"another document"), INFO + "\n"):
        assert unreadable(text, info=info)


def test_no_byte_of_it_can_be_changed() -> None:
    raw = from_b64(closed())
    for position in range(0, len(raw), 1 if count(1, 0) else 37):
        changed = bytearray(raw)
        changed[position] ^= 0x01
        assert unreadable(to_b64(bytes(changed)))


def test_no_part_of_it_can_be_left_out() -> None:
    raw = from_b64(closed())
    for length in (0, 1, 4, 31, 32, 1087, 1088, 1119, 1120, 1136, len(raw) - 1):
        assert unreadable(to_b64(raw[:length]))
    assert unreadable(to_b64(raw + b"\0"))
    assert unreadable(to_b64(raw + raw))


def test_what_is_no_base64url_is_unreadable_too() -> None:
    for text in ("", "*", "A", closed() + "=", " " + closed(), "信", "\ud800"):
        assert unreadable(text)


def test_a_sender_that_lies_about_the_length_is_refused() -> None:
    """The frame inside is the sender's; it may not reach beyond what was sent."""
    suite = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
    for framed in (b"", b"\0", b"\0\0\0", b"\0\0\0\x02x", b"\xff\xff\xff\xff" + bytes(300)):
        text = to_b64(suite.encrypt(framed, KEY.recipient.public, info=INFO.encode()))
        assert unreadable(text)


def test_payloads_of_one_size_class_cannot_be_told_apart_by_length() -> None:
    lengths = [len(closed(bytes(size))) for size in range(0, 3 * PAD, 16)]
    assert all(shorter <= longer for shorter, longer in pairwise(lengths))
    assert len({len(closed(bytes(size))) for size in (0, 1, 100, PAD - 4)}) == 1
    assert len(closed(bytes(PAD - 3))) > len(closed(bytes(PAD - 4)))
    assert len({len(closed(bytes(size), pad=2048)) for size in (0, 700, 2044)}) == 1


def test_two_envelopes_with_the_same_content_have_nothing_in_common() -> None:
    one, other = from_b64(closed()), from_b64(closed())
    assert one[:1120] != other[:1120]
    assert one[1120:] != other[1120:]


# Keys -----------------------------------------------------------------------------------------------------


def test_a_public_key_has_its_length_and_is_named_by_its_digest() -> None:
    text = KEY.recipient.text
    assert len(text) == PUBLIC_LENGTH
    assert recipient(text) == KEY.recipient
    assert KEY.recipient.kid == digest_of(text.encode()) != OTHER.recipient.kid


def test_a_private_key_is_written_and_read_again() -> None:
    again = envelope_key(KEY.secret())
    assert again.recipient == KEY.recipient
    assert again.open(closed(b"for the first"), info=INFO) == b"for the first"


def test_a_key_prints_no_secret() -> None:
    assert KEY.secret() not in repr(KEY)
    assert repr(KEY) == "EnvelopeKey()"


@pytest.mark.parametrize("text", ["", "A", "AAAA", "A" * PUBLIC_LENGTH, "=" * 8, "信"])
def test_what_is_no_public_key_is_refused(text: str) -> None:
    with pytest.raises(Refusal):
        recipient(text)


def test_a_lattice_half_out_of_range_is_no_public_key() -> None:
    """FIPS 203 §7.2: every coefficient is below 3329."""
    raw = from_b64(KEY.recipient.text)
    with pytest.raises(Refusal) as no:
        recipient(to_b64(b"\xff" * LATTICE + raw[LATTICE:]))
    assert no.value.reason is Reason.KEY_NOT_ALLOWED


@pytest.mark.parametrize("point", LOW_ORDER, ids=range(len(LOW_ORDER)))
def test_a_curve_half_of_low_order_is_no_public_key(point: bytes) -> None:
    """Else a stranger's answer key would make sealing the answer fail, after the consent was spent."""
    raw = from_b64(KEY.recipient.text)
    with pytest.raises(Refusal) as no:
        recipient(to_b64(raw[:LATTICE] + point))
    assert no.value.reason is Reason.KEY_NOT_ALLOWED


@pytest.mark.parametrize("text", ["", "A", "AAAA", "A" * 129])
def test_what_is_no_private_key_is_refused(text: str) -> None:
    with pytest.raises(Refusal):
        envelope_key(text)


def test_a_key_comes_from_a_uri(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AN_ENVELOPE_KEY", f"{SANDBOX_MARK}{KEY.secret()}\n")
    assert load_envelope_key("env:AN_ENVELOPE_KEY", sandbox=True).recipient == KEY.recipient
    assert load_envelope_key("new:", sandbox=True).recipient != KEY.recipient
    for uri, sandbox in (("env:AN_ENVELOPE_KEY", False), ("new:", False), ("env:NOT_SET", True), ("new:x", True)):
        with pytest.raises(Refusal) as no:
            load_envelope_key(uri, sandbox=sandbox)
        assert no.value.reason is Reason.KEY_NOT_ALLOWED


def test_what_an_envelope_belongs_to_is_told_apart_part_by_part() -> None:
    assert belongs_to("a", "b") == belongs_to("a", "b")
    assert len({belongs_to("a", "b"), belongs_to("ab"), belongs_to("a", "b", ""), belongs_to("b", "a")}) == 4


# Whatever the wire brings ---------------------------------------------------------------------------------


@settings(max_examples=count(500, 50), deadline=None)
@given(st.binary(max_size=1500).map(to_b64) | st.text(), st.text(max_size=5))
def test_any_envelope_is_opened_or_refused(text: str, info: str) -> None:
    assert unreadable(text, info=info)


@settings(max_examples=count(500, 50), deadline=None)
@given(st.binary(max_size=400), st.data())
def test_a_damaged_envelope_is_refused(payload: bytes, data: st.DataObject) -> None:
    raw = from_b64(closed(payload))
    at = data.draw(st.integers(0, len(raw) - 1))
    piece = data.draw(st.binary(max_size=40))
    changed = raw[:at] + piece + raw[at + len(piece) :]
    found = outcome(KEY.open, to_b64(changed), info=INFO)
    assert found == payload if changed == raw else found is Reason.ENVELOPE_UNREADABLE


@settings(max_examples=count(500, 50), deadline=None)
@given(
    st.text()
    | st.binary(min_size=1216, max_size=1216).map(to_b64)
    | st.binary(min_size=32, max_size=32).map(lambda curve: to_b64(from_b64(KEY.recipient.text)[:LATTICE] + curve))
)
def test_any_text_is_a_public_key_or_is_refused(text: str) -> None:
    found = outcome(recipient, text)
    if not is_refused(found):
        assert found.text == text
        assert close_envelope(found, b"x", info=INFO)


@settings(max_examples=count(500, 50), deadline=None)
@given(st.text() | st.binary(min_size=96, max_size=96).map(to_b64))
def test_any_text_is_a_private_key_or_is_refused(text: str) -> None:
    found = outcome(envelope_key, text)
    assert is_refused(found) or found.secret() == text
