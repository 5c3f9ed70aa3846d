"""Counting CPU time: of one call, of one function wherever it is called, of the whole process."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from statistics import median
from typing import Any


def cpu_us(call: Callable[[], object], *, times: int) -> float:
    """The median CPU microseconds of one call on this thread, after one call to warm up."""
    call()
    taken = []
    for _ in range(times):
        began = time.thread_time_ns()
        call()
        taken.append(time.thread_time_ns() - began)
    return median(taken) / 1000


class Meter:
    """CPU microseconds spent inside chosen methods, whoever calls them."""

    def __init__(self) -> None:
        self._taken: dict[str, list[int]] = defaultdict(list)

    @contextmanager
    def around(self, owner: type[Any], method: str, name: str) -> Iterator[None]:
        """Measure a method of a class for as long as the block lasts."""
        original = getattr(owner, method)

        @wraps(original)
        def measured(*args: Any, **kwargs: Any) -> Any:
            began = time.thread_time_ns()
            try:
                return original(*args, **kwargs)
            finally:
                self._taken[name].append(time.thread_time_ns() - began)

        setattr(owner, method, measured)
        try:
            yield
        finally:
            setattr(owner, method, original)

    def medians(self) -> dict[str, float]:
        """The median of each name, in microseconds."""
        return {name: median(taken) / 1000 for name, taken in self._taken.items()}
