"""What a scanner reads at a counter, told apart by its shape: our own texts, and those that the four apps draw themselves.

A counter may be shown our code, our simple code, our twelve digits, or the string that an app's own counter page draws.
Which of them it is, and whom to ask, is told here:
 1. a scanner that poses as a keyboard adds line ends and blanks; they go
 2. a shape of counter_strings.json names the province whose app draws it
 3. everything else is ours, or nothing that we take (`consent.code.read_name`)

The file is the only place that knows what the apps draw; an app that changes its string is a change of one line.

A shape proves nothing. The same app may draw such a text for a bus or a hospital, and anybody can print one; so a counter
that has recognised one knows only whom its desk should ask, and the app alone knows whether it stands for a showing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Final

from consent.code import Form, Name, read_name
from consent.errors import Reason, Refusal
from consent.provinces import province

MOST: Final = 600  # characters; the longest that we take are well below
_LINE_END: Final = re.compile(r"[\r\n]")


def recognise(raw: str) -> Name:
    """The text in its one spelling and the province to ask (None for a code, whose key says it).

    Refusal CODE_MALFORMED for what we do not take, TWIN_MISTYPED for digits that are no twin.
    """
    # 1. Blanks only at the ends: base45 has one among its digits, although never as the last.
    text = _LINE_END.sub("", raw).strip()
    if len(text) > MOST:
        raise Refusal(Reason.CODE_MALFORMED, detail="longer than all that we take")
    if (code := drawn_by(text)) is not None:  # 2
        return Name(form=Form.APP, text=text, province=code)
    return read_name(text)  # 3


def drawn_by(text: str) -> str | None:
    """The province whose app draws texts of this shape; None for any other text. Nothing is taken off or forgiven."""
    if len(text) > MOST:
        return None
    return next((code for code, shape in _shapes().items() if shape.fullmatch(text) is not None), None)


def known_as(code: str) -> tuple[str, str]:
    """What people call the texts that a province's app draws, in Chinese and in English."""
    row = _rows()[code]
    return row["name_zh"], row["name_en"]


@cache
def _shapes() -> Mapping[str, re.Pattern[str]]:
    return MappingProxyType({code: re.compile(row["shape"], re.ASCII) for code, row in _rows().items()})


@cache
def _rows() -> Mapping[str, Mapping[str, str]]:
    rows = json.loads(files("consent").joinpath("counter_strings.json").read_text(encoding="utf-8"))
    return MappingProxyType({province(row["province"]).code: row for row in rows})
