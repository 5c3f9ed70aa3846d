"""Every failure as a problem document (RFC 9457), documented as such, with its headers kept.

flask-smorest by itself documents errors as application/json and drops the headers of an HTTPException, such
as Allow on 405. `ProblemApi` mends both. Its parser reads JSON as strictly as documents are read (no
duplicate members, no floats): what two readers could read in two ways is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from flask import Flask, Response, g, json, request
from flask_smorest import Api, Blueprint
from marshmallow import Schema, fields
from webargs.flaskparser import FlaskParser
from werkzeug.exceptions import HTTPException

from consent.errors import Reason, Refusal, Unavailable
from consent.seal import strict_json
from consent.sentences import Audience
from consent.telling import PROBLEM_TYPE, Problem, failure_of_status, problem_of

_DEPTH: Final = 3
_MEMBERS: Final = 16
_MOST_ERRORS: Final = 16


class BothLanguages(Schema):
    """The same in Chinese and English."""

    zh = fields.String(required=True)
    en = fields.String(required=True)


class FieldError(Schema):
    """One member of the body that does not fit."""

    pointer = fields.String(required=True, metadata={"description": "JSON pointer (RFC 6901)"})
    message = fields.String(required=True)


class ProblemSchema(Schema):
    """A problem document (RFC 9457)."""

    type = fields.String(required=True, metadata={"description": "Where the problem is explained; a path here"})
    title = fields.String(required=True)
    status = fields.Integer(required=True)
    detail = fields.String(required=True)
    code = fields.String(required=True, metadata={"description": "The reason; stable for ever"})
    request_id = fields.String(required=True, metadata={"description": "Name it when you ask for help"})
    sentences = fields.Nested(BothLanguages, required=True)
    next = fields.Nested(BothLanguages, required=True)
    clause = fields.String(required=True, metadata={"description": "The sentence of the notice, or empty"})
    facts = fields.Dict(required=True, metadata={"description": "What the sentences were filled with"})
    errors = fields.List(fields.Nested(FieldError))
    error = fields.String(metadata={"description": "RFC 8628's name for it, while a window is enrolled"})


class StrictParser(FlaskParser):
    """Reads JSON bodies strictly; anything that is not one JSON object is BODY_MALFORMED."""

    def load_json(self, req: Any, schema: Schema) -> Any:
        """The body as Python values."""
        try:
            found = strict_json(req.get_data(cache=True), depth=_DEPTH, members=_MEMBERS)
        except Refusal as problem:
            raise Refusal(Reason.BODY_MALFORMED, detail=problem.detail) from problem
        if not isinstance(found, dict):
            raise Refusal(Reason.BODY_MALFORMED, detail="not a JSON object")
        return found


class Door(Blueprint):
    """A blueprint whose bodies are read strictly."""

    ARGUMENTS_PARSER = StrictParser()


class ProblemApi(Api):
    """flask-smorest with problems for errors. `audience` is who reads them at these doors."""

    ERROR_SCHEMA = ProblemSchema

    def __init__(self, app: Flask, *, audience: Audience, spec_kwargs: Mapping[str, Any]) -> None:
        self._audience = audience
        super().__init__(app, spec_kwargs=dict(spec_kwargs))
        app.register_error_handler(Refusal, self._tell)
        app.register_error_handler(Unavailable, self._tell)
        app.register_error_handler(Exception, self._tell_fault)

    def _register_responses(self) -> None:
        usual, self.DEFAULT_RESPONSE_CONTENT_TYPE = self.DEFAULT_RESPONSE_CONTENT_TYPE, PROBLEM_TYPE
        try:
            super()._register_responses()
        finally:
            self.DEFAULT_RESPONSE_CONTENT_TYPE = usual

    def handle_http_exception(self, error: HTTPException) -> Response:
        """Whatever Flask, Werkzeug or webargs raised by themselves."""
        if error.response is not None or (error.code or 500) < 400:
            return error.get_response()  # type: ignore[return-value]  # a redirect, or an answer made elsewhere
        data: Mapping[str, Any] = getattr(error, "data", {})
        headers = {name: value for name, value in error.get_headers() if name.lower() != "content-type"}
        return self._answer(
            problem_of(
                failure_of_status(error.code or 500),
                audience=self._audience,
                request_id=_request_id(),
                errors=_field_errors(data.get("messages", {})),
                headers=headers,
            )
        )

    def _tell(self, failure: Refusal | Unavailable) -> Response:
        if failure.detail:
            g.log.info("no" if isinstance(failure, Refusal) else "silent", code=failure.reason, why=failure.detail)
        told = problem_of(failure, audience=self._audience, request_id=_request_id())
        return self._answer(told)

    def _tell_fault(self, fault: Exception) -> Response:
        g.log.error("fault", exc_info=fault, route=request.url_rule.rule if request.url_rule else None)
        return self._tell(Unavailable(Reason.INTERNAL))

    @staticmethod
    def _answer(problem: Problem) -> Response:
        body = json.dumps(problem.body, ensure_ascii=False)
        return Response(body, problem.status, dict(problem.headers), content_type=PROBLEM_TYPE)


def _request_id() -> str:
    return str(g.request_id)


def _field_errors(messages: Any) -> Sequence[Mapping[str, str]]:
    """webargs' {"json": {"holder": ["Missing data…"]}} as a flat list."""
    found: list[Mapping[str, str]] = []

    def walk(node: Any, pointer: str) -> None:
        if isinstance(node, Mapping):
            for name, each in node.items():
                walk(each, f"{pointer}/{str(name).replace('~', '~0').replace('/', '~1')}")
        else:
            found.extend({"pointer": pointer, "message": str(each)} for each in node)

    for location in messages.values() if isinstance(messages, Mapping) else ():
        walk(location, "")
    return found[:_MOST_ERRORS]
