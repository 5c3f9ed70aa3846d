"""Who gets into the phone: a browser that signed in here, asking from a page of ours.

The cookie is HttpOnly and SameSite=Strict, and carries the province in its name: cookies do not know ports, and four
phones may live on one address. It lacks `Secure` because the sandbox is plain HTTP on this machine.

A request that changes something must come from our own pages: the browser says so itself (Sec-Fetch-Site), or its Origin
is the address that it asked. A request that says neither is refused, so that no old browser gets around it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, Concatenate, Final, ParamSpec, TypeVar
from urllib.parse import urlsplit

from flask import Response, request

from consent.clock import Clock
from consent.errors import Reason, Refusal
from consent.seal import strict_json
from consent.shapes import Shape
from wallet_api.pages.sessions import LIFE, Session, Sessions

P = ParamSpec("P")
R = TypeVar("R")

_SAFE: Final = ("GET", "HEAD", "OPTIONS")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrance:
    """The guard of one phone. `requires_session` hands a view the session; `requires_own_page` only the check."""

    province: str
    sessions: Sessions
    clock: Clock

    @property
    def cookie(self) -> str:
        """The cookie's name."""
        return f"huzheng-phone-{self.province}"

    def session(self) -> Session | None:
        """The session of the present request, if it has one."""
        value = request.cookies.get(self.cookie)
        return None if value is None else self.sessions.find(value, now=self.clock.now())

    def requires_session(self, view: Callable[Concatenate[Session, P], R]) -> Callable[P, R]:
        """Refusal SESSION_EXPIRED without a session, FORBIDDEN for a change that another site asks for."""

        @wraps(view)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            check_own_page()
            session = self.session()
            if session is None:
                raise Refusal(Reason.SESSION_EXPIRED)
            return view(session, *args, **kwargs)

        guarded.guard = "phone session"  # type: ignore[attr-defined]
        return guarded

    def requires_own_page(self, view: Callable[P, R]) -> Callable[P, R]:
        """For signing in: nobody is known yet, but another site may not sign anybody in."""

        @wraps(view)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            check_own_page()
            return view(*args, **kwargs)

        guarded.guard = "own page"  # type: ignore[attr-defined]
        return guarded

    def let_in(self, answer: Response, cookie: str) -> Response:
        """Put the cookie of a new session into an answer."""
        answer.set_cookie(
            self.cookie, cookie, max_age=LIFE, path="/phone", httponly=True, samesite="Strict", secure=request.is_secure
        )
        return answer

    def see_out(self, answer: Response) -> Response:
        """Take the cookie away."""
        answer.delete_cookie(self.cookie, path="/phone", httponly=True, samesite="Strict")
        return answer


def check_own_page() -> None:
    """Refusal(FORBIDDEN) for a request that changes something and does not come from a page of this address."""
    if request.method in _SAFE:
        return
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        own = site == "same-origin"
    else:
        own = urlsplit(request.headers.get("Origin", "")).netloc == request.host
    if not own:
        raise Refusal(Reason.FORBIDDEN, detail="asked from another site")


def body(shape: Shape) -> dict[str, Any]:
    """The JSON object of a request, strictly read; Refusal(BODY_MALFORMED) or (BODY_INVALID)."""
    try:
        found = strict_json(request.get_data(cache=True), depth=2, members=8)
    except Refusal as problem:
        raise Refusal(Reason.BODY_MALFORMED, detail=problem.detail) from problem
    if not shape.fits(found):
        raise Refusal(Reason.BODY_INVALID, detail="members")
    read: dict[str, Any] = found
    return read
