"""Pen strokes: what counts as a signature, and the file that a unit keeps of an answer given at its counter.

A stroke is a list of points [x, y, t]: x and y in ten-thousandths of the field's width, t in milliseconds since the pen first
touched. They come from a page that anybody at this machine can reach, so they are judged like every body:

 1. whole numbers, in bounds, not more than a hand writes
 2. a mark that somebody has made: a few points, and not all at one place. Whose hand it was no program says

What the device signs is the salted digest of these very bytes (`Evidence`), so that the file proves later what was signed,
and the document that travels gives nothing away.
"""

from __future__ import annotations

import json
from typing import Any, Final

from consent.b64 import to_b64
from consent.errors import Reason, Refusal
from scanner_kiosk.visit import Asked
from scanner_kiosk.ways import Answer

FIELD: Final = 10_000  # the field's width in the units of x and y; its height is less
MOST_STROKES: Final = 120
MOST_POINTS: Final = 3_000
MOST_MS: Final = 600_000
LEAST_POINTS: Final = 6
LEAST_SPAN: Final = 300  # of x or y together; a dot is no signature
MOST_BYTES: Final = 65_536  # of a body that carries strokes


def strokes_of(found: Any) -> bytes:
    """The strokes as the bytes that are filed; Refusal(BODY_INVALID) where they are no signature."""
    if not isinstance(found, list) or not 1 <= len(found) <= MOST_STROKES:
        raise Refusal(Reason.BODY_INVALID, detail="strokes")
    points = [point for stroke in found for point in _points(stroke)]  # 1
    if not LEAST_POINTS <= len(points) <= MOST_POINTS:
        raise Refusal(Reason.BODY_INVALID, detail="strokes: points")
    spans = [max(each[axis] for each in points) - min(each[axis] for each in points) for axis in (0, 1)]
    if max(spans) < LEAST_SPAN:  # 2
        raise Refusal(Reason.BODY_INVALID, detail="strokes: a dot")
    return _raw({"method": "pad", "strokes": found})


def _points(stroke: Any) -> list[list[int]]:
    if not isinstance(stroke, list) or not all(_is_point(point) for point in stroke):
        raise Refusal(Reason.BODY_INVALID, detail="strokes: stroke")
    return stroke


def _is_point(point: Any) -> bool:
    if not isinstance(point, list) or len(point) != 3 or any(type(each) is not int for each in point):
        return False
    bounds = (FIELD, FIELD, MOST_MS)
    return all(0 <= each <= most for each, most in zip(point, bounds, strict=True))


def no_strokes() -> bytes:
    """What is filed of somebody who declined: that nothing was written."""
    return _raw({"method": "pad", "strokes": []})


def _raw(found: Any) -> bytes:
    return json.dumps(found, separators=(",", ":")).encode("ascii")


def evidence_file(asked: Asked, answer: Answer) -> bytes:
    """What goes into the unit's file: JSON with the evidence, its salt, and the documents that commit to it.

    `evidence` is the HMAC-SHA256 of the text in `raw` under `salt`; the same digest stands in `pad`.
    """
    found = {
        "request_id": asked.request_id,
        "decision": answer.decision.value,
        "method": answer.method,
        "evidence": answer.evidence.digest,
        "salt": to_b64(answer.evidence.salt),
        "raw": answer.evidence.raw.decode("utf-8"),
        "pad": answer.pad,
        "officer": answer.officer,
        "simulated": True,  # the pad and the matcher are; a real device's file says which one it was
    }
    return json.dumps(found, ensure_ascii=False, indent=1).encode()
