"""The pages themselves, their files, and how a failure looks on a phone.

`phone_blueprint` is the whole phone of one province as a blueprint for `create_app(…, pages=[…])`. It exists in the
sandbox only. A page for people answers a failure with a page, the JSON behind it with a problem document (RFC 9457) for
the citizen.

Without script there is no device key, so nobody can agree; what is left is the code, as a still picture that is good for
sixty seconds, with a button for the next one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from importlib.resources import files
from typing import Any, Final

from flask import Blueprint, Response, g, make_response, redirect, render_template, request, url_for
from werkzeug.exceptions import NotFound

from consent.clock import Clock
from consent.envelope import Recipient
from consent.errors import Reason, Refusal, Unavailable, row
from consent.keys import SigningKey
from consent.provinces import province as province_of
from consent.provinces import provinces
from consent.sentences import Audience, Lang
from consent.telling import PROBLEM_TYPE, problem_of
from wallet_api import picture
from wallet_api.doors.frame import offers, takes
from wallet_api.doors.guards import requires_nothing
from wallet_api.pages.backend import Backend, add_backend, showings
from wallet_api.pages.beforehand import add_beforehand
from wallet_api.pages.codes import add_codes
from wallet_api.pages.current import add_current
from wallet_api.pages.entrance import Entrance
from wallet_api.pages.login import Login
from wallet_api.pages.own_code import add_own_code
from wallet_api.pages.past import add_past
from wallet_api.pages.screens import OwnCodes, Screens
from wallet_api.pages.sessions import Session, Sessions
from wallet_api.pages.words import texts, told
from wallet_api.personas import Persona

LOOK: Final = "huzheng-look"  # the cookie with language and size; the scripts write it, so it is readable there

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_KINDS: Final = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}


def phone_blueprint(
    *,
    province: str,
    login_key: SigningKey,
    inner: Recipient,
    personas: Mapping[str, Persona],
    phones: Mapping[str, str],
    clock: Clock,
    sandbox: bool,
    own_code: Callable[[str], str] | None = None,
) -> Blueprint:
    """The phone of one province's app.

    `login_key` is the app's login key (its issuer is the app), `inner` the province's envelope key, `phones` the base
    URL of every province's wallet_api without a slash at the end, `own_code` has the app draw its own text for a showing
    (None where no app is plugged in). ValueError outside of the sandbox, and for a login key of another app.
    """
    if not sandbox:
        raise ValueError("the phone is a simulator and exists in the sandbox only")
    if login_key.issuer != province_of(province).app_id:
        raise ValueError("the login key is another app's")
    login = Login(province=province, key=login_key, inner=inner, personas=personas)
    entrance = Entrance(province=province, sessions=Sessions(), clock=clock)
    screens = Screens()
    backend = Backend(login=login, entrance=entrance, clock=clock, screens=screens, own_code=own_code is not None)
    blueprint = Blueprint("phone", __name__, url_prefix="/phone", template_folder="templates")
    _add_failures(blueprint, login)
    add_backend(blueprint, backend)
    add_codes(blueprint, backend)
    if own_code is not None:
        add_own_code(blueprint, backend, OwnCodes(draw=own_code, screens=screens))
    add_beforehand(blueprint, backend)
    add_past(blueprint, backend)
    add_current(blueprint, app=login.app, screens=screens, clock=clock)
    _add_pages(blueprint, backend, dict(phones))
    _add_files(blueprint)
    return blueprint


def _add_pages(blueprint: Blueprint, backend: Backend, phones: Mapping[str, str]) -> None:
    login, entrance, clock = backend.login, backend.entrance, backend.clock

    @blueprint.route("/")
    @requires_nothing
    @offers("text/html")
    def choose() -> Response:
        own = [each for each in login.personas.values() if each.province == login.province]
        apps = [{"row": each, "url": _address(phones, each.code, login.province)} for each in provinces().values()]
        return _page(login, "choose", personas=own, apps=apps)

    @blueprint.route("/certificates")
    @requires_nothing
    @offers("text/html")
    def certificates() -> Response:
        return _signed_in("certificates")

    @blueprint.route("/history")
    @requires_nothing
    @offers("text/html")
    def history() -> Response:
        return _signed_in("history")

    @blueprint.route("/show")
    @requires_nothing
    @offers("text/html")
    def show() -> Response:
        return _signed_in("show")

    @blueprint.route("/show", methods=["POST"])
    @entrance.requires_session
    @takes("application/x-www-form-urlencoded")
    @offers("text/html")
    def show_without_script(session: Session) -> Response:
        backend.show(session)
        return make_response(redirect(url_for("phone.show"), 303))

    @blueprint.route("/code.png")
    @entrance.requires_session
    @offers("image/png")
    def still_code(session: Session) -> Response:
        shown = showings().code(login.app, session.showing_id or "", now=clock.now())
        return Response(picture.png(shown.text), content_type="image/png")

    @blueprint.route("/<path:rest>")
    @requires_nothing
    @offers("text/html")
    def nowhere(rest: str) -> Response:
        raise Refusal(Reason.ROUTE_UNKNOWN)

    def _signed_in(name: str) -> Response:
        session = entrance.session()
        if session is None:
            return make_response(redirect(url_for("phone.choose"), 303))
        showing = backend.showing(session) if name == "show" else None
        answer = _page(login, name, tab=name, still=showing is not None and showing.state == "OPEN")
        if name == "show":  # the one page that may read a counter's code
            answer.headers["Permissions-Policy"] = "camera=(self), geolocation=(), microphone=()"
        return answer


def _add_files(blueprint: Blueprint) -> None:
    folder = files("wallet_api.pages").joinpath("static")
    known = {each.name: each.name.rpartition(".")[2] for each in folder.iterdir()}

    @blueprint.route("/static/<name>")
    @requires_nothing
    @offers(*(kind.partition(";")[0] for kind in _KINDS.values()))
    def static_file(name: str) -> Response:
        if known.get(name) not in _KINDS:
            raise NotFound
        return _kept(Response(folder.joinpath(name).read_bytes(), content_type=_KINDS[known[name]]))

    @blueprint.route("/texts/<lang>.json")
    @requires_nothing
    def dictionary(lang: str) -> Response:
        if lang not in set(Lang):
            raise NotFound
        return _kept(Response(json.dumps(dict(texts(Lang(lang))), ensure_ascii=False), content_type="application/json"))


def _add_failures(blueprint: Blueprint, login: Login) -> None:
    def fail(failure: Refusal | Unavailable) -> Response:
        if failure.detail:
            g.log.info("no" if isinstance(failure, Refusal) else "silent", code=failure.reason, why=failure.detail)
        if request.path.startswith("/phone/api/"):
            return _problem(failure)
        words = told(failure.reason, **failure.facts)
        answer = _page(login, "error", told=words)
        answer.status_code = row(failure.reason).http
        return answer

    blueprint.register_error_handler(Refusal, fail)
    blueprint.register_error_handler(Unavailable, fail)


def _problem(failure: Refusal | Unavailable) -> Response:
    problem = problem_of(failure, audience=Audience.CITIZEN, request_id=str(g.request_id))
    words = told(failure.reason, **failure.facts)
    text = json.dumps({**problem.body, "sentences": words["sentence"], "next": words["next"]}, ensure_ascii=False)
    return Response(text, problem.status, dict(problem.headers), content_type=PROBLEM_TYPE)


def _page(login: Login, name: str, **values: Any) -> Response:
    lang, big = _look()
    words = texts(lang)
    answer = make_response(
        render_template(
            f"phone/{name}.html",
            page=name,
            lang=lang.value,
            zh=lang is Lang.ZH_CN,
            big=big,
            t=words,
            home=province_of(login.province),
            **values,
        )
    )
    answer.headers["Content-Security-Policy"] = _POLICY
    answer.headers["Vary"] = "Cookie"
    return answer


def _look() -> tuple[Lang, bool]:
    """Language and size from the cookie, for instance "en.big"; Chinese and normal for anything else."""
    lang, _, size = request.cookies.get(LOOK, "").partition(".")
    return (Lang(lang) if lang in set(Lang) else Lang.ZH_CN), size == "big"


def _address(phones: Mapping[str, str], code: str, own: str) -> str | None:
    """Where another province's phone is; "" for the own one, None for one that nobody runs."""
    if code == own:
        return ""
    return f"{phones[code]}/phone/" if code in phones else None


def _kept(answer: Response) -> Response:
    answer.headers["Cache-Control"] = "no-cache"
    answer.add_etag()
    return make_response(answer.make_conditional(request))
