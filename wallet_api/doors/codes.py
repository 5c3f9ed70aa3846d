"""The door for the typed twin of a code: twelve digits, for as long as no camera can read the screen.

The answer is kept for retries like that of every POST with an Idempotency-Key, but closed: in the store that keeps it,
nobody can read a number that works at a counter.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from flask import Response, request
from marshmallow import Schema, fields
from sqlalchemy import Connection

from consent.clock import Clock, rfc3339
from consent.errors import Reason
from consent.twin import spaced
from wallet_api.doors.frame import takes
from wallet_api.doors.guards import RequiresVendor
from wallet_api.doors.once import KEY_HEADER, ONCE, OnceOnly
from wallet_api.doors.problems import Door
from wallet_api.doors.says import says
from wallet_api.showings import TWIN_LIFE, Showings
from wallet_api.skew import HEADER, read_client_time, skew_seconds
from wallet_api.vendors import Caller

CLIENT_TIME: dict[str, Any] = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "description": "The phone's own time (RFC 3339), not your server's; the answer then says how far off it is",
    "schema": {"type": "string", "format": "date-time"},
}


class TwinSchema(Schema):
    """A typed twin. It dies at `expires_at`, when another is asked for, and when a counter has used it."""

    twin = fields.String(required=True, metadata={"description": "Twelve digits", "example": "112345678904"})
    spaced = fields.String(required=True, metadata={"description": "The same in groups of four, for people"})
    expires_at = fields.String(required=True, metadata={"format": "date-time"})
    expires_in = fields.Integer(required=True, metadata={"description": "Whole seconds from when it was made"})
    clock_skew_seconds = fields.Integer(required=True, allow_none=True)


def codes_door(showings: Showings, once_only: OnceOnly, vendor: RequiresVendor, clock: Clock) -> Door:
    """Typed twins."""
    door = Door("codes", __name__, url_prefix="/v1", description="When no camera can read the code")

    @door.route("/showings/<showing_id>/twin", methods=["POST"])
    @vendor("showings:write")
    @takes(None)  # no body
    @door.response(201, TwinSchema, description="The showing's one twin; an earlier one is dead")
    @door.doc(operationId="makeTwin", parameters=[KEY_HEADER, CLIENT_TIME])
    @says(
        *ONCE,
        Reason.BODY_INVALID,
        Reason.SHOWING_UNKNOWN,
        Reason.SHOWING_CLOSED,
        Reason.CODE_EXPIRED,
        Reason.TOO_LARGE,
        Reason.STORE_UNAVAILABLE,
    )
    def make_twin(caller: Caller, showing_id: str) -> Response:
        """Make a number that the counter can type

        Offer it only when the citizen asks for it. It lives for 60 seconds; make another when it is over. With it the
        counter always checks the person, and the citizen always taps the two digits.
        """
        about = f"{caller.client_id} {showing_id}"

        def prepare() -> Callable[[Connection], str]:
            now = clock.now()
            skew = skew_seconds(read_client_time(request.headers.get(HEADER)), now=now)
            showing = showings.shown(caller.app, showing_id, now=now)

            def write(connection: Connection) -> str:
                made = showings.make_twin(connection, showing.showing_id, now=now)
                said = {
                    "twin": made,
                    "spaced": spaced(made),
                    "expires_at": rfc3339(now + TWIN_LIFE),
                    "expires_in": int(TWIN_LIFE.total_seconds()),
                    "clock_skew_seconds": skew,
                }
                return json.dumps({"closed": showings.names.close(json.dumps(said), about=about)})

            return write

        answer = once_only(caller, 201, prepare)
        closed = json.loads(answer.get_data())["closed"]
        answer.set_data(showings.names.open(closed, about=about))
        return answer

    return door
