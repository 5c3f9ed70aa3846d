"""kill -9 between any two steps of a visit: it ends in the same bytes or in a plain refusal, never in two copies.

The country is split off into a child process that dies with SIGKILL at a named point (`consent.failpoint`). What it had not
committed is gone, what it had leased stays leased until the lease ends, nobody cleans up. Then the parent is the restarted
country: the kiosk sends the same bytes again, the workers run, the phone goes on where its showing stands.
"""

from __future__ import annotations

import os
import random
import signal
import traceback
from collections.abc import Callable
from typing import Any

import pytest

from consent.errors import Reason, Refusal
from consent.failpoint import reach
from consent.stores import handover
from consent.transport import Letter, Topic
from tests.country import Scene, Stage, refused, rows
from tests.counts import count
from verifier.stores import inner
from verifier.stores import library as library_tables
from verifier.work import LEASE

pytestmark = pytest.mark.full  # visits and processes: each takes seconds

STEPS = ("D1", "C1", "C2", "L1", "D2")
POINTS = tuple(f"{step}.{side}" for step in STEPS for side in ("before_commit", "after_commit"))
ROUNDS = count(4, 1)
RANDOM_KILLS = count(30, 3)


def killed(stage: Stage, work: Callable[[], None], **environment: str) -> bool:
    """Do the work in a process of its own; whether SIGKILL ended it. It may also come to its end."""
    for engine in stage.engines():
        engine.dispose()  # no connection may be in two processes
    child = os.fork()
    if child == 0:
        try:
            os.environ.update(environment)
            work()
        except BaseException:
            os.write(2, traceback.format_exc().encode())
            os._exit(3)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "the child failed in another way"
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


def whole_visit(scene: Scene) -> None:
    """Everything from the kiosk's first call to its last look."""
    scene.asked_and_shown()
    scene.agree()
    scene.finish()


def resume(stage: Stage, scene: Scene) -> Any:
    """After the restart: leases end, the kiosk repeats itself, the phone answers what it has not answered yet."""
    stage.clock.advance(LEASE.total_seconds() + 1)
    scene.present()
    stage.pump()
    if scene.showing()["state"] == "CLAIMED" and scene.listed():
        scene.agree()
        stage.pump()
    view = scene.view()
    if view.state == "UNDETERMINED":
        scene.present()
        stage.pump()
    return scene.view()


def copies(stage: Stage) -> list[str]:
    """Every copy that the library has ever sealed and kept."""
    return [row.copy for row in stage.rows("33", library_tables.spends)]


@pytest.mark.parametrize("turn", range(ROUNDS))
@pytest.mark.parametrize("point", POINTS)
def test_a_visit_survives_the_death_of_everything(stage: Stage, point: str, turn: int) -> None:
    scene = stage.scene()
    assert killed(stage, lambda: whole_visit(scene), HUZHENG_PROFILE="sandbox", HUZHENG_FAILPOINT=f"{point}:kill")
    before = copies(stage)
    _left_behind(stage, point, before)
    view = resume(stage, scene)
    assert view.state == "PASSED"
    after = copies(stage)
    assert len(after) == 1
    assert before in ([], after), "the copy that was sealed before the crash is the copy that arrives after it"
    assert scene.row().copy == after[0]
    assert len(stage.rows("32", inner.visits)) == len(stage.rows("31", inner.claims)) == 1
    assert scene.showing()["state"] == "DELIVERED"
    stage.books()


def _left_behind(stage: Stage, point: str, copied: list[str]) -> None:
    """That a step before its commit has left nothing, and after it everything."""
    step, _, side = point.partition(".")
    reached = STEPS.index(step) + (side == "after_commit")
    (visits, claims) = (stage.rows("32", inner.visits), stage.rows("31", inner.claims))
    assert len(visits) == (reached >= 1)
    assert len(claims) == (reached >= 2)
    assert len([each for each in claims if each.consent is not None]) == (reached >= 3)
    assert len(copied) == (reached >= 4)
    assert len([each for each in visits if each.copy is not None]) == (reached >= 5)


@pytest.mark.parametrize("point", count(POINTS, POINTS[3::3]))
def test_a_visit_whose_restart_comes_too_late_ends_plainly(stage: Stage, point: str) -> None:
    scene = stage.scene()
    assert killed(stage, lambda: whole_visit(scene), HUZHENG_PROFILE="sandbox", HUZHENG_FAILPOINT=f"{point}:kill")
    stage.clock.advance(60 * 12)
    stage.pump()
    stage.pass_time(60 * 10, step=120)
    for row in stage.rows("32", inner.visits):
        assert row.state in ("CLEARED", "REFUSED", "UNDETERMINED")
        assert row.answer_secret is None
    for claim in stage.rows("31", inner.claims):
        assert claim.state == "ENDED"
    assert len(copies(stage)) <= 1
    (showing,) = rows(stage.province("31").office.handover, handover.showings)
    assert showing.state in ("EXPIRED", "REFUSED", "TIMED_OUT", "UNDETERMINED", "DELIVERED")
    stage.books()


@pytest.mark.parametrize("seed", range(RANDOM_KILLS))
def test_a_country_that_dies_again_and_again_still_ends_the_visit(stage: Stage, seed: int) -> None:
    """Killed before or after some letter, three times in a row, each time by another one."""
    luck = random.Random(seed)
    scene = stage.scene()
    for _ in range(3):
        fuse, after = luck.randrange(1, 9), luck.random() < 0.5
        killed(stage, lambda fuse=fuse, after=after: _until(stage, scene, fuse, after))  # type: ignore[misc]
        stage.clock.advance(LEASE.total_seconds() + 1)
    view = resume(stage, scene)
    assert view.state in ("PASSED", "REFUSED", "UNDETERMINED")
    assert len(copies(stage)) <= 1
    stage.books()


def _until(stage: Stage, scene: Scene, fuse: int, after: bool) -> None:
    left = [fuse]

    def rule(letter: Letter) -> Letter:
        left[0] -= 1
        if left[0] == 0:
            if after:
                stage.wires[letter.sender].way.send(letter)
            os.kill(os.getpid(), signal.SIGKILL)
        return letter

    stage.rule(rule)
    scene.present()
    stage.pump()
    if scene.showing()["state"] == "CLAIMED" and scene.listed():
        scene.agree()
    stage.pump()


def test_a_fail_point_kills_in_the_sandbox_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUZHENG_FAILPOINT", "D1.before_commit:kill")
    monkeypatch.setenv("HUZHENG_PROFILE", "live")
    reach("D1.after_commit")  # another point
    assert refused(reach, "D1.before_commit") is Reason.FORBIDDEN


def test_a_letter_that_kills_its_worker_over_and_over_is_parked(stage: Stage) -> None:
    scene = stage.scene()

    def poison(letter: Letter) -> Letter:
        if letter.topic is Topic.CONSENT:
            raise RuntimeError("nobody has foreseen this")
        return letter

    stage.rule(poison)
    scene.asked_and_shown()
    scene.agree()
    other = stage.scene("33", "32", "33")
    stage.pump()
    assert other.present().state == "ASKED"
    stage.pass_time(300, step=10)
    (row,) = (each for each in stage.rows("31", inner.outbox) if each.state == "PARKED")
    assert row.error == "RuntimeError"
    assert row.attempts == 12


def test_a_row_whose_workers_died_over_it_is_not_tried_for_ever(stage: Stage) -> None:
    scene = stage.scene()
    stage.rule(lambda letter: os.kill(os.getpid(), signal.SIGKILL) if letter.topic is Topic.ASK else letter)  # type: ignore[func-returns-value]
    scene.present()
    for _ in range(12):
        assert killed(stage, lambda: _pumped(stage))
        stage.clock.advance(LEASE.total_seconds() + 1)
    stage.pump()
    (row,) = (each for each in stage.rows("32", inner.outbox) if '"topic":"ask"' in each.body)
    assert row.state == "PARKED"
    with pytest.raises(Refusal):
        scene.sheet()


def _pumped(stage: Stage) -> None:
    stage.pump()
