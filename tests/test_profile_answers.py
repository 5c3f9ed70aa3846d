"""What adapters make of their servers' answers, recorded ones and broken ones; and that the core knows no app."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from consent.errors import Reason, Refusal, Unavailable
from consent.provinces import province, provinces
from wallet_api.profiles import sufuban, suishenban, wanshitong, zheliban
from wallet_api.profiles.port import Answer, Read
from wallet_api.profiles.simulators import SIMULATORS
from wallet_api.profiles.simulators.recorded import Recorded, all_recorded

CODES = tuple(provinces())
READS: Mapping[str, Mapping[str, Read]] = {each.APP: each.READS for each in (suishenban, sufuban, zheliban, wanshitong)}
SHOWING = "6f1b0a9c3d5e7f8091a2b3c4"
BLANKS = {
    "token": "t0ken",
    "extra": "e1",
    "showing": SHOWING,
    "holder": "a.b.c",
    "item": "结婚证",
    "masked_name": "张*",
    "masked_number": "310199********0017",
}
RECORDED = tuple(all_recorded())


def _means(recorded: Recorded, body: bytes) -> str:
    try:
        READS[recorded.app][recorded.call](Answer(status=recorded.status, body=body))
    except Refusal as no:
        return str(no.reason)
    except Unavailable as silent:
        return "silence" if silent.reason is Reason.APP_UNREACHABLE else str(silent.reason)
    return "yes"


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda each: f"{each.app}-{each.name}")
def test_every_recorded_answer_means_what_it_says(recorded: Recorded) -> None:
    assert recorded.about.startswith("Invented.")
    assert _means(recorded, json.dumps(recorded.filled(**BLANKS)).encode()) == recorded.means


def test_there_is_a_recorded_answer_for_every_reading_of_every_adapter() -> None:
    assert {each.app for each in RECORDED} == {province(code).app_id for code in CODES} == set(SIMULATORS)
    for app, reads in READS.items():
        assert {each.call for each in RECORDED if each.app == app and each.means == "yes"} == set(reads)
        said = {each.means for each in RECORDED if each.app == app}
        assert {"CODE_ALREADY_USED", "CODE_EXPIRED", "INVALID_GRANT"} <= said


def _leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(leaf for name, each in inside for leaf in _leaves(each, (*path, name)))]


def _put(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    changed = dict(value) if isinstance(value, dict) else list(value)
    changed[path[0]] = _put(value[path[0]], path[1:], new)
    return changed


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda each: f"{each.app}-{each.name}")
def test_an_answer_of_another_shape_is_no_answer_or_a_no_and_never_a_fault(recorded: Recorded) -> None:
    whole = recorded.filled(**BLANKS)
    for path in _leaves(whole):
        for new in (None, 7, True, "", "x" * 5000, [], {}, {"data": []}, 1.5):
            body = json.dumps(_put(whole, path, new)).encode()
            assert _means(recorded, body) in {"yes", "silence", *Reason}
    for body in (b"", b"{", b"[]", b"\xff", b"<html>", b"null", b'{"a":1,"a":2}', b'{"a":' * 50, b" " * 70_000):
        assert _means(recorded, body) == "silence"


def test_no_name_and_no_number_that_an_app_sends_along_leaves_its_adapter() -> None:
    for recorded in RECORDED:
        body = json.dumps(recorded.filled(**BLANKS)).encode()
        found = outcome_or_silence(READS[recorded.app][recorded.call], Answer(status=recorded.status, body=body))
        assert "310199" not in found
        assert "320199" not in found
        assert "*" not in found


def outcome_or_silence(call: Callable[[Answer], str], answer: Answer) -> str:
    try:
        return call(answer)
    except (Refusal, Unavailable) as no:
        return f"{no.reason} {no.detail} {dict(no.facts)}"


# The core knows none of this --------------------------------------------------------------------------------

ROOT = Path(__file__).resolve().parent.parent
# Who puts processes together: the country in one process, its plan, the command line. Nobody else plugs a profile in.
PLUGS = {"scanner_kiosk.country", "scanner_kiosk.country.plan", "wallet_api.__main__"}
NAMES = re.compile("|".join(each for one in provinces().values() for each in (one.app_id, one.app_name_zh)), re.I)


@cache
def _sources() -> Mapping[str, ast.Module]:
    found = {}
    for room in ("consent", "verifier", "wallet_api", "scanner_kiosk"):
        for path in sorted((ROOT / room).rglob("*.py")):
            text = path.read_text(encoding="utf-8")
            if "profiles" in text or NAMES.search(text) is not None:  # the others need no closer look
                name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
                found[name] = ast.parse(text)
    return found


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{each.name}" for each in node.names)


def test_nobody_but_the_country_imports_a_profile() -> None:
    found = {
        name
        for name, tree in _sources().items()
        if any(each.startswith("wallet_api.profiles") for each in _imported(tree))
    }
    assert {name for name in found if not name.startswith("wallet_api.profiles")} == PLUGS


def test_no_code_of_consent_and_verifier_names_an_app() -> None:
    for name, tree in _sources().items():
        if not name.startswith(("consent", "verifier")):
            continue
        prose = {
            id(node.body[0].value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and node.body
            if isinstance(node.body[0], ast.Expr)
        }
        for node in ast.walk(tree):
            text = node.id if isinstance(node, ast.Name) else getattr(node, "value", None)
            if isinstance(text, str) and id(node) not in prose:
                assert NAMES.search(text) is None, (name, text)
