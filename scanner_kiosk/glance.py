"""The texts of one frame: which of them may be scanned, and why the others may not.

1. a code of ours whose signature holds, or a simple code
2. a text of a shape that one of the four apps draws. Nothing in it can be checked here, so `unsigned` names it, and it
   counts only when another frame says the same (`counter.sight`)
3. anything else is somebody's pay code or address, and none of our business
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from consent.b64 import digest_of
from consent.code import PREFIX, is_ours, open_code, read_name
from consent.counter_strings import drawn_by
from consent.errors import Reason, Refusal
from consent.keys import KeyRing


class Glance:
    """Judges the texts of one frame: the accept predicate of the reader, and what it turned down."""

    def __init__(self, ring: KeyRing, now: datetime) -> None:
        self._ring, self._now = ring, now
        self.foreign = False
        self.unsigned: set[str] = set()
        self.bad: tuple[str, Reason] | None = None  # digest of the text, and why not

    def __call__(self, text: str) -> bool:
        if not is_ours(text):
            return self._of_an_app(text)
        try:
            if text.startswith(PREFIX):
                open_code(text, self._ring, now=self._now)
            else:
                read_name(text)  # a simple code: only its province knows more
        except Refusal as no:
            self.bad = digest_of(text.encode("utf-8", "surrogatepass")), no.reason
            return False
        return True  # 1

    def _of_an_app(self, text: str) -> bool:
        if drawn_by(text) is None:
            self.foreign = True  # 3
            return False
        self.unsigned.add(text)  # 2
        return True

    def first(self, texts: Sequence[str]) -> str:
        """The one of a frame's texts that is scanned: one of ours before an app's, else as they were found."""
        return min(texts, key=self.unsigned.__contains__)
