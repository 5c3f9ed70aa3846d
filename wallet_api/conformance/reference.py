"""A back end that passes: a small server on the Python SDK, with the addresses of docs/conformance.md. A sample to copy from.

    pip install ./python flask            (in wallet_api/sdk)
    python reference.py 8090              and, in another terminal:  wallet-api conformance http://127.0.0.1:8090

What a back end must do by itself, beyond what the SDK does:

1. It knows whose showing is whose by its own sign-in, and answers nobody about another's.
2. It keeps a state for a second, so that an eager phone does not become an eager server.
3. It remembers which webhook messages came, and believes the higher version.
4. It hands on sheets, codes, sentences and signed documents as they are.
5. It makes digits to type only for somebody who asks, and keeps none.
6. It says of an answer given before the scan that it stands until the end that the phone signed, and no longer.

The addresses under /conformance stand for your app's own: in life there is a session instead of `account`. They exist in a
test build only, because whoever can call them can sign in as anybody.
"""

from __future__ import annotations

import secrets
import sys
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import jwt
from flask import Flask, jsonify, request
from flask.typing import ResponseReturnValue
from huzheng_wallet import (
    Form,
    Login,
    Refused,
    Showing,
    Times,
    Wallet,
    WalletError,
    WebhookRefused,
    load_key,
    webhook,
)

KEPT_S = 1.0  # a state is kept for so long
PATIENCE_S = 8.0  # before the phone is told that there is no answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Citizen:
    """Somebody who can sign in here. `sub` is our pseudonym for them: random, and kept with their account."""

    sub: str
    name: str = field(repr=False)
    id_number: str = field(repr=False)


@dataclass(slots=True)
class News:
    """What webhooks told of a showing, and how often that was something new."""

    version: int = 0
    state: str = "NONE"
    acted: int = 0


class BackEnd:
    """One app's server. `begin` sets it up; a run is one life of it."""

    def __init__(self, times: Times | None = None) -> None:
        self.times = times or Times()

    def begin(self, told: Mapping[str, Any]) -> None:
        """Take the addresses, keys and people of this run. In life they come from your settings and your database."""
        self.wallet = self.new_wallet(told)
        self.login = Login(told["app"], told["province"], told["login_key"], told["recipient"])
        self.secret = str(told["webhook_secret"])
        self.citizens = {each["account"]: self.citizen(each) for each in told["citizens"]}
        self.shown: dict[str, str] = {}  # account → the showing that is theirs
        self.kept: dict[str, tuple[float, Showing]] = {}
        self.looks: dict[str, str] = {}  # account → their look at the history
        self.offers: dict[str, str] = {}  # account → the offer that they read
        self.stood: dict[str, float] = {}  # showing → the end of the answer that stands for it
        self.messages: set[str] = set()
        self.news: dict[str, News] = {}

    def new_wallet(self, told: Mapping[str, Any]) -> Wallet:
        """The client: one for the whole process."""
        key = load_key(told["client_key"])
        return Wallet(told["wallet_url"], told["client_id"], key, patience_s=PATIENCE_S, times=self.times)

    def citizen(self, told: Mapping[str, str]) -> Citizen:
        """Somebody who signed up."""
        return Citizen(sub=secrets.token_urlsafe(16), name=told["name"], id_number=told["id_number"])

    # Showing ------------------------------------------------------------------------------------------------

    def show(self, account: str, device: Mapping[str, str]) -> dict[str, Any]:
        """Open a showing for whoever is signed in, with the phone's device key."""
        showing = self.wallet.open_showing(self.signed_in(account, device))
        self.shown[account] = showing.showing_id
        return self.told(showing)

    def signed_in(self, account: str, device: Mapping[str, str]) -> str:
        """A fresh login assertion of whoever is signed in."""
        who = self.citizens[account]
        now = self.wallet.server_now()
        return self.login.assertion(
            sub=who.sub, name=who.name, id_number=who.id_number, device=device, auth_time=now, now=now
        )

    def showing_of(self, account: str, named: str | None = None) -> str:
        """The showing of whoever is signed in; Refused where there is none, or where the phone names another's (1)."""
        own = self.shown.get(account)
        if own is None or named not in (None, own):
            raise Refused("SHOWING_UNKNOWN", status=404)
        return own

    def state(self, showing_id: str) -> dict[str, Any]:
        """The state, asked of wallet_api at most once a second (2)."""
        now = self.times.tick()
        at, showing = self.kept.get(showing_id, (float("-inf"), None))
        if showing is None or now - at >= KEPT_S:
            showing = self.wallet.showing(showing_id)
            self.kept[showing_id] = now, showing
        return self.told(showing)

    def told(self, showing: Showing) -> dict[str, Any]:
        """A showing as the phone reads it: as it is (4)."""
        return dict(showing.raw)

    def code(self, showing_id: str, form: str) -> dict[str, Any]:
        """The code to show now, as text or as a picture, and when to ask again."""
        found = self.wallet.code(showing_id, Form.PNG if form == "png" else Form.TEXT)
        times = {"refresh_in": found.refresh_in, "server_time": found.server_time.isoformat()}
        if form == "png":
            return {"picture": b64encode(found.content).decode(), "media_type": "image/png", **times}
        return {"code": found.text, **times}

    def twin(self, showing_id: str) -> dict[str, Any]:
        """Digits to type, in groups; made when the citizen asks, and kept nowhere (5)."""
        made = self.wallet.twin(showing_id)
        return {"spaced": made.spaced, "expires_in": made.expires_in}

    # History ------------------------------------------------------------------------------------------------

    def look(self, account: str, device: Mapping[str, str]) -> None:
        """Ask who saw the certificates of whoever is signed in."""
        self.looks[account] = self.wallet.look_back(self.signed_in(account, device))

    def history(self, account: str, cursor: str | None) -> dict[str, Any]:
        """One part of what came, to whoever asked for it (1)."""
        look_id = self.looks.get(account)
        if look_id is None:
            raise Refused("REQUEST_UNKNOWN", status=404)
        past = self.wallet.history(look_id, cursor=cursor)
        return {"done": past.done, "entries": [dict(each.raw) for each in past.entries], "next": past.next}

    # Request and answer -------------------------------------------------------------------------------------

    def sheet(self, showing_id: str) -> dict[str, Any]:
        """The request as it is shown; no box is ticked before the citizen ticks it."""
        asked = self.wallet.request_to_approve(showing_id)
        return {"sheet": asked.raw["sheet"], "holdings": asked.raw["holdings"], "ticked": []}

    def answer(self, showing_id: str, approval: str) -> None:
        """Hand in what the phone signed, yes or no."""
        self.wallet.answer(showing_id, approval)

    def withdraw(self, showing_id: str, approval: str) -> None:
        """Hand in a withdrawal."""
        self.wallet.withdraw(showing_id, approval)

    def receipt(self, showing_id: str) -> dict[str, Any]:
        """The citizen's receipt."""
        return {"receipt": self.wallet.receipt(showing_id)}

    # Before the scan ----------------------------------------------------------------------------------------

    def inquire(self, account: str, desk: str, unit: str, matter: str, type: str) -> None:
        """Ask the register what a unit may ask for."""
        self.offers[account] = self.wallet.ask_offer(desk, unit=unit, matter=matter, type=type)

    def offer(self, account: str) -> dict[str, Any]:
        """The register's words as they are (4); no box is ticked before the citizen ticks it."""
        offer_id = self.offers.get(account)
        if offer_id is None:
            raise Refused("REQUEST_UNKNOWN", status=404)
        found = self.wallet.offer(offer_id)
        return {"done": found.done, "offer": found.offer and dict(found.offer.raw), "ticked": []}

    def stand(self, showing_id: str, standing: str) -> None:
        """Hand in what the phone signed, and remember until when it is worth something (6)."""
        self.wallet.stand(showing_id, standing)
        self.stood[showing_id] = float(jwt.decode(standing, options={"verify_signature": False})["exp"])

    def stands(self, showing_id: str) -> dict[str, Any]:
        """Whether an answer stands for the showing now."""
        return {"stands": self.wallet.server_now().timestamp() < self.stood.get(showing_id, 0.0)}

    def take_back(self, showing_id: str) -> None:
        """Take it back."""
        self.wallet.take_back(showing_id)
        self.stood.pop(showing_id, None)

    # Webhooks -----------------------------------------------------------------------------------------------

    def hear(self, headers: Any, body: bytes) -> None:
        """Take a message; WebhookRefused for one that is not genuine. One that came before changes nothing (3)."""
        self.believe(webhook.verify(headers, body, [self.secret]))

    def believe(self, message: webhook.Message) -> None:
        """Act once on each message, and never go back to a lower version."""
        if message.message_id in self.messages:
            return
        self.messages.add(message.message_id)
        news = self.news.setdefault(message.showing_id, News())
        if message.version > news.version:
            news.version, news.state = message.version, message.state
            news.acted += 1

    def heard(self, showing_id: str) -> dict[str, Any]:
        """What webhooks told of a showing."""
        news = self.news.get(showing_id, News())
        return {"showing_id": showing_id, "version": news.version, "state": news.state, "acted": news.acted}

    def problem(self, problem: WalletError) -> dict[str, Any]:
        """A failure as the phone reads it: code, request id and both sentences."""
        return problem.to_json()


def create_app(back_end: BackEnd) -> Flask:
    """The addresses of docs/conformance.md around a back end."""
    app = Flask(__name__, static_folder=None)

    def own() -> str:
        return back_end.showing_of(_text("account"), _body().get("showing_id"))

    @app.post("/conformance/begin")
    def begin() -> ResponseReturnValue:
        back_end.begin(_body())
        return {}

    @app.post("/conformance/show")
    def show() -> ResponseReturnValue:
        return jsonify(back_end.show(_text("account"), _body()["device"]))

    @app.post("/conformance/state")
    def state() -> ResponseReturnValue:
        return jsonify(back_end.state(own()))

    @app.post("/conformance/code")
    def code() -> ResponseReturnValue:
        return jsonify(back_end.code(own(), _body().get("form", "text")))

    @app.post("/conformance/sheet")
    def sheet() -> ResponseReturnValue:
        return jsonify(back_end.sheet(own()))

    @app.post("/conformance/answer")
    def answer() -> ResponseReturnValue:
        back_end.answer(own(), _text("approval"))
        return {}

    @app.post("/conformance/withdraw")
    def withdraw() -> ResponseReturnValue:
        back_end.withdraw(own(), _text("approval"))
        return {}

    @app.post("/conformance/receipt")
    def receipt() -> ResponseReturnValue:
        return jsonify(back_end.receipt(own()))

    @app.post("/conformance/twin")
    def twin() -> ResponseReturnValue:
        return jsonify(back_end.twin(own()))

    @app.post("/conformance/look")
    def look() -> ResponseReturnValue:
        back_end.look(_text("account"), _body()["device"])
        return {}

    @app.post("/conformance/history")
    def history() -> ResponseReturnValue:
        return jsonify(back_end.history(_text("account"), _body().get("cursor")))

    @app.post("/conformance/inquire")
    def inquire() -> ResponseReturnValue:
        back_end.inquire(*(_text(name) for name in ("account", "desk", "unit", "matter", "type")))
        return {}

    @app.post("/conformance/offer")
    def offer() -> ResponseReturnValue:
        return jsonify(back_end.offer(_text("account")))

    @app.post("/conformance/stand")
    def stand() -> ResponseReturnValue:
        back_end.stand(own(), _text("standing"))
        return {}

    @app.post("/conformance/standing")
    def standing() -> ResponseReturnValue:
        return jsonify(back_end.stands(own()))

    @app.post("/conformance/takeback")
    def take_back() -> ResponseReturnValue:
        back_end.take_back(own())
        return {}

    @app.post("/conformance/heard")
    def heard() -> ResponseReturnValue:
        return jsonify(back_end.heard(own()))

    @app.post("/conformance/webhook")
    def hear() -> ResponseReturnValue:
        try:
            back_end.hear(request.headers, request.get_data())
        except WebhookRefused:
            return {}, 400
        return {}, 204

    @app.errorhandler(WalletError)
    def tell(problem: WalletError) -> ResponseReturnValue:
        return jsonify(back_end.problem(problem)), problem.status if problem.status >= 400 else 503

    return app


def _body() -> dict[str, Any]:
    return dict(request.get_json())


def _text(name: str) -> str:
    return str(_body()[name])


if __name__ == "__main__":
    create_app(BackEnd()).run(port=int(sys.argv[1]) if len(sys.argv) > 1 else 8090, threaded=True)
