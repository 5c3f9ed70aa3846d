"""What a script uses that ECMAScript 2019 does not have, found without a JavaScript engine.

The engines here are newer than the web-views of the four apps, so "it runs" says nothing. This reads the script as tokens,
with comments, strings, templates and regular expressions taken out, and looks for what came later. It knows the syntax of
ES2020 to ES2024 and the library names that our pages might reach for; it is a net with known holes (a method of a later
library under a common name), not a parser.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

_TOKEN: Final = re.compile(
    r"""
      (?P<comment>//[^\n]*|/\*.*?\*/)
    | (?P<string>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')
    | (?P<template>`)
    | (?P<number>\.?[0-9][0-9A-Za-z_.]*)
    | (?P<word>\#?[A-Za-z_$][\w$]*)
    | (?P<space>\s+)
    | (?P<sign>\?\.(?![0-9])|\?\?=?|\|\|=|&&=|\.\.\.|=>|\*\*=?|[=!]==?|<=|>=|&&|\|\||\+\+|--|.)
    """,
    re.VERBOSE | re.DOTALL,
)
_REGEX: Final = re.compile(r"/(?![*/])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\[\n])+/(?P<flags>[a-z]*)")
_VALUE_BEFORE: Final = re.compile(r"[\w$)\]}\"'`]\Z")
_KEYWORDS_BEFORE_REGEX: Final = frozenset({"return", "typeof", "case", "in", "of", "delete", "void", "throw", "await"})

_NEW_SIGNS: Final = {"?.": "optional chaining", "??": "??", "??=": "??=", "||=": "||=", "&&=": "&&="}
_NEW_METHODS: Final = {
    *("allSettled", "at", "findLast", "findLastIndex", "groupBy", "hasOwn", "matchAll", "replaceAll"),
    *("replaceChildren", "toReversed", "toSorted", "toSpliced", "withResolvers"),
}
_NEW_GLOBALS: Final = {"globalThis", "structuredClone", "WeakRef", "FinalizationRegistry", "AggregateError", "BigInt"}


def newer(script: str) -> list[str]:
    """Everything newer than ES2019, each with what it is; [] for a script that an ES2019 engine takes."""
    tokens = list(_tokens(script))
    return [*_signs(tokens), *_words(tokens), *_class_members(tokens), *_top_level_await(tokens)]


def _tokens(script: str) -> Iterator[str]:
    """Signs, words and numbers; strings and templates as one `""` each, a template's ${…} as tokens between brackets."""
    at, before = 0, ""
    templates: list[int] = []  # for each template that we are inside of: how many braces are open in its ${…}
    while at < len(script):
        if script[at] == "/" and not script.startswith(("//", "/*"), at) and not _ends_a_value(before):
            found = _REGEX.match(script, at)
            assert found is not None, script[at : at + 40]
            if set(found["flags"]) & set("dv"):
                yield "regex flag"
            if "(?<=" in found[0] or "(?<!" in found[0]:
                yield "lookbehind"  # ES2018, and yet absent from the WebKit of old iPhones
            before, at = '""', found.end()
            yield before
            continue
        found = _TOKEN.match(script, at)
        assert found is not None
        at, kind, text = found.end(), found.lastgroup, found[0]
        if kind in ("comment", "space"):
            continue
        if kind == "template" or (text == "}" and templates and templates[-1] == 0):
            if text == "}":
                templates.pop()
                yield ")"
            end = re.compile(r"(?:\\.|(?!\$\{)[^`\\])*", re.DOTALL).match(script, at)
            assert end is not None
            at = end.end()
            before = '""'
            yield before
            if script.startswith("${", at):
                templates.append(0)
                at, before = at + 2, "("
                yield before
            else:
                at += 1
            continue
        if templates and text in "{}":
            templates[-1] += 1 if text == "{" else -1
        before = '""' if kind == "string" else text
        yield before


def _ends_a_value(before: str) -> bool:
    return bool(_VALUE_BEFORE.search(before)) and before not in _KEYWORDS_BEFORE_REGEX


def _signs(tokens: list[str]) -> Iterator[str]:
    for token in tokens:
        if token in _NEW_SIGNS:
            yield _NEW_SIGNS[token]
        elif token in ("regex flag", "lookbehind"):
            yield token
        elif token[0].isdigit() and ("_" in token or re.fullmatch(r"\d+n", token)):
            yield f"number {token}"


def _words(tokens: list[str]) -> Iterator[str]:
    for n, token in enumerate(tokens):
        before, after = tokens[n - 1] if n else "", tokens[n + 1] if n + 1 < len(tokens) else ""
        if token.startswith("#") and len(token) > 1:
            yield f"private member {token}"
        elif (token in _NEW_METHODS and before == "." and after == "(") or (token in _NEW_GLOBALS and before != "."):
            yield f"name {token}"
        elif token == "import" and after in ("(", "."):
            yield f"import{after}"
        elif token == "export" and after == "*" and tokens[n + 2] == "as":
            yield "export * as"
        elif token == "static" and after == "{":
            yield "static block"


def _class_members(tokens: list[str]) -> Iterator[str]:
    """Fields: directly inside a class body, a name that is followed by = or ; or by another name."""
    for n, token in enumerate(tokens):
        if token != "class":
            continue
        at = tokens.index("{", n) + 1
        depth, fresh = 0, True  # `fresh`: a member may begin here
        while not (tokens[at] == "}" and depth == 0):
            text, then = tokens[at], tokens[at + 1]
            if depth == 0 and fresh and re.match(r"[A-Za-z_$]", text) and then in ("=", ";", "}"):
                yield f"class field {text}"
            depth += {"{": 1, "(": 1, "[": 1, "}": -1, ")": -1, "]": -1}.get(text, 0)
            fresh = depth == 0 and text in (";", "}", "static", "async", "get", "set", "*")
            at += 1


def _top_level_await(tokens: list[str]) -> Iterator[str]:
    depth = 0
    for token in tokens:
        depth += {"{": 1, "}": -1}.get(token, 0)
        if token == "await" and depth == 0:
            yield "await outside of a function"
