"""The phone's two other ways to a counter: digits that are read out, and the counter's own code that the phone reads.

Both belong to the showing that is open on the phone, and do what the vendors' door does (`wallet_api.doors.codes`,
`wallet_api.doors.counter_codes`). No address carries an id; which answer is waited for stands in the session.
"""

from __future__ import annotations

from typing import Final

from flask import Blueprint, Response, jsonify
from sqlalchemy import Connection

from consent.errors import Reason, Refusal
from consent.invitation import LENGTH
from consent.shapes import Members, Text
from consent.stores.base import attempt
from consent.twin import spaced
from wallet_api.counter_codes import CounterCodes
from wallet_api.pages.backend import NO_BODY, Backend, showings
from wallet_api.pages.entrance import body
from wallet_api.pages.sessions import Session
from wallet_api.showings import TWIN_LIFE

_COUNTER: Final = Members({"counter": Text(LENGTH, 1)})


def codes() -> CounterCodes:
    """The use cases of the application that the blueprint hangs in."""
    own = showings()
    return CounterCodes(engine=own.engine, province=own.province, keys=own.keys, signals=own.signals, showings=own)


def add_codes(blueprint: Blueprint, backend: Backend) -> None:
    """Hang the routes of both ways under /phone/api."""
    app, entrance, clock = backend.login.app, backend.entrance, backend.clock

    @blueprint.route("/api/twin", methods=["POST"])
    @entrance.requires_session
    def make_twin(session: Session) -> tuple[Response, int]:
        body(NO_BODY)
        now = clock.now()
        shown = showings().shown(app, _showing_id(session), now=now)

        def write(connection: Connection) -> str:
            return showings().make_twin(connection, shown.showing_id, now=now)

        made = attempt(showings().engine, write)
        return jsonify({"twin": spaced(made), "good_for": int(TWIN_LIFE.total_seconds())}), 201

    @blueprint.route("/api/counter", methods=["POST"])
    @entrance.requires_session
    def read_counter(session: Session) -> tuple[Response, int]:
        counter, now = body(_COUNTER)["counter"], clock.now()
        showing_id = _showing_id(session)

        def write(connection: Connection) -> str:
            return codes().come(connection, app, showing_id, counter, now=now)

        come_id = attempt(showings().engine, write)
        codes().sent()
        entrance.sessions.note(session, come_id=come_id)
        return jsonify({}), 202

    @blueprint.route("/api/counter")
    @entrance.requires_session
    def see_counter(session: Session) -> Response:
        if session.come_id is None:
            raise Refusal(Reason.REQUEST_UNKNOWN, detail="no counter's code was read")
        taken = codes().came(app, _showing_id(session), session.come_id, now=clock.now())
        return jsonify({"state": "TAKEN" if taken else "PENDING"})


def _showing_id(session: Session) -> str:
    if session.showing_id is None:
        raise Refusal(Reason.SHOWING_UNKNOWN, detail="nothing was shown yet")
    return session.showing_id
