"""The browser of these tests: where it is, how it is started, and what a test without it is skipped for."""

from __future__ import annotations

import shutil
from typing import Final

import pytest

CHROMIUM: Final = shutil.which("chromium") or shutil.which("chromium-browser")
ARGUMENTS: Final = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
MARKS: Final = [
    pytest.mark.browser,
    pytest.mark.network,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine"),
]
