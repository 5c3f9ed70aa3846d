"""A kiosk whose desk cannot be reached, against the real desk of Jiangsu behind a real socket that is closed and opened."""

from __future__ import annotations

import io
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from threading import Thread
from typing import Any

import base45
import pytest
from werkzeug.serving import BaseWSGIServer, make_server

from consent.clock import MovableClock
from consent.code import PREFIX, mint
from consent.errors import Outcome, Reason, outcome_of
from consent.keys import new_key
from consent.telling import new_log
from consent.twin import new_twin
from scanner_kiosk import offline
from scanner_kiosk.counter import Guidance
from scanner_kiosk.country.people import pair
from scanner_kiosk.face import state_of
from scanner_kiosk.journal import Journal
from scanner_kiosk.offline import HEARD, JOURNAL, TRUST_FOR, Check, Offline, Place
from scanner_kiosk.province_client import HttpLine
from tests.counter_rig import png
from tests.country import START, Stage
from tests.kiosk_stage import Here, kiosk_app
from verifier.stores import inner

WHO = pair("31", "33")
PLACE = Place(province="32", window="32-M1", matter="realestate.register")


class Desk:
    """The counter door of Jiangsu at one address, which can be shut and opened again."""

    def __init__(self, stage: Stage) -> None:
        self._app = stage.country.verifiers["32"]
        self._server: BaseWSGIServer | None = None
        self._port = 0
        self.open()

    @property
    def line(self) -> HttpLine:
        """The way of the kiosk's own client to it."""
        return HttpLine(f"http://127.0.0.1:{self._port}")

    def open(self) -> None:
        """Answer from now on."""
        self._server = make_server("127.0.0.1", self._port, self._app, threaded=True)
        self._port = self._server.server_port
        Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def shut(self) -> None:
        """Nobody listens at the address any more, and nobody who was connected is answered."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


@pytest.fixture
def desk(stage: Stage) -> Iterator[Desk]:
    found = Desk(stage)
    yield found
    found.shut()


@pytest.fixture
def here(stage: Stage, desk: Desk) -> Iterator[Here]:
    shutil.rmtree(folder_of(stage), ignore_errors=True)
    kept_apps = dict(stage.country._apps)
    with kiosk_app(stage, desk=desk.line) as (app, log):
        yield Here(stage=stage, kiosk=app.extensions["kiosk"], log=log)
    stage.country._apps.update(kept_apps)  # the next test begins on the first day, with the first day's tokens


def folder_of(stage: Stage) -> Path:
    return stage.folder / "counter"


def waiting(here: Here) -> str:
    """A case is ready and a phone shows its code, which is returned."""
    here.begin(WHO)
    phone = here.stage.country.phone_of(WHO)
    phone.show()
    return phone.code()


def cut(here: Here, desk: Desk, text: str, ends: str = "UNDETERMINED") -> dict[str, Any]:
    """The desk goes away, this is shown, and the counter comes to an end: what the page is told."""
    desk.shut()
    here.kiosk.typed(text)
    here.until(ends)
    return page(here)


def page(here: Here) -> dict[str, Any]:
    return state_of(here.kiosk, guidance=Guidance.PAUSED, has_picture=False)


def lines(here: Here) -> list[dict[str, Any]]:
    return Journal(folder_of(here.stage) / JOURNAL).all()


def spoilt(code: str) -> str:
    raw = bytearray(base45.b45decode(code.removeprefix(PREFIX)))
    raw[-1] ^= 1
    return PREFIX + base45.b45encode(bytes(raw)).decode()


# --- what is said ---------------------------------------------------------------------------------


def test_a_code_is_called_genuine_and_nothing_is_concluded_named_or_fetched(here: Here, desk: Desk) -> None:
    code = waiting(here)
    told = cut(here, desk, code)
    assert (told["check"], told["said"]["reason"], told["said"]["outcome"]) == ("genuine", "OFFLINE", "UNDETERMINED")
    assert told["visit"] is None
    assert told["network"] == {"silent": True, "heard_at": "2026-03-02T01:02:03Z", "since": "2026-03-02T01:02:03Z"}
    assert [(each["check"], each["matter_zh"]) for each in told["attempts"]] == [("genuine", "不动产登记")]
    kept = (folder_of(here.stage) / JOURNAL).read_text(encoding="utf-8")
    for personal in (WHO.name, WHO.id_number, WHO.id_number[:6], code, "2026-宁-1"):
        assert personal not in kept
    assert WHO.name not in json.dumps(told, ensure_ascii=False)
    assert code not in here.log.getvalue()


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (lambda code, now: mint(b"c" * 16, new_key("EdDSA", issuer="31"), now=now), Reason.CODE_UNKNOWN_KEY),
        (lambda code, now: spoilt(code), Reason.CODE_BAD_SIGNATURE),
    ],
)
def test_a_forged_code_has_its_usual_refusal(here: Here, desk: Desk, made: Any, reason: Reason) -> None:
    told = cut(here, desk, made(waiting(here), here.stage.clock.now()), "REFUSED")
    assert (told["check"], told["said"]["reason"]) == ("refused", reason)
    assert lines(here)[0]["showing"] is None


def test_a_code_out_of_its_minute_has_its_usual_refusal(here: Here, desk: Desk) -> None:
    code = waiting(here)
    here.stage.clock.advance(61)
    told = cut(here, desk, code, "REFUSED")
    assert (told["check"], told["said"]["reason"]) == ("refused", "CODE_EXPIRED")


def test_a_forged_picture_is_said_to_be_checked_here_only_once_the_desk_is_known_to_be_silent(
    here: Here, desk: Desk
) -> None:
    code = waiting(here)
    forged = png(spoilt(code))

    def shown() -> bool:
        here.kiosk.post_frame(forged)
        return here.state == "REFUSED"

    here.until(shown)
    assert (page(here)["check"], lines(here)) == (None, [])
    here.kiosk.again()
    cut(here, desk, code)
    here.kiosk.again()
    here.stage.clock.advance(4)  # the same picture in view is the same scan
    here.until(shown)
    assert (page(here)["check"], page(here)["said"]["reason"]) == ("refused", "CODE_BAD_SIGNATURE")
    assert [each["check"] for each in lines(here)] == ["genuine", "refused"]


def test_digits_can_be_looked_up_by_their_province_only_and_leave_no_digest(here: Here, desk: Desk) -> None:
    waiting(here)
    told = cut(here, desk, new_twin("31"))
    assert (told["check"], told["said"]["reason"]) == ("untold", "OFFLINE")
    assert lines(here)[0]["code"] is None


def test_beyond_the_age_of_its_keys_a_kiosk_calls_nothing_genuine(here: Here, desk: Desk) -> None:
    waiting(here)
    here.stage.clock.advance(TRUST_FOR.total_seconds())
    here.stage.country.forget_tokens()  # the app's own has run out too
    phone = here.stage.country.phone_of(WHO)
    phone.show()
    told = cut(here, desk, phone.code())
    assert (told["check"], told["said"]["reason"], told["said"]["outcome"]) == (
        *("keys_old", "KEY_LIST_STALE", "UNDETERMINED"),
    )


def test_no_finding_is_ever_a_pass() -> None:
    reasons = {Reason.OFFLINE, Reason.KEY_LIST_STALE, Reason.CODE_EXPIRED, Reason.CODE_BAD_SIGNATURE}
    assert Outcome.PASSED not in {outcome_of(reason) for reason in reasons}


# --- what is kept ---------------------------------------------------------------------------------


def kept(folder: Path, keylist: str = "pin") -> Offline:
    return Offline(folder, keylist=keylist, log=new_log("scanner_kiosk", MovableClock(START), stream=io.StringIO()))


def said(found: Offline, at: timedelta, id_: str = "A" * 22) -> Check:
    return found.refused(id_, Reason.CODE_BAD_SIGNATURE, PLACE, now=START + at).check


def test_trust_outlives_a_restart_and_not_another_list_a_day_or_a_clock_set_back(tmp_path: Path) -> None:
    kept(tmp_path).heard(START)
    hour = timedelta(hours=1)
    assert said(kept(tmp_path), hour) is Check.REFUSED
    assert said(kept(tmp_path), 24 * hour - timedelta(seconds=1)) is Check.REFUSED
    assert said(kept(tmp_path), 24 * hour) is Check.KEYS_OLD
    assert said(kept(tmp_path), -hour) is Check.KEYS_OLD
    assert said(kept(tmp_path, keylist="another"), hour) is Check.KEYS_OLD
    (tmp_path / HEARD).write_text('{"at": ')
    assert said(kept(tmp_path), hour) is Check.KEYS_OLD


def test_a_kiosk_killed_in_the_middle_has_every_attempt_that_the_screen_has_shown(tmp_path: Path) -> None:
    script = f"""
from tests.test_offline import kept, said, timedelta, Path
from consent.b64 import new_id
found = kept(Path({str(tmp_path)!r}))
while True:
    id_ = new_id()
    said(found, timedelta(0), id_)
    print(id_, flush=True)
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        shown = [child.stdout.readline().strip() for _ in range(20)]
        child.send_signal(signal.SIGKILL)
        shown += [line.strip() for line in child.stdout if line.endswith("\n")]
    assert all(shown)
    with (tmp_path / JOURNAL).open("ab") as raw:
        raw.write(b'{"id": "torn", "che')
    after = kept(tmp_path)
    assert [each["id"] for each in after.attempts()][: len(shown)] == shown
    said(after, timedelta(0), "B" * 22)
    assert kept(tmp_path).attempts()[-1]["id"] == "B" * 22


def test_a_full_journal_lets_the_oldest_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offline, "MOST", 3)
    found = kept(tmp_path)
    for n in range(5):
        said(found, timedelta(0), str(n))
    assert [each["id"] for each in found.attempts()] == ["2", "3", "4"]
    assert [each["id"] for each in kept(tmp_path).attempts()] == ["2", "3", "4"]
    assert (tmp_path / JOURNAL).stat().st_mode & 0o077 == 0


def test_a_disk_that_takes_nothing_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file where the folder should be")
    found = kept(tmp_path / "state")
    found.heard(START)
    assert said(found, timedelta(0)) is Check.REFUSED
    assert len(found.attempts()) == 1


# --- the desk is back -----------------------------------------------------------------------------


def test_when_the_desk_is_back_nothing_goes_on_and_the_list_stands_until_it_is_taken_away(
    here: Here, desk: Desk
) -> None:
    cut(here, desk, waiting(here))
    here.kiosk.clear()
    here.kiosk.step()
    assert here.kiosk.heard[1]
    desk.open()
    here.stage.clock.advance(5)
    here.until(lambda: not here.kiosk.heard[1])
    told = page(here)
    assert (told["state"], told["network"]["since"], told["attempts_in_all"]) == ("IDLE", None, 1)
    assert here.stage.rows("32", inner.visits) == []
    with kiosk_app(here.stage, desk=desk.line) as (app, _):
        restarted = app.extensions["kiosk"].offline
        assert len(restarted.attempts()) == 1
        restarted.take_away(here.stage.clock.now())
        assert restarted.attempts() == []
    assert kept(folder_of(here.stage)).attempts() == []


def test_a_covered_screen_lists_no_attempts(here: Here, desk: Desk) -> None:
    cut(here, desk, waiting(here))
    here.kiosk.cover(True)
    told = page(here)
    assert (told["attempts"], told["attempts_in_all"], told["check"]) == ([], 0, None)


def test_asked_once_more_a_request_keeps_its_finding_until_the_desk_itself_speaks(here: Here, desk: Desk) -> None:
    cut(here, desk, waiting(here))
    here.stage.clock.advance(31)
    here.stage.clock.advance(28)
    here.kiosk.keep()
    here.stage.clock.advance(3)
    here.kiosk.retry()
    here.until("UNDETERMINED")
    assert (page(here)["check"], len(lines(here))) == ("genuine", 1)
    desk.open()
    here.kiosk.retry()
    here.until("REFUSED")
    assert (page(here)["check"], here.reason) == (None, Reason.CODE_EXPIRED)
