"""A camera on the network against a real one on this machine, which stops, comes back and misbehaves.

No test waits for time to pass: the camera sends when it is told to, and the source's clock is moved.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from queue import Queue
from threading import Event, Thread

import cv2
import numpy as np
import pytest

from consent.errors import Reason, Unavailable
from scanner_kiosk.camera import Latest, Mjpeg, open_source
from scanner_kiosk.decode import read_codes
from scanner_kiosk.picture import POSTED_BYTES
from tests.test_camera import SOON, grey, png

pytestmark = pytest.mark.network

OK = b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=cut\r\n\r\n"
Script = Sequence[bytes | Event]
"""What is sent; at an event the camera waits until it is set."""


def jpeg(text: str) -> bytes:
    """A drawn code as a camera would send it."""
    return cv2.imencode(".jpg", grey(png(text)))[1].tobytes()


def part(data: bytes, *headers: bytes, sized: bool = True) -> bytes:
    """One part, with its boundary."""
    size = [b"Content-Length: %d" % len(data)] if sized else []
    return b"\r\n--cut\r\n" + b"\r\n".join([b"Content-Type: image/jpeg", *size, *headers]) + b"\r\n\r\n" + data


class Server:
    """A camera that answers one caller after another, each with the next script, and then hangs up."""

    def __init__(self, port: int = 0) -> None:
        self.scripts: Queue[Script | None] = Queue()
        self.asked = b""
        self._listening = socket.create_server(("127.0.0.1", port))
        self.port: int = self._listening.getsockname()[1]
        self._thread = Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/stream"

    def _serve(self) -> None:
        while (script := self.scripts.get()) is not None:
            caller, _ = self._listening.accept()
            with caller, suppress(OSError):
                caller.settimeout(SOON)
                self.asked = caller.recv(65_536)
                for piece in script:
                    if isinstance(piece, Event):
                        piece.wait(SOON)
                    else:
                        caller.sendall(piece)

    def stop(self) -> None:
        self.scripts.put(None)
        self._thread.join(SOON)
        self._listening.close()


@contextmanager
def serving(*scripts: Script, port: int = 0) -> Iterator[Server]:
    server = Server(port)
    for script in scripts:
        server.scripts.put(script)
    try:
        yield server
    finally:
        server.stop()


def texts(mjpeg: Mjpeg, count: int) -> list[str]:
    """What the next pictures say."""
    found = []
    for _ in range(count):
        frame = mjpeg.read(SOON)
        assert frame is not None
        found += read_codes(frame.image)
    return found


@contextmanager
def opened(server: Server) -> Iterator[Mjpeg]:
    mjpeg = Mjpeg(server.address)
    try:
        mjpeg.open()
        yield mjpeg
    finally:
        mjpeg.close()


@pytest.mark.parametrize("sized", [True, False], ids=["Content-Length", "boundaries only"])
def test_every_picture_of_the_stream_is_read_in_order(sized: bool) -> None:
    stream = b"".join(part(jpeg(f"YRD1:{n}"), sized=sized) for n in range(3)) + b"\r\n--cut--\r\n"
    with serving([OK, stream]) as server, opened(server) as mjpeg:
        assert texts(mjpeg, 3) == ["YRD1:0", "YRD1:1", "YRD1:2"]
        with pytest.raises(Unavailable) as ended:
            mjpeg.read(SOON)
    assert ended.value.reason is Reason.DEVICE_UNAVAILABLE
    assert server.asked.startswith(b"GET /stream HTTP/1.1\r\n")


def test_a_stream_in_small_and_chunked_pieces_is_the_same_stream() -> None:
    stream = part(jpeg("YRD1:PIECES")) + part(jpeg("YRD1:MORE"))
    chunked = OK.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n")
    pieces = [stream[at : at + 997] for at in range(0, len(stream), 997)]
    with (
        serving([chunked, *(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)]) as server,
        opened(server) as it,
    ):
        assert texts(it, 2) == ["YRD1:PIECES", "YRD1:MORE"]


def test_dashes_that_a_camera_writes_into_its_header_are_no_part_of_the_boundary() -> None:
    dashed = OK.replace(b"boundary=cut", b'boundary="--cut"')
    with serving([dashed, part(jpeg("YRD1:DASHES"))]) as server, opened(server) as mjpeg:
        assert texts(mjpeg, 1) == ["YRD1:DASHES"]


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
        OK.replace(b"200 OK", b"401 Unauthorized"),
        OK.replace(b"multipart/x-mixed-replace", b"multipart/mixed"),
        OK.replace(b"; boundary=cut", b""),
        b"nothing of HTTP\r\n\r\n",
    ],
)
def test_what_is_no_camera_does_not_open(answer: bytes) -> None:
    with serving([answer]) as server, pytest.raises(Unavailable), opened(server):
        pytest.fail("opened")


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (b"\r\n--cut\r\nContent-Length: %d\r\n\r\n" % (POSTED_BYTES + 1), "too many bytes"),
        (b"\r\n--cut\r\n" + b"X: y\r\n" * 2000, "without an end"),
        (b"no boundary " * 2000, "without an end"),
        (b"\r\n--cut\r\n\r\n" + bytes(POSTED_BYTES + 100_000), "without an end"),
        (part(b"no picture"), "neither PNG nor JPEG"),
        (part(jpeg("YRD1:TORN")[:-600]), "picture"),
        (part(cv2.imencode(".png", np.zeros((1500, 2000), np.uint8))[1].tobytes()), "too many pixels"),
        (part(jpeg("YRD1:CUT"))[:-1], "ended"),
    ],
    ids=["length", "headers", "no boundary", "endless", "no picture", "torn", "pixels", "hung up"],
)
def test_a_part_beyond_its_limits_ends_the_connection(bad: bytes, why: str) -> None:
    with serving([OK, part(jpeg("YRD1:GOOD")), bad]) as server, opened(server) as mjpeg:
        assert texts(mjpeg, 1) == ["YRD1:GOOD"]
        with pytest.raises(Unavailable) as ended:
            mjpeg.read(SOON)
    assert why in ended.value.detail


def test_a_part_that_trickles_in_is_given_up() -> None:
    now = [0.0]

    def ticks() -> float:
        now[0] += 0.5  # each look at the clock finds half a second gone
        return now[0]

    data = part(jpeg("YRD1:SLOW"))
    chunked = OK.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n")
    with serving([chunked, *(b"1\r\n%c\r\n" % byte for byte in data)]) as server:
        mjpeg = Mjpeg(server.address, ticks=ticks)
        mjpeg.open()
        with pytest.raises(Unavailable) as slow:
            mjpeg.read(SOON)
        mjpeg.close()
    assert slow.value.detail == "the camera is too slow"


def test_a_camera_that_stops_is_told_of_and_read_again_when_it_is_back() -> None:
    stop, end = Event(), Event()
    with serving([OK, part(jpeg("YRD1:BEFORE")), stop]) as server:
        latest = Latest(Mjpeg(server.address), backoff_s=(0.01,))
        latest.start()
        seen = _reads(latest, "YRD1:BEFORE")
        stop.set()
    # Nobody listens at the address any more.
    with latest._changed:
        assert latest._changed.wait_for(lambda: latest._failure is not None, SOON)
    assert latest.newest() is None
    with serving([OK, part(jpeg("YRD1:AFTER")), end], port=server.port):
        assert _reads(latest, "YRD1:AFTER", after=seen) > seen
        assert latest.failure is None
        end.set()
        latest.stop()


def _reads(latest: Latest, text: str, *, after: int = 0) -> int:
    """The number of the next frame, which says this."""
    frame = latest.newest(after=after, timeout_s=SOON)
    assert frame is not None
    assert read_codes(frame.image) == [text]
    return frame.seq


@pytest.mark.parametrize(
    "name",
    [
        "mjpeg:",
        "mjpeg:camera",
        "mjpeg:ftp://camera/",
        "mjpeg:http:///x",
        "mjpeg:http://me:secret@camera/",
        "mjpeg:http://camera:x/",
    ],
)
def test_an_address_that_cannot_be_asked_is_an_error_at_the_start(name: str) -> None:
    with pytest.raises(ValueError, match=r"camera|[Pp]ort") as error:
        open_source(name)
    assert "secret" not in str(error.value)


def test_a_setting_names_the_network_camera() -> None:
    assert type(open_source("mjpeg:http://127.0.0.1:8080/video")) is Mjpeg
