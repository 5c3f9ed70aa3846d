"""The recorded answers: one JSON file for each, below fixtures/<app>/. All are invented.

    {"about": where its shape comes from, "call": which reading of the adapter it is for, "status": HTTP status,
     "body": the answer, "means": what the adapter makes of it}

A text `$name` in the body is a blank that a simulator fills. `means` is "yes", a Reason, or "silence", and a test holds the
adapters to it; so what simulators say and what adapters read cannot drift apart.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """One recorded answer of one app."""

    app: str
    name: str
    about: str
    call: str
    status: int
    body: Any
    means: str

    def filled(self, **blanks: str) -> Any:
        """The body with its blanks filled; KeyError for one that nobody filled."""
        return _filled(self.body, blanks)


@cache
def recorded(app: str, name: str) -> Recorded:
    """One of them; FileNotFoundError where there is none."""
    path = files("wallet_api.profiles").joinpath("fixtures", app, f"{name}.json")
    return Recorded(app=app, name=name, **json.loads(path.read_text(encoding="utf-8")))


def all_recorded() -> Iterator[Recorded]:
    """Every file that is there."""
    for folder in sorted(files("wallet_api.profiles").joinpath("fixtures").iterdir(), key=lambda each: each.name):
        if folder.is_dir():
            for path in sorted(folder.iterdir(), key=lambda each: each.name):
                yield recorded(folder.name, path.name.removesuffix(".json"))


def _filled(value: Any, blanks: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {name: _filled(each, blanks) for name, each in value.items()}
    if isinstance(value, list):
        return [_filled(each, blanks) for each in value]
    if isinstance(value, str) and value.startswith("$"):
        return blanks[value[1:]]
    return value
