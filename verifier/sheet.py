"""The sheet: what the citizen reads before agreeing. Every word comes from the register, none from the caller (A43).

Unit, place and window from the signed scope of the unit's own province; matter, fields, legal basis, retention and what
is *not* given from the dated catalogue. Only the cause is the counter's, and it is shown as such. Where two people have
come for one visit, the sheet says so (`together`): the request commits to the other one.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from consent.clock import rfc3339
from consent.request import Request
from verifier.admit import Permitted


def write_offer(desk: str, may: Permitted, fields: Collection[str]) -> dict[str, Any]:
    """What one unit gets in one matter: the part of a sheet that can be read before anybody has asked.

    `desk` is the unit's province, `fields` the names that are asked for.
    """
    unit, matter = may.unit, may.matter
    return {
        "desk": desk,
        "unit": {"uscc": unit.uscc, "name_zh": unit.name_zh, "name_en": unit.name_en},
        "place_zh": unit.place_zh,
        "place_en": unit.place_en,
        "matter": {"slug": matter.slug, "name_zh": matter.name_zh, "name_en": matter.name_en},
        "type": may.type,
        "fields": [
            {
                "name": field.name,
                "disclosure": field.disclosure,
                "label_zh": field.label_zh,
                "label_en": field.label_en,
            }
            for field in may.fields
            if field.name in fields
        ],
        "not_given": [{"zh": zh, "en": en} for zh, en in matter.never],
        "basis_zh": matter.basis_zh,
        "basis_en": matter.basis_en,
        "clause": matter.clause,
        "retention_zh": matter.retention_zh,
        "retention_en": matter.retention_en,
        "declarations": [
            {"slug": each.slug, "text_zh": each.text_zh, "text_en": each.text_en} for each in matter.declarations
        ],
    }


def write_sheet(
    request: Request, may: Permitted, *, digits: Sequence[str], asked_at: datetime, answer_by: datetime
) -> dict[str, Any]:
    """The sheet as JSON for the phone. Times are RFC 3339; texts come in zh and en."""
    ask = request.ask
    return {
        **write_offer(request.desk, may, ask.fields),
        "request": request.digest,
        "window": ask.window,
        "window_name": may.unit.window(ask.window),
        "cause": ask.cause,
        "together": request.other is not None,
        "digits": list(digits),
        "asked_at": rfc3339(asked_at),
        "answer_by": rfc3339(answer_by),
    }
