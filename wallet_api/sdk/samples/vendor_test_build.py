"""The sample's test build: vendor_app.py with the addresses of docs/conformance.md in front of it.

    python vendor_test_build.py 8090      and, in another terminal:  wallet-api conformance http://127.0.0.1:8090

Each address signs the account in, as a phone would, and asks the sample's own address for it. Nothing of this belongs into what
you ship, because whoever can call these addresses can sign in as anybody.
"""

from __future__ import annotations

import secrets
import sys
from collections.abc import Mapping
from typing import Any

from flask import Flask, Response, request
from flask.testing import FlaskClient
from flask.typing import ResponseReturnValue
from huzheng_wallet import Login, Times, Wallet
from vendor_app import Citizen, create_app  # type: ignore[import-not-found]  # found beside this file, when it is started

PATIENCE_S = 8.0  # before the phone is told that there is no answer
ADDRESSES = {  # /conformance/… → the method and the address of the sample
    "show": ("POST", "/wallet/show"),
    "state": ("GET", "/wallet/state"),
    "code": ("GET", "/wallet/code"),
    "sheet": ("GET", "/wallet/sheet"),
    "answer": ("POST", "/wallet/answer"),
    "withdraw": ("POST", "/wallet/withdrawal"),
    "receipt": ("GET", "/wallet/receipt"),
    "twin": ("POST", "/wallet/twin"),
    "look": ("POST", "/wallet/history"),
    "history": ("GET", "/wallet/history"),
    "inquire": ("POST", "/wallet/offer"),
    "offer": ("GET", "/wallet/offer"),
    "stand": ("PUT", "/wallet/standing"),
    "standing": ("GET", "/wallet/standing"),
    "takeback": ("DELETE", "/wallet/standing"),
    "heard": ("GET", "/wallet/news"),
}


def sample(told: Mapping[str, Any], times: Times) -> Flask:
    """The sample with the addresses, keys and people of this run."""
    wallet = Wallet(told["wallet_url"], told["client_id"], told["client_key"], patience_s=PATIENCE_S, times=times)
    citizens = {
        each["account"]: Citizen(sub=secrets.token_urlsafe(16), name=each["name"], id_number=each["id_number"])
        for each in told["citizens"]
    }
    login = Login(told["app"], told["province"], told["login_key"], told["recipient"])
    app: Flask = create_app(wallet, login, citizens, webhook_secret=told["webhook_secret"], times=times)
    return app


def create_test_build(times: Times | None = None) -> Flask:
    """All addresses; `begin` makes a new sample, which has forgotten everything."""
    app = Flask("vendor_test_build", static_folder=None)
    running: list[Flask] = []

    @app.post("/conformance/begin")
    def begin() -> ResponseReturnValue:
        running[:] = [sample(request.get_json(), times or Times())]
        return {}

    @app.post("/conformance/webhook")
    def hear() -> ResponseReturnValue:
        return running[0].test_client().post("/webhook", data=request.get_data(), headers=dict(request.headers))

    @app.post("/conformance/<verb>")
    def ask(verb: str) -> ResponseReturnValue:
        if verb not in ADDRESSES:
            return {}, 404
        body = request.get_json()
        method, path = ADDRESSES[verb]
        form = {"form": body["form"]} if "form" in body else {}
        client = signed_in(running[0], body["account"])
        answer = client.open(path, method=method, query_string=form, json=_sent(body))
        if verb in ("sheet", "offer") and answer.status_code == 200:
            return {**answer.get_json(), "ticked": []}  # static/huzheng-code.js ticks no box
        return Response(answer.get_data(), answer.status_code, content_type=answer.content_type)

    return app


def signed_in(app: Flask, account: str) -> FlaskClient:
    """A phone with a session of its own."""
    client = app.test_client()
    client.post("/sign-in", data={"account": account})
    return client


def _sent(body: Mapping[str, Any]) -> dict[str, Any]:
    """What the element would send: without the account, which is in the session."""
    return {"earlier": None, **{name: value for name, value in body.items() if name not in ("account", "form")}}


if __name__ == "__main__":
    create_test_build().run(port=int(sys.argv[1]) if len(sys.argv) > 1 else 8090, threaded=True)
