"""What goes over the wire: the bodies taken and given, and how a row becomes one.

Field names are public and only ever added to. Times are RFC 3339 in UTC, durations whole seconds. Texts for
people come in Chinese and English, side by side.
"""

from __future__ import annotations

import json
from typing import Any, Final

from marshmallow import Schema, fields, validate

from consent.approval import APPROVAL
from consent.clock import rfc3339
from consent.errors import Reason
from consent.sentences import Audience, Lang, next_step, sentences
from consent.showing import HOLDER
from consent.states import SHOWING
from consent.stores.handover import ShowingRow
from wallet_api.doors.problems import BothLanguages
from wallet_api.showings import Found, Shown

STATES: Final = SHOWING.states


def _document(kind: str, most: int) -> fields.String:
    return fields.String(
        required=True,
        validate=validate.Length(min=1, max=most),
        metadata={"description": f"A {kind} in compact form", "example": "eyJhbGciOiJFUzI1NiIs…"},
    )


def _time(**more: Any) -> fields.String:
    return fields.String(required=True, metadata={"format": "date-time", **more})


class HolderBody(Schema):
    """The login assertion of a person, sealed by the app."""

    holder = _document("holder+jwt", HOLDER.max_length)


class ApprovalBody(Schema):
    """What the device key signed."""

    approval = _document("approval+jwt", APPROVAL.max_length)


class ResultSchema(Schema):
    """How a visit ended for the citizen."""

    outcome = fields.String(required=True, validate=validate.OneOf(["PASSED", "REFUSED", "UNDETERMINED"]))
    reason = fields.String(required=True, allow_none=True)
    receipt = fields.String(required=True, allow_none=True, metadata={"description": "receipt+jwt"})
    given = fields.List(fields.String(), required=True, metadata={"description": "Names of the fields given"})
    ended_at = _time()


class ShowingSchema(Schema):
    """A showing as the phone sees it. `version` rises with every change and is the ETag."""

    showing_id = fields.String(required=True, metadata={"example": "6f1b0a9c3d5e7f8091a2b3c4"})
    state = fields.String(required=True, validate=validate.OneOf(STATES))
    version = fields.Integer(required=True)
    opened_at = _time()
    expires_at = _time(description="After this the code is shown no more")
    changed_at = _time()
    asked = fields.Boolean(required=True, metadata={"description": "A counter has asked; read the request"})
    reason = fields.String(required=True, allow_none=True)
    sentence = fields.Nested(BothLanguages, required=True, allow_none=True)
    next = fields.Nested(BothLanguages, required=True, allow_none=True)
    result = fields.Nested(ResultSchema, required=True, allow_none=True)


_SKEW: Final = {"description": "Seconds that Client-Time is ahead of us, negative when it is slow; null without it"}


class OpenedSchema(ShowingSchema):
    """A showing that was just opened."""

    clock_skew_seconds = fields.Integer(required=True, allow_none=True, metadata=_SKEW)


class CodeSchema(Schema):
    """The code of this slice. Draw `code` as a QR symbol, level M, four white modules around it."""

    code = fields.String(required=True, metadata={"example": "YRD1:…"})
    server_time = _time()
    issued_at = _time()
    expires_at = _time()
    refresh_in = fields.Integer(required=True, metadata={"description": "Seconds; ask again then"})
    clock_skew_seconds = fields.Integer(required=True, allow_none=True, metadata=_SKEW)


class CertificateSchema(Schema):
    """One certificate as its holder sees it in a list; the number is masked."""

    certificate = fields.String(required=True, metadata={"description": "The handle to put into the approval"})
    type = fields.String(required=True)
    number = fields.String(required=True)
    authority = fields.String(required=True)
    registration_date = fields.String(required=True)
    status = fields.String(required=True)
    status_as_of = fields.String(required=True)


class HoldingsSchema(Schema):
    """Where a holder's certificates are. `silent` names libraries (province codes) that did not answer."""

    certificates = fields.List(fields.Nested(CertificateSchema), required=True)
    undigitised = fields.Boolean(required=True)
    silent = fields.List(fields.String(), required=True)


class SheetSchema(Schema):
    """What the citizen reads before answering. Show every part of it, in this order."""

    showing_id = fields.String(required=True)
    version = fields.Integer(required=True)
    sheet = fields.Dict(
        required=True,
        metadata={
            "description": (
                "Written by the inner network; every word is the register's. `together`: two people are asked, each on the "
                "own phone, and nothing is fetched before both have agreed"
            )
        },
    )
    holdings = fields.Nested(
        HoldingsSchema, required=True, allow_none=True, metadata={"description": "null: still looking"}
    )


class TakenSchema(Schema):
    """The document was taken. What becomes of it is seen in the showing."""

    showing_id = fields.String(required=True)
    document = fields.String(required=True, metadata={"description": "Digest of what was taken"})


class ReceiptSchema(Schema):
    """The citizen's receipt. It can be checked with public keys alone and holds no personal data."""

    receipt = fields.String(required=True, metadata={"description": "receipt+jwt"})


class LookupSchema(Schema):
    """A question to the four libraries."""

    lookup_id = fields.String(required=True)


class FoundSchema(Schema):
    """Its answer. PENDING while libraries are asked, a few seconds at most."""

    lookup_id = fields.String(required=True)
    state = fields.String(required=True, validate=validate.OneOf(["PENDING", "DONE"]))
    holdings = fields.Nested(HoldingsSchema, required=True, allow_none=True)


def showing_view(showing: ShowingRow) -> dict[str, Any]:
    """A row as a `ShowingSchema`."""
    return {
        "showing_id": showing.showing_id,
        "state": showing.state,
        "version": showing.version,
        "opened_at": rfc3339(showing.opened_at),
        "expires_at": rfc3339(showing.expires_at),
        "changed_at": rfc3339(showing.changed_at),
        "asked": showing.sheet is not None,
        "reason": showing.reason,
        **told(showing.reason),
        "result": None if showing.result is None else json.loads(showing.result),
    }


def told(reason: str | None) -> dict[str, Any]:
    """`sentence` and `next` of a reason for the citizen, in both languages; nulls for none."""
    if reason is None:
        return {"sentence": None, "next": None}
    why, reader = Reason(reason), Audience.CITIZEN
    return {
        "sentence": {"zh": sentences(why, Lang.ZH_CN, reader), "en": sentences(why, Lang.EN, reader)},
        "next": {"zh": next_step(why, Lang.ZH_CN, reader), "en": next_step(why, Lang.EN, reader)},
    }


def code_view(shown: Shown, server_time: str, skew: int | None = None) -> dict[str, Any]:
    """A code as a `CodeSchema`."""
    return {
        "code": shown.text,
        "server_time": server_time,
        "issued_at": rfc3339(shown.issued_at),
        "expires_at": rfc3339(shown.expires_at),
        "refresh_in": shown.refresh_in,
        "clock_skew_seconds": skew,
    }


def sheet_view(showing: ShowingRow) -> dict[str, Any]:
    """A row as a `SheetSchema`."""
    return {
        "showing_id": showing.showing_id,
        "version": showing.version,
        "sheet": json.loads(showing.sheet or "{}"),
        "holdings": None if showing.holdings is None else json.loads(showing.holdings),
    }


def found_view(lookup_id: str, found: Found) -> dict[str, Any]:
    """A lookup's answer as a `FoundSchema`."""
    return {
        "lookup_id": lookup_id,
        "state": "PENDING" if found.holdings is None else "DONE",
        "holdings": found.holdings,
    }
