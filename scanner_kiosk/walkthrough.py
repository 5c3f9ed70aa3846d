"""One visit as a page to look at: var/demo/walkthrough.html with its pictures inside, phone.png and frame.png beside it.

Where a Chromium is installed, counter.png shows the counter's result as a screenshot. The page holds what the phone and the
counter show anyway: masked names, disclosed fields, digests. It opens without any server.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from consent.provinces import provinces
from scanner_kiosk.visit import View

_BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome")
_LIMIT_S: Final = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Chapter:
    """What is shown of one visit: the phone's picture (PNG), the camera frame, the sheet, the counter's view."""

    picture: bytes = field(repr=False)
    frame: np.ndarray[Any, np.dtype[np.uint8]] = field(repr=False)
    sheet: Mapping[str, Any]
    view: View
    row: Mapping[str, Any]
    masked: str


def write_walkthrough(folder: Path, chapter: Chapter, report: Mapping[str, Any]) -> None:
    """Write the page and its pictures."""
    encoded = cv2.imencode(".png", chapter.frame)[1].tobytes()
    (folder / "phone.png").write_bytes(chapter.picture)
    (folder / "frame.png").write_bytes(encoded)
    words = {
        "phone": b64encode(chapter.picture).decode("ascii"),
        "frame": b64encode(encoded).decode("ascii"),
        "chapter": chapter,
        "sheet": chapter.sheet,
        "copy": chapter.view.copy,
        "row": chapter.row,
        "report": report,
        "provinces": provinces(),
    }
    pages = Environment(
        loader=PackageLoader("scanner_kiosk", "templates/demo"), autoescape=True, undefined=StrictUndefined
    )
    (folder / "walkthrough.html").write_text(pages.get_template("walkthrough.html").render(words), encoding="utf-8")
    _screenshot(pages.get_template("counter.html").render(words), folder / "counter.png")


def _screenshot(page: str, picture: Path) -> None:
    """A picture of a page by whatever Chromium is here; without one there is no picture, and an old one goes."""
    picture.unlink(missing_ok=True)
    browser = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if browser is None:
        return
    with tempfile.TemporaryDirectory(prefix="huzheng-shot-") as folder:
        path = Path(folder) / "counter.html"
        path.write_text(page, encoding="utf-8")
        command = [
            browser,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--no-first-run",
            "--hide-scrollbars",
            f"--user-data-dir={folder}/profile",
            "--window-size=1280,800",
            f"--screenshot={picture.absolute()}",
            path.as_uri(),
        ]
        try:
            subprocess.run(command, capture_output=True, timeout=_LIMIT_S, check=False)
        except subprocess.TimeoutExpired:
            return
