"""One of several processes that run for the same showing: its own connections, the same databases.

    python -m tests.racing PLAN.json

The plan names the environments of two provinces, the code and how many presentations to make of it. Every presentation
goes through the real desk; its letter is then brought to the real mailbox of the code's province. "ready" is said on
standard output when all requests are sealed, and nothing moves before a line comes on standard input, so that all
processes run at once. The last line is the list of request ids as JSON.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy import select

from consent.b64 import digest_of, new_id
from consent.clock import MovableClock
from consent.envelope import close_envelope
from consent.errors import Unavailable
from consent.stores.base import reading
from consent.stores.signals import Signals
from consent.telling import new_log
from consent.transport import Letter, letter_from
from verifier.desk import Presentation
from verifier.province import Province, open_province
from verifier.settings import read_settings
from verifier.stores import inner

AT_ONCE: Final = 4
TRIES: Final = 20


class NoWay:
    """Letters are carried by hand here."""

    def send(self, letter: Letter) -> None:
        """Never called: no worker runs in this process."""
        raise AssertionError("a worker at work")


def opened(environment: dict[str, str], clock: MovableClock) -> Province:
    """A province of the plan."""
    signals = Signals(environment["HUZHENG_REDIS_URL"] or None)
    log = new_log("racing", clock, level="error")
    return open_province(read_settings(environment), clock=clock, transport=NoWay(), signals=signals, log=log)


def presentation(plan: dict[str, Any], desk: Province) -> Presentation:
    """One more presentation of the same code, under an id of its own."""
    request_id = new_id()
    number = json.dumps({"id": plan["number"]}).encode()
    match = close_envelope(desk.office.keylist.recipient(desk.office.province), number, info=request_id)
    body = Presentation(
        request_id=request_id,
        code=plan["code"],
        matter=plan["matter"],
        case_number="1",
        type=plan["type"],
        cause="race",
        match=match,
        preconditions=(),
        digest="",
    )
    return replace(body, digest=digest_of(request_id.encode()))


def letters_of(desk: Province, ids: list[str]) -> list[Letter]:
    """The letters that these presentations put into the desk's outbox."""
    with reading(desk.office.inner) as conn:
        rows = conn.execute(select(inner.outbox.c.body)).scalars().all()
    letters = [letter_from(body.encode()) for body in rows]
    return [letter for letter in letters if letter.request_id in ids]


def answered(call: Callable[[], object]) -> None:
    """Repeat a call that nobody answered, as kiosks and senders do: a lock not had in time is no answer."""
    for left in reversed(range(TRIES)):
        try:
            call()
        except Unavailable:
            if not left:
                raise
        else:
            return


def main() -> None:
    """Run."""
    plan = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    clock = MovableClock(datetime.fromisoformat(plan["now"]))
    desk, home = (opened(plan["environments"][code], clock) for code in (plan["desk"], plan["home"]))
    now = clock.now()
    asked = [presentation(plan, desk) for _ in range(plan["presentations"])]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda each: answered(lambda: desk.desk.present(plan["window"], each, now=now)), asked))
        ids = [each.request_id for each in asked]
        letters = letters_of(desk, ids)
        print("ready", flush=True)
        sys.stdin.readline()
        list(pool.map(lambda letter: answered(lambda: home.peers.receive(letter, now=now)), letters))
    print(json.dumps(ids), flush=True)


if __name__ == "__main__":
    main()
