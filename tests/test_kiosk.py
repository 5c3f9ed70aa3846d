"""From frames to the banner: the kiosk's one thread, stepped by hand.

Pictures are real PNG drawings, posted as a browser would post them; the desk is the documented one of `counter_rig`.
"""

from __future__ import annotations

import io
import json
import os
import pty
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from queue import Empty, Queue
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
import zxingcpp

from consent.b64 import new_id
from consent.clock import SystemClock
from consent.code import mint
from consent.errors import Reason, Refusal, Unavailable
from consent.invitation import LENGTH, LIFE, seal_invitation
from consent.keys import new_key
from consent.telling import new_log
from consent.twin import new_twin
from scanner_kiosk.app import create_app
from scanner_kiosk.camera import open_source
from scanner_kiosk.counter import Guidance, Invited
from scanner_kiosk.devices.desk_scanner import DeskScanner, named
from scanner_kiosk.kiosk import Kiosk
from scanner_kiosk.look import Symbol, dark, guide, look, margin_of, preview
from scanner_kiosk.own_code import LATE, RENEW, drawing, opened
from scanner_kiosk.picture import Grey, read_picture
from scanner_kiosk.scene import Camera, frame
from scanner_kiosk.visit import Asked
from tests.counter_rig import PERSON, Rig, new_rig, png

STEPS = 60  # of a quarter of a second at most; only ever used up by a failing test


class Counted:
    """A kiosk with its desk, driven step by step."""

    def __init__(self, rig: Rig, kiosk: Kiosk, lines: io.StringIO) -> None:
        self.rig, self.kiosk, self.lines = rig, kiosk, lines

    @property
    def state(self) -> str:
        return self.kiosk.counter().state

    def until(self, reached: Callable[[], bool] | str) -> None:
        for _ in range(STEPS):
            if self.state == reached if isinstance(reached, str) else reached():
                return
            self.kiosk.step()
        raise AssertionError(f"still {self.state}")

    def show(self, text: str) -> None:
        self.kiosk.post_frame(png(text))

    def begin(self, *, matter: str = "divorce.apply", person: str | None = PERSON) -> None:
        self.kiosk.choose(matter=matter, type_="marriage")
        self.kiosk.start(case_number="2026-浦-1", id_number=person, preconditions=("both_lost",))

    def ask(self) -> str:
        """Up to the two digits; returns the code."""
        self.begin()
        code = self.rig.code()
        self.show(code)
        self.until("CONFIRMING")
        return code

    @property
    def log(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.lines.getvalue().splitlines()]


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return new_rig(tmp_path)


@pytest.fixture
def here(rig: Rig) -> Iterator[Counted]:
    lines = io.StringIO()
    app = create_app(
        rig.settings(),
        clock=rig.clock,
        log=new_log("scanner_kiosk", rig.clock, stream=lines),
        line=rig.line,
        start=False,
    )
    kiosk: Kiosk = app.extensions["kiosk"]
    yield Counted(rig, kiosk, lines)
    kiosk.stop()


# --- reading --------------------------------------------------------------------------------------


def test_a_visit_goes_from_a_picture_to_a_certificate_and_leaves_nothing(here: Counted) -> None:
    here.ask()
    assert here.kiosk.counter().view is not None
    here.rig.desk.move("FETCHING")
    here.until("FETCHING")
    here.rig.desk.move("PASSED")
    here.until("PASSED")
    assert here.rig.desk.people == [PERSON]
    here.rig.clock.advance(60)
    assert here.state == "IDLE"
    here.kiosk.step()
    assert here.rig.desk.cleared == list(here.rig.desk.visits)
    assert here.kiosk.counter().case is None


def test_the_log_tells_how_easily_a_code_was_read_and_never_what_it_says(here: Counted) -> None:
    code = here.ask()
    (scan,) = (line for line in here.log if line["event"] == "scan")
    assert scan["uec"] == 1.0
    assert 7 < float(str(scan["px_module"])) < 9
    assert code[:20] not in here.lines.getvalue()
    assert PERSON not in here.lines.getvalue()


@pytest.mark.full
def test_nothing_is_read_before_a_case_is_ready(here: Counted) -> None:
    here.show(here.rig.code())
    for _ in range(3):
        here.kiosk.step()
    assert here.state == "IDLE"
    assert here.rig.desk.visits == {}


def test_a_code_held_still_is_presented_once(here: Counted) -> None:
    here.begin()
    code = here.rig.code()
    for _ in range(3):
        here.show(code)
        here.kiosk.step()
    here.until("CONFIRMING")
    assert len(here.rig.desk.visits) == 1


def test_a_wrong_signature_is_shown_as_such_and_asks_nobody(here: Counted) -> None:
    here.begin()
    forged = here.rig.forged()

    def refused() -> bool:
        here.show(forged)
        return here.state == "REFUSED"

    here.until(refused)
    said = here.kiosk.counter().said
    assert said is not None
    assert said.reason is Reason.CODE_BAD_SIGNATURE
    assert here.rig.desk.visits == {}


def test_a_wrong_signature_in_a_single_frame_may_be_a_misreading_and_is_not_shown(here: Counted) -> None:
    here.begin()
    here.show(here.rig.forged())
    for _ in range(3):
        here.kiosk.step()
    here.show(here.rig.code())
    here.until("CONFIRMING")


def test_a_code_of_a_key_that_nobody_vouches_for_is_refused(here: Counted) -> None:
    here.begin()
    stranger = mint(b"0123456789abcdef", new_key("EdDSA", issuer="31"), now=here.rig.clock.now())

    def refused() -> bool:
        here.show(stranger)
        return here.state == "REFUSED"

    here.until(refused)
    said = here.kiosk.counter().said
    assert said is not None
    assert said.reason is Reason.CODE_UNKNOWN_KEY


def test_a_foreign_code_is_ignored_with_a_hint(here: Counted) -> None:
    here.begin()
    here.show("https://example.com/pay?to=me")
    here.kiosk.step()
    here.show("https://example.com/pay?to=me")
    here.until(lambda: here.kiosk.seen()[1] is Guidance.NOT_OURS)
    assert here.state == "WAITING"
    assert here.rig.desk.visits == {}


def test_another_code_may_be_scanned_for_the_same_case_under_a_new_request(here: Counted) -> None:
    here.rig.desk.refuse = Reason.CODE_EXPIRED
    here.begin()
    here.show(here.rig.code())
    here.until("REFUSED")
    here.rig.desk.refuse = None
    here.kiosk.again()
    here.show(here.rig.code())
    here.until("CONFIRMING")
    assert here.rig.desk.people == [PERSON]


# --- asking ---------------------------------------------------------------------------------------


@pytest.mark.full
def test_lost_replies_are_asked_for_again_with_the_same_bytes(here: Counted) -> None:
    here.begin()
    here.rig.lines["31"].lost = 2
    here.show(here.rig.code())
    here.until("CONFIRMING")
    assert len(set(here.rig.desk.bodies)) == 1
    assert len(here.rig.desk.bodies) == 3


@pytest.mark.full
def test_a_desk_that_stays_silent_is_offline_and_nothing_is_passed_or_refused(here: Counted) -> None:
    here.begin()
    here.rig.lines["31"].silent = 3
    here.show(here.rig.code())
    here.until("UNDETERMINED")
    counter = here.kiosk.counter()
    assert counter.said is not None
    assert counter.said.reason is Reason.OFFLINE
    _, silent = here.kiosk.heard
    assert silent
    here.kiosk.retry()
    here.until("CONFIRMING")
    _, silent = here.kiosk.heard
    assert not silent
    assert len(here.rig.desk.visits) == 1


def test_a_library_that_did_not_answer_may_be_asked_again_under_the_same_request(here: Counted) -> None:
    here.ask()
    here.rig.desk.move("UNDETERMINED", Reason.LIBRARY_UNREACHABLE, province="33")
    here.until("UNDETERMINED")
    said = here.kiosk.counter().said
    assert said is not None
    assert "浙江" in said.sentence_zh
    here.rig.desk.move("FETCHING")
    here.kiosk.retry()
    here.until("FETCHING")
    assert len(here.rig.desk.visits) == 1


def test_an_answer_that_comes_after_the_wipe_is_dropped(here: Counted) -> None:
    here.ask()
    counter = here.kiosk.counter()
    here.kiosk.clear()
    here.rig.desk.move("PASSED")
    here.kiosk._ask(counter)
    assert here.state == "IDLE"


@pytest.mark.full
def test_a_desk_that_cannot_be_told_of_the_wipe_is_told_later(here: Counted) -> None:
    here.ask()
    here.rig.desk.move("PASSED")
    here.until("PASSED")
    here.rig.lines["31"].silent = 2
    here.kiosk.clear()
    here.until(lambda: len(here.rig.desk.cleared) == 1)


# --- keys -----------------------------------------------------------------------------------------


def test_what_is_missing_is_said_before_anything_is_scanned(here: Counted) -> None:
    kiosk = here.kiosk
    kiosk.choose(matter="divorce.apply", type_="marriage")
    faults: tuple[tuple[Callable[[], None], Reason], ...] = (
        (lambda: kiosk.start(case_number=" "), Reason.BODY_INVALID),
        (lambda: kiosk.start(case_number="1"), Reason.PRECONDITION_MISSING),
        (lambda: kiosk.start(case_number="1", preconditions=("both_lost",)), Reason.HOLDER_MATCH_MISSING),
        (
            lambda: kiosk.start(case_number="1", preconditions=("both_lost",), id_number=PERSON[:-1] + "?"),
            Reason.ID_NUMBER_MALFORMED,
        ),
        (
            lambda: kiosk.start(case_number="1", preconditions=("both_lost",), card="nobody"),
            Reason.ID_NUMBER_MALFORMED,
        ),
        (lambda: kiosk.choose(matter="divorce.apply", type_="divorce"), Reason.CERTIFICATE_TYPE_NOT_ALLOWED),
        (lambda: kiosk.choose(matter="bank.loan", type_="marriage"), Reason.MATTER_UNKNOWN),
        (lambda: kiosk.choose(province="32", window="31-M1"), Reason.WINDOW_UNKNOWN),
        (lambda: kiosk.retry(), Reason.STATE_FORBIDS),
    )
    for fault, reason in faults:
        with pytest.raises(Refusal) as refused:
            fault()
        assert refused.value.reason is reason
    assert here.state == "IDLE"


def test_a_matter_without_holder_match_needs_no_person(here: Counted) -> None:
    here.begin(matter="realestate.register", person=None)
    here.show(here.rig.code())
    here.until("CONFIRMING")
    assert here.rig.desk.people == [None]


def test_one_kiosk_stands_in_for_a_window_of_another_province(here: Counted) -> None:
    here.kiosk.choose(province="33", window="33-M1")
    here.ask()
    assert here.rig.desks["31"].visits == {}
    assert len(here.rig.desks["33"].visits) == 1


def test_nothing_may_be_chosen_while_somebody_is_served(here: Counted) -> None:
    here.begin()
    with pytest.raises(Refusal) as refused:
        here.kiosk.choose(province="33", window="33-M1")
    assert refused.value.reason is Reason.STATE_FORBIDS


def test_a_register_that_does_not_come_leaves_the_window_as_it_was(here: Counted) -> None:
    here.rig.lines["33"].silent = 1
    with pytest.raises(Unavailable):
        here.kiosk.choose(province="33", window="33-M1")
    assert here.kiosk.chosen.window.id == ("31", "31-M1")


# --- what people see ------------------------------------------------------------------------------


def counter_with(text: str, **camera: float) -> Grey:
    return frame(read_picture(png(text)), seed=5, t=40, camera=Camera(jpeg=0, **camera))  # type: ignore[arg-type]


@pytest.mark.parametrize("side", [160, 320, 560])
def test_no_code_can_be_read_from_the_preview(rig: Rig, side: float) -> None:
    grey = counter_with(rig.code(), side=side)
    small = cv2.imdecode(np.frombuffer(preview(grey, look(grey)), np.uint8), cv2.IMREAD_GRAYSCALE)
    assert small is not None
    assert small.shape == (360, 640)
    assert zxingcpp.read_barcodes(np.asarray(small, np.uint8), formats=zxingcpp.BarcodeFormat.QRCode) == []
    # Also where nothing was found beforehand, the preview is read once more before it is given out.
    bare = cv2.imdecode(np.frombuffer(preview(grey, ()), np.uint8), cv2.IMREAD_GRAYSCALE)
    assert zxingcpp.read_barcodes(np.asarray(bare, np.uint8), formats=zxingcpp.BarcodeFormat.QRCode) == []


def test_the_margin_is_measured_on_the_frame_as_it_was(rig: Rig) -> None:
    code = rig.code()
    found = margin_of(counter_with(code, side=318), code)
    assert found is not None
    # 318 pixels for 45 modules and 8 of the white border, some of it more or less by the resting place
    assert 5 < found["px_module"] < 7
    assert 0 < found["uec"] <= 1
    assert margin_of(counter_with(code), "another text") is None


def square(side: float, *, read: bool = False, ours: bool = True, squeeze: float = 1, bright: float = 0.4) -> Symbol:
    return Symbol(
        corners=((100, 100), (100 + side, 100), (100 + side * squeeze, 100 + side), (100, 100 + side)),
        read=read,
        ours=ours,
        margin=1.0,
        module=side / 45,
        bright=bright,
    )


@pytest.mark.parametrize(
    ("symbols", "advice"),
    [
        ((), Guidance.HOLD_IN),
        ((square(90),), Guidance.NEARER),
        ((square(700),), Guidance.FARTHER),
        ((square(300, squeeze=0.6),), Guidance.TILT_LESS),
        ((square(300, bright=0.9),), Guidance.GLARE),
        ((square(300),), Guidance.HOLD_STILL),
        ((square(300, read=True),), Guidance.READ),
        ((square(300, read=True, ours=False),), Guidance.NOT_OURS),
        ((square(90), square(300, read=True)), Guidance.READ),
    ],
)
def test_the_advice_fits_what_the_camera_sees(symbols: tuple[Symbol, ...], advice: Guidance) -> None:
    assert guide(symbols, height=720) is advice


@pytest.mark.parametrize("gain", [0.002, 0.01, 0.02, 0.05, 0.2, 1.0])
@pytest.mark.parametrize("shown", [True, False])
def test_a_dark_counter_is_told_as_such_and_a_code_that_can_be_read_there_is_not(
    gain: float, shown: bool, rig: Rig
) -> None:
    picture = read_picture(png(rig.code())) if shown else None
    seen = frame(picture, seed=5, t=40, camera=Camera(gain=gain))
    advice = guide(look(seen), height=seen.shape[0], dark=dark(seen))
    if not shown:
        assert advice is (Guidance.TOO_DARK if gain <= 0.02 else Guidance.HOLD_IN)
    elif gain >= 0.02:
        assert advice is Guidance.READ
    else:
        assert advice in (Guidance.READ, Guidance.TOO_DARK)


def test_an_unread_code_in_the_dark_wants_light_and_not_a_still_hand() -> None:
    assert guide((square(90),), height=720, dark=True) is Guidance.TOO_DARK
    assert guide((square(300, read=True),), height=720, dark=True) is Guidance.READ
    assert dark(np.zeros((0, 0), np.uint8)) is False


def test_a_picture_without_pixels_is_no_fault() -> None:
    assert look(np.zeros((0, 0), np.uint8)) == ()
    assert preview(np.zeros((0, 0), np.uint8), ()) == b""


def test_the_clock_of_a_wipe_runs_also_while_the_thread_waits_for_a_desk(here: Counted) -> None:
    here.ask()
    here.rig.desk.move("PASSED")
    here.until("PASSED")
    here.rig.clock.advance(59)
    assert here.state == "PASSED"
    here.kiosk.keep()
    here.rig.clock.advance(30)
    assert here.state == "PASSED"
    here.rig.clock.advance(1)
    assert here.state == "IDLE"


def test_a_file_source_is_for_settings_only_and_a_simulated_phone_for_this_machine() -> None:
    from scanner_kiosk.app import open_camera

    with pytest.raises(ValueError, match="on this machine"):
        open_camera("sim:http://192.0.2.1/code.png")
    with pytest.raises(ValueError, match="a camera is"):
        open_camera("nonsense:")
    assert type(open_camera("sim:http://127.0.0.1:8431/x.png")) is type(open_source("sim:"))


# --- typed ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("written", ["{0} {1} {2}", "{0}{1}{2}", " {0}-{1}-{2}\n", "{0}　{1}　{2}"])
def test_typed_digits_are_a_scan(here: Counted, written: str) -> None:
    twin = new_twin("31")
    here.begin()
    here.kiosk.typed(written.format(twin[:4], twin[4:8], twin[8:]))
    here.until("CONFIRMING")
    assert json.loads(here.rig.desk.bodies[-1])["code"] == twin
    assert here.rig.desk.people == [PERSON]
    assert twin not in here.lines.getvalue()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", Reason.CODE_MALFORMED),
        (" \t\n", Reason.CODE_MALFORMED),
        ("3123 4567 8901", Reason.TWIN_MISTYPED),
        ("3123 4567 890", Reason.TWIN_MISTYPED),
    ],
)
def test_what_is_mistyped_is_said_and_asks_nobody(here: Counted, text: str, reason: Reason) -> None:
    here.begin()
    calls = len(here.rig.desk.log)
    with pytest.raises(Refusal) as refused:
        here.kiosk.typed(text)
    assert refused.value.reason is reason
    assert here.state == "WAITING"
    assert len(here.rig.desk.log) == calls


def test_a_text_of_a_kind_that_only_the_desk_knows_goes_there_as_it_is(here: Counted) -> None:
    here.begin()
    here.kiosk.typed("https://zwdt.example/q/9f2c")
    here.until("CONFIRMING")
    assert json.loads(here.rig.desk.bodies[-1])["code"] == "https://zwdt.example/q/9f2c"
    assert "zwdt" not in here.lines.getvalue()


@pytest.mark.full
def test_a_desk_scanner_on_a_serial_line_scans_as_a_typed_text_does_and_never_tells_the_log(here: Counted) -> None:
    far, near = pty.openpty()
    twin, told = new_twin("31"), Queue[str]()

    def deliver(text: str) -> None:
        try:
            here.kiosk.typed(text)
        finally:
            told.put(here.state)

    def scan() -> str:
        """Where the counter stands after a scan that was heard: what is sent before the opening is thrown away."""
        for _ in range(50):
            os.write(far, twin.encode() + b"\r\n")
            with suppress(Empty):
                return told.get(timeout=0.2)
        raise AssertionError("nothing was heard")

    log = new_log("scanner_kiosk", SystemClock(), stream=here.lines)
    scanner = DeskScanner(named(f"serial:{os.ttyname(near)}"), deliver=deliver, log=log)
    scanner.start()
    try:
        scan()  # no case is ready: refused, and heard again
        here.begin()
        for _ in range(50):
            if here.state != "WAITING":
                break
            scan()
        here.until("CONFIRMING")
    finally:
        scanner.stop()
        os.close(far)
        os.close(near)
    assert json.loads(here.rig.desk.bodies[-1])["code"] == twin
    assert Reason.STATE_FORBIDS in here.lines.getvalue()
    assert twin not in here.lines.getvalue()


def test_nothing_can_be_typed_while_no_code_is_waited_for(here: Counted) -> None:
    with pytest.raises(Refusal) as refused:
        here.kiosk.typed(new_twin("31"))
    assert refused.value.reason is Reason.STATE_FORBIDS
    here.begin()
    here.kiosk.invite()
    with pytest.raises(Refusal):
        here.kiosk.typed(new_twin("31"))


# --- the counter's own code -----------------------------------------------------------------------


def invite(here: Counted) -> Invited:
    """Up to a code on the screen."""
    here.begin()
    here.kiosk.invite()
    here.until(lambda: here.kiosk.counter().own_code is not None)
    return shown(here)


def shown(here: Counted) -> Invited:
    code = here.kiosk.counter().own_code
    assert code is not None
    return code


def renewed(here: Counted) -> Invited:
    """Another code has taken the place of the one that is shown."""
    before = shown(here)
    here.rig.clock.advance((before.expires_at - RENEW - here.rig.clock.now()).total_seconds())
    here.until(lambda: shown(here) != before)
    return shown(here)


def asked_for(here: Counted, request_id: str) -> int:
    return here.rig.desk.log.count(("GET", f"/counter/visits/{request_id}"))


@pytest.mark.full
def test_a_phone_that_reads_our_code_leads_to_the_digits(here: Counted) -> None:
    code = invite(here)
    assert code.text == here.rig.desk.codes[-1]
    assert json.loads(code.asked.body)["matter"] == "divorce.apply"
    here.kiosk.step()
    assert here.state == "INVITING"
    here.rig.desk.come(code.asked.request_id)
    here.until("CONFIRMING")
    counter = here.kiosk.counter()
    assert counter.view is not None
    assert (counter.view.digits, counter.asked) == ("47", code.asked)
    here.rig.desk.move("PASSED")
    here.until("PASSED")
    here.kiosk.clear()
    here.kiosk.step()
    assert here.rig.desk.cleared == [code.asked.request_id]
    assert "POST /counter/visits" not in [f"{method} {path}" for method, path in here.rig.desk.log]


def test_the_code_is_replaced_before_it_dies_under_another_request(here: Counted) -> None:
    first = invite(here)
    second = renewed(here)
    assert here.rig.clock.now() < first.expires_at
    assert second.asked.request_id != first.asked.request_id
    assert second.expires_at == here.rig.clock.now() + LIFE
    assert renewed(here).asked.request_id not in (first.asked.request_id, second.asked.request_id)


def test_a_claim_of_the_code_that_was_just_replaced_is_not_lost(here: Counted) -> None:
    first = invite(here)
    renewed(here)
    here.rig.clock.advance(RENEW.total_seconds() - 0.001)  # the last moment at which a desk would take it
    here.rig.desk.come(first.asked.request_id)
    here.until("CONFIRMING")
    assert here.kiosk.counter().asked == first.asked


@pytest.mark.full
def test_a_claim_that_came_while_nobody_could_ask_is_found_before_the_code_is_let_go(here: Counted) -> None:
    first = invite(here)
    here.rig.lines["31"].silent = 1_000_000
    here.rig.desk.come(first.asked.request_id)
    for _ in range(3):
        here.kiosk.step()
        here.rig.clock.advance(60)
    assert here.state == "INVITING"
    _, silent = here.kiosk.heard
    assert silent
    here.rig.lines["31"].silent = 0
    here.until("CONFIRMING")
    _, silent = here.kiosk.heard
    assert not silent
    assert here.kiosk.counter().asked == first.asked


@pytest.mark.full
def test_a_dead_code_is_let_go_after_a_look_that_was_answered(here: Counted) -> None:
    first = invite(here)
    renewed(here)
    here.rig.clock.advance((RENEW + LATE).total_seconds())
    looks = asked_for(here, first.asked.request_id)
    here.kiosk.step()
    assert asked_for(here, first.asked.request_id) == looks + 1
    assert first not in here.kiosk.counter().invited
    for _ in range(2):
        here.kiosk.step()
    assert asked_for(here, first.asked.request_id) == looks + 1


def test_going_back_to_scanning_looks_once_more(here: Counted) -> None:
    code = invite(here)
    here.rig.desk.come(code.asked.request_id)
    here.kiosk.again()
    assert here.state == "CONFIRMING"


def test_going_back_to_scanning_lets_a_phone_be_held_in_again(here: Counted) -> None:
    invite(here)
    here.kiosk.again()
    assert here.state == "WAITING"
    here.kiosk.step()
    assert here.rig.desk.taken_back == list(here.rig.desk.invited)
    here.show(here.rig.code())
    here.until("CONFIRMING")
    assert not here.kiosk.counter().came


@pytest.mark.full
def test_a_wipe_takes_our_code_along_and_makes_what_it_may_have_begun_unreadable(here: Counted) -> None:
    first = invite(here)
    second = renewed(here)
    here.rig.desk.come(second.asked.request_id)
    here.kiosk.clear()
    assert here.state == "IDLE"
    with pytest.raises(Refusal):
        here.kiosk.code()
    for _ in range(3):
        here.kiosk.step()
    assert here.rig.desk.taken_back == [first.asked.request_id]
    assert here.rig.desk.cleared == [second.asked.request_id]  # a phone was first


def test_an_answer_that_comes_after_the_wipe_invites_nobody(here: Counted) -> None:
    here.begin()
    here.kiosk.invite()
    counter = here.kiosk.counter()
    here.kiosk.clear()
    here.kiosk._invite(counter)
    assert (here.state, here.kiosk.counter().invited) == ("IDLE", ())


def test_what_may_not_be_asked_is_said_instead_of_inviting(here: Counted) -> None:
    here.begin()
    here.rig.desk.refuse = Reason.SCOPE_NOT_LISTED
    here.kiosk.invite()
    here.until("REFUSED")
    said = here.kiosk.counter().said
    assert said is not None
    assert said.reason is Reason.SCOPE_NOT_LISTED


def test_a_code_for_another_window_or_request_is_never_shown(here: Counted) -> None:
    own, now = here.kiosk.chosen.window.client, here.rig.clock.now()
    asked = Asked(request_id=new_id(), body=b"{}")
    key = here.rig.desk.request_key
    for window, request_id, reason in (
        ("31-M9", asked.request_id, Reason.DOCUMENT_CLAIMS),
        (own.window, new_id(), Reason.DOCUMENT_CLAIMS),
    ):
        text = seal_invitation(key, window=window, request_id=request_id, now=now)
        with pytest.raises(Refusal) as refused:
            opened(text, asked, own, here.kiosk.keylist.ring, now=now)
        assert refused.value.reason is reason
    strange = seal_invitation(new_key("EdDSA", issuer="31"), window=own.window, request_id=asked.request_id, now=now)
    with pytest.raises(Refusal) as refused:
        opened(strange, asked, own, here.kiosk.keylist.ring, now=now)
    assert refused.value.reason is Reason.DOCUMENT_KEY_UNKNOWN


def test_the_log_names_the_request_and_never_the_code(here: Counted) -> None:
    code = invite(here)
    here.rig.desk.come(code.asked.request_id)
    here.until("CONFIRMING")
    (claimed,) = (line for line in here.log if line["event"] == "claimed")
    assert claimed["request_id"] == code.asked.request_id
    assert code.text not in here.lines.getvalue()


@pytest.mark.full
def test_the_desk_lost_after_our_code_was_read_is_only_asked_what_became_of_it(here: Counted) -> None:
    code = invite(here)
    here.rig.desk.come(code.asked.request_id)
    here.until("CONFIRMING")
    here.rig.lines["31"].silent = 3
    here.until("UNDETERMINED")
    here.kiosk.retry()
    here.until("CONFIRMING")
    assert ("POST", "/counter/visits") not in here.rig.desk.log


@pytest.mark.parametrize("length", [200, 365, LENGTH])
def test_the_drawing_is_the_text_with_four_white_modules_around_it(length: int) -> None:
    text = "YRDC:" + "eyJhbGciOiJFZERTQSIsImtpZCI6Ij"[:length] * 20
    text = text[:length]
    root = ElementTree.fromstring(drawing(text))
    side = int(root.attrib["viewBox"].split()[2])
    pixels = np.full((side, side), 255, np.uint8)
    (path,) = (each.attrib["d"] for each in root if each.tag.endswith("path"))
    for x, y in re.findall(r"M(\d+),(\d+)", path):
        pixels[int(y), int(x)] = 0
    dark = np.argwhere(pixels == 0)
    assert dark.min() == 4
    assert dark.max() == side - 5
    (found,) = zxingcpp.read_barcodes(pixels.repeat(6, 0).repeat(6, 1), formats=zxingcpp.BarcodeFormat.QRCode)
    assert found.text == text
    assert found.ec_level == "M"
