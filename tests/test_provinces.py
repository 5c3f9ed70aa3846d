"""The four provinces are data, and the rest of the country is refused."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent.divisions import divisions
from consent.errors import Reason, Refusal
from consent.provinces import province, province_of_division, provinces


def test_there_are_four_provinces_with_an_app_each() -> None:
    assert {code: (found.name_en, found.app_id, found.app_name_zh) for code, found in provinces().items()} == {
        "31": ("Shanghai", "suishenban", "随申办"),
        "32": ("Jiangsu", "sufuban", "苏服办"),
        "33": ("Zhejiang", "zheliban", "浙里办"),
        "34": ("Anhui", "wanshitong", "皖事通"),
    }
    assert list(provinces()) == sorted(provinces())


def test_shanghai_has_a_bureau_and_the_others_have_departments() -> None:
    assert [found.civil_affairs_zh for found in provinces().values()] == [
        "上海市民政局",
        "江苏省民政厅",
        "浙江省民政厅",
        "安徽省民政厅",
    ]


def test_a_province_is_found_by_its_code_and_by_any_of_its_counties() -> None:
    for code, found in provinces().items():
        assert province(code) is found
        assert found.division == f"{code}0000"
        assert province_of_division(found.division) is found
    for code in divisions():
        assert province_of_division(code).code == code[:2]
    assert province_of_division("310199").code == "31"


@pytest.mark.parametrize("code", ["", "11", "3", "310", "３１", "sh"])
def test_another_province_is_refused(code: str) -> None:
    with pytest.raises(Refusal) as caught:
        province(code)
    assert caught.value.reason is Reason.WRONG_PROVINCE


@pytest.mark.parametrize("code", ["", "31", "110101", "3101011", "31010a", "３１０１０１", "31 101"])
def test_a_division_elsewhere_or_of_another_shape_is_refused(code: str) -> None:
    with pytest.raises(Refusal) as caught:
        province_of_division(code)
    assert caught.value.reason is Reason.WRONG_PROVINCE


@given(st.text(max_size=8) | st.sampled_from(["31", "34", "310199"]))
def test_any_text_is_a_province_or_refused(text: str) -> None:
    for find in (province, province_of_division):
        try:
            found = find(text)
        except Refusal:
            continue
        assert text.startswith(found.code)


def test_nobody_changes_the_provinces_at_run_time() -> None:
    with pytest.raises(TypeError):
        provinces()["35"] = province("31")  # type: ignore[index]
    with pytest.raises(FrozenInstanceError):
        province("31").code = "35"  # type: ignore[misc]
