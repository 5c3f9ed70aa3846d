"""The strict profile, line by line, for every kind of document: what is read, and for which reason the rest is refused.

Each row of CASES breaks one rule of one otherwise right document, sealed with the right key. They run for all twelve
kinds, because a rule that one kind escapes is a rule that an attacker finds.
"""

from __future__ import annotations

import hmac
import json
from base64 import b64encode
from collections.abc import Callable
from datetime import timedelta
from hashlib import sha256
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from consent.b64 import from_b64, new_id, to_b64
from consent.errors import Reason, Refusal
from consent.keys import KeyRing, Keys, Kind, OneKey
from consent.seal import (
    SKEW,
    Sealed,
    check_signature,
    open_sealed,
    seal,
    signed_digest,
    strict_json,
    unverified_issue,
    unverified_issuer,
)
from consent.shapes import DIGEST, Choice, Listing, Maybe, Members, Number, Shape, Text
from tests.papers import (
    APPROVAL_TEXT,
    BY_TYP,
    DESK,
    DEVICE,
    EPOCH_NOW,
    KINDS,
    NOW,
    OTHERS,
    PAPERS,
    REQUEST_KEY,
    SECOND,
    STRANGER,
    VALIDITY,
    Paper,
    ring,
    signed,
)

EVERY_PAPER = pytest.mark.parametrize("paper", PAPERS, ids=[each.kind.typ for each in PAPERS])

MALFORMED, CLAIMS = Reason.DOCUMENT_MALFORMED, Reason.DOCUMENT_CLAIMS
KEY_UNKNOWN, SIGNATURE = Reason.DOCUMENT_KEY_UNKNOWN, Reason.DOCUMENT_SIGNATURE
WRONG_KIND, TOO_LONG = Reason.DOCUMENT_WRONG_KIND, Reason.DOCUMENT_TOO_LONG

ORDER_P256 = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def refused(paper: Paper, text: Any) -> Reason:
    with pytest.raises(Refusal) as no:
        paper.open(text, NOW)
    return no.value.reason


def parts(paper: Paper) -> tuple[str, str, str]:
    header, payload, signature = paper.text.split(".")
    return header, payload, signature


def with_header(**members: Any) -> Callable[[Paper], str]:
    return lambda paper: paper.forged(header={**paper.header, **members})


def header_without(name: str) -> Callable[[Paper], str]:
    return lambda paper: paper.forged(header={k: v for k, v in paper.header.items() if k != name})


def raw_header(write: Callable[[str], bytes]) -> Callable[[Paper], str]:
    """`write` makes header bytes out of its right JSON text."""
    return lambda paper: paper.forged(header=write(json.dumps(paper.header)))


def raw_payload(write: Callable[[str], bytes]) -> Callable[[Paper], str]:
    """`write` makes payload bytes out of its right JSON text."""
    return lambda paper: paper.forged(payload=write(json.dumps(paper.claims, ensure_ascii=False)))


def claim(name: str, value: Any) -> Callable[[Paper], str]:
    return lambda paper: paper.forged(payload={**paper.claims, name: value})


def own_kid_of_another_kind(paper: Paper) -> str:
    """A key that the ring knows, for another kind of document."""
    other = next(each for each in PAPERS if each.kind is not paper.kind and each.key.alg == paper.key.alg)
    return paper.forged(header={**paper.header, "kid": other.key.kid}, key=other.key)


def sealed_by_another(paper: Paper) -> str:
    """Somebody else who may seal this kind writes our issuer's name into it."""
    other = OTHERS[paper.kind.typ]
    return paper.forged(header={**paper.header, "kid": other.kid, "alg": other.alg}, key=other)


def kid_of_another(paper: Paper) -> str:
    """Our key, under the name of somebody else's."""
    other = OTHERS[paper.kind.typ]
    return paper.forged(header={**paper.header, "kid": other.kid, "alg": other.alg}, key=STRANGER)


def symmetric(paper: Paper) -> str:
    """HS256 with the public key as the secret, as a verifier that believes `alg` would check it (CVE-2022-29217)."""
    secret = paper.key.public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    header = to_b64(json.dumps({**paper.header, "alg": "HS256"}).encode())
    message = f"{header}.{parts(paper)[1]}"
    return f"{message}.{to_b64(hmac.digest(secret, message.encode(), sha256))}"


def unsigned(paper: Paper) -> str:
    header = to_b64(json.dumps({**paper.header, "alg": "none"}).encode())
    return f"{header}.{parts(paper)[1]}."


def ending_in_a_second_spelling(index: int) -> Callable[[Paper], str]:
    """The same bytes in another spelling: bits after the last whole byte set, where there are any; else padded."""

    def write(paper: Paper) -> str:
        split = list(parts(paper))
        alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        last = split[index][-1]
        spelled = split[index][:-1] + alphabet[alphabet.index(last) ^ 1]
        split[index] = spelled if len(split[index]) % 4 else split[index] + "=="
        return ".".join(split)

    return write


def with_signature(change: Callable[[bytes], bytes]) -> Callable[[Paper], str]:
    def write(paper: Paper) -> str:
        header, payload, signature = parts(paper)
        return f"{header}.{payload}.{to_b64(change(from_b64(signature)))}"

    return write


def der(raw: bytes) -> bytes:
    return encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))


def nested(levels: int) -> Any:
    value: Any = "x"
    for _ in range(levels):
        value = [value]
    return value


def in_json(name: str, written: str) -> Callable[[Paper], str]:
    """One claim written as this very JSON text, which json.dumps would not write."""

    def write(paper: Paper) -> str:
        rest = {each: value for each, value in paper.claims.items() if each != name}
        text = json.dumps(rest, ensure_ascii=False)[:-1] + f', "{name}": {written}}}'
        return paper.forged(payload=text.encode())

    return write


HEADER_CASES: dict[str, tuple[Callable[[Paper], Any], Reason]] = {
    "jku": (with_header(jku="https://evil.example/keys"), MALFORMED),
    "jwk": (with_header(jwk={"kty": "EC"}), MALFORMED),
    "x5c": (with_header(x5c=["MIIB"]), MALFORMED),
    "x5u": (with_header(x5u="https://evil.example/x5"), MALFORMED),
    "x5t": (with_header(x5t="AAAA"), MALFORMED),
    "crit": (with_header(crit=["exp"]), MALFORMED),
    "empty crit": (with_header(crit=[]), MALFORMED),
    "b64 false": (with_header(b64=False, crit=["b64"]), MALFORMED),
    "zip": (with_header(zip="DEF"), MALFORMED),
    "cty": (with_header(cty="JWT"), MALFORMED),
    "member with an empty name": (with_header(**{"": ""}), MALFORMED),
    "no alg": (header_without("alg"), MALFORMED),
    "no kid": (header_without("kid"), MALFORMED),
    "no typ": (header_without("typ"), MALFORMED),
    "crit instead of typ": (
        lambda paper: paper.forged(header={"alg": paper.key.alg, "kid": paper.key.kid, "crit": "typ"}),
        MALFORMED,
    ),
    "alg twice": (raw_header(lambda text: text.replace("{", '{"alg": "none", ', 1).encode()), MALFORMED),
    "kid twice, the same": (
        raw_header(lambda text: text.replace("{", '{"kid": ' + json.dumps(json.loads(text)["kid"]) + ", ", 1).encode()),
        MALFORMED,
    ),
    "typ twice": (raw_header(lambda text: text.replace("{", '{"typ": "x", ', 1).encode()), MALFORMED),
    "typ JWT": (with_header(typ="JWT"), WRONG_KIND),
    "typ in capitals": (lambda paper: with_header(typ=paper.kind.typ.upper())(paper), WRONG_KIND),
    "typ as media type": (lambda paper: with_header(typ="application/" + paper.kind.typ)(paper), WRONG_KIND),
    "typ with a blank": (lambda paper: with_header(typ=paper.kind.typ + " ")(paper), WRONG_KIND),
    "typ null": (with_header(typ=None), MALFORMED),
    "typ list": (lambda paper: with_header(typ=[paper.kind.typ])(paper), MALFORMED),
    "typ empty": (with_header(typ=""), MALFORMED),
    "alg none, signed": (with_header(alg="none"), KEY_UNKNOWN),
    "alg None, signed": (with_header(alg="None"), KEY_UNKNOWN),
    "alg none, unsigned": (unsigned, MALFORMED),
    "alg HS256 under the public key": (symmetric, KEY_UNKNOWN),
    "alg RS256": (with_header(alg="RS256"), KEY_UNKNOWN),
    "alg ES512": (with_header(alg="ES512"), KEY_UNKNOWN),
    "alg of the other kind of key": (
        lambda paper: with_header(alg="ES256" if paper.key.alg == "EdDSA" else "EdDSA")(paper),
        KEY_UNKNOWN,
    ),
    "alg in small letters": (lambda paper: with_header(alg=paper.key.alg.lower())(paper), KEY_UNKNOWN),
    "alg null": (with_header(alg=None), MALFORMED),
    "alg number": (with_header(alg=7), MALFORMED),
    "alg list": (with_header(alg=["EdDSA", "ES256"]), MALFORMED),
    "kid of nobody": (lambda paper: with_header(kid=new_id())(paper), KEY_UNKNOWN),
    "kid of a stranger, signed by the stranger": (
        lambda paper: paper.forged(header={**paper.header, "kid": STRANGER.kid, "alg": STRANGER.alg}, key=STRANGER),
        KEY_UNKNOWN,
    ),
    "kid of another kind": (own_kid_of_another_kind, KEY_UNKNOWN),
    "kid as a path": (with_header(kid="../../dev/null"), KEY_UNKNOWN),
    "kid as SQL": (with_header(kid="' OR 1=1 --"), KEY_UNKNOWN),
    "kid with a NUL": (lambda paper: with_header(kid=paper.key.kid + "\0")(paper), KEY_UNKNOWN),
    "kid shortened": (lambda paper: with_header(kid=paper.key.kid[:-1])(paper), KEY_UNKNOWN),
    "kid empty": (with_header(kid=""), MALFORMED),
    "kid number": (with_header(kid=1), MALFORMED),
    "kid null": (with_header(kid=None), MALFORMED),
    "header is a list": (raw_header(lambda text: b'["alg","kid","typ"]'), MALFORMED),
    "header is a string": (raw_header(lambda text: json.dumps(text).encode()), MALFORMED),
    "header is null": (raw_header(lambda text: b"null"), MALFORMED),
    "header is a number": (raw_header(lambda text: b"12"), MALFORMED),
    "header is not JSON": (raw_header(lambda text: text[:-1].encode()), MALFORMED),
    "header has a tail": (raw_header(lambda text: text.encode() + b"{}"), MALFORMED),
    "header with a BOM": (raw_header(lambda text: b"\xef\xbb\xbf" + text.encode()), MALFORMED),
    "header in UTF-16": (raw_header(lambda text: text.encode("utf-16")), MALFORMED),
    "header in UTF-32": (raw_header(lambda text: text.encode("utf-32-le")), MALFORMED),
    "header is not UTF-8": (raw_header(lambda text: text.encode() + b"\xff"), MALFORMED),
    "header nested deeply": (raw_header(lambda text: b"[" * 200 + b"]" * 200), MALFORMED),
}

TEXT_CASES: dict[str, tuple[Callable[[Paper], Any], Reason]] = {
    "empty": (lambda paper: "", MALFORMED),
    "dots alone": (lambda paper: "..", MALFORMED),
    "two parts": (lambda paper: paper.text.rpartition(".")[0], MALFORMED),
    "four parts": (lambda paper: paper.text + ".AAAA", MALFORMED),
    "five parts": (lambda paper: paper.text + ".AAAA.AAAA", MALFORMED),
    "no header": (lambda paper: "." + paper.text.partition(".")[2], MALFORMED),
    "no payload": (lambda paper: f"{parts(paper)[0]}..{parts(paper)[2]}", MALFORMED),
    "no signature": (lambda paper: paper.text.rpartition(".")[0] + ".", MALFORMED),
    "blank before": (lambda paper: " " + paper.text, MALFORMED),
    "blank after": (lambda paper: paper.text + " ", MALFORMED),
    "line end after": (lambda paper: paper.text + "\n", MALFORMED),
    "line end inside": (lambda paper: paper.text.replace(".", ".\n", 1), MALFORMED),
    "NUL after": (lambda paper: paper.text + "\0", MALFORMED),
    "BOM before": (lambda paper: "\ufeff" + paper.text, MALFORMED),
    "full-width letter": (lambda paper: "ｅ" + paper.text[1:], MALFORMED),
    "Bearer before": (lambda paper: "Bearer " + paper.text, MALFORMED),
    "quoted": (lambda paper: json.dumps(paper.text), MALFORMED),
    "JSON serialisation": (
        lambda paper: json.dumps(dict(zip(("protected", "payload", "signature"), parts(paper), strict=True))),
        MALFORMED,
    ),
    "padding on the header": (lambda paper: paper.text.replace(".", "=.", 1), MALFORMED),
    "padding on the payload": (lambda paper: "=.".join(paper.text.rsplit(".", 1)), MALFORMED),
    "padding on the signature": (lambda paper: paper.text + "==", MALFORMED),
    "second spelling of the header": (ending_in_a_second_spelling(0), MALFORMED),
    "second spelling of the payload": (ending_in_a_second_spelling(1), MALFORMED),
    "second spelling of the signature": (ending_in_a_second_spelling(2), MALFORMED),
    "one character too few for a byte": (lambda paper: f"{parts(paper)[0]}.AAAAA.{parts(paper)[2]}", MALFORMED),
    "standard base64": (
        lambda paper: f"{b64encode(b'>>>???').decode()}.{parts(paper)[1]}.{parts(paper)[2]}",
        MALFORMED,
    ),
    "too long": (lambda paper: paper.text + "A" * paper.kind.max_length, TOO_LONG),
    "one character too long": (
        lambda paper: paper.text + "A" * (paper.kind.max_length + 1 - len(paper.text)),
        TOO_LONG,
    ),
    "bytes": (lambda paper: paper.text.encode(), MALFORMED),
    "nothing": (lambda paper: None, MALFORMED),
    "a number": (lambda paper: 5, MALFORMED),
    "signature with a flipped bit": (with_signature(lambda raw: bytes([raw[0] ^ 1]) + raw[1:]), SIGNATURE),
    "signature cut": (with_signature(lambda raw: raw[:-1]), SIGNATURE),
    "signature with a byte more": (with_signature(lambda raw: raw + b"\0"), SIGNATURE),
    "signature of zeros": (with_signature(lambda raw: bytes(64)), SIGNATURE),
    "signature in DER": (with_signature(der), SIGNATURE),
    "signature of one byte": (with_signature(lambda raw: b"\0"), SIGNATURE),
    "signature twice": (with_signature(lambda raw: raw + raw), SIGNATURE),
    "halves swapped": (with_signature(lambda raw: raw[32:] + raw[:32]), SIGNATURE),
    "signature of another document": (
        lambda paper: paper.text.rpartition(".")[0] + "." + paper.forged(jti=new_id()).rpartition(".")[2],
        SIGNATURE,
    ),
    "payload of another document": (
        lambda paper: ".".join([parts(paper)[0], paper.forged(jti=new_id()).split(".")[1], parts(paper)[2]]),
        SIGNATURE,
    ),
}

JSON_CASES: dict[str, tuple[Callable[[Paper], Any], Reason]] = {
    "UTF-16": (raw_payload(lambda text: text.encode("utf-16")), MALFORMED),
    "UTF-16 without a BOM": (raw_payload(lambda text: text.encode("utf-16-be")), MALFORMED),
    "BOM": (raw_payload(lambda text: b"\xef\xbb\xbf" + text.encode()), MALFORMED),
    "not UTF-8": (raw_payload(lambda text: text.encode()[:-1] + b',"x":"\xe9"}'), MALFORMED),
    "overlong UTF-8": (raw_payload(lambda text: text.encode()[:-1] + b',"x":"\xc0\xaf"}'), MALFORMED),
    "surrogates as UTF-8": (raw_payload(lambda text: text.encode()[:-1] + b',"x":"\xed\xa0\x80"}'), MALFORMED),
    "lone surrogate": (in_json("aud", r'"\ud800"'), MALFORMED),
    "lone surrogate in a name": (raw_payload(lambda text: text.encode()[:-1] + rb',"\udfff":1}'), MALFORMED),
    "iss twice": (raw_payload(lambda text: text.replace("{", '{"iss": "31", ', 1).encode()), MALFORMED),
    "jti twice, the same": (
        raw_payload(lambda text: text.encode()[:-1] + f', "jti": "{json.loads(text)["jti"]}"}}'.encode()),
        MALFORMED,
    ),
    "duplicate spelled with an escape": (
        raw_payload(lambda text: text.encode()[:-1] + rb', "\u0069at": 1}'),
        MALFORMED,
    ),
    "NaN": (in_json("iat", "NaN"), MALFORMED),
    "Infinity": (in_json("exp", "Infinity"), MALFORMED),
    "-Infinity": (in_json("exp", "-Infinity"), MALFORMED),
    "float": (in_json("exp", f"{EPOCH_NOW + 30}.0"), MALFORMED),
    "exponent": (in_json("exp", "2e9"), MALFORMED),
    "leading zero": (in_json("iat", f"0{EPOCH_NOW}"), MALFORMED),
    "plus sign": (in_json("iat", f"+{EPOCH_NOW}"), MALFORMED),
    "a number of 5,000 digits": (
        lambda paper: paper.forged(payload=b'{"iat": ' + b"9" * min(5000, paper.kind.max_length // 2) + b"}"),
        # Python itself refuses more than 4,300 digits; fewer are a number that no claim takes.
        MALFORMED,
    ),
    "control character": (in_json("aud", '"3\n1"'), MALFORMED),
    "comment": (raw_payload(lambda text: text.encode() + b"//x"), MALFORMED),
    "trailing comma": (raw_payload(lambda text: text.encode()[:-1] + b",}"), MALFORMED),
    "single quotes": (raw_payload(lambda text: text.replace('"', "'").encode()), MALFORMED),
    "two values": (raw_payload(lambda text: text.encode() + b" {}"), MALFORMED),
    "cut": (raw_payload(lambda text: text.encode()[:-1]), MALFORMED),
    "only blanks": (raw_payload(lambda text: b"   "), MALFORMED),
    "array": (raw_payload(lambda text: f"[{text}]".encode()), CLAIMS),
    "string": (raw_payload(lambda text: b'"claims"'), CLAIMS),
    "null": (raw_payload(lambda text: b"null"), CLAIMS),
    "number": (raw_payload(lambda text: b"1"), CLAIMS),
    "empty object": (raw_payload(lambda text: b"{}"), CLAIMS),
    "nested one too deep": (claim("aud", nested(4)), MALFORMED),
    "nested as deep as may be": (claim("aud", nested(3)), CLAIMS),
    "nested 200 deep": (claim("aud", nested(200)), MALFORMED),
    "more members than may be": (
        lambda paper: paper.forged(payload={**paper.claims, **{f"m{number}": 0 for number in range(20)}}),
        MALFORMED,
    ),
}

NO_TIMES: tuple[Any, ...] = (True, False, None, str(EPOCH_NOW), "", [EPOCH_NOW], {}, -1, 253_402_300_800, 2**70)
NO_MEMBERS: dict[str, Any] = {"nbf": EPOCH_NOW, "admin": True, "ISS": "31", "cnf": {}, "": 0, "__proto__": {}}

CLAIM_CASES: dict[str, tuple[Callable[[Paper], Any], Reason]] = {
    **{f"{name} {value!r}": (claim(name, value), CLAIMS) for name in ("iat", "exp") for value in NO_TIMES},
    "iat 0": (claim("iat", 0), CLAIMS),
    "exp 0": (claim("exp", 0), Reason.DOCUMENT_EXPIRED),
    "iss of another province": (claim("iss", "34"), CLAIMS),
    "iss with a blank": (lambda paper: claim("iss", paper.key.issuer + " ")(paper), CLAIMS),
    "iss beginning alike": (lambda paper: claim("iss", paper.key.issuer[:-1])(paper), CLAIMS),
    "iss list": (lambda paper: claim("iss", [paper.key.issuer])(paper), CLAIMS),
    "iss null": (claim("iss", None), CLAIMS),
    "iss empty": (claim("iss", ""), CLAIMS),
    "iss number": (claim("iss", 31), CLAIMS),
    "aud of another": (claim("aud", "34"), CLAIMS),
    "aud list with us": (lambda paper: claim("aud", [paper.audience])(paper), CLAIMS),
    "aud list with us and another": (lambda paper: claim("aud", [paper.audience, "34"])(paper), CLAIMS),
    "aud beginning alike": (lambda paper: claim("aud", paper.audience + "0")(paper), CLAIMS),
    "aud null": (claim("aud", None), CLAIMS),
    "aud empty": (claim("aud", ""), CLAIMS),
    "aud number": (claim("aud", 31), CLAIMS),
    "jti empty": (claim("jti", ""), CLAIMS),
    "jti of NULs": (claim("jti", "\0" * 22), CLAIMS),
    "jti too short": (claim("jti", "A" * 21), CLAIMS),
    "jti too long": (claim("jti", "A" * 23), CLAIMS),
    "jti in a second spelling": (claim("jti", "A" * 21 + "B"), CLAIMS),
    "jti number": (claim("jti", 1), CLAIMS),
    "jti list": (claim("jti", ["A" * 22]), CLAIMS),
    "jti null": (claim("jti", None), CLAIMS),
    "jti with a line end": (claim("jti", "A" * 21 + "\n"), CLAIMS),
    **{f"{name} besides": (claim(name, value), CLAIMS) for name, value in NO_MEMBERS.items()},
    "sealed by another in our name": (sealed_by_another, CLAIMS),
    "sealed by nobody under another's kid": (kid_of_another, SIGNATURE),
}

CASES = {
    f"{group}: {name}": case
    for group, rows in {
        "header": HEADER_CASES,
        "text": TEXT_CASES,
        "json": JSON_CASES,
        "claims": CLAIM_CASES,
    }.items()
    for name, case in rows.items()
}

# Where a kind has its own answer: an approval knows one key only, so the keys of others are unknown to it.
EXCEPTIONS = {
    ("approval+jwt", "claims: sealed by another in our name"): KEY_UNKNOWN,
    ("approval+jwt", "claims: sealed by nobody under another's kid"): KEY_UNKNOWN,
}
# A number that fits the kind's length and Python's digits, but no claim.
for _kind in KINDS:
    if _kind.max_length // 2 < 4300:
        EXCEPTIONS[_kind.typ, "json: a number of 5,000 digits"] = CLAIMS


def test_there_are_more_cases_than_the_316_that_once_found_89_holes() -> None:
    assert len(CASES) * len(PAPERS) > 316
    assert [each.kind for each in PAPERS] == list(KINDS)


@EVERY_PAPER
def test_a_right_document_opens(paper: Paper) -> None:
    assert paper.open(paper.text, NOW)
    sealed = open_sealed(paper.kind, paper.text, paper.keys, audience=paper.audience, now=NOW)
    assert sealed.issuer == paper.key.issuer
    assert sealed.jti == paper.claims["jti"]
    assert sealed.issued_at == NOW
    assert sealed.expires_at == NOW + paper.kind.life
    assert dict(sealed.claims) == paper.claims


@EVERY_PAPER
def test_the_forger_of_these_tests_can_write_right_documents_too(paper: Paper) -> None:
    """Otherwise every refusal below would prove nothing."""
    assert paper.open(paper.forged(), NOW)
    assert paper.open(paper.forged(jti=new_id()), NOW)


@pytest.mark.parametrize("case", CASES)
def test_a_document_of_any_kind_that_breaks_one_rule_is_refused(case: str) -> None:
    write, reason = CASES[case]
    for paper in PAPERS:
        text = write(paper)
        expected = EXCEPTIONS.get((paper.kind.typ, case), reason)
        if isinstance(text, str) and len(text) > paper.kind.max_length:
            expected = TOO_LONG  # length comes first: UTF-16 doubles what is nearly as long as may be
        assert refused(paper, text) is expected, paper.kind.typ


@EVERY_PAPER
def test_no_claim_may_be_missing(paper: Paper) -> None:
    for name in paper.claims:
        assert refused(paper, paper.without(name)) is CLAIMS, name


@EVERY_PAPER
def test_no_claim_may_have_another_type(paper: Paper) -> None:
    for name in paper.claims:
        for value in (True, 1, -1, [], {}, [None], {"x": 1}, "", "\0", "x" * 3000, "ü"):
            shape = paper.kind.claims.get(name)
            if (shape is not None and shape.fits(value)) or (name == "exp" and value == 1):
                continue
            text = paper.forged(payload={**paper.claims, name: value})
            assert refused(paper, text) in {CLAIMS, TOO_LONG}, (name, value)


@EVERY_PAPER
def test_no_document_passes_for_another_kind(paper: Paper) -> None:
    for other in PAPERS:
        if other.kind is not paper.kind:
            assert refused(other, paper.text) in {WRONG_KIND, TOO_LONG}
            # Not even when only its typ is changed: the key is for one kind.
            assert refused(other, paper.forged(header={**paper.header, "typ": other.kind.typ})) in {
                KEY_UNKNOWN,
                TOO_LONG,
            }


# Time -----------------------------------------------------------------------------------------------------


@EVERY_PAPER
def test_a_clock_ten_seconds_ahead_is_borne_and_eleven_are_not(paper: Paper) -> None:
    assert SKEW == 10 * SECOND
    assert paper.open(paper.timed(10, 11), NOW)
    assert refused(paper, paper.timed(11, 12)) is Reason.DOCUMENT_NOT_YET_VALID


@EVERY_PAPER
def test_a_document_ends_at_its_very_second(paper: Paper) -> None:
    assert paper.open(paper.timed(-20, 1), NOW)
    assert refused(paper, paper.timed(-20, 0)) is Reason.DOCUMENT_EXPIRED
    last = NOW + paper.kind.life - timedelta(microseconds=1)
    if last < VALIDITY["not_after"]:
        assert paper.open(paper.text, last)
        with pytest.raises(Refusal) as no:
            paper.open(paper.text, NOW + paper.kind.life)
        assert no.value.reason is Reason.DOCUMENT_EXPIRED


@EVERY_PAPER
def test_a_life_longer_than_the_kinds_is_refused(paper: Paper) -> None:
    life = int(paper.kind.life.total_seconds())
    assert paper.open(paper.timed(0, life), NOW)
    assert refused(paper, paper.timed(0, life + 1)) is CLAIMS


@EVERY_PAPER
def test_a_life_of_nothing_or_less_is_refused(paper: Paper) -> None:
    assert refused(paper, paper.timed(5, 5)) is CLAIMS
    assert refused(paper, paper.timed(9, 5)) is CLAIMS


@EVERY_PAPER
def test_what_is_older_than_a_restored_database_is_refused(paper: Paper) -> None:
    for floor, passes in ((NOW, True), (NOW + SECOND, False)):
        is_approval = paper.kind.typ == "approval+jwt"
        keys: Keys = OneKey(DEVICE, issued_after=floor) if is_approval else ring(issued_after=floor)
        if passes:
            assert open_sealed(paper.kind, paper.text, keys, audience=paper.audience, now=NOW)
        else:
            with pytest.raises(Refusal) as no:
                open_sealed(paper.kind, paper.text, keys, audience=paper.audience, now=NOW)
            assert no.value.reason is Reason.DOCUMENT_EXPIRED


@EVERY_PAPER
def test_a_key_seals_nothing_outside_of_its_time(paper: Paper) -> None:
    published = paper.key.published(paper.kind.typ, not_before=NOW - 5 * SECOND, not_after=NOW + 5 * SECOND)
    for keys in (KeyRing([published]), OneKey(published)):
        for moment, passes in ((-5, True), (4, True), (-6, False), (5, False)):
            now = NOW + moment * SECOND
            if passes:
                assert open_sealed(paper.kind, paper.text, keys, audience=paper.audience, now=now)
                continue
            with pytest.raises(Refusal) as no:
                open_sealed(paper.kind, paper.text, keys, audience=paper.audience, now=now)
            assert no.value.reason is KEY_UNKNOWN


# One document, one name -----------------------------------------------------------------------------------


@pytest.mark.parametrize("paper", [each for each in PAPERS if each.key.alg == "ES256"], ids=lambda each: each.kind.typ)
def test_the_second_signature_of_ecdsa_is_no_second_document(paper: Paper) -> None:
    """(r, n − s) holds wherever (r, s) does; single use is kept on (iss, jti), names are digests of what was signed."""

    def twin(raw: bytes) -> bytes:
        return raw[:32] + (ORDER_P256 - int.from_bytes(raw[32:], "big")).to_bytes(32, "big")

    text = with_signature(twin)(paper)
    assert text != paper.text
    first, second = (
        open_sealed(paper.kind, each, paper.keys, audience=paper.audience, now=NOW) for each in (paper.text, text)
    )
    assert (first.issuer, first.jti, first.digest) == (second.issuer, second.jti, second.digest)


@EVERY_PAPER
def test_a_digest_names_what_was_signed(paper: Paper) -> None:
    sealed = open_sealed(paper.kind, paper.text, paper.keys, audience=paper.audience, now=NOW)
    assert sealed.digest == signed_digest(paper.text) == signed_digest(paper.text + "AAAA")
    assert sealed.digest != signed_digest(paper.forged(jti=new_id()))
    assert DIGEST.fits(sealed.digest)


def test_a_signature_alone_can_be_checked_and_says_nothing_else() -> None:
    check_signature(APPROVAL_TEXT, DEVICE)
    for bad in (APPROVAL_TEXT[:-4], "", "a.b", ".."):
        with pytest.raises(Refusal) as no:
            check_signature(bad, DEVICE)
        assert no.value.reason is SIGNATURE


# Writing --------------------------------------------------------------------------------------------------

NOTE = Kind(typ="note+jwt", claims={"say": Text(400)}, life=timedelta(seconds=60), max_length=600)


def note(**changes: Any) -> str:
    arguments: dict[str, Any] = {"audience": DESK, "now": NOW} | changes
    return seal(NOTE, arguments.pop("claims", {"say": "x"}), REQUEST_KEY, **arguments)


def opened(text: str) -> Sealed:
    keys = KeyRing([REQUEST_KEY.published("note+jwt", **VALIDITY)])
    return open_sealed(NOTE, text, keys, audience=DESK, now=NOW)


def test_a_shorter_life_and_a_chosen_jti_are_kept() -> None:
    jti = new_id()
    sealed = opened(note(life=5 * SECOND, jti=jti))
    assert (sealed.jti, sealed.expires_at) == (jti, NOW + 5 * SECOND)
    assert opened(note()).jti != opened(note()).jti


@pytest.mark.parametrize(
    "changes",
    [
        {"claims": {}},
        {"claims": {"say": 1}},
        {"claims": {"say": "x", "more": "y"}},
        {"claims": {"say": "x" * 401}},
        {"claims": {"say": "x" * 400}},  # fits the claim, but makes the text too long
        {"claims": {"say": "\ud800"}},
        {"audience": ""},
        {"jti": "short"},
        {"life": timedelta(0)},
        {"life": -SECOND},
        {"life": timedelta(milliseconds=900)},
        {"life": 61 * SECOND},
    ],
    ids=str,
)
def test_nobody_writes_what_nobody_would_read(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        note(**changes)


def largest(shape: Shape, sample: Any) -> Any:
    """The longest value that a shape takes, in the characters that need most bytes; `sample` where only that fits."""
    match shape:
        case Text():
            tried = [character * shape.most for character in ("𬱖", "a", "A", "0", "1")]
            return next((text for text in [*tried, "/" + "a" * (shape.most - 1)] if shape.fits(text)), sample)
        case Maybe():
            return largest(shape.of, sample)
        case Listing():
            return [largest(shape.of, sample[0])] * shape.most
        case Members():
            return {name: largest(each, sample[name]) for name, each in shape.of.items()}
        case Choice():
            return max(shape.of, key=len)
        case Number():
            return shape.high
    return sample


@EVERY_PAPER
def test_the_largest_document_that_its_claims_allow_is_written_and_read(paper: Paper) -> None:
    """Length and claims are two limits; were the length the narrower one, a long name could stop a visit half-way."""
    claims = {name: largest(shape, paper.claims[name]) for name, shape in paper.kind.claims.items()}
    text = seal(paper.kind, claims, paper.key, audience=paper.audience, now=NOW)
    assert open_sealed(paper.kind, text, paper.keys, audience=paper.audience, now=NOW)


# What is claimed before the seal, and JSON by itself ------------------------------------------------------


@EVERY_PAPER
def test_issuer_and_time_of_issue_can_be_looked_at_before_there_is_a_key(paper: Paper) -> None:
    assert unverified_issuer(paper.kind, paper.text) == paper.key.issuer
    assert unverified_issue(paper.kind, paper.text) == NOW


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"[]", CLAIMS),
        (b"{}", CLAIMS),
        (b'{"iss": 31, "iat": "1"}', CLAIMS),
        (b'{"iss": null, "iat": true}', CLAIMS),
        (b'{"iat": -1}', CLAIMS),
        (b'{"iat": 253402300800}', CLAIMS),
        (b"{", MALFORMED),
        (b"[" * 900 + b"]" * 900, MALFORMED),
    ],
)
def test_a_document_without_issuer_and_time_of_issue_is_refused(payload: bytes, reason: Reason) -> None:
    request = BY_TYP["request+jwt"]
    text = signed(b"{}", payload, request.key)
    for look in (unverified_issuer, unverified_issue):
        with pytest.raises(Refusal) as no:
            look(request.kind, text)
        assert no.value.reason is reason


@pytest.mark.parametrize("levels", [5, 100, 450, 480, 600, 900, 990, 5000, 100_000])
@pytest.mark.parametrize("brackets", [(b"[", b"]"), (b'{"a":', b"}")], ids=["arrays", "objects"])
def test_nesting_of_any_depth_is_refused_and_exhausts_nothing(levels: int, brackets: tuple[bytes, bytes]) -> None:
    opening, closing = brackets
    with pytest.raises(Refusal) as no:
        strict_json(opening * levels + b"1" + closing * levels, depth=4, members=9)
    assert no.value.reason is MALFORMED


def test_json_is_read_as_deep_and_as_wide_as_allowed() -> None:
    assert strict_json(b'{"a":[{"b":1}]}', depth=3, members=1) == {"a": [{"b": 1}]}
    assert strict_json(b'{"a":1,"b":2}', depth=1, members=2) == {"a": 1, "b": 2}
    assert strict_json('"一\\ud83d\\ude00"'.encode(), depth=0, members=0) == "一😀"
    for raw, depth, members in ((b'{"a":[{"b":1}]}', 2, 1), (b'{"a":1,"b":2}', 1, 1), (b"{}", 0, 0), (b"[]", 0, 0)):
        with pytest.raises(Refusal):
            strict_json(raw, depth=depth, members=members)
