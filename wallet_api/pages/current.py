"""What a simulated camera on this machine sees: the code of the showing that was opened last in this app.

The sandbox's counter has no glass to hold a phone in. Its camera `sim:` fetches a picture instead, and this is where that
lies: `GET /phone/current.png`. The address names no showing, so none gets into a setting or a log; with two people showing
in one app at once, the later one is seen, as the phone in front hides the one behind it. Where the phone shows the code that
the app draws itself, that one is seen.

Whoever may ask gets a code that another person shows. Therefore it exists where the phone does, in the sandbox only, and
answers callers on this machine only.
"""

from __future__ import annotations

from ipaddress import ip_address

from flask import Blueprint, Response, request
from sqlalchemy import Engine, select

from consent.clock import Clock
from consent.errors import Reason, Refusal
from consent.states import SHOWING
from consent.stores.base import reading
from consent.stores.handover import showings as table
from wallet_api import picture
from wallet_api.doors.frame import offers
from wallet_api.doors.guards import requires_nothing
from wallet_api.pages.backend import showings
from wallet_api.pages.screens import Screens

PATH = "/current.png"


def add_current(blueprint: Blueprint, *, app: str, screens: Screens, clock: Clock) -> None:
    """Hang the picture under the phone of one app. 404 (SHOWING_UNKNOWN) while nobody shows anything."""

    @blueprint.route(PATH)
    @requires_nothing
    @offers("image/png")
    def current_code() -> Response:
        _check_near(request.remote_addr)
        now = clock.now()
        showing_id = _newest(showings().engine, app)
        text = showings().code(app, showing_id, now=now).text
        return Response(picture.png(screens.on_screen(showing_id, now=now) or text), content_type="image/png")


def _newest(engine: Engine, app: str) -> str:
    query = (
        select(table.c.showing_id)
        .where(table.c.app == app, table.c.state == SHOWING.start)
        .order_by(table.c.opened_at.desc(), table.c.showing_id)
        .limit(1)
    )
    with reading(engine) as connection:
        found: str | None = connection.execute(query).scalar_one_or_none()
    if found is None:
        raise Refusal(Reason.SHOWING_UNKNOWN, detail="nobody shows a code")
    return found


def _check_near(address: str | None) -> None:
    """Refusal(FORBIDDEN) for a caller who is not on this machine."""
    try:
        near = ip_address(address or "").is_loopback
    except ValueError:
        near = False
    if not near:
        raise Refusal(Reason.FORBIDDEN, detail="not from this machine")
