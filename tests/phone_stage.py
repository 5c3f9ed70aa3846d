"""A phone to test: one province's wallet_api with its pages on it, real keys, a real store, and people in a file.

The inner network is played by hand: `ask` and `move` write into the hand-over store what the verifier writes there when a
counter has claimed a showing, when the libraries have answered, and when a visit has ended.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from flask import Flask
from sqlalchemy import Engine, select, update
from werkzeug.serving import WSGIRequestHandler, make_server

from consent.b64 import new_id, to_b64
from consent.clock import Clock, rfc3339
from consent.envelope import EnvelopeKey, new_envelope_key
from consent.keylist import write_key_list
from consent.keys import SANDBOX_MARK, SigningKey, new_key, write_private
from consent.people import synthetic_id
from consent.provinces import province
from consent.states import SHOWING
from consent.stores import handover
from consent.stores.base import open_engine, reading, writing
from consent.stores.handover import ShowingRow
from consent.stores.queue import finish, take
from consent.telling import new_log
from wallet_api.app import create_app, migrate_store
from wallet_api.pages import phone_blueprint
from wallet_api.personas import load_personas
from wallet_api.profiles.simulators import Simulator, open_simulator
from wallet_api.settings import Settings

PHONES = {code: f"http://wallet-{code}.sandbox.example" for code in ("31", "32", "33")}  # nobody runs 34

PEOPLE: list[dict[str, Any]] = [
    {"id": "zhang-wei", "name": "张伟", "note_zh": "已婚", "note_en": "married"},
    {"id": "ayi-guli", "name": "阿依古丽·买买提", "note_zh": "民族姓名", "note_en": "minority name"},
    {"id": "zhou-ming", "name": "周明", "note_zh": "离婚后再婚", "note_en": "divorced, remarried"},
    {"id": "paper-only", "name": "顾海", "note_zh": "只有纸质档案", "note_en": "paper file only"},
]


def people(code: str = "31") -> list[dict[str, Any]]:
    """Rows of a personas file; the last one uses another province's app."""
    rows = [
        {
            **each,
            "province": code,
            "app": province(code).app_id,
            "id_number": synthetic_id(f"{code}0199", date(1985, 3, 4), n * 2 + 1),
        }
        for n, each in enumerate(PEOPLE)
    ]
    elsewhere = {**rows[0], "id": "sun-li", "province": "32", "app": "sufuban", "name": "孙丽"}
    return [*rows, elsewhere]


def certificate(library: str = "33", type_: str = "marriage", status: str = "VALID", n: int = 1) -> dict[str, str]:
    """One row of holdings, as the libraries write it."""
    return {
        "certificate": f"{library}.{to_b64(n.to_bytes(16, 'big'))}",
        "type": type_,
        "number": f"{'J' if type_ == 'marriage' else 'L'}{library}0106-20{15 + n}-****{n:02d}",
        "authority": f"{province(library).name_zh}婚姻登记处",
        "registration_date": f"20{15 + n}-05-20",
        "status": status,
        "status_as_of": "2026-11-20T02:00:00Z",
    }


def holdings(*certificates: dict[str, str], undigitised: bool = False, silent: tuple[str, ...] = ()) -> str:
    """The answer to "who holds what"."""
    found = {"certificates": list(certificates), "undigitised": undigitised, "silent": list(silent)}
    return json.dumps(found, ensure_ascii=False)


def past_entry(n: int = 1, outcome: str = "PASSED", reason: str | None = None, **more: Any) -> dict[str, Any]:
    """One entry of the history, as `verifier.looking` writes it."""
    entry = f"{n:022x}"
    receipt = None if outcome == "ASKED" else f"eyJhbGciOiJFZERTQSJ9.e30.{n:04}"
    return {
        "entry": f"31.{entry}",
        "cursor": f"{1_700_000_000_000_000 + n}.31.{entry}",
        "province": "31",
        "way": "app",
        "desk": "32",
        "unit": "123201020MB99991132",
        "unit_zh": "南京市玄武区不动产登记中心",
        "unit_en": "Xuanwu, Nanjing Real Estate Registration Centre",
        "window": "32-R1",
        "window_name": None,
        "matter": "realestate.register",
        "matter_zh": "不动产登记",
        "matter_en": "Real-estate registration",
        "type": "marriage",
        "fields": [
            {"name": "certificate_number", "label_zh": "证照字号", "label_en": "Certificate number"},
            {"name": "registration_date", "label_zh": "登记日期", "label_en": "Registration date"},
        ],
        "cause": "case 2026-0001",
        "outcome": outcome,
        "reason": reason,
        "request": to_b64(b"%-32d" % n),
        "receipt": receipt,
        "receipt_digest": None if receipt is None else to_b64(b"%-32d" % (n + 1)),
        "objection": None,
        "second_officer": None,
        "asked_at": "2026-11-20T02:00:00Z",
        "ended_at": None if outcome == "ASKED" else "2026-11-20T02:01:00Z",
        **more,
    }


def sheet_of(
    request: str, now: datetime, *, declare: bool = True, type_: str = "marriage", together: bool = False
) -> dict[str, Any]:
    """A sheet as `verifier.sheet` writes it, with the texts of the catalogue's real-estate matter."""
    fields = [
        ("holder_match", "MATCH", "持证人与办件当事人一致", "Holder is the person of this case"),
        ("certificate_number", "PLAIN", "证照字号", "Certificate number"),
        ("registration_date", "PLAIN", "登记日期", "Registration date"),
        ("other_party_name", "MASKED", "对方姓名（部分隐藏）", "Other party's name (partly hidden)"),
    ]
    text = (
        "我声明：我对婚姻状况的陈述真实，并承担相应责任。",
        "I declare that what I state about my marital status is true, and I answer for it.",
    )
    return {
        "request": request,
        "unit": {
            "uscc": "11310000MB2F30019L",
            "name_zh": "徐汇区不动产登记中心",
            "name_en": "Xuhui Real Estate Registry",
        },
        "place_zh": "徐汇区南宁路999号 一层大厅",
        "place_en": "Ground floor, 999 Nanning Road, Xuhui",
        "window": "hall-1.w07",
        "window_name": "7号窗口",
        "matter": {"slug": "realestate.register", "name_zh": "不动产登记", "name_en": "Real-estate registration"},
        "type": type_,
        "fields": [{"name": n, "disclosure": d, "label_zh": zh, "label_en": en} for n, d, zh, en in fields],
        "not_given": [
            {"zh": "双方出生日期、民族、户籍地址和照片", "en": "Birth dates, ethnicity, household addresses and photo"}
        ],
        "basis_zh": "列入本省用证范围的事项，由当事人本人声明承诺并授权后调取。",
        "basis_en": "For matters on the province's list, retrieved after the citizen's own declaration and authorisation.",
        "clause": "沪民婚发〔2024〕4号 二(一)2",
        "retention_zh": "随登记档案保存",
        "retention_en": "Kept with the registration file",
        "cause": "核对共有人 <b>婚姻状况</b>",
        "together": together,
        "digits": ["47", "12", "83"],
        "declarations": [{"slug": "marital_status", "text_zh": text[0], "text_en": text[1]}] if declare else [],
        "desk": "31",
        "asked_at": rfc3339(now),
        "answer_by": rfc3339(now + timedelta(minutes=3)),
    }


@dataclass(kw_only=True)
class Stage:
    """A running wallet_api with a phone on it, and the inner network in the tester's hands."""

    app: Flask
    clock: Clock
    engine: Engine
    folder: Path
    login_key: SigningKey
    envelope_key: EnvelopeKey
    simulator: Simulator  # the app's own server
    lines: StringIO

    def newest(self) -> ShowingRow:
        """The showing that was opened last."""
        table = handover.showings
        with reading(self.engine) as connection:
            found = connection.execute(
                select(table.c.showing_id).order_by(table.c.opened_at.desc()).limit(1)
            ).scalar_one()
            row = handover.find(connection, found)
        assert row is not None
        return row

    def row(self, showing_id: str) -> ShowingRow:
        """One showing."""
        with reading(self.engine) as connection:
            row = handover.find(connection, showing_id)
        assert row is not None
        return row

    def move(self, showing_id: str, event: str, **columns: Any) -> None:
        """One step of the inner network."""
        with writing(self.engine) as connection:
            done = handover.move(
                connection,
                showing_id,
                to=SHOWING.target(event),
                frm=SHOWING.sources(event),
                now=self.clock.now(),
                **columns,
            )
        assert done, event

    def note(self, showing_id: str, **columns: Any) -> None:
        """Columns without a step, for instance holdings."""
        with writing(self.engine) as connection:
            assert handover.note(connection, showing_id, now=self.clock.now(), **columns)

    def ask(self, showing_id: str, *, found: str | None = None, **sheet: Any) -> dict[str, Any]:
        """A counter claims the showing; returns the sheet."""
        now = self.clock.now()
        written = sheet_of(to_b64(b"%-32s" % showing_id.encode()), now, **sheet)
        columns = {
            "sheet": json.dumps(written, ensure_ascii=False),
            "request_digest": written["request"],
            "asked_at": now,
        }
        self.move(showing_id, "claim", holdings=found, **columns)
        return written

    def end(self, showing_id: str, event: str, reason: str | None = None, *, given: tuple[str, ...] = ()) -> None:
        """The visit ends, with a result as the verifier writes it."""
        outcome = {"deliver": "PASSED", "undetermine": "UNDETERMINED"}.get(event, "REFUSED")
        result = {
            "outcome": outcome,
            "reason": reason,
            "receipt": "eyJhbGciOiJFZERTQSJ9.e30.c2ln" if given else None,
            "given": list(given),
            "ended_at": rfc3339(self.clock.now()),
        }
        self.move(showing_id, event, reason=reason, result=json.dumps(result))

    def libraries_answer(self, found: str) -> int:
        """Finish every errand "holdings" with this answer; returns how many there were."""
        now = self.clock.now()
        with writing(self.engine) as connection:
            items = take(connection, handover.errands, now=now, lease=timedelta(seconds=5), limit=1000)
            for item in items:
                finish(connection, handover.errands, item, now=now, answer=found)
                table = handover.showings
                connection.execute(
                    update(table)
                    .where(table.c.holdings_errand == item.id)
                    .values(holdings=found, version=table.c.version + 1)
                )
        return len(items)

    def answer(self, kind: str, found: dict[str, Any]) -> int:
        """Finish every waiting errand of one kind with this answer; the others wait on. Returns how many there were."""
        now = self.clock.now()
        with writing(self.engine) as connection:
            items = take(connection, handover.errands, now=now, lease=timedelta(microseconds=1), limit=1000)
            mine = [item for item in items if item.kind == kind]
            for item in mine:
                finish(connection, handover.errands, item, now=now, answer=json.dumps(found, ensure_ascii=False))
        return len(mine)

    def errands(self) -> list[tuple[str, str, dict[str, Any]]]:
        """All errands as (kind, ref, body)."""
        table = handover.errands
        with reading(self.engine) as connection:
            return [
                (row.kind, row.ref, json.loads(row.body))
                for row in connection.execute(select(table).order_by(table.c.id))
            ]

    def errands_of(self, kind: str) -> list[tuple[str, str, dict[str, Any]]]:
        """Those of one kind."""
        return [each for each in self.errands() if each[0] == kind]


@cache
def empty_store() -> bytes:
    """A hand-over store of the newest schema. Made once: migrating is what takes the time."""
    with TemporaryDirectory() as folder:
        migrate_store(Settings(province="31", profile="sandbox", store=f"sqlite:///{folder}/empty.db"), create=True)
        return (Path(folder) / "empty.db").read_bytes()


def set_stage(folder: Path, clock: Clock, *, code: str = "31") -> Stage:
    """Found it in an empty folder."""
    app_id = province(code).app_id
    code_key, login_key = new_key("EdDSA", issuer=code), new_key("ES256", issuer=app_id)
    envelope_key = new_envelope_key()
    term = {"not_before": clock.now() - timedelta(days=1), "not_after": clock.now() + timedelta(days=30)}
    listed = [code_key.published("YRD1", **term), login_key.published("holder+jwt", **term)]
    pinned = write_key_list(folder / "keylist.json", version=1, keys=listed, recipients={code: envelope_key.recipient})
    write_private(folder / "code.pem", code_key.pem())
    write_private(folder / "showing.key", SANDBOX_MARK + to_b64(b"showing key of a test province.."))
    (folder / "personas.json").write_text(json.dumps(people(code), ensure_ascii=False), encoding="utf-8")
    settings = Settings(
        province=code,
        profile="sandbox",
        store=f"sqlite:///{folder}/handover-{code}.db",
        keylist=str(folder / "keylist.json"),
        keylist_sha256=pinned,
        code_key=f"file:{folder}/code.pem",
        showing_key=f"file:{folder}/showing.key",
    )
    (folder / f"handover-{code}.db").write_bytes(empty_store())
    simulator = open_simulator(code, login_key=login_key, inner=envelope_key.recipient, clock=clock)
    phone = phone_blueprint(
        province=code,
        login_key=login_key,
        inner=envelope_key.recipient,
        personas=load_personas(folder / "personas.json", today=date(2026, 11, 24)),
        phones=PHONES,
        clock=clock,
        sandbox=True,
        own_code=simulator.hold_up,
    )
    lines = StringIO()
    app = create_app(settings, clock=clock, log=new_log("wallet_api", clock, stream=lines), pages=[phone])
    return Stage(
        app=app,
        clock=clock,
        engine=open_engine(settings.store),
        folder=folder,
        login_key=login_key,
        envelope_key=envelope_key,
        simulator=simulator,
        lines=lines,
    )


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:
        """Nothing: the application writes its own line."""


@contextmanager
def serving(app: Flask) -> Iterator[str]:
    """The application on a loopback port; gives its base URL."""
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Quiet)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


__all__ = [
    "PEOPLE",
    "PHONES",
    "Stage",
    "certificate",
    "holdings",
    "new_id",
    "past_entry",
    "people",
    "serving",
    "set_stage",
    "sheet_of",
]
