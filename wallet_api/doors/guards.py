"""Who may enter. Every route names its guard; `check_guards` stops the start of an app where one does not.

A guard that lets somebody in hands the view the proof, so that a view that needs a vendor cannot be written
without the guard: `@vendor("showings:read")` calls `view(caller, …)`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Concatenate, Final, ParamSpec, TypeVar

from flask import Flask, Response, g, request

from consent.clock import Clock
from consent.errors import Reason, Refusal
from wallet_api.doors.problems import Door
from wallet_api.limits import Limited, Limits
from wallet_api.vendors import Caller, Vendors

P = ParamSpec("P")
R = TypeVar("R")
_VIEW = TypeVar("_VIEW", bound=Callable[..., object])

_BEARER: Final = re.compile(r"[Bb]earer ([A-Za-z0-9._~+/-]{20,128}=*)")


def requires_nothing(view: _VIEW) -> _VIEW:
    """Open to everybody. Written out, so that nobody forgets a guard unseen."""
    view.guard = "nothing"  # type: ignore[attr-defined]
    return view


@dataclass(frozen=True, slots=True)
class RequiresVendor:
    """Lets in a vendor's server with a live bearer token (RFC 6750), and counts its requests."""

    vendors: Vendors
    clock: Clock
    limits: Limits

    def __call__(self, scope: str) -> Callable[[Callable[Concatenate[Caller, P], R]], Callable[P, R]]:
        """Refusal UNAUTHENTICATED without a live token, FORBIDDEN without the scope, TOO_MANY."""

        def decorate(view: Callable[Concatenate[Caller, P], R]) -> Callable[P, R]:
            @wraps(view)
            def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
                found = _BEARER.fullmatch(request.headers.get("Authorization", ""))
                if found is None:
                    raise Refusal(Reason.UNAUTHENTICATED, detail="no bearer token")
                caller = self.vendors.bearer(found[1], now=self.clock.now())
                g.log = g.log.bind(vendor=caller.client_id)
                if scope not in caller.scopes:
                    raise Refusal(Reason.FORBIDDEN, detail=f"the token lacks {scope}")
                g.limited = self.limits.vendor(caller.client_id, caller.per_minute)
                return view(caller, *args, **kwargs)

            # The description says what the guard asks for, because the guard writes it.
            described = Door.doc(security=[{"vendor": [scope]}])(guarded)
            described.guard = f"vendor {scope}"  # type: ignore[attr-defined]
            return described

        return decorate


def show_limits(app: Flask) -> None:
    """Tell vendors in every answer how much is left of the limit that was counted last."""

    @app.after_request
    def add(answer: Response) -> Response:
        limited: Limited | None = g.get("limited")
        for name, value in limited.headers().items() if limited is not None else ():
            answer.headers.setdefault(name, value)
        return answer


def guards_of(app: Flask) -> dict[str, str | None]:
    """The guard of every route, by "METHOD rule"."""
    found: dict[str, str | None] = {}
    for rule in app.url_map.iter_rules():
        view = app.view_functions[rule.endpoint]
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            found[f"{method} {rule.rule}"] = getattr(view, "guard", None)
    return found


def check_guards(app: Flask) -> None:
    """ValueError with the names of all routes that name no guard."""
    if open_doors := [route for route, guard in guards_of(app).items() if guard is None]:
        raise ValueError(f"routes without a guard: {', '.join(open_doors)}")
