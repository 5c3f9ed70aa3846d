"""The door for whoever reads the interface: /openapi.json, /docs (Swagger UI) and the page behind each problem.

Every file comes from this machine: Swagger UI's own from the `flask-swagger-ui` package, ours from static/. The
page asks nothing of the outside and runs no script that stands inside a page.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from importlib.resources import files
from typing import Any, Final

from flask import Response, make_response, request
from marshmallow import Schema, fields
from werkzeug.exceptions import NotFound

from consent.errors import Reason
from consent.telling import reason_page
from wallet_api.doors.frame import JSON, offers
from wallet_api.doors.guards import requires_nothing
from wallet_api.doors.problems import BothLanguages, Door

_POLICY: Final = (
    "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; object-src 'none'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_FILES: Final[Mapping[str, tuple[str, str]]] = {
    "swagger-ui.css": ("flask_swagger_ui", "text/css; charset=utf-8"),
    "swagger-ui-bundle.js": ("flask_swagger_ui", "text/javascript; charset=utf-8"),
    "favicon-32x32.png": ("flask_swagger_ui", "image/png"),
    "docs.js": ("wallet_api.doors", "text/javascript; charset=utf-8"),
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


def documents_door(description: Callable[[], Mapping[str, Any]]) -> Door:
    """`description` gives the OpenAPI document, once all doors are there."""
    door = Door("documents", __name__, description="The interface, described")

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

    @door.route("/problems/<code>")
    @requires_nothing
    @door.response(200, ReasonPage)
    @door.doc(operationId="readProblem")
    def problem(code: str) -> dict[str, Any]:
        """What a problem means, for everybody who may meet it"""
        if code not in Reason.__members__:
            raise NotFound
        return reason_page(Reason(code))

    return door


def _kept(answer: Response) -> Response:
    """May be kept, and asked about by its ETag: nothing personal."""
    answer.headers["Cache-Control"] = "public, max-age=3600"
    answer.add_etag()
    return make_response(answer.make_conditional(request))
