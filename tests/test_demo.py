"""The demo as somebody would run it, and what it leaves behind."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from consent.counter_strings import drawn_by
from consent.errors import Reason, Unavailable
from consent.provinces import provinces
from scanner_kiosk.country import open_country
from scanner_kiosk.country.people import pair, personas
from scanner_kiosk.country.refused import SCENARIOS, expectations
from scanner_kiosk.country.walk import scan
from scanner_kiosk.demo import Report, walk_all, walk_own_codes
from tests.counts import FULL
from wallet_api.picture import png


@pytest.mark.full
@pytest.mark.skipif(not FULL, reason="the whole demo belongs to the full run")
def test_the_demo_walks_all_triples_and_all_refusals(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "scanner_kiosk", "demo", "--json"], cwd=tmp_path, capture_output=True, timeout=280
    )
    report = json.loads(ran.stdout)
    rows = (*report["triples"], *report["own_codes"], *report["refusals"])
    assert ran.returncode == 0, [row for row in rows if not row["ok"]]
    assert report["passed"] is True
    assert len({(row["app"], row["desk"], row["library"]) for row in report["triples"]}) == 64
    assert all(row["frames"] >= 1 and len(row["text_sha256"]) == 43 for row in report["triples"])
    assert all(set(row["receipts"]) == {"citizen", "unit", "library"} for row in report["triples"])
    # Before Redis is killed wake-ups come by Redis, after it by polling.
    assert report["wakeups"]["redis"] > 0
    assert report["wakeups"]["polling"] > 0
    left = {path.name for path in (tmp_path / "var" / "demo").iterdir()}
    assert {"phone.png", "frame.png", "walkthrough.html"} <= left


@pytest.mark.full
@pytest.mark.skipif(not FULL, reason="64 visits belong to the full run")
def test_a_library_that_loses_its_database_breaks_its_own_sixteen_visits_and_no_other(tmp_path: Path) -> None:
    report = Report(quiet=True)
    with open_country(tmp_path) as country:
        for file in tmp_path.rglob("library-33.db*"):
            file.unlink()
        walk_all(country, report)
    broken = {(row["app"], row["desk"], row["library"]) for row in report.triples if not row["ok"]}
    assert len(report.triples) == 64
    assert broken == {(app, desk, "33") for app in provinces() for desk in provinces()}


def test_each_app_is_walked_by_its_own_code_and_one_that_is_silent_fails_the_demo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(*_: object) -> str:
        raise Unavailable(Reason.APP_UNREACHABLE, detail="it draws nothing")

    whole, broken = Report(quiet=True), Report(quiet=True)
    with open_country(tmp_path, with_redis=False) as country:
        walk_own_codes(country, whole)
        monkeypatch.setattr(type(country.simulators["33"]), "hold_up", silent)
        walk_own_codes(country, broken)
    assert whole.wrong == []
    assert [row["drawn_by"] for row in whole.own_codes] == list(provinces())
    assert all(len({row["app"], row["desk"], row["library"]}) == 3 for row in whole.own_codes)
    assert [(row["app"], row["outcome"]) for row in broken.wrong] == [("33", "Unavailable")]
    done = [{"ok": True}]
    for own, verdict in ((whole.own_codes, True), (broken.own_codes, False), (whole.own_codes[1:], False)):
        report = Report(quiet=True, triples=done * 64, own_codes=own, refusals=done * len(expectations()))
        assert report.passed is verdict


def test_a_text_that_must_be_seen_twice_takes_one_frame_more() -> None:
    text = "SFM" + "0A" * 16
    once, twice = (
        scan(lambda: png(text), seed=7, accept=lambda found: drawn_by(found) == "32", sightings=n) for n in (1, 2)
    )
    assert (once.text, twice.text) == (text, text)
    assert twice.frames > once.frames
    with pytest.raises(TimeoutError):
        scan(lambda: png(text), seed=7)  # none of our codes


def test_every_refusal_of_the_file_has_a_scenario_and_a_reason_that_exists() -> None:
    slugs = [row["slug"] for row in expectations()]
    assert slugs == list(SCENARIOS)
    assert all(row["reason"] is None or row["reason"] in Reason.__members__ for row in expectations())


def test_there_is_a_persona_for_every_pair_of_app_and_library() -> None:
    codes = ("31", "32", "33", "34")
    found = {(app, library): pair(app, library).id for app in codes for library in codes}
    assert len(set(found.values())) == 16
    assert len({each.id_number for each in personas()}) == len(personas())
