"""The door that only a sandbox has: who can be shown there, and how each visit ends. Everybody is invented."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from marshmallow import Schema, fields, validate

from consent.errors import Outcome, Reason, outcome_of
from consent.holding import STATUSES
from wallet_api.doors.guards import RequiresVendor
from wallet_api.doors.problems import BothLanguages, Door
from wallet_api.doors.says import says
from wallet_api.personas import Persona
from wallet_api.vendors import Caller


class OwnedSchema(Schema):
    """A certificate of this person."""

    province = fields.String(required=True, metadata={"description": "Whose library has it"})
    type = fields.String(required=True, validate=validate.OneOf(["marriage", "divorce"]))
    status = fields.String(required=True, validate=validate.OneOf(sorted(STATUSES)))


class EndSchema(Schema):
    """How a visit ends when a counter asks for this person's certificate and the person agrees."""

    outcome = fields.String(required=True, validate=validate.OneOf(list(Outcome)))
    reason = fields.String(required=True, allow_none=True, metadata={"description": "null: it passes"})


class PersonaSchema(Schema):
    """One invented person. Names are masked as on the pages; `id` is what the sandbox's login wants to know."""

    id = fields.String(required=True, metadata={"example": "zhang-wei"})
    app = fields.String(required=True, metadata={"description": "The app in which this person is signed in"})
    province = fields.String(required=True, metadata={"description": "That app's province"})
    name = fields.String(required=True, metadata={"example": "张*"})
    note = fields.Nested(BothLanguages, required=True)
    certificates = fields.List(fields.Nested(OwnedSchema), required=True)
    ends = fields.Nested(EndSchema, required=True)


class PersonasSchema(Schema):
    """Everybody, of all four apps."""

    personas = fields.List(fields.Nested(PersonaSchema), required=True)


def sandbox_door(personas: Iterable[Persona], vendor: RequiresVendor) -> Door:
    """`personas` are those that this sandbox knows."""
    door = Door("sandbox", __name__, url_prefix="/v1/sandbox", description="In the sandbox only")
    listed = [_persona(each) for each in personas]

    @door.route("/personas")
    @vendor("showings:read")
    @door.response(200, PersonasSchema)
    @door.doc(operationId="listPersonas")
    @says(Reason.STORE_UNAVAILABLE)
    def list_personas(caller: Caller) -> dict[str, Any]:
        """See who can be shown

        Each with certificates and the end of a visit. Sign a login assertion for one of your own app by
        `wallet-api sandbox holder --persona ID`. In live this operation does not exist.
        """
        return {"personas": listed}

    return door


def _persona(persona: Persona) -> dict[str, Any]:
    return {
        "id": persona.id,
        "app": persona.app,
        "province": persona.province,
        "name": persona.name.masked(),
        "note": {"zh": persona.note_zh, "en": persona.note_en},
        "certificates": [
            {"province": each.province, "type": each.type, "status": each.status} for each in persona.certificates
        ],
        "ends": {"outcome": outcome_of(persona.reason).value, "reason": persona.reason},
    }
