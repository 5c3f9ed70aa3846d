"""Pictures as one byte a pixel: from arrays, from strangers' bytes, from the operator's disk.

A posted picture is the cheapest way to stop a service: a 20 KB PNG can unfold to gigabytes, a 125 KB
progressive JPEG can ask for the same picture to be decoded a thousand times. So the order is: length, format,
header, and only then pixels. One library (Pillow) reads both header and pixels; two would disagree some day
about what the header says.

Files on the operator's own disk are trusted to be what the operator chose, and may be any format that OpenCV
reads.
"""

from __future__ import annotations

import io
import struct
from os import PathLike, fspath
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from consent.errors import Reason, Refusal

Grey = NDArray[np.uint8]
"""A picture of shape (H, W), one byte a pixel, 0 black."""

POSTED_BYTES: Final = 5_000_000
# Full HD is sold as "2 megapixels". Beyond it, a wall of finder patterns costs seconds where here it costs
# one.
POSTED_PIXELS: Final = 1920 * 1080
FILE_PIXELS: Final = 50_000_000
# A progressive JPEG sends the whole picture once more with each scan; encoders write about ten, attackers a
# thousand.
_JPEG_SCANS: Final = 50
_START_OF_SCAN: Final = b"\xff\xda"  # inside of the compressed data, FF is always followed by 00 or D0 to D7


def as_grey(image: object) -> Grey:
    """The grey picture of a uint8 array (H, W) or BGR (H, W, 3), without a copy where it is grey already.

    Any memory layout and any size, also none. Everything else is refused as PICTURE_UNREADABLE.
    """
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
        raise Refusal(Reason.PICTURE_UNREADABLE, detail="not an array of bytes")
    if image.ndim == 2:
        return image
    if image.ndim != 3 or image.shape[2] != 3:
        raise Refusal(Reason.PICTURE_UNREADABLE, detail=f"shape of rank {image.ndim} is not grey or BGR")
    if image.size == 0:
        return np.zeros(image.shape[:2], np.uint8)
    try:
        return np.asarray(cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_BGR2GRAY), np.uint8)
    except (cv2.error, MemoryError) as error:
        raise Refusal(Reason.PICTURE_UNREADABLE, detail="too large to turn grey") from error


def judged(data: bytes) -> bytes:
    """The bytes, if length and first bytes are those of a picture that may be posted; else PICTURE_UNREADABLE.

    No parser runs here: what is refused is refused before anybody's code has touched it.
    """
    # (1) length, (2) format and scans
    if not isinstance(data, bytes | bytearray | memoryview) or len(data) > POSTED_BYTES:
        raise Refusal(Reason.PICTURE_UNREADABLE, detail="not bytes, or too many")
    data = bytes(data)
    if data.startswith(b"\xff\xd8\xff"):
        if data.count(_START_OF_SCAN) > _JPEG_SCANS:
            raise Refusal(Reason.PICTURE_UNREADABLE, detail="too many scans")
    elif not data.startswith(b"\x89PNG\r\n\x1a\n"):
        raise Refusal(Reason.PICTURE_UNREADABLE, detail="neither PNG nor JPEG")
    return data


def read_picture(data: bytes) -> Grey:
    """The pixels of a posted PNG or JPEG, at most 5 MB and 1920x1080 pixels in any proportion.

    Transparent parts become white, as on the page behind a drawing. All else is refused as
    PICTURE_UNREADABLE: other formats, cut files, wrong checksums, header bombs, scan bombs.
    """
    data = judged(data)  # (1), (2)
    try:
        with Image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as picture:
            # (3) header
            if picture.width * picture.height > POSTED_PIXELS:
                raise Refusal(Reason.PICTURE_UNREADABLE, detail="too many pixels")
            # (4) pixels
            return _pixels(picture)
    except (OSError, ValueError, SyntaxError, EOFError, struct.error, MemoryError, Warning) as error:
        # Warning: where a run turns warnings into errors, Pillow's about size and damage arrive here.
        raise Refusal(Reason.PICTURE_UNREADABLE, detail=type(error).__name__) from error
    except (Image.DecompressionBombError, LookupError, TypeError, ArithmeticError) as error:
        # Pillow's parsers meet hostile offsets and tables with these.
        raise Refusal(Reason.PICTURE_UNREADABLE, detail=type(error).__name__) from error


def _pixels(picture: Any) -> Grey:
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture)
    elif picture.mode.startswith("I"):  # 16 bits a pixel, which Pillow would cut at 255
        wide = np.asarray(picture, dtype=np.int64)
        high: Grey = np.clip(wide >> 8, 0, 255).astype(np.uint8)
        return high
    return np.array(picture.convert("L"), dtype=np.uint8)


def load_file(path: str | PathLike[str]) -> Grey:
    """The pixels of a picture file on the operator's disk, in any format that OpenCV reads (PNG, JPEG, WebP,
    BMP, TIFF, …).

    At most 50 million pixels; a missing, larger or unreadable file is refused as PICTURE_UNREADABLE.
    """
    try:
        # IGNORE_ORIENTATION: a symbol reads the same in every turn, and a camera's note about its turn may be
        # false.
        mat = cv2.imread(fspath(path), cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION)
    except (cv2.error, MemoryError, ValueError) as error:
        raise Refusal(Reason.PICTURE_UNREADABLE, detail="OpenCV could not read the file") from error
    if mat is None:
        raise Refusal(Reason.PICTURE_UNREADABLE, detail="missing, or no picture")
    if mat.size > FILE_PIXELS:
        raise Refusal(Reason.PICTURE_UNREADABLE, detail="too many pixels")
    return np.asarray(mat, np.uint8)
