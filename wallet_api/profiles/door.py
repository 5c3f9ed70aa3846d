"""The adapters as a process of their own: a province's inner network asks here, and here the app is asked.

    POST /adapters/31/showing   {"text": what the counter scanned, "request": the sealed request of its desk}
    200                         {"showing_id": …}
    otherwise                   a problem document (RFC 9457): the app says no, or gives no answer that can be read

A process of its own, because the inner network must not know any app's habits, nor hold what an app has given us, and
because an app's server lies outside, where the inner network does not go.

 1. The body has its shape, and the province an adapter.
 2. The request is sealed by a desk for this province and lives. That is who may ask: nobody else can make one, and this
    process needs no list of callers.
 3. The request is bound to this very text, so that nobody can have another one tried under it.
 4. The app is asked, once for each request (`port.Remembering`).

Of the request nothing is passed on but what the adapters name. The log tells the province and the reason, never a text.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from consent.b64 import digest_of, new_id
from consent.clock import Clock
from consent.counter_strings import MOST
from consent.errors import Reason, Refusal, Unavailable
from consent.keys import Keys
from consent.request import REQUEST, open_request
from consent.seal import strict_json
from consent.sentences import Audience
from consent.shapes import Members, Text
from consent.telling import PROBLEM_TYPE, Log, failure_of_status, problem_of
from wallet_api.profiles.port import Remembering

_BODY: Final = Members({"text": Text(MOST, 1), "request": Text(REQUEST.max_length, 1)})
_LONGEST: Final = REQUEST.max_length + 4 * MOST + 100  # bytes of a body


def create_door(adapters: Mapping[str, Remembering], keys: Keys, *, clock: Clock, log: Log) -> Flask:
    """The WSGI application. `adapters` are by province; `keys` open requests."""
    app = Flask("adapters", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = _LONGEST
    app.register_error_handler(Refusal, lambda failure: _tell(failure, log))
    app.register_error_handler(Unavailable, lambda failure: _tell(failure, log))
    app.register_error_handler(HTTPException, lambda error: _tell(failure_of_status(error.code or 500), log))
    app.register_error_handler(Exception, lambda fault: _tell_fault(fault, log))

    @app.get("/health/ready")
    def ready() -> dict[str, bool]:
        return {"ready": True}

    @app.post("/adapters/<code>/showing")
    def showing(code: str) -> dict[str, str]:
        text, sealed = _read(request.get_data(cache=False))  # 1
        if code not in adapters:
            raise Refusal(Reason.ROUTE_UNKNOWN, detail="no adapter for this province")
        now = clock.now()
        opened = open_request(sealed, keys, holder_province=code, now=now)  # 2
        if opened.ask.code != digest_of(text.encode()):  # 3
            raise Refusal(Reason.CODE_MALFORMED, detail="not the text that the request names")
        return {"showing_id": adapters[code].resolve(text, opened, now=now)}  # 4

    return app


def _read(raw: bytes) -> tuple[str, str]:
    try:
        found = strict_json(raw, depth=1, members=2)
    except Refusal as problem:
        raise Refusal(Reason.BODY_MALFORMED, detail=problem.detail) from problem
    if not _BODY.fits(found):
        raise Refusal(Reason.BODY_INVALID, detail="text and request")
    return str(found["text"]), str(found["request"])


def _tell(failure: Refusal | Unavailable, log: Log) -> Response:
    log.info("no", route=request.url_rule.rule if request.url_rule else None, code=failure.reason, why=failure.detail)
    told = problem_of(failure, audience=Audience.VENDOR, request_id=new_id())
    body = json.dumps(told.body, ensure_ascii=False)
    return Response(body, told.status, dict(told.headers), content_type=PROBLEM_TYPE)


def _tell_fault(fault: Exception, log: Log) -> Response:
    log.error("fault", exc_info=fault)
    return _tell(Unavailable(Reason.INTERNAL), log)
