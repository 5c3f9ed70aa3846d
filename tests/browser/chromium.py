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

# Browsers that have the class and cannot read codes with it all the same.
OTHER_KINDS: Final = "window.BarcodeDetector = class { static async getSupportedFormats() { return ['ean_13']; } };"
UNMAKEABLE: Final = "window.BarcodeDetector = class { constructor() { throw new TypeError('nothing behind it'); } };"
BLIND: Final = """{
  window.BarcodeDetector = class {
    static async getSupportedFormats() { return ["qr_code"]; }
    async detect() { throw new DOMException("service unavailable", "NotSupportedError"); }
  };
  const picture = () => document.createElement("canvas").captureStream(5);
  navigator.mediaDevices.getUserMedia = async () => { window.camera = picture(); return window.camera; };
  HTMLMediaElement.prototype.play = async () => {};
}"""
