"""The code as a picture: black on white, four white modules around it, PNG and SVG (ISO/IEC 18004).

Level M bears a scratch and a reflection; a higher level would need more modules, and smaller modules are what
cameras fail at first. The text decides the version; beyond 7 (45 modules) codes of a phone become hard to scan
at arm's length, so a longer text is a mistake of ours and raises ValueError.

The modules of a full code come from a learnt table (`symbol`), those of every other text from `qrcode`; both say the same,
and the table says it forty times sooner.

Pictures are functions of their text and are kept for a while: the phone, its reload and its vendor's server ask
for the same one. A text that rotates every 30 seconds leaves by itself.
"""

from __future__ import annotations

from functools import lru_cache
from io import BytesIO
from typing import Any, Final

import numpy as np
from PIL import Image
from qrcode.constants import ERROR_CORRECT_M
from qrcode.main import QRCode

from wallet_api.symbol import Modules, draw

MOST_VERSION: Final = 7
BORDER: Final = 4  # modules; the standard's quiet zone
PIXELS: Final = 8  # for each module: 424 pixels at version 7, sharp at any whole multiple

_KEPT: Final = 512
_MM: Final = 0.8  # a module, where nobody says how large the drawing is to be
_SQUEEZE: Final = 3  # zlib's level; higher ones take twice the time for a tenth of the bytes
_SVG: Final = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="{mm}mm" height="{mm}mm" viewBox="0 0 {side} {side}"'
    ' shape-rendering="crispEdges"><rect width="{side}" height="{side}" fill="#fff"/><path d="{path}"/></svg>\n'
)


@lru_cache(maxsize=_KEPT)
def png(text: str) -> bytes:
    """A PNG with one bit for each pixel."""
    light = np.pad(~_modules(text), BORDER, constant_values=True)
    lines = np.where(light, np.uint8(255), np.uint8(0)).repeat(PIXELS, axis=0)  # a module is a byte wide: eight pixels
    into = BytesIO()
    Image.frombytes("1", (PIXELS * len(light),) * 2, lines.tobytes()).save(into, "PNG", compress_level=_SQUEEZE)
    return into.getvalue()


@lru_cache(maxsize=_KEPT)
def svg(text: str) -> bytes:
    """An SVG of one path on white, a rectangle for each run of dark modules. It holds no script and refers to nothing."""
    modules = _modules(text)
    side = len(modules) + 2 * BORDER
    edges = np.diff(np.pad(modules, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    starts, ends = np.argwhere(edges == 1), np.argwhere(edges == -1)
    runs = zip(starts[:, 0].tolist(), starts[:, 1].tolist(), ends[:, 1].tolist(), strict=True)
    path = "".join(f"M{x + BORDER} {y + BORDER}h{end - x}v1h{x - end}z" for y, x, end in runs)
    return _SVG.format(side=side, mm=round(side * _MM, 1), path=path).encode()


def _modules(text: str) -> Modules:
    known = draw(text)
    return np.array(_symbol(text).modules, dtype=bool) if known is None else known


def _symbol(text: str) -> QRCode[Any]:
    symbol: QRCode[Any] = QRCode(version=None, error_correction=ERROR_CORRECT_M, box_size=PIXELS, border=BORDER)
    symbol.add_data(text, optimize=0)  # one segment; the whole text is of the alphanumeric set
    symbol.make(fit=True)
    if symbol.version > MOST_VERSION:
        raise ValueError(f"the code needs version {symbol.version}, at most {MOST_VERSION}")
    return symbol
