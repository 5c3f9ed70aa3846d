"""Matters and scopes: denied unless a row says yes on that very day, and never for a commercial user."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consent.errors import Reason, Refusal
from consent.keys import KeyRing, new_key
from consent.provinces import provinces
from consent.seal import seal
from scanner_kiosk.country.units import units_of
from tests.counts import count
from verifier.library.disclosure import DISCLOSABLE
from verifier.matters.catalogue import Catalogue, load_catalogue, read_catalogue
from verifier.matters.scope import SCOPE, Listed, Scope, Unit, load_scopes, open_scope, seal_scope, second_officer

NOW = datetime(2026, 3, 2, 1, 2, 3, tzinfo=UTC)
TODAY = date(2026, 3, 2)
YEAR = timedelta(days=365)
SLUGS = {"marriage.register", "divorce.apply", "realestate.register", "provident.withdraw_spouse"}

KEYS = {code: new_key("EdDSA", issuer=code) for code in provinces()}
RING = KeyRing([key.published(SCOPE.typ, not_before=NOW - 3 * YEAR, not_after=NOW + 3 * YEAR) for key in KEYS.values()])


def refused(reason: Reason, call: Callable[[], object]) -> Refusal:
    with pytest.raises(Refusal) as caught:
        call()
    assert caught.value.reason is reason
    return caught.value


def rows() -> dict[str, Any]:
    """The catalogue as data, to be spoilt."""
    found: dict[str, Any] = json.loads(files("verifier.matters").joinpath("catalogue.json").read_text(encoding="utf-8"))
    return found


# The catalogue --------------------------------------------------------------------------------------------


def test_the_catalogue_has_four_matters_and_marriage_has_two_rows() -> None:
    found = [row.slug for row in load_catalogue().rows]
    assert set(found) == SLUGS
    assert {slug: found.count(slug) for slug in SLUGS if found.count(slug) > 1} == {"marriage.register": 2}


@pytest.mark.parametrize(
    ("day", "precondition"),
    [
        (date(2025, 5, 9), "status_differs_from_household_book"),
        (date(2025, 5, 10), "online_check_differs_or_offered"),
    ],
)
def test_marriage_registration_follows_the_regulation_of_its_day(day: date, precondition: str) -> None:
    matter = load_catalogue().on("marriage.register", day)
    assert [each.slug for each in matter.preconditions] == [precondition]
    assert matter.types == ("divorce",)


@pytest.mark.parametrize(
    ("slug", "first"),
    [
        ("marriage.register", date(2024, 6, 1)),
        ("divorce.apply", date(2024, 6, 1)),
        ("realestate.register", date(2025, 1, 1)),
        ("provident.withdraw_spouse", date(2025, 1, 1)),
    ],
)
def test_a_phase_that_has_not_begun_is_refused_with_its_first_day(slug: str, first: date) -> None:
    catalogue = load_catalogue()
    no = refused(Reason.PHASE_NOT_BEGUN, lambda: catalogue.on(slug, first - timedelta(days=1)))
    assert no.facts["date"] == first.isoformat()
    assert catalogue.on(slug, first).valid_from == first


def test_once_begun_exactly_one_row_holds_on_every_day() -> None:
    catalogue = load_catalogue()
    for slug in SLUGS:
        first = min(row.valid_from for row in catalogue.rows if row.slug == slug)
        for day in (first + timedelta(days=n) for n in range(1500)):
            assert sum(row.slug == slug and row.covers(day) for row in catalogue.rows) == 1


@pytest.mark.parametrize("slug", ["", "marriage", "marriage.register ", "certificate.reissue", "household.spouse_join"])
def test_what_is_not_written_is_denied(slug: str) -> None:
    refused(Reason.MATTER_UNKNOWN, lambda: load_catalogue().on(slug, TODAY))


def test_a_second_officer_is_wanted_where_somebodys_marital_status_itself_changes() -> None:
    wanted = {row.slug for row in load_catalogue().rows if row.second_officer}
    assert wanted == {"marriage.register", "divorce.apply"}
    assert not any(row.second_officer for row in load_catalogue().rows if row.slug not in wanted)


def test_a_matter_that_has_ended_is_unknown_again() -> None:
    data = rows()
    (row,) = (each for each in data["matters"] if each["slug"] == "divorce.apply")
    row["to"] = "2025-12-31"
    catalogue = read_catalogue(data)
    assert catalogue.on("divorce.apply", date(2025, 12, 31)).valid_to == date(2025, 12, 31)
    refused(Reason.MATTER_UNKNOWN, lambda: catalogue.on("divorce.apply", date(2026, 1, 1)))


def test_every_field_can_be_disclosed_in_the_way_that_its_matter_says() -> None:
    for row in load_catalogue().rows:
        assert all(field.disclosure in DISCLOSABLE[field.name] for field in row.fields), row.slug


def test_the_other_party_is_only_ever_masked() -> None:
    ways = {field.disclosure for row in load_catalogue().rows for field in row.fields if "other_party" in field.name}
    assert ways == {"MASKED"}


def test_outside_marriage_registration_a_declaration_is_needed_and_inside_none() -> None:
    """Notice 二(一)2: declaration and authorisation are two things (A20)."""
    for row in load_catalogue().rows:
        declared = [each.slug for each in row.declarations]
        assert declared == (["marital_status"] if row.clause.endswith("二(一)2") else []), row.slug


def test_a_divorce_needs_both_booklets_lost_and_a_statement() -> None:
    matter = load_catalogue().on("divorce.apply", TODAY)
    assert [each.slug for each in matter.preconditions] == ["both_booklets_lost", "loss_statement_signed"]
    assert all("损毁" in each.text_zh for each in matter.preconditions)
    assert matter.types == ("marriage",)


def test_every_matter_asks_for_the_person_at_the_counter() -> None:
    assert all(row.holder_match for row in load_catalogue().rows)


def test_the_provident_fund_learns_neither_date_nor_place_nor_number() -> None:
    fields = {field.name: field.disclosure for field in load_catalogue().on("provident.withdraw_spouse", TODAY).fields}
    assert fields == {"holder_match": "MATCH", "certificate_number": "MASKED", "other_party_name": "MASKED"}


def _other_plain(data: dict[str, Any]) -> None:
    data["matters"][2]["fields"]["other_party_id"] = "PLAIN"


def _other_matched(data: dict[str, Any]) -> None:
    data["matters"][2]["fields"]["other_party_id"] = "MATCH"


def _at_least(data: dict[str, Any]) -> None:
    data["matters"][3]["fields"]["registration_date"] = "AT_LEAST_DATE"


def _unlabelled(data: dict[str, Any]) -> None:
    data["matters"][0]["fields"] |= {"photo": "PLAIN", "ethnicity": "PLAIN"}


def _overlap(data: dict[str, Any]) -> None:
    data["matters"][0]["to"] = "2025-05-10"


def _backwards(data: dict[str, Any]) -> None:
    data["matters"][0]["to"] = "2024-05-31"


def _no_match(data: dict[str, Any]) -> None:
    data["matters"][4]["holder_match"] = False


def _twice(data: dict[str, Any]) -> None:
    data["matters"][2]["preconditions"][1]["slug"] = "both_booklets_lost"


def _missing(data: dict[str, Any]) -> None:
    del data["matters"][1]["retention"]
    data["matters"][1]["retntion"] = "typo"


def _method(data: dict[str, Any]) -> None:
    data["matters"][4]["methods"] = ["telephone"]


def _day(data: dict[str, Any]) -> None:
    data["matters"][4]["from"] = "20250101"


def _type(data: dict[str, Any]) -> None:
    data["matters"][4]["types"] = ["birth"]


def _top(data: dict[str, Any]) -> None:
    data["more"] = 1


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            _other_plain,
            "row 3 (divorce.apply from 2024-06-01): the other party did not consent and is only shown masked",
        ),
        (
            _other_matched,
            "row 3 (divorce.apply from 2024-06-01): the other party did not consent and is only shown masked",
        ),
        (_at_least, "row 4 (realestate.register from 2025-01-01): no request carries a date to compare with"),
        (_unlabelled, "row 1 (marriage.register from 2024-06-01): no label for ethnicity, photo"),
        (_overlap, "marriage.register: two rows hold on 2025-05-10"),
        (_backwards, "row 1 (marriage.register from 2024-06-01): ends before it begins"),
        (
            _no_match,
            "row 5 (provident.withdraw_spouse from 2025-01-01): discloses holder_match and does not ask for one",
        ),
        (_twice, "row 3 (divorce.apply from 2024-06-01): a precondition or declaration twice"),
        (_missing, "row 2: missing or unknown: retention, retntion"),
        (_method, "row 5 (provident.withdraw_spouse from 2025-01-01): methods"),
        (_day, "row 5 (provident.withdraw_spouse from 20250101): from"),
        (_type, "row 5 (provident.withdraw_spouse from 2025-01-01): types"),
        (_top, "catalogue: notes, fields with their labels, matters, and nothing else"),
    ],
)
def test_a_faulty_catalogue_stops_the_start_and_says_where(
    spoil: Callable[[dict[str, Any]], None], message: str
) -> None:
    data = rows()
    spoil(data)
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        read_catalogue(data)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(["PLAIN", "2025-01-01", "app"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=count(500, 50), deadline=None)
@given(data=st.data())
def test_a_catalogue_is_read_or_a_value_error(data: st.DataObject) -> None:
    whole: Any = rows()
    place: Any = whole
    while True:  # walk to a random member, and put something else there
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = data.draw(st.sampled_from(keys))
        if isinstance(place[key], dict | list) and place[key] and data.draw(st.booleans()):
            place = place[key]
            continue
        place[key] = data.draw(_JSON)
        break
    with suppress(ValueError):
        assert isinstance(read_catalogue(whole), Catalogue)


# The scope ------------------------------------------------------------------------------------------------


def scope_of(code: str, *units: Unit, narrowed: dict[str, list[str]] | None = None) -> Scope:
    text = seal_scope(units, KEYS[code], version=7, now=NOW, narrowed=narrowed)
    return open_scope(text, RING, province=code, now=NOW)


UNITS = {next(iter(unit.windows))[3]: unit for unit in units_of("31", load_catalogue())}
REGISTRY, ESTATE, FUND, BANK = UNITS["M"], UNITS["R"], UNITS["P"], UNITS["B"]
SHANGHAI = scope_of("31", *UNITS.values())


def test_a_scope_comes_out_of_its_seal_as_it_went_in() -> None:
    assert SHANGHAI.version == 7
    assert dict(SHANGHAI.units) == {unit.uscc: unit for unit in UNITS.values()}


def test_a_matter_on_the_list_is_given_with_its_fields() -> None:
    listed = SHANGHAI.listing(ESTATE.uscc, "realestate.register", TODAY)
    assert listed.types == ("marriage", "divorce")
    assert "registration_date" in listed.fields


@pytest.mark.parametrize("slug", sorted(SLUGS | {"unheard.of"}))
@pytest.mark.parametrize("day", [date(2000, 1, 1), TODAY, date(2099, 1, 1)])
def test_a_commercial_user_is_refused_whatever_is_listed(slug: str, day: date) -> None:
    everything = tuple(
        Listed(matter=each, types=("marriage", "divorce"), fields=("holder_match",), valid_from=day, valid_to=None)
        for each in sorted(SLUGS)
    )
    bank = replace(BANK, listed=everything)
    refused(Reason.COMMERCIAL_USER, lambda: scope_of("31", bank).listing(bank.uscc, slug, day))


def test_a_matter_that_is_not_listed_is_denied() -> None:
    refused(Reason.SCOPE_NOT_LISTED, lambda: SHANGHAI.listing(REGISTRY.uscc, "realestate.register", TODAY))


def test_a_listing_holds_from_its_first_to_its_last_day() -> None:
    (row,) = FUND.listed
    unit = replace(FUND, listed=(replace(row, valid_from=date(2026, 1, 1), valid_to=date(2026, 1, 31)),))
    scope = scope_of("31", unit)
    for day in (date(2026, 1, 1), date(2026, 1, 31)):
        assert scope.listing(unit.uscc, row.matter, day).matter == row.matter
    for day in (date(2025, 12, 31), date(2026, 2, 1)):
        with pytest.raises(Refusal) as caught:
            scope.listing(unit.uscc, row.matter, day)
        assert caught.value.reason is Reason.SCOPE_NOT_LISTED


def test_units_and_windows_that_are_not_listed_are_unknown() -> None:
    refused(Reason.UNIT_UNKNOWN, lambda: SHANGHAI.unit("11320000MB9999113X"))
    refused(Reason.UNIT_UNKNOWN, lambda: SHANGHAI.listing("", "realestate.register", TODAY))
    refused(Reason.WINDOW_UNKNOWN, lambda: REGISTRY.window(next(iter(ESTATE.windows))))
    refused(Reason.WINDOW_UNKNOWN, lambda: SHANGHAI.unit_of_window("31-Z1"))
    window = next(iter(ESTATE.windows))
    assert SHANGHAI.unit_of_window(window) == ESTATE
    assert ESTATE.window(window) == "1号窗口"


def test_a_province_narrows_what_it_lets_out_and_never_widens_it() -> None:
    scope = scope_of("31", narrowed={"realestate.register": ["holder_match", "photo"], "divorce.apply": []})
    asked = ("holder_match", "registration_date")
    assert scope.narrow("realestate.register", asked) == ("holder_match",)
    assert scope.narrow("divorce.apply", asked) == ()
    assert scope.narrow("marriage.register", asked) == asked


def test_another_province_cannot_seal_a_scope_for_this_one() -> None:
    text = seal_scope(UNITS.values(), KEYS["32"], version=1, now=NOW)
    refused(Reason.DOCUMENT_CLAIMS, lambda: open_scope(text, RING, province="31", now=NOW))


def test_a_scope_lives_400_days_and_no_longer() -> None:
    text = seal_scope(UNITS.values(), KEYS["31"], version=1, now=NOW)
    assert open_scope(text, RING, province="31", now=NOW + timedelta(days=400, seconds=-1)).version == 1
    refused(Reason.DOCUMENT_EXPIRED, lambda: open_scope(text, RING, province="31", now=NOW + timedelta(days=400)))


def test_five_hundred_units_fit() -> None:
    many = [
        replace(ESTATE, uscc=f"12310000MB{n:08d}", windows={f"{n}-1": "1号窗口", f"{n}-2": "2号窗口"})
        for n in range(500)
    ]
    assert len(scope_of("31", *many).units) == 500


def _claims() -> dict[str, Any]:
    unit = {
        "uscc": ESTATE.uscc,
        "name_zh": "中心",
        "name_en": "Centre",
        "kind": "government",
        "place_zh": "上海",
        "place_en": "Shanghai",
        "division": "310101",
        "windows": [{"id": "w1", "name": "1号窗口"}],
        "listed": [
            {
                "matter": "realestate.register",
                "types": ["marriage"],
                "fields": ["holder_match"],
                "valid_from": "2025-01-01",
                "valid_to": None,
            }
        ],
    }
    return {"version": 1, "units": [unit], "narrowed": [], "second_officer": []}


def _same_window(claims: dict[str, Any]) -> None:
    claims["units"][0]["windows"] *= 2


def _same_unit(claims: dict[str, Any]) -> None:
    claims["units"].append({**claims["units"][0], "windows": [{"id": "w2", "name": "2号窗口"}]})


def _shared_window(claims: dict[str, Any]) -> None:
    claims["units"].append({**claims["units"][0], "uscc": FUND.uscc})


def _narrowed_twice(claims: dict[str, Any]) -> None:
    claims["narrowed"] = [{"matter": "divorce.apply", "fields": []}, {"matter": "divorce.apply", "fields": ["photo"]}]


def _officer_twice(claims: dict[str, Any]) -> None:
    claims["second_officer"] = ["divorce.apply", "divorce.apply"]


def _no_such_day(claims: dict[str, Any]) -> None:
    claims["units"][0]["listed"][0]["valid_from"] = "2025-02-30"


@pytest.mark.parametrize(
    "spoil", [_same_window, _same_unit, _shared_window, _narrowed_twice, _officer_twice, _no_such_day]
)
def test_a_scope_that_contradicts_itself_is_refused(spoil: Callable[[dict[str, Any]], None]) -> None:
    claims = _claims()
    assert open_scope(seal(SCOPE, claims, KEYS["31"], audience="all", now=NOW), RING, province="31", now=NOW).units
    spoil(claims)
    text = seal(SCOPE, claims, KEYS["31"], audience="all", now=NOW)
    refused(Reason.DOCUMENT_CLAIMS, lambda: open_scope(text, RING, province="31", now=NOW))


def test_all_provinces_scopes_are_loaded_from_a_folder(tmp_path: Path) -> None:
    for code, key in KEYS.items():
        text = seal_scope(units_of(code, load_catalogue()), key, version=1, now=NOW)
        (tmp_path / f"scope-{code}.jwt").write_text(text, encoding="ascii")
    assert set(load_scopes(tmp_path, RING, now=NOW)) == set(provinces())


def test_a_province_adds_matters_that_want_a_second_officer_and_takes_none_away() -> None:
    text = seal_scope([], KEYS["33"], version=1, now=NOW, second_officer=["realestate.register"])
    adds = open_scope(text, RING, province="33", now=NOW)
    for row in load_catalogue().rows:
        assert second_officer(row, [SHANGHAI]) == row.second_officer, "who adds nothing changes nothing"
        assert second_officer(row, [SHANGHAI, adds]) == (row.second_officer or row.slug == "realestate.register")


@pytest.mark.parametrize("content", [None, b"\xff\xfe", b"", b"a.b.c"])
def test_a_scope_that_is_missing_or_rubbish_is_a_refusal(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "scope-31.jwt").write_bytes(content)
    with pytest.raises(Refusal):
        load_scopes(tmp_path, RING, now=NOW)
