"""The rules, without any IO: may this be asked, and may that be shown. Used by desk, citizen's province and library alike.

`permitted` judges what a counter asks, from the desk's own province's signed scope, the dated catalogue and nothing else:
 1. unit      registered in its own province's scope, and not a commercial user (A23)
 2. window    one of that unit's
 3. matter    in force on that day (PHASE_NOT_BEGUN before), listed for this unit (A22), for this certificate type
 4. fields    the matter's fields, as far as the desk's province lets them through; never one more

`prerequisites` judges what the officer ticked against the matter's preconditions (A12 to A15).

`admit` judges a library's answer against the desk's own request before anybody sees it:
 1. the copy names this request's consent and this library
 2. type and cause are the ones that were asked for
 3. every field was asked for and is disclosed no further than the matter allows
 4. the copy has not expired
 5. the certificate is valid; otherwise its status is the answer, without any field

All judge at one instant, given by the caller. What comes back is a value that exists only if every check passed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime

from consent.annotated_copy import AnnotatedCopy, CopyBody
from consent.clock import rfc3339
from consent.errors import Reason, Refusal
from consent.grant import Consent
from consent.request import Ask, Request
from verifier.matters.catalogue import Catalogue, Matter, MatterField
from verifier.matters.scope import Scope, Unit


@dataclass(frozen=True, slots=True, kw_only=True)
class Permitted:
    """A unit at a window may ask for these fields of this matter. Only `permitted` makes one."""

    unit: Unit
    window: str
    matter: Matter
    type: str
    fields: tuple[MatterField, ...]


def permitted(
    *, unit: str, window: str, matter: str, type_: str, scope: Scope, catalogue: Catalogue, on: date
) -> Permitted:
    """What may be asked for, or a Refusal that names the first rule that failed. `on` is a date in Shanghai."""
    found = scope.unit(unit)  # 1
    found.window(window)  # 2
    rule = catalogue.on(matter, on)  # 3
    listed = scope.listing(unit, matter, on)
    if type_ not in rule.types or type_ not in listed.types:
        raise Refusal(Reason.CERTIFICATE_TYPE_NOT_ALLOWED, detail=f"{type_} for {matter}")
    fields = tuple(field for field in rule.fields if field.name in listed.fields)  # 4
    if not fields:
        raise Refusal(Reason.SCOPE_NOT_LISTED, detail=f"{matter}: no field is left")
    return Permitted(unit=found, window=window, matter=rule, type=type_, fields=fields)


def permitted_request(request: Request, *, scope: Scope, catalogue: Catalogue, on: date) -> Permitted:
    """The same judgement over a sealed request, by somebody else than its desk: nothing more than the rules give.

    Refusal(FIELD_NOT_ALLOWED) for a field too many, DECLARATION_MISSING when a declaration that the matter needs is not
    even asked for.
    """
    ask = request.ask
    may = permitted(
        unit=ask.unit,
        window=ask.window,
        matter=ask.matter,
        type_=ask.type,
        scope=scope,
        catalogue=catalogue,
        on=on,
    )
    if not set(ask.fields) <= {field.name for field in may.fields}:
        raise Refusal(Reason.FIELD_NOT_ALLOWED, detail=f"{ask.matter}: fields")
    if tuple(each.slug for each in may.matter.declarations) != ask.declarations:
        raise Refusal(Reason.DECLARATION_MISSING, detail=f"{ask.matter}: declarations")
    if may.matter.holder_match and request.match is None:
        raise Refusal(Reason.HOLDER_MATCH_MISSING, detail=ask.matter)
    return may


def prerequisites(matter: Matter, ticked: Collection[str]) -> None:
    """Pass when every precondition of the matter is ticked; Refusal(PRECONDITION_MISSING) names the first that is not."""
    for each in matter.preconditions:
        if each.slug not in ticked:
            raise Refusal(Reason.PRECONDITION_MISSING, detail=each.slug, what=each.text_zh, what_en=each.text_en)


def released(may: Permitted, ask: Ask, *, library: Scope) -> tuple[MatterField, ...]:
    """The fields that a library gives: asked for, allowed at the desk, and let out by the library's own province."""
    let_out = set(library.narrow(ask.matter, tuple(field.name for field in may.fields)))
    fields = tuple(field for field in may.fields if field.name in ask.fields and field.name in let_out)
    if not fields:
        raise Refusal(Reason.FIELD_NOT_ALLOWED, detail=f"{ask.matter}: the library's province lets nothing out")
    return fields


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """A copy that may be shown at this counter. Only `admit` makes one."""

    copy: AnnotatedCopy
    body: CopyBody


def admit(
    copy: AnnotatedCopy, body: CopyBody, *, request: Request, consent: Consent, may: Permitted, now: datetime
) -> Admission:
    """Judge a library's answer, in the five steps above."""
    claims = copy.sealed.claims
    if (claims["consent_issuer"], claims["consent"]) != (consent.issuer, consent.jti):  # 1
        raise Refusal(Reason.CONSENT_MISMATCH, detail="copy under another consent")
    if body.library != consent.library:
        raise Refusal(Reason.CONSENT_MISMATCH, detail="copy of another library")
    if body.type != request.ask.type or body.cause != request.ask.cause:  # 2
        raise Refusal(Reason.CERTIFICATE_TYPE_NOT_ALLOWED, detail="copy of another type or for another cause")
    _judge_fields(body, request.ask, {field.name: field.disclosure for field in may.fields})  # 3
    if body.expires <= rfc3339(now):  # 4
        raise Refusal(Reason.DOCUMENT_EXPIRED, detail="the copy's own term is over")
    if body.status != "VALID":  # 5
        raise Refusal(Reason.CERTIFICATE_NOT_VALID, status=body.status, as_of=body.status_as_of)
    return Admission(copy=copy, body=body)


def _judge_fields(body: CopyBody, ask: Ask, disclosures: Mapping[str, str]) -> None:
    for field in body.fields:
        if field.name not in ask.fields or disclosures.get(field.name) != field.disclosure:
            raise Refusal(Reason.FIELD_NOT_ALLOWED, detail=f"{ask.matter}: {field.name} as {field.disclosure}")
