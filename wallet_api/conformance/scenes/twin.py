"""The typed twin: twelve digits for when no camera can read the screen. The citizen asks for them, and asks again."""

from __future__ import annotations

import re
from typing import Final

from wallet_api.conformance.judging import finding
from wallet_api.conformance.run import Run, must, word

_GROUPS: Final = r"[0-9]{4} [0-9]{4} [0-9]{4}"


def twin(run: Run) -> None:
    """Nothing is made before the citizen asks; each time there is a new number, shown in groups of four."""
    tape = run.province.tape
    mark = tape.here
    showing_id = run.opened(run.first)
    must(run.first.ask("code", form="text"))
    run.state(run.first, showing_id, judged=False)
    early = len(tape.since(mark, "makeTwin"))

    mark = tape.here
    told = [str(must(run.first.ask("twin")).body.get("spaced", "")) for _ in range(2)]
    made = [str(call.told.get("spaced", "")) for call in tape.since(mark, "makeTwin") if call.status == 201]
    if not made and not early:
        return
    run.note(finding("twin-on-demand", not early, early=early))
    grouped = all(re.fullmatch(_GROUPS, each) for each in told)
    run.note(finding("twin-in-groups", grouped, grouped=word(grouped)))
    # An earlier number is dead as soon as there is another, and nobody but wallet_api can tell whether it was used.
    fresh = [_digits(each) for each in told] == [_digits(each) for each in made]
    run.note(finding("twin-not-kept", fresh, asked=len(told), made=len(made)))


def _digits(text: str) -> str:
    return re.sub(r"[^0-9]", "", text)
