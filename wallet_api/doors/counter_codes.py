"""The door for phones that read a counter's code."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from flask import Response
from marshmallow import Schema, fields, validate
from sqlalchemy import Connection

from consent.clock import Clock
from consent.errors import Reason
from consent.invitation import LENGTH
from wallet_api.counter_codes import CounterCodes
from wallet_api.doors.guards import RequiresVendor
from wallet_api.doors.once import KEY_HEADER, ONCE, OnceOnly
from wallet_api.doors.problems import Door
from wallet_api.doors.says import BODY, says
from wallet_api.vendors import Caller

_CODE: Final = (
    Reason.CODE_MALFORMED,
    Reason.CODE_EXPIRED,
    Reason.DOCUMENT_MALFORMED,
    Reason.DOCUMENT_WRONG_KIND,
    Reason.DOCUMENT_CLAIMS,
    Reason.DOCUMENT_KEY_UNKNOWN,
    Reason.DOCUMENT_SIGNATURE,
    Reason.DOCUMENT_NOT_YET_VALID,
)
_COUNTER: Final = (
    Reason.CODE_EXPIRED,
    Reason.CODE_ALREADY_USED,
    Reason.HOLDER_MISMATCH,
    Reason.ASKED_TOO_OFTEN,
    Reason.EXCHANGE_UNREACHABLE,
    Reason.DEADLINE,
)


class CounterBody(Schema):
    """What the app's scanner has read off the counter's screen."""

    counter = fields.String(
        required=True, validate=validate.Length(min=1, max=LENGTH), metadata={"example": "YRDC:eyJhbGciOiJFZERTQSIs…"}
    )


class SentSchema(Schema):
    """The phone is on its way."""

    showing_id = fields.String(required=True)
    come_id = fields.String(required=True)


class CameSchema(Schema):
    """Whether the counter has taken it. TAKEN: the request appears in the showing."""

    come_id = fields.String(required=True)
    state = fields.String(required=True, validate=validate.OneOf(["PENDING", "TAKEN"]))


def counter_code_door(codes: CounterCodes, once_only: OnceOnly, vendor: RequiresVendor, clock: Clock) -> Door:
    """Phones that read, instead of being read."""
    door = Door("counter-codes", __name__, url_prefix="/v1", description="The phone reads the counter's code")

    @door.route("/showings/<showing_id>/counter", methods=["POST"])
    @vendor("showings:write")
    @door.arguments(CounterBody)
    @door.response(202, SentSchema, description="On its way to the counter's province")
    @door.doc(operationId="readCounter", parameters=[KEY_HEADER])
    @says(*BODY, *ONCE, *_CODE, Reason.SHOWING_UNKNOWN, Reason.SHOWING_CLOSED, Reason.STORE_UNAVAILABLE)
    def read_counter(caller: Caller, body: dict[str, str], showing_id: str) -> Response:
        """Hand in a counter's code

        Instead of holding out the phone. The first phone that reads a counter's code has the counter; the request then
        appears in the showing, and the digits of the counter's screen are asked for as always.
        """

        def prepare() -> Callable[[Connection], str]:
            now = clock.now()

            def write(connection: Connection) -> str:
                come_id = codes.come(connection, caller.app, showing_id, body["counter"], now=now)
                return json.dumps({"showing_id": showing_id, "come_id": come_id})

            return write

        answer = once_only(caller, 202, prepare)
        codes.sent()
        come_id = json.loads(answer.get_data())["come_id"]
        answer.headers["Location"] = f"/v1/showings/{showing_id}/counter/{come_id}"
        return answer

    @door.route("/showings/<showing_id>/counter/<come_id>")
    @vendor("showings:read")
    @door.response(200, CameSchema)
    @door.doc(operationId="seeCounter")
    @says(Reason.REQUEST_UNKNOWN, *_COUNTER, Reason.STORE_UNAVAILABLE)
    def see_counter(caller: Caller, showing_id: str, come_id: str) -> dict[str, Any]:
        """See whether the counter has taken the phone

        TAKEN is no promise: where the request is refused before it appears, this says why. Look on until it appears.
        """
        taken = codes.came(caller.app, showing_id, come_id, now=clock.now())
        return {"come_id": come_id, "state": "TAKEN" if taken else "PENDING"}

    return door
