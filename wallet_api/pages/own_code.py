"""The code that the app shows already today, on its own counter page: drawn for the showing that is open on the phone.

What the text is and what it looks like, only the app knows (`wallet_api.profiles`, plugged in from outside); here it is
turned into a picture like our code. A new one replaces the one of before, at the app too, so it is asked for in time and
not more often: `refresh_in` is well below the minute that it lives.
"""

from __future__ import annotations

from base64 import b64encode
from datetime import timedelta
from typing import Final

from flask import Blueprint, Response, jsonify

from consent.clock import rfc3339
from consent.errors import Reason, Refusal
from wallet_api import picture
from wallet_api.pages.backend import NO_BODY, Backend, showings
from wallet_api.pages.entrance import body
from wallet_api.pages.screens import LIFE, OwnCodes
from wallet_api.pages.sessions import Session

REFRESH: Final = timedelta(seconds=40)


def add_own_code(blueprint: Blueprint, backend: Backend, own_codes: OwnCodes) -> None:
    """Hang the route under /phone/api."""
    app, entrance, clock = backend.login.app, backend.entrance, backend.clock

    @blueprint.route("/api/own-code", methods=["POST"])
    @entrance.requires_session
    def own_code(session: Session) -> Response:
        body(NO_BODY)
        now = clock.now()
        if session.showing_id is None:
            raise Refusal(Reason.SHOWING_UNKNOWN, detail="nothing was shown yet")
        shown = showings().shown(app, session.showing_id, now=now)
        drawn = b64encode(picture.svg(own_codes.show(shown.showing_id, now=now))).decode("ascii")
        view = {"picture": f"data:image/svg+xml;base64,{drawn}"}
        times = {"refresh_in": int(REFRESH.total_seconds()), "good_for": int(LIFE.total_seconds())}
        return jsonify({**view, **times, "server_time": rfc3339(now)})
