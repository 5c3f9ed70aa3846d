"""t"""
from __future__ import annotations
from tests.country import Stage
import time
def test_a_visit_passes(stage: Stage) -> None:
    t=time.time()
    s = stage.scene()
    v = s.whole()
    assert v.state == "PASSED", v
    stage.books()
    print(time.time()-t)
def test_a_slow(stage: Stage) -> None:
    t=time.time()
    s = stage.scene()
    s.asked_and_shown()
    stage.pass_time(60)
    s.agree()
    v = s.finish()
    assert v.state == "PASSED", v
    stage.books()
    print(time.time()-t)
