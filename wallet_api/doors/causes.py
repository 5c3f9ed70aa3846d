"""Why each reason comes about and what a vendor's engineer does then: the second half of `consent.sentences`, for one reader.

The texts are data, one file a language (causes.zh-CN.json, causes.en.json). A reason has a cause of its own; what to do
is one of a few steps that many reasons share. A test finds every reason without a row.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from consent.errors import Reason
from consent.sentences import Lang
from consent.telling import PROBLEM_TYPE, reason_page


def explained(reason: Reason) -> dict[str, Any]:
    """The whole page of one reason: `consent.telling.reason_page` with `cause` and `vendor_does` in both languages."""
    return {
        **reason_page(reason),
        "cause": {"zh": _cause(reason, Lang.ZH_CN), "en": _cause(reason, Lang.EN)},
        "vendor_does": {"zh": _step(reason, Lang.ZH_CN), "en": _step(reason, Lang.EN)},
    }


def said_by(description: Mapping[str, Any]) -> Mapping[str, list[str]]:
    """Which operations of a description may answer with each code, as "METHOD path"."""
    found: dict[str, list[str]] = defaultdict(list)
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            for answer in operation.get("responses", {}).values() if isinstance(operation, Mapping) else ():
                for code in answer.get("content", {}).get(PROBLEM_TYPE, {}).get("examples", {}):
                    found[code].append(f"{method.upper()} {path}")
    return found


def _cause(reason: Reason, lang: Lang) -> str:
    return str(_book(lang)["reasons"][reason]["cause"])


def _step(reason: Reason, lang: Lang) -> str:
    book = _book(lang)
    return str(book["steps"][book["reasons"][reason]["step"]])


@cache
def _book(lang: Lang) -> Mapping[str, Any]:
    text = files("wallet_api.doors").joinpath(f"causes.{lang}.json").read_text(encoding="utf-8")
    book: Mapping[str, Any] = json.loads(text)
    return book
