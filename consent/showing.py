"""A showing: a citizen holds out a phone, for ten minutes at most.

The app vouches for the person with a login assertion (`holder+jwt`): a pairwise pseudonym for itself, the person's name
and ID number enveloped to the province's inner network (the outer one carries the envelope and cannot open it), and the
device key with which this phone will sign its approval.

Time is cut into slices of 30 s, counted from the opening. A code names (showing, slice), encrypted as one AES block
under a key that the two rooms of a province share, so minting a code writes nothing anywhere, and a photograph of the
screen tells nobody which codes belong together. A slice is taken while it is the current or the previous one.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

from consent.b64 import new_id
from consent.clock import from_epoch, to_epoch
from consent.envelope import EnvelopeKey, Recipient, belongs_to, close_envelope
from consent.errors import Reason, Refusal
from consent.keys import Keys, Kind, PublicKey, SigningKey, public_from_jwk, public_key
from consent.seal import SKEW, Sealed, open_sealed, seal, strict_json
from consent.shapes import BASE64URL, EPOCH, Members, Text, choice

LIFE: Final = timedelta(minutes=10)
SLICE: Final = timedelta(seconds=30)
LOGIN_AGE: Final = timedelta(seconds=60)  # how long ago the person unlocked the app, at most (T5)

_ID_BYTES = 12  # a showing's id; with four bytes of slice it fills one AES block

HOLDER: Final = Kind(
    typ="holder+jwt",
    claims={
        "sub": Text(64, 8, BASE64URL),
        "env": Text(2600, 1, BASE64URL),
        "dev": Members(
            {
                "crv": choice("P-256"),
                "kty": choice("EC"),
                "x": Text(43, 43, BASE64URL),
                "y": Text(43, 43, BASE64URL),
            }
        ),
        "auth_time": EPOCH,
    },
    life=timedelta(seconds=60),
    max_length=4600,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Who somebody is, as the app's login knows it. Lives inside envelopes and in memory, never in a log."""

    id_number: str
    name: str

    def to_bytes(self) -> bytes:
        """As the payload of an envelope."""
        return json.dumps({"id": self.id_number, "name": self.name}, ensure_ascii=False).encode()

    @classmethod
    def from_bytes(cls, raw: bytes) -> Person:
        """Read that payload again; Refusal(DOCUMENT_CLAIMS) where it is none."""
        found = strict_json(raw, depth=1, members=2)
        if not Members({"id": Text(18, 15), "name": Text(50)}).fits(found):
            raise Refusal(Reason.DOCUMENT_CLAIMS, detail="person")
        return cls(id_number=found["id"], name=found["name"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A login assertion that held: which app, whose pseudonym, which device. The person is still in the envelope."""

    sealed: Sealed
    app: str
    sub: str
    device: PublicKey
    envelope: str

    def person(self, key: EnvelopeKey) -> Person:
        """Open the envelope, which only the inner network of the app's province can."""
        claims = self.sealed.claims
        info = belongs_to(HOLDER.typ, claims["iss"], claims["aud"], claims["jti"])
        return Person.from_bytes(key.open(self.envelope, info=info))


def seal_holder(
    person: Person,
    *,
    sub: str,
    device_jwk: Mapping[str, str],
    auth_time: datetime,
    key: SigningKey,
    province: str,
    inner: Recipient,
    now: datetime,
) -> str:
    """The login assertion of an app. Written here for the apps' simulators; a real app writes it by itself."""
    jti = new_id()
    info = belongs_to(HOLDER.typ, key.issuer, province, jti)
    claims = {
        "sub": sub,
        "env": close_envelope(inner, person.to_bytes(), info=info),
        "dev": dict(device_jwk),
        "auth_time": to_epoch(auth_time),
    }
    return seal(HOLDER, claims, key, audience=province, now=now, jti=jti)


def open_holder(text: str, keys: Keys, *, province: str, now: datetime) -> Holder:
    """A login assertion for this province, or a Refusal (DOCUMENT_…, KEY_NOT_ALLOWED)."""
    sealed = open_sealed(HOLDER, text, keys, audience=province, now=now)
    age = sealed.issued_at - from_epoch(sealed.claims["auth_time"])
    if not -SKEW <= age <= LOGIN_AGE:
        raise Refusal(Reason.DOCUMENT_EXPIRED, detail="the login is too old")
    return Holder(
        sealed=sealed,
        app=sealed.issuer,
        sub=sealed.claims["sub"],
        device=_device(sealed),
        envelope=sealed.claims["env"],
    )


def _device(sealed: Sealed) -> PublicKey:
    # The device key speaks for this pseudonym only, from this login on and for as long as its showing may last.
    return public_key(
        public_from_jwk(sealed.claims["dev"]),
        issuer=sealed.claims["sub"],
        kinds=["approval+jwt", "standing+jwt"],
        not_before=sealed.issued_at - SKEW,
        not_after=sealed.expires_at + 2 * LIFE,
    )


def new_showing_id() -> str:
    """96 random bits as 24 hex characters."""
    return secrets.token_hex(_ID_BYTES)


def slice_at(opened_at: datetime, now: datetime) -> int:
    """The number of the slice at `now`, counted from 0."""
    return max(0, int((now - opened_at) // SLICE))


def refresh_in(opened_at: datetime, now: datetime) -> int:
    """Whole seconds until the next slice begins, from 1 to 30. The phone asks again then, on the server's time."""
    left = SLICE - (now - opened_at) % SLICE
    return max(1, int(left.total_seconds()))


def name_slice(showing_id: str, number: int, key: bytes) -> bytes:
    """The `cti` of a slice: 16 bytes that only holders of `key` (32 bytes) can read."""
    block = bytes.fromhex(showing_id) + number.to_bytes(4, "big")
    encryptor = _one_block(key).encryptor()
    return encryptor.update(block) + encryptor.finalize()


def read_slice(cti: bytes, key: bytes) -> tuple[str, int]:
    """The showing and the slice that a `cti` names. Any 16 bytes name some; the signature around them is the proof."""
    decryptor = _one_block(key).decryptor()
    block = decryptor.update(cti) + decryptor.finalize()
    return block[:_ID_BYTES].hex(), int.from_bytes(block[_ID_BYTES:], "big")


def _one_block(key: bytes) -> Cipher[ECB]:
    # One block of unique plaintext is what ECB is right for: a keyed permutation, no pattern to show.
    return Cipher(AES(key), ECB())  # noqa: S305


def judge_slice(number: int, *, opened_at: datetime, now: datetime) -> None:
    """Pass the current and the previous slice; an older one is CODE_SUPERSEDED, one to come CODE_NOT_YET_VALID.

    The very next one passes too: the clock that minted it may be SKEW ahead, which `code.fresh` holds it to.
    """
    current = slice_at(opened_at, now)
    if number < current - 1:
        raise Refusal(Reason.CODE_SUPERSEDED, detail=f"slice {number}, now {current}")
    if number > current + 1:
        raise Refusal(Reason.CODE_NOT_YET_VALID, n=1)
