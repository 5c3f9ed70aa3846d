"""What people read when something did not happen: every Reason, for three audiences, in two languages.

The texts are data, one file a language (sentences.zh-CN.json, sentences.en.json), so that whoever words them
needs no Python. A row has a title, a next step and a sentence for each audience:

citizen   the person at the counter or on the phone: kind, no jargon, and always whether anything was given;
counter   the officer: what is the matter, in one line;
vendor    whoever builds an app on the interface: what the program did wrong.

A row may leave out a sentence: the citizen's then comes from `otherwise` by outcome, the others from the
title. At the counter, declining and silence read like "not authorised" (`seen_at_counter`): no wording may
tell them apart.

Placeholders in braces are filled from the facts of the error by plain replacement, never by `str.format`: a
fact that came from a stranger must not reach into objects. A fact that is missing leaves the word of
`blanks`, and a sentence that can still be read. Status codes and province codes become words of the language;
`{province}` is also filled from `what`, where `Unavailable` names the silent part. `what` may come with a
translation of its own (`what_en`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Any, Final

from consent.errors import Reason, outcome_of, seen_at_counter
from consent.provinces import provinces

PLACEHOLDERS: Final = frozenset({"n", "what", "date", "status", "as_of", "no", "time", "province"})
"""All the facts that sentences use. None of them may ever hold anything about a person."""

_PLACEHOLDER: Final = re.compile(r"\{([a-z_]+)\}")


class Lang(StrEnum):
    """The languages of the pages, by their BCP 47 tags."""

    ZH_CN = "zh-CN"
    EN = "en"


class Audience(StrEnum):
    """Who reads."""

    CITIZEN = "citizen"
    COUNTER = "counter"
    VENDOR = "vendor"


def sentences(reason: Reason, lang: str, audience: str, **facts: str | int) -> str:
    """The one sentence that this audience reads. Unknown languages and audiences raise ValueError."""
    reader = Audience(audience)
    seen = _seen(reason, reader)
    book = _book(Lang(lang))
    text = book["reasons"][seen].get(reader)
    if text is None and reader is Audience.CITIZEN:
        text = book["otherwise"][outcome_of(seen)][reader]
    return _fill(text or book["reasons"][seen]["title"], Lang(lang), facts)


def title(reason: Reason, lang: str, audience: str = Audience.CITIZEN, /) -> str:
    """A few words for headings and for the `title` of a problem document."""
    return str(_book(Lang(lang))["reasons"][_seen(reason, audience)]["title"])


def next_step(reason: Reason, lang: str, audience: str = Audience.CITIZEN, /, **facts: str | int) -> str:
    """What to do now."""
    return _fill(_book(Lang(lang))["reasons"][_seen(reason, audience)]["next"], Lang(lang), facts)


def _seen(reason: Reason, audience: str) -> Reason:
    return seen_at_counter(reason) if Audience(audience) is Audience.COUNTER else reason


@cache
def _book(lang: Lang) -> Mapping[str, Any]:
    book: Mapping[str, Any] = json.loads(
        files("consent").joinpath(f"sentences.{lang}.json").read_text(encoding="utf-8")
    )
    return book


def _fill(text: str, lang: Lang, facts: Mapping[str, str | int]) -> str:
    return _PLACEHOLDER.sub(lambda found: _word(found[1], lang, facts), text)


def _word(name: str, lang: Lang, facts: Mapping[str, str | int]) -> str:
    """One fact in the words of the language."""
    book = _book(lang)
    other = facts.get("what", "") if name == "province" else ""
    value = str(facts.get(f"{name}_{lang[:2]}", facts.get(name, other)))
    if name == "province":
        found = provinces().get(value)
        if found is not None:
            return found.name_zh if lang is Lang.ZH_CN else found.name_en
    return str(book["words"].get(name, {}).get(value, value or book["blanks"][name]))
