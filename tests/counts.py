"""How often, and how it ended: what every property test here needs.

Every number that `./dev test --full` raises is said through `count`, with both its values.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

from consent.errors import Reason, Refusal

T = TypeVar("T")
FULL = bool(os.environ.get("HUZHENG_FULL"))


def count(full: T, quick: T) -> T:
    """`full` under HUZHENG_FULL=1, `quick` otherwise."""
    return full if FULL else quick


def outcome(call: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """What a call returns, or the Reason for which it refuses; any other exception is a failure of the test."""
    try:
        return call(*arguments, **named)
    except Refusal as no:
        return no.reason


def is_refused(found: Any) -> bool:
    """Whether that was a refusal."""
    return isinstance(found, Reason)
