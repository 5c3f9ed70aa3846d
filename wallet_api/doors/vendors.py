"""The door of the apps' servers: /oauth/token and /v1.

Reading order: token · open, state, close · code · request, approval, withdrawal, receipt · lookups. Every answer
of this door is for one app; the app comes from the token, never from the request.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from flask import Response, g, make_response, request
from sqlalchemy import Connection

from consent.clock import Clock, rfc3339
from consent.code import Form
from consent.errors import Reason, Refusal
from wallet_api import picture
from wallet_api.doors import schemas
from wallet_api.doors.codes import CLIENT_TIME
from wallet_api.doors.frame import JSON, offers, takes
from wallet_api.doors.guards import RequiresVendor, requires_nothing
from wallet_api.doors.once import KEY_HEADER, ONCE, OnceOnly
from wallet_api.doors.problems import Door
from wallet_api.doors.says import BODY, DOCUMENT, says
from wallet_api.limits import Limits
from wallet_api.showings import Opening, Showings
from wallet_api.skew import HEADER, naming_skew, read_client_time, skew_seconds
from wallet_api.vendors import Caller
from wallet_api.vendors.oauth import ASSERTION_TYPE, TokenEndpoint

_IF_NONE_MATCH: Final = {
    "name": "If-None-Match",
    "in": "header",
    "required": False,
    "description": "The ETag of the last answer: nothing new is 304",
    "schema": {"type": "string"},
}
_FORMS: Final = (Form.CODE.value, Form.SIMPLE.value)
_FORM: Final = {
    "name": "form",
    "in": "query",
    "required": False,
    "description": "The signed code, or the simple one",
    "schema": {"type": "string", "enum": list(_FORMS), "default": Form.CODE.value},
}
_TEXT: Final = "text/plain"
_PNG: Final = "image/png"
_SVG: Final = "image/svg+xml"
_BINARY: Final[Mapping[str, dict[str, Any]]] = {
    _TEXT: {"type": "string", "example": "YRD1:…"},
    _PNG: {"type": "string", "format": "binary"},
    _SVG: {"type": "string"},
}
_TOKEN_FORM: Final = {
    "schema": {
        "type": "object",
        "required": ["grant_type", "client_assertion_type", "client_assertion"],
        "properties": {
            "grant_type": {"type": "string", "enum": ["client_credentials"]},
            "client_assertion_type": {"type": "string", "enum": [ASSERTION_TYPE]},
            "client_assertion": {"type": "string", "maxLength": 2000, "description": "RFC 7523, ES256 or Ed25519"},
            "scope": {"type": "string", "description": "Some of your scopes; all of them when left out"},
        },
    },
    "example": {
        "grant_type": "client_credentials",
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": "eyJhbGciOiJFUzI1NiIs…",
    },
}
_TOKEN: Final = {
    "type": "object",
    "required": ["access_token", "token_type", "expires_in", "scope"],
    "properties": {
        "access_token": {"type": "string"},
        "token_type": {"type": "string", "enum": ["Bearer"]},
        "expires_in": {"type": "integer", "description": "Seconds"},
        "scope": {"type": "string"},
    },
}
_TOKEN_EXAMPLE: Final = {
    "access_token": "n0VxYk2…",
    "token_type": "Bearer",
    "expires_in": 600,
    "scope": "showings:write showings:read",
}
_OAUTH_ERROR: Final = {
    "type": "object",
    "required": ["error"],
    "properties": {"error": {"type": "string"}, "error_description": {"type": "string"}},
}
_DOCUMENT: Final = (*DOCUMENT, Reason.CLOCK_SKEW)
_ONCE: Final = (*ONCE, Reason.DOCUMENT_REPLAYED)


def token_door(endpoint: TokenEndpoint, limits: Limits) -> Door:
    """Where vendors get their tokens."""
    door = Door("tokens", __name__, description="Tokens for vendors' servers (RFC 6749, RFC 7523)")

    @door.route("/oauth/token", methods=["POST"])
    @requires_nothing
    @takes(None)  # the endpoint says by itself, in OAuth's words, what it cannot read
    @door.doc(
        operationId="getToken",
        requestBody={"required": True, "content": {"application/x-www-form-urlencoded": _TOKEN_FORM}},
        responses={
            200: {"description": "A token", "content": {JSON: {"schema": _TOKEN, "example": _TOKEN_EXAMPLE}}},
            400: {"description": "RFC 6749 §5.2", "content": {JSON: {"schema": _OAUTH_ERROR}}},
            401: {"description": "invalid_client", "content": {JSON: {"schema": _OAUTH_ERROR}}},
        },
    )
    @says(Reason.TOO_MANY, Reason.TOO_LARGE)
    def get_token() -> Response:
        """Get an access token

        Client credentials with private_key_jwt. The token lives for ten minutes; get a new one then.
        """
        g.limited = limits.token(request.remote_addr or "-")
        return endpoint.answer(request)

    return door


def showing_door(showings: Showings, once_only: OnceOnly, limits: Limits, vendor: RequiresVendor, clock: Clock) -> Door:
    """Showings and lookups."""
    door = Door("showings", __name__, url_prefix="/v1", description="Show a code, answer a request, look back")

    @door.route("/showings", methods=["POST"])
    @vendor("showings:write")
    @door.arguments(schemas.HolderBody)
    @door.response(201, schemas.OpenedSchema, description="The showing is open; an earlier one is ended")
    @door.doc(operationId="openShowing", parameters=[KEY_HEADER, CLIENT_TIME])
    @says(*BODY, *_DOCUMENT, *_ONCE, Reason.KEY_NOT_ALLOWED, Reason.TOO_MANY, Reason.STORE_UNAVAILABLE)
    def open_showing(caller: Caller, body: dict[str, str]) -> Response:
        """Open a showing

        Ten minutes in which the phone shows a code. Opening a new one ends the holder's earlier one.
        """
        openings: list[Opening] = []

        def prepare() -> Callable[[Connection], str]:
            now, told = clock.now(), _told()
            with naming_skew(told, now=now):
                holder = showings.admit(caller.app, body["holder"], now=now)
            g.limited = limits.opening(holder.app, holder.sub)

            def write(connection: Connection) -> str:
                openings.append(showings.open(connection, holder, now=now))
                view = schemas.showing_view(openings[-1].showing)
                return _json(schemas.OpenedSchema(), {**view, "clock_skew_seconds": skew_seconds(told, now=now)})

            return write

        answer = once_only(caller, 201, prepare)
        for opening in openings:
            showings.opened(opening.superseded)
        answer.headers["Location"] = f"/v1/showings/{json.loads(answer.get_data())['showing_id']}"
        return answer

    @door.route("/showings/<showing_id>")
    @vendor("showings:read")
    @door.response(200, schemas.ShowingSchema, headers={"ETag": {"schema": {"type": "string"}}})
    @door.doc(operationId="getShowing", parameters=[_IF_NONE_MATCH], responses={304: {"description": "As before"}})
    @says(Reason.SHOWING_UNKNOWN, Reason.STORE_UNAVAILABLE)
    def get_showing(caller: Caller, showing_id: str) -> Response:
        """See the state of a showing

        Poll it every second or two with If-None-Match; the answer never waits.
        """
        showing = showings.state(caller.app, showing_id, now=clock.now())
        body = _json(schemas.ShowingSchema(), schemas.showing_view(showing))
        return _tagged(Response(body, content_type=JSON), str(showing.version))

    @door.route("/showings/<showing_id>", methods=["DELETE"])
    @vendor("showings:write")
    @door.response(204, description="No code is shown any more")
    @door.doc(operationId="closeShowing")
    @says(Reason.SHOWING_UNKNOWN, Reason.STATE_FORBIDS, Reason.STORE_UNAVAILABLE)
    def close_showing(caller: Caller, showing_id: str) -> Response:
        """Put the code away

        Ends an open showing. One that a counter has asked about is answered (declined), not closed.
        """
        showings.close(caller.app, showing_id, now=clock.now())
        return Response(status=204)

    @door.route("/showings/<showing_id>/code")
    @vendor("showings:read")
    @offers(JSON, _TEXT, _PNG, _SVG)
    @door.response(200, schemas.CodeSchema)
    @door.alt_response(200, content_type=_TEXT, schema=_BINARY[_TEXT], success=True)
    @door.alt_response(200, content_type=_PNG, schema=_BINARY[_PNG], success=True)
    @door.alt_response(200, content_type=_SVG, schema=_BINARY[_SVG], success=True)
    @door.doc(
        operationId="getCode",
        parameters=[_FORM, _IF_NONE_MATCH, CLIENT_TIME],
        responses={304: {"description": "As before"}},
    )
    @says(
        Reason.BODY_INVALID,
        Reason.SHOWING_UNKNOWN,
        Reason.SHOWING_CLOSED,
        Reason.CODE_EXPIRED,
        Reason.NOT_ACCEPTABLE,
        Reason.STORE_UNAVAILABLE,
    )
    def get_code(caller: Caller, showing_id: str) -> Response:
        """Get the code to show now

        As JSON, as text, or drawn (PNG, SVG), by Accept. Ask again after `refresh_in` seconds (header
        Refresh-In), by the server's time and not by the phone's. `form=simple` is for a phone or a scanner that cannot
        manage the full code: fewer and larger modules, and a counter that must be online.
        """
        now, form = clock.now(), _form()
        skew = skew_seconds(_told(), now=now)
        shown = showings.code(caller.app, showing_id, now=now, form=form)
        kind = request.accept_mimetypes.best_match([JSON, _TEXT, _PNG, _SVG], default=JSON)
        drawn: dict[str, Callable[[], str | bytes]] = {
            JSON: lambda: _json(schemas.CodeSchema(), schemas.code_view(shown, rfc3339(now), skew)),
            _TEXT: lambda: shown.text,
            _PNG: lambda: picture.png(shown.text),
            _SVG: lambda: picture.svg(shown.text),
        }
        answer = Response(drawn[kind](), content_type=kind)
        answer.headers["Refresh-In"] = str(shown.refresh_in)
        answer.headers["Vary"] = "Accept"
        if skew is not None:
            answer.headers["Clock-Skew-Seconds"] = str(skew)
        # JSON also says what time it is, which changes while the code does not.
        return answer if kind == JSON else _tagged(answer, f"{shown.slice}-{form}-{kind.rpartition('/')[2]}")

    @door.route("/showings/<showing_id>/request")
    @vendor("showings:read")
    @door.response(200, schemas.SheetSchema, headers={"ETag": {"schema": {"type": "string"}}})
    @door.doc(operationId="getRequest", parameters=[_IF_NONE_MATCH], responses={304: {"description": "As before"}})
    @says(Reason.SHOWING_UNKNOWN, Reason.REQUEST_UNKNOWN, Reason.STORE_UNAVAILABLE)
    def get_request(caller: Caller, showing_id: str) -> Response:
        """Read what the counter asks for

        The sheet, and the certificates to choose from. `holdings` is null while the libraries are asked.
        """
        showing = showings.sheet(caller.app, showing_id, now=clock.now())
        body = _json(schemas.SheetSchema(), schemas.sheet_view(showing))
        return _tagged(Response(body, content_type=JSON), str(showing.version))

    @door.route("/showings/<showing_id>/approval", methods=["POST"])
    @vendor("showings:write")
    @door.arguments(schemas.ApprovalBody)
    @door.response(202, schemas.TakenSchema, description="Taken; poll the showing")
    @door.doc(operationId="answerRequest", parameters=[CLIENT_TIME])
    @says(
        *BODY,
        *_DOCUMENT,
        Reason.SHOWING_UNKNOWN,
        Reason.APPROVAL_MISMATCH,
        Reason.STATE_FORBIDS,
        Reason.STORE_UNAVAILABLE,
    )
    def answer_request(caller: Caller, body: dict[str, str], showing_id: str) -> dict[str, str]:
        """Hand in the citizen's answer

        Signed by the device key that the login assertion named. The same answer may be sent again; another one
        for the same request is refused.
        """
        now = clock.now()
        with naming_skew(_told(), now=now):
            digest = showings.approve(caller.app, showing_id, body["approval"], now=now)
        return {"showing_id": showing_id, "document": digest}

    @door.route("/showings/<showing_id>/withdrawal", methods=["POST"])
    @vendor("showings:write")
    @door.arguments(schemas.ApprovalBody)
    @door.response(202, schemas.TakenSchema, description="Taken; WITHDRAWN only once the library has confirmed")
    @door.doc(operationId="withdrawConsent", parameters=[CLIENT_TIME])
    @says(
        *BODY,
        *_DOCUMENT,
        Reason.SHOWING_UNKNOWN,
        Reason.APPROVAL_MISMATCH,
        Reason.STATE_FORBIDS,
        Reason.WITHDRAWAL_TOO_LATE,
        Reason.STORE_UNAVAILABLE,
    )
    def withdraw_consent(caller: Caller, body: dict[str, str], showing_id: str) -> dict[str, str]:
        """Withdraw a consent

        Possible until the certificate is delivered. Until the library has confirmed, the state is WITHDRAWING.
        """
        now = clock.now()
        with naming_skew(_told(), now=now):
            digest = showings.withdraw(caller.app, showing_id, body["approval"], now=now)
        return {"showing_id": showing_id, "document": digest}

    @door.route("/showings/<showing_id>/receipt")
    @vendor("showings:read")
    @door.response(200, schemas.ReceiptSchema)
    @door.doc(operationId="getReceipt")
    @says(Reason.SHOWING_UNKNOWN, Reason.RECEIPT_UNKNOWN, Reason.STORE_UNAVAILABLE)
    def get_receipt(caller: Caller, showing_id: str) -> dict[str, str]:
        """Get the citizen's receipt"""
        return {"receipt": showings.receipt(caller.app, showing_id)}

    @door.route("/certificates/lookups", methods=["POST"])
    @vendor("certificates:read")
    @door.arguments(schemas.HolderBody)
    @door.response(202, schemas.LookupSchema, description="The libraries are asked")
    @door.doc(operationId="lookUp", parameters=[KEY_HEADER, CLIENT_TIME])
    @says(*BODY, *_DOCUMENT, *_ONCE, Reason.KEY_NOT_ALLOWED, Reason.TOO_MANY, Reason.STORE_UNAVAILABLE)
    def look_up(caller: Caller, body: dict[str, str]) -> Response:
        """Ask which certificates a person has

        Asks all four provinces. The answer is there after some seconds and is kept for ten minutes.
        """

        def prepare() -> Callable[[Connection], str]:
            now = clock.now()
            with naming_skew(_told(), now=now):
                holder = showings.admit(caller.app, body["holder"], now=now)
            g.limited = limits.opening(holder.app, holder.sub)
            return lambda connection: _json(
                schemas.LookupSchema(), {"lookup_id": showings.look_up(connection, holder, now=now)}
            )

        answer = once_only(caller, 202, prepare)
        showings.opened()
        answer.headers["Location"] = f"/v1/certificates/lookups/{json.loads(answer.get_data())['lookup_id']}"
        return answer

    @door.route("/certificates/lookups/<lookup_id>")
    @vendor("certificates:read")
    @door.response(200, schemas.FoundSchema)
    @door.doc(operationId="getLookup")
    @says(
        Reason.REQUEST_UNKNOWN,
        Reason.LIBRARY_UNREACHABLE,
        Reason.STORE_UNAVAILABLE,
        *_DOCUMENT,
        Reason.ENVELOPE_UNREADABLE,
    )
    def get_lookup(caller: Caller, lookup_id: str) -> dict[str, Any]:
        """See which certificates were found"""
        return schemas.found_view(lookup_id, showings.looked_up(caller.app, lookup_id, now=clock.now()))

    return door


def _told() -> datetime | None:
    return read_client_time(request.headers.get(HEADER))


def _form() -> Form:
    text = request.args.get("form", Form.CODE.value)
    if text not in _FORMS:
        raise Refusal(Reason.BODY_INVALID, detail="form")
    return Form(text)


def _json(schema: Any, value: dict[str, Any]) -> str:
    return json.dumps(schema.dump(value), ensure_ascii=False)


def _tagged(answer: Response, tag: str) -> Response:
    """With an ETag; 304 without a body where the caller has it already."""
    answer.set_etag(tag)
    return make_response(answer.make_conditional(request))
