"""What vendors read: the timeline of a showing, all events of their app, and the log of what was sent to them.

An app sees its own showings, a vendor its own deliveries. Both come from the token and are asked of the database, so
that there is nothing here that another could name.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine

from consent.stores import timeline
from consent.stores.base import reading
from consent.stores.timeline import EventRow
from wallet_api.webhooks import deliveries
from wallet_api.webhooks.deliver import spread
from wallet_api.webhooks.deliveries import Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """The events of one province, for the vendors of one profile."""

    engine: Engine
    profile: str

    def of_showing(self, showing_id: str) -> list[EventRow]:
        """Everything that happened to a showing, oldest first. The caller has asked whose it is."""
        with reading(self.engine) as connection:
            return timeline.of_showing(connection, showing_id)

    def after(self, app: str, number: int, *, limit: int, now: datetime) -> list[EventRow]:
        """An app's events behind a place in the row, oldest first. Nothing that comes later ever gets a lower place."""
        while True:
            with reading(self.engine) as connection:
                found = timeline.after(connection, app, number, limit=limit)
            # A full page needs no more; a year's events that nobody has numbered are not for one reader to number.
            if len(found) == limit or spread(self.engine, now=now, profile=self.profile) == 0:
                return found

    def log(self, client_id: str, *, before: int | None, limit: int) -> list[Entry]:
        """A vendor's deliveries, newest first."""
        with reading(self.engine) as connection:
            return deliveries.log_of(connection, client_id, before=before, limit=limit)
