"""docs/vendor-start.md does what it says: its commands, exactly as they stand there, end with a code that can be scanned."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import zxingcpp
from PIL import Image

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "vendor-start.md"
PATIENCE_S = 420  # fourteen interpreters and more start; on a machine that does other things, in minutes

# Where a machine has no curl: the few options that the page uses, by urllib.
CURL = """#!{python}
import sys, urllib.request
url, body, headers, out, asked = "", [], {{}}, None, iter(sys.argv[1:])
for word in asked:
    if word == "-s": pass
    elif word == "-d": body.append(next(asked))
    elif word == "-H": headers.update([next(asked).split(": ", 1)])
    elif word == "-o": out = next(asked)
    elif word.startswith("-"): sys.exit(f"curl: {{word}} is none of ours")
    else: url = word
sent = urllib.request.Request(url, "&".join(body).encode() if body else None, headers)
answer = urllib.request.build_opener(urllib.request.ProxyHandler({{}})).open(sent).read()
open(out, "wb").write(answer) if out else sys.stdout.buffer.write(answer)
"""


def commands() -> list[str]:
    return re.findall(r"^```sh\n(.*?)\n```$", PAGE.read_text(encoding="utf-8"), re.M | re.S)


def test_a_first_code_takes_fewer_than_ten_commands() -> None:
    found = commands()
    assert 1 < len(found) < 10
    assert not [each for each in found if "\n" in each]
    assert found[0].startswith("./dev serve")
    assert "code.png" in found[-1]


def test_the_readmes_lead_there() -> None:
    for name in ("README.md", "README.zh-CN.md"):
        assert "docs/vendor-start.md" in (ROOT / name).read_text(encoding="utf-8")


@pytest.fixture
def first() -> Iterator[Path]:
    """var/first of this checkout, which the page uses; what a developer has there is put back afterwards."""
    folder, kept = ROOT / "var" / "first", ROOT / "var" / f"first.kept-{os.getpid()}"
    folder.parent.mkdir(exist_ok=True)
    if folder.exists():
        with (folder / "serve.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # BlockingIOError: stop the sandbox of the page first
        folder.rename(kept)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)
    (folder.parent / "first.txt").unlink(missing_ok=True)
    if kept.exists():
        kept.rename(folder)


def _path(tmp_path: Path) -> str:
    if shutil.which("curl"):
        return os.environ["PATH"]
    curl = tmp_path / "curl"
    curl.write_text(CURL.format(python=sys.executable), encoding="utf-8")
    curl.chmod(0o700)
    return f"{tmp_path}:{os.environ['PATH']}"


@pytest.mark.full
@pytest.mark.network
@pytest.mark.timeout(PATIENCE_S + 60)
def test_the_commands_of_the_page_end_with_a_code_that_can_be_scanned(first: Path, tmp_path: Path) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HUZHENG_")}
    log = tmp_path / "log.txt"
    with log.open("wb") as written:
        shell = subprocess.Popen(
            ["bash", "-e", "-c", "\n".join(commands())],
            cwd=ROOT,
            env={**clean, "PATH": _path(tmp_path)},
            stdout=written,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            assert shell.wait(timeout=PATIENCE_S) == 0, log.read_text()
            with Image.open(first / "code.png") as picture:
                (found,) = zxingcpp.read_barcodes(picture, formats=zxingcpp.BarcodeFormat.QRCode)
            assert found.text.startswith("YRD1:")
        finally:
            os.killpg(shell.pid, signal.SIGTERM)
            _ended(first / "31-wallet.env")


def _ended(told: Path) -> None:
    """Wait until serve has taken back what it wrote at its start, which is the last that it does but one."""
    deadline = time.monotonic() + 60
    while told.exists():
        assert time.monotonic() < deadline, "the sandbox did not end"
        time.sleep(0.1)
