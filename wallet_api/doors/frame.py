"""Around every request: its id, its body, the headers of its answer, one log line and two metrics.

Nothing here knows a route. Views say what they take and offer with `takes` and `offers`; without a word it
is JSON both ways. The log line and the metrics name the route by its rule (`/v1/showings/<showing_id>`),
never by its address, so that no id of a showing gets into either.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from flask import Flask, Response, current_app, g, request
from prometheus_client import CollectorRegistry, Counter, Histogram

from consent.clock import Clock, rfc3339
from consent.errors import Reason, Refusal
from consent.telling import REQUEST_ID_HEADER, Log, request_id

MOST_BODY: Final = 16_384  # bytes; the longest document that comes in has 4,600 characters
JSON: Final = "application/json"

_VIEW = TypeVar("_VIEW", bound=Callable[..., object])

_NO_CONTENT: Final = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": _NO_CONTENT,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def offers(*kinds: str) -> Callable[[_VIEW], _VIEW]:
    """The media types that a view can answer with, the preferred one first."""

    def mark(view: _VIEW) -> _VIEW:
        view.offers = kinds  # type: ignore[attr-defined]
        return view

    return mark


def takes(kind: str | None) -> Callable[[_VIEW], _VIEW]:
    """The one media type of the bodies that a view takes; None for a view that judges them by itself."""

    def mark(view: _VIEW) -> _VIEW:
        view.takes = kind  # type: ignore[attr-defined]
        return view

    return mark


@dataclass(frozen=True, slots=True)
class Meters:
    """Counts and durations by route, in a registry of this one application."""

    registry: CollectorRegistry
    requests: Counter
    seconds: Histogram


def new_meters(prefix: str) -> Meters:
    """Meters whose names start with `prefix`."""
    registry = CollectorRegistry()
    labels = ("method", "route", "status")
    return Meters(
        registry=registry,
        requests=Counter(f"{prefix}_requests", "Requests answered", labels, registry=registry),
        seconds=Histogram(f"{prefix}_request_seconds", "Time to answer", ("route",), registry=registry),
    )


def put_in_frame(app: Flask, *, log: Log, clock: Clock, meters: Meters, https: bool) -> None:
    """Fit the frame to an application. `https` adds Strict-Transport-Security."""
    app.config["MAX_CONTENT_LENGTH"] = MOST_BODY
    app.before_request(lambda: _enter(log))
    app.before_request(_judge_kinds)
    app.before_request(_read_body)
    app.after_request(lambda answer: _leave(answer, clock, meters, https))


def _enter(log: Log) -> None:
    g.request_id = request_id(request.headers.get(REQUEST_ID_HEADER))
    g.log = log.bind(request_id=g.request_id)
    g.started = time.perf_counter()


def _judge_kinds() -> None:
    view = _view()
    if view is None:
        return
    if request.method in ("POST", "PUT", "PATCH"):
        wanted = getattr(view, "takes", JSON)
        encoded = request.headers.get("Content-Encoding", "identity") != "identity"
        if encoded or (wanted is not None and request.mimetype != wanted):
            raise Refusal(Reason.MEDIA_TYPE, detail="Content-Type or Content-Encoding")
    offered = getattr(view, "offers", (JSON,))
    if request.accept_mimetypes and request.accept_mimetypes.best_match(offered) is None:
        raise Refusal(Reason.NOT_ACCEPTABLE, detail="Accept")


def _read_body() -> None:
    """Now, once, and whole: a body that breaks off is the sender's mistake and must not surface in a view."""
    try:
        request.get_data(cache=True)
    except (OSError, ValueError) as problem:
        raise Refusal(Reason.BODY_MALFORMED, detail=f"body: {type(problem).__name__}") from problem


def _leave(answer: Response, clock: Clock, meters: Meters, https: bool) -> Response:
    answer.headers[REQUEST_ID_HEADER] = g.request_id
    answer.headers["Server-Time"] = rfc3339(clock.now())
    for name, value in _HEADERS.items():
        answer.headers.setdefault(name, value)
    if https:
        answer.headers["Strict-Transport-Security"] = "max-age=63072000"
    route = request.url_rule.rule if request.url_rule is not None else "none"
    took = time.perf_counter() - g.started
    # An unknown method is a stranger's text; as a label it could grow the metrics without end.
    method = request.method if request.url_rule is not None else "none"
    meters.requests.labels(method, route, str(answer.status_code)).inc()
    meters.seconds.labels(route).observe(took)
    g.log.info("request", method=method, route=route, status=answer.status_code, ms=round(took * 1000, 1))
    return answer


def _view() -> Callable[..., object] | None:
    return current_app.view_functions.get(request.endpoint) if request.endpoint else None
