"""How a service speaks: problem documents, request ids and log lines, without any web framework.

Two services answer over HTTP and never import each other. What a stranger reads from both must be the same,
so it is said here once; each service adds a few lines that fit it to Flask.

1. *Problems* (RFC 9457). `problem_of` turns a Refusal or an Unavailable into status, headers and body, all
   from the table of Reasons and the sentences. `detail` of an exception never gets in, only its public facts.
   `responses_of` and `examples_of` put the same into an interface's description.
2. *Request ids.* Whoever asks may bring one, so that both logs tell of one event; a bad one is replaced and
   never refused, because an id is no reason to fail.
3. *Log lines*: one JSON object a line. `mask` runs last, over everything, tracebacks too: what looks like
   an ID number, a signed document or a presentation code is taken out, however it got in. It is the second
   fence; the first is not to log such things.

No global state: a log is a value that a composition root makes and hands on, because the four provinces of a
demonstration live in one process.
"""

from __future__ import annotations

import logging
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TextIO

import structlog

from consent.b64 import new_id
from consent.clock import Clock, rfc3339
from consent.errors import UNAVAILABLE, Reason, Refusal, Unavailable, row, seen_at_counter
from consent.sentences import Audience, Lang, next_step, sentences, title

PROBLEM_TYPE: Final = "application/problem+json"

Log = structlog.typing.FilteringBoundLogger

# Problems ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A problem document ready to be sent. `headers` never holds Content-Type."""

    status: int
    headers: Mapping[str, str]
    body: Mapping[str, Any]


def problem_of(
    failure: Refusal | Unavailable,
    *,
    audience: Audience,
    request_id: str,
    errors: Sequence[Mapping[str, str]] = (),
    headers: Mapping[str, str] | None = None,
) -> Problem:
    """What this audience may read of a failure.

    `errors` names members of the body that do not fit: {"pointer": "/holder", "message": "…"} (RFC 6901).
    Unavailable adds Retry-After in seconds.
    """
    reason = seen_at_counter(failure.reason) if audience is Audience.COUNTER else failure.reason
    found = row(reason)
    body: dict[str, Any] = {
        "type": f"/problems/{reason}",
        "title": title(reason, Lang.EN, audience),
        "status": found.http,
        "detail": sentences(reason, Lang.EN, audience, **failure.facts),
        "code": reason.value,
        "request_id": request_id,
        "sentences": _both(lambda lang: sentences(reason, lang, audience, **failure.facts)),
        "next": _both(lambda lang: next_step(reason, lang, audience, **failure.facts)),
        "clause": found.clause,
        "facts": dict(failure.facts),
    }
    if errors:
        body["errors"] = [dict(error) for error in errors]
    sent = dict(headers or {})
    if isinstance(failure, Unavailable):
        sent.setdefault("Retry-After", str(failure.retry_after_s))
    return Problem(status=found.http, headers=sent, body=body)


def reason_page(reason: Reason) -> dict[str, Any]:
    """What stands behind the `type` of a problem: the reason for all audiences in both languages."""
    found = row(reason)
    return {
        "code": reason.value,
        "status": found.http,
        "outcome": found.outcome.value,
        "retry": found.retry,
        "clause": found.clause,
        "title": _both(lambda lang: title(reason, lang)),
        "sentences": {who.value: _both(partial(_sentence, reason, who)) for who in Audience},
        "next": {who.value: _both(partial(_next, reason, who)) for who in Audience},
    }


def responses_of(reasons: Iterable[Reason]) -> dict[int, Any]:
    """What an operation that says these reasons answers, one OpenAPI response for each status; `examples_of` are pointed to."""
    by_status: dict[int, list[Reason]] = defaultdict(list)
    for reason in dict.fromkeys(reasons):
        by_status[row(reason).http].append(reason)
    return {
        status: {
            "description": ", ".join(found),
            "content": {
                PROBLEM_TYPE: {
                    "schema": {"$ref": "#/components/schemas/Problem"},
                    "examples": {reason.value: {"$ref": f"#/components/examples/{reason}"} for reason in found},
                }
            },
        }
        for status, found in sorted(by_status.items())
    }


def examples_of(reasons: Iterable[Reason], audience: Audience) -> dict[str, Any]:
    """The problem document of each reason, for the `components/examples` of a description."""
    return {reason.value: {"value": _example(reason, audience)} for reason in sorted(reasons)}


def _example(reason: Reason, audience: Audience) -> dict[str, Any]:
    failure = Unavailable(reason) if reason in UNAVAILABLE else Refusal(reason)
    return dict(problem_of(failure, audience=audience, request_id="9xK2mVb7Qw3nRt5yLp0aZg").body)


def _sentence(reason: Reason, who: Audience, lang: Lang) -> str:
    return sentences(reason, lang, who)


def _next(reason: Reason, who: Audience, lang: Lang) -> str:
    return next_step(reason, lang, who)


def _both(say: Callable[[Lang], str]) -> dict[str, str]:
    return {"zh": say(Lang.ZH_CN), "en": say(Lang.EN)}


_BY_STATUS: Final[Mapping[int, Reason]] = {
    400: Reason.BODY_MALFORMED,
    401: Reason.UNAUTHENTICATED,
    403: Reason.FORBIDDEN,
    404: Reason.ROUTE_UNKNOWN,
    405: Reason.METHOD_NOT_ALLOWED,
    406: Reason.NOT_ACCEPTABLE,
    413: Reason.TOO_LARGE,
    415: Reason.MEDIA_TYPE,
    422: Reason.BODY_INVALID,
    429: Reason.TOO_MANY,
}


def failure_of_status(status: int) -> Refusal | Unavailable:
    """What a web framework means when it ends a request by itself with this status."""
    if status >= 500:
        return Unavailable(Reason.INTERNAL, detail=f"framework said {status}")
    return Refusal(_BY_STATUS.get(status, Reason.BODY_MALFORMED), detail=f"framework said {status}")


# Request ids ------------------------------------------------------------------------------------------------

REQUEST_ID_HEADER: Final = "Request-Id"
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9_-]{16,64}")


def request_id(brought: str | None) -> str:
    """The id that the caller brought, if it is 16 to 64 characters of base64url and hides no ID number; a new
    one otherwise."""
    if brought is not None and _REQUEST_ID.fullmatch(brought) and masked(brought) == brought:
        return brought
    return new_id()


# Log lines --------------------------------------------------------------------------------------------------

# \d also takes the full-width digits that a Chinese keyboard writes.
_SECRET: Final = re.compile(
    r"(?P<jwt>eyJ[A-Za-z0-9_-]{6,}(?:\.[A-Za-z0-9_-]*)*)"
    r"|(?P<code>YRD1:[0-9A-Z $%*+./:-]{20,})"
    r"|(?P<id>(?<!\d)(?:\d{17}[\dXxＸｘ]|\d{15})(?!\d))"
)


def masked(text: str) -> str:
    """The text without what looks like a signed document, a presentation code or an ID number (GB 11643)."""
    return _SECRET.sub(lambda found: f"[{found.lastgroup}]", text)


def _mask_value(value: Any) -> Any:
    if isinstance(value, str):
        return masked(value)
    if isinstance(value, bool | float) or value is None:
        return value
    if isinstance(value, int):
        text = str(value)
        return value if masked(text) == text else masked(text)
    if isinstance(value, Mapping):
        return {masked(str(key)): _mask_value(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_mask_value(each) for each in value]
    return masked(repr(value))


def mask(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The structlog processor; the last before the line is written."""
    return {masked(key): _mask_value(value) for key, value in event.items()}


def new_log(room: str, clock: Clock, *, stream: TextIO | None = None, level: str = "info") -> Log:
    """A log of JSON lines on `stream` (standard error by default), each with time, level and `room`.

    Bind what a whole request shares: `log.bind(request_id=…)`.
    """

    def stamp(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        return {"time": rfc3339(clock.now()), "level": method, **event}

    log: Log = structlog.wrap_logger(
        structlog.WriteLogger(stream or sys.stderr),
        processors=[
            stamp,
            structlog.processors.format_exc_info,
            mask,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
        room=room,
    )
    return log


class _Onward(logging.Handler):
    def __init__(self, log: Log) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        level = "warning" if record.levelno >= logging.WARNING else "info"
        getattr(self._log, level)(
            record.getMessage(), logger=record.name, exc_info=record.exc_info if record.exc_info else None
        )


def capture_libraries(log: Log) -> None:
    """Send what libraries write to `logging` through the same mask. Process-wide, so only a program's entry
    point calls it, once."""
    logging.basicConfig(handlers=[_Onward(log)], level=logging.WARNING, force=True)
