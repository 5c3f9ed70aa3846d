"""The page behind every code: complete, in both languages, drawn from the tables, readable by people and by programs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from consent.errors import ROWS, Reason
from consent.sentences import Lang, sentences
from tests.outer import Outer, found_outer

EVERY_REASON = pytest.mark.parametrize("reason", list(Reason))
READER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}  # what browsers send


@pytest.fixture(scope="module")
def outer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outer]:
    made = found_outer(tmp_path_factory.mktemp("outer") / "31")
    yield made
    made.close()


def book(lang: Lang) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(files("wallet_api.doors").joinpath(f"causes.{lang}.json").read_text("utf-8"))
    return found


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_data(self, data: str) -> None:
        self.found.append(data.strip())


def words(html: str) -> str:
    parser = _Text()
    parser.feed(html)
    return " ".join(filter(None, parser.found))


def test_every_code_has_a_cause_and_a_step_in_both_languages() -> None:
    zh, en = book(Lang.ZH_CN), book(Lang.EN)
    for each in (zh, en):
        assert set(each["reasons"]) == {reason.value for reason in Reason}
        assert {row["step"] for row in each["reasons"].values()} == set(each["steps"])
    assert {code: row["step"] for code, row in zh["reasons"].items()} == {
        code: row["step"] for code, row in en["reasons"].items()
    }


def test_the_texts_are_in_their_language() -> None:
    for lang, wrong in ((Lang.ZH_CN, None), (Lang.EN, r"[\u4e00-\u9fff]")):
        found = book(lang)
        for text in [*found["steps"].values(), *(row["cause"] for row in found["reasons"].values())]:
            assert len(text) > 6
            assert text[-1] in ".。"
            if wrong is None:
                assert re.search(r"[\u4e00-\u9fff]", text)
            else:
                assert not re.search(wrong, text)


@EVERY_REASON
def test_a_step_fits_what_the_table_says_of_a_retry(reason: Reason) -> None:
    step = book(Lang.EN)["reasons"][reason]["step"]
    assert (step in ("again", "wait")) <= ROWS[reason].retry  # nobody is told to repeat what ends the same


@EVERY_REASON
def test_a_person_reads_everything_about_a_code_on_its_page(outer: Outer, reason: Reason) -> None:
    page = outer.client.get(f"/problems/{reason}", headers=READER)
    assert (page.status_code, page.content_type) == (200, "text/html; charset=utf-8")
    text = words(page.text)
    program = outer.client.get(f"/problems/{reason}").json
    assert (program["code"], program["status"], program["retry"]) == (reason, ROWS[reason].http, ROWS[reason].retry)
    for lang, name in ((Lang.ZH_CN, "zh"), (Lang.EN, "en")):
        said = [sentences(reason, lang, who) for who in ("citizen", "vendor", "counter")]
        for part in (*said, program["cause"][name], program["vendor_does"][name], program["title"][name]):
            assert part in text
    assert str(ROWS[reason].http) in text
    assert ROWS[reason].clause in text


def test_the_type_of_a_problem_leads_to_its_page(outer: Outer) -> None:
    told = outer.client.get("/v1/showings/x", headers={"Authorization": "Bearer " + "x" * 43}).json
    page = outer.client.get(told["type"], headers=READER)
    assert page.status_code == 200
    assert "UNAUTHENTICATED" in words(page.text)


def test_the_index_leads_to_every_page_and_programs_get_the_same(outer: Outer) -> None:
    index = outer.client.get("/problems", headers=READER)
    assert re.findall(r'href="/problems/([A-Z_]+)"', index.text) == [reason.value for reason in Reason]
    listed = outer.client.get("/problems").json["problems"]
    assert [each["code"] for each in listed] == [reason.value for reason in Reason]
    assert listed[0] == outer.client.get(f"/problems/{listed[0]['code']}").json
    assert "/problems" in outer.client.get("/openapi.json").json["info"]["description"]


def test_a_page_names_the_operations_that_say_its_code(outer: Outer) -> None:
    page = words(outer.client.get("/problems/WITHDRAWAL_TOO_LATE", headers=READER).text)
    assert "POST /v1/showings/{showing_id}/withdrawal" in page
    assert "/v1/certificates/lookups" not in page


def test_the_pages_run_no_script_and_ask_nothing_of_the_outside(outer: Outer) -> None:
    for path in ("/problems", "/problems/CODE_EXPIRED"):
        page = outer.client.get(path, headers=READER)
        policy = page.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "script-src" not in policy
        assert "unsafe" not in policy
        assert not re.search(r"<script|style=|https?://|\son\w+=", page.text)
        for name in re.findall(r'(?:src|href)="(/[^"]+)"', page.text):
            assert outer.client.get(name, headers={"Accept": "*/*"}).status_code == 200
        again = outer.client.get(path, headers={**READER, "If-None-Match": page.headers["ETag"]})
        assert again.status_code == 304
        assert page.headers["Vary"] == "Accept"


@pytest.mark.parametrize(
    "code", ["NOTHING", "code_expired", "%00", "<script>", "../openapi.json", "_generate_next_value_"]
)
def test_what_is_no_code_has_no_page(outer: Outer, code: str) -> None:
    for headers in (READER, {}):
        assert outer.client.get(f"/problems/{code}", headers=headers).status_code == 404


def test_the_data_is_packed_with_the_program() -> None:
    for name in ("causes.en.json", "causes.zh-CN.json", "templates/problems/one.html", "static/problems.css"):
        assert Path(str(files("wallet_api.doors").joinpath(name))).is_file()
