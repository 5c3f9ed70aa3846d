"""The keys of a sandbox country: made once, written owner-readable, and a key list that pins all public halves.

Nothing here is for real use: every file carries the sandbox mark, which the live profile refuses. In a real country each
party makes its own keys and the list is signed by the provinces' roots.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from consent.attest import ATTEST, staff_of
from consent.b64 import to_b64
from consent.card import device_of
from consent.envelope import new_envelope_key
from consent.keylist import write_key_list
from consent.keys import SANDBOX_MARK, PublicKey, SigningKey, load_key, new_key, write_private
from consent.provinces import provinces
from consent.window import issuer_of

TERM: Final = timedelta(days=366)

# role: algorithm and the kinds that this key may seal
ROLES: Final = {
    "code": ("EdDSA", ("YRD1",)),
    "request": ("EdDSA", ("request+jwt", "scope+jwt", "counter+jwt")),
    "consent": ("EdDSA", ("consent+jwt", "holding+jwt")),
    "answer": ("EdDSA", ("answer+jwt", "receipt+jwt")),
    "library": ("EdDSA", ("copy+jwt",)),
    "login": ("ES256", ("holder+jwt",)),
}
DEVICES: Final = {"reader": "card+jwt", "pad": "pad+jwt"}
SECRETS: Final = ("showing", "index", "data")  # 32 bytes each, as base64url


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFiles:
    """Where the keys of a founded country lie."""

    folder: Path

    def path(self, province: str, role: str) -> Path:
        """The file of one key of one province."""
        return self.folder / f"{province}-{role}.pem"

    def uri(self, province: str, role: str) -> str:
        """The same as a key URI for the settings."""
        return f"file:{self.path(province, role)}"

    def window(self, province: str, window: str) -> Path:
        """The file of a window's key."""
        return self.folder / f"{province}-window-{window}.pem"

    def device(self, province: str, window: str, device: str) -> Path:
        """The file of the key of a window's reader or pad; a real device keeps its key inside."""
        return self.folder / f"{province}-{device}-{window}.pem"

    def officer(self, province: str, officer: str) -> Path:
        """The file of the key of an officer's staff card; a real card keeps its key inside."""
        return self.folder / f"{province}-officer-{officer}.pem"

    def signing(self, province: str, role: str) -> SigningKey:
        """Load one of the signing keys; the login key's issuer is the app."""
        issuer = provinces()[province].app_id if role == "login" else province
        return load_key(self.uri(province, role), issuer=issuer, sandbox=True)


def make_keys(
    folder: Path, *, windows: dict[str, list[str]], officers: dict[str, dict[str, str]], now: datetime
) -> str:
    """Make every key of the country below `folder`, write key list `keylist.json` beside it; returns its digest.

    `windows` and `officers` are by province; an officer's id has the unit's USCC.
    """
    files = KeyFiles(folder=folder / "keys")
    files.folder.mkdir(mode=0o700)
    term = {"not_before": now - timedelta(days=1), "not_after": now + TERM}
    published: list[PublicKey] = []
    recipients = {}
    shared_index = _secret()
    for code, province in provinces().items():
        for role, (alg, kinds) in ROLES.items():
            key = new_key(alg, issuer=province.app_id if role == "login" else code)
            write_private(files.path(code, role), key.pem())
            published.append(key.published(*kinds, **term))
        for window in windows[code]:
            key = new_key("ES256", issuer=issuer_of(code, window))
            write_private(files.window(code, window), key.pem())
            published.append(key.published("window+jwt", **term))
            for device, kind in DEVICES.items():
                key = new_key("ES256", issuer=device_of(code, window, device))
                write_private(files.device(code, window, device), key.pem())
                published.append(key.published(kind, **term))
        for officer, unit in officers[code].items():
            key = new_key("ES256", issuer=staff_of(code, unit, officer))
            write_private(files.officer(code, officer), key.pem())
            published.append(key.published(ATTEST.typ, **term))
        envelope = new_envelope_key()
        recipients[code] = envelope.recipient
        write_private(files.path(code, "envelope"), SANDBOX_MARK + envelope.secret())
        for name in SECRETS:
            # Libraries find a person by one HMAC key that only the four inner networks share.
            write_private(files.path(code, name), SANDBOX_MARK + (shared_index if name == "index" else _secret()))
    return write_key_list(folder / "keylist.json", version=1, keys=published, recipients=recipients)


def _secret() -> str:
    return to_b64(secrets.token_bytes(32))
