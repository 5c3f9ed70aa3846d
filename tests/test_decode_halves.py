"""What the decoder reads of each half of the public photographs: A is tuned on, B is only measured.

The budget is CPU time of the thread, and no gate here is a time. `docs/decoder.md` says what was measured.
"""

from __future__ import annotations

import json

import pytest

from tests.photograph_halves import NEAR_BITS, dealt, groups, kept, split
from tests.test_decode import VECTORS, photographs

READ = {"A": 67, "B": 66}
"""Photographs of each half that must be read in 33 ms; three and one fewer than were measured, for a slow machine."""


def test_near_pictures_and_pictures_of_one_text_stay_together() -> None:
    pictures = {
        "one": (0, frozenset({"a"})),
        "its neighbour": (2**NEAR_BITS - 1, frozenset[str]()),
        "the same text": (2**64 - 1, frozenset({"a"})),
        "far": (2 ** (NEAR_BITS + 20) - 1, frozenset({"b"})),
    }
    grouped = groups(pictures)
    assert sorted(map(sorted, grouped)) == [["far"], ["its neighbour", "one", "the same text"]]
    halves = dealt(grouped)
    assert halves["one"] == halves["its neighbour"] == halves["the same text"] != halves["far"]


@pytest.mark.full
def test_the_photographs_fall_into_the_halves_that_are_kept() -> None:
    if not VECTORS.is_dir():
        pytest.skip("no photographs")
    assert split(VECTORS) == kept()


def test_every_photograph_has_a_half() -> None:
    manifest = VECTORS / "manifest.jsonl"
    if not manifest.exists():
        pytest.skip("no photographs")
    names = [json.loads(line)["file"] for line in manifest.read_text(encoding="utf-8").splitlines()]
    assert sorted(names) == sorted(kept())


@pytest.mark.full
@pytest.mark.parametrize("half", ["A", "B"])
def test_each_half_is_read_as_well_as_it_was(half: str) -> None:
    rows = [row for row in photographs() if kept()[row.file] == half]
    assert sum(bool(row.cascade & row.expected) for row in rows) >= READ[half]
    assert [row.file for row in rows if not row.plain <= row.cascade] == []
    assert [row.file for row in rows if row.cascade - row.expected] == []
