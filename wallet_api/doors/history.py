"""The door to the history: who saw my certificate, and what I have against it.

A look is asked for, then read in parts. The login in it must be fresh and is used up, and what comes is that person's
alone, whichever of the four apps was shown.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, Final

from flask import Response, g, request
from marshmallow import Schema, ValidationError, fields, validate
from sqlalchemy import Connection

from consent.clock import Clock
from consent.errors import Reason, Refusal
from wallet_api.doors import schemas
from wallet_api.doors.guards import RequiresVendor
from wallet_api.doors.once import KEY_HEADER, ONCE, OnceOnly
from wallet_api.doors.problems import BothLanguages, Door
from wallet_api.doors.says import BODY, DOCUMENT, says
from wallet_api.history import History, Page
from wallet_api.limits import Limits
from wallet_api.showings import Showings
from wallet_api.vendors import Caller

MOST: Final = 50  # entries in one part
USUAL: Final = 20
TEXT: Final = 500  # characters of an objection
OUTCOMES: Final = ("ASKED", "PASSED", "REFUSED", "DECLINED", "TIMED_OUT", "WITHDRAWN", "UNDETERMINED")
WRONG: Final = (  # A49, and data that are not right
    "UNIT_CANNOT_RETRIEVE",
    "UNIT_CANNOT_VERIFY",
    "CITIZEN_CANNOT_OBTAIN",
    "CITIZEN_CANNOT_SHOW",
    "DATA_WRONG",
)
CURSOR: Final = r"[1-9][0-9]{12,16}\.[1-9][0-9]\.[0-9a-f]{22}"
ENTRY: Final = r"[1-9][0-9]\.[0-9a-f]{22}"

_LOGIN: Final = (*DOCUMENT, Reason.DOCUMENT_REPLAYED, Reason.KEY_NOT_ALLOWED)
_INNER: Final = (Reason.REQUEST_UNKNOWN, Reason.ENVELOPE_UNREADABLE, Reason.STORE_UNAVAILABLE)
_PAGING: Final = [
    {
        "name": "cursor",
        "in": "query",
        "required": False,
        "description": "`next` of the part before",
        "schema": {"type": "string", "pattern": f"^{CURSOR}$"},
    },
    {
        "name": "limit",
        "in": "query",
        "required": False,
        "schema": {"type": "integer", "minimum": 1, "maximum": MOST, "default": USUAL},
    },
]


class LookBody(schemas.HolderBody):
    """A fresh login assertion, and where to go on."""

    earlier = fields.String(
        load_default=None,
        allow_none=True,
        validate=validate.Regexp(f"^{CURSOR}$(?!\\n)"),
        metadata={"description": "`earlier` of the look before; leave it out for the newest", "pattern": f"^{CURSOR}$"},
    )


class LookSchema(Schema):
    """A question to the four provinces."""

    look_id = fields.String(required=True)


class FieldSchema(Schema):
    """A field that was asked for."""

    name = fields.String(required=True)
    label_zh = fields.String(required=True)
    label_en = fields.String(required=True)


class EntrySchema(Schema):
    """One visit. Names are null where a register did not know them; the codes beside them always stand."""

    entry = fields.String(required=True, metadata={"example": "31.0f3a9c1d5e7f8091a2b3c4"})
    province = fields.String(
        required=True, metadata={"description": "Of the app that was shown; of the desk where it was an ID card"}
    )
    way = fields.String(
        required=True,
        validate=validate.OneOf(["app", "card"]),
        metadata={"description": "How the citizen was there: with a phone, or with an ID card alone"},
    )
    desk = fields.String(required=True, metadata={"description": "Province of the unit"})
    unit = fields.String(required=True)
    unit_zh = fields.String(required=True, allow_none=True)
    unit_en = fields.String(required=True, allow_none=True)
    window = fields.String(required=True)
    window_name = fields.String(required=True, allow_none=True)
    matter = fields.String(required=True)
    matter_zh = fields.String(required=True, allow_none=True)
    matter_en = fields.String(required=True, allow_none=True)
    type = fields.String(required=True)
    fields_ = fields.List(
        fields.Nested(FieldSchema),
        required=True,
        data_key="fields",
        metadata={"description": "Asked for, and given where the outcome is PASSED"},
    )
    cause = fields.String(required=True, metadata={"description": "The counter's words"})
    outcome = fields.String(required=True, validate=validate.OneOf(OUTCOMES))
    reason = fields.String(required=True, allow_none=True)
    sentence = fields.Nested(BothLanguages, required=True, allow_none=True)
    request = fields.String(required=True, allow_none=True, metadata={"description": "Digest of the sealed request"})
    receipt = fields.String(required=True, allow_none=True, metadata={"description": "receipt+jwt"})
    receipt_digest = fields.String(required=True, allow_none=True)
    objection = fields.String(required=True, allow_none=True, metadata={"description": "Number of the open objection"})
    second_officer = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "Number of the second officer who confirmed a visit without a phone, where one did"},
    )
    asked_at = fields.String(required=True, metadata={"format": "date-time"})
    ended_at = fields.String(required=True, allow_none=True, metadata={"format": "date-time"})


class PastSchema(Schema):
    """A part of the history, newest first. `silent` names provinces (codes) that did not answer: look again later."""

    look_id = fields.String(required=True)
    state = fields.String(required=True, validate=validate.OneOf(["PENDING", "DONE"]))
    entries = fields.List(fields.Nested(EntrySchema), required=True)
    next = fields.String(required=True, allow_none=True, metadata={"description": "`cursor` of the next part"})
    silent = fields.List(fields.String(), required=True)
    earlier = fields.String(
        required=True, allow_none=True, metadata={"description": "At the last part: where a new look goes on"}
    )


def readable(text: str) -> None:
    """ValidationError for control characters (line ends are none) and for what UTF-8 cannot write."""
    if re.fullmatch(r"[^\x00-\x09\x0b-\x1f\x7f\ud800-\udfff]*", text) is None:
        raise ValidationError("control characters or lone surrogates")


class ObjectionBody(schemas.HolderBody):
    """A fresh login assertion, and what is wrong. The failing step and the digests are attached by themselves."""

    kind = fields.String(required=True, validate=validate.OneOf(WRONG))
    text = fields.String(
        required=True,
        validate=[validate.Length(max=TEXT), readable],
        metadata={"description": "In the citizen's own words; may be empty", "maxLength": TEXT},
    )


class ObjectionTakenSchema(Schema):
    """An objection on its way to the province that has the entry."""

    objection_id = fields.String(required=True)


class ObjectionSchema(Schema):
    """DONE with the number by which people quote it."""

    objection_id = fields.String(required=True)
    state = fields.String(required=True, validate=validate.OneOf(["PENDING", "DONE"]))
    number = fields.String(required=True, allow_none=True, metadata={"example": "31-000017"})


def history_door(
    history: History, showings: Showings, once_only: OnceOnly, limits: Limits, vendor: RequiresVendor, clock: Clock
) -> Door:
    """Looks and objections."""
    door = Door("history", __name__, url_prefix="/v1", description="Who saw my certificate, and objections")

    @door.route("/history/lookups", methods=["POST"])
    @vendor("certificates:read")
    @door.arguments(LookBody)
    @door.response(202, LookSchema, description="The provinces are asked")
    @door.doc(operationId="lookBack", parameters=[KEY_HEADER])
    @says(*BODY, *_LOGIN, *ONCE, Reason.FORBIDDEN, Reason.TOO_MANY, Reason.STORE_UNAVAILABLE)
    def look_back(caller: Caller, body: dict[str, Any]) -> Response:
        """Ask who saw a person's certificates

        All four provinces are asked, because a person may use two apps. Looking stands in their ledgers.
        """

        def prepare() -> Callable[[Connection], str]:
            now = clock.now()
            holder = showings.admit(caller.app, body["holder"], now=now)
            g.limited = limits.opening(holder.app, holder.sub)
            return lambda connection: json.dumps(
                {"look_id": history.look(connection, holder, earlier=body["earlier"], now=now)}
            )

        answer = once_only(caller, 202, prepare)
        history.asked()
        answer.headers["Location"] = f"/v1/history/lookups/{json.loads(answer.get_data())['look_id']}"
        return answer

    @door.route("/history/lookups/<look_id>")
    @vendor("certificates:read")
    @door.response(200, PastSchema)
    @door.doc(operationId="getHistory", parameters=_PAGING)
    @says(Reason.BODY_INVALID, *_INNER, *_LOGIN)
    def get_history(caller: Caller, look_id: str) -> dict[str, Any]:
        """Read the history, part by part"""
        found = history.looked(caller.app, look_id, cursor=request.args.get("cursor"), limit=_limit(), now=clock.now())
        return past_view(look_id, found)

    @door.route("/history/<entry>/objections", methods=["POST"])
    @vendor("showings:write")
    @door.arguments(ObjectionBody)
    @door.response(202, ObjectionTakenSchema, description="On its way; read its number")
    @door.doc(operationId="object", parameters=[KEY_HEADER])
    @says(*BODY, *_LOGIN, *ONCE, Reason.ENTRY_UNKNOWN, Reason.FORBIDDEN, Reason.TOO_MANY, Reason.STORE_UNAVAILABLE)
    def object_to(caller: Caller, body: dict[str, Any], entry: str) -> Response:
        """Object to an entry

        One open objection for each entry. The same again gets the same number.
        """
        if re.fullmatch(ENTRY, entry) is None:
            raise Refusal(Reason.ENTRY_UNKNOWN, detail="not an id of an entry")

        def prepare() -> Callable[[Connection], str]:
            now = clock.now()
            holder = showings.admit(caller.app, body["holder"], now=now)
            g.limited = limits.opening(holder.app, holder.sub)

            def write(connection: Connection) -> str:
                taken = history.object(connection, holder, entry=entry, kind=body["kind"], text=body["text"], now=now)
                return json.dumps({"objection_id": taken})

            return write

        answer = once_only(caller, 202, prepare)
        history.asked()
        answer.headers["Location"] = f"/v1/history/objections/{json.loads(answer.get_data())['objection_id']}"
        return answer

    @door.route("/history/objections/<objection_id>")
    @vendor("showings:read")
    @door.response(200, ObjectionSchema)
    @door.doc(operationId="getObjection")
    @says(
        Reason.BODY_INVALID, Reason.ENTRY_UNKNOWN, Reason.OBJECTION_OPEN, Reason.EXCHANGE_UNREACHABLE, *_INNER, *_LOGIN
    )
    def get_objection(caller: Caller, objection_id: str) -> dict[str, Any]:
        """Read an objection's number"""
        number = history.objected(caller.app, objection_id, now=clock.now())
        return {"objection_id": objection_id, "state": "PENDING" if number is None else "DONE", "number": number}

    return door


def past_view(look_id: str, found: Page | None) -> dict[str, Any]:
    """A part of a look as a `PastSchema`."""
    return {
        "look_id": look_id,
        "state": "PENDING" if found is None else "DONE",
        "entries": [] if found is None else [entry_view(each) for each in found.entries],
        "next": None if found is None else found.next,
        "silent": [] if found is None else list(found.silent),
        "earlier": None if found is None else found.earlier,
    }


def entry_view(entry: Any) -> dict[str, Any]:
    """An entry as an `EntrySchema`."""
    sentence = None
    if entry["reason"] is not None:
        sentence = schemas.told(entry["reason"])["sentence"]
    return {**entry, "fields_": entry["fields"], "sentence": sentence}


def _limit() -> int:
    text = request.args.get("limit", str(USUAL))
    if re.fullmatch(r"[1-9][0-9]?", text) is None or int(text) > MOST:
        raise Refusal(Reason.BODY_INVALID, detail=f"limit is 1 to {MOST}")
    return int(text)
