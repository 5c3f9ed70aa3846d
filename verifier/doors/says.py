"""Which noes an operation may answer, written beside the operation and shown in the interface's description.

Every reason comes with the problem document that it makes, so that what a builder of kiosks reads in the description
is what the program says. The documents stand under components, once each, and operations point to them. A test asks
every operation for reasons that it does not name.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any, TypeVar

from flask import Flask

from consent.errors import UNAVAILABLE, Reason, Refusal, Unavailable, row
from consent.sentences import Audience
from consent.telling import PROBLEM_TYPE, problem_of
from verifier.doors.problems import Door, ProblemApi

_VIEW = TypeVar("_VIEW", bound=Callable[..., Any])


def says(*reasons: Reason) -> Callable[[_VIEW], _VIEW]:
    """Describe the problems of a view, one response for each status."""
    by_status: dict[int, list[Reason]] = defaultdict(list)
    for reason in dict.fromkeys(reasons):
        by_status[row(reason).http].append(reason)
    responses = {
        status: {
            "description": ", ".join(found),
            "content": {
                PROBLEM_TYPE: {
                    "schema": {"$ref": "#/components/schemas/Problem"},
                    "examples": {reason.value: {"$ref": f"#/components/examples/{reason}"} for reason in found},
                }
            },
        }
        for status, found in sorted(by_status.items())
    }

    def decorate(view: _VIEW) -> _VIEW:
        described = Door.doc(responses=responses)(view)
        described.reasons = frozenset(reasons)  # type: ignore[attr-defined]
        return described

    return decorate


def show_examples(api: ProblemApi, app: Flask) -> None:
    """Put the problem document of every reason that some operation of `app` says into the description, once."""
    said: set[Reason] = set()
    for view in app.view_functions.values():
        said |= getattr(view, "reasons", frozenset())
    for reason in sorted(said):
        api.spec.components.example(reason.value, {"value": _example(reason)})


def _example(reason: Reason) -> dict[str, Any]:
    failure = Unavailable(reason) if reason in UNAVAILABLE else Refusal(reason)
    return dict(problem_of(failure, audience=Audience.COUNTER, request_id="9xK2mVb7Qw3nRt5yLp0aZg").body)
