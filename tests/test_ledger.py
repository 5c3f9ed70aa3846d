"""The ledger: whatever is changed in it shows, and where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consent.b64 import from_b64, to_b64
from consent.errors import Reason, Refusal
from consent.ledger import GENESIS, Act, Entry, Head, check, following, merkle_root
from tests.counts import count, is_refused, outcome

NOW = datetime(2026, 3, 2, 1, 2, 3, tzinfo=UTC)


def ledger(length: int) -> list[Entry]:
    """A right ledger."""
    entries: list[Entry] = []
    position, digest = 0, GENESIS
    for number in range(length):
        act = list(Act)[number % len(Act)]
        entry = following(position, digest, act, {"n": number, "为": "事"}, now=NOW + timedelta(seconds=number))
        entries.append(entry)
        position, digest = entry.position, entry.digest
    return entries


def broken_at(entries: Sequence[Entry]) -> int:
    """The position that `check` names."""
    with pytest.raises(Refusal) as no:
        check(entries)
    assert no.value.reason is Reason.STATE_FORBIDS
    words, _, position = no.value.detail.rpartition(" ")
    assert words == "the ledger breaks at position"
    return int(position)


CHANGES = {
    "position": lambda entry: replace(entry, position=entry.position + 1),
    "previous": lambda entry: replace(entry, previous=GENESIS if entry.position > 1 else to_b64(bytes(32))),
    "at": lambda entry: replace(entry, at="2026-03-02T01:02:59Z"),
    "act": lambda entry: replace(entry, act=Act.CHANNEL if entry.act is not Act.CHANNEL else Act.ASKED),
    "body": lambda entry: replace(entry, body=entry.body.replace("事", "事 ")),
    "body's spelling": lambda entry: replace(entry, body=entry.body.replace(":", ": ")),
}


def test_a_right_ledger_holds() -> None:
    entries = ledger(20)
    head = check(entries)
    assert (head.entries, head.last) == (20, entries[-1].digest)
    assert head.root == to_b64(merkle_root([from_b64(entry.digest) for entry in entries]))
    assert [entry.position for entry in entries] == list(range(1, 21))
    assert entries[0].previous == GENESIS
    assert all(later.previous == earlier.digest for earlier, later in pairwise(entries))


def test_an_empty_ledger_has_a_head_of_its_own() -> None:
    assert check([]) == Head(entries=0, last=GENESIS, root=to_b64(sha256(b"").digest()))


@pytest.mark.parametrize("change", CHANGES)
def test_an_edit_is_found_where_it_was_made(change: str) -> None:
    """Place and predecessor break at the entry itself, content at the next one, which still names the old content."""
    entries, head = ledger(12), check(ledger(12))
    for index, entry in enumerate(entries):
        edited = [*entries[:index], CHANGES[change](entry), *entries[index + 1 :]]
        assert edited != entries
        if change in {"position", "previous"}:
            assert broken_at(edited) == index + 1
        elif index + 1 < len(entries):
            assert broken_at(edited) == index + 2
        else:
            # Nothing names the last entry yet; its head does, and that is why heads are kept elsewhere.
            assert check(edited).last != head.last
            assert check(edited).root != head.root


def test_a_deletion_is_found_where_it_was_made() -> None:
    entries, head = ledger(12), check(ledger(12))
    for index in range(len(entries) - 1):
        assert broken_at(entries[:index] + entries[index + 1 :]) == index + 1
    for kept in range(len(entries)):  # a cut tail is a shorter ledger that holds; its head is another
        shorter = check(entries[:kept])
        assert shorter.entries == kept < head.entries
        assert shorter.root != head.root


def test_an_insertion_is_found_where_it_was_made() -> None:
    entries = ledger(12)
    for index in range(len(entries)):
        position, digest = (entries[index - 1].position, entries[index - 1].digest) if index else (0, GENESIS)
        forged = following(position, digest, Act.REFUSED, {"n": -1}, now=NOW)
        # A forger links the new entry as well as anybody; the one after it gives it away.
        assert broken_at([*entries[:index], forged, *entries[index:]]) == index + 2
        moved = [replace(entry, position=entry.position + 1) for entry in entries[index:]]
        assert broken_at([*entries[:index], forged, *moved]) == index + 2


def test_a_reordering_is_found_where_it_was_made() -> None:
    entries = ledger(8)
    for one in range(len(entries)):
        for other in range(one + 1, len(entries)):
            swapped = list(entries)
            swapped[one], swapped[other] = entries[other], entries[one]
            assert broken_at(swapped) == one + 1
            renumbered = [replace(entry, position=place) for place, entry in enumerate(swapped, start=1)]
            assert broken_at(renumbered) == one + 1


def test_a_repetition_is_found_where_it_was_made() -> None:
    entries = ledger(6)
    for index, entry in enumerate(entries):
        assert broken_at([*entries[: index + 1], entry, *entries[index + 1 :]]) == index + 2


@settings(max_examples=count(500, 50), deadline=None)
@given(st.integers(2, 30), st.data())
def test_whatever_is_done_to_a_ledger_shows(length: int, data: st.DataObject) -> None:
    entries = ledger(length)
    order = data.draw(st.lists(st.integers(0, length - 1), max_size=length + 2))
    changed = [entries[index] for index in order]
    found = outcome(check, changed)
    if changed == entries[: len(changed)]:
        assert found.entries == len(changed)
    else:
        assert found is Reason.STATE_FORBIDS


@settings(max_examples=count(500, 50), deadline=None)
@given(
    st.lists(
        st.builds(
            Entry,
            position=st.integers(-1, 5),
            previous=st.just(GENESIS) | st.text(max_size=3),
            at=st.text(max_size=3),
            act=st.sampled_from(Act),
            body=st.text(max_size=9),
        ),
        max_size=4,
    )
)
def test_any_rows_are_a_ledger_or_are_refused(entries: list[Entry]) -> None:
    found = outcome(check, entries)
    assert is_refused(found) or found.entries == len(entries)


def test_no_two_entries_have_the_same_bytes() -> None:
    """The parts are framed: moving a character from one to the next makes another line."""
    entry = Entry(position=1, previous="a", at="b", act=Act.ASKED, body="c")
    others = [
        replace(entry, previous="ab", at=""),
        replace(entry, at="bc", body=""),
        replace(entry, position=11),
        replace(entry, body='c"'),
        replace(entry, body="c\n"),
    ]
    assert len({each.digest for each in (entry, *others)}) == 1 + len(others)


def test_a_body_has_one_spelling_whatever_its_order() -> None:
    one = following(0, GENESIS, Act.ASKED, {"a": 1, "b": 2}, now=NOW)
    other = following(0, GENESIS, Act.ASKED, {"b": 2, "a": 1}, now=NOW)
    assert one == other
    assert one.at == "2026-03-02T01:02:03Z"


# Merkle heads ---------------------------------------------------------------------------------------------


def reference_root(leaves: Sequence[bytes]) -> bytes:
    """RFC 6962 §2.1 as its text has it, level by level: pairs are joined, an odd last one goes up as it is."""
    if not leaves:
        return sha256(b"").digest()
    level = list(leaves)
    while len(level) > 1:
        joined = [sha256(b"\x01" + left + right).digest() for left, right in zip(level[::2], level[1::2], strict=False)]
        level = joined + level[len(level) - len(level) % 2 :]
    return level[0]


@pytest.mark.parametrize("size", range(65))
def test_the_root_is_that_of_the_standard(size: int) -> None:
    leaves = [sha256(b"\x00" + bytes([number])).digest() for number in range(size)]
    assert merkle_root(leaves) == reference_root(leaves)


def test_the_root_equals_the_published_ones() -> None:
    """The test tree of Certificate Transparency's own implementation: eight leaves, by their data."""
    data = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
    leaves = [sha256(b"\x00" + bytes.fromhex(each)).digest() for each in data]
    assert merkle_root(leaves[:1]).hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    assert merkle_root(leaves).hex() == "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 13, 64])
def test_every_leaf_counts_at_its_place(size: int) -> None:
    leaves = [sha256(bytes([number])).digest() for number in range(size)]
    root = merkle_root(leaves)
    for index in range(size):
        assert merkle_root([*leaves[:index], bytes(32), *leaves[index + 1 :]]) != root
    assert merkle_root([*leaves, leaves[-1]]) != root
    assert size == 1 or merkle_root(leaves[::-1]) != root
