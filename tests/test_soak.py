"""Half an hour before the camera: neither memory nor handles grow.

The clock is the source's and moves with every frame, so that half an hour passes as fast as frames can be read. Files, slot,
thread and decoder are those of the counter.
"""

from __future__ import annotations

import os
import resource
from pathlib import Path
from statistics import mean

import cv2
import numpy as np
import pytest

from scanner_kiosk.camera import Folder, Frame, Latest
from scanner_kiosk.decode import Reader
from scanner_kiosk.sources import gone
from tests.counter_rig import png
from tests.counts import count

FRAMES = count(10_200, 1_020)
HALF_HOUR_S = 1800.0
PULLED_EVERY = FRAMES // 51
SCANS = [f"YRD1:SOAK{n}" for n in range(5)]


class Pulled(Folder):
    """A folder of pictures that is unplugged every so often, on a clock that each frame moves on."""

    def __init__(self, path: Path) -> None:
        self.now, self.reads, self.pulls = 0.0, 0, 0
        super().__init__(path, interval_s=0, ticks=lambda: self.now)

    def read(self, timeout_s: float) -> Frame | None:
        self.reads += 1
        self.now += HALF_HOUR_S / FRAMES
        if self.reads % PULLED_EVERY == 0:
            self.pulls += 1
            raise gone("pulled")
        return super().read(timeout_s)


def memory() -> int:
    """Bytes that this process holds in RAM."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def handles() -> int:
    """Open files of this process."""
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.full
def test_half_an_hour_of_mixed_scans_grows_neither_memory_nor_handles(tmp_path: Path) -> None:
    for place, text in enumerate(SCANS):
        drawn = cv2.imdecode(np.frombuffer(png(text), np.uint8), cv2.IMREAD_GRAYSCALE)
        cv2.imwrite(str(tmp_path / f"{place}a.png"), drawn)
        cv2.imwrite(str(tmp_path / f"{place}b.png"), np.full((240, 320), 40 * place, np.uint8))  # nobody is there
    source, reader, seen, last = Pulled(tmp_path), Reader(), set[str](), 0
    samples: list[tuple[int, int]] = []
    with Latest(source, backoff_s=(0,), ticks=lambda: source.now) as latest:
        while source.reads < FRAMES:
            frame = latest.newest(after=last, timeout_s=10)
            if frame is None:
                assert latest.failure is not None  # pulled just now; comes back by itself
                continue
            last = frame.seq
            seen.update(reader.read(frame.image, accept=lambda text: True))
            samples.append((memory(), handles()))
    assert seen == set(SCANS)
    assert source.pulls >= 50
    assert source.now >= HALF_HOUR_S * 0.99
    third = len(samples) // 3
    for middle, end in zip(
        zip(*samples[third : 2 * third], strict=True), zip(*samples[2 * third :], strict=True), strict=True
    ):
        assert mean(end) <= 1.05 * mean(middle)
