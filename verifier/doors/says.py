"""Which noes an operation may answer, written beside the operation and shown in the interface's description.

Every reason comes with the problem document that it makes, so that what a builder of kiosks reads in the description is
what the program says. A test asks every operation for reasons that it does not name.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any, TypeVar

from consent.errors import UNAVAILABLE, Reason, Refusal, Unavailable, row
from consent.sentences import Audience
from consent.telling import PROBLEM_TYPE, problem_of
from verifier.doors.problems import Door, ProblemSchema

_VIEW = TypeVar("_VIEW", bound=Callable[..., Any])


def says(door: Door, *reasons: Reason) -> Callable[[_VIEW], _VIEW]:
    """Describe the problems of a view, one response for each status."""

    def decorate(view: _VIEW) -> _VIEW:
        by_status: dict[int, list[Reason]] = defaultdict(list)
        for reason in dict.fromkeys(reasons):
            by_status[row(reason).http].append(reason)
        for status, found in sorted(by_status.items()):
            view = door.alt_response(
                status,
                schema=ProblemSchema,
                content_type=PROBLEM_TYPE,
                description=", ".join(found),
                examples={reason.value: {"value": _example(reason)} for reason in found},
            )(view)
        view.reasons = frozenset(reasons)  # type: ignore[attr-defined]
        return view

    return decorate


def _example(reason: Reason) -> dict[str, Any]:
    failure = Unavailable(reason) if reason in UNAVAILABLE else Refusal(reason)
    return dict(problem_of(failure, audience=Audience.COUNTER, request_id="9xK2mVb7Qw3nRt5yLp0aZg").body)
