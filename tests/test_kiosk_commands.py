"""scanner-kiosk on the command line, and what its doctor says."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from scanner_kiosk import doctor
from scanner_kiosk.__main__ import main
from scanner_kiosk.doctor import CHECKS, Finding, Mark, examine, line
from tests.counter_rig import new_rig, png

SOON = 60  # seconds; only ever used up by a failing test


def test_decode_prints_a_row_a_file_and_fails_where_one_holds_no_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "code.png").write_bytes(png("hello"))
    (tmp_path / "none.png").write_bytes(b"no picture")
    assert main(["decode", str(tmp_path / "code.png")]) == 0
    assert main(["decode", str(tmp_path / "code.png"), str(tmp_path / "none.png")]) == 1
    rows = [json.loads(row) for row in capsys.readouterr().out.splitlines()]
    assert [row["texts"] for row in rows] == [["hello"], ["hello"], []]


def test_a_wrong_setting_ends_the_start_with_its_nearest_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HUZHENG_KIOSK_WINDOW", "x")
    assert main(["run"]) == 2
    assert "did you mean HUZHENG_KIOSK_WINDOWS" in capsys.readouterr().err


def test_a_key_list_that_is_not_the_pinned_one_ends_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HUZHENG_KEYLIST", str(tmp_path / "missing.json"))
    assert main(["run"]) == 1
    assert "KEY_NOT_ALLOWED" in capsys.readouterr().err


@pytest.mark.full
@pytest.mark.network
def test_run_serves_the_page_of_one_counter(tmp_path: Path) -> None:
    import urllib3

    rig = new_rig(tmp_path)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        **os.environ,
        "HUZHENG_PROFILE": "sandbox",
        "HUZHENG_KEYLIST": str(rig.folder / "keylist.json"),
        "HUZHENG_KEYLIST_SHA256": rig.keylist_sha256,
        "HUZHENG_KIOSK_WINDOWS": str(rig.windows),
        "HUZHENG_KIOSK_CAMERA": "posted:",
        "HUZHENG_KIOSK_LISTEN": f"127.0.0.1:{port}",
    }
    program = subprocess.Popen(
        [sys.executable, "-m", "scanner_kiosk", "run"],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        again = urllib3.Retry(total=None, connect=200, backoff_factor=0.1, backoff_max=0.5)
        with urllib3.PoolManager(retries=again, timeout=SOON) as web:
            answer = web.request("GET", f"http://127.0.0.1:{port}/counter/")
        assert answer.status == 200
        assert "婚姻证照核验窗口" in answer.data.decode()
    finally:
        os.killpg(program.pid, signal.SIGTERM)
        program.wait(SOON)


def test_the_doctor_looks_at_everything_and_names_what_mends(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor, "CHECKS", tuple(each for each in CHECKS if each is not doctor.port))
    examine({"HUZHENG_REDIS_URL": "redis://:secret@cache.example:6379/0"})
    told = capsys.readouterr().out
    assert "redis://cache.example" in told
    assert "secret" not in told
    assert told.count("\n[") + told.startswith("[") == len(CHECKS) - 1


def test_the_doctor_fails_where_a_port_is_taken_and_says_which_setting_moves_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        monkeypatch.setattr(doctor, "CHECKS", (doctor.port,))
        assert examine({"HUZHENG_KIOSK_LISTEN": listen}, lang="zh-CN") == 1
    told = capsys.readouterr().out
    assert "[缺少] 端口" in told
    assert "HUZHENG_KIOSK_LISTEN=" in told
    assert "缺 1 项" in told


def test_a_finding_is_told_in_one_or_both_languages() -> None:
    finding = Finding(name_zh="时钟", name_en="clock", mark=Mark.OPTIONAL, seen="x", mend="y")
    assert line(finding, lang="en") == "[optional] clock: x\n      → y"
    assert line(finding, lang="both") == "[可选/optional] 时钟 · clock: x\n      → y"
