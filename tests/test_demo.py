"""The demo as somebody would run it, and what it leaves behind."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from consent.errors import Reason
from consent.provinces import provinces
from scanner_kiosk.country import open_country
from scanner_kiosk.country.people import pair, personas
from scanner_kiosk.country.refused import SCENARIOS, expectations
from scanner_kiosk.demo import Report, walk_all
from tests.counts import FULL


@pytest.mark.full
@pytest.mark.skipif(not FULL, reason="the whole demo belongs to the full run")
def test_the_demo_walks_all_triples_and_all_refusals(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "scanner_kiosk", "demo", "--json"], cwd=tmp_path, capture_output=True, timeout=280
    )
    report = json.loads(ran.stdout)
    assert ran.returncode == 0, [row for row in (*report["triples"], *report["refusals"]) if not row["ok"]]
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


def test_every_refusal_of_the_file_has_a_scenario_and_a_reason_that_exists() -> None:
    slugs = [row["slug"] for row in expectations()]
    assert slugs == list(SCENARIOS)
    assert all(row["reason"] is None or row["reason"] in Reason.__members__ for row in expectations())


def test_there_is_a_persona_for_every_pair_of_app_and_library() -> None:
    codes = ("31", "32", "33", "34")
    found = {(app, library): pair(app, library).id for app in codes for library in codes}
    assert len(set(found.values())) == 16
    assert len({each.id_number for each in personas()}) == len(personas())
