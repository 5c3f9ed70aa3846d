"""The browser's module as a text: of which year it is, what it refers to, whether its types and words are whole.

What it does is tests/browser/test_element.py.
"""

from __future__ import annotations

import re

import pytest

from consent.states import SHOWING
from tests.es2019 import newer
from tests.sdk_stage import SDK

MODULE = SDK / "js" / "huzheng-code.js"


def test_the_module_is_of_2019() -> None:
    assert newer(MODULE.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "script",
    [
        "const a = b?.c;",
        "f?.(x)",
        "a ?? b",
        "a ??= 1; ",
        "a ||= 1",
        "a &&= 1",
        "class A { x = 1; }",
        "class A { m() {} x; n() {} }",
        "class A extends B { static y = 2 }",
        "class A { #p() {} }",
        "class A { static { f(); } }",
        "const x = await f();",
        "if (x) await f();".replace("if (x) ", ""),
        "const n = 10n;",
        "const n = 1_000;",
        "import('x')",
        "import.meta.url",
        "export * as x from 'y'",
        "'a'.replaceAll('b', 'c')",
        "[1].at(-1)",
        "globalThis.x = 1",
        "Promise.allSettled([])",
        "const t = `a ${b?.c} d`;",
        "/(?<=a)b/.test(x)",
        "x = a ? /[/]/ : b?.c",
    ],
)
def test_the_check_for_newer_syntax_finds_it(script: str) -> None:
    assert newer(script) != []


def test_the_check_for_newer_syntax_lets_older_syntax_pass() -> None:
    script = r"""
      // a?.b ?? c
      const re = /a?.b??\/[/?.]/g, s = "x?.y ?? #z", t = `p?.q ${f({ a: 1 }) ? `r ?? ${s}` : 2} ??`, n = a ? .5 : b / c / 1;
      class A extends B { constructor() { super(); this.x = 1; } static get y() { return 1; }
        async m(a = 1, { b, ...c }) { await c; } }
      async function f() { try { for await (const x of y) {} } catch { return { ...x, at: 1 }; } }
      export { A as default };
    """
    assert newer(script) == []


def test_the_module_refers_to_nothing_outside_and_writes_no_markup() -> None:
    for path in (MODULE, MODULE.with_suffix(".css"), *(SDK / "samples").rglob("*.[hcs][tsv][msg]*")):
        text = path.read_text(encoding="utf-8")
        assert set(re.findall(r"https?://[^\s\"'`)]+", text)) <= {"http://www.w3.org/2000/svg"}, path
    code = MODULE.read_text(encoding="utf-8")
    assert (
        re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|\.style\b", code)
        is None
    )
    assert re.findall(r"^import\b|\bfrom [\"']", code, re.M) == []
    assert code.count("exportKey") == 1
    assert 'exportKey("jwk", pair.publicKey)' in code
    assert 'generateKey(ALGORITHM, false, ["sign"])' in code


def test_our_own_phone_signs_as_the_module_does() -> None:
    """The module is one file that depends on nothing, so the pages cannot share its lines; they must not drift apart."""
    phone = (SDK.parent / "pages" / "static" / "device.js").read_text(encoding="utf-8").replace("persona", "account")
    module = MODULE.read_text(encoding="utf-8")
    both = [
        dict(re.findall(r"^(?:export )?((?:async )?function \w+)(.*?^\})", code, re.M | re.S))
        for code in (phone, module)
    ]
    assert {"async function sign", "function signApproval", "function inStore", "async function deviceFor"} < set(
        both[0]
    )
    assert both[0].items() <= both[1].items()
    fixed = [
        re.findall(r"^const (\w+_LIFE_S|ALGORITHM|SIGNING|STORE) = (.*);$", code, re.M) for code in (phone, module)
    ]
    assert fixed[0] == fixed[1] != []


def test_the_style_sheet_beside_the_module_is_the_one_inside() -> None:
    css = MODULE.with_suffix(".css").read_text(encoding="utf-8")
    assert f"const STYLE = `{css}`;" in MODULE.read_text(encoding="utf-8")


def test_the_types_name_what_the_module_exports_and_every_word_has_two_languages() -> None:
    code = MODULE.read_text(encoding="utf-8")
    exported = set(re.findall(r"^export (?:async )?(?:function|class|const) (\w+)", code, re.M))
    types = MODULE.with_name("huzheng-code.d.ts").read_text(encoding="utf-8")
    assert set(re.findall(r"^export (?:declare )?(?:function|class|const) (\w+)", types, re.M)) == exported
    zh, en = re.findall(r'^  (?:"zh-CN"|en): \{\n(.*?)^  \},', code, re.M | re.S)
    words = [re.findall(r'^    "([\w.]+)": "(.+)",$', each, re.M) for each in (zh, en)]
    assert [key for key, _ in words[0]] == [key for key, _ in words[1]]
    assert all(re.findall(r"\{\w+\}", a) == re.findall(r"\{\w+\}", b) for (_, a), (_, b) in zip(*words, strict=True))
    assert {f"end.{state}" for state in (*SHOWING.ends, "UNDETERMINED")} <= {key for key, _ in words[0]}
    used = set(re.findall(r'\bt\("([\w.]+)"', code))
    assert {key for key in used if not key.endswith(".")} <= {key for key, _ in words[0]}
