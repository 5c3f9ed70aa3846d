"""A camera on the network: one JPEG after another in one endless answer (multipart/x-mixed-replace).

The address is the operator's, the bytes are whatever stands there. So each is held to a limit:

1. The address is asked as it stands in the setting: no forwarding is followed, and a name or password in it is refused,
   because settings are printed.
2. The answer is 200 and says multipart/x-mixed-replace with a boundary; all else is no camera.
3. A part has at most 4 KiB of headers and as many bytes as a posted picture, and is whole within three seconds. Its length
   is taken from Content-Length, or, where there is none, it ends at the next boundary.
4. Its picture is judged as a posted one is: JPEG or PNG, at most full HD, header before pixels.

Whatever fails is `Unavailable`, and the connection is given up: after a torn part nobody knows where the next one begins.
When to try again is not decided here (`camera.Latest`). Nothing is kept between parts but the bytes that came along with the
last one.
"""

from __future__ import annotations

import time
from email.message import Message
from typing import Final
from urllib.parse import urlsplit

import urllib3

from consent.errors import Refusal
from scanner_kiosk.picture import POSTED_BYTES, read_picture
from scanner_kiosk.sources import Frame, Ticks, gone

_SILENT_S: Final = 2.0  # for one answer of the network
_PART_S: Final = 3.0  # for one whole picture: a camera slower than this is of no use at a counter
_HEADERS: Final = 4096  # bytes
_AT_ONCE: Final = 65_536  # bytes
_END: Final = b"\r\n\r\n"


class Mjpeg:
    """The pictures of an HTTP camera at `address`. ValueError for an address that is none.

    As with a webcam, the device's own pace bounds a read: at most five seconds, then it counts as gone.
    """

    def __init__(self, address: str, *, ticks: Ticks = time.monotonic) -> None:
        parts = urlsplit(address)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0 or "@" in parts.netloc:  # (1)
            raise ValueError("a camera on the network is mjpeg:http://HOST/PATH, without a name or password")
        self._address = address
        self._ticks = ticks
        self._seq = 0
        self._pool = urllib3.PoolManager(retries=False, timeout=_SILENT_S, maxsize=1)
        self._answer: urllib3.BaseHTTPResponse | None = None
        self._boundary = b""
        self._waiting = bytearray()
        self._due = 0.0

    def open(self) -> None:
        self.close()
        try:
            answer = self._pool.request("GET", self._address, preload_content=False, redirect=False)  # (1)
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise gone("the address does not answer") from error
        self._answer = answer
        boundary = _boundary_of(answer.headers.get("Content-Type", ""))
        if answer.status != 200 or boundary is None:  # (2)
            raise gone("the address is no camera")
        self._boundary = boundary

    def read(self, timeout_s: float) -> Frame | None:
        if self._answer is None:
            raise gone("not open")
        self._due = self._ticks() + _PART_S
        data = self._part()
        try:
            image = read_picture(data)  # (4)
        except Refusal as refusal:
            raise gone(f"the camera's picture: {refusal.detail}") from refusal
        self._seq += 1
        return Frame(image=image, seq=self._seq, at_ms=int(self._ticks() * 1000))

    def close(self) -> None:
        self._waiting.clear()
        if self._answer is not None:
            self._answer.close()  # the connection with it: the rest of an endless answer is not wanted
            self._answer = None

    def _part(self) -> bytes:
        """The bytes of the next picture (3)."""
        self._until(self._boundary, _HEADERS)
        length = _length_of(self._until(_END, _HEADERS))
        if length is None:
            return self._until(b"\r\n" + self._boundary, POSTED_BYTES, leave=self._boundary)
        if length > POSTED_BYTES:
            raise gone("a picture with too many bytes")
        while len(self._waiting) < length:
            self._receive()
        return self._take(length)

    def _until(self, mark: bytes, limit: int, *, leave: bytes = b"") -> bytes:
        """The bytes before `mark`, at most `limit`. The mark goes too, but for `leave`, which may begin the next part."""
        searched = 0
        while (at := self._waiting.find(mark, searched)) < 0:
            searched = max(len(self._waiting) - len(mark) + 1, 0)
            if len(self._waiting) > limit:
                break
            self._receive()
        if not 0 <= at <= limit:
            raise gone("a part without an end")
        found = self._take(at)
        self._take(len(mark) - len(leave))
        return found

    def _take(self, length: int) -> bytes:
        taken = bytes(self._waiting[:length])
        del self._waiting[:length]
        return taken

    def _receive(self) -> None:
        """A few more bytes. A camera that trickles them is as good as gone."""
        assert self._answer is not None
        try:
            more = self._answer.read1(_AT_ONCE, decode_content=False)
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise gone("the camera fell silent") from error
        if not more:
            raise gone("the camera ended")
        if self._ticks() > self._due:
            raise gone("the camera is too slow")
        self._waiting += more


def _boundary_of(kind: str) -> bytes | None:
    """What stands between two parts, or None where the answer is of another kind."""
    header = Message()
    header["Content-Type"] = kind
    boundary = header.get_boundary()
    if header.get_content_type() != "multipart/x-mixed-replace" or not boundary or not boundary.isascii():
        return None
    # Many cameras write the dashes into the header as well, and only once before each part.
    return b"--" + boundary.removeprefix("--").encode("ascii")


def _length_of(headers: bytes) -> int | None:
    """Content-Length among a part's headers; None where it is missing or no number."""
    for line in headers.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length" and value.strip().isdigit():
            return int(value.strip()[:9])
    return None
