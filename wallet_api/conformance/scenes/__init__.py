"""What is played: one scene after the other, each with showings of its own, so that one that stops leaves the others whole.

 1. show      a showing, its code as text and as a picture, and the next code
 2. agree     a counter asks; a stranger's signature is refused; agreement, consent, withdrawal
 3. hooks     webhooks: genuine, forged, old, twice, out of order, under two secrets
 4. decline   a counter asks; the citizen says no
 5. receive   agreement, delivery, receipt
 6. end       a showing that expired beside one whose certificate is void
 7. poll      an eager phone
 8. grow      answers with members that nobody knows yet
 9. fail      503, a line that breaks, 409 while the first try is answered, a slow answer, 429, and silence
10. tokens    dead tokens, short tokens, a lost token, a vendor that is shut out
11. apart     two citizens at once
12. twin      a number for the counter to type, twice
13. history   who saw the certificates of one citizen, and of the other
14. express   agreeing before the scan, taking it back, and its end
15. clock     wallet_api's clock is ahead of the machine's

A scene stops where the back end gives no usable answer; what it would have shown is then "not run".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from wallet_api.conformance.province import OutOfStep
from wallet_api.conformance.run import Run, Stop, Stopped
from wallet_api.conformance.scenes import express, history, hooks, line, twin, visits

SCENES: Final[dict[str, Callable[[Run], None]]] = {
    "show": visits.show,
    "agree": visits.agree,
    "hooks": hooks.hooks,
    "decline": visits.decline,
    "receive": visits.receive,
    "end": visits.end,
    "poll": line.poll,
    "grow": line.grow,
    "fail": line.fail,
    "tokens": line.tokens,
    "apart": visits.apart,
    "twin": twin.twin,
    "history": history.history,
    "express": express.express,
    "clock": line.clock,
}


def play(run: Run, say: Callable[[int, int, str], None]) -> None:
    """All scenes, and then what is judged over the whole."""
    for n, (name, scene) in enumerate(SCENES.items(), start=1):
        say(n, len(SCENES), name)
        try:
            scene(run)
        except Stopped as stopped:
            run.stops.append(Stop(scene=name, verb=stopped.heard.verb, status=stopped.heard.status))
        except OutOfStep:
            last = run.back_end.heard[-1]
            run.stops.append(Stop(scene=name, verb=last.verb, status=last.status))
        finally:
            run.province.tap.clear()
    run.judge_whole()
