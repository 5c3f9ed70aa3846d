"""The code as a picture: black on white, four white modules around it, PNG and SVG (ISO/IEC 18004).

Level M bears a scratch and a reflection; a higher level would need more modules, and smaller modules are what
cameras fail at first. The text decides the version; beyond 7 (45 modules) codes of a phone become hard to scan
at arm's length, so a longer text is a mistake of ours and raises ValueError.

Pictures are functions of their text and are kept for a while: the phone, its reload and its vendor's server ask
for the same one. A text that rotates every 30 seconds leaves by itself.
"""

from __future__ import annotations

from functools import lru_cache
from io import BytesIO
from typing import Any, Final

from qrcode.constants import ERROR_CORRECT_M
from qrcode.image.pil import PilImage
from qrcode.image.svg import SvgPathFillImage
from qrcode.main import QRCode

MOST_VERSION: Final = 7
BORDER: Final = 4  # modules; the standard's quiet zone
PIXELS: Final = 8  # for each module: 424 pixels at version 7, sharp at any whole multiple

_KEPT: Final = 512


@lru_cache(maxsize=_KEPT)
def png(text: str) -> bytes:
    """A PNG with one bit for each pixel."""
    image = _symbol(text).make_image(image_factory=PilImage, fill_color="black", back_color="white")
    into = BytesIO()
    image.save(into, "PNG", optimize=True)
    return into.getvalue()


@lru_cache(maxsize=_KEPT)
def svg(text: str) -> bytes:
    """An SVG of one path on white. It holds no script and refers to nothing."""
    image = _symbol(text).make_image(image_factory=SvgPathFillImage)
    into = BytesIO()
    image.save(into)
    return into.getvalue()


def _symbol(text: str) -> QRCode[Any]:
    symbol: QRCode[Any] = QRCode(version=None, error_correction=ERROR_CORRECT_M, box_size=PIXELS, border=BORDER)
    symbol.add_data(text, optimize=0)  # one segment; the whole text is of the alphanumeric set
    symbol.make(fit=True)
    if symbol.version > MOST_VERSION:
        raise ValueError(f"the code needs version {symbol.version}, at most {MOST_VERSION}")
    return symbol
