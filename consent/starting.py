"""How a process of ours starts: settings out of the environment, and an exit status for whoever started it.

Each room has its own settings, one frozen dataclass, and its own rules for them. How they are named and read is the same
everywhere, and stands here:

 1. a setting is named after its field, behind the room's own beginning; the few that all rooms of a province share have no
    room in their name
 2. a name with the room's beginning that is no setting stops the start and names its nearest neighbour: a setting with a
    typing error would otherwise be a setting that silently does not hold
 3. what is wrong is said as a ValueError, which names the setting and never its value
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from difflib import get_close_matches
from typing import Any, TypeVar

from consent.errors import Refusal, Unavailable

T = TypeVar("T")


def settings_in(
    environment: Mapping[str, str], kind: type[Any], *, own: str, shared: Mapping[str, str]
) -> dict[str, Any]:
    """What an environment says about the fields of `kind`, texts and whole numbers, by field; the rules above.

    `own` is how the room's names begin, `shared` the whole names of those fields that are named otherwise.
    """
    names = {field.name: shared.get(field.name, own + field.name.upper()) for field in fields(kind)}
    for name in environment:
        if name.startswith(own) and name not in names.values():
            near = get_close_matches(name, names.values(), n=1, cutoff=0)[0]
            raise ValueError(f"{name} is no setting; did you mean {near}?")
    given: dict[str, Any] = {field: environment[name] for field, name in names.items() if name in environment}
    for field in fields(kind):
        if field.type == "int" and field.name in given:
            try:
                given[field.name] = int(given[field.name])
            except ValueError as problem:
                raise ValueError(f"{names[field.name]} is no whole number") from problem
    return given


def filled(settings: T, province: str) -> T:
    """The settings with `{province}` replaced by a province's code in every text."""
    known: Any = settings
    values = {field.name: getattr(known, field.name) for field in fields(known)}
    texts = {name: text.replace("{province}", province) for name, text in values.items() if isinstance(text, str)}
    made: T = replace(known, **texts)
    return made


def pairs(text: str) -> dict[str, str]:
    """`a=b,c=d` as a mapping; ValueError where a part has no equals sign."""
    found = {}
    for part in filter(None, text.split(",")):
        name, equals, value = part.partition("=")
        if not equals or not value:
            raise ValueError("expected name=value, separated by commas")
        found[name] = value
    return found


def exit_status(program: str, run: Callable[[], int | None]) -> int:
    """What `run` returns, or 0. 1 for a no, 2 for a wrong command line or setting, with the reason on standard error."""
    try:
        return run() or 0
    except ValueError as problem:
        print(f"{program}: {problem}", file=sys.stderr)
        return 2
    except (Refusal, Unavailable) as problem:
        print(f"{program}: {problem.reason}: {problem.detail}", file=sys.stderr)
        return 1
