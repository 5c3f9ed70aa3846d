"""The register of vendors: who may call, and the tokens that they hold.

A vendor's server belongs to one app and sees only that app's showings. It proves itself with a key pair
(private_key_jwt), never with a password: nothing that we store could be used by whoever steals it. Two keys may
live at once, so that a new one can be brought in without a pause; bringing in a third drops the oldest.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Engine, delete, insert, select, update

from consent.b64 import digest_of, to_b64
from consent.errors import Reason, Refusal
from consent.keys import jwk_of, public_from_jwk, thumbprint
from consent.stores.base import inserted, reading, writing
from wallet_api.vendors.tables import vendor_assertions, vendor_keys, vendor_tokens, vendors

SCOPES: Final = ("showings:write", "showings:read", "certificates:read")
TOKEN_LIFE: Final = timedelta(minutes=10)

_CLIENT_ID: Final = re.compile(r"[a-z0-9][a-z0-9._-]{2,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Vendor:
    """One vendor's server. `keys` are public JWKs by kid, at most two."""

    client_id: str
    name: str
    app: str
    scopes: tuple[str, ...]
    keys: Mapping[str, Mapping[str, str]]
    disabled_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who calls, as a live token says. Only `Vendors.bearer` makes one."""

    client_id: str
    app: str
    scopes: frozenset[str]


class Vendors:
    """The register, in the hand-over database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    # For the operator ---------------------------------------------------------------------------------------

    def add(
        self, client_id: str, *, name: str, app: str, jwk: Mapping[str, Any], scopes: tuple[str, ...], now: datetime
    ) -> None:
        """Enter a vendor with its first key. BODY_INVALID for a bad or taken id or unknown scope;
        KEY_NOT_ALLOWED for a key that is no P-256 or Ed25519 public key, or that is another's."""
        if _CLIENT_ID.fullmatch(client_id) is None or not scopes or not set(scopes) <= set(SCOPES):
            raise Refusal(Reason.BODY_INVALID, detail="client id or scopes")
        row = {"client_id": client_id, "name": name, "app": app, "scopes": " ".join(scopes), "created_at": now}
        with writing(self._engine) as connection:
            if not inserted(connection, insert(vendors).values(**row)):
                raise Refusal(Reason.BODY_INVALID, detail="this client id is taken")
            if not inserted(connection, insert(vendor_keys).values(**_key_row(client_id, 0, jwk, now))):
                raise Refusal(Reason.KEY_NOT_ALLOWED, detail="this key is another vendor's")

    def rotate(self, client_id: str, *, jwk: Mapping[str, Any], now: datetime) -> None:
        """Bring in a key beside the newest one and drop the oldest of two. INVALID_CLIENT for an unknown vendor,
        KEY_NOT_ALLOWED as for `add`."""
        with writing(self._engine) as connection:
            held = connection.execute(
                select(vendor_keys.c.place)
                .where(vendor_keys.c.client_id == client_id)
                .order_by(vendor_keys.c.added_at.desc(), vendor_keys.c.place.desc())
                .with_for_update()
            ).scalars()
            newest = next(iter(held), None)
            if newest is None:
                raise Refusal(Reason.INVALID_CLIENT, detail="no such vendor")
            place = 1 - newest
            connection.execute(
                delete(vendor_keys).where(vendor_keys.c.client_id == client_id, vendor_keys.c.place == place)
            )
            if not inserted(connection, insert(vendor_keys).values(**_key_row(client_id, place, jwk, now))):
                raise Refusal(Reason.KEY_NOT_ALLOWED, detail="this key is in use already")

    def disable(self, client_id: str, *, now: datetime) -> None:
        """Shut a vendor out at once, its live tokens too. INVALID_CLIENT for an unknown or disabled one."""
        statement = (
            update(vendors)
            .where(vendors.c.client_id == client_id, vendors.c.disabled_at.is_(None))
            .values(disabled_at=now)
            .returning(vendors.c.client_id)
        )
        with writing(self._engine) as connection:
            if connection.execute(statement).first() is None:
                raise Refusal(Reason.INVALID_CLIENT, detail="no such vendor, or disabled already")

    def all(self) -> list[Vendor]:
        """Every vendor, by client id."""
        with reading(self._engine) as connection:
            names = connection.execute(select(vendors.c.client_id).order_by(vendors.c.client_id)).scalars().all()
        return [found for name in names if (found := self.find(name)) is not None]

    # For the token endpoint and the guard -------------------------------------------------------------------

    def find(self, client_id: str) -> Vendor | None:
        """The vendor of that id, disabled ones too."""
        with reading(self._engine) as connection:
            row = connection.execute(select(vendors).where(vendors.c.client_id == client_id)).one_or_none()
            keys = connection.execute(
                select(vendor_keys.c.kid, vendor_keys.c.jwk).where(vendor_keys.c.client_id == client_id)
            ).all()
        if row is None:
            return None
        return Vendor(
            client_id=row.client_id,
            name=row.name,
            app=row.app,
            scopes=tuple(row.scopes.split()),
            keys={key.kid: json.loads(key.jwk) for key in keys},
            disabled_at=row.disabled_at,
        )

    def use_assertion(self, client_id: str, jti: str, *, expires_at: datetime, now: datetime) -> bool:
        """Whether this is the first use of an assertion; call it only after its signature held."""
        row = {"client_id": client_id, "jti": jti, "expires_at": expires_at}
        with writing(self._engine) as connection:
            connection.execute(delete(vendor_assertions).where(vendor_assertions.c.expires_at < now))
            return inserted(connection, insert(vendor_assertions).values(**row))

    def keep_token(self, token: str, client_id: str, scopes: str, *, now: datetime) -> None:
        """Remember a token by its digest for `TOKEN_LIFE`, and forget expired ones."""
        row = {"digest": _digest(token), "client_id": client_id, "scopes": scopes, "expires_at": now + TOKEN_LIFE}
        with writing(self._engine) as connection:
            connection.execute(delete(vendor_tokens).where(vendor_tokens.c.expires_at <= now))
            connection.execute(insert(vendor_tokens).values(**row))

    def bearer(self, token: str, *, now: datetime) -> Caller:
        """Who holds this token; UNAUTHENTICATED when it is unknown, expired, or its vendor disabled."""
        query = (
            select(vendors.c.client_id, vendors.c.app, vendor_tokens.c.scopes)
            .join_from(vendor_tokens, vendors, vendor_tokens.c.client_id == vendors.c.client_id)
            .where(
                vendor_tokens.c.digest == _digest(token),
                vendor_tokens.c.expires_at > now,
                vendors.c.disabled_at.is_(None),
            )
        )
        with reading(self._engine) as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            raise Refusal(Reason.UNAUTHENTICATED, detail="no live token")
        return Caller(client_id=row.client_id, app=row.app, scopes=frozenset(row.scopes.split()))


def new_token(**_: object) -> str:
    """An opaque token, 256 random bits; takes and ignores what authlib tells a generator."""
    return to_b64(secrets.token_bytes(32))


def _digest(token: str) -> str:
    return digest_of(token.encode())


def _key_row(client_id: str, place: int, jwk: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    required = {name: value for name, value in jwk.items() if name in ("kty", "crv", "x", "y")}
    if "d" in jwk:
        raise Refusal(Reason.KEY_NOT_ALLOWED, detail="a private key was handed over; make a new pair")
    public = public_from_jwk(required)
    return {
        "client_id": client_id,
        "place": place,
        "kid": to_b64(thumbprint(public)),
        "jwk": json.dumps(jwk_of(public)),
        "added_at": now,
    }
