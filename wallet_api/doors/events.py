"""The door for what has happened: the timeline of a showing, the feed of an app, the deliveries of a vendor.

Pages hang together by cursors (`paging`).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from flask import Response
from marshmallow import Schema, fields, validate
from sqlalchemy import Connection

from consent.clock import Clock, rfc3339
from consent.errors import Reason
from consent.sentences import Audience, Lang, sentences
from consent.stores.timeline import EventRow
from wallet_api.doors.frame import takes
from wallet_api.doors.guards import RequiresVendor
from wallet_api.doors.once import KEY_HEADER, ONCE, OnceOnly
from wallet_api.doors.paging import Cursor, cursor, limit
from wallet_api.doors.problems import BothLanguages, Door
from wallet_api.doors.says import says
from wallet_api.showings import Showings
from wallet_api.vendors import Caller
from wallet_api.webhooks import deliveries
from wallet_api.webhooks.deliveries import Entry, State
from wallet_api.webhooks.events import TYPES, event_id
from wallet_api.webhooks.feed import Feed
from wallet_api.webhooks.sending import Failure

_EVENTS: Final = b"e"
_DELIVERIES: Final = b"d"


class EventsQuery(Schema):
    """Where to read on."""

    after = Cursor(_EVENTS, metadata={"description": "`next` of the page before; left out: from the beginning"})
    limit = limit()


class DeliveriesQuery(Schema):
    """Where to read on."""

    after = Cursor(_DELIVERIES, metadata={"description": "`next` of the page before; left out: from the newest"})
    limit = limit()


class EventSchema(Schema):
    """A showing came to a state. The same state again means that its result was added."""

    id = fields.String(required=True, metadata={"example": "6f1b0a9c3d5e7f8091a2b3c4.2"})
    type = fields.String(required=True, validate=validate.OneOf(sorted(TYPES.values())))
    showing_id = fields.String(required=True)
    version = fields.Integer(required=True, metadata={"description": "The showing's, after the change"})
    state = fields.String(required=True, validate=validate.OneOf(list(TYPES)))
    at = fields.String(required=True, metadata={"format": "date-time"})
    reason = fields.String(required=True, allow_none=True)
    sentence = fields.Nested(
        BothLanguages,
        required=True,
        allow_none=True,
        metadata={"description": "The reason, for you and not for people"},
    )


class TimelineSchema(Schema):
    """What happened to one showing, oldest first."""

    events = fields.List(fields.Nested(EventSchema), required=True)


class EventsSchema(Schema):
    """A page of events, oldest first. Keep `next`, even of an empty page, and ask with it later."""

    events = fields.List(fields.Nested(EventSchema), required=True)
    next = fields.String(required=True)
    more = fields.Boolean(required=True, metadata={"description": "There is more already; ask at once"})


class AttemptSchema(Schema):
    """One try. `status` is null where nobody answered, `failure` where it was accepted."""

    attempt = fields.Integer(required=True)
    at = fields.String(required=True, metadata={"format": "date-time"})
    status = fields.Integer(required=True, allow_none=True)
    failure = fields.String(required=True, allow_none=True, validate=validate.OneOf([None, *Failure]))


class DeliverySchema(Schema):
    """One event on its way to one of your endpoints. `id` is the `webhook-id` of every try."""

    id = fields.String(required=True, metadata={"example": "msg_9xK2mVb7Qw3nRt5yLp0aZg"})
    event_id = fields.String(required=True)
    type = fields.String(required=True, validate=validate.OneOf(sorted(TYPES.values())))
    url = fields.String(required=True)
    state = fields.String(required=True, validate=validate.OneOf(list(State)))
    attempts = fields.List(fields.Nested(AttemptSchema), required=True)
    next_try_at = fields.String(required=True, allow_none=True, metadata={"format": "date-time"})


class DeliveriesSchema(Schema):
    """A page of deliveries, newest first. `next` is null on the last one."""

    deliveries = fields.List(fields.Nested(DeliverySchema), required=True)
    next = fields.String(required=True, allow_none=True)


def events_door(showings: Showings, feed: Feed, once_only: OnceOnly, vendor: RequiresVendor, clock: Clock) -> Door:
    """Events and webhooks."""
    door = Door("events", __name__, url_prefix="/v1", description="What has happened, to read and as it was sent")

    @door.route("/showings/<showing_id>/events")
    @vendor("showings:read")
    @door.response(200, TimelineSchema)
    @door.doc(operationId="getTimeline")
    @says(Reason.SHOWING_UNKNOWN, Reason.STORE_UNAVAILABLE)
    def get_timeline(caller: Caller, showing_id: str) -> dict[str, Any]:
        """See what happened to a showing

        Its whole life with the reasons, without any personal data: for your support and your logs.
        """
        showing = showings.state(caller.app, showing_id, now=clock.now())
        return {"events": [_event(each) for each in feed.of_showing(showing.showing_id)]}

    @door.route("/events")
    @vendor("showings:read")
    @door.arguments(EventsQuery, location="query")
    @door.response(200, EventsSchema)
    @door.doc(operationId="listEvents")
    @says(Reason.BODY_INVALID, Reason.STORE_UNAVAILABLE)
    def list_events(caller: Caller, query: dict[str, Any]) -> dict[str, Any]:
        """Read all events of your app

        Goes on from where you stopped, however long ago; nothing is left out. Webhooks bring the same events sooner.
        """
        start, most = query.get("after"), query["limit"]
        found = feed.after(caller.app, start or 0, limit=most + 1, now=clock.now())
        page = found[:most]
        last = page[-1].number if page else start
        return {
            "events": [_event(each) for each in page],
            "next": cursor(_EVENTS, last or 0),
            "more": len(found) > most,
        }

    @door.route("/webhooks/deliveries")
    @vendor("webhooks")
    @door.arguments(DeliveriesQuery, location="query")
    @door.response(200, DeliveriesSchema)
    @door.doc(operationId="listDeliveries")
    @says(Reason.BODY_INVALID, Reason.STORE_UNAVAILABLE)
    def list_deliveries(caller: Caller, query: dict[str, Any]) -> dict[str, Any]:
        """See what was sent to your endpoints

        Every try with its status or failure, and when the next one is due. Kept for 30 days after the end.
        """
        most = query["limit"]
        found = feed.log(caller.client_id, before=query.get("after"), limit=most + 1)
        page = found[:most]
        return {
            "deliveries": [_delivery(each) for each in page],
            "next": cursor(_DELIVERIES, page[-1].number) if len(found) > most else None,
        }

    @door.route("/webhooks/deliveries/<delivery_id>/resend", methods=["POST"])
    @vendor("webhooks")
    @takes(None)  # no body
    @door.response(202, DeliverySchema, description="It is due now, whatever became of it before")
    @door.doc(operationId="resendDelivery", parameters=[KEY_HEADER])
    @says(*ONCE, Reason.DELIVERY_UNKNOWN, Reason.STATE_FORBIDS, Reason.TOO_LARGE, Reason.STORE_UNAVAILABLE)
    def resend_delivery(caller: Caller, delivery_id: str) -> Response:
        """Send an event again

        Begins a new round of tries under the same `webhook-id`: a receiver that has it already knows it again.
        """

        def prepare() -> Callable[[Connection], str]:
            def write(connection: Connection) -> str:
                again = deliveries.resend(connection, caller.client_id, delivery_id, now=clock.now())
                return json.dumps(DeliverySchema().dump(_delivery(again)))

            return write

        return once_only(caller, 202, prepare)

    return door


def _event(row: EventRow) -> dict[str, Any]:
    return {
        "id": event_id(row.showing_id, row.version),
        "type": TYPES[row.state],
        "showing_id": row.showing_id,
        "version": row.version,
        "state": row.state,
        "at": rfc3339(row.at),
        "reason": row.reason,
        "sentence": None if row.reason is None else _sentence(Reason(row.reason)),
    }


def _sentence(reason: Reason) -> dict[str, str]:
    return {
        "zh": sentences(reason, Lang.ZH_CN, Audience.VENDOR),
        "en": sentences(reason, Lang.EN, Audience.VENDOR),
    }


def _delivery(entry: Entry) -> dict[str, Any]:
    return {
        "id": entry.delivery_id,
        "event_id": event_id(entry.showing_id, entry.version),
        "type": TYPES[entry.showing_state],
        "url": entry.url,
        "state": entry.state,
        "attempts": [
            {"attempt": each.attempt, "at": rfc3339(each.at), "status": each.status, "failure": each.failure}
            for each in entry.attempts
        ],
        "next_try_at": None if entry.next_try_at is None else rfc3339(entry.next_try_at),
    }
