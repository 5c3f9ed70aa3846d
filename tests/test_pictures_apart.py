"""Posted pictures are read in a process of their own: bombs, its end, its queue, and nothing lost on the way.

The bombs are those of the bench. Each must be refused in words that are documented or be read, within the limits of one
picture, and the next picture must be read. Time is held by the reader's own limit, not by a clock in the test.
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue
from threading import Thread

import pytest

from bench.bombs import bombs
from consent.errors import Reason, Refusal, Unavailable
from scanner_kiosk.decode import Reader
from scanner_kiosk.picture import read_picture
from scanner_kiosk.pictures_apart import LANES, WAITING, Limits, PicturesApart
from tests.counter_rig import png as code
from tests.counts import is_refused, outcome

TEXT = "YRD1:A PICTURE LIKE ANY OTHER"
MOST_KIB = 256 << 10
PHOTOGRAPHS = Path(os.environ.get("HUZHENG_VECTORS", "/nowhere")) / "qr"


@pytest.fixture(scope="module")
def apart() -> Iterator[PicturesApart]:
    reader = PicturesApart(lanes=1)  # so that the next picture meets the child that the bomb met
    yield reader
    reader.close()


GOOD = code(TEXT)
BOMBS = bombs(GOOD)
# The others may be read: what they hold beyond the picture is never unpacked, or it is only much work.
REFUSED = [name for name in BOMBS if not any(word in name for word in ("wall", "within", "let through", "unpacks"))]


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.full] * ("wall" in n)) for n in BOMBS])
def test_a_bomb_is_answered_within_the_limits_and_the_next_picture_is_read(apart: PicturesApart, name: str) -> None:
    found = outcome(apart.read, BOMBS[name])
    assert found is Reason.PICTURE_UNREADABLE or (name not in REFUSED and not is_refused(found))
    assert apart.peak_kib <= MOST_KIB
    assert apart.read(GOOD).texts == (TEXT,)


def test_a_picture_with_too_long_a_side_costs_no_child(apart: PicturesApart) -> None:
    apart.read(GOOD)
    before = apart.pids
    outcome(apart.read, BOMBS["wide and within the pixels"])
    assert apart.read(GOOD).texts == (TEXT,)
    assert apart.pids == before


def test_a_picture_with_something_behind_it_is_read_as_the_picture(apart: PicturesApart) -> None:
    assert apart.read(GOOD + b"PK\x03\x04<script>1</script>").texts == (TEXT,)


def test_a_child_that_was_killed_is_replaced_and_no_dead_one_is_left() -> None:
    apart = PicturesApart(lanes=1)
    try:
        assert apart.read(GOOD).texts == (TEXT,)
        (first,) = apart.pids
        os.kill(first, signal.SIGKILL)
        try:
            again = apart.read(GOOD)
        except Refusal:  # it was not yet dead when the picture was sent
            again = apart.read(GOOD)
        assert again.texts == (TEXT,)
        assert apart.pids != (first,)
        assert not os.path.exists(f"/proc/{first}")
    finally:
        apart.close()


@pytest.mark.full
def test_a_child_that_hangs_is_killed_at_the_wall_limit_and_the_next_picture_is_read() -> None:
    apart = PicturesApart(lanes=1)
    try:
        assert apart.read(GOOD).texts == (TEXT,)
        (hung,) = apart.pids
        os.kill(hung, signal.SIGSTOP)
        with pytest.raises(Refusal) as no:
            apart.read(GOOD)
        assert no.value.reason is Reason.PICTURE_UNREADABLE
        assert not os.path.exists(f"/proc/{hung}")
        assert apart.read(GOOD).texts == (TEXT,)
    finally:
        apart.close()


def test_closing_ends_the_child_and_leaves_no_dead_one() -> None:
    apart = PicturesApart()
    apart.read(GOOD)
    pids = apart.pids
    assert len(pids) == LANES
    apart.close()
    assert apart.pids == ()
    assert not any(os.path.exists(f"/proc/{pid}") for pid in pids)


def test_the_child_has_limits_and_nothing_of_our_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUZHENG_SECRET", "of-the-parent")
    apart = PicturesApart(lanes=1)
    try:
        apart.read(GOOD)  # by the only one: of two, the other may still be coming up
        limits = Path(f"/proc/{apart.pids[0]}/limits").read_text(encoding="ascii")
        rows = {line[:26].strip(): line[26:].split()[0] for line in limits.splitlines()}
        assert (rows["Max core file size"], rows["Max file size"], rows["Max open files"]) == ("0", "0", "16")
        assert rows["Max address space"] != "unlimited"
        assert rows["Max cpu time"] != "unlimited"
        assert b"of-the-parent" not in Path(f"/proc/{apart.pids[0]}/environ").read_bytes()
    finally:
        apart.close()


@pytest.mark.parametrize("python", ["/nowhere/python", "/bin/false"])
def test_where_no_child_starts_there_is_no_answer_and_no_hang(python: str) -> None:
    apart = PicturesApart(lanes=1, python=python)
    with pytest.raises(Unavailable) as silent:
        apart.read(GOOD)
    assert silent.value.reason is Reason.DEVICE_UNAVAILABLE
    assert apart.pids == ()


def stopped(apart: PicturesApart) -> tuple[int, ...]:
    """All children come up, have read a picture, and stand still."""
    while apart.read(GOOD).texts != (TEXT,) or len(apart.pids) < LANES or not _ready(apart):
        pass
    for pid in apart.pids:
        os.kill(pid, signal.SIGSTOP)
    return apart.pids


def _ready(apart: PicturesApart) -> bool:
    """Both have confined themselves, which is the last they do before the first picture."""
    limits = [Path(f"/proc/{pid}/limits").read_text(encoding="ascii") for pid in apart.pids]
    return all(re.search(r"Max core file size +0 +0 ", each) for each in limits)


def posted(apart: PicturesApart, ends: SimpleQueue[object], data: bytes) -> Thread:
    def post() -> None:
        try:
            ends.put(apart.read(data).texts)
        except Refusal as no:
            ends.put((no.reason, no.facts.get("n")))

    thread = Thread(target=post)
    thread.start()
    return thread


def test_two_are_read_two_wait_and_a_fifth_is_told_to_come_again() -> None:
    apart, ends = PicturesApart(Limits(wall_s=60, answer_s=60)), SimpleQueue[object]()
    pids = stopped(apart)
    threads = [posted(apart, ends, GOOD) for _ in range(LANES + WAITING + 1)]
    assert ends.get(timeout=60) == (Reason.TOO_MANY, 1)
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    assert [ends.get(timeout=60) for _ in range(LANES + WAITING)] == [(TEXT,)] * (LANES + WAITING)
    for thread in threads:
        thread.join()
    apart.close()


@pytest.mark.full
def test_while_one_picture_takes_long_another_is_read() -> None:
    apart, ends = PicturesApart(Limits(wall_s=60, answer_s=60)), SimpleQueue[object]()
    slow, quick = stopped(apart)
    held = posted(apart, ends, GOOD)
    os.kill(quick, signal.SIGCONT)
    other = posted(apart, ends, GOOD)
    assert ends.get(timeout=60) == (TEXT,)
    os.kill(slow, signal.SIGCONT)
    assert ends.get(timeout=60) == (TEXT,)
    held.join()
    other.join()
    apart.close()


@pytest.mark.full
def test_who_waits_is_answered_in_time_all_the_same() -> None:
    """The wait counts: whoever comes behind pictures that take their whole time is told to come again."""
    apart, ends = PicturesApart(Limits(wall_s=60, answer_s=60)), SimpleQueue[object]()
    pids = stopped(apart)
    threads = [posted(apart, ends, GOOD) for _ in range(LANES)]
    apart._limits = Limits(answer_s=0.2)
    assert outcome(apart.read, GOOD) is Reason.TOO_MANY
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    assert [ends.get(timeout=60) for _ in range(LANES)] == [(TEXT,)] * LANES
    for thread in threads:
        thread.join()
    apart.close()


@pytest.mark.full
def test_the_size_of_a_child_that_was_killed_is_known() -> None:
    apart = PicturesApart(lanes=1)
    assert apart.read(GOOD).texts == (TEXT,)
    (hung,) = apart.pids
    os.kill(hung, signal.SIGSTOP)
    assert apart.peak_kib > 10 << 10
    known, apart._lanes[0].peak_kib = apart.peak_kib, 0
    assert outcome(apart.read, GOOD) is Reason.PICTURE_UNREADABLE
    assert apart.peak_kib >= known
    apart.close()


@pytest.mark.full
@pytest.mark.skipif(not PHOTOGRAPHS.is_dir(), reason="HUZHENG_VECTORS names no photographs")
def test_nothing_is_lost_that_is_read_in_this_process() -> None:
    # A budget in which every repair fits, so that a busy machine changes nothing.
    apart, compared = PicturesApart(Limits(budget_ms=60_000, wall_s=60, answer_s=60)), 0
    try:
        for path in sorted((PHOTOGRAPHS / "img").iterdir())[::8]:
            try:
                here = Reader().read(read_picture(path.read_bytes()), budget_ms=60_000)
            except Refusal:
                continue
            compared += bool(here)
            assert set(here) <= set(apart.read(path.read_bytes()).texts), path.name
    finally:
        apart.close()
    assert compared >= 10
