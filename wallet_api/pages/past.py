"""The phone's history: who saw my certificate, and "something is wrong". What a vendor's server does for a signed-in citizen.

Each look and each objection is made with a login assertion of its own, sealed at that moment: the sandbox's login signs
for whoever has the session. No address carries the id of an entry; which one is open stands behind the # of the page.
"""

from __future__ import annotations

import re
from typing import Any, Final

from flask import Blueprint, Response, current_app, jsonify
from sqlalchemy import Connection

from consent.errors import Reason, Refusal
from consent.shapes import Maybe, Members, Text, choice
from consent.stores.base import attempt
from wallet_api.doors.history import CURSOR, ENTRY, TEXT, WRONG
from wallet_api.history import History
from wallet_api.pages.backend import Backend
from wallet_api.pages.entrance import body
from wallet_api.pages.sessions import Session
from wallet_api.pages.words import told

MOST: Final = 1000  # entries on one page: all that a look found
_LOOK: Final = Members({"earlier": Maybe(Text(60, 1, re.compile(CURSOR)))})
_WRONG: Final = Members(
    {
        "entry": Text(25, 25, re.compile(ENTRY)),
        "kind": choice(*WRONG),
        "text": Text(TEXT, 0, re.compile(r"[^\x00-\x09\x0b-\x1f\x7f]*")),
    }
)


def history() -> History:
    """The use cases of the application that the blueprint hangs in."""
    found: History = current_app.extensions["wallet_api_history"]
    return found


def add_past(blueprint: Blueprint, backend: Backend) -> None:
    """Hang the history's routes under /phone/api."""
    login, entrance, clock = backend.login, backend.entrance, backend.clock

    @blueprint.route("/api/history", methods=["POST"])
    @entrance.requires_session
    def look(session: Session) -> tuple[Response, int]:
        earlier, now = body(_LOOK)["earlier"], clock.now()
        holder = backend.holder(session)

        def write(connection: Connection) -> str:
            return history().look(connection, holder, earlier=earlier, now=now)

        look_id = attempt(history().engine, write)
        history().asked()
        entrance.sessions.note(session, look_id=look_id)
        return jsonify({}), 202

    @blueprint.route("/api/history")
    @entrance.requires_session
    def get_history(session: Session) -> Response:
        if session.look_id is None:
            raise Refusal(Reason.REQUEST_UNKNOWN, detail="nothing was looked up")
        found = history().looked(login.app, session.look_id, cursor=None, limit=MOST, now=clock.now())
        if found is None:
            return jsonify({"history": None})
        entries = [_entry(each) for each in found.entries]
        return jsonify({"history": {"entries": entries, "silent": list(found.silent), "earlier": found.earlier}})

    @blueprint.route("/api/objection", methods=["POST"])
    @entrance.requires_session
    def object_to(session: Session) -> tuple[Response, int]:
        said, now = body(_WRONG), clock.now()
        holder = backend.holder(session)

        def write(connection: Connection) -> str:
            return history().object(connection, holder, **said, now=now)

        objection_id = attempt(history().engine, write)
        history().asked()
        entrance.sessions.note(session, objection_id=objection_id)
        return jsonify({}), 202

    @blueprint.route("/api/objection")
    @entrance.requires_session
    def get_objection(session: Session) -> Response:
        if session.objection_id is None:
            raise Refusal(Reason.REQUEST_UNKNOWN, detail="nothing was objected to")
        return jsonify({"number": history().objected(login.app, session.objection_id, now=clock.now())})


def _entry(entry: Any) -> dict[str, Any]:
    words = {"sentence": None, "next": None} if entry["reason"] is None else told(Reason(entry["reason"]))
    return {**entry, **words}
