"""The page of the counter, served by the kiosk to the browser on the same machine.

Localhost is no fence: every page that the officer opens in the same browser can send requests here, and a name that
resolves to 127.0.0.1 can even read the answers. So, for each request:

1. `Host` is this machine by one of three names, and the port is ours (DNS rebinding);
2. what changes something comes from our own page (`Origin`, where the browser sends one it must be ours);
3. all but the page itself and its assets carries `Counter-Token`: made anew at every start, handed out in the page, not
   readable by any other page;
4. bodies are small, and pictures are unpacked and read by other processes, two at a time (`pictures_apart`);
5. answers are never stored, framed or sniffed, and no script runs that is not ours;
6. while the screen is covered, only what is named in `_COVERED` is answered: nothing about the person leaves.

Routes that need no token say so in `_OPEN`; a new route needs one by default.
"""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from threading import Lock
from typing import Any, Final

from flask import Blueprint, Flask, Response, render_template, request, send_from_directory
from werkzeug.exceptions import HTTPException, NotFound

from consent.approval import Decision
from consent.b64 import new_id
from consent.clock import Clock
from consent.errors import Reason, Refusal, Unavailable
from consent.seal import strict_json
from consent.sentences import Audience, Lang
from consent.telling import PROBLEM_TYPE, Log, failure_of_status, problem_of
from scanner_kiosk.card_route import Given
from scanner_kiosk.counter import Guidance
from scanner_kiosk.face import choices_of, receipts_of, scanner_of, state_of
from scanner_kiosk.kiosk import Kiosk
from scanner_kiosk.officers import Duty, TypedNumber
from scanner_kiosk.own_code import drawing
from scanner_kiosk.pen import MOST_BYTES
from scanner_kiosk.picture import POSTED_BYTES
from scanner_kiosk.reports import Cause, Problem, Reports, Where, problem_at, version
from scanner_kiosk.settings import Settings

PAGE_HEADER: Final = "Counter-Token"
_MOST_BODY: Final = 8_192  # bytes of JSON
_OPEN: Final = frozenset({"counter.page", "counter.asset"})
# Point 6: the page itself, the room around the person, and the keys that cover, uncover and wipe.
_COVERED: Final = frozenset({*_OPEN, "counter.state", "counter.choices", "counter.preview", "counter.frames"})
_COVERED_KEYS: Final = frozenset({"clear", "cover", "uncover"})
_ASSETS: Final = frozenset(
    {
        *("counter.css", "ways.css", "icon.svg", "words.zh-CN.json", "words.en.json"),
        *(
            "card.js",
            "copy.js",
            "counter.js",
            "duty.js",
            "offline.js",
            "own_code.js",
            "paper.js",
            "report.js",
            "sheet.js",
        ),
        *("two.js", "typed.js"),
    }
)
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
# What the officer may choose in the browser. Files and folders of this machine are the settings' to choose.
_CAMERAS: Final = ("posted:", "webcam:", "sim:http://127.0.0.1:", "sim:http://localhost:")


@cache
def words(lang: str) -> Mapping[str, str]:
    """All texts of the page in one language, by key."""
    text = files("scanner_kiosk").joinpath(f"static/words.{Lang(lang)}.json").read_text(encoding="utf-8")
    found: Mapping[str, str] = json.loads(text)
    return found


def create_screen(kiosk: Kiosk, settings: Settings, *, clock: Clock, log: Log) -> Flask:
    """The WSGI application of one kiosk's page."""
    app = Flask("scanner_kiosk", static_folder=None, template_folder="templates")
    app.config["MAX_CONTENT_LENGTH"] = POSTED_BYTES
    app.extensions["kiosk"] = kiosk
    fence = Fence(token=secrets.token_urlsafe(24), port=settings.port)
    app.before_request(fence.judge)
    app.after_request(lambda answer: _leave(answer, clock))
    app.register_error_handler(Refusal, lambda failure: _tell(failure, log))
    app.register_error_handler(Unavailable, lambda failure: _tell(failure, log))
    app.register_error_handler(HTTPException, lambda error: _tell(failure_of_status(error.code or 500), log))
    app.register_error_handler(Exception, lambda fault: _tell_fault(fault, log))
    screen = Screen(kiosk=kiosk, settings=settings, token=fence.token, clock=clock)
    app.before_request(screen.keep_covered)
    app.register_blueprint(_door(screen))
    return app


@dataclass(frozen=True, slots=True)
class Fence:
    """Points 1 to 3. `token` is of this start."""

    token: str
    port: int

    def judge(self) -> None:
        """Let the request in, or raise Refusal FORBIDDEN or SESSION_EXPIRED."""
        hosts = {f"{name}:{self.port}" for name in ("127.0.0.1", "localhost", "[::1]")}
        if request.headers.get("Host") not in hosts:  # (1)
            raise Refusal(Reason.FORBIDDEN, detail="Host")
        origin = request.headers.get("Origin")
        changes = request.method not in ("GET", "HEAD", "OPTIONS")
        if origin != f"http://{request.headers['Host']}" and (changes or origin is not None):  # (2)
            raise Refusal(Reason.FORBIDDEN, detail="Origin")
        given = request.headers.get(PAGE_HEADER, "").encode()
        if request.endpoint not in _OPEN and not hmac.compare_digest(given, self.token.encode()):  # (3)
            raise Refusal(Reason.SESSION_EXPIRED, detail=PAGE_HEADER)


class Screen:
    """The routes' work. Keeps the last preview, so that many polls cost one look."""

    def __init__(self, *, kiosk: Kiosk, settings: Settings, token: str, clock: Clock) -> None:
        self.kiosk, self.settings, self._token, self._clock = kiosk, settings, token, clock
        self._duty = Duty(TypedNumber(), counter=kiosk.counter, clear=kiosk.clear)
        self._reports = Reports(Path(settings.state))
        self._problem: Problem | None = None  # what the screen showed when "report a problem" was pressed
        self._looking = Lock()
        self._seen: tuple[bytes, Guidance] = (b"", Guidance.NO_CAMERA)

    def keep_covered(self) -> None:
        """Point 6: Refusal STATE_FORBIDS for what may say something about the person while the screen is covered."""
        key = request.endpoint == "counter.key" and (request.view_args or {}).get("name") in _COVERED_KEYS
        if self.kiosk.covered and request.endpoint and request.endpoint not in _COVERED and not key:
            raise Refusal(Reason.STATE_FORBIDS, detail="the screen is covered")

    def page(self) -> Response:
        """The page, in the language of `?lang=`, else of the settings."""
        asked = request.args.get("lang", self.settings.lang)
        lang = Lang(asked) if asked in tuple(Lang) else Lang(self.settings.lang)
        text = render_template(
            "counter/page.html",
            lang=lang.value,
            other=next(each.value for each in Lang if each is not lang),
            words=words(lang),
            token=self._token,
            sandbox=self.settings.sandbox,
            practice=bool(self.settings.practice),
        )
        return Response(text, content_type="text/html; charset=utf-8")

    def asset(self, name: str) -> Response:
        """Style, script, dictionaries."""
        if name not in _ASSETS:
            raise NotFound
        return send_from_directory("static", name)

    def state(self) -> Response:
        """The counter now; 304 where the page knows it already."""
        picture, guidance = self._seen
        found = state_of(self.kiosk, guidance=guidance, has_picture=bool(picture), officer=self._duty.officer)
        body = json.dumps(found, ensure_ascii=False)
        answer = Response(body, content_type="application/json")
        answer.set_etag(sha256(body.encode()).hexdigest()[:32])
        answer.make_conditional(request)  # changes the answer that it is given
        return answer

    def choices(self) -> Response:
        """Windows, matters, cards."""
        return self._choices()

    def preview(self) -> Response:
        """The newest frame for people, without any code in it; 204 without a camera, and behind a cover."""
        if self.kiosk.covered:
            return Response(status=204)
        if self._looking.acquire(blocking=False):
            try:
                self._seen = self.kiosk.seen()
            finally:
                self._looking.release()
        picture = self._seen[0]
        return Response(picture, content_type="image/jpeg") if picture else Response(status=204)

    def frames(self) -> Response:
        """A picture from the browser's camera."""
        if request.mimetype not in ("image/jpeg", "image/png"):
            raise Refusal(Reason.MEDIA_TYPE, detail="image/jpeg or image/png")
        self.kiosk.post_frame(request.get_data(cache=False))
        return Response(status=204)

    def choose(self) -> Response:
        """A window, a matter with its type, a camera."""
        found = _members("province", "window", "matter", "type", "camera")
        camera = found.get("camera")
        if camera is not None and not self._may_choose(camera):
            raise Refusal(Reason.FORBIDDEN, detail="camera")
        try:
            self.kiosk.choose(
                province=found.get("province"),
                window=found.get("window"),
                matter=found.get("matter"),
                type_=found.get("type"),
                camera=camera,
            )
        except ValueError as problem:
            raise Refusal(Reason.BODY_INVALID, detail=str(problem)) from problem
        return self._choices()

    def _choices(self) -> Response:
        return _json({**choices_of(self.kiosk), "camera": self.settings.camera})

    def _may_choose(self, camera: str) -> bool:
        own = camera in ("posted:", self.settings.camera)
        return own or (self.settings.sandbox and camera.startswith(_CAMERAS))

    def start(self) -> Response:
        """The case is ready."""
        found = _members("case_number", "id_number", "card", "partner", "partner_card", lists=("preconditions",))
        simulated = self.settings.sandbox
        card, partner_card = (found.get(name) if simulated else None for name in ("card", "partner_card"))
        self.kiosk.start(
            case_number=found.get("case_number") or "",
            id_number=found.get("id_number"),
            card=card,
            partner=found.get("partner"),
            partner_card=partner_card,
            preconditions=found.get("preconditions") or (),
        )
        return self.state()

    def typed(self) -> Response:
        """A text that was typed in place of a scan."""
        found = _members("text")
        self.kiosk.typed(found.get("text") or "")
        return self.state()

    def lay(self) -> Response:
        """A card was laid on the reader."""
        self.kiosk.card_route.lay(_members("card").get("card") or "")
        return self.state()

    def answer(self) -> Response:
        """Somebody without a phone has agreed, with strokes or before the matcher, or has declined."""
        found = _members(
            "decision", "method", "sheet", "standing", lists=("declarations",), deep=("strokes",), most=MOST_BYTES
        )
        if found.get("decision") not in (Decision.AGREE, Decision.DECLINE):
            raise Refusal(Reason.BODY_INVALID, detail="decision")
        self.kiosk.card_route.answer(
            Given(
                decision=Decision(found["decision"]),
                method=found.get("method") or "",
                sheet=found.get("sheet") or "",
                declarations=tuple(found.get("declarations") or ()),
                strokes=found.get("strokes"),
                standing=found.get("standing"),
            )
        )
        return self.state()

    def staff(self) -> Response:
        """A second officer has laid the staff card down."""
        self.kiosk.card_route.attest(_members("officer").get("officer") or "")
        return self.state()

    def shift(self) -> Response:
        """The next officer takes over."""
        self._duty.change(_members("officer").get("officer") or "")
        return self.state()

    def problem(self) -> Response:
        """The key for reporting a problem was pressed."""
        self._problem = problem_at(self.kiosk.counter())
        return Response(status=204)

    def report(self) -> Response:
        """The officer has chosen a cause: answered with the report's number."""
        cause = _members("cause").get("cause")
        if cause not in tuple(Cause):
            raise Refusal(Reason.BODY_INVALID, detail="cause")
        problem = self._problem or problem_at(self.kiosk.counter())
        number = self._reports.file(Cause(cause), problem, self._where(), now=self._clock.now())
        self._problem = None
        return _json({"number": number})

    def _where(self) -> Where:
        client, (heard_at, silent) = self.kiosk.chosen.window.client, self.kiosk.heard
        network = "silent" if silent else "unknown" if heard_at is None else "ok"
        camera = {"kind": self.kiosk.camera_name.partition(":")[0], "picture": "yes" if self._seen[0] else "no"}
        return Where(
            province=client.province,
            window=client.window,
            officer=self._duty.named,
            version=version(),
            devices={**camera, "scanner": scanner_of(self.kiosk), "network": network},
        )

    def evidence(self) -> Response:
        """The file for the unit of what was signed."""
        return Response(self.kiosk.evidence(), content_type="application/json")

    def receipt(self, number: int) -> Response:
        """A receipt of the visit that has ended, as a drawing for the printed paper."""
        found = receipts_of(self.kiosk.counter())
        if not 1 <= number <= len(found):
            raise NotFound
        return Response(drawing(found[number - 1]), content_type="image/svg+xml")

    def own_code(self) -> Response:
        """The code that the counter shows: a drawing, or with `?text` in the sandbox what it says, for a phone without a
        camera."""
        text, drawing = self.kiosk.code()
        if "text" in request.args and self.settings.sandbox:
            return Response(text, content_type="text/plain; charset=us-ascii")
        return Response(drawing, content_type="image/svg+xml")

    def key(self, name: str) -> Response:
        """A key without anything to say: clear, keep, again, retry, invite, no-phone, attempts-read, cover, uncover."""
        keys: dict[str, Callable[[], None]] = {
            "clear": self.kiosk.clear,
            "invite": self.kiosk.invite,
            "no-phone": self.kiosk.card_route.no_phone,
            "keep": self.kiosk.keep,
            "again": self.kiosk.again,
            "retry": self.kiosk.retry,
            "attempts-read": lambda: self.kiosk.offline.take_away(self._clock.now()),
            "cover": lambda: self.kiosk.cover(True),
            "uncover": lambda: self.kiosk.cover(False),
        }
        if name not in keys:
            raise NotFound
        press = keys[name]
        press()
        return self.state()


def _door(screen: Screen) -> Blueprint:
    door = Blueprint("counter", __name__, url_prefix="/counter")
    door.add_url_rule("/", "page", screen.page)
    door.add_url_rule("/static/<name>", "asset", screen.asset)
    door.add_url_rule("/state", "state", screen.state)
    door.add_url_rule("/choices", "choices", screen.choices)
    door.add_url_rule("/preview.jpg", "preview", screen.preview)
    door.add_url_rule("/code.svg", "own_code", screen.own_code)
    door.add_url_rule("/frames", "frames", screen.frames, methods=["POST"])
    door.add_url_rule("/choose", "choose", screen.choose, methods=["POST"])
    door.add_url_rule("/start", "start", screen.start, methods=["POST"])
    door.add_url_rule("/typed", "typed", screen.typed, methods=["POST"])
    door.add_url_rule("/evidence.json", "evidence", screen.evidence)
    door.add_url_rule("/receipts/<int:number>.svg", "receipt", screen.receipt)
    door.add_url_rule("/lay", "lay", screen.lay, methods=["POST"])
    door.add_url_rule("/answer", "answer", screen.answer, methods=["POST"])
    door.add_url_rule("/staff", "staff", screen.staff, methods=["POST"])
    door.add_url_rule("/problem", "problem", screen.problem, methods=["POST"])
    door.add_url_rule("/report", "report", screen.report, methods=["POST"])
    door.add_url_rule("/shift", "shift", screen.shift, methods=["POST"])
    door.add_url_rule("/<name>", "key", screen.key, methods=["POST"])
    return door


def _members(
    *texts: str, lists: tuple[str, ...] = (), deep: tuple[str, ...] = (), most: int = _MOST_BODY
) -> dict[str, Any]:
    """The JSON object of the body: these texts, each of which may be missing or null, these lists of texts, and `deep` ones
    that somebody else judges. `most` bytes."""
    if request.mimetype != "application/json":
        raise Refusal(Reason.MEDIA_TYPE, detail="application/json")
    raw = request.get_data(cache=False)
    if len(raw) > most:
        raise Refusal(Reason.TOO_LARGE, detail="body")
    try:
        found = strict_json(raw, depth=4 if deep else 2, members=32)
    except Refusal as problem:
        raise Refusal(Reason.BODY_MALFORMED, detail=problem.detail) from problem
    if not isinstance(found, dict):
        raise Refusal(Reason.BODY_MALFORMED, detail="not a JSON object")
    for name, value in found.items():
        listed = name in lists and isinstance(value, list) and all(isinstance(each, str) for each in value)
        if not listed and name not in deep and not (name in texts and (value is None or isinstance(value, str))):
            raise Refusal(Reason.BODY_INVALID, detail="members")
    return found


def _json(found: Mapping[str, Any]) -> Response:
    return Response(json.dumps(found, ensure_ascii=False), content_type="application/json")


def _leave(answer: Response, clock: Clock) -> Response:
    for name, value in _HEADERS.items():
        answer.headers[name] = value
    # The page counts down from this; its own clock may be wrong, and the demo's time is shifted.
    answer.headers["Server-Time"] = clock.now().isoformat(timespec="milliseconds")
    return answer


def _tell(failure: Refusal | Unavailable, log: Log) -> Response:
    route = request.url_rule.rule if request.url_rule else None
    log.info("no", route=route, code=failure.reason, why=failure.detail)
    waits = {"Retry-After": str(failure.facts.get("n", 1))} if failure.reason is Reason.TOO_MANY else None
    told = problem_of(failure, audience=Audience.COUNTER, request_id=new_id(), headers=waits)
    body = json.dumps(told.body, ensure_ascii=False)
    return Response(body, told.status, dict(told.headers), content_type=PROBLEM_TYPE)


def _tell_fault(fault: Exception, log: Log) -> Response:
    log.error("fault", exc_info=fault, route=request.url_rule.rule if request.url_rule else None)
    return _tell(Unavailable(Reason.INTERNAL), log)
