"""The texts of one frame: which of them is a genuine code, and why the others are not."""

from __future__ import annotations

from datetime import datetime

from consent.b64 import digest_of
from consent.code import PREFIX, is_ours, open_code, read_name
from consent.errors import Reason, Refusal
from consent.keys import KeyRing


class Glance:
    """Judges the texts of one frame: the accept predicate of the reader, and what it turned down."""

    def __init__(self, ring: KeyRing, now: datetime) -> None:
        self._ring, self._now = ring, now
        self.foreign = False
        self.bad: tuple[str, Reason] | None = None  # digest of the text, and why not

    def __call__(self, text: str) -> bool:
        if not is_ours(text):
            self.foreign = True
            return False
        try:
            if text.startswith(PREFIX):
                open_code(text, self._ring, now=self._now)
            else:
                read_name(text)  # a simple code: only its province knows more
        except Refusal as no:
            self.bad = digest_of(text.encode("utf-8", "surrogatepass")), no.reason
            return False
        return True
