"""Somebody else's attacks: the Project Wycheproof vectors, and each place where we differ from their labels.

The vectors are data beside the repository (HUZHENG_VECTORS, by default ../shared/vectors); without them these tests are
skipped and say so. Labels are for a general JWS library. Ours is not one: it takes two algorithms, one shape and three
header members, so most of what is "valid" there is refused here, and every such case is listed below with its reason.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from consent.b64 import to_b64
from consent.code import _holds
from consent.errors import Reason
from consent.keys import KeyRing, Kind, PublicKey, jwk_of, new_key, public_from_jwk, public_key
from consent.seal import _shape, check_signature, open_sealed
from tests.counts import is_refused, outcome

VECTORS = Path(__file__).parents[1] / os.environ.get("HUZHENG_VECTORS", "../shared/vectors") / "jose"
pytestmark = pytest.mark.skipif(
    not VECTORS.is_dir(), reason=f"no vectors at {VECTORS}; HUZHENG_VECTORS says where they are"
)

NOW = datetime(2026, 3, 2, 1, 2, 3, tzinfo=UTC)
DAY = timedelta(days=1)
# No claims and no hurry: only the shape, the header, the key and the signature can refuse here.
ANYTHING = Kind(typ="anything+jwt", claims={}, life=DAY, max_length=20_000)

HMAC = "HMAC: who checks could also write"
RSA = "RSA is none of our algorithms"
P521 = "ES512: P-521 is none of our curves"
NO_TYP = "the signature holds, but the header names no kind of document"
NOT_OUR_ALPHABET = "a character that is not base64url stands in it; HMAC besides"

# Labelled valid, refused by us as documents. By file and tcId, all of them.
REFUSED_THOUGH_VALID: dict[str, dict[int, str]] = {
    "json_web_signature": {
        **dict.fromkeys([1, 348, 352, 357, 358, 359, 376, 377], HMAC),
        **dict.fromkeys([372, 373], NOT_OUR_ALPHABET),
        **dict.fromkeys([33, *range(259, 276), 287, 288, *range(320, 324), *range(325, 329), 345, 346, 349, 350], RSA),
        **dict.fromkeys([347, 351], P521),
        **dict.fromkeys([18, 378], NO_TYP),
    },
    "json_web_key": {**dict.fromkeys([2, 13, 14, 15], HMAC), 5: RSA},
    "json_web_crypto": {**dict.fromkeys([1, 48], HMAC), 33: RSA, 18: NO_TYP},
}

# Labelled invalid because of what the JWK says besides its point. The signature itself is right, so the signature layer
# takes them; no such JWK ever becomes a key, because `public_from_jwk` takes required members only.
INVALID_BY_THEIR_JWK: dict[str, dict[int, str]] = {
    "json_web_signature": {354: "use is enc", 356: "key_ops is encrypt"},
    "json_web_key": {19: "alg is ES521 on P-256", 20: "alg is ES224", 21: "use is enc"},
    "json_web_crypto": {},
}
FILES = pytest.mark.parametrize("name", sorted(REFUSED_THOUGH_VALID))


@dataclass(frozen=True, slots=True, kw_only=True)
class Vector:
    """One JWS with the JWKs of its group."""

    id: int
    text: Any
    valid: bool
    jwks: tuple[dict[str, Any], ...]


def groups(name: str) -> list[dict[str, Any]]:
    content: dict[str, Any] = json.loads((VECTORS / f"wycheproof_{name}_test.json").read_text(encoding="utf-8"))
    found: list[dict[str, Any]] = content["testGroups"]
    assert sum(len(group["tests"]) for group in found) == content["numberOfTests"]
    return found


def vectors(name: str) -> Iterator[Vector]:
    for group in groups(name):
        keys = group.get("public") or group["private"]
        for test in group["tests"]:
            if "jws" in test:
                jwks = tuple(keys.get("keys", [keys]))
                yield Vector(id=test["tcId"], text=test["jws"], valid=test["result"] == "valid", jwks=jwks)


def bare(jwk: dict[str, Any]) -> dict[str, Any]:
    """The required public members alone (RFC 7518 §6.2.1, §6.3.1, §6.4.1; RFC 8037 §2)."""
    wanted = {"EC": ("crv", "kty", "x", "y"), "OKP": ("crv", "kty", "x"), "RSA": ("e", "kty", "n"), "oct": ("k", "kty")}
    return {name: jwk[name] for name in wanted[jwk["kty"]] if name in jwk}


def key_of(jwk: dict[str, Any]) -> PublicKey | Reason:
    """The key in a JWK without its other members, or why there is none."""
    public = outcome(public_from_jwk, bare(jwk))
    if is_refused(public):
        return Reason(public)
    return public_key(public, issuer="x", kinds=["anything+jwt"], not_before=NOW - DAY, not_after=NOW + DAY)


def signature_layer(text: Any, key: PublicKey) -> Reason | None:
    """Shape and signature, without the header and the claims: why it is refused, or None where it holds."""
    shape = outcome(_shape, ANYTHING, text)
    return Reason(shape) if is_refused(shape) else outcome(check_signature, text, key)


# Signed texts ---------------------------------------------------------------------------------------------


def test_the_numbers_of_vectors_are_those_of_the_lists_below() -> None:
    numbers = {name: len(list(vectors(name))) for name in REFUSED_THOUGH_VALID}
    assert numbers == {"json_web_signature": 401, "json_web_key": 26, "json_web_crypto": 49}


@FILES
def test_no_vector_passes_for_one_of_our_documents(name: str) -> None:
    """Under the ring that has its very key, where we take such keys at all."""
    valid = set()
    for vector in vectors(name):
        keys = [key for key in map(key_of, vector.jwks) if isinstance(key, PublicKey)]
        keys = keys or [
            new_key("ES256", issuer="x").published("anything+jwt", not_before=NOW - DAY, not_after=NOW + DAY)
        ]
        found = outcome(open_sealed, ANYTHING, vector.text, KeyRing(keys), audience="x", now=NOW)
        assert found is Reason.DOCUMENT_MALFORMED, vector.id
        valid |= {vector.id} if vector.valid else set()
    assert valid == set(REFUSED_THOUGH_VALID[name])


@FILES
def test_every_signature_under_a_key_that_we_take_is_judged_as_labelled(name: str) -> None:
    seen = set()
    for vector in vectors(name):
        for key in map(key_of, vector.jwks):
            if not isinstance(key, PublicKey):
                continue
            seen.add(vector.id)
            found = signature_layer(vector.text, key)
            if vector.valid or vector.id in INVALID_BY_THEIR_JWK[name]:
                assert found is None, vector.id
            else:
                assert found in {Reason.DOCUMENT_SIGNATURE, Reason.DOCUMENT_MALFORMED}, vector.id
    expected = {vector for vector, reason in REFUSED_THOUGH_VALID[name].items() if reason == NO_TYP}
    assert seen >= expected | set(INVALID_BY_THEIR_JWK[name])
    assert len(seen) >= {"json_web_signature": 41, "json_web_key": 3, "json_web_crypto": 15}[name]


@FILES
def test_every_other_key_is_refused_for_the_reason_that_is_listed(name: str) -> None:
    types = {HMAC: {"oct"}, NOT_OUR_ALPHABET: {"oct"}, RSA: {"RSA"}, P521: {"EC"}}
    for vector in vectors(name):
        reason = REFUSED_THOUGH_VALID[name].get(vector.id)
        if reason in types:
            # A key set may hold several keys; none that we take makes a valid signature of another algorithm hold.
            assert types[reason] <= {jwk["kty"] for jwk in vector.jwks}
            for key in map(key_of, vector.jwks):
                assert key is Reason.KEY_NOT_ALLOWED or (
                    isinstance(key, PublicKey) and is_refused(signature_layer(vector.text, key))
                )


@FILES
def test_no_jwk_of_the_vectors_is_a_key_as_it_stands(name: str) -> None:
    """They all carry alg, use, kid or more; so what a JWK says about itself can never contradict the ring."""
    for vector in vectors(name):
        for jwk in vector.jwks:
            assert set(jwk) > set(bare(jwk))
            assert outcome(public_from_jwk, jwk) is Reason.KEY_NOT_ALLOWED, vector.id
            if vector.id in INVALID_BY_THEIR_JWK[name]:
                assert isinstance(key_of(jwk), PublicKey)


def test_a_point_off_the_curve_and_a_curve_under_another_name_are_no_keys() -> None:
    wrong = {22: "the point is not on the curve", 23: "the coordinates are not P-384's"}
    for vector in vectors("json_web_key"):
        if vector.id in wrong:
            assert [key_of(jwk) for jwk in vector.jwks] == [Reason.KEY_NOT_ALLOWED], wrong[vector.id]


@FILES
def test_no_vector_of_another_algorithm_holds_under_our_keys(name: str) -> None:
    """Key confusion: an HMAC or RSA text given to a checker that has a curve's key."""
    ours = [key_of(jwk_of(new_key(alg, issuer="x").public)) for alg in ("EdDSA", "ES256")]
    for vector in vectors(name):
        for key in ours:
            assert isinstance(key, PublicKey)
            assert is_refused(signature_layer(vector.text, key)), vector.id


def test_encrypted_texts_are_no_documents() -> None:
    ring = KeyRing([new_key("ES256", issuer="x").published("anything+jwt", not_before=NOW - DAY, not_after=NOW + DAY)])
    texts = [test["jwe"] for group in groups("json_web_crypto") for test in group["tests"] if "jwe" in test]
    assert len(texts) == 34
    for text in texts:
        assert outcome(open_sealed, ANYTHING, text, ring, audience="x", now=NOW) is Reason.DOCUMENT_MALFORMED


# Raw signatures, as the QR code has them ------------------------------------------------------------------


def public_of(group: dict[str, Any]) -> Any:
    """The group's key through our own reader; some P-256 groups come with a point and without a JWK."""
    if "publicKeyJwk" in group:
        return public_from_jwk(bare(group["publicKeyJwk"]))
    point = group["publicKey"]
    x, y = (bytes.fromhex(point[name].removeprefix("00").rjust(64, "0")) for name in ("wx", "wy"))
    return public_from_jwk({"crv": "P-256", "kty": "EC", "x": to_b64(x), "y": to_b64(y)})


@pytest.mark.parametrize(
    ("name", "valid", "invalid"),
    [("ed25519", 88, 63), ("ecdsa_secp256r1_sha256_p1363", 173, 89)],
)
def test_every_raw_signature_is_judged_as_labelled(name: str, valid: int, invalid: int) -> None:
    """A code's signature always has 64 bytes; vectors of other lengths are judged right all the same."""
    seen = {True: 0, False: 0}
    for group in groups(name):
        public = public_of(group)
        for test in group["tests"]:
            held = _holds(public, bytes.fromhex(test["sig"]), bytes.fromhex(test["msg"]))
            assert held is (test["result"] == "valid"), (test["tcId"], test["comment"])
            seen[held] += 1
    assert seen == {True: valid, False: invalid}


@pytest.mark.parametrize("name", ["ed25519", "ecdsa_secp256r1_sha256_p1363"])
def test_every_key_of_the_raw_signatures_has_one_spelling(name: str) -> None:
    for group in groups(name):
        if "publicKeyJwk" in group:
            jwk = bare(group["publicKeyJwk"])
            assert jwk_of(public_from_jwk(jwk)) == jwk
            for member in set(jwk) - {"kty", "crv"}:
                assert outcome(public_from_jwk, {**jwk, member: jwk[member] + "="}) is Reason.KEY_NOT_ALLOWED
