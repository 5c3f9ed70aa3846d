"""Where a vendor is called, and with which secrets.

An endpoint has one or two secrets. `rotate` makes a new one and lets the one of before sign beside it until it
retires: every delivery then carries both signatures, and the receiver may change over in between. A third drops the
oldest at once.

Secrets are kept as they are, because a signature needs the secret itself; they are shown once, when they are made.
An endpoint that has ended stays as a row, since its deliveries are in the vendor's log. The same address registered
again is another endpoint with another secret.
"""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Connection, Engine, Row, delete, insert, select, update

from consent.b64 import new_id
from consent.errors import Reason, Refusal
from consent.stores.base import inserted, reading, writing
from wallet_api.vendors.tables import vendors, webhook_endpoints, webhook_secrets
from wallet_api.webhooks import deliveries
from wallet_api.webhooks.address import target

MOST: Final = 5  # endpoints of one vendor
RETIRES_AFTER: Final = timedelta(days=7)

_SECRET_BYTES: Final = 32  # Standard Webhooks asks for 24 to 64


class Ended(StrEnum):
    """Why an endpoint is called no more."""

    REMOVED = "REMOVED"  # by the operator
    GONE = "GONE"  # it answered 410


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One address of one vendor. `ended_why` is None while it is called."""

    endpoint_id: str
    client_id: str
    url: str
    created_at: datetime
    ended_why: Ended | None
    failures: int


class Endpoints:
    """The register of one profile, in the hand-over database."""

    def __init__(self, engine: Engine, *, profile: str) -> None:
        self._engine = engine
        self._profile = profile

    def add(self, client_id: str, url: str, *, now: datetime) -> str:
        """Register an address and return its secret, which is not shown again.

        WEBHOOK_ADDRESS_NOT_ALLOWED for an address that may not be called, INVALID_CLIENT for an unknown vendor,
        BODY_INVALID where it is registered already or the vendor has `MOST`.
        """
        address = target(url, sandbox=self._profile == "sandbox").url
        secret, endpoint_id = _new_secret(), f"we_{new_id()}"
        row = {"endpoint_id": endpoint_id, "client_id": client_id, "url": address, "created_at": now, "failures": 0}
        with writing(self._engine) as connection:
            self._known(connection, client_id)
            if len(_live(connection, client_id)) >= MOST:
                raise Refusal(Reason.BODY_INVALID, detail=f"a vendor has at most {MOST} endpoints")
            if not inserted(connection, insert(webhook_endpoints).values(**row)):
                raise Refusal(Reason.BODY_INVALID, detail="this address is registered already")
            _keep(connection, endpoint_id, 0, secret, now)
        return secret

    def rotate(self, client_id: str, url: str, *, now: datetime) -> str:
        """Make a new secret and return it; the one of before retires after `RETIRES_AFTER`. BODY_INVALID for an
        address that is not registered."""
        secret = _new_secret()
        with writing(self._engine) as connection:
            endpoint_id = self._find(connection, client_id, url)
            of_endpoint = webhook_secrets.c.endpoint_id == endpoint_id
            newest = connection.execute(
                select(webhook_secrets.c.place).where(of_endpoint, webhook_secrets.c.retires_at.is_(None))
            ).scalar_one()
            connection.execute(delete(webhook_secrets).where(of_endpoint, webhook_secrets.c.place != newest))
            connection.execute(update(webhook_secrets).where(of_endpoint).values(retires_at=now + RETIRES_AFTER))
            _keep(connection, endpoint_id, 1 - newest, secret, now)
        return secret

    def remove(self, client_id: str, url: str, *, now: datetime) -> None:
        """Call an address no more; what waits for it is given up. BODY_INVALID where it is not registered."""
        with writing(self._engine) as connection:
            end(connection, self._find(connection, client_id, url), Ended.REMOVED, now=now)

    def all(self, client_id: str) -> list[Endpoint]:
        """A vendor's endpoints, those that have ended too, oldest first; INVALID_CLIENT for an unknown vendor."""
        c = webhook_endpoints.c
        with reading(self._engine) as connection:
            self._known(connection, client_id, lock=False)
            rows = connection.execute(
                select(webhook_endpoints).where(c.client_id == client_id).order_by(c.created_at, c.endpoint_id)
            ).all()
        return [_endpoint(row) for row in rows]

    def _known(self, connection: Connection, client_id: str, *, lock: bool = True) -> None:
        """INVALID_CLIENT without such a vendor. Its row is held, so that two operators count endpoints one by one."""
        query = select(vendors.c.client_id).where(vendors.c.client_id == client_id, vendors.c.profile == self._profile)
        if connection.execute(query.with_for_update() if lock else query).one_or_none() is None:
            raise Refusal(Reason.INVALID_CLIENT, detail="no such vendor")

    def _find(self, connection: Connection, client_id: str, url: str) -> str:
        self._known(connection, client_id)
        address = target(url, sandbox=self._profile == "sandbox").url
        found = _live(connection, client_id).get(address)
        if found is None:
            raise Refusal(Reason.BODY_INVALID, detail="this address is not registered")
        return found


def end(connection: Connection, endpoint_id: str, why: Ended, *, now: datetime) -> None:
    """Call an endpoint no more, and give up what waits for it."""
    c = webhook_endpoints.c
    live = update(webhook_endpoints).where(c.endpoint_id == endpoint_id, c.ended_at.is_(None))
    connection.execute(live.values(ended_at=now, ended_why=why.value))
    deliveries.give_up(connection, endpoint_id)


def rest(connection: Connection, endpoint_id: str, *, now: datetime) -> None:
    """It did not answer: nothing goes there for a while, longer each time, and what has waited for a day is given up."""
    c = webhook_endpoints.c
    of_endpoint = c.endpoint_id == endpoint_id
    failed = update(webhook_endpoints).where(of_endpoint).values(failures=c.failures + 1).returning(c.failures)
    failures = connection.execute(failed).scalar_one()
    until = now + deliveries.pause(deliveries.SILENT, failures)
    connection.execute(update(webhook_endpoints).where(of_endpoint).values(rests_until=until))
    deliveries.give_up(connection, endpoint_id, began_by=now - deliveries.ROUND)


def wake(connection: Connection, endpoint_id: str) -> None:
    """It answers."""
    c = webhook_endpoints.c
    tired = update(webhook_endpoints).where(c.endpoint_id == endpoint_id, c.failures > 0)
    connection.execute(tired.values(failures=0, rests_until=None))


def signing(connection: Connection, endpoint_id: str, *, now: datetime) -> tuple[str, ...]:
    """The secrets that sign at this moment, the newest first."""
    c = webhook_secrets.c
    rows = connection.execute(
        select(c.secret, c.retires_at).where(c.endpoint_id == endpoint_id).order_by(c.added_at.desc(), c.place.desc())
    ).all()
    return tuple(row.secret for row in rows if row.retires_at is None or now < row.retires_at)


def _live(connection: Connection, client_id: str) -> dict[str, str]:
    """The endpoints that are called, by URL."""
    c = webhook_endpoints.c
    query = select(c.endpoint_id, c.url).where(c.client_id == client_id, c.ended_at.is_(None))
    return {row.url: row.endpoint_id for row in connection.execute(query)}


def _keep(connection: Connection, endpoint_id: str, place: int, secret: str, now: datetime) -> None:
    row = {"endpoint_id": endpoint_id, "place": place, "secret": secret, "added_at": now}
    connection.execute(insert(webhook_secrets).values(**row))


def _new_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode("ascii")


def _endpoint(row: Row[Any]) -> Endpoint:
    return Endpoint(
        endpoint_id=row.endpoint_id,
        client_id=row.client_id,
        url=row.url,
        created_at=row.created_at,
        ended_why=None if row.ended_why is None else Ended(row.ended_why),
        failures=row.failures,
    )
