"""Problems that officers report: the journal on the kiosk's own machine, its numbers, and the command that reads it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from consent.errors import Reason, Unavailable
from scanner_kiosk import reports
from scanner_kiosk.__main__ import main
from scanner_kiosk.reports import JOURNAL, Cause, Problem, Reports, Where

NOW = datetime(2026, 6, 1, 2, 0, tzinfo=UTC)
PROBLEM = Problem(state="REFUSED", reason="CODE_FORGED", request_id="R" * 22, second_key=None)
WHERE = Where(province="31", window="31-M1", officer="not-verified", version="1", devices={"camera": "ok"})


def file(journal: Reports, now: datetime = NOW) -> str:
    return journal.file(Cause.SLOW, PROBLEM, WHERE, now=now)


def test_numbers_count_the_day_in_shanghai_and_go_on_after_a_restart(tmp_path: Path) -> None:
    assert [file(Reports(tmp_path)) for _ in range(3)] == ["260601-01", "260601-02", "260601-03"]
    assert file(Reports(tmp_path), NOW + timedelta(hours=14)) == "260602-01"  # midnight there
    assert file(Reports(tmp_path)) == "260601-04"


def test_many_officers_windows_at_once_get_a_number_each(tmp_path: Path) -> None:
    journal, numbers = Reports(tmp_path), []
    threads = [Thread(target=lambda: numbers.append(file(journal))) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(numbers)) == len(journal.all()) == 12


def test_a_line_that_a_power_cut_tore_costs_itself_only(tmp_path: Path) -> None:
    journal = Reports(tmp_path)
    file(journal)
    with (tmp_path / JOURNAL).open("ab") as raw:
        raw.write(b'{"number": "260601-02", "ti')
    assert file(journal) == "260601-02"
    for odd in (b"[]\n", b"7\n", b'{"number": 7}\n', b'{"number": "x-y"}\n', b"\xff\n"):
        with (tmp_path / JOURNAL).open("ab") as raw:
            raw.write(odd)
    assert file(journal) == "260601-03"
    assert [each["number"] for each in journal.all()] == ["260601-01", "260601-02", "260601-03"]


def test_a_full_journal_lets_the_oldest_go_and_is_readable_by_its_owner_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reports, "MOST", 3)
    (tmp_path / "reports.new").write_text("of a rewriting that was cut off")
    journal = Reports(tmp_path)
    for _ in range(5):
        file(journal)
    assert [each["number"] for each in journal.all()] == ["260601-03", "260601-04", "260601-05"]
    assert (tmp_path / JOURNAL).stat().st_mode & 0o077 == 0


def test_a_disk_that_does_not_take_it_gives_no_number(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file where the folder should be")
    with pytest.raises(Unavailable) as told:
        file(Reports(tmp_path / "state"))
    assert told.value.reason is Reason.STORE_UNAVAILABLE


def test_the_command_lists_and_exports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HUZHENG_KIOSK_STATE", str(tmp_path))
    monkeypatch.delenv("HUZHENG_PROFILE", raising=False)
    assert main(["reports"]) == 0
    assert capsys.readouterr().out == ""
    file(Reports(tmp_path))
    assert main(["reports"]) == 0
    assert capsys.readouterr().out.split() == [
        *("260601-01", "2026-06-01T02:00:00Z", "31-M1", "not-verified", "slow", "REFUSED", "CODE_FORGED", "R" * 22)
    ]
    assert main(["reports", "--export", str(tmp_path / "out.jsonl")]) == 0
    rows: list[Any] = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert rows == Reports(tmp_path).all()
    assert rows[0]["devices"] == {"camera": "ok"}
    assert main(["reports", "--export", str(tmp_path / "no" / "folder")]) == 2
