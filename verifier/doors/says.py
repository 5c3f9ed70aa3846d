"""Which noes an operation may answer, written beside the operation and shown in the interface's description.

Every reason comes with the problem document that it makes, so that what a builder of kiosks reads in the description
is what the program says. The documents stand under components, once each, and operations point to them. A test asks
every operation for reasons that it does not name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

from flask import Flask

from consent.errors import Reason
from consent.sentences import Audience
from consent.telling import examples_of, responses_of
from verifier.doors.problems import Door, ProblemApi

_VIEW = TypeVar("_VIEW", bound=Callable[..., Any])

PROOF: Final = (
    Reason.DOCUMENT_MALFORMED,
    Reason.DOCUMENT_TOO_LONG,
    Reason.DOCUMENT_WRONG_KIND,
    Reason.DOCUMENT_CLAIMS,
    Reason.DOCUMENT_KEY_UNKNOWN,
    Reason.DOCUMENT_SIGNATURE,
    Reason.DOCUMENT_EXPIRED,
    Reason.DOCUMENT_NOT_YET_VALID,
    Reason.DOCUMENT_REPLAYED,
    Reason.STORE_UNAVAILABLE,
)
"""What any operation that takes a proof, used once, may say to it."""


def says(*reasons: Reason) -> Callable[[_VIEW], _VIEW]:
    """Describe the problems of a view, one response for each status."""
    responses = responses_of(reasons)

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
    for name, example in examples_of(said, Audience.COUNTER).items():
        api.spec.components.example(name, example)
