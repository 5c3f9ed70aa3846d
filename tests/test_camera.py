"""Frames come, the newest wins, and a camera that is gone comes back.

No test waits for time to pass: sources here are paced by events, or have no pace at all.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Semaphore, Thread

import cv2
import numpy as np
import pytest
import qrcode

from consent.errors import Reason, Refusal, Unavailable
from scanner_kiosk import scene
from scanner_kiosk.camera import (
    SILENT_S,
    Folder,
    Frame,
    Latest,
    Posted,
    Simulated,
    Source,
    Still,
    Video,
    Webcam,
    open_source,
)
from scanner_kiosk.decode import Reader, read_codes
from scanner_kiosk.picture import Grey
from scanner_kiosk.sources import gone, luma

SOON = 10.0  # seconds; only ever used up by a failing test


def png(text: str) -> bytes:
    out = io.BytesIO()
    qrcode.make(text, error_correction=qrcode.ERROR_CORRECT_M, box_size=8).get_image().save(out, "PNG")
    return out.getvalue()


def grey(data: bytes) -> Grey:
    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE), np.uint8)


class Scripted:
    """A source that does what the test tells it: each release of `go` gives one frame, `fail` lets it fail
    instead."""

    def __init__(self) -> None:
        self.go = Semaphore(0)
        self.fail: BaseException | None = None
        self.refuse_opening = False
        self.opened = 0
        self.closed = 0
        self.is_open = Event()
        self.seq = 0

    def open(self) -> None:
        self.opened += 1
        if self.refuse_opening:
            raise gone("refused by the script")
        self.is_open.set()

    def read(self, timeout_s: float) -> Frame | None:
        if not self.go.acquire(timeout=timeout_s):
            return None
        if self.fail is not None:
            failure, self.fail = self.fail, None
            raise failure
        self.seq += 1
        return Frame(image=np.full((2, 2), self.seq % 256, np.uint8), seq=self.seq, at_ms=self.seq)

    def close(self) -> None:
        self.closed += 1
        self.is_open.clear()


@pytest.fixture
def script() -> Scripted:
    return Scripted()


@pytest.fixture
def latest(script: Scripted) -> Iterator[Latest]:
    with Latest(script, backoff_s=(0,)) as running:
        yield running


def failure_of(latest: Latest) -> Unavailable:
    """The failure, as soon as there is one."""
    with latest._changed:
        assert latest._changed.wait_for(lambda: latest._failure is not None, SOON)
        assert latest._failure is not None
        return latest._failure


# --- the newest wins ---


def test_a_slow_reader_gets_the_newest_frame_and_none_between(script: Scripted, latest: Latest) -> None:
    script.go.release()
    first = latest.newest(timeout_s=SOON)
    assert first is not None
    assert first.seq == 1
    script.go.release(99)
    newest = latest.newest(after=99, timeout_s=SOON)
    assert newest is not None
    assert newest.seq == 100
    assert latest.newest() is newest


def test_a_frame_that_was_seen_is_not_given_again(script: Scripted, latest: Latest) -> None:
    script.go.release()
    frame = latest.newest(timeout_s=SOON)
    assert frame is not None
    assert latest.newest(after=frame.seq) is None
    assert latest.newest(after=frame.seq, timeout_s=0.01) is None


def test_a_waiting_reader_is_woken_by_the_frame(script: Scripted, latest: Latest) -> None:
    got: list[Frame | None] = []
    reader = Thread(target=lambda: got.append(latest.newest(timeout_s=SOON)))
    reader.start()
    script.go.release()
    reader.join(SOON)
    assert [frame and frame.seq for frame in got] == [1]


def test_a_waiting_reader_is_released_when_capture_stops(script: Scripted, latest: Latest) -> None:
    got: list[Frame | None] = []
    reader = Thread(target=lambda: got.append(latest.newest(timeout_s=SOON)))
    reader.start()
    latest.stop()
    reader.join(SOON / 2)
    assert got == [None]
    assert script.closed == script.opened


def test_capture_can_start_again_and_numbers_go_on(script: Scripted, latest: Latest) -> None:
    script.go.release()
    assert latest.newest(timeout_s=SOON) is not None
    latest.stop()
    assert latest.newest() is None
    latest.start()
    latest.start()
    script.go.release()
    frame = latest.newest(timeout_s=SOON)
    assert frame is not None
    assert frame.seq == 2
    assert script.opened == 2


# --- gone, and back ---


def test_a_camera_that_hangs_without_a_word_is_told_after_three_seconds_until_its_next_frame(script: Scripted) -> None:
    now = [100.0]
    with Latest(script, ticks=lambda: now[0]) as latest:

        def told() -> Unavailable | None:
            return latest.failure

        script.go.release()
        first = latest.newest(timeout_s=SOON)
        assert first is not None
        now[0] += SILENT_S
        assert told() is None
        assert latest.newest() is first
        now[0] += 0.01
        silent = told()
        assert silent is not None
        assert silent.reason is Reason.DEVICE_UNAVAILABLE
        assert latest.newest() is None  # the screen says that there is no camera
        script.go.release()
        assert latest.newest(after=first.seq, timeout_s=SOON) is not None
        assert told() is None


def test_a_browser_may_post_nothing_for_as_long_as_it_likes() -> None:
    now = [100.0]
    with Latest(posted := Posted(), ticks=lambda: now[0]) as latest:
        posted.put(png("A"))
        assert latest.newest(timeout_s=SOON) is not None
        now[0] += 60
        assert latest.failure is None


@pytest.mark.parametrize("kind", [gone("unplugged"), OSError("driver"), cv2.error("inside"), ZeroDivisionError()])
def test_a_source_that_fails_is_closed_reported_and_opened_again(kind: Exception) -> None:
    script = Scripted()
    with Latest(script, backoff_s=(0.05,)) as latest:
        script.go.release()
        frame = latest.newest(timeout_s=SOON)
        assert frame is not None
        script.fail = kind
        script.go.release()
        failure = failure_of(latest)
        assert failure.reason is Reason.DEVICE_UNAVAILABLE
        assert failure.what == "camera"
        assert failure.detail
        assert latest.newest() is None  # what was seen before is not what is seen now
        script.go.release()
        after = latest.newest(after=frame.seq, timeout_s=SOON)
        assert after is not None
        assert latest.failure is None
    assert script.opened == script.closed == 2


def test_waiting_grows_to_five_seconds_and_starts_anew_after_a_frame(
    script: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    latest = Latest(script)
    waited: list[float] = []

    def wait(timeout: float) -> bool:
        waited.append(timeout)
        # After the sixth wait the camera is back for one frame, then gone for good; after the eighth we stop.
        script.refuse_opening = len(waited) != 6
        return len(waited) == 8

    def read(timeout_s: float) -> Frame | None:
        if script.seq:
            raise gone("again")
        script.seq = 1
        return Frame(image=np.zeros((2, 2), np.uint8), seq=1, at_ms=1)

    monkeypatch.setattr(latest._stopping, "wait", wait)
    monkeypatch.setattr(script, "read", read)
    script.refuse_opening = True
    latest._capture()
    assert waited == [0.5, 1, 2, 5, 5, 5, 0.5, 1]


def test_stopping_does_not_wait_for_the_backoff(script: Scripted) -> None:
    script.refuse_opening = True
    latest = Latest(script, backoff_s=(3600,))
    latest.start()
    failure_of(latest)
    thread = latest._thread
    assert thread is not None
    latest.stop()
    assert not thread.is_alive()


# --- the sources ---


def first_frames(source: Source, count: int) -> list[Frame]:
    source.open()
    try:
        frames = [source.read(1) for _ in range(count)]
    finally:
        source.close()
    assert all(frame is not None for frame in frames)
    return [frame for frame in frames if frame is not None]


def test_a_still_picture_is_seen_again_and_again(tmp_path: Path) -> None:
    (tmp_path / "code.png").write_bytes(png("YRD1:STILL"))
    frames = first_frames(Still(tmp_path / "code.png", interval_s=0), 3)
    assert [frame.seq for frame in frames] == [1, 2, 3]
    assert all(read_codes(frame.image) == ["YRD1:STILL"] for frame in frames)


def test_a_folder_is_seen_in_the_order_of_names_and_other_files_are_passed_over(tmp_path: Path) -> None:
    for name, text in (("2.png", "TWO"), ("1.png", "ONE"), ("3.png", "THREE")):
        (tmp_path / name).write_bytes(png(text))
    (tmp_path / "1b.txt").write_text("no picture")
    (tmp_path / "sub.png").mkdir()
    frames = first_frames(Folder(tmp_path, interval_s=0), 7)
    assert [read_codes(frame.image) for frame in frames] == [[t] for t in ("ONE", "TWO", "THREE") * 2 + ("ONE",)]


def test_a_video_plays_and_begins_again(tmp_path: Path) -> None:
    path = tmp_path / "phone.avi"
    drawing = grey(png("YRD1:VIDEO"))
    size = drawing.shape[1], drawing.shape[0]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 30, size, isColor=True)
    assert writer.isOpened()
    for level in (60, 255, 255):
        writer.write(cv2.cvtColor(np.minimum(drawing, np.uint8(level)), cv2.COLOR_GRAY2BGR))
    writer.release()
    frames = first_frames(Video(path, interval_s=0), 7)
    assert [frame.image.max() < 100 for frame in frames] == [True, False, False] * 2 + [True]
    assert read_codes(frames[1].image) == ["YRD1:VIDEO"]
    assert [frame.seq for frame in frames] == list(range(1, 8))


def test_a_paced_source_gives_no_frame_before_it_is_due(tmp_path: Path) -> None:
    (tmp_path / "code.png").write_bytes(png("YRD1:PACE"))
    now = 100.0
    source = Still(tmp_path / "code.png", interval_s=0.5, ticks=lambda: now)
    source.open()
    first = source.read(0)
    assert first is not None
    assert first.at_ms == 100_000
    assert source.read(0) is None
    now = 100.49
    assert source.read(0) is None
    now = 100.5
    assert source.read(0) is not None
    now = 105.0  # nine were missed; they are not made up for
    assert source.read(0) is not None
    assert source.read(0) is not None or source.read(0) is None
    now = 105.01
    assert source.read(0) is None


def test_posted_pictures_come_through_and_only_the_newest_is_kept() -> None:
    source = Posted()
    source.open()
    assert source.read(0) is None
    source.put(png("OLD"))
    source.put(png("NEW"))
    frame = source.read(0)
    assert frame is not None
    assert read_codes(frame.image) == ["NEW"]
    assert frame.seq == 2
    assert source.read(0) is None


def test_a_posted_picture_wakes_the_capture() -> None:
    source = Posted()
    with Latest(source) as latest:
        source.put(png("YRD1:POSTED"))
        frame = latest.newest(timeout_s=SOON)
    assert frame is not None
    assert read_codes(frame.image) == ["YRD1:POSTED"]


def test_a_bad_posted_picture_is_refused_to_its_sender_and_disturbs_nothing() -> None:
    source = Posted()
    source.put(png("YRD1:GOOD"))
    with pytest.raises(Refusal) as refused:
        source.put(b"GIF89a")
    assert refused.value.reason is Reason.PICTURE_UNREADABLE
    assert source.read(0) is not None


def test_a_simulated_phone_comes_changes_its_code_and_goes() -> None:
    shown = [b""]
    source = Simulated(lambda: shown[0], seed=3, interval_s=0)
    source.open()
    reader = Reader()

    def texts(frames: int) -> list[str]:
        seen = [reader.read(frame.image) for _ in range(frames) if (frame := source.read(1))]
        assert len(seen) == frames
        return [text for found in seen for text in found]

    assert texts(2) == []
    shown[0] = png("YRD1:FIRST")
    assert set(texts(15)) == {"YRD1:FIRST"}
    shown[0] = png("YRD1:SECOND")
    assert set(texts(2)) == {"YRD1:SECOND"}  # at once: the phone did not have to arrive again
    shown[0] = b""
    assert texts(2) == []


def test_a_simulated_phone_reaches_a_slow_reader_through_the_slot() -> None:
    source = open_source("sim:", picture=lambda: png("YRD1:SLOT"), seed=1)
    reader, seen, after = Reader(), set[str](), 0
    with Latest(source) as latest:
        for _ in range(60):
            frame = latest.newest(after=after, timeout_s=SOON)
            assert frame is not None
            after = frame.seq
            seen |= set(reader.read(frame.image))
            if seen:
                break
    assert seen == {"YRD1:SLOT"}


def test_a_phone_that_shows_no_picture_is_no_camera() -> None:
    source = Simulated(lambda: b"not a picture", interval_s=0)
    source.open()
    with pytest.raises(Unavailable) as failed:
        source.read(0)
    assert failed.value.reason is Reason.DEVICE_UNAVAILABLE


@pytest.mark.parametrize("source", ["file", "folder", "video", "no number", "no path", "no camera"])
def test_a_source_that_is_not_there_is_unavailable(source: str, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("neither picture nor video nor camera")
    sources: dict[str, Source] = {
        "file": Still(tmp_path / "text"),
        "folder": Folder(tmp_path / "nowhere"),
        "video": Video(tmp_path / "nowhere"),
        "no number": Webcam(999),
        "no path": Webcam(str(tmp_path / "by-id")),
        "no camera": Webcam(str(tmp_path / "text")),
    }
    made = sources[source]
    with pytest.raises(Unavailable) as failed:
        made.open()
    assert (failed.value.reason, failed.value.what) == (Reason.DEVICE_UNAVAILABLE, "camera")
    made.close()
    made.close()


def test_a_folder_without_a_picture_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    source = Folder(tmp_path, interval_s=0)
    source.open()
    with pytest.raises(Unavailable):
        source.read(0)


def test_a_text_file_is_no_video(tmp_path: Path) -> None:
    (tmp_path / "a.avi").write_text("text")
    with pytest.raises(Unavailable):
        Video(tmp_path / "a.avi").open()


# --- what devices deliver ---


def test_the_brightness_is_taken_from_every_format_that_cameras_deliver() -> None:
    drawing = grey(png("YRD1:LUMA"))
    yuyv = np.dstack([drawing, np.full_like(drawing, 128)])
    jpeg = np.asarray(cv2.imencode(".jpg", drawing)[1], np.uint8).reshape(-1)
    for raw in (drawing, yuyv, np.dstack([drawing] * 3), jpeg, jpeg.reshape(1, -1), jpeg.reshape(-1, 1)):
        assert read_codes(luma(raw)) == ["YRD1:LUMA"]
    assert np.shares_memory(luma(yuyv), yuyv)  # no copy of the Y plane


@pytest.mark.parametrize(
    "raw",
    [
        None,
        b"bytes",
        np.zeros((0, 0), np.uint8),
        np.zeros(100, np.uint8),
        np.zeros((1, 100), np.uint8),
        np.zeros((9, 9, 4), np.uint8),
        np.zeros((9, 9), np.uint16),
        np.zeros((2, 2, 2, 2), np.uint8),
        np.uint8(3).reshape(()),
    ],
    ids=repr,
)
def test_what_is_no_picture_from_a_device_is_unavailable(raw: object) -> None:
    with pytest.raises(Unavailable):
        luma(raw)


# --- names ---


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("file:a:b.png", Still),
        ("folder:/var/pictures", Folder),
        ("video:phone.mp4", Video),
        ("webcam:0", Webcam),
        ("webcam:/dev/v4l/by-id/usb-camera", Webcam),
        ("posted:", Posted),
        ("sim:", Simulated),
    ],
)
def test_a_setting_names_a_source(name: str, kind: type) -> None:
    assert type(open_source(name)) is kind


@pytest.mark.parametrize(
    "name",
    [
        "",
        "file",
        "file:",
        "folder:",
        "video:",
        "webcam:",
        "posted:x",
        "sim:1",
        "http://x/",
        "FILE:x",
        "webcam",
    ],
)
def test_a_setting_that_names_no_source_is_an_error_at_the_start(name: str) -> None:
    with pytest.raises(ValueError, match="a camera is file:PATH"):
        open_source(name)


def test_the_simulated_camera_has_the_size_that_is_asked_for() -> None:
    source = open_source("sim:", width=640, height=480)
    source.open()
    frame = source.read(1)
    assert frame is not None
    assert frame.image.shape == (480, 640)
    assert scene.PLAIN.width == 1280
