"""Naughty strings through every text field of every operation: taken and given back unchanged, or refused, never a fault.

The fields are found in the descriptions of the interfaces, so an operation that is new is tested as it is. The list is our
own: what Chinese names and forms bring along, and what breaks programs.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import pytest
from werkzeug.test import Client

from consent.b64 import from_b64, new_id
from consent.errors import Refusal
from tests.country import Stage
from tests.counts import count
from tests.outer import Outer, Phone, found_outer
from tests.test_interfaces import Honest, _window

pytestmark = pytest.mark.full  # visits and processes: each takes seconds

LONG_NAME: Final = (
    "阿卜杜热合曼·买买提吐尔逊·麦合木提江·阿布都克里木·艾则孜·吐尔逊江·古丽巴哈尔·再"  # minority names run to fifty
)

# In the quick run the first of them; the rest are of the same kinds.
NAUGHTY: Final = (
    LONG_NAME[:50].ljust(50, "江"),
    "👨‍👩‍👧‍👦💍\u202e王芳\u202c",  # beyond the first plane, written from right to left
    "a\x00b",
    "\ud800",  # half a character
    "line\r\nSet-Cookie: a=b",
    "x" * 20_000,
    "张伟",
    "a\u200bb\ufeff",  # of no width
    "مرحبا ‏שלום",
    "'; DROP TABLE vendors; --",
    "{{7*7}}${7*7}<script>alert(1)</script>",
    "",
    " ",
    "\u3000",
    "\t\n\x0b\x0c\r",
    "".join(map(chr, range(1, 32))),
    "\x7f\x80\x9f",
    "\udfff\ud800",
    "a\udc00b",
    "\uffff\ufffe",
    "\ue000\uf8ff",  # a private-use area
    "𬭩㛃𠮷𪚥",
    "\U0010ffff",
    "e\u0301\u0323" + "\u0300" * 200,
    "ﷺ",
    "ｆｕｌｌ　ｗｉｄｔｈ３１０",
    "①②③㊣㈱",
    "ß İ ı ſ K",
    "阿依古丽・买买提",
    "阿依古丽•买买提",
    "·",
    "姓" * 200,
    "🏳️‍🌈🇨🇳",
    "\u2028\u2029",
    "\u2066\u2067\u2068\u2069",
    "../../etc/passwd",
    "..%2f..%2f",
    "%00%ff%u2028",
    "C:\\nul\\con",
    "`id` $(id) |id",
    "%s%n%x %(a)s {0.__class__}",
    "=cmd|' /C calc'!A0",
    "null",
    "true",
    "NaN",
    "-1",
    "0",
    "1e309",
    "9" * 400,
    "0x1f",
    "１２",
    "2026-02-30T25:61:61Z",
    "http://169.254.169.254/",
    "javascript:alert(1)",
    "data:text/html,<b>",
    "eyJhbGciOiJub25lIn0..",
    "a.b.c",
    ".." * 700,
    "YRD1:",
    "YRD1:" + "0" * 173,
    "Bearer x",
    "[]",
    "{}",
    '{"a":' * 300,
    "\\u0000",
    "\\",
    '"',
    "&lt;&amp;",
    "<![CDATA[]]>",
)
TRIED: Final = NAUGHTY[: count(len(NAUGHTY), 6)]

Sent = tuple[str, str, dict[str, Any]]


def opened(description: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    while "$ref" in schema:
        schema = description["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema


def usual(schema: Mapping[str, Any]) -> Any:
    """Something that a schema may mean."""
    kinds = schema.get("type", "string")
    kind = kinds if isinstance(kinds, str) else kinds[0]
    if "enum" in schema:
        return schema["enum"][0]
    return {"array": [], "object": {}, "integer": schema.get("minimum", 1), "boolean": True}.get(
        kind, schema.get("example", "x" * max(1, schema.get("minLength", 1)))
    )


def bodies(description: Mapping[str, Any], schema: Mapping[str, Any], text: str) -> Iterator[dict[str, Any]]:
    """Bodies with the text in one member each, in lists too, and as a name of a member."""
    members = {name: opened(description, each) for name, each in opened(description, schema)["properties"].items()}
    whole = {name: usual(each) for name, each in members.items()}
    for name, each in members.items():
        yield {**whole, name: [text] if each.get("type") == "array" else text}
    yield {**whole, text: "x"}


def requests(description: Mapping[str, Any], text: str) -> Iterator[Sent]:
    """Every operation with the text in every place that takes one: path, query, headers, members of bodies."""
    in_path = quote(text, safe="", errors="surrogatepass") or "%20"
    for rule, methods in description["paths"].items():
        shared = methods.get("parameters", [])
        for method, operation in methods.items():
            if method == "parameters":
                continue
            parameters = [each for each in (*shared, *operation.get("parameters", [])) if "$ref" not in each]
            in_rule = [each["name"] for each in parameters if each["in"] == "path"]
            path = rule
            for name in in_rule:
                path = path.replace(f"{{{name}}}", "0" * 24)
            for name in in_rule:
                told = rule.replace(f"{{{name}}}", in_path)
                for other in in_rule:
                    told = told.replace(f"{{{other}}}", "0" * 24)
                yield method, told, {}
            for each in parameters:
                if each["in"] == "query":
                    yield method, f"{path}?{each['name']}={in_path}", {}
                if each["in"] == "header" and text.isprintable() and text.isascii():
                    yield method, path, {"headers": {each["name"]: text}}
            for kind, media in operation.get("requestBody", {}).get("content", {}).items():
                for body in bodies(description, media["schema"], text):
                    yield method, path, sent(kind, body)


def sent(kind: str, body: dict[str, Any]) -> dict[str, Any]:
    if kind == "application/json":
        return {"data": json.dumps(body).encode(), "content_type": kind}
    form = "&".join(
        f"{quote(k, errors='surrogatepass')}={quote(str(v), errors='surrogatepass')}" for k, v in body.items()
    )
    return {"data": form.encode(), "content_type": kind}


def faults(app: Any, description: Mapping[str, Any], headers: Mapping[str, str], texts: tuple[str, ...]) -> list[str]:
    """Every request that ended in a fault, and how many were sent at all."""
    client, found = Client(app), []
    for text in texts:
        for method, path, more in requests(description, text):
            own = {"Idempotency-Key": new_id(), "Accept": "*/*", **headers, **more.pop("headers", {})}
            answer = client.open(path, method=method.upper(), headers=own, **more)
            if answer.status_code >= 500:
                found.append(f"{method} {path[:80]} {text[:20]!r}: {answer.status_code} {answer.text[:200]}")
            answer.close()
    return found


@pytest.fixture
def outer(tmp_path: Path) -> Iterator[Outer]:
    made = found_outer(tmp_path / "31", vendor_per_minute=1_000_000)
    yield made
    made.close()


def test_no_text_makes_the_vendors_door_fail(outer: Outer) -> None:
    description = outer.client.get("/openapi.json").json
    headers = {"Authorization": f"Bearer {outer.token()}"}
    assert faults(outer.app, description, headers, TRIED) == []
    assert [line for line in outer.log if line["level"] == "error"] == []


def test_no_text_makes_the_counters_door_fail(stage: Stage) -> None:
    app = Honest(stage.country.verifiers["32"], stage, window=_window(stage))
    description = Client(stage.country.verifiers["32"]).get("/openapi.json").json
    assert faults(app, description, {}, TRIED) == []
    assert app.faults == []


def test_no_text_makes_the_doors_for_letters_fail(stage: Stage) -> None:
    for app, name in ((stage.country.verifiers["32"], "exchange"), (stage.country.exchange, "31")):
        honest = Honest(app, stage, peer=name)
        assert faults(honest, Client(app).get("/openapi.json").json, {}, TRIED) == []


def test_what_a_counter_writes_comes_to_the_citizen_unchanged_or_is_refused(stage: Stage) -> None:
    taken = set()
    for text in TRIED:
        for member in ("case_number", "cause"):
            stage.reset()
            try:
                scene = stage.scene(**{member: text})
                scene.asked_and_shown()
            except (Refusal, UnicodeError):  # refused, or no kiosk can even send it
                continue
            claims = json.loads(from_b64(scene.row().request.split(".")[1]))
            assert claims["case" if member == "case_number" else "cause"] == text
            if member == "cause":
                assert scene.sheet()["sheet"]["cause"] == text
            taken.add(text)
    assert {NAUGHTY[0]} <= taken <= {text for text in TRIED if len(text) <= 200 and "\x00" not in text}


def test_a_login_of_any_name_opens_a_showing_or_is_refused(outer: Outer) -> None:
    for sub in TRIED:
        try:
            login = outer.login(Phone(sub=sub))
        except (Refusal, ValueError, UnicodeError):
            continue  # the app's own side cannot even write it
        answer = outer.call("POST", "/v1/showings", {"holder": login}, Idempotency_Key=new_id())
        assert answer.status_code in (201, 409, 413, 422), answer.text


def test_the_names_of_the_list_are_what_it_says() -> None:
    assert len(NAUGHTY[0]) == 50
    assert len(set(NAUGHTY)) == len(NAUGHTY)
    assert not [text for text in NAUGHTY if text.encode("utf-8", "surrogatepass").isascii() and len(text) > 20_000]
