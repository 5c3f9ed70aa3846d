"""JSON of wallet_api → answers. Only what is needed is looked at; what is missing or of another shape raises KeyError,
TypeError or ValueError, which `client` turns into Unavailable(NOT_UNDERSTOOD)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .answers import (
    Attempt,
    Both,
    Certificate,
    Declaration,
    Deliveries,
    Delivery,
    Event,
    Events,
    Field,
    Holdings,
    Lookup,
    Persona,
    Request,
    Result,
    Sheet,
    Showing,
    Taken,
    Twin,
    both,
    instant,
)

Json = Mapping[str, Any]


def showing(told: Json) -> Showing:
    """A ShowingSchema."""
    return Showing(
        showing_id=told["showing_id"],
        state=told["state"],
        version=told["version"],
        opened_at=instant(told["opened_at"]),
        expires_at=instant(told["expires_at"]),
        changed_at=instant(told["changed_at"]),
        asked=told["asked"],
        reason=told["reason"],
        sentence=both(told["sentence"]) if told["sentence"] else None,
        next=both(told["next"]) if told["next"] else None,
        result=_result(told["result"]) if told["result"] else None,
        raw=told,
    )


def _result(told: Json) -> Result:
    return Result(
        outcome=told["outcome"],
        reason=told["reason"],
        receipt=told["receipt"],
        given=tuple(told["given"]),
        ended_at=instant(told["ended_at"]),
    )


def request(told: Json) -> Request:
    """A SheetSchema."""
    return Request(
        showing_id=told["showing_id"],
        version=told["version"],
        sheet=_sheet(told["sheet"]),
        holdings=holdings(told["holdings"]),
        raw=told,
    )


def _sheet(told: Json) -> Sheet:
    return Sheet(
        request=told["request"],
        unit=pair(told["unit"], "name"),
        place=pair(told, "place"),
        window=told["window"],
        window_name=told.get("window_name"),
        matter=pair(told["matter"], "name"),
        type=told["type"],
        fields=asked_fields(told),
        not_given=tuple(both(each) for each in told["not_given"]),
        basis=pair(told, "basis"),
        clause=told["clause"],
        retention=pair(told, "retention"),
        cause=told.get("cause"),
        digits=tuple(told.get("digits") or ()),
        declarations=declarations(told),
        answer_by=instant(told["answer_by"]),
        raw=told,
    )


def holdings(told: Json | None) -> Holdings | None:
    """A HoldingsSchema, or None while the libraries are asked."""
    if told is None:
        return None
    return Holdings(
        certificates=tuple(
            Certificate(
                certificate=each["certificate"],
                type=each["type"],
                number=each["number"],
                authority=each["authority"],
                registration_date=each["registration_date"],
                status=each["status"],
                status_as_of=each["status_as_of"],
            )
            for each in told["certificates"]
        ),
        undigitised=told["undigitised"],
        silent=tuple(told["silent"]),
    )


def taken(told: Json) -> Taken:
    """A TakenSchema."""
    return Taken(showing_id=told["showing_id"], document=told["document"])


def lookup(told: Json) -> Lookup:
    """A LookupSchema or a FoundSchema."""
    return Lookup(
        lookup_id=told["lookup_id"], done=told.get("state") == "DONE", holdings=holdings(told.get("holdings"))
    )


def twin(told: Json) -> Twin:
    """A TwinSchema."""
    return Twin(
        digits=told["twin"],
        spaced=told["spaced"],
        expires_at=instant(told["expires_at"]),
        expires_in=told["expires_in"],
    )


def timeline(told: Json) -> tuple[Event, ...]:
    """A TimelineSchema."""
    return tuple(
        Event(
            event_id=each["id"],
            type=each["type"],
            showing_id=each["showing_id"],
            version=each["version"],
            state=each["state"],
            at=instant(each["at"]),
            reason=each["reason"],
            sentence=both(each["sentence"]) if each["sentence"] else None,
        )
        for each in told["events"]
    )


def events(told: Json) -> Events:
    """An EventsSchema."""
    return Events(events=timeline(told), next=told["next"], more=told["more"])


def deliveries(told: Json) -> Deliveries:
    """A DeliveriesSchema."""
    return Deliveries(deliveries=tuple(delivery(each) for each in told["deliveries"]), next=told["next"])


def delivery(told: Json) -> Delivery:
    """A DeliverySchema."""
    return Delivery(
        delivery_id=told["id"],
        event_id=told["event_id"],
        type=told["type"],
        url=told["url"],
        state=told["state"],
        attempts=tuple(
            Attempt(attempt=each["attempt"], at=instant(each["at"]), status=each["status"], failure=each["failure"])
            for each in told["attempts"]
        ),
        next_try_at=instant(told["next_try_at"]) if told["next_try_at"] else None,
    )


def personas(told: Json) -> tuple[Persona, ...]:
    """A PersonasSchema."""
    return tuple(
        Persona(
            id=each["id"],
            app=each["app"],
            province=each["province"],
            name=each["name"],
            note=both(each["note"]),
            raw=each,
        )
        for each in told["personas"]
    )


def asked_fields(told: Json) -> tuple[Field, ...]:
    """The fields of a sheet or an offer."""
    return tuple(
        Field(name=each["name"], disclosure=each["disclosure"], label=pair(each, "label")) for each in told["fields"]
    )


def declarations(told: Json) -> tuple[Declaration, ...]:
    """The declarations of a sheet or an offer; none where it names none."""
    return tuple(Declaration(slug=each["slug"], text=pair(each, "text")) for each in told.get("declarations") or ())


def pair(told: Json, name: str) -> Both:
    """{"NAME_zh": …, "NAME_en": …}."""
    return Both(zh=told[f"{name}_zh"], en=told[f"{name}_en"])
