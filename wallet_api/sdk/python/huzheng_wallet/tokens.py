"""The access token: got with the private key (RFC 7523), kept until shortly before its end, one request for all threads."""

from __future__ import annotations

import json
import secrets
from threading import Lock
from urllib.parse import urlencode

from .errors import TokenRefused, not_understood
from .keys import Key, to_b64
from .line import Line, Question, Reply, Times, code_of

_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_ASSERTION_LIFE_S = 60
_EARLY_S = 30  # a token is given up so long before its end, so that none dies on its way
_CLOCK_S = 5  # how far the first assertion's time may have been off before a second one is worth a try


class Tokens:
    """The token of one client. `audience` is the issuer that wallet_api calls itself."""

    def __init__(self, client_id: str, key: Key, *, line: Line, audience: str, scope: str, times: Times) -> None:
        self._client_id = client_id
        self._key = key
        self._line = line
        self._audience = audience
        self._scope = scope
        self._times = times
        self._lock = Lock()
        self._token = ""
        self._good_until = 0.0

    def bearer(self) -> str:
        """A live token; TokenRefused or Unavailable."""
        with self._lock:
            if not self._token or self._times.tick() >= self._good_until:
                self._renew()
            return self._token

    def drop(self, token: str) -> None:
        """Forget this token, which was refused; a newer one stays."""
        with self._lock:
            if token == self._token:
                self._token = ""

    def _renew(self) -> None:
        asked = self._times.tick()
        believed = self._line.skew_s or 0.0
        reply = self._line.ask(self._question)
        if reply.status == 401 and abs((self._line.skew_s or 0.0) - believed) > _CLOCK_S:
            reply = self._line.ask(self._question)  # our clock was wrong; now we know the server's
        if reply.status != 200:
            raise self._refusal(reply)
        try:
            told = json.loads(reply.body)
            self._token, life = str(told["access_token"]), int(told["expires_in"])
        except (ValueError, KeyError, TypeError) as problem:
            raise not_understood(reply.status, reply.request_id) from problem
        self._good_until = asked + life - min(_EARLY_S, life / 2)

    def _question(self) -> Question:
        # A fresh one for each try: wallet_api takes every jti once, also when its answer was lost.
        expires = int(self._line.server_now().timestamp()) + _ASSERTION_LIFE_S
        claims = {
            "iss": self._client_id,
            "sub": self._client_id,
            "aud": self._audience,
            "exp": expires,
            "jti": to_b64(secrets.token_bytes(16)),
        }
        form = {
            "grant_type": "client_credentials",
            "client_assertion_type": _ASSERTION_TYPE,
            "client_assertion": self._key.sign("JWT", claims),
            **({"scope": self._scope} if self._scope else {}),
        }
        return Question(
            method="POST",
            path="/oauth/token",
            headers={"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"},
            body=urlencode(form).encode(),
        )

    @staticmethod
    def _refusal(reply: Reply) -> TokenRefused:
        try:
            why = str(json.loads(reply.body).get("error_description", ""))
        except (ValueError, AttributeError):
            why = ""
        code = code_of(reply) or "NOT_UNDERSTOOD"
        return TokenRefused(code, status=reply.status, request_id=reply.request_id, facts={"description": why})
