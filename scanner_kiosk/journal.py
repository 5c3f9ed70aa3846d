"""A journal on this machine: one JSON object a line, on the disk before anybody is told that it is there.

A line that a power cut tore is left out when the journal is read, and the next one begins on a line of its own. A full journal
is written anew without its oldest lines, beside the old one and then in its place: at every instant one whole journal is there.
Whoever uses a journal sees to it that one thread writes at a time.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


class Journal:
    """The journal at `path`, readable by its owner only."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def all(self) -> list[dict[str, Any]]:
        """Every whole line that is an object, the oldest first; none where there is no journal yet."""
        try:
            lines = self._path.read_bytes().splitlines()
        except FileNotFoundError:
            return []
        return [found for found in map(_object, lines) if found is not None]

    def add(self, before: Sequence[Mapping[str, Any]], line: Mapping[str, Any], *, most: int) -> None:
        """One line more after those of `before`, of which the oldest give way beyond `most`. OSError where the disk says no."""
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if len(before) < most:
            _append(self._path, [line])
            return
        fresh = self._path.with_suffix(".new")
        fresh.unlink(missing_ok=True)  # of a rewriting that a power cut ended
        _append(fresh, [*before[len(before) - most + 1 :], line])
        fresh.replace(self._path)


def line_of(found: Mapping[str, Any]) -> str:
    """An object as it stands in a journal and in an export."""
    return json.dumps(found, ensure_ascii=False) + "\n"


def _append(path: Path, lines: Sequence[Mapping[str, Any]]) -> None:
    with open(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600), "r+b") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(size - 1, 0))
        torn = file.read(1) not in (b"", b"\n")
        file.write(b"\n" * torn + "".join(map(line_of, lines)).encode())
        file.flush()
        os.fsync(file.fileno())  # what somebody was told is there must be found tomorrow


def _object(line: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
