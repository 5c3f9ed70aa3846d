"""The app's backend: the JSON that the phone's pages live on. It calls the use cases as a vendor's server would over HTTP.

Everything here is about the signed-in persona's own last showing; no address carries the id of a showing or a person.
Times go out as seconds from now or in the `Server-Time` header of every answer, because the phone's clock may be wrong.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from flask import Blueprint, Response, current_app, jsonify, make_response, request
from sqlalchemy import Connection

from consent.approval import APPROVAL
from consent.clock import Clock, rfc3339
from consent.code import Form
from consent.counter_strings import known_as
from consent.errors import Reason, Refusal
from consent.keys import public_from_jwk
from consent.provinces import provinces
from consent.shapes import Members, Text
from consent.showing import HOLDER, Holder
from consent.states import SHOWING
from consent.stores.base import attempt
from consent.stores.handover import ShowingRow
from wallet_api import picture
from wallet_api.doors.frame import offers
from wallet_api.pages.entrance import Entrance, body
from wallet_api.pages.login import Login
from wallet_api.pages.screens import Screens
from wallet_api.pages.sessions import Session
from wallet_api.pages.words import told
from wallet_api.showings import Opening, Showings

LOGIN_BODY: Final = Members({"persona": Text(40), "device": HOLDER.claims["dev"]})
APPROVAL_BODY: Final = Members({"approval": Text(APPROVAL.max_length)})
NO_BODY: Final = Members({})


def showings() -> Showings:
    """The use cases of the application that the blueprint hangs in."""
    found: Showings = current_app.extensions["wallet_api"]
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """What the app's server does for a signed-in citizen."""

    login: Login
    entrance: Entrance
    clock: Clock
    screens: Screens
    own_code: bool = False  # whether the app draws one

    # Verbs --------------------------------------------------------------------------------------------------

    def show(self, session: Session) -> Opening:
        """Open a showing; the persona's earlier one ends (CODE_SUPERSEDED)."""
        now = self.clock.now()
        holder = self.holder(session)
        opening = attempt(showings().engine, lambda connection: showings().open(connection, holder, now=now))
        showings().opened(opening.superseded)
        self.entrance.sessions.note(session, showing_id=opening.showing.showing_id)
        return opening

    def look_up(self, session: Session) -> None:
        """Ask the four libraries which certificates the persona has."""
        now = self.clock.now()
        holder = self.holder(session)

        def write(connection: Connection) -> str:
            return showings().look_up(connection, holder, now=now)

        lookup_id = attempt(showings().engine, write)
        showings().opened()
        self.entrance.sessions.note(session, lookup_id=lookup_id)

    def showing(self, session: Session) -> ShowingRow | None:
        """The session's showing, an outlived one ended first; None before the first."""
        if session.showing_id is None:
            return None
        return showings().state(self.login.app, session.showing_id, now=self.clock.now())

    def holder(self, session: Session) -> Holder:
        """A fresh login of the session's persona."""
        now = self.clock.now()
        text = self.login.assertion(self.login.persona(session.persona), session.device, now=now)
        return showings().admit(self.login.app, text, now=now)


def add_backend(blueprint: Blueprint, backend: Backend) -> None:
    """Hang the JSON routes under /phone/api."""
    login, entrance, clock = backend.login, backend.entrance, backend.clock

    @blueprint.route("/api/login", methods=["POST"])
    @entrance.requires_own_page
    def sign_in() -> Response:
        read = body(LOGIN_BODY)
        persona = login.persona(read["persona"])
        public_from_jwk(read["device"])  # a point that is not on the curve ends here
        cookie, session = entrance.sessions.begin(persona.id, read["device"], now=clock.now())
        backend.look_up(session)
        return entrance.let_in(jsonify(_me(backend, session)), cookie)

    @blueprint.route("/api/logout", methods=["POST"])
    @entrance.requires_session
    def sign_out(session: Session) -> Response:
        body(NO_BODY)
        entrance.sessions.end(session)
        return entrance.see_out(jsonify({}))

    @blueprint.route("/api/me")
    @entrance.requires_session
    def me(session: Session) -> Response:
        return jsonify(_me(backend, session))

    @blueprint.route("/api/certificates")
    @entrance.requires_session
    def get_certificates(session: Session) -> Response:
        if session.lookup_id is None:
            raise Refusal(Reason.REQUEST_UNKNOWN, detail="nothing was looked up")
        found = showings().looked_up(login.app, session.lookup_id, now=clock.now())
        return jsonify({"holdings": found.holdings})

    @blueprint.route("/api/certificates", methods=["POST"])
    @entrance.requires_session
    def look_up(session: Session) -> tuple[Response, int]:
        body(NO_BODY)
        backend.look_up(session)
        return jsonify({}), 202

    @blueprint.route("/api/show", methods=["POST"])
    @entrance.requires_session
    def open_showing(session: Session) -> tuple[Response, int]:
        body(NO_BODY)
        return jsonify(state_view(backend.show(session).showing)), 201

    @blueprint.route("/api/close", methods=["POST"])
    @entrance.requires_session
    def close(session: Session) -> Response:
        body(NO_BODY)
        showings().close(login.app, _id(session), now=clock.now())
        return jsonify({})

    @blueprint.route("/api/code")
    @entrance.requires_session
    def code(session: Session) -> Response:
        now = clock.now()
        showing_id, form = _id(session), _form()
        shown = showings().code(login.app, showing_id, now=now, form=form)
        if form is Form.SIMPLE:
            backend.screens.put(showing_id, shown.text, until=shown.expires_at, now=now)
        else:
            backend.screens.put_away(showing_id)
        drawn = b64encode(picture.svg(shown.text)).decode("ascii")
        left = int((shown.expires_at - now).total_seconds())
        view = {"picture": f"data:image/svg+xml;base64,{drawn}", "refresh_in": shown.refresh_in, "good_for": left}
        return jsonify({**view, "server_time": rfc3339(now)})

    @blueprint.route("/api/state")
    @entrance.requires_session
    def state(session: Session) -> Response:
        showing = backend.showing(session)
        if showing is None:
            return jsonify({"state": "NONE", "version": 0})
        answer = jsonify(state_view(showing))
        answer.set_etag(f"{showing.showing_id}-{showing.version}")
        return make_response(answer.make_conditional(request))

    @blueprint.route("/api/sheet")
    @entrance.requires_session
    def sheet(session: Session) -> Response:
        row = showings().sheet(login.app, _id(session), now=clock.now())
        return jsonify({"sheet": json.loads(row.sheet or "{}"), "holdings": _read(row.holdings)})

    @blueprint.route("/api/approval", methods=["POST"])
    @entrance.requires_session
    def approval(session: Session) -> tuple[Response, int]:
        return _hand_in(showings().approve, session)

    @blueprint.route("/api/withdraw", methods=["POST"])
    @entrance.requires_session
    def withdraw(session: Session) -> tuple[Response, int]:
        return _hand_in(showings().withdraw, session)

    @blueprint.route("/api/receipt")
    @entrance.requires_session
    @offers("application/jwt")
    def receipt(session: Session) -> Response:
        text = showings().receipt(login.app, _id(session))
        answer = Response(text, content_type="application/jwt")
        answer.headers["Content-Disposition"] = 'attachment; filename="huzheng-receipt.jwt"'
        return answer

    def _hand_in(verb: Callable[..., str], session: Session) -> tuple[Response, int]:
        text = body(APPROVAL_BODY)["approval"]
        verb(login.app, _id(session), text, now=clock.now())
        return jsonify({}), 202


def state_view(showing: ShowingRow) -> dict[str, Any]:
    """A showing as the pages poll it. The receipt itself is fetched from its own address."""
    result = _read(showing.result)
    if result is not None:
        result = {**result, "receipt": isinstance(result.get("receipt"), str)}
    words = told(Reason(showing.reason)) if showing.reason else {"sentence": None, "next": None}
    return {
        "showing": showing.showing_id,
        "state": showing.state,
        "version": showing.version,
        "asked": showing.sheet is not None,
        "answered": showing.approval_jwt is not None,
        "ended": showing.state in SHOWING.ends,
        "reason": showing.reason,
        **words,
        "result": result,
        "opened_at": rfc3339(showing.opened_at),
        "changed_at": rfc3339(showing.changed_at),
    }


def _me(backend: Backend, session: Session) -> dict[str, Any]:
    login = backend.login
    persona = login.persona(session.persona)
    own_zh, own_en = known_as(login.province)
    return {
        "persona": persona.id,
        "name": persona.name.masked(),
        "sub": login.sub(persona),
        "province": login.province,
        "own_code": {"zh": own_zh, "en": own_en} if backend.own_code else None,
        "provinces": {
            code: {
                "zh": each.name_zh,
                "en": each.name_en,
                "app": {"zh": each.app_name_zh, "en": each.app_name_en},
            }
            for code, each in provinces().items()
        },
    }


def _id(session: Session) -> str:
    if session.showing_id is None:
        raise Refusal(Reason.SHOWING_UNKNOWN, detail="nothing was shown yet")
    return session.showing_id


def _form() -> Form:
    """The code that the page asks for: ours, or with `?form=simple` the simple one."""
    form = request.args.get("form", Form.CODE.value)
    if form not in (Form.CODE, Form.SIMPLE):
        raise Refusal(Reason.BODY_INVALID, detail="form")
    return Form(form)


def _read(text: str | None) -> Any:
    return None if text is None else json.loads(text)
