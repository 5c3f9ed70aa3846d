"""Who changed what about a vendor, and when: written in the transaction of the change, never changed, never removed.

It answers the question of an operator after something went wrong: who let this key in, who widened these scopes.
`who` is an account of the operator's machine or the name given with `--by`; it is taken as told, for whoever can write
this table can write any name into it. What is kept of a key is its id.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Engine, insert, select

from consent.stores.base import reading
from wallet_api.vendors.tables import vendor_log


class Act(StrEnum):
    """What may happen to a vendor."""

    ADDED = "added"
    ROTATED = "rotated"
    CHANGED = "changed"
    DISABLED = "disabled"
    ENABLED = "enabled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One change."""

    at: datetime
    who: str
    what: Act
    facts: Mapping[str, Any]


def note(connection: Connection, client_id: str, what: Act, *, who: str, now: datetime, **facts: Any) -> None:
    """Write a line, in the transaction of what it tells."""
    text = json.dumps(facts, ensure_ascii=False, sort_keys=True)
    row = {"client_id": client_id, "at": now, "who": who, "what": what.value, "facts": text}
    connection.execute(insert(vendor_log).values(**row))


def lines_of(engine: Engine, client_id: str) -> list[Line]:
    """The lines about one vendor, oldest first."""
    query = select(vendor_log).where(vendor_log.c.client_id == client_id).order_by(vendor_log.c.id)
    with reading(engine) as connection:
        rows = connection.execute(query).all()
    return [Line(at=row.at, who=row.who, what=Act(row.what), facts=json.loads(row.facts)) for row in rows]
