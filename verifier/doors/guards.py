"""Who may enter. Every route names its guard; `check_guards` stops the start of an app where one does not.

A guard that lets somebody in hands the view the proof, so that a view that needs a window cannot be written without the
guard: `@window` calls `view(proof, …)`, `@peer` calls `view(name, …)`.

A peer is known by its TLS client certificate: the server layer writes the certificate's common name into the environment
(`huzheng.peer`), which no header can. In the sandbox without TLS a shared token stands in for it.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Concatenate, Final, ParamSpec, TypeVar

from flask import Flask, g, request

from consent.clock import Clock
from consent.errors import Reason, Refusal
from consent.window import HEADER, Proof
from verifier.desk import Desk
from verifier.exchange import client

P = ParamSpec("P")
R = TypeVar("R")
_VIEW = TypeVar("_VIEW", bound=Callable[..., object])

PEER: Final = client.PEER


def requires_nothing(view: _VIEW) -> _VIEW:
    """Open to everybody. Written out, so that nobody forgets a guard unseen."""
    view.guard = "nothing"  # type: ignore[attr-defined]
    return view


@dataclass(frozen=True, slots=True)
class RequiresWindow:
    """Lets in a kiosk with the proof of an enrolled window for this very call (`window+jwt`, used once)."""

    desk: Desk
    clock: Clock

    def __call__(self, view: Callable[Concatenate[Proof, P], R]) -> Callable[P, R]:
        """Refusal WINDOW_UNKNOWN, DOCUMENT_…, or UNAUTHENTICATED without a proof."""

        @wraps(view)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            text = request.headers.get(HEADER, "")
            if not text:
                raise Refusal(Reason.UNAUTHENTICATED, detail="no window proof")
            proof = self.desk.proof(
                text, method=request.method, path=request.path, body=request.get_data(cache=True), now=self.clock.now()
            )
            g.log = g.log.bind(window=proof.window)
            return view(proof, *args, **kwargs)

        guarded.guard = "window"  # type: ignore[attr-defined]
        return guarded


@dataclass(frozen=True, slots=True)
class RequiresPeer:
    """Lets in a peer by its certificate, or in the sandbox by a token. `tokens` maps names to tokens."""

    tokens: Mapping[str, str]
    only: str | None = None

    def __call__(self, view: Callable[Concatenate[str, P], R]) -> Callable[P, R]:
        """Refusal SENDER_UNKNOWN for nobody, FORBIDDEN for a peer that this door is not for."""

        @wraps(view)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            name = request.environ.get(PEER) or self._by_token(request.headers.get(client.PEER_HEADER, ""))
            if not name:
                raise Refusal(Reason.SENDER_UNKNOWN, detail="no client certificate")
            g.log = g.log.bind(peer=name)
            if self.only is not None and name != self.only:
                raise Refusal(Reason.FORBIDDEN, detail="another peer's door")
            return view(str(name), *args, **kwargs)

        guarded.guard = f"peer {self.only or 'any'}"  # type: ignore[attr-defined]
        return guarded

    def _by_token(self, token: str) -> str | None:
        for name, known in self.tokens.items():
            if hmac.compare_digest(known.encode(), token.encode()):
                return name
        return None


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
