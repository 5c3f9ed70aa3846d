"""The strict JWS profile: one way to write a document, one way to read it, everything else refused.

PyJWT does the signature. By itself it takes duplicate JSON members, UTF-16 payloads, times that are strings or floats,
unknown header members and several spellings of one token; so the text is judged before PyJWT sees it and the claims
after. PyJWT also looks at the clock itself: only its JWS half is used, and time is judged here, against `now`.

Reading, in this order (T1; RFC 7515, RFC 7519, RFC 8725):
 1. shape      ASCII, three canonical base64url parts, not longer than the kind allows. Before any parser runs.
 2. header     exactly `alg`, `kid`, `typ`; so `jku`, `jwk`, `x5c`, `crit`, `b64`, `zip`, `cty` end here.
 3. key        by kind and kid from the ring; `alg` must be the one on the ring.
 4. signature  by PyJWT, with that key and that one algorithm.
 5. claims     strict JSON; exactly the kind's members with exactly their shapes; `iss` is the key's issuer.
 6. audience and time: `aud` is us; iat at most 10 s ahead; exp in the future without leeway; life within the kind's.

The digest of a document covers header and payload, not the signature: ES256 has two valid signatures for each message.
Single use is kept on (iss, jti) for the same reason.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Final

from jwt.api_jws import PyJWS
from jwt.exceptions import PyJWTError

from consent.b64 import digest_of, from_b64, new_id
from consent.clock import from_epoch, to_epoch
from consent.errors import Reason, Refusal
from consent.keys import Keys, Kind, PublicKey, SigningKey
from consent.shapes import EPOCH, ID128, Members, Shape, Text

SKEW: Final = timedelta(seconds=10)  # FAPI 2.0: a clock that is up to 10 s ahead must be borne

_COMPACT: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_HEADER: Final = Members({"alg": Text(16), "kid": Text(64), "typ": Text(32)})
COMMON: Final[Mapping[str, Shape]] = MappingProxyType(
    {"iss": Text(80), "aud": Text(80), "iat": EPOCH, "exp": EPOCH, "jti": ID128}
)
_JWS: Final = PyJWS(algorithms=["EdDSA", "ES256"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """A document whose seal held at the instant it was opened. Only `open_sealed` makes one."""

    kind: Kind
    text: str
    digest: str
    key: PublicKey
    claims: Mapping[str, Any]

    @property
    def issuer(self) -> str:
        """Who sealed it, as the ring says."""
        return self.key.issuer

    @property
    def jti(self) -> str:
        """Its identifier, unique for this issuer."""
        return str(self.claims["jti"])

    @property
    def issued_at(self) -> datetime:
        """`iat` as an instant."""
        return from_epoch(self.claims["iat"])

    @property
    def expires_at(self) -> datetime:
        """`exp` as an instant."""
        return from_epoch(self.claims["exp"])


def seal(
    kind: Kind,
    claims: Mapping[str, Any],
    key: SigningKey,
    *,
    audience: str,
    now: datetime,
    life: timedelta | None = None,
    jti: str | None = None,
) -> str:
    """A sealed document as compact text.

    `claims` are the kind's own members; the common ones are added here. A document that its reader would refuse is a
    mistake of ours and raises ValueError.
    """
    issued, seconds = to_epoch(now), int((kind.life if life is None else life).total_seconds())
    whole = {
        **claims,
        "iss": key.issuer,
        "aud": audience,
        "iat": issued,
        "exp": issued + seconds,
        "jti": jti or new_id(),
    }
    if not _members_of(kind).fits(whole) or not 0 < seconds <= kind.life.total_seconds():
        raise ValueError(f"{kind.typ}: claims that no reader takes")
    text = compact(kind.typ, whole, key)
    if len(text) > kind.max_length:
        raise ValueError(f"{kind.typ}: {len(text)} characters, at most {kind.max_length}")
    return text


def compact(typ: str, claims: Mapping[str, Any], key: SigningKey) -> str:
    """Any claims as a compact JWS: for what others define, such as a vendor's client assertion (RFC 7523)."""
    payload = json.dumps(dict(claims), ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()
    return _JWS.encode(payload, key.private, algorithm=key.alg, headers={"kid": key.kid, "typ": typ})


def open_sealed(kind: Kind, text: str, keys: Keys, *, audience: str, now: datetime) -> Sealed:
    """Judge a document, in the six steps above. Refusal(DOCUMENT_…) says which step failed."""
    header_part, payload_part = _shape(kind, text)  # 1
    header = strict_json(header_part, depth=1, members=3)
    if not _HEADER.fits(header):  # 2
        raise Refusal(Reason.DOCUMENT_MALFORMED, detail=f"{kind.typ}: header")
    if header["typ"] != kind.typ:
        raise Refusal(Reason.DOCUMENT_WRONG_KIND, detail=f"{kind.typ} expected")
    key = keys.find(kind.typ, header["kid"], now=now)  # 3
    if header["alg"] != key.alg:
        raise Refusal(Reason.DOCUMENT_KEY_UNKNOWN, detail=f"{kind.typ}: algorithm is not the key's")
    check_signature(text, key)  # 4
    claims = strict_json(payload_part, depth=kind.depth, members=kind.members)
    if not _members_of(kind).fits(claims) or claims["iss"] != key.issuer:  # 5
        raise Refusal(Reason.DOCUMENT_CLAIMS, detail=f"{kind.typ}: claims")
    if claims["aud"] != audience:  # 6
        raise Refusal(Reason.DOCUMENT_CLAIMS, detail=f"{kind.typ}: audience")
    _judge_time(kind, claims, keys.issued_after, now)
    return Sealed(kind=kind, text=text, digest=signed_digest(text), key=key, claims=MappingProxyType(claims))


def check_signature(text: str, key: PublicKey) -> None:
    """Step 4 alone: the JWS signature under the key's one algorithm (RFC 7515 §5.2); Refusal(DOCUMENT_SIGNATURE)."""
    try:
        _JWS.decode_complete(text, key.public, algorithms=[key.alg])
    except (PyJWTError, ValueError, TypeError) as problem:
        raise Refusal(Reason.DOCUMENT_SIGNATURE, detail=type(problem).__name__) from problem


def signed_digest(text: str) -> str:
    """SHA-256 over header and payload as they were signed: the name of a document in every other document."""
    return digest_of(text.rpartition(".")[0].encode("ascii"))


def unverified_issuer(kind: Kind, text: str) -> str:
    """The `iss` that a document claims, to find the keys with which it is then opened. It proves nothing."""
    issuer = _unverified(kind, text).get("iss")
    if not isinstance(issuer, str):
        raise Refusal(Reason.DOCUMENT_CLAIMS, detail=f"{kind.typ}: iss")
    return issuer


def unverified_issue(kind: Kind, text: str) -> datetime:
    """The `iat` that a document claims. Whoever kept a document that was judged when it came in opens it again as of this
    instant, because its life may be over by now. Of a stranger's document it proves nothing."""
    issued = _unverified(kind, text).get("iat")
    if type(issued) is not int:
        raise Refusal(Reason.DOCUMENT_CLAIMS, detail=f"{kind.typ}: iat")
    return from_epoch(issued)


def _unverified(kind: Kind, text: str) -> Mapping[str, Any]:
    _, payload_part = _shape(kind, text)
    claims = strict_json(payload_part, depth=kind.depth, members=kind.members)
    return claims if isinstance(claims, dict) else {}


def _members_of(kind: Kind) -> Members:
    return Members({**COMMON, **kind.claims})


def _shape(kind: Kind, text: str) -> tuple[bytes, bytes]:
    if not isinstance(text, str):
        raise Refusal(Reason.DOCUMENT_MALFORMED, detail=f"{kind.typ}: not text")
    if len(text) > kind.max_length:
        raise Refusal(Reason.DOCUMENT_TOO_LONG, detail=f"{kind.typ}: {len(text)} characters")
    if _COMPACT.fullmatch(text) is None:
        raise Refusal(Reason.DOCUMENT_MALFORMED, detail=f"{kind.typ}: not a compact JWS")
    header, payload, signature = text.split(".")
    from_b64(signature)
    return from_b64(header), from_b64(payload)


def _judge_time(kind: Kind, claims: Mapping[str, Any], floor: datetime | None, now: datetime) -> None:
    issued, expires = from_epoch(claims["iat"]), from_epoch(claims["exp"])
    if issued > now + SKEW:
        raise Refusal(Reason.DOCUMENT_NOT_YET_VALID, detail=f"{kind.typ}: issued in the future")
    if expires <= now:
        raise Refusal(Reason.DOCUMENT_EXPIRED, detail=f"{kind.typ}: expired")
    if not timedelta(0) < expires - issued <= kind.life:
        raise Refusal(Reason.DOCUMENT_CLAIMS, detail=f"{kind.typ}: life")
    if floor is not None and issued < floor:
        # A restored database has forgotten which documents were used; the older ones may not come back.
        raise Refusal(Reason.DOCUMENT_EXPIRED, detail=f"{kind.typ}: issued before the restore")


def strict_json(raw: bytes, *, depth: int, members: int) -> Any:
    """One JSON value in UTF-8: no BOM, no duplicate members, no floats or NaN, no lone surrogates, bounded.

    `depth` counts nested objects and arrays, `members` the members of each object. Refusal(DOCUMENT_MALFORMED).
    """
    try:
        text = raw.decode("utf-8")
        value = json.loads(text, object_pairs_hook=_object(members), parse_float=_never, parse_constant=_never)
        json.dumps(value, ensure_ascii=False).encode("utf-8")  # a lone surrogate fails here
    except (ValueError, RecursionError) as problem:
        raise Refusal(Reason.DOCUMENT_MALFORMED, detail=f"json: {type(problem).__name__}") from problem
    if not _within(depth, value):
        raise Refusal(Reason.DOCUMENT_MALFORMED, detail="json: too deep")
    return value


def _object(members: int) -> Any:
    def build(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        built = dict(pairs)
        if len(built) != len(pairs) or len(built) > members:
            raise ValueError("duplicate or too many members")
        return built

    return build


def _never(text: str) -> Any:
    raise ValueError("only integers")


def _within(depth: int, value: Any) -> bool:
    # Goes no deeper than it has to: json reads nestings that would exhaust Python's own stack here.
    if isinstance(value, dict):
        return depth > 0 and all(_within(depth - 1, each) for each in value.values())
    if isinstance(value, list):
        return depth > 0 and all(_within(depth - 1, each) for each in value)
    return True
