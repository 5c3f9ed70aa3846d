"""The register of vendors: who may call, and the tokens that they hold.

A vendor's server belongs to one app and sees only that app's showings. It proves itself with a key pair
(private_key_jwt), never with a password: nothing that we store could be used by whoever steals it.

Keys. Two may live at once. `rotate` brings in a new one, and the one of before lives on until it retires, so that a
vendor has days to change over and never a moment without a key. A third drops the oldest of the two at once.

Profiles. A register is opened as the sandbox's or as live, and a vendor that was entered in the other one is unknown
in it: neither its keys nor its tokens open anything. A public key may say for which of them it was made (member
`profile` of the JWK, which `wallet-api vendors key` writes); the other one does not take it.

Everything that an operator changes leaves a line in `log`, in the same transaction.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, Engine, Row, delete, insert, select, update

from consent.b64 import digest_of, to_b64
from consent.clock import rfc3339
from consent.errors import Reason, Refusal
from consent.keys import jwk_of, public_from_jwk, thumbprint
from consent.stores.base import inserted, reading, writing
from wallet_api.vendors.log import Act, Line, lines_of, note
from wallet_api.vendors.tables import vendor_assertions, vendor_keys, vendor_tokens, vendors

SCOPES: Final = ("showings:write", "showings:read", "certificates:read", "webhooks")
TOKEN_LIFE: Final = timedelta(minutes=10)
RETIRES_AFTER: Final = timedelta(days=7)  # a week in which both keys live, unless the operator says otherwise

_CLIENT_ID: Final = re.compile(r"[a-z0-9][a-z0-9._-]{2,63}")
_NAME: Final = re.compile(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]{1,100}")
_MOST_PER_MINUTE: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One public key. `retires_at` is None for the newest, which lives until it is rotated."""

    kid: str
    jwk: Mapping[str, str]
    added_at: datetime
    retires_at: datetime | None

    def lives(self, now: datetime) -> bool:
        """Whether it may sign at this moment."""
        return self.retires_at is None or now < self.retires_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Vendor:
    """One vendor's server. `keys` are at most two, the newest last; `per_minute` None means the setting's limit."""

    client_id: str
    name: str
    app: str
    scopes: tuple[str, ...]
    per_minute: int | None
    keys: tuple[Key, ...]
    disabled_at: datetime | None

    def living(self, now: datetime) -> Mapping[str, Mapping[str, str]]:
        """The public JWKs that count at this moment, by kid."""
        return {key.kid: key.jwk for key in self.keys if key.lives(now)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who calls, as a live token says. Only `Vendors.bearer` makes one."""

    client_id: str
    app: str
    scopes: frozenset[str]
    per_minute: int | None = None


class Vendors:
    """The register of one profile, in the hand-over database. `by` is who opens it, for the log."""

    def __init__(self, engine: Engine, *, profile: str, by: str = "wallet_api") -> None:
        self._engine = engine
        self._profile = profile
        self._by = by

    # For the operator ---------------------------------------------------------------------------------------

    def add(
        self,
        client_id: str,
        *,
        name: str,
        app: str,
        jwk: Mapping[str, Any],
        scopes: tuple[str, ...],
        now: datetime,
        per_minute: int | None = None,
    ) -> None:
        """Enter a vendor with its first key. BODY_INVALID for a bad or taken id, name, limit or unknown scope;
        KEY_NOT_ALLOWED for a key that is no P-256 or Ed25519 public key, of the other profile, or another's."""
        if _CLIENT_ID.fullmatch(client_id) is None or _NAME.fullmatch(name) is None:
            raise Refusal(Reason.BODY_INVALID, detail="client id or name")
        _judge(scopes, per_minute)
        row = {
            "client_id": client_id,
            "name": name,
            "app": app,
            "scopes": " ".join(scopes),
            "per_minute": per_minute,
            "profile": self._profile,
            "created_at": now,
        }
        key = self._key_row(client_id, 0, jwk, now)
        with writing(self._engine) as connection:
            if not inserted(connection, insert(vendors).values(**row)):
                raise Refusal(Reason.BODY_INVALID, detail="this client id is taken")
            if not inserted(connection, insert(vendor_keys).values(**key)):
                raise Refusal(Reason.KEY_NOT_ALLOWED, detail="this key is another vendor's")
            facts = {"app": app, "scopes": list(scopes), "per_minute": per_minute, "key": key["kid"]}
            note(connection, client_id, Act.ADDED, who=self._by, now=now, **facts)

    def rotate(
        self, client_id: str, *, jwk: Mapping[str, Any], now: datetime, retires_at: datetime | None = None
    ) -> None:
        """Bring in a key; the newest of before retires at `retires_at` (after `RETIRES_AFTER`, unless said).

        INVALID_CLIENT for an unknown vendor, KEY_NOT_ALLOWED as for `add`.
        """
        until = now + RETIRES_AFTER if retires_at is None else retires_at
        with writing(self._engine) as connection:
            self._lock(connection, client_id)
            newest, *older = sorted(_keys(connection, client_id), key=_newest_first)
            place = 1 - newest.place
            of_vendor = vendor_keys.c.client_id == client_id
            # 1. the oldest of two makes room
            connection.execute(delete(vendor_keys).where(of_vendor, vendor_keys.c.place == place))
            # 2. the newest of before gets its end
            retiring = update(vendor_keys).where(of_vendor, vendor_keys.c.place == newest.place)
            connection.execute(retiring.values(retires_at=until))
            # 3. the new one is there, in the same commit
            key = self._key_row(client_id, place, jwk, now)
            if not inserted(connection, insert(vendor_keys).values(**key)):
                raise Refusal(Reason.KEY_NOT_ALLOWED, detail="this key is in use already")
            facts = {
                "key": key["kid"],
                "retires": newest.kid,
                "retires_at": rfc3339(until),
                "dropped": [each.kid for each in older],
            }
            note(connection, client_id, Act.ROTATED, who=self._by, now=now, **facts)

    def change(
        self, client_id: str, *, now: datetime, scopes: tuple[str, ...] | None = None, per_minute: int | None = None
    ) -> None:
        """Set other scopes or another limit (0 for the setting's own); they hold from the next request on, for
        tokens given out before too. INVALID_CLIENT for an unknown vendor, BODY_INVALID as for `add`."""
        values: dict[str, Any] = {}
        if scopes is not None:
            values["scopes"] = " ".join(scopes)
        if per_minute is not None:
            values["per_minute"] = per_minute or None
        if not values:
            raise Refusal(Reason.BODY_INVALID, detail="nothing to change")
        with writing(self._engine) as connection:
            row = self._lock(connection, client_id)
            _judge(tuple(row.scopes.split()) if scopes is None else scopes, per_minute or None)
            connection.execute(update(vendors).where(vendors.c.client_id == client_id).values(**values))
            before = {name: getattr(row, name) for name in values}
            note(connection, client_id, Act.CHANGED, who=self._by, now=now, before=before, after=values)

    def disable(self, client_id: str, *, now: datetime) -> None:
        """Shut a vendor out at once, its live tokens too. INVALID_CLIENT for an unknown or disabled one."""
        self._switch(client_id, Act.DISABLED, disabled_at=now, now=now)

    def enable(self, client_id: str, *, now: datetime) -> None:
        """Let a disabled vendor in again; its tokens of before stay gone. INVALID_CLIENT for any other one."""
        self._switch(client_id, Act.ENABLED, disabled_at=None, now=now)

    def all(self) -> list[Vendor]:
        """Every vendor of this profile, by client id."""
        with reading(self._engine) as connection:
            names = connection.execute(self._of_profile(vendors.c.client_id).order_by(vendors.c.client_id)).scalars()
            known = names.all()
        return [found for name in known if (found := self.find(name)) is not None]

    def log(self, client_id: str) -> list[Line]:
        """What was changed about a vendor, oldest first."""
        return lines_of(self._engine, client_id)

    # For the token endpoint and the guard -------------------------------------------------------------------

    def find(self, client_id: str) -> Vendor | None:
        """The vendor of that id, disabled ones too; None for one of the other profile."""
        with reading(self._engine) as connection:
            row = connection.execute(self._of_profile(vendors).where(vendors.c.client_id == client_id)).one_or_none()
            keys = _keys(connection, client_id)
        if row is None:
            return None
        return Vendor(
            client_id=row.client_id,
            name=row.name,
            app=row.app,
            scopes=tuple(row.scopes.split()),
            per_minute=row.per_minute,
            keys=tuple(
                Key(kid=each.kid, jwk=json.loads(each.jwk), added_at=each.added_at, retires_at=each.retires_at)
                for each in sorted(keys, key=_newest_first, reverse=True)
            ),
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
        """Who holds this token; UNAUTHENTICATED when it is unknown, expired, or its vendor disabled.

        A token may do what both it and its vendor may: scopes that were taken from a vendor are gone at once.
        """
        query = (
            self._of_profile(
                vendors.c.client_id,
                vendors.c.app,
                vendors.c.per_minute,
                vendors.c.scopes.label("had"),
                vendor_tokens.c.scopes,
            )
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
        scopes = frozenset(row.scopes.split()) & frozenset(row.had.split())
        return Caller(client_id=row.client_id, app=row.app, scopes=scopes, per_minute=row.per_minute)

    # Parts --------------------------------------------------------------------------------------------------

    def _of_profile(self, *what: Any) -> Any:
        return select(*what).where(vendors.c.profile == self._profile)

    def _lock(self, connection: Connection, client_id: str) -> Row[Any]:
        """The vendor's row, held until the transaction ends; INVALID_CLIENT without one."""
        of_vendor = self._of_profile(vendors).where(vendors.c.client_id == client_id).with_for_update()
        found: Row[Any] | None = connection.execute(of_vendor).one_or_none()
        if found is None:
            raise Refusal(Reason.INVALID_CLIENT, detail="no such vendor")
        return found

    def _switch(self, client_id: str, act: Act, *, disabled_at: datetime | None, now: datetime) -> None:
        other = vendors.c.disabled_at.is_(None) if disabled_at else vendors.c.disabled_at.is_not(None)
        with writing(self._engine) as connection:
            self._lock(connection, client_id)
            of_vendor = update(vendors).where(vendors.c.client_id == client_id, other)
            done = connection.execute(of_vendor.values(disabled_at=disabled_at).returning(vendors.c.client_id))
            if done.first() is None:
                raise Refusal(Reason.INVALID_CLIENT, detail=f"{act.value} already")
            connection.execute(delete(vendor_tokens).where(vendor_tokens.c.client_id == client_id))
            note(connection, client_id, act, who=self._by, now=now)

    def _key_row(self, client_id: str, place: int, jwk: Mapping[str, Any], now: datetime) -> dict[str, Any]:
        if "d" in jwk:
            raise Refusal(Reason.KEY_NOT_ALLOWED, detail="a private key was handed over; make a new pair")
        if jwk.get("profile", self._profile) != self._profile:
            raise Refusal(Reason.KEY_NOT_ALLOWED, detail=f"this key was not made for {self._profile}")
        public = public_from_jwk({name: value for name, value in jwk.items() if name in ("kty", "crv", "x", "y")})
        return {
            "client_id": client_id,
            "place": place,
            "kid": to_b64(thumbprint(public)),
            "jwk": json.dumps(jwk_of(public)),
            "added_at": now,
        }


def new_token(**_: object) -> str:
    """An opaque token, 256 random bits; takes and ignores what authlib tells a generator."""
    return to_b64(secrets.token_bytes(32))


def _digest(token: str) -> str:
    return digest_of(token.encode())


def _judge(scopes: tuple[str, ...], per_minute: int | None) -> None:
    if not scopes or not set(scopes) <= set(SCOPES):
        raise Refusal(Reason.BODY_INVALID, detail=f"scopes are some of: {' '.join(SCOPES)}")
    if per_minute is not None and not 1 <= per_minute <= _MOST_PER_MINUTE:
        raise Refusal(Reason.BODY_INVALID, detail=f"a limit is 1 to {_MOST_PER_MINUTE} a minute")


def _keys(connection: Connection, client_id: str) -> list[Row[Any]]:
    return list(connection.execute(select(vendor_keys).where(vendor_keys.c.client_id == client_id)).all())


def _newest_first(key: Row[Any]) -> tuple[bool, float, int]:
    # The newest is the one without an end; two keys of one instant tell themselves apart by it.
    return key.retires_at is not None, -key.added_at.timestamp(), -key.place
