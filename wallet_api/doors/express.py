"""The door for answers given before the scan (express): offers as the register words them, standing answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from flask import Response
from marshmallow import Schema, fields, validate
from sqlalchemy import Connection

from consent.clock import Clock
from consent.errors import Reason
from consent.provinces import provinces
from consent.request import CERTIFICATE_TYPES
from consent.standing import STANDING
from wallet_api.doors import schemas
from wallet_api.doors.guards import RequiresVendor
from wallet_api.doors.once import KEY_HEADER, ONCE, OnceOnly
from wallet_api.doors.problems import Door
from wallet_api.doors.says import BODY, DOCUMENT, says
from wallet_api.express import Express
from wallet_api.showings import Showings
from wallet_api.vendors import Caller

_REGISTER: Final = (
    Reason.UNIT_UNKNOWN,
    Reason.WINDOW_UNKNOWN,
    Reason.SCOPE_NOT_LISTED,
    Reason.COMMERCIAL_USER,
    Reason.MATTER_UNKNOWN,
    Reason.PHASE_NOT_BEGUN,
    Reason.CERTIFICATE_TYPE_NOT_ALLOWED,
    Reason.APPROVAL_METHOD_NOT_ALLOWED,
)


class OfferBody(Schema):
    """Which offer. Leave unit, matter and type out together for the list of a province's units."""

    desk = fields.String(
        required=True, validate=validate.OneOf(list(provinces())), metadata={"description": "Province of the unit"}
    )
    unit = fields.String(load_default=None, allow_none=True, validate=validate.Length(equal=18))
    matter = fields.String(load_default=None, allow_none=True, validate=validate.Length(min=1, max=64))
    type = fields.String(load_default=None, allow_none=True, validate=validate.OneOf(CERTIFICATE_TYPES))


class StandingBody(Schema):
    """What the device key signed over the offer."""

    standing = fields.String(
        required=True,
        validate=validate.Length(min=1, max=STANDING.max_length),
        metadata={"description": "A standing+jwt in compact form", "example": "eyJhbGciOiJFUzI1NiIs…"},
    )


class AskedSchema(Schema):
    """A question to the register."""

    offer_id = fields.String(required=True)


class OfferedSchema(Schema):
    """Its answer. PENDING for a moment; then `units`, or `offer` with the digest to sign."""

    offer_id = fields.String(required=True)
    state = fields.String(required=True, validate=validate.OneOf(["PENDING", "DONE"]))
    units = fields.List(fields.Dict(), required=True, allow_none=True)
    offer = fields.Dict(
        required=True, allow_none=True, metadata={"description": "Every word is the register's; show all of it"}
    )
    digest = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "SHA-256 of the offer as canonical JSON, base64url; compute it yourself and compare"},
    )


def express_door(
    express: Express, showings: Showings, once_only: OnceOnly, vendor: RequiresVendor, clock: Clock
) -> Door:
    """Offers and standing answers."""
    door = Door("express", __name__, url_prefix="/v1", description="Agree before the scan, to one unit in one matter")

    @door.route("/offers", methods=["POST"])
    @vendor("showings:write")
    @door.arguments(OfferBody)
    @door.response(202, AskedSchema, description="The register is asked")
    @door.doc(operationId="askOffer", parameters=[KEY_HEADER])
    @says(*BODY, *ONCE, Reason.TOO_MANY, Reason.STORE_UNAVAILABLE)
    def ask_offer(caller: Caller, body: dict[str, str | None]) -> Response:
        """Ask what a unit may ask for

        The units of a province that take an answer before the scan, or the words that a citizen reads before giving one.
        """

        def prepare() -> Callable[[Connection], str]:
            now = clock.now()
            return lambda connection: json.dumps({"offer_id": express.ask(connection, caller.app, body, now=now)})

        answer = once_only(caller, 202, prepare)
        express.asked()
        answer.headers["Location"] = f"/v1/offers/{json.loads(answer.get_data())['offer_id']}"
        return answer

    @door.route("/offers/<offer_id>")
    @vendor("showings:read")
    @door.response(200, OfferedSchema)
    @door.doc(operationId="getOffer")
    @says(Reason.REQUEST_UNKNOWN, Reason.BODY_INVALID, *_REGISTER, Reason.STORE_UNAVAILABLE)
    def get_offer(caller: Caller, offer_id: str) -> dict[str, Any]:
        """Read the offer"""
        found = express.offered(caller.app, offer_id, now=clock.now())
        return {
            "offer_id": offer_id,
            "state": "PENDING" if found is None else "DONE",
            "units": (found or {}).get("units"),
            "offer": (found or {}).get("offer"),
            "digest": (found or {}).get("digest"),
        }

    @door.route("/showings/<showing_id>/standing", methods=["PUT"])
    @vendor("showings:write")
    @door.arguments(StandingBody)
    @door.response(
        202, schemas.TakenSchema, description="Kept until a counter asks, the showing ends or its time is over"
    )
    @door.doc(operationId="standForRequest")
    @says(
        *BODY,
        *DOCUMENT,
        Reason.SHOWING_UNKNOWN,
        Reason.APPROVAL_MISMATCH,
        Reason.STATE_FORBIDS,
        Reason.STORE_UNAVAILABLE,
    )
    def stand_for_request(caller: Caller, body: dict[str, str], showing_id: str) -> dict[str, str]:
        """Agree before the scan

        Signed by the device key of the showing. If the counter asks for exactly what was offered, the consent is given at
        once; for anything else the citizen reads the sheet as always.
        """
        now = clock.now()
        showing = showings.state(caller.app, showing_id, now=now)
        return {"showing_id": showing_id, "document": express.stand(showing, body["standing"], now=now)}

    @door.route("/showings/<showing_id>/standing", methods=["DELETE"])
    @vendor("showings:write")
    @door.response(204, description="Nothing stands any more")
    @door.doc(operationId="takeBackStanding")
    @says(Reason.SHOWING_UNKNOWN, Reason.STATE_FORBIDS, Reason.STORE_UNAVAILABLE)
    def take_back_standing(caller: Caller, showing_id: str) -> Response:
        """Take the answer back, before any counter has asked"""
        express.take_back(showings.state(caller.app, showing_id, now=clock.now()))
        return Response(status=204)

    return door
