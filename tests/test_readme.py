"""What the README promises is there: commands, files, rooms, and the same in both languages."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
READMES = ("README.md", "README.zh-CN.md")


@pytest.mark.parametrize("name", READMES)
def test_every_command_of_the_readme_is_one_that_dev_knows(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    commands = set(re.findall(r"\./dev ([a-z]+)", text))
    helped = subprocess.run([sys.executable, ROOT / "dev", "--help"], capture_output=True, text=True, check=True).stdout
    assert {"demo", "test"} <= commands
    assert all(command in helped for command in commands)


@pytest.mark.parametrize("name", READMES)
def test_every_link_of_the_readme_leads_somewhere(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#]+)\)", text)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_both_languages_say_the_same() -> None:
    english, chinese = ((ROOT / name).read_text(encoding="utf-8") for name in READMES)
    for mark in (r"^## ", r"^\| ", r"^- ", r"^\d\. ", r"`[^`\n]+`"):
        assert len(re.findall(mark, english, re.M)) == pytest.approx(len(re.findall(mark, chinese, re.M)), abs=6), mark


def test_the_readme_shows_the_rooms_that_there_are() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert all(room in text for room in ("consent", "wallet_api", "verifier", "scanner_kiosk"))
