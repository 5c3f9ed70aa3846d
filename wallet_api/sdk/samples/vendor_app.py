"""A government app's server for <huzheng-code>: what the element asks under /wallet, and a page that shows it.

Your own login stands where `sign_in` is. Everything else is as you would write it: the browser holds a session cookie and its
device key, this server holds the OAuth key and the login key, and wallet_api hears from this server only.

    WALLET_URL=… CLIENT_ID=… CLIENT_KEY=client.pem APP=suishenban PROVINCE=31 LOGIN_KEY=login.pem RECIPIENT=… \
    WEBHOOK_SECRET=whsec_… python vendor_app.py
"""

from __future__ import annotations

import os
import secrets
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import jwt
from flask import (
    Flask,
    Response,
    abort,
    jsonify,
    make_response,
    redirect,
    render_template,
    request,
    send_from_directory,
    session,
)
from flask.typing import ResponseReturnValue
from huzheng_wallet import Form, Login, Offer, Showing, Times, Wallet, WalletError, WebhookRefused, webhook

KEPT_S = 1.0  # a state is kept for so long: an eager phone is not to become an eager server
HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Citizen:
    """Somebody who can sign in here. `sub` is our pseudonym for them at wallet_api."""

    sub: str
    name: str
    id_number: str


@dataclass(frozen=True, slots=True)
class Stood:
    """An agreement that was given before the scan: until when, and the digest of the offer that was read."""

    until: datetime
    offer: str


@dataclass(slots=True)
class News:
    """What webhooks told of a showing, and how often that was something new."""

    version: int = 0
    state: str = "NONE"
    acted: int = 0

    def hear(self, message: webhook.Message) -> None:
        """Messages may come out of order: the higher version stays."""
        if message.version > self.version:
            self.version, self.state, self.acted = message.version, message.state, self.acted + 1


def create_app(
    wallet: Wallet,
    login: Login,
    citizens: Mapping[str, Citizen],
    *,
    webhook_secret: str,
    times: Times | None = None,
) -> Flask:
    app = Flask(__name__)
    app.secret_key = secrets.token_bytes(32)
    app.config.update(SESSION_COOKIE_SAMESITE="Strict", SESSION_COOKIE_HTTPONLY=True)
    shown: dict[str, str] = {}  # who → the id of their showing; your database in real life
    came: dict[str, str] = {}  # who → the counter's code that their phone has read
    looked: dict[str, str] = {}  # who → their look at the history
    objected: dict[str, str] = {}  # who → their last objection
    offered: dict[str, str] = {}  # who → the offer that they read
    read: dict[str, Offer] = {}  # digest → the words that were read; the same for everybody, so nobody's secret
    stood: dict[str, Stood] = {}  # showing → the agreement that was given before the scan
    sought: dict[str, str] = {}  # who → their question for their certificates
    heard: set[str] = set()  # ids of webhook messages: one may come twice
    news: dict[str, News] = {}  # showing → what webhooks told of it
    kept: dict[str, tuple[float, Showing]] = {}  # showing → its state, and when it was asked
    tick = (times or Times()).tick

    def citizen() -> Citizen:
        return citizens.get(session.get("account", "")) or abort(401)

    def showing_id() -> str:
        return shown.get(citizen().sub) or abort(404)

    def told(showing: Showing) -> Response:
        """A showing as the element reads it. 304 where it has it already."""
        who = {"sub": citizen().sub, "province": login.province}
        answer = jsonify({**showing.raw, "who": who, "server_time": wallet.server_now().isoformat()})
        answer.set_etag(f"{showing.showing_id}-{showing.version}")
        return make_response(answer.make_conditional(request))

    def lately(known: str) -> Showing:
        """The showing, asked of wallet_api at most once a second; what the citizen just did is seen at once."""
        at, showing = kept.get(known, (float("-inf"), None))
        if showing is None or tick() - at >= KEPT_S:
            at, showing = kept[known] = tick(), wallet.showing(known)
        return showing

    def signed_in(device: Mapping[str, str]) -> str:
        """A fresh login assertion of whoever is signed in, for the key of their phone."""
        person, now = citizen(), wallet.server_now()
        # Let the person unlock the app here (face, fingerprint, PIN): auth_time is when they did, at most 60 s ago.
        return login.assertion(
            sub=person.sub, name=person.name, id_number=person.id_number, device=device, auth_time=now, now=now
        )

    @app.post("/wallet/show")
    def show() -> Response:
        showing = wallet.open_showing(signed_in(request.get_json()["device"]))
        shown[citizen().sub] = showing.showing_id
        return told(showing)

    @app.get("/wallet/state")
    def state() -> Response:
        known = shown.get(citizen().sub)
        return told(lately(known)) if known else jsonify({"state": "NONE"})

    @app.get("/wallet/code")
    def code() -> ResponseReturnValue:
        form = request.args.get("form", "svg")  # the element wants it drawn; an app of your own may draw the text
        found = wallet.code(showing_id(), {"text": Form.TEXT, "png": Form.PNG}.get(form, Form.SVG))
        content = b64encode(found.content).decode() if form == "png" else found.text
        member = {"text": "code", "png": "picture"}.get(form, "svg")
        return {member: content, "refresh_in": found.refresh_in, "server_time": found.server_time.isoformat()}

    @app.post("/wallet/twin")
    def twin() -> ResponseReturnValue:
        made = wallet.twin(showing_id())
        return {"spaced": made.spaced, "expires_in": made.expires_in}

    @app.post("/wallet/counter")
    def read_counter() -> ResponseReturnValue:
        came[citizen().sub] = wallet.read_counter(showing_id(), request.get_json()["counter"])
        return {}

    @app.get("/wallet/counter")
    def see_counter() -> ResponseReturnValue:
        taken = wallet.counter_taken(showing_id(), came.get(citizen().sub) or abort(404))
        return {"state": "TAKEN" if taken else "PENDING"}

    @app.post("/wallet/offer")
    def ask_offer() -> ResponseReturnValue:
        asked = request.get_json()
        offered[citizen().sub] = wallet.ask_offer(**{name: asked[name] for name in ("desk", "unit", "matter", "type")})
        return {}

    @app.get("/wallet/offer")
    def offer() -> ResponseReturnValue:
        found = wallet.offer(offered.get(citizen().sub) or abort(404))
        if found.offer:
            read[found.offer.digest] = found.offer
        units = None if found.units is None else [asdict(each) for each in found.units]
        return {"done": found.done, "units": units, "offer": found.offer and dict(found.offer.raw)}

    @app.post("/wallet/certificates")
    def ask_certificates() -> ResponseReturnValue:
        sought[citizen().sub] = wallet.look_up(signed_in(request.get_json()["device"])).lookup_id
        return {}

    @app.get("/wallet/certificates")
    def certificates() -> ResponseReturnValue:
        found = wallet.lookup(sought.get(citizen().sub) or abort(404))
        return {"holdings": found.holdings and asdict(found.holdings)}

    def standing_now() -> ResponseReturnValue:
        mine = stood.get(showing_id())
        if mine is None or wallet.server_now() >= mine.until:
            return {"stands": False}
        words = read.get(mine.offer)
        names = {"unit": asdict(words.unit_name), "matter": asdict(words.matter_name)} if words else {}
        return {"stands": True, "until": mine.until.isoformat(), **names}

    @app.put("/wallet/standing")
    def stand() -> ResponseReturnValue:
        standing = request.get_json()["standing"]
        wallet.stand(showing_id(), standing)
        # wallet_api has checked it; it is worth something until the end that the phone signed, 15 minutes at most.
        signed = jwt.decode(standing, options={"verify_signature": False})
        stood[showing_id()] = Stood(datetime.fromtimestamp(signed["exp"], UTC), signed["offer"])
        return standing_now()

    @app.get("/wallet/standing")
    def stands() -> ResponseReturnValue:
        return standing_now()

    @app.delete("/wallet/standing")
    def take_back() -> ResponseReturnValue:
        wallet.take_back(showing_id())
        stood.pop(showing_id(), None)
        return standing_now()

    @app.get("/wallet/sheet")
    def sheet() -> ResponseReturnValue:
        return dict(wallet.request_to_approve(showing_id()).raw)

    @app.post("/wallet/answer")
    def answer() -> ResponseReturnValue:
        wallet.answer(showing_id(), request.get_json()["approval"])
        kept.pop(showing_id(), None)
        return {}

    @app.post("/wallet/withdrawal")
    def withdrawal() -> ResponseReturnValue:
        wallet.withdraw(showing_id(), request.get_json()["approval"])
        kept.pop(showing_id(), None)
        return {}

    @app.post("/wallet/close")
    def close() -> ResponseReturnValue:
        wallet.close(showing_id())
        kept.pop(showing_id(), None)
        return {}

    @app.get("/wallet/receipt")
    def receipt() -> ResponseReturnValue:
        return {"receipt": wallet.receipt(showing_id())}

    @app.post("/wallet/history")
    def look_back() -> ResponseReturnValue:
        asked = request.get_json()
        looked[citizen().sub] = wallet.look_back(signed_in(asked["device"]), earlier=asked["earlier"])
        return {}

    @app.get("/wallet/history")
    def history() -> ResponseReturnValue:
        look = looked.get(citizen().sub) or abort(404)
        found = wallet.whole_history(look)
        entries = [dict(each.raw) for each in found.entries]
        return {"done": found.done, "entries": entries, "silent": found.silent, "earlier": found.earlier}

    @app.post("/wallet/objection")
    def object_to() -> ResponseReturnValue:
        said = request.get_json()
        holder = signed_in(said["device"])
        mine = wallet.object_to(said["entry"], holder, kind=said["kind"], text=said["text"])
        objected[citizen().sub] = mine.objection_id
        return {}

    @app.get("/wallet/objection")
    def objection() -> ResponseReturnValue:
        return {"number": wallet.objection(objected.get(citizen().sub) or abort(404)).number}

    @app.errorhandler(WalletError)
    def tell(problem: WalletError) -> ResponseReturnValue:
        return problem.to_json(), problem.status or 503

    @app.post("/webhook")
    def hear() -> ResponseReturnValue:
        try:
            message = webhook.verify(request.headers, request.get_data(), [webhook_secret])
        except WebhookRefused:
            abort(400)
        if message.message_id not in heard:
            heard.add(message.message_id)
            news.setdefault(message.showing_id, News()).hear(message)
        return "", 204

    @app.get("/wallet/news")
    def tell_news() -> ResponseReturnValue:
        mine = showing_id()
        return {"showing_id": mine, **asdict(news.get(mine, News()))}

    @app.get("/static/huzheng-code.<ending>")
    def element(ending: str) -> Response:
        return send_from_directory(HERE.parent / "js", f"huzheng-code.{ending}")

    @app.get("/")
    def page() -> str:
        return render_template("page.html", account=session.get("account"), citizens=citizens, look=request.args)

    @app.post("/sign-in")
    def sign_in() -> ResponseReturnValue:
        session["account"] = request.form["account"]
        return redirect("/?" + request.query_string.decode())

    @app.after_request
    def guard(answer: Response) -> Response:
        answer.headers["Content-Security-Policy"] = "default-src 'self'; style-src 'self'; frame-ancestors 'none'"
        answer.headers.setdefault("Cache-Control", "no-store")
        return answer

    return app


if __name__ == "__main__":
    at = os.environ
    create_app(
        Wallet(at["WALLET_URL"], at["CLIENT_ID"], Path(at["CLIENT_KEY"]).read_text()),
        Login(at["APP"], at["PROVINCE"], Path(at["LOGIN_KEY"]).read_text(), at["RECIPIENT"]),
        {"zhang-wei": Citizen(sub=secrets.token_urlsafe(16), name="张伟", id_number="310199199002030176")},
        webhook_secret=at["WEBHOOK_SECRET"],
    ).run(port=8080)
