"""Desk scanners: a real terminal pair stands for the serial one, recorded events for the one that types."""

from __future__ import annotations

import json
import os
import pty
import string
import tty
from pathlib import Path
from queue import Empty, Queue
from time import monotonic

import pytest

from consent.clock import SystemClock
from consent.errors import Reason, Refusal
from consent.telling import new_log
from consent.twin import new_twin
from scanner_kiosk import doctor
from scanner_kiosk.app import create_app
from scanner_kiosk.devices.desk_scanner import DeskScanner, Keys, Serial, named
from scanner_kiosk.devices.scanned_lines import EVENT, LONGEST, Keyboard, Lines
from scanner_kiosk.doctor import Finding, Mark
from tests.counter_rig import SOON, new_rig
from tests.test_screen import Page

BASE45 = string.digits + string.ascii_uppercase + " $%*+-./:"
LOG = new_log("test", SystemClock(), level="error")
SHIFT = 42
# Written down from linux/input-event-codes.h by hand, key by key, and not from the module's rows.
CODES = dict(zip("1234567890QWERTYUIOPASDFGHJKLZXCVBNM -./",
    [*range(2, 12), *range(16, 26), *range(30, 39), *range(44, 51), 57, 12, 52, 53], strict=True))  # fmt: skip
SHIFTED = {"$": 5, "%": 6, "*": 9, "+": 13, ":": 39}


def event(code: int, value: int, kind: int = 1) -> bytes:
    return EVENT.pack(1, 2, kind, code, value) + EVENT.pack(1, 2, 0, 0, 0)


def struck(text: str, end: int = 28) -> bytes:
    """A scanner that types `text` and Enter; letters with shift, as on a US keyboard."""
    events = b""
    for sign in text:
        shift = sign in SHIFTED or sign.isalpha()
        code = SHIFTED.get(sign) or CODES[sign]
        press = event(code, 1) + event(code, 0)
        events += event(SHIFT, 1) + press + event(SHIFT, 0) if shift else press
    return events + event(end, 1) + event(end, 0)


@pytest.mark.parametrize("end", [b"\r", b"\n", b"\r\n", b"\t"])
def test_a_line_ends_as_its_maker_likes_and_keeps_a_last_space(end: bytes) -> None:
    lines = Lines()
    assert lines.feed(b"YRD1:A ") == []
    assert lines.feed(end + b"B" + end) == ["YRD1:A ", "B"]


def test_what_is_too_long_is_no_text_or_was_broken_off_is_dropped_and_the_next_is_read() -> None:
    lines = Lines()
    assert lines.feed(b"A" * LONGEST + b"\n") == ["A" * LONGEST]
    assert lines.feed(b"A" * (LONGEST + 1) + b"\nB\n") == ["B"]
    assert lines.feed(b"\xff\xfe\nC\n") == ["C"]
    assert lines.feed(b"half") == []
    lines.pause()
    assert lines.feed(b"whole\n") == ["whole"]


def test_every_sign_of_a_code_is_read_from_keys_however_the_bytes_are_cut() -> None:
    recorded = struck(BASE45)
    for step in (1, 7, EVENT.size, len(recorded)):
        keyboard, lines, found = Keyboard(), Lines(), []
        for at in range(0, len(recorded), step):
            found += keyboard.decode(recorded[at : at + step], lines)
        assert found == [BASE45]


def test_a_held_key_counts_once_and_lost_events_spoil_only_their_own_line() -> None:
    keyboard, lines = Keyboard(), Lines()
    assert keyboard.decode(event(2, 1) + event(2, 2) + event(2, 0) + event(96, 1), lines) == ["1"]
    lost = EVENT.pack(1, 2, 0, 3, 0)
    assert keyboard.decode(event(SHIFT, 1) + event(2, 1) + lost + struck("23") + struck("45"), lines) == ["45"]


def test_a_scanner_is_named_by_kind_and_path() -> None:
    assert isinstance(named("serial:/dev/x"), Serial)
    assert isinstance(named("keys:/dev/x"), Keys)
    for wrong in ("", "serial:", "usb:/dev/x", "/dev/x"):
        with pytest.raises(ValueError, match="serial:PATH"):
            named(wrong)


class Plug:
    """A serial scanner on a cable: the far end of a terminal pair, and the name under which its near end is found."""

    def __init__(self, name: Path) -> None:
        self._name = name
        self.far, near = pty.openpty()
        tty.setraw(near)
        name.symlink_to(os.ttyname(near))
        self._near = near

    def pull(self) -> None:
        self._name.unlink()
        os.close(self._near)
        os.close(self.far)


def heard(told: Queue[str], plug: Plug, text: str) -> bool:
    """Whether it arrives, sending as often as needed: what comes before the opening is thrown away."""
    for _ in range(50):
        os.write(plug.far, text.encode() + b"\r\n")
        try:
            while told.get(timeout=0.2) != text:
                pass
        except Empty:
            continue
        return True
    return False


@pytest.mark.full
def test_a_serial_scanner_is_heard_through_a_refusal_and_again_when_its_cable_is_put_back(tmp_path: Path) -> None:
    told: Queue[str] = Queue()

    def deliver(text: str) -> None:
        told.put(text)
        if text == "NO":
            raise Refusal(Reason.STATE_FORBIDS)

    plug = Plug(tmp_path / "usb-box")
    scanner = DeskScanner(Serial(str(tmp_path / "usb-*")), deliver=deliver, log=LOG)
    scanner.start()
    try:
        assert heard(told, plug, "NO")
        assert heard(told, plug, f"YRD1:{BASE45}")
        plug.pull()
        plug = Plug(tmp_path / "usb-other")
        assert heard(told, plug, "AGAIN")
        assert scanner.failure is None
        plug.pull()
    finally:
        scanner.stop()


def test_a_pulled_scanner_is_said_on_the_screen_within_three_seconds_and_cured_by_plugging_in(tmp_path: Path) -> None:
    rig = new_rig(tmp_path, SystemClock())
    app = create_app(rig.settings(scanner=f"serial:{tmp_path}/usb-*"), clock=rig.clock, line=rig.line, log=LOG)
    page, kiosk = Page(app), app.extensions["kiosk"]
    scanner = kiosk.scanner

    def stands(how: str) -> float:
        """How long the page waits to be told so."""
        began = monotonic()
        while page.get("state").get_json()["scanner"] != how:
            assert monotonic() - began < SOON
        return monotonic() - began

    try:
        assert stands("gone") < 3  # started without its scanner
        plug = Plug(tmp_path / "usb-box")
        assert stands("ok") < 3
        plug.pull()
        assert stands("gone") < 3
        plug = Plug(tmp_path / "usb-other")
        assert stands("ok") < 3
        page.begin()
        twin = new_twin("31")
        end = monotonic() + SOON
        while page.get("state").get_json()["state"] == "WAITING":
            assert monotonic() < end
            os.write(plug.far, twin.encode() + b"\r\n")
        rig.desk.wait_for(lambda: bool(rig.desk.bodies))
        assert json.loads(rig.desk.bodies[-1])["code"] == twin
    finally:
        kiosk.stop()
    assert not scanner._thread.is_alive()
    plug.pull()


def test_a_kiosk_without_a_scanner_says_so_and_misses_none(tmp_path: Path) -> None:
    rig = new_rig(tmp_path)
    app = create_app(rig.settings(), clock=rig.clock, line=rig.line, log=LOG)
    assert Page(app).get("state").get_json()["scanner"] == "none"
    app.extensions["kiosk"].stop()


def test_the_doctor_tries_the_scanner_of_the_setting_and_says_how_to_mend_it(tmp_path: Path) -> None:
    def told(name: str) -> Finding:
        return doctor.scanner({"HUZHENG_KIOSK_SCANNER": name})

    (tmp_path / "file").write_bytes(b"")
    plug = Plug(tmp_path / "box")
    assert told(f"serial:{tmp_path}/box").mark is Mark.OK
    plug.pull()
    for name, seen in [
        (f"serial:{tmp_path}/box", "not plugged in"),
        (f"keys:{tmp_path}/file", "Inappropriate ioctl"),
        ("usb:1", "serial:PATH"),
    ]:
        found = told(name)
        assert found.mark is Mark.MISSING
        assert seen in found.seen
        assert found.mend
    assert told("").mark is not Mark.MISSING


@pytest.mark.full
def test_a_device_that_is_none_is_a_failure_with_its_cause(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for device in (Serial(str(tmp_path / "absent")), Serial(str(tmp_path / "file")), Keys(str(tmp_path / "file"))):
        with pytest.raises(OSError, match=r"No such file|Inappropriate ioctl"):
            device.open()
