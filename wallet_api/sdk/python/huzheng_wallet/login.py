"""The login assertion (`holder+jwt`): your app says who is signed in, to the province's inner network and to nobody else.

1. Name and ID number go into an envelope (HPKE, RFC 9180, hybrid MLKEM768-X25519) that wallet_api carries and cannot open.
2. The envelope is tied to this one document: kind, issuer, audience and jti are its `info`.
3. The device's public key goes in beside it, so that only the phone that signed in can answer.
4. Your login key signs all of it. It lives for 60 seconds and opens one showing or one lookup.

Seal it where your login lives. `sub` is a pseudonym that you keep for this person, 8 to 64 characters of base64url; it must
tell nothing, so do not make it from the ID number without a key.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, MLKEM768X25519PublicKey, Suite

from .keys import Key, load_key, to_b64

_TYP = "holder+jwt"
_LIFE_S = 60
_SUITE = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_LATTICE, _CURVE = 1184, 32  # bytes of the two halves of the recipient's key
_PAD = 256  # bytes: an envelope's length must not tell how long a name is


class Login:
    """Seals the assertions of one app.

    `app` and `province` are as registered, for instance "suishenban" and "31". `key` is the app's login key in PEM.
    `recipient` is the envelope key of the province's inner network, as the key list names it (1,622 characters).
    """

    def __init__(self, app: str, province: str, key: str | bytes | Key, recipient: str) -> None:
        self._app = app
        self.province = province
        self._key = key if isinstance(key, Key) else load_key(key)
        raw = urlsafe_b64decode(recipient + "=" * (-len(recipient) % 4))
        if len(raw) != _LATTICE + _CURVE:
            raise ValueError("not an envelope key")
        lattice = MLKEM768PublicKey.from_public_bytes(raw[:_LATTICE])
        self._recipient = MLKEM768X25519PublicKey(lattice, X25519PublicKey.from_public_bytes(raw[_LATTICE:]))

    def assertion(
        self,
        *,
        sub: str,
        name: str,
        id_number: str,
        device: Mapping[str, str],
        auth_time: datetime,
        now: datetime,
    ) -> str:
        """The assertion for one opening. `device` is the public JWK that the phone made; `auth_time` is when the person
        unlocked the app, at most 60 s ago; `now` is the server's time (`wallet.server_now()`)."""
        jti = to_b64(secrets.token_bytes(16))
        info = _digest("\n".join((_TYP, self._app, self.province, jti)))
        issued = int(now.timestamp())
        claims = {
            "iss": self._app,
            "aud": self.province,
            "iat": issued,
            "exp": issued + _LIFE_S,
            "jti": jti,
            "sub": sub,
            "env": self._envelope({"id": id_number, "name": name}, info),
            "dev": {part: device[part] for part in ("crv", "kty", "x", "y")},
            "auth_time": int(auth_time.timestamp()),
        }
        return self._key.sign(_TYP, claims)

    def _envelope(self, person: Mapping[str, str], info: str) -> str:
        payload = json.dumps(person, ensure_ascii=False).encode()
        framed = len(payload).to_bytes(4, "big") + payload
        padded = framed + bytes(-len(framed) % _PAD)
        return to_b64(_SUITE.encrypt(padded, self._recipient, info=info.encode()))


def _digest(text: str) -> str:
    return to_b64(hashlib.sha256(text.encode()).digest())
