"""Agreeing before the scan, on the phone (express): what a vendor's server does for a signed-in citizen.

 1. `api/offer`     ask what a province's units, or one unit in one matter, may ask for; read the register's answer
 2. `api/standing`  hand in what the device signed over those very words; look at it again; take it back

The words that the citizen read are kept in the session beside the showing, so that the page can say after a reload what was
agreed to. That it still stands is asked of the store each time. No address carries a unit, a matter or an id.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from flask import Blueprint, Response, jsonify
from sqlalchemy import Connection

from consent.clock import rfc3339
from consent.errors import Reason, Refusal
from consent.provinces import provinces
from consent.request import CERTIFICATE_TYPES
from consent.shapes import SLUG, USCC, Maybe, Members, Text, choice
from consent.showing import LIFE as SHOWING_LIFE
from consent.standing import LIFE, STANDING, Standing
from consent.stores.base import attempt
from consent.stores.handover import ShowingRow
from wallet_api.express import Express
from wallet_api.pages.backend import Backend, showings
from wallet_api.pages.entrance import body
from wallet_api.pages.sessions import Session

GOOD_FOR: Final = min(LIFE, SHOWING_LIFE)  # the showing that it stands for may end first
_QUESTION: Final = Members(
    {
        "desk": choice(*provinces()),
        "unit": Maybe(USCC),
        "matter": Maybe(SLUG),
        "type": Maybe(choice(*CERTIFICATE_TYPES)),
    }
)
_STANDING: Final = Members({"standing": Text(STANDING.max_length)})


def express() -> Express:
    """The use cases of the application that the blueprint hangs in."""
    own = showings()
    return Express(engine=own.engine, province=own.province, keys=own.keys, signals=own.signals)


def add_beforehand(blueprint: Blueprint, backend: Backend) -> None:
    """Hang the routes under /phone/api."""
    app, entrance, clock = backend.login.app, backend.entrance, backend.clock

    @blueprint.route("/api/offer", methods=["POST"])
    @entrance.requires_session
    def ask_offer(session: Session) -> tuple[Response, int]:
        question, now = body(_QUESTION), clock.now()

        def write(connection: Connection) -> str:
            return express().ask(connection, app, question, now=now)

        offer_id = attempt(express().engine, write)
        express().asked()
        entrance.sessions.note(session, offer_id=offer_id)
        return jsonify({}), 202

    @blueprint.route("/api/offer")
    @entrance.requires_session
    def get_offer(session: Session) -> Response:
        found = _offered(session, now=clock.now())
        if found is None:
            return jsonify({"state": "PENDING"})
        words = {name: found.get(name) for name in ("units", "offer", "digest")}
        return jsonify({"state": "DONE", **words, "good_for": int(GOOD_FOR.total_seconds())})

    @blueprint.route("/api/standing", methods=["POST"])
    @entrance.requires_session
    def stand(session: Session) -> tuple[Response, int]:
        text, now = body(_STANDING)["standing"], clock.now()
        showing, found = _showing(session), _offered(session, now=now)
        if _words(express().read(showing, text, now=now), found) is None:
            # The page must be able to say what stands; nothing stands that it cannot say.
            raise Refusal(Reason.APPROVAL_MISMATCH, detail="other words than were asked for last")
        express().stand(showing, text, now=now)
        entrance.sessions.note(session, stood=found)
        return jsonify({"stands": _view(showing, found, now=now)}), 202

    @blueprint.route("/api/standing")
    @entrance.requires_session
    def get_standing(session: Session) -> Response:
        showing = backend.showing(session)
        return jsonify({"stands": None if showing is None else _view(showing, session.stood, now=clock.now())})

    @blueprint.route("/api/standing", methods=["DELETE"])
    @entrance.requires_session
    def take_back(session: Session) -> Response:
        express().take_back(_showing(session))
        return jsonify({"stands": None})

    def _offered(session: Session, *, now: datetime) -> dict[str, Any] | None:
        if session.offer_id is None:
            raise Refusal(Reason.REQUEST_UNKNOWN, detail="no offer was asked for")
        return express().offered(app, session.offer_id, now=now)

    def _showing(session: Session) -> ShowingRow:
        found = backend.showing(session)
        if found is None:
            raise Refusal(Reason.SHOWING_UNKNOWN, detail="nothing was shown yet")
        return found


def _view(showing: ShowingRow, stood: Mapping[str, Any] | None, *, now: datetime) -> dict[str, Any] | None:
    """What stands for a showing, in the words that were read, and until when; None where nothing does."""
    standing = express().stands(showing, now=now)
    words = None if standing is None else _words(standing, stood)
    if standing is None or words is None:
        return None
    until = min(standing.sealed.expires_at, showing.expires_at)
    return {"unit": words["unit"], "matter": words["matter"], "type": words["type"], "until": rfc3339(until)}


def _words(standing: Standing, stood: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    if stood is None or stood.get("digest") != standing.offer:
        return None
    offer: Mapping[str, Any] = stood["offer"]
    return offer
