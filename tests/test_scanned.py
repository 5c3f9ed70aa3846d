"""What a counter scanned or typed is told apart by its shape alone, or refused; nothing else can happen."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta
from importlib.resources import files
from types import SimpleNamespace
from typing import Any, cast

import base45
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consent.b64 import digest_of
from consent.code import Form, Name, mint, simple_code
from consent.counter_strings import _shapes, recognise
from consent.errors import Reason
from consent.keys import new_key
from consent.provinces import provinces
from consent.request import Request
from consent.sentences import Audience, Lang, sentences
from consent.twin import new_twin, spaced
from tests.country import START
from tests.counts import count, outcome
from verifier.scanned import resolved

ROWS = json.loads(files("consent").joinpath("counter_strings.json").read_text(encoding="utf-8"))
DRAWN = {
    "31": "https://s.sh.gov.cn/" + "0123456789abcdef" * 2 + "0123456789a",
    "32": "SFM" + "0123456789ABCDEF" * 2,
    "33": "ZJZZM" + "0123456789" * 4,
    "34": "AHM" + "0123456789ab" * 3,
}
CODE = mint(bytes(range(16)), new_key("EdDSA", issuer="31"), now=START)
TWIN = new_twin("33")
SIMPLE = simple_code("34", bytes(range(16)))
TAKEN = {
    CODE: (Form.CODE, None),
    SIMPLE: (Form.SIMPLE, "34"),
    TWIN: (Form.TWIN, "33"),
    **{text: (Form.APP, code) for code, text in DRAWN.items()},
}
# Never the texts themselves, which differ in every process: two workers must see the same names.
NAMES = [form.value if province is None else f"{form.value}-{province}" for form, province in TAKEN.values()]
REASONS = {Reason.CODE_MALFORMED, Reason.TWIN_MISTYPED}


@pytest.mark.parametrize("text", TAKEN, ids=NAMES)
def test_each_that_we_take_is_told_apart_and_its_province_named(text: str) -> None:
    form, code = TAKEN[text]
    assert recognise(text) == Name(form=form, text=text, province=code)


@pytest.mark.parametrize("text", TAKEN, ids=NAMES)
@pytest.mark.parametrize("around", [("", "\r\n"), ("\n", ""), ("  ", " \r"), ("\t", "\u3000"), ("\ufeff"[:0], "\n\n")])
def test_what_a_scanner_that_poses_as_a_keyboard_adds_is_taken_off(text: str, around: tuple[str, str]) -> None:
    assert recognise(around[0] + text + around[1]) == recognise(text)
    middle = len(text) // 2
    assert recognise(f"{text[:middle]}\r\n{text[middle:]}") == recognise(text)


def test_a_twin_may_be_typed_in_groups() -> None:
    assert recognise(spaced(TWIN)).text == TWIN


@given(st.binary(min_size=2, max_size=112).filter(lambda raw: len(raw) % 2 == 0))
@settings(max_examples=count(500, 50), deadline=None)
def test_a_blank_is_a_digit_of_base45_and_never_the_last_so_taking_it_off_loses_nothing(raw: bytes) -> None:
    text = base45.b45encode(raw).decode()
    assert text == text.rstrip()


@pytest.mark.parametrize("code", DRAWN)
def test_an_apps_string_with_one_character_more_less_or_other_is_not_taken(code: str) -> None:
    text = DRAWN[code]
    for other in (text[:-1], text + "0", text[:-1] + "!", text[:-1] + "é", "x" + text, text.swapcase()):
        assert outcome(recognise, other) in REASONS


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "\r\n",
        "https://example.cn/pay",
        "https://s.sh.gov.cn/",
        "https://s.sh.gov.cn.example.cn/" + "0" * 43,
        "http://s.sh.gov.cn/" + "0" * 43,
        "https://s.sh.gov.cn/" + "0" * 42 + "/",
        "https://s.sh.gov.cn/" + "\u0661" * 43,
        "YRD3:" + "0" * 168,
        "yrd1:",
        "\ud800",
        "🎉" * 200,
        "x" * 100_000,
        "9" * 601,
    ],
)
def test_everything_else_is_refused(text: str) -> None:
    assert outcome(recognise, text) in REASONS


PIECES = st.sampled_from(
    [*TAKEN, "YRD1:", "YRD2:", "https://s.sh.gov.cn/", "SFM", "ZJZZM", "AHM", "\r\n", " ", "0" * 43]
)
TEXTS = st.one_of(
    st.text(max_size=700),
    st.lists(st.one_of(PIECES, st.text(max_size=4)), max_size=6).map("".join),
    st.from_regex(re.compile("|".join(row["shape"] for row in ROWS), re.ASCII), fullmatch=True),
    st.text(alphabet="0123456789 -", max_size=20),
)


@given(TEXTS)
@settings(max_examples=count(500, 50), deadline=None)
def test_any_text_is_recognised_or_refused(text: str) -> None:
    found = outcome(recognise, text)
    if isinstance(found, Reason):
        assert found in REASONS
        return
    assert isinstance(found, Name)
    assert recognise(found.text) == found  # one spelling
    assert found.form is Form.CODE or found.text.isascii()  # the signature judges a code
    assert found.province is None if found.form is Form.CODE else found.province in provinces()


def test_every_province_has_one_shape_of_its_own_and_no_text_fits_two() -> None:
    assert set(_shapes()) == set(provinces()) == set(DRAWN)
    for text in TAKEN:
        assert sum(shape.fullmatch(text) is not None for shape in _shapes().values()) == (text in DRAWN.values())


def test_the_officer_reads_what_we_take() -> None:
    said_zh = sentences(Reason.CODE_MALFORMED, Lang.ZH_CN, Audience.COUNTER)
    said_en = sentences(Reason.CODE_MALFORMED, Lang.EN, Audience.COUNTER)
    assert all(row["name_zh"] in said_zh for row in ROWS)
    assert all(province.app_name_en in said_en for province in provinces().values())
    assert "证照码" in said_zh
    assert "12位数字" in said_zh


# At the province of the app ---------------------------------------------------------------------------------


class Knows:
    """An app that knows every text, and counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def resolve(self, text: str, request: Request, *, now: datetime) -> str:
        self.asked += 1
        return "6f1b0a9c3d5e7f8091a2b3c4"


def _resolved(text: str, *, bound_to: str, age: float = 0, own: str = "31") -> tuple[Any, int]:
    request = cast(
        Request,
        SimpleNamespace(
            ask=SimpleNamespace(code=digest_of(bound_to.encode())),
            sealed=SimpleNamespace(issued_at=START - timedelta(seconds=age)),
        ),
    )
    app = Knows()
    found = outcome(resolved, app, own, request, recognise(text), now=START)
    return (found if isinstance(found, Reason) else found.showing_id), app.asked


def test_a_text_is_asked_about_only_where_its_request_is_bound_to_it_is_ours_and_is_young() -> None:
    text, other = DRAWN["31"], DRAWN["33"]
    assert _resolved(text, bound_to=text) == ("6f1b0a9c3d5e7f8091a2b3c4", 1)
    assert _resolved(text, bound_to=text, age=60) == ("6f1b0a9c3d5e7f8091a2b3c4", 1)
    assert _resolved(text, bound_to=other) == (Reason.CODE_MALFORMED, 0)
    assert _resolved(other, bound_to=other) == (Reason.WRONG_PROVINCE, 0)
    assert _resolved(text, bound_to=text, age=61) == (Reason.CODE_EXPIRED, 0)
