"""Window enrolment for kiosks (RFC 8628, in JSON): ask with a key of your own, poll until an administrator has answered.

Open to everybody, because who asks is nobody yet: each call is judged by the proof in its body, and what it can bring about is
one more line in an administrator's list, of which few may wait. See `verifier.enrolment`.

Noes of the token route are problem documents like all others, with RFC 8628's own name beside them as `error`.
"""

from __future__ import annotations

import json
from typing import Any, Final

from flask import Response, g, request
from marshmallow import Schema, fields, validate

from consent.clock import Clock
from consent.enrolment import ENROLMENT, GRANT_TYPE, INTERVAL_S, LIFE
from consent.errors import Reason, Refusal
from consent.sentences import Audience
from consent.telling import PROBLEM_TYPE, problem_of
from verifier.doors.guards import requires_nothing
from verifier.doors.problems import Door
from verifier.doors.says import PROOF, says
from verifier.enrolment import Enrolments

_BODY: Final = (
    Reason.BODY_MALFORMED,
    Reason.BODY_INVALID,
    Reason.MEDIA_TYPE,
    Reason.TOO_LARGE,
    *PROOF,
)
_OAUTH: Final = (
    Reason.INVALID_GRANT,
    Reason.AUTHORIZATION_PENDING,
    Reason.SLOW_DOWN,
    Reason.ACCESS_DENIED,
    Reason.EXPIRED_TOKEN,
)


def _text(most: int, **more: Any) -> fields.String:
    return fields.String(required=True, validate=validate.Length(min=1, max=most), metadata=more)


class JwkBody(Schema):
    """A public key, Ed25519 or P-256, with exactly its required members (RFC 7517, RFC 8037)."""

    kty = _text(8, example="EC")
    crv = _text(8, example="P-256")
    x = _text(64)
    y = fields.String(validate=validate.Length(min=1, max=64))


class AuthorizationBody(Schema):
    """A key that was made on the kiosk, and its own word (`enrolment+jwt`) for this step."""

    jwk = fields.Nested(JwkBody, required=True)
    proof = _text(ENROLMENT.max_length, example="eyJhbGciOiJFUzI1NiIs…")


class AuthorizationView(Schema):
    """RFC 8628 §3.2. `verification_uri` names the desk whose administrator answers, by the command `verifier windows`."""

    device_code = fields.String(required=True)
    user_code = fields.String(required=True, metadata={"example": "GPZS-SDKZ"})
    verification_uri = fields.String(required=True)
    expires_in = fields.Integer(required=True)
    interval = fields.Integer(required=True)


class TokenBody(Schema):
    """RFC 8628 §3.4, and the key's word for this device code."""

    grant_type = fields.String(required=True, validate=validate.Equal(GRANT_TYPE), metadata={"enum": [GRANT_TYPE]})
    device_code = _text(64)
    proof = _text(ENROLMENT.max_length, example="eyJhbGciOiJFUzI1NiIs…")


class EnrolledView(Schema):
    """Whose key it is now. From here on the kiosk proves itself with it (`Window-Proof`)."""

    province = fields.String(required=True)
    unit = fields.String(required=True)
    unit_zh = fields.String(required=True)
    unit_en = fields.String(required=True)
    window = fields.String(required=True)
    window_name = fields.String(required=True)
    kid = fields.String(required=True)


def windows_door(enrolments: Enrolments, clock: Clock, *, address: str) -> Door:
    """Enrolment. `address` is where this desk is found."""
    door = Door("windows", __name__, url_prefix="/windows", description="For kiosks that are no window yet")

    @door.route("/device_authorization", methods=["POST"])
    @requires_nothing
    @door.arguments(AuthorizationBody)
    @door.response(200, AuthorizationView)
    @door.doc(operationId="enrolWindow")
    @says(*_BODY, Reason.KEY_NOT_ALLOWED, Reason.TOO_MANY)
    def enrol_window(body: dict[str, Any]) -> dict[str, Any]:
        """Ask for a window for a key of your own

        Show the user code and the first eight letters of the key's thumbprint large; keep the device code to yourself.
        """
        asked = enrolments.ask(body["jwk"], body["proof"], address=request.remote_addr or "", now=clock.now())
        return {
            "device_code": asked.device_code,
            "user_code": asked.user_code,
            "verification_uri": address,
            "expires_in": int(LIFE.total_seconds()),
            "interval": INTERVAL_S,
        }

    @door.route("/token", methods=["POST"])
    @requires_nothing
    @door.arguments(TokenBody)
    @door.response(200, EnrolledView)
    @door.doc(operationId="fetchWindow")
    @says(*_BODY, *_OAUTH)
    def fetch_window(body: dict[str, Any]) -> dict[str, Any] | Response:
        """Poll for the administrator's answer

        With a new proof each time, no quicker than the interval; each `slow_down` adds five seconds to it.
        """
        try:
            found = enrolments.fetch(body["device_code"], body["proof"], now=clock.now())
        except Refusal as no:
            if no.reason not in _OAUTH:
                raise
            return _oauth(no)
        return {name: getattr(found, name) for name in EnrolledView().fields}

    return door


def _oauth(no: Refusal) -> Response:
    told = problem_of(no, audience=Audience.COUNTER, request_id=str(g.request_id))
    body = json.dumps({**told.body, "error": no.reason.lower()}, ensure_ascii=False)
    return Response(body, told.status, dict(told.headers), content_type=PROBLEM_TYPE)
