"""An application under whatever its own description allows, by a caller who may do all of it.

Each case that schemathesis draws is sent three times, and each answer is held against the description:
 1. as it was drawn
 2. again, as a sender does who heard nothing
 3. with what is alive in place of what was drawn: real ids, documents that are sealed by the right key. No generator can
    draw these, and behind them lies most of the program

Drawing a case costs more than sending it, so that three calls cost little more than one. CALLS says how many are made at
least, by which test; together they are 20,000.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import hypothesis
import schemathesis
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from tests.counts import count

CALLS: Final = {
    ("wallet_api", GenerationMode.POSITIVE): count(9_900, 80),
    ("wallet_api", GenerationMode.NEGATIVE): count(3_500, 28),
    ("counters", GenerationMode.POSITIVE): count(3_500, 28),
    ("counters", GenerationMode.NEGATIVE): count(1_700, 14),
    ("peers", GenerationMode.POSITIVE): count(700, 6),
    ("peers", GenerationMode.NEGATIVE): count(700, 6),
}
EXAMPLES: Final = count(124, 1)  # cases for each operation

Change = Callable[[Any], None]


@dataclass(slots=True)
class Tally:
    """What came of it: calls in all, and answers 2xx by "METHOD /path/{name}"."""

    calls: int = 0
    answered: Counter[str] = field(default_factory=Counter)


def hold_to_its_description(
    app: Any,
    mode: GenerationMode,
    *,
    below: str = "/",
    credentials: Change = lambda case: None,
    alive: Change = lambda case: None,
) -> Tally:
    """Fuzz all operations below a path. `credentials` adds what every call needs; `alive` replaces what it knows."""
    schema = schemathesis.openapi.from_wsgi("/openapi.json", app)
    # What fails is said with its bytes; looking for a smaller case, or keeping it, is not worth the time of every run.
    settings = hypothesis.settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    tally = Tally()

    def send(case: Any, *lenient: Any) -> None:
        credentials(case)
        answer = case.call()
        tally.calls += 1
        if answer.status_code < 300:
            tally.answered[case.operation.label] += 1
        # A schema cannot say that a text must be somebody's sealed document, or a code that is alive; and 413 is a no as well.
        too_long = [negative_data_rejection] * (answer.status_code == 413)
        case.validate_response(answer, excluded_checks=[positive_data_acceptance, *lenient, *too_long])

    def ask(case: Any) -> None:
        send(case)
        send(case)
        alive(case)
        send(case, negative_data_rejection)  # it may be right by now

    for found in schema.get_all_operations():
        operation = found.ok()
        # Without a body hardly anything can be sent wrong.
        if operation.path.startswith(below) and (mode is GenerationMode.POSITIVE or operation.body):
            settings(hypothesis.given(case=operation.as_strategy(generation_mode=mode))(ask))()
    return tally
