"""What goes over the wire at the counters' door: the presentation taken, the visit and the register given.

Field names are public and only ever added to. Times are RFC 3339 in UTC. Texts for people come in Chinese and English.
"""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields, validate

from consent.attest import ATTEST
from consent.card import CARD, PAD
from consent.clock import rfc3339
from consent.errors import Outcome, row
from consent.request import CERTIFICATE_TYPES
from consent.sentences import Audience, Lang, next_step, sentences
from consent.states import VISIT
from consent.transport import LETTER_LENGTH, Topic
from verifier.desk import Register, Visit
from verifier.matters.catalogue import Matter


def _text(most: int, **more: Any) -> fields.String:
    return fields.String(required=True, validate=validate.Length(min=1, max=most), metadata=more)


class CaseBody(Schema):
    """What the officer asks for."""

    request_id = fields.String(
        required=True,
        # The length too, because $ also matches before a line's end.
        validate=[validate.Length(equal=22), validate.Regexp(r"^[A-Za-z0-9_-]{21}[AQgw]$")],
        metadata={
            "description": "128 random bits, base64url; the same for a retry",
            "example": "AAAAAAAAAAAAAAAAAAAAAA",
        },
    )
    matter = _text(64, example="realestate.register")
    case_number = _text(64)
    type = fields.String(required=True, validate=validate.OneOf(CERTIFICATE_TYPES))
    cause = _text(200)
    preconditions = fields.List(
        fields.String(validate=validate.Length(max=64)), required=True, validate=validate.Length(max=8)
    )


class InvitationBody(CaseBody):
    """The same before any code. `match`: envelope to the desk with the ID number of who stands there, or null."""

    match = fields.String(required=True, allow_none=True, validate=validate.Length(max=4000))


class TogetherBody(Schema):
    """Two people for one visit: the couple's name, the same for both, and an envelope with the other's ID number."""

    couple = fields.String(
        required=True,
        validate=[validate.Length(equal=22), validate.Regexp(r"^[A-Za-z0-9_-]{21}[AQgw]$")],
        metadata={"example": "AAAAAAAAAAAAAAAAAAAAAA"},
    )
    other = _text(4000)


class PresentationBody(InvitationBody):
    """The same with the code that was scanned."""

    together = fields.Nested(TogetherBody, load_default=None, allow_none=True)

    code = _text(600, example="YRD1:…")


class CardBody(CaseBody):
    """What the officer asks for, and the reader's word about who stands here."""

    card = _text(CARD.max_length, example="eyJhbGciOiJFUzI1NiIs…")


class PadBody(Schema):
    """What the pad or the person-ID matcher signed, and a second officer's staff card (`attest+jwt`)."""

    pad = _text(PAD.max_length, example="eyJhbGciOiJFUzI1NiIs…")
    officer = fields.String(
        load_default=None,
        allow_none=True,
        validate=validate.Length(min=1, max=ATTEST.max_length),
        metadata={"description": "Where the sheet says `second_officer`; null otherwise"},
    )


class SheetView(Schema):
    """What the person at the counter reads, in the register's words. `second_officer` is true where the answer wants a second
    officer's word beside it."""

    sheet = fields.Dict(required=True)


class InvitationView(Schema):
    """A code for the counter's own screen. Draw `counter` as a QR symbol; the phone's app reads it."""

    request_id = fields.String(required=True)
    counter = fields.String(required=True, metadata={"example": "YRDC:eyJhbGciOiJFZERTQSIs…"})
    expires_at = fields.String(required=True, metadata={"format": "date-time"})


class FieldView(Schema):
    """One disclosed field."""

    name = fields.String(required=True)
    disclosure = fields.String(required=True)
    value = fields.String(required=True)
    label_zh = fields.String(required=True)
    label_en = fields.String(required=True)


class CopyView(Schema):
    """The annotated copy (加注件) as it may be shown at this counter."""

    type = fields.String(required=True)
    status = fields.String(required=True)
    status_as_of = fields.String(required=True)
    library = fields.String(required=True)
    authority = fields.String(required=True)
    cause = fields.String(required=True)
    expires = fields.String(required=True)
    fields_ = fields.List(fields.Nested(FieldView), required=True, data_key="fields")


class VisitView(Schema):
    """One presentation as the counter sees it. `version` rises with every change and is the ETag."""

    request_id = fields.String(required=True)
    state = fields.String(required=True, validate=validate.OneOf(VISIT.states))
    version = fields.Integer(required=True)
    digits = fields.String(required=True, metadata={"description": "Show them large; the citizen taps the same"})
    outcome = fields.String(required=True, allow_none=True, validate=validate.OneOf([*Outcome]))
    reason = fields.String(required=True, allow_none=True)
    sentence_zh = fields.String(required=True)
    sentence_en = fields.String(required=True)
    next_zh = fields.String(required=True)
    next_en = fields.String(required=True)
    clause = fields.String(required=True)
    holder_province = fields.String(required=True)
    library = fields.String(required=True, allow_none=True)
    matter = fields.String(required=True)
    copy = fields.Nested(CopyView, required=True, allow_none=True)
    receipt = fields.String(required=True, allow_none=True)
    officer = fields.String(required=True)
    asked_at = fields.String(required=True)
    answer_by = fields.String(required=True)


class PreconditionView(Schema):
    """What the officer must tick."""

    slug = fields.String(required=True)
    text_zh = fields.String(required=True)
    text_en = fields.String(required=True)
    clause = fields.String(required=True)


class MatterView(Schema):
    """A matter that this window may handle today."""

    slug = fields.String(required=True)
    name_zh = fields.String(required=True)
    name_en = fields.String(required=True)
    types = fields.List(fields.String(), required=True)
    fields_ = fields.List(fields.Dict(), required=True, data_key="fields")
    preconditions = fields.List(fields.Nested(PreconditionView), required=True)
    holder_match = fields.Boolean(required=True)
    methods = fields.List(fields.String(), required=True)
    couple = fields.Boolean(required=True, metadata={"description": "Two people of one registration may come together"})
    second_officer = fields.Boolean(
        required=True, metadata={"description": "Without a phone, a second officer's staff card signs too"}
    )
    basis_zh = fields.String(required=True)
    basis_en = fields.String(required=True)
    clause = fields.String(required=True)


class UnitView(Schema):
    """The using unit."""

    uscc = fields.String(required=True)
    name_zh = fields.String(required=True)
    name_en = fields.String(required=True)
    place_zh = fields.String(required=True)
    place_en = fields.String(required=True)
    kind = fields.String(required=True)


class RegisterView(Schema):
    """This window, its unit, and what it may ask for today."""

    province = fields.String(required=True)
    window = fields.String(required=True)
    window_name = fields.String(required=True)
    unit = fields.Nested(UnitView, required=True)
    matters = fields.List(fields.Nested(MatterView), required=True)


class LetterBody(Schema):
    """A letter between provinces; its content is enveloped to the destination."""

    sender = _text(2)
    to = _text(2)
    topic = fields.String(required=True, validate=validate.OneOf([*Topic]))
    unit = fields.String(required=True, allow_none=True)
    matter = fields.String(required=True, allow_none=True)
    request_id = _text(22)
    body = _text(LETTER_LENGTH)


class TakenView(Schema):
    """The letter is in the destination's database."""

    taken = fields.Boolean(required=True)


def visit_view(visit: Visit, matter: Matter) -> dict[str, Any]:
    """A visit as a `VisitView`. `matter` gives the labels of the fields."""
    return {
        "request_id": visit.request_id,
        "state": visit.state,
        "version": visit.version,
        "digits": visit.digits,
        "outcome": visit.outcome,
        "reason": visit.reason,
        **_told(visit),
        "holder_province": visit.holder_province,
        "library": visit.library,
        "matter": visit.matter,
        "copy": _copy(visit, matter),
        "receipt": visit.receipt,
        "officer": visit.officer,
        "asked_at": rfc3339(visit.asked_at),
        "answer_by": rfc3339(visit.answer_by),
    }


def _told(visit: Visit) -> dict[str, Any]:
    if visit.reason is None:
        return {"sentence_zh": "", "sentence_en": "", "next_zh": "", "next_en": "", "clause": ""}
    texts = {
        f"{name}_{suffix}": say(visit.reason, lang, Audience.COUNTER, **visit.facts)
        for name, say in (("sentence", sentences), ("next", next_step))
        for suffix, lang in (("zh", Lang.ZH_CN), ("en", Lang.EN))
    }
    return {**texts, "clause": row(visit.reason).clause}


def _copy(visit: Visit, matter: Matter) -> dict[str, Any] | None:
    if visit.copy is None:
        return None
    labels = {field.name: {"label_zh": field.label_zh, "label_en": field.label_en} for field in matter.fields}
    body = visit.copy
    return {
        "type": body.type,
        "status": body.status,
        "status_as_of": body.status_as_of,
        "library": body.library,
        "authority": body.authority,
        "cause": body.cause,
        "expires": body.expires,
        "fields_": [
            {"name": each.name, "disclosure": each.disclosure, "value": each.value, **labels[each.name]}
            for each in body.fields
        ],
    }


def register_view(register: Register, province: str) -> dict[str, Any]:
    """A register as a `RegisterView`."""
    unit = register.unit
    return {
        "province": province,
        "window": register.window,
        "window_name": register.window_name,
        "unit": {
            "uscc": unit.uscc,
            "name_zh": unit.name_zh,
            "name_en": unit.name_en,
            "place_zh": unit.place_zh,
            "place_en": unit.place_en,
            "kind": unit.kind,
        },
        "matters": [
            {**_matter(matter, types), "second_officer": matter.slug in register.second_officer}
            for matter, types in register.matters
        ],
    }


def _matter(matter: Matter, types: tuple[str, ...]) -> dict[str, Any]:
    return {
        "slug": matter.slug,
        "name_zh": matter.name_zh,
        "name_en": matter.name_en,
        "types": list(types),
        "fields_": [
            {"name": field.name, "disclosure": field.disclosure, "label_zh": field.label_zh, "label_en": field.label_en}
            for field in matter.fields
        ],
        "preconditions": [
            {"slug": each.slug, "text_zh": each.text_zh, "text_en": each.text_en, "clause": each.clause}
            for each in matter.preconditions
        ],
        "holder_match": matter.holder_match,
        "methods": list(matter.methods),
        "couple": matter.couple,
        "basis_zh": matter.basis_zh,
        "basis_en": matter.basis_en,
        "clause": matter.clause,
    }
