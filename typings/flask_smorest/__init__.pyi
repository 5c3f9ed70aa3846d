# flask-smorest ships no types; without these every decorated view would be untyped.
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, TypeVar

from apispec import APISpec
from flask import Blueprint as FlaskBlueprint
from flask import Flask, Response
from marshmallow import Schema
from webargs.flaskparser import FlaskParser
from werkzeug.exceptions import HTTPException

_F = TypeVar("_F", bound=Callable[..., Any])
_SchemaLike = Schema | type[Schema]

class Api:
    ERROR_SCHEMA: ClassVar[type[Schema]]
    DEFAULT_RESPONSE_CONTENT_TYPE: str
    spec: APISpec
    def __init__(self, app: Flask | None = None, *, spec_kwargs: dict[str, Any] | None = None) -> None: ...
    def register_blueprint(self, blp: FlaskBlueprint, **options: Any) -> None: ...
    def handle_http_exception(self, error: HTTPException) -> Response: ...
    def _register_responses(self) -> None: ...

class Blueprint(FlaskBlueprint):
    ARGUMENTS_PARSER: ClassVar[FlaskParser]
    def __init__(
        self, name: str, import_name: str, *, url_prefix: str | None = None, description: str = "", **options: Any
    ) -> None: ...
    def arguments(
        self, schema: _SchemaLike, *, location: str = "json", required: bool = True, **more: Any
    ) -> Callable[[Callable[..., Any]], Callable[..., Any]]: ...
    def response(
        self,
        status_code: int,
        schema: _SchemaLike | dict[str, Any] | None = None,
        *,
        content_type: str | None = None,
        description: str | None = None,
        example: Any = None,
        headers: Mapping[str, Any] | None = None,
    ) -> Callable[[Callable[..., Any]], Callable[..., Response]]: ...
    def alt_response(
        self,
        status_code: int,
        response: str | None = None,
        *,
        schema: _SchemaLike | dict[str, Any] | None = None,
        content_type: str | None = None,
        description: str | None = None,
        examples: Mapping[str, Any] | None = None,
        headers: Mapping[str, Any] | None = None,
        success: bool = False,
    ) -> Callable[[_F], _F]: ...
    @staticmethod
    def doc(**kwargs: Any) -> Callable[[_F], _F]: ...

abort: Callable[..., Any]
__all__: Sequence[str]
