"""The process in which a stranger's picture is unpacked and read. See `pictures_apart`, which starts it.

1. Everything that will be needed is imported and used once, so that the first picture costs what the others cost.
2. The limits are set: memory as it is now and `ROOM` more, few files, no file written, no core.
3. The parent is told that all is ready. Then, for each picture until the parent hangs up: its bytes in, what it shows out.
   CPU time is allowed anew for each, since the system counts it for the process's whole life.

A message is its length (four bytes, big-endian), then that many bytes. An answer is JSON, then the pixels, a byte each.
"""

from __future__ import annotations

import json
import resource
import socket
import struct
import sys
from dataclasses import asdict
from io import BytesIO
from typing import Any, Final

import cv2
import numpy as np
from PIL import Image

from consent.code import is_ours
from consent.counter_strings import drawn_by
from consent.errors import Reason, Refusal
from scanner_kiosk.decode import BUDGET_MS, Reader
from scanner_kiosk.look import dark, look, margin_of, preview
from scanner_kiosk.picture import Grey, read_picture

ROOM: Final = 192 << 20
CPU_S: Final = 3
_FILES: Final = 16
_SIDE: Final = 65_500  # pixels; JPEG, and so the preview, knows no more
_LENGTH: Final = struct.Struct(">I")


def serve(line: socket.socket, budget_ms: float) -> None:
    """Until the parent hangs up."""
    answer(_warm_picture("PNG"), Reader(), budget_ms)  # (1)
    answer(_warm_picture("JPEG"), Reader(), budget_ms)
    _confine()  # (2)
    reader = Reader()
    send(line, b"ready")  # (3)
    while (data := receive(line)) is not None:
        _allow_cpu()
        found, pixels = answer(data, reader, budget_ms)
        send(line, json.dumps(found).encode())
        send(line, pixels)


def answer(data: bytes, reader: Reader, budget_ms: float) -> tuple[dict[str, Any], bytes]:
    """What one picture shows, and its pixels; or why it was refused, and no pixels."""
    try:
        grey = read_picture(data)
        found = _found(grey, reader, budget_ms)
        pixels = grey.tobytes()
    except Refusal as no:
        found, pixels = {"refused": no.detail}, b""
    except (MemoryError, cv2.error) as problem:  # more than there is for one picture
        found, pixels = {"refused": type(problem).__name__}, b""
    return found, pixels


def _found(grey: Grey, reader: Reader, budget_ms: float) -> dict[str, Any]:
    if max(grey.shape) > _SIDE:
        raise Refusal(Reason.PICTURE_UNREADABLE, detail="a side too long")
    texts: dict[str, None] = {}

    def ours(text: str) -> bool:
        # Whether a code is genuine is not known here: no key comes into this process. Its shape ends the search; the texts
        # that do not are told as well, since the screen says that a foreign code was held in.
        texts[text] = None
        return is_ours(text) or drawn_by(text) is not None

    reader.read(grey, budget_ms=budget_ms, accept=ours)
    symbols = look(grey)
    return {
        "shape": grey.shape,
        "texts": list(texts),
        "margins": {text: margin_of(grey, text) for text in texts},
        "symbols": [asdict(symbol) for symbol in symbols],
        "dark": dark(grey),
        "preview": preview(grey, symbols).hex(),
    }


def send(line: socket.socket, message: bytes) -> None:
    """One message."""
    line.sendall(_LENGTH.pack(len(message)))
    line.sendall(message)


def receive(line: socket.socket) -> bytes | None:
    """The next message; None when the other side has hung up."""
    head = _exactly(line, _LENGTH.size)
    return None if head is None else _exactly(line, _LENGTH.unpack(head)[0])


def _exactly(line: socket.socket, count: int) -> bytes | None:
    parts = bytearray()
    while len(parts) < count:
        if not (part := line.recv(min(count - len(parts), 1 << 20))):
            return None
        parts += part
    return bytes(parts)


def _confine() -> None:
    with open("/proc/self/statm", encoding="ascii") as sizes:
        size = int(sizes.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + ROOM, size + ROOM))
    resource.setrlimit(resource.RLIMIT_NOFILE, (_FILES, _FILES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _allow_cpu() -> None:
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = int(used.ru_utime + used.ru_stime) + 1 + CPU_S
    resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def _warm_picture(kind: str) -> bytes:
    out = BytesIO()
    Image.fromarray(np.tile(np.arange(256, dtype=np.uint8), (256, 1))).save(out, kind, progressive=True)
    return out.getvalue()


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])), float(sys.argv[2]) if len(sys.argv) > 2 else BUDGET_MS)
