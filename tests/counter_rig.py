"""A counter with everything real but the desk and the phone: keys, proofs, envelopes, codes, frames, page.

`FakeDesk` implements the documented answers of a desk's counter door over WSGI. It opens the window's proof and the
envelope as the real one does, and moves a visit only when the test says so.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Condition
from typing import Any

import qrcode
from werkzeug.test import Client, EnvironBuilder
from werkzeug.wrappers import Request, Response

from consent.b64 import new_id
from consent.clock import Clock, MovableClock, rfc3339
from consent.code import mint
from consent.envelope import EnvelopeKey, new_envelope_key
from consent.errors import Reason, Refusal, Unavailable, outcome_of
from consent.invitation import LIFE, seal_invitation
from consent.keylist import KeyList, read_key_list, write_key_list
from consent.keys import SigningKey, new_key, write_private
from consent.people import synthetic_id
from consent.sentences import Audience, Lang, next_step, sentences
from consent.telling import problem_of
from consent.window import HEADER, issuer_of, open_window
from scanner_kiosk.province_client import Line, Reply
from scanner_kiosk.settings import Settings

START = datetime(2026, 6, 1, 2, 0, tzinfo=UTC)
PERSON = synthetic_id("310199", datetime(1990, 1, 2, tzinfo=UTC).date(), 11)
OTHER = synthetic_id("320199", datetime(1991, 3, 4, tzinfo=UTC).date(), 12)
SOON = 20.0  # seconds; only ever used up by a failing test

MATTER: Mapping[str, Any] = {
    "slug": "divorce.apply",
    "name_zh": "离婚登记申请",
    "name_en": "Application for divorce registration",
    "types": ["marriage"],
    "fields": [
        {
            "name": "holder_match",
            "disclosure": "MATCH",
            "label_zh": "持证人与办件当事人一致",
            "label_en": "Holder is the person of this case",
        },
        {"name": "certificate_number", "disclosure": "PLAIN", "label_zh": "证照字号", "label_en": "Certificate number"},
        {"name": "registration_date", "disclosure": "PLAIN", "label_zh": "登记日期", "label_en": "Registration date"},
        {
            "name": "registration_authority",
            "disclosure": "PLAIN",
            "label_zh": "登记机关",
            "label_en": "Registration authority",
        },
        {
            "name": "other_party_name",
            "disclosure": "MASKED",
            "label_zh": "对方姓名（部分隐藏）",
            "label_en": "Other party's name (partly hidden)",
        },
        {
            "name": "other_party_id",
            "disclosure": "MASKED",
            "label_zh": "对方证件号码（部分隐藏）",
            "label_en": "Other party's ID number (partly hidden)",
        },
    ],
    "preconditions": [
        {
            "slug": "both_lost",
            "text_zh": "双方的结婚证均已遗失",
            "text_en": "Both paper certificates are lost",
            "clause": "二(一)1",
        },
    ],
    "holder_match": True,
    "basis_zh": "依据",
    "basis_en": "Basis",
    "clause": "沪民婚发〔2024〕4号 二(一)1",
}
OPEN_MATTER: Mapping[str, Any] = {
    **MATTER,
    "slug": "realestate.register",
    "name_zh": "不动产登记",
    "name_en": "Real-estate registration",
    "types": ["marriage", "divorce"],
    "preconditions": [],
    "holder_match": False,
}
COPY: Mapping[str, Any] = {
    "type": "marriage",
    "status": "VALID",
    "status_as_of": "2026-06-01T02:00:05Z",
    "library": "33",
    "authority": "杭州市婚姻登记处（沙盒）",
    "cause": "离婚登记申请",
    "expires": "2026-06-01T14:00:05Z",
    "fields": [
        {**each, "value": value}
        for each, value in zip(
            MATTER["fields"],
            (
                "yes",
                "J330106-2021-000003",
                "2021-10-08",
                "浙江省婚姻登记处（沙盒）",
                "阿***·**提",
                "330199********0071",
            ),
            strict=True,
        )
    ],
}


@dataclass(slots=True)
class FakeVisit:
    """What the desk holds of one presentation."""

    window: str
    body: bytes
    state: str = "ASKED"
    version: int = 1
    reason: Reason | None = None
    facts: Mapping[str, str | int] = field(default_factory=dict)
    library: str | None = None


class FakeDesk:
    """The counter door of one province. `log` lists method and path of all calls; `bodies` those of POST."""

    def __init__(
        self, province: str, keylist: KeyList, envelope: EnvelopeKey, request_key: SigningKey, clock: Clock
    ) -> None:
        self.province, self.keylist, self.envelope, self.clock = province, keylist, envelope, clock
        self.request_key = request_key
        self.invited: dict[str, tuple[str, bytes]] = {}  # window and body, by request id
        self.codes: list[str] = []  # what was given out for the counter's screen
        self.visits: dict[str, FakeVisit] = {}
        self.log: list[tuple[str, str]] = []
        self.bodies: list[bytes] = []
        self.people: list[str | None] = []
        self.cleared: list[str] = []
        self.taken_back: list[str] = []  # codes that are shown no more
        self.refuse: Reason | None = None
        self.facts: dict[str, Any] = {}
        self.changed = Condition()
        self._used: set[tuple[str, str]] = set()

    def move(self, state: str, reason: Reason | None = None, **facts: str | int) -> None:
        """The newest visit goes on."""
        with self.changed:
            visit = list(self.visits.values())[-1]
            visit.state, visit.reason, visit.facts, visit.version = state, reason, facts, visit.version + 1
            visit.library = "33" if state in ("FETCHING", "PASSED") else visit.library
            self.changed.notify_all()

    def come(self, request_id: str) -> None:
        """A phone has read the code of this request in time."""
        with self.changed:
            window, body = self.invited[request_id]
            self.visits[request_id] = FakeVisit(window=window, body=body)
            self.changed.notify_all()

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Until something is so; AssertionError after a long time."""
        with self.changed:
            assert self.changed.wait_for(condition, SOON)

    def __call__(self, environ: Any, start_response: Any) -> Any:
        request = Request(environ)
        try:
            answer = self._answer(request)
        except (Refusal, Unavailable) as failure:
            told = problem_of(failure, audience=Audience.COUNTER, request_id=new_id())
            body = {**told.body, "facts": dict(failure.facts)}
            answer = Response(
                json.dumps(body), told.status, dict(told.headers), content_type="application/problem+json"
            )
        with self.changed:
            self.log.append((request.method, request.path))
            self.changed.notify_all()
        return answer(environ, start_response)

    def _answer(self, request: Request) -> Response:
        now, body = self.clock.now(), request.get_data()
        proof = open_window(
            request.headers[HEADER],
            self.keylist.ring,
            province=self.province,
            method=request.method,
            path=request.path,
            body=body,
            now=now,
        )
        used = (proof.sealed.issuer, proof.sealed.jti)
        assert used not in self._used, "a proof was sent twice"
        self._used.add(used)
        if self.refuse is not None and request.path != "/counter/register":
            raise Refusal(self.refuse, **self.facts)
        if request.path == "/counter/register":
            return Response(json.dumps(self._register(proof.window)), content_type="application/json")
        if request.path == "/counter/invitations":
            return self._invite(proof.window, body)
        if request.path.startswith("/counter/invitations/"):
            return self._uninvite(request.path.rpartition("/")[2])
        if request.method == "POST":
            return self._present(proof.window, body)
        return self._watch(request, proof.window)

    def _present(self, window: str, body: bytes) -> Response:
        found = json.loads(body)
        self.bodies.append(body)
        id_number = None
        if found["match"] is not None:
            id_number = json.loads(self.envelope.open(found["match"], info=found["request_id"]))["id"]
        visit = self.visits.setdefault(found["request_id"], FakeVisit(window=window, body=body))
        if visit.body != body:
            raise Refusal(Reason.REQUEST_ID_REUSED)
        self.people.append(id_number)
        return self._view(found["request_id"], visit, 202)

    def _invite(self, window: str, body: bytes) -> Response:
        found, now = json.loads(body), self.clock.now()
        assert "code" not in found
        self.bodies.append(body)
        self.invited[found["request_id"]] = (window, body)
        text = seal_invitation(self.request_key, window=window, request_id=found["request_id"], now=now)
        self.codes.append(text)
        view = {"request_id": found["request_id"], "counter": text, "expires_at": rfc3339(now + LIFE)}
        return Response(json.dumps(view), 201, content_type="application/json")

    def _uninvite(self, request_id: str) -> Response:
        if request_id in self.visits:
            raise Refusal(Reason.STATE_FORBIDS)
        if request_id not in self.invited:
            raise Refusal(Reason.REQUEST_UNKNOWN)
        self.taken_back.append(request_id)
        return Response(status=204)

    def _watch(self, request: Request, window: str) -> Response:
        request_id = request.path.rpartition("/")[2]
        visit = self.visits.get(request_id)
        if visit is None or visit.window != window:
            raise Refusal(Reason.REQUEST_UNKNOWN)
        if request.method == "DELETE":
            self.cleared.append(request_id)
            return Response(status=204)
        with self.changed:
            known = request.if_none_match
            self.changed.wait_for(
                lambda: not known.contains(str(visit.version)), min(int(request.args.get("wait", "0")), 2) / 4
            )
        answer = self._view(request_id, visit, 200)
        answer.set_etag(str(visit.version))
        return answer.make_conditional(request)

    def _view(self, request_id: str, visit: FakeVisit, status: int) -> Response:
        ended = visit.state in ("PASSED", "REFUSED", "UNDETERMINED")
        said = visit.reason is not None

        def told(say: Callable[..., str], lang: Lang) -> str:
            return say(visit.reason, lang, Audience.COUNTER, **visit.facts) if said else ""

        view = {
            "request_id": request_id,
            "state": visit.state,
            "version": visit.version,
            "digits": "47",
            "outcome": outcome_of(visit.reason).value if ended else None,
            "reason": visit.reason,
            "sentence_zh": told(sentences, Lang.ZH_CN),
            "sentence_en": told(sentences, Lang.EN),
            "next_zh": told(next_step, Lang.ZH_CN),
            "next_en": told(next_step, Lang.EN),
            "clause": "沪民婚发〔2024〕4号 一" if said else "",
            "holder_province": "31",
            "library": visit.library,
            "matter": "divorce.apply",
            "copy": COPY if visit.state == "PASSED" else None,
            "receipt": None,
            "officer": "not-verified",
            "asked_at": rfc3339(START),
            "answer_by": rfc3339(self.clock.now() + timedelta(minutes=2)),
        }
        return Response(json.dumps(view), status, content_type="application/json")

    def _register(self, window: str) -> dict[str, Any]:
        return {
            "province": self.province,
            "window": window,
            "window_name": "1号窗口",
            "unit": {
                "uscc": "X",
                "name_zh": "黄浦区婚姻登记处",
                "name_en": "Huangpu Marriage Registry",
                "kind": "government",
            },
            "matters": [MATTER, OPEN_MATTER],
        }


@dataclass(slots=True)
class InsideLine:
    """A `Line` into a WSGI application. `silent` calls are lost on the way there, `lost` on the way back."""

    app: Any
    silent: int = 0
    lost: int = 0

    def call(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        """One request, one answer."""
        if self.silent:
            self.silent -= 1
            raise Unavailable(Reason.OFFLINE, "desk", detail="silent")
        builder = EnvironBuilder(path=path, method=method, data=body, headers=list(headers.items()))
        answer = Client(self.app, Response, use_cookies=False).open(builder, buffered=True)
        builder.close()
        if self.lost:
            self.lost -= 1
            raise Unavailable(Reason.OFFLINE, "desk", detail="lost")
        headers = {name.lower(): value for name, value in answer.headers.items()}
        return Reply(status=answer.status_code, headers=headers, body=answer.get_data())


@dataclass(slots=True, kw_only=True)
class Rig:
    """A sandbox of two provinces with one window each, in a folder."""

    folder: Path
    clock: Any  # a MovableClock, unless the page runs in real time
    keylist: KeyList
    keylist_sha256: str
    code_key: SigningKey
    windows: Path
    personas: Path
    desks: dict[str, FakeDesk]
    lines: dict[str, InsideLine]

    @property
    def desk(self) -> FakeDesk:
        """Shanghai's."""
        return self.desks["31"]

    def settings(self, **more: Any) -> Settings:
        """Of a kiosk in this sandbox, before a browser's camera."""
        given: dict[str, Any] = {
            "profile": "sandbox",
            "keylist": str(self.folder / "keylist.json"),
            "keylist_sha256": self.keylist_sha256,
            "windows": str(self.windows),
            "personas": str(self.personas),
            "camera": "posted:",
            "state": str(self.folder / "state"),
        }
        return Settings(**{**given, **more})

    def code(self) -> str:
        """A genuine code, another one each time."""
        return mint(new_id()[:16].encode(), self.code_key, now=self.clock.now())

    def forged(self) -> str:
        """A code whose signature does not hold, under the right key's name."""
        text = self.code()
        return text[:-3] + ("0" if text[-3] != "0" else "1") + text[-2:]

    def line(self, setting: Any) -> Line:
        """The line to a window's desk."""
        return self.lines[setting.province]


def png(text: str) -> bytes:
    """A drawing as the phone shows it: level M, white all around."""
    out = io.BytesIO()
    drawing = qrcode.QRCode(error_correction=qrcode.ERROR_CORRECT_M, box_size=8, border=4)
    drawing.add_data(text)
    drawing.make_image().get_image().save(out, "PNG")
    return out.getvalue()


def new_rig(folder: Path, clock: Clock | None = None) -> Rig:
    """Keys, key list, windows and desks in a fresh folder."""
    clock = clock or MovableClock(START)
    term = {"not_before": clock.now() - timedelta(days=1), "not_after": clock.now() + timedelta(days=30)}
    code_key, envelopes, published, rows = new_key("EdDSA", issuer="31"), {}, [], []
    request_keys = {province: new_key("EdDSA", issuer=province) for province in ("31", "33")}
    published += [key.published("counter+jwt", **term) for key in request_keys.values()]
    published.append(code_key.published("YRD1", **term))
    for province, window in (("31", "31-M1"), ("33", "33-M1")):
        key = new_key("ES256", issuer=issuer_of(province, window))
        path = folder / f"{window}.pem"
        write_private(path, key.pem())
        published.append(key.published("window+jwt", **term))
        envelopes[province] = new_envelope_key()
        rows.append(
            {
                "province": province,
                "window": window,
                "name": "1号窗口",
                "desk_url": f"http://127.0.0.1:1/{province}",
                "key_uri": f"file:{path}",
                "unit_zh": "婚姻登记处",
                "unit_en": "Marriage Registry",
            }
        )
    recipients = {province: key.recipient for province, key in envelopes.items()}
    pinned = write_key_list(folder / "keylist.json", version=3, keys=published, recipients=recipients)
    keylist = read_key_list(folder / "keylist.json", pinned=pinned)
    (folder / "windows.json").write_text(json.dumps(rows), encoding="utf-8")
    people = [
        {
            "id": "wang",
            "province": "31",
            "name": "王小芳",
            "id_number": PERSON,
            "note_zh": "已婚",
            "note_en": "married",
        },
        {"id": "zhou", "province": "32", "name": "周明", "id_number": OTHER, "note_zh": "离婚", "note_en": "divorced"},
    ]
    (folder / "personas.json").write_text(json.dumps(people), encoding="utf-8")
    desks = {
        province: FakeDesk(province, keylist, key, request_keys[province], clock) for province, key in envelopes.items()
    }
    return Rig(
        folder=folder,
        clock=clock,
        keylist=keylist,
        keylist_sha256=pinned,
        code_key=code_key,
        windows=folder / "windows.json",
        personas=folder / "personas.json",
        desks=desks,
        lines={province: InsideLine(desk) for province, desk in desks.items()},
    )
