"""The token endpoint (RFC 6749 §4.4, client authentication by RFC 7523: private_key_jwt), by authlib.

What is stricter here than authlib by itself, and why:

* ES256 and Ed25519 only, with the key that the `kid` names: no key of one kind is tried for another (T8).
* Time is our clock's, and an assertion lives for at most five minutes, so that the table of used ones stays small.
* Each `jti` counts once, and it is SQL that refuses the second (a Redis that fails over forgets).
* Scopes that a vendor does not have are refused, not dropped in silence.
* Nothing from the address line: a credential in an URL ends in somebody's log.

Errors are OAuth's own (RFC 6749 §5.2), because that is what clients of such endpoints read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from authlib.integrations.flask_oauth2 import AuthorizationServer  # type: ignore[import-untyped]
from authlib.oauth2.rfc6749 import InvalidClientError, InvalidRequestError  # type: ignore[import-untyped]
from authlib.oauth2.rfc6749.errors import InvalidScopeError  # type: ignore[import-untyped]
from authlib.oauth2.rfc6749.grants import ClientCredentialsGrant  # type: ignore[import-untyped]
from authlib.oauth2.rfc6750 import BearerTokenGenerator  # type: ignore[import-untyped]
from authlib.oauth2.rfc7523 import JWTBearerClientAssertion  # type: ignore[import-untyped]
from flask import Request, Response
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet, OKPKey
from joserfc.jws import JWSRegistry

from consent.clock import Clock, from_epoch, to_epoch
from consent.errors import Refusal
from wallet_api.vendors.register import TOKEN_LIFE, Vendor, Vendors, new_token

METHOD: Final = "private_key_jwt"
ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
LEEWAY_S: Final = 10
ASSERTION_LIFE_S: Final = 300

_MOST_ASSERTION: Final = 2_000  # characters
_MOST_JTI: Final = 128
_ALGORITHMS: Final = ("ES256", "Ed25519", "EdDSA")
_FORM: Final = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Client:
    """A vendor as authlib wants to see a client."""

    vendor: Vendor

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        """Only a key counts."""
        return method == METHOD

    def check_grant_type(self, grant_type: str) -> bool:
        """Servers speak for themselves; there is no user to redirect."""
        return grant_type == "client_credentials"

    def get_allowed_scope(self, scope: str | None) -> str:
        """The scopes asked for, or all that the vendor has; invalid_scope when one is not the vendor's."""
        asked = tuple(dict.fromkeys((scope or "").split())) or self.vendor.scopes
        if not set(asked) <= set(self.vendor.scopes):
            raise InvalidScopeError()
        return " ".join(asked)


class _Profile(JWSRegistry):
    def get_alg(self, name: str) -> Any:
        # RFC 9864 gave EdDSA with this curve the name Ed25519; most vendors' libraries still say EdDSA. Other
        # curves cannot come in: the register takes no such keys.
        return super().get_alg("Ed25519" if name == "EdDSA" else name)


class _Assertion(JWTBearerClientAssertion):  # type: ignore[misc]  # authlib has no types
    CLIENT_AUTH_METHOD = METHOD

    def __init__(self, vendors: Vendors, clock: Clock, audiences: tuple[str, ...]) -> None:
        super().__init__(leeway=LEEWAY_S)
        self._vendors = vendors
        self._clock = clock
        self._audiences = audiences

    def __call__(self, query_client: Callable[[str], Client | None], request: Any) -> Any:
        if len(request.form.get("client_assertion", "")) > _MOST_ASSERTION:
            raise InvalidClientError(description="The assertion is too long.")
        try:
            return super().__call__(query_client, request)
        except (ValueError, TypeError, KeyError, RecursionError) as problem:
            # Strange base64, JSON or keys come out of the libraries as these.
            raise InvalidClientError(description="Invalid JWT assertion.") from problem

    def get_audiences(self) -> list[str]:
        return list(self._audiences)

    def resolve_client_public_key(self, client: Client) -> KeySet:
        return KeySet([_imported(jwk, kid) for kid, jwk in client.vendor.living(self._clock.now()).items()])

    def process_assertion_claims(self, assertion: str, resolve_key: KeySet) -> Mapping[str, Any]:
        try:
            token = jwt.decode(assertion, resolve_key, registry=_Profile(algorithms=_ALGORITHMS))
        except JoseError as problem:
            raise InvalidClientError(description="The signature of the assertion does not hold.") from problem
        self.verify_claims(token.claims)
        return token.claims

    def verify_claims(self, claims: Mapping[str, Any]) -> None:
        now = to_epoch(self._clock.now())
        registry = jwt.JWTClaimsRegistry(
            now=now,
            leeway=LEEWAY_S,
            iss={"essential": True},
            sub={"essential": True},
            aud={"essential": True, "values": self.get_audiences()},
            exp={"essential": True},
            jti={"essential": True},
        )
        try:
            registry.validate(dict(claims))
        except JoseError as problem:
            raise InvalidClientError(description=f"A claim does not hold: {problem.error}.") from problem
        if claims["iss"] != claims["sub"]:
            raise InvalidClientError(description="Issuer and subject must be the client id.")
        expires = claims["exp"]
        if type(expires) is not int or expires - now > ASSERTION_LIFE_S:
            raise InvalidClientError(description="The assertion lives too long.")
        if not self.validate_jti(claims, claims["jti"]):
            raise InvalidClientError(description="The assertion was used before.")

    def validate_jti(self, claims: Mapping[str, Any], jti: object) -> bool:
        if not isinstance(jti, str) or not 1 <= len(jti) <= _MOST_JTI:
            raise InvalidClientError(description="jti is a text of 1 to 128 characters.")
        over = from_epoch(claims["exp"]) + timedelta(seconds=LEEWAY_S)
        return self._vendors.use_assertion(claims["sub"], jti, expires_at=over, now=self._clock.now())


class _Grant(ClientCredentialsGrant):  # type: ignore[misc]
    TOKEN_ENDPOINT_AUTH_METHODS: Final = [METHOD]


class _Server(AuthorizationServer):  # type: ignore[misc]
    def handle_response(self, status_code: int, payload: Any, headers: Any) -> Response:
        if isinstance(payload, dict) and payload.get("error") == "invalid_client":
            # 401 as in RFC 6749 §5.2; authlib's own 401 would offer Basic, which is not to be had here.
            status_code = 401
        answer: Response = super().handle_response(status_code, payload, headers)
        return answer


class TokenEndpoint:
    """Gives tokens to vendors. `issuer` is our public address without a slash at the end."""

    def __init__(self, vendors: Vendors, clock: Clock, *, issuer: str) -> None:
        self._server = _Server(query_client=self._client, save_token=self._save)
        self._vendors = vendors
        self._clock = clock
        life = int(TOKEN_LIFE.total_seconds())
        generator = BearerTokenGenerator(new_token, expires_generator=lambda client, grant_type: life)
        self._server.scopes_supported = None
        self._server.register_token_generator("default", generator)
        self._server.register_client_auth_method(METHOD, _Assertion(vendors, clock, (issuer, f"{issuer}/oauth/token")))
        self._server.register_grant(_Grant)

    def answer(self, request: Request) -> Response:
        """The answer to one POST: a token, or an OAuth error. Raises Unavailable."""
        if (fault := _fault(request)) is not None:
            told: Response = self._server.handle_error_response(None, InvalidRequestError(fault))
            return told
        answer: Response = self._server.create_token_response()
        return answer

    def _client(self, client_id: str) -> Client | None:
        try:
            vendor = self._vendors.find(client_id)
        except Refusal:  # an id that no database can hold
            return None
        return None if vendor is None or vendor.disabled_at is not None else Client(vendor)

    def _save(self, token: Mapping[str, Any], request: Any) -> None:
        client: Client = request.client
        self._vendors.keep_token(token["access_token"], client.vendor.client_id, token["scope"], now=self._clock.now())


def _fault(request: Request) -> str | None:
    if request.mimetype != _FORM:
        return f"Send {_FORM}."
    if request.args:
        return "Parameters belong in the body."
    if any(len(values) > 1 for _, values in request.form.lists()):
        return "A parameter is repeated."
    if not request.form.get("grant_type"):
        return "grant_type is missing."
    return None


def _imported(jwk: Mapping[str, str], kid: str) -> ECKey | OKPKey:
    values: dict[str, str | list[str]] = {**jwk, "kid": kid}
    return ECKey.import_key(values) if jwk["kty"] == "EC" else OKPKey.import_key(values)
