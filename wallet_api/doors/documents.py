"""The door for whoever reads the interface: /openapi.json, /docs (Swagger UI), /problems and the page behind each.

Every file comes from this machine: Swagger UI's own from the `flask-swagger-ui` package, ours from static/. The
pages ask nothing of the outside and run no script that stands inside a page; those of the problems run none at all.
They are drawn from the tables (`consent.errors`, `consent.sentences`, `causes`), in both languages side by side, so that
a link to one means the same to everybody.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache
from http import HTTPStatus
from importlib.resources import files
from typing import Any, Final

from flask import Response, make_response, render_template, request
from marshmallow import Schema, fields
from werkzeug.exceptions import NotFound

from consent.errors import Reason
from wallet_api.doors.causes import explained, said_by
from wallet_api.doors.frame import JSON, offers
from wallet_api.doors.guards import requires_nothing
from wallet_api.doors.problems import BothLanguages, Door

_POLICY: Final = (
    "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; object-src 'none'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_NO_SCRIPT: Final = (
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HTML: Final = "text/html"
_FILES: Final[Mapping[str, tuple[str, str]]] = {
    "swagger-ui.css": ("flask_swagger_ui", "text/css; charset=utf-8"),
    "swagger-ui-bundle.js": ("flask_swagger_ui", "text/javascript; charset=utf-8"),
    "favicon-32x32.png": ("flask_swagger_ui", "image/png"),
    "docs.js": ("wallet_api.doors", "text/javascript; charset=utf-8"),
    "problems.css": ("wallet_api.doors", "text/css; charset=utf-8"),
}


class ReasonPage(Schema):
    """One reason, for all audiences in both languages. `retry`: the same request may end differently later."""

    code = fields.String(required=True)
    status = fields.Integer(required=True)
    outcome = fields.String(required=True)
    retry = fields.Boolean(required=True)
    clause = fields.String(required=True)
    title = fields.Nested(BothLanguages, required=True)
    sentences = fields.Dict(fields.String(), fields.Nested(BothLanguages), required=True)
    next = fields.Dict(fields.String(), fields.Nested(BothLanguages), required=True)
    cause = fields.Nested(BothLanguages, required=True, metadata={"description": "Why it comes about"})
    vendor_does = fields.Nested(BothLanguages, required=True, metadata={"description": "What to do in a program"})


class ReasonList(Schema):
    """Every code that there is."""

    problems = fields.List(fields.Nested(ReasonPage), required=True)


def documents_door(description: Callable[[], Mapping[str, Any]]) -> Door:
    """`description` gives the OpenAPI document, once all doors are there."""
    door = Door("documents", __name__, description="The interface, described", template_folder="templates")
    operations = cache(lambda: said_by(description()))

    @door.route("/openapi.json")
    @requires_nothing
    @door.response(200, {"type": "object"})
    @door.doc(operationId="getDescription")
    def openapi() -> Response:
        """This description (OpenAPI 3.1)"""
        body = json.dumps(description(), ensure_ascii=False)
        return _kept(Response(body, content_type=JSON))

    @door.route("/docs")
    @requires_nothing
    @offers("text/html")
    @door.response(200, {"type": "string"}, content_type="text/html")
    @door.doc(operationId="readDescription")
    def docs() -> Response:
        """This description, to read and try"""
        page = files("wallet_api.doors").joinpath("static/docs.html").read_bytes()
        answer = Response(page, content_type="text/html; charset=utf-8")
        answer.headers["Content-Security-Policy"] = _POLICY
        return answer

    @door.route("/docs/<name>")
    @requires_nothing
    @offers("text/css", "text/javascript", "image/png", "*/*")
    @door.doc(
        operationId="getDocsFile",
        responses={200: {"description": "OK", "content": {kind: {"schema": {}} for _, kind in _FILES.values()}}},
    )
    def docs_file(name: str) -> Response:
        """A file of that page"""
        if name not in _FILES:
            raise NotFound
        package, kind = _FILES[name]
        folder = "static" if package == "wallet_api.doors" else "dist"
        return _kept(Response(files(package).joinpath(folder, name).read_bytes(), content_type=kind))

    @door.route("/problems")
    @requires_nothing
    @offers(JSON, _HTML)
    @door.response(200, ReasonList)
    @door.alt_response(200, content_type=_HTML, schema={"type": "string"}, success=True)
    @door.doc(operationId="listProblems")
    def problems() -> Response:
        """Every code, to read or as JSON"""
        pages = [explained(reason) for reason in Reason]
        if _reads():
            return _page("index", pages=pages)
        return _kept(Response(json.dumps({"problems": pages}, ensure_ascii=False), content_type=JSON))

    @door.route("/problems/<code>")
    @requires_nothing
    @offers(JSON, _HTML)
    @door.response(200, ReasonPage)
    @door.alt_response(200, content_type=_HTML, schema={"type": "string"}, success=True)
    @door.doc(operationId="readProblem")
    def problem(code: str) -> Response:
        """What a problem means, for everybody who may meet it

        JSON, or a page to read where Accept prefers text/html. This is where the `type` of a problem leads.
        """
        if code not in Reason.__members__:
            raise NotFound
        page = explained(Reason(code))
        if _reads():
            phrase = HTTPStatus(page["status"]).phrase
            return _page("one", page=page, phrase=phrase, operations=operations().get(code, []))
        return _kept(Response(json.dumps(page, ensure_ascii=False), content_type=JSON))

    return door


def _reads() -> bool:
    """Whether a browser asks, and not a program."""
    return request.accept_mimetypes.best_match((JSON, _HTML)) == _HTML


def _page(name: str, **values: Any) -> Response:
    answer = Response(render_template(f"problems/{name}.html", **values), content_type=f"{_HTML}; charset=utf-8")
    answer.headers["Content-Security-Policy"] = _NO_SCRIPT
    return _kept(answer)


def _kept(answer: Response) -> Response:
    """May be kept, and asked about by its ETag: nothing personal."""
    answer.headers["Cache-Control"] = "public, max-age=3600"
    answer.headers["Vary"] = "Accept"
    answer.add_etag()
    return make_response(answer.make_conditional(request))
