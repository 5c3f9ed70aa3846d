"""A phone is brought to the camera: the kiosk's own thread, stepped frame by frame, through its camera, reader and table.

The clip is `scene`'s: over thirty frames the hand comes in and comes to rest. The clock moves a thirtieth of a second with
each frame, by hand; nothing waits for it.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path
from queue import Empty, Queue

import pytest

from consent.code import mint
from consent.errors import Reason
from consent.telling import new_log
from scanner_kiosk import scene
from scanner_kiosk.app import create_app
from scanner_kiosk.camera import Frame
from scanner_kiosk.decode import read_codes
from scanner_kiosk.kiosk import Kiosk
from scanner_kiosk.picture import Grey, read_picture
from tests.counter_rig import PERSON, Rig, new_rig, png

FULL = bool(os.environ.get("HUZHENG_FULL"))
LATE = 3  # frames after the first readable one
ARRIVAL = 30  # frames
STEPS = 200  # only ever used up by a failing test
HANDS = {
    "good": scene.Camera(arrival=ARRIVAL),
    "far": scene.Camera(arrival=ARRIVAL, side=96, tremble=1),
    "dark": scene.Camera(arrival=ARRIVAL, gain=0.03),
    "blurred": scene.Camera(arrival=ARRIVAL, blur=2.2),
}


class Clip:
    """A camera that gives a frame when the test has one."""

    def __init__(self) -> None:
        self.frames: Queue[Grey] = Queue()
        self.seq = 0

    def open(self) -> None:
        """Nothing to acquire."""

    def read(self, timeout_s: float) -> Frame | None:
        try:
            image = self.frames.get(timeout=timeout_s)
        except Empty:
            return None
        self.seq += 1
        return Frame(image=image, seq=self.seq, at_ms=0)

    def close(self) -> None:
        """Nothing was taken."""


class Counter:
    """A kiosk whose camera shows a clip."""

    def __init__(self, rig: Rig, kiosk: Kiosk, clip: Clip) -> None:
        self.rig, self.kiosk, self.clip = rig, kiosk, clip
        self.given = 0

    @property
    def visits(self) -> int:
        return len(self.rig.desk.visits)

    def begin(self) -> None:
        self.kiosk.choose(matter="divorce.apply", type_="marriage")
        self.kiosk.start(case_number="2026-浦-1", id_number=PERSON, preconditions=("both_lost",))

    def text(self) -> str:
        """A slice of a showing, as it is drawn now."""
        self.given += 1
        return mint(self.given.to_bytes(16, "big"), self.rig.code_key, now=self.rig.clock.now())

    def see(self, image: Grey) -> None:
        """One frame comes, and the kiosk does what it does with it; where it does not look, it does its next thing."""
        self.rig.clock.advance(1 / scene.FRAMES_A_SECOND)
        self.clip.frames.put(image)
        target = self.clip.seq + self.clip.frames.qsize()
        for _ in range(STEPS):
            self.kiosk.step()
            if self.kiosk.counter().state != "WAITING" or self.kiosk._seq >= target:
                return
        raise AssertionError("the frame was never looked at")

    def until(self, state: str) -> None:
        for _ in range(STEPS):
            if self.kiosk.counter().state == state:
                return
            self.kiosk.step()
        raise AssertionError(f"still {self.kiosk.counter().state}")

    def anew(self) -> None:
        """The visit is over; the same counter serves somebody again."""
        self.kiosk.clear()
        self.until("IDLE")
        self.begin()


@pytest.fixture
def counter(tmp_path: Path) -> Iterator[Counter]:
    rig, clip = new_rig(tmp_path), Clip()
    settings = rig.settings()
    log = new_log("scanner_kiosk", rig.clock, stream=io.StringIO())
    app = create_app(settings, clock=rig.clock, log=log, line=rig.line, start=False)
    kiosk: Kiosk = app.extensions["kiosk"]
    kiosk._open_camera = lambda name: clip
    kiosk.choose(camera="clip")
    yield Counter(rig, kiosk, clip)
    kiosk.stop()


def shown(text: str, seed: int, t: int, camera: scene.Camera = HANDS["good"]) -> Grey:
    """The phone with this code on it, `t` frames after it appeared."""
    return scene.frame(read_picture(png(text)), seed=seed, t=t, camera=camera)


@pytest.mark.parametrize("hand", HANDS if FULL else ["far"])
@pytest.mark.parametrize("seed", range(3 if FULL else 1))
def test_a_code_is_read_within_three_frames_of_the_first_that_can_be_read_at_all(
    counter: Counter, seed: int, hand: str
) -> None:
    counter.begin()
    text, first, camera = counter.text(), None, HANDS[hand]
    drawing = read_picture(png(text))
    for t in range(2 * ARRIVAL):
        image = scene.frame(drawing, seed=seed, t=t, camera=camera)
        if first is None and read_codes(image, budget_ms=1e9) == [text]:
            first = t
        counter.see(image)
        if counter.kiosk.counter().state != "WAITING":
            break
    counter.until("CONFIRMING")
    assert counter.visits == 1
    assert first is not None
    assert t - first <= LATE


def test_the_same_slice_held_in_view_is_one_visit(counter: Counter) -> None:
    counter.begin()
    text = counter.text()
    counter.see(shown(text, 1, ARRIVAL))
    counter.until("CONFIRMING")
    # The desk wants another code, and looks for it at once, with this one still in view.
    counter.rig.desk.move("REFUSED", Reason.CODE_EXPIRED)
    counter.until("REFUSED")
    counter.kiosk.again()
    for t in range(ARRIVAL, ARRIVAL + 8):
        counter.see(shown(text, 1, t))
    assert (counter.visits, counter.kiosk.counter().state) == (1, "WAITING")
    counter.see(shown(counter.text(), 1, ARRIVAL + 9))
    counter.until("CONFIRMING")
    assert counter.visits == 2


def test_the_next_slices_of_a_showing_begin_no_second_visit(counter: Counter) -> None:
    counter.begin()
    for slice_ in range(3):
        text = counter.text()
        for t in range(2):
            counter.see(shown(text, 2, ARRIVAL + 2 * slice_ + t))
    assert counter.visits == 1


def test_another_phone_at_the_next_case_is_another_visit(counter: Counter) -> None:
    counter.begin()
    counter.see(shown(counter.text(), 3, ARRIVAL))
    counter.until("CONFIRMING")
    counter.anew()
    other = counter.text()
    for t in range(2 * ARRIVAL):
        counter.see(shown(other, 4, t))
        if counter.kiosk.counter().state != "WAITING":
            break
    counter.until("CONFIRMING")
    assert counter.visits == 2
