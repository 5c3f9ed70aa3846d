"""Looking back in tests, as a vendor does it over HTTP: ask, let the provinces work, read every part."""

from __future__ import annotations

import json
from typing import Any

from consent.b64 import new_id
from scanner_kiosk.country.people import Persona
from scanner_kiosk.phone import Phone
from scanner_kiosk.province_client import Reply
from tests.country import Stage


def call(phone: Phone, method: str, path: str, body: dict[str, Any] | None = None, **headers: str) -> Reply:
    """One call of the phone's app at its wallet_api."""
    sent = {"Authorization": f"Bearer {phone.app.token}", "Accept": "application/json, application/problem+json"}
    if body is not None:
        sent |= {"Content-Type": "application/json", "Idempotency-Key": new_id()}
    raw = b"" if body is None else json.dumps(body).encode()
    return phone.app.line.call(method, path, raw, {**sent, **headers})


def read(reply: Reply, status: int) -> dict[str, Any]:
    """Its body, after the status that it must have."""
    assert reply.status == status, reply.body
    found: dict[str, Any] = json.loads(reply.body)
    return found


def phone_of(stage: Stage, who: Persona, app: str | None = None) -> Phone:
    """A new phone of a person, in the own province's app or another's."""
    own = stage.country.phone_of(who)
    return own if app is None else Phone(app=stage.country.app(app), person=own.person)


def ask(stage: Stage, phone: Phone, *, earlier: str | None = None) -> str:
    """Ask for the history with a fresh login; the look's id."""
    body = {"holder": phone.assertion(stage.clock.now()), **({} if earlier is None else {"earlier": earlier})}
    return str(read(call(phone, "POST", "/v1/history/lookups", body), 202)["look_id"])


def part(phone: Phone, look_id: str, query: str = "") -> dict[str, Any]:
    """One part of a look's answer."""
    return read(call(phone, "GET", f"/v1/history/lookups/{look_id}{query}"), 200)


def look(stage: Stage, phone: Phone) -> dict[str, Any]:
    """Ask, let everybody work, read the first part."""
    look_id = ask(stage, phone)
    stage.pump()
    found = part(phone, look_id, "?limit=50")
    assert found["state"] == "DONE"
    return found


def entries(stage: Stage, phone: Phone) -> list[dict[str, Any]]:
    """All that one look shows, newest first."""
    found: list[dict[str, Any]] = look(stage, phone)["entries"]
    return found


def ended(stage: Stage, phone: Phone) -> list[tuple[str, str | None]]:
    """(outcome, reason) of each entry, newest first."""
    return [(each["outcome"], each["reason"]) for each in entries(stage, phone)]
