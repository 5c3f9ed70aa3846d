"""Keys: what may be one, where it may come from, and that the ring alone says what it is for."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256K1, SECP256R1, SECP384R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given, settings
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm

from consent.b64 import to_b64
from consent.envelope import new_envelope_key
from consent.errors import Reason, Refusal
from consent.keylist import read_key_list, write_key_list
from consent.keys import (
    ALGORITHMS,
    SANDBOX_MARK,
    KeyRing,
    OneKey,
    PublicKey,
    algorithm_of,
    jwk_of,
    load_key,
    load_secret,
    new_key,
    public_from_jwk,
    signing_key,
    thumbprint,
    write_private,
)
from tests.counts import count, outcome
from tests.test_shapes import JSON

NOW = datetime(2026, 3, 2, 1, 2, 3, tzinfo=UTC)
DAY = timedelta(days=1)
EVERY_ALGORITHM = pytest.mark.parametrize("alg", sorted(ALGORITHMS))


def published(*kinds: str, alg: str = "EdDSA", issuer: str = "31") -> PublicKey:
    return new_key(alg, issuer=issuer).published(*kinds, not_before=NOW - DAY, not_after=NOW + DAY)


def not_allowed(call: Any, *arguments: Any, **named: Any) -> str:
    with pytest.raises(Refusal) as no:
        call(*arguments, **named)
    assert no.value.reason is Reason.KEY_NOT_ALLOWED
    return no.value.detail


# What may be a key ----------------------------------------------------------------------------------------


@EVERY_ALGORITHM
def test_a_key_goes_through_its_jwk_and_its_row_unchanged(alg: str) -> None:
    key = published("a+jwt", "b+jwt", alg=alg)
    assert key.alg == alg == algorithm_of(key.public)
    assert jwk_of(public_from_jwk(jwk_of(key.public))) == jwk_of(key.public)
    again = PublicKey.from_row(json.loads(json.dumps(key.to_row())))
    assert again.to_row() == key.to_row()
    assert (again.kid, again.kid4, again.issuer, again.kinds) == (key.kid, key.kid4, key.issuer, key.kinds)
    assert len(key.kid4) == 4


@EVERY_ALGORITHM
def test_a_kid_is_the_thumbprint_of_rfc_7638(alg: str) -> None:
    key = new_key(alg, issuer="31")
    canonical = json.dumps(jwk_of(key.public), sort_keys=True, separators=(",", ":"))
    assert key.kid == to_b64(sha256(canonical.encode()).digest()) == to_b64(thumbprint(key.public))
    assert key.published("a", not_before=NOW, not_after=NOW).kid4 == key.kid4


def test_the_thumbprint_of_the_standards_example_is_right() -> None:
    """RFC 8037 appendix A.3."""
    jwk = {"crv": "Ed25519", "kty": "OKP", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
    assert to_b64(thumbprint(public_from_jwk(jwk))) == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


def test_other_curves_and_other_keys_seal_nothing() -> None:
    others: list[Any] = [
        generate_private_key(SECP384R1()),
        generate_private_key(SECP256K1()),
        Ed448PrivateKey.generate(),
        generate_rsa(65537, 2048),
        object(),
        None,
    ]
    for private in others:
        not_allowed(signing_key, private, issuer="31")
        not_allowed(algorithm_of, private)
    for alg in ("none", "HS256", "RS256", "ES384", "eddsa", ""):
        not_allowed(new_key, alg, issuer="31")


@EVERY_ALGORITHM
def test_a_jwk_has_its_required_members_and_no_others(alg: str) -> None:
    jwk = jwk_of(new_key(alg, issuer="31").public)
    value: Any
    other: Any
    for name in jwk:
        not_allowed(public_from_jwk, {each: value for each, value in jwk.items() if each != name})
        for value in ("", None, 5, [], "AAAA", jwk[name] + "=", jwk[name] + "A"):
            not_allowed(public_from_jwk, {**jwk, name: value})
    for name, value in {"alg": alg, "use": "sig", "kid": "x", "key_ops": ["verify"], "x5c": []}.items():
        not_allowed(public_from_jwk, {**jwk, name: value})
    for other in ([], "jwk", 5, None, {}):
        not_allowed(public_from_jwk, other)


def test_a_private_jwk_is_not_a_public_one() -> None:
    private = ECAlgorithm.to_jwk(generate_private_key(SECP256R1()), as_dict=True)
    assert "d" in private
    not_allowed(public_from_jwk, private)


def test_a_point_that_is_not_on_the_curve_is_no_key() -> None:
    jwk = jwk_of(new_key("ES256", issuer="31").public)
    not_allowed(public_from_jwk, {**jwk, "y": jwk["x"]})
    not_allowed(public_from_jwk, {**jwk, "x": to_b64(bytes(32)), "y": to_b64(bytes(32))})
    not_allowed(public_from_jwk, {**jwk, "crv": "P-384"})
    not_allowed(public_from_jwk, {**jwk, "crv": "secp256k1"})


@pytest.mark.full
@settings(max_examples=count(500, 60), deadline=None)
@given(st.dictionaries(st.sampled_from(["kty", "crv", "x", "y", "d", "n"]), JSON | st.sampled_from(["EC", "OKP"])))
def test_any_object_is_a_key_or_is_refused(jwk: dict[str, Any]) -> None:
    found = outcome(public_from_jwk, jwk)
    assert found is Reason.KEY_NOT_ALLOWED or jwk_of(found) == jwk


def test_a_private_key_prints_no_secret() -> None:
    key = new_key("EdDSA", issuer="31")
    assert "private" not in repr(key)
    assert key.kid in repr(key)


# Where private keys come from -----------------------------------------------------------------------------


@EVERY_ALGORITHM
def test_a_key_file_is_read_back(alg: str, tmp_path: Path) -> None:
    key, path = new_key(alg, issuer="31"), tmp_path / "key.pem"
    write_private(path, key.pem())
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_key(f"file:{path}", issuer="31", sandbox=True).kid == key.kid
    with pytest.raises(FileExistsError):
        write_private(path, key.pem())


def test_a_sandbox_key_opens_nothing_in_live(tmp_path: Path) -> None:
    key, path = new_key("EdDSA", issuer="31"), tmp_path / "key.pem"
    write_private(path, key.pem())
    assert "sandbox" in not_allowed(load_key, f"file:{path}", issuer="31", sandbox=False)
    write_private(tmp_path / "real.pem", key.pem(mark=""))
    assert load_key(f"file:{tmp_path / 'real.pem'}", issuer="31", sandbox=False).kid == key.kid


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    write_private(path, new_key("EdDSA", issuer="31").pem())
    for mode in (0o640, 0o604, 0o620, 0o602, 0o610, 0o601):
        path.chmod(mode)
        assert "chmod" in not_allowed(load_key, f"file:{path}", issuer="31", sandbox=True)


def test_a_key_may_stand_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    key = new_key("ES256", issuer="33")
    monkeypatch.setenv("A_KEY", key.pem())
    assert load_key("env:A_KEY", issuer="33", sandbox=True).kid == key.kid
    not_allowed(load_key, "env:A_KEY", issuer="33", sandbox=False)
    monkeypatch.delenv("A_KEY")
    not_allowed(load_key, "env:A_KEY", issuer="33", sandbox=True)


def test_new_keys_exist_in_the_sandbox_only() -> None:
    assert load_key("new:ES256", issuer="31", sandbox=True).alg == "ES256"
    not_allowed(load_key, "new:ES256", issuer="31", sandbox=False)
    not_allowed(load_key, "new:RS256", issuer="31", sandbox=True)
    not_allowed(load_key, "new:", issuer="31", sandbox=True)


@pytest.mark.parametrize("uri", ["", "key.pem", "file:", "file:/nowhere/key.pem", "http://x/y", "file:\0", "hsm:1"])
def test_a_uri_without_a_key_behind_it_is_refused(uri: str) -> None:
    not_allowed(load_key, uri, issuer="31", sandbox=True)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no key",
        b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        b"\xff\xfe",
        generate_private_key(SECP384R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    ],
)
def test_a_file_without_a_key_in_it_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(content)
    path.chmod(0o600)
    not_allowed(load_key, f"file:{path}", issuer="31", sandbox=True)


def test_a_shared_secret_has_its_length(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = os.urandom(32)
    monkeypatch.setenv("A_SECRET", f"{SANDBOX_MARK}{to_b64(secret)}\n")
    assert load_secret("env:A_SECRET", sandbox=True) == secret
    not_allowed(load_secret, "env:A_SECRET", sandbox=True, length=16)
    not_allowed(load_secret, "env:A_SECRET", sandbox=False)
    monkeypatch.setenv("A_SECRET", to_b64(secret) + "=")
    with pytest.raises(Refusal):
        load_secret("env:A_SECRET", sandbox=True)


# The ring -------------------------------------------------------------------------------------------------


def test_an_empty_ring_trusts_nobody_and_says_so() -> None:
    not_allowed(KeyRing, [])


def test_a_ring_finds_a_key_for_its_kinds_in_its_time() -> None:
    key, code_key = published("a+jwt", "b+jwt"), published("YRD1")
    ring = KeyRing([key, code_key])
    assert ring.find("a+jwt", key.kid, now=NOW) is ring.find("b+jwt", key.kid, now=NOW) is key
    assert ring.find_code_key("YRD1", code_key.kid4, now=NOW) is code_key
    assert list(ring) == [key, code_key]
    for typ, kid, now in (
        ("c+jwt", key.kid, NOW),
        ("a+jwt", code_key.kid, NOW),
        ("a+jwt", "", NOW),
        ("a+jwt", key.kid, NOW - 2 * DAY),
        ("a+jwt", key.kid, NOW + DAY),
    ):
        with pytest.raises(Refusal) as no:
            ring.find(typ, kid, now=now)
        assert no.value.reason is Reason.DOCUMENT_KEY_UNKNOWN
    for kid4, now in ((b"", NOW), (key.kid4, NOW), (code_key.kid4, NOW + DAY)):
        with pytest.raises(Refusal) as no:
            ring.find_code_key("YRD1", kid4, now=now)
        assert no.value.reason is Reason.CODE_UNKNOWN_KEY


def test_two_keys_under_one_name_are_refused() -> None:
    key = published("a+jwt")
    not_allowed(KeyRing, [key, key])
    row = key.to_row() | {"issuer": "33"}
    not_allowed(KeyRing, [key, PublicKey.from_row(row)])
    assert KeyRing([key, PublicKey.from_row(row | {"kinds": ["b+jwt"]})])


def test_two_code_keys_that_share_four_bytes_are_refused() -> None:
    """One pair in 2³² by chance, or by somebody who tried long enough."""
    one, other = published("YRD1"), published("YRD1")
    twin = replace(other, kid=one.kid[:6] + other.kid[6:])
    assert twin.kid4 == one.kid4
    not_allowed(KeyRing, [one, twin])


def test_one_key_speaks_for_its_kind_in_its_time_only() -> None:
    key = published("approval+jwt")
    alone = OneKey(key)
    assert alone.find("approval+jwt", key.kid, now=NOW) is key
    for typ, kid, now in (
        ("request+jwt", key.kid, NOW),
        ("approval+jwt", "x", NOW),
        ("approval+jwt", key.kid, NOW + DAY),
        ("approval+jwt", key.kid, NOW - 2 * DAY),
    ):
        with pytest.raises(Refusal) as no:
            alone.find(typ, kid, now=now)
        assert no.value.reason is Reason.DOCUMENT_KEY_UNKNOWN


# The key list ---------------------------------------------------------------------------------------------


def test_a_key_list_is_read_back_under_its_digest(tmp_path: Path) -> None:
    path, key, envelope = tmp_path / "keys.json", published("a+jwt"), new_envelope_key()
    pinned = write_key_list(path, version=3, keys=[key], recipients={"31": envelope.recipient})
    found = read_key_list(path, pinned=pinned, issued_after=NOW)
    assert (found.version, found.ring.issued_after) == (3, NOW)
    assert found.ring.find("a+jwt", key.kid, now=NOW).to_row() == key.to_row()
    assert found.recipient("31") == envelope.recipient
    not_allowed(found.recipient, "32")


def test_a_changed_key_list_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    pinned = write_key_list(path, version=1, keys=[published("a+jwt")], recipients={})
    path.write_bytes(path.read_bytes() + b" ")
    assert "pinned" in not_allowed(read_key_list, path, pinned=pinned)
    not_allowed(read_key_list, tmp_path / "nowhere.json", pinned=pinned)


@pytest.mark.full
@settings(max_examples=count(500, 40), deadline=None)
@given(
    JSON.map(lambda value: json.dumps(value).encode())
    | st.binary()
    | st.fixed_dictionaries({"version": JSON, "keys": JSON, "envelopes": JSON}).map(lambda v: json.dumps(v).encode())
    | st.lists(
        st.fixed_dictionaries({"issuer": JSON, "kinds": JSON, "jwk": JSON, "not_before": JSON, "not_after": JSON})
    ).map(lambda rows: json.dumps({"version": 1, "keys": rows, "envelopes": {}}).encode())
)
def test_anything_that_is_no_key_list_is_refused(tmp_path_factory: pytest.TempPathFactory, raw: bytes) -> None:
    """Even under its right digest: an operator may pin the wrong file."""
    path = tmp_path_factory.getbasetemp() / "list.json"
    path.write_bytes(raw)
    with pytest.raises(Refusal):
        read_key_list(path, pinned=to_b64(sha256(raw).digest()))


def test_a_key_list_with_bad_rows_is_refused(tmp_path: Path) -> None:
    path, key, envelope = tmp_path / "keys.json", published("a+jwt"), new_envelope_key()
    right = {"version": 1, "keys": [key.to_row()], "envelopes": {"31": envelope.recipient.text}}
    wrong: list[Any] = [
        {**right, "version": "one"},
        {**right, "keys": []},
        {**right, "keys": [key.to_row(), key.to_row()]},
        {**right, "keys": [{**key.to_row(), "jwk": []}]},
        {**right, "keys": [{**key.to_row(), "not_after": "later"}]},
        {**right, "envelopes": ["31"]},
        {**right, "envelopes": {"31": "short"}},
        {**right, "envelopes": {"31": 5}},
        {**right, "envelopes": {"99": envelope.recipient.text}},
        {"version": 1},
        [[[[[[]]]]]],
    ]
    for rows in wrong:
        raw = json.dumps(rows).encode()
        path.write_bytes(raw)
        with pytest.raises(Refusal):
            read_key_list(path, pinned=to_b64(sha256(raw).digest()))
    raw = b"[" * 100_000
    path.write_bytes(raw)
    not_allowed(read_key_list, path, pinned=to_b64(sha256(raw).digest()))
