"""Numbers and names of people: golden cases that ready-made packages get wrong, and one law for all else:
*read or refused, never any other error*. Everybody is synthetic."""

from __future__ import annotations

import contextlib
import re
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent.certificate_numbers import (
    CertificateIdentifier,
    CertificateNumber,
    CheckDialect,
    NumberKind,
    legacy_check_character,
)
from consent.divisions import Standing, divisions, standing_of, stood_in
from consent.errors import Reason, Refusal
from consent.people import (
    NAME_LIMIT,
    CitizenId,
    Flag,
    IdKind,
    Name,
    Sex,
    Uscc,
    expand_legacy,
    id_check_character,
    synthetic_id,
    uscc_check_character,
)

TODAY = date(2026, 11, 24)


def number(division: str, born: str = "19900307", sequence: str = "003") -> str:
    """A number with a right check character; sequences 000 to 009 mark it as synthetic."""
    body = division + born + sequence
    return body + id_check_character(body)


def read(text: str) -> CitizenId:
    return CitizenId.parse(text, today=TODAY)


def refused(text: object) -> Reason:
    with pytest.raises(Refusal) as caught:
        CitizenId.parse(text, today=TODAY)  # type: ignore[arg-type]
    return caught.value.reason


# Citizen ID


def test_the_example_of_the_standard_has_its_check_character() -> None:
    """GB 11643-1999 prints 11010519491231002X and 440524188001010014."""
    assert id_check_character("11010519491231002") == "X"
    assert id_check_character("44052418800101001") == "4"


@pytest.mark.parametrize("division", ["330113", "330114", "310101", "340181", "330383", "110105"])
def test_current_counties_and_other_provinces_are_read_without_a_flag(division: str) -> None:
    person = read(number(division))
    assert (person.kind, person.flags) == (IdKind.CITIZEN, frozenset())


@pytest.mark.parametrize("division", ["310108", "341402", "330103", "320684", "310230"])
def test_a_retired_county_is_flagged_and_never_refused(division: str) -> None:
    assert read(number(division)).flags == {Flag.DIVISION_RETIRED}


def test_unknown_and_statistical_counties_are_flagged_and_never_refused() -> None:
    assert read(number("310199")).flags == {Flag.DIVISION_UNKNOWN}
    assert read(number("320576")).flags == {Flag.DIVISION_STATISTICAL}


@pytest.mark.parametrize("division", ["810000", "820000", "830000"])
def test_residents_from_hong_kong_macao_and_taiwan_have_numbers_like_everybody(division: str) -> None:
    person = read(number(division))
    assert (person.kind, person.flags) == (IdKind.HK_MACAO_TAIWAN_PERMIT, frozenset())


def test_a_foreign_permanent_resident_is_read_whatever_the_country_code() -> None:
    person = read(number("931840", "19850614", "002"))
    assert (person.kind, person.sex, person.flags) == (
        IdKind.PERMANENT_RESIDENT,
        Sex.FEMALE,
        frozenset(),
    )
    assert person.birth_date == date(1985, 6, 14)


@pytest.mark.parametrize("prefix", ["16", "20", "38", "40", "55", "60", "66", "70", "72", "80", "84", "89"])
def test_a_province_that_does_not_exist_is_refused(prefix: str) -> None:
    assert refused(number(prefix + "0101")) is Reason.ID_NUMBER_MALFORMED


@pytest.mark.parametrize("born", ["20990101", "20261125", "18991231", "20230230", "20230229", "20231301", "00000000"])
def test_a_birth_date_that_cannot_be_is_refused(born: str) -> None:
    assert refused(number("310101", born)) is Reason.ID_NUMBER_MALFORMED


@pytest.mark.parametrize("born", ["19000101", "20261124", "20240229"])
def test_the_first_and_last_possible_days_and_leap_days_are_read(born: str) -> None:
    assert read(number("310101", born)).birth_date.strftime("%Y%m%d") == born


def test_every_wrong_check_character_is_refused() -> None:
    right = number("330113")
    for wrong in set("0123456789X") - {right[17]}:
        assert refused(right[:17] + wrong) is Reason.ID_NUMBER_MALFORMED


def test_a_lower_case_x_and_blanks_around_it_are_forgiven() -> None:
    body = next(n for n in (f"31019919900307{s:03d}" for s in range(99)) if id_check_character(n) == "X")
    assert read(f" {body}x\r\n").number == body + "X"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "310101",
        number("310101") + "0",
        "０" * 18,
        "x" * 18,
        number("310101")[:9] + " " + number("310101")[9:],
    ],
)
def test_other_shapes_are_refused(text: str) -> None:
    assert refused(text) is Reason.ID_NUMBER_MALFORMED


@pytest.mark.parametrize("thing", [b"310101", None, 310101199003070030, ["3"]])
def test_what_is_no_text_is_refused_too(thing: object) -> None:
    assert refused(thing) is Reason.ID_NUMBER_MALFORMED


def test_the_seventeenth_digit_says_the_sex() -> None:
    assert read(number("310199", sequence="005")).sex is Sex.MALE
    assert read(number("310199", sequence="006")).sex is Sex.FEMALE


def test_a_masked_number_shows_six_and_four() -> None:
    full = number("310199")
    assert read(full).masked() == f"310199********{full[-4:]}"


def test_a_fifteen_digit_number_is_only_a_search_key() -> None:
    old = expand_legacy(" 310108650307003 ", today=TODAY)
    assert old.number == number("310108", "19650307", "003")
    assert (old.kind, old.flags) == (IdKind.LEGACY, frozenset({Flag.DIVISION_RETIRED}))
    assert old.compare_key != read(old.number).compare_key
    assert read(old.number).compare_key == old.number
    assert refused("310108650307003") is Reason.ID_NUMBER_MALFORMED


@pytest.mark.parametrize("text", ["", "310108650231003", "91010865030700X", "31010865030700", b"310108650307003"])
def test_a_wrong_fifteen_digit_number_is_refused(text: str) -> None:
    with pytest.raises(Refusal):
        expand_legacy(text, today=TODAY)


def test_nothing_of_a_person_is_printed() -> None:
    person, name = read(number("310199")), Name.parse("欧阳娜娜")
    assert not re.search(r"\d{4}|male", f"{person!r} {person}")
    assert "欧" not in f"{name!r} {name}"


def test_a_synthetic_number_is_read_back_and_its_county_never_existed() -> None:
    for division in ("310199", "320199", "330199", "340199"):
        assert division not in divisions()
        person = read(synthetic_id(division, date(1988, 12, 31), 7))
        assert (person.birth_date, person.sex, person.flags) == (
            date(1988, 12, 31),
            Sex.MALE,
            frozenset({Flag.DIVISION_UNKNOWN}),
        )


@pytest.mark.parametrize(
    ("division", "sequence"),
    [
        ("310101", 1),
        ("310108", 1),
        ("320576", 1),
        ("110199", 1),
        ("310100", 1),
        ("31019", 1),
        ("310199", 1000),
    ],
)
def test_a_number_that_might_be_somebodys_is_never_made(division: str, sequence: int) -> None:
    with pytest.raises(ValueError):
        synthetic_id(division, date(1988, 12, 31), sequence)


# Divisions


def test_the_table_knows_current_retired_and_statistical_counties() -> None:
    standings = [division.standing for division in divisions().values()]
    assert [standings.count(s) for s in (Standing.CURRENT, Standing.RETIRED, Standing.STATISTICAL)] == [
        305,
        64,
        24,
    ]
    assert divisions()["310108"].name == "闸北区"
    assert standing_of("110101") is Standing.ELSEWHERE


def test_a_county_stood_until_its_last_year() -> None:
    assert stood_in("310108", 2014)
    assert not stood_in("310108", 2016)
    assert stood_in("330103", 2016)  # its last year is not known: nobody is accused on a guess
    assert stood_in("110101", 2016)
    assert not stood_in("310199", 2016)
    assert not stood_in("320576", 2016)


# Unified social credit codes


@pytest.mark.parametrize(
    "code",
    [
        "11310101MB99990179",
        "11320102MB9999017U",
        "11330102MB99990170",
        "11340102MB99990174",
        "111000000000131433",
    ],
)
def test_a_right_organisation_code_is_read(code: str) -> None:
    assert Uscc.parse(f" {code.lower()}\n").code == code
    assert Uscc.parse(code).division == code[2:8]


@pytest.mark.parametrize(
    "code",
    [
        "",
        "11310101MB9999017",
        "1131010IMB99990179",
        "11310101MB9999017Z",
        "11310101MB99990178",  # check character
        "11310101MB99990189",  # organisation check character
        "11310101MB99990279",
        "１１310101MB99990179",
    ],
)
def test_a_wrong_organisation_code_is_refused(code: str) -> None:
    with pytest.raises(Refusal) as caught:
        Uscc.parse(code)
    assert caught.value.reason is Reason.USCC_MALFORMED


def test_an_organisation_code_needs_both_of_its_check_characters() -> None:
    """Here the inner one is wrong while the outer one is right."""
    wrong_inside = "11310101MB9999018"
    with pytest.raises(Refusal) as caught:
        Uscc.parse(wrong_inside + uscc_check_character(wrong_inside))
    assert caught.value.detail == "organisation check character"


# Names

LONG_HAN = "阿卜杜热合曼江艾合买提吐尔逊古丽娜尔买买提依明江"


@pytest.mark.parametrize(
    "text",
    [
        "张三",
        "阿依古丽·买买提",
        "欧阳娜娜",
        "\U0002cb69",
        "㛃䶮",
        LONG_HAN,
        "\U0002cb69" * NAME_LIMIT,
        "O'BRIEN ANNE-MARIE",
    ],
)
def test_a_registered_name_is_kept_as_it_is(text: str) -> None:
    assert Name.parse(text).raw == text


def test_a_name_of_twenty_five_han_characters_fits() -> None:
    assert len(LONG_HAN) >= 24
    assert Name.parse("汉" * 25).raw == "汉" * 25


def test_length_is_counted_in_code_points() -> None:
    with pytest.raises(Refusal) as caught:
        Name.parse("\U0002cb69" * (NAME_LIMIT + 1))
    assert caught.value.reason is Reason.NAME_MALFORMED


@pytest.mark.parametrize("dot", list("\u2022\u30fb\uff65\u2027\uff0e."))
def test_confusable_dots_compare_equal_and_are_kept(dot: str) -> None:
    name = Name.parse(f"阿依古丽{dot}买买提")
    assert name.raw == f"阿依古丽{dot}买买提"
    assert name.compare_key == Name.parse("阿依古丽\u00b7买买提").compare_key == "阿依古丽\u00b7买买提"
    assert name.masked() == f"阿***{dot}**提"


def test_a_compatibility_character_is_another_character() -> None:
    """NFC would turn U+F9D1 into U+516D and so change somebody's registered name."""
    assert Name.parse("\uf9d1六").raw == "\uf9d1六"
    assert Name.parse("\uf9d1").compare_key != Name.parse("六").compare_key


@pytest.mark.parametrize("char", ["\ue000", "\ue81e", "\uf8ff", "\U000f0000", "\U0010fffd"])
def test_a_private_use_character_has_its_own_reason(char: str) -> None:
    with pytest.raises(Refusal) as caught:
        Name.parse(f"张{char}")
    assert caught.value.reason is Reason.NAME_PUA_CHARACTER


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  ",
        "···",
        "张\n三",
        "张\x00",
        "张\ud800",
        "张\u200b三",
        "\u202e三张",
        "张\ufffe",
        "张\ufdd0",
        "张\u2028三",
    ],
)
def test_controls_invisible_characters_and_empty_names_are_refused(text: str) -> None:
    with pytest.raises(Refusal) as caught:
        Name.parse(text)
    assert caught.value.reason is Reason.NAME_MALFORMED


def test_a_name_that_lost_a_character_on_the_way_is_refused() -> None:
    with pytest.raises(Refusal) as caught:
        Name.parse("张\ufffd")
    assert caught.value.reason is Reason.NAME_MALFORMED


def test_a_name_that_is_bytes_is_refused() -> None:
    with pytest.raises(Refusal):
        Name.parse("张三".encode("gb18030"))  # type: ignore[arg-type]


def test_padding_from_a_card_is_dropped() -> None:
    assert Name.parse("\u3000张三   ").raw == "张三"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("张", "*"),
        ("张三", "张*"),
        ("张小三", "张*三"),
        ("欧阳娜娜", "欧**娜"),
        ("阿依古丽·买买提", "阿***·**提"),
        ("阿·提", "阿·*"),
        ("\U0002cb69三", "\U0002cb69*"),
        ("JANE DOE", "J*** **E"),
    ],
)
def test_a_masked_name(text: str, masked: str) -> None:
    assert Name.parse(text).masked() == masked


# Certificate numbers and identifiers


def test_a_certificate_number_is_read_in_its_parts() -> None:
    found = CertificateNumber.parse("J310108-2010-000001")
    assert (found.kind, found.division, found.year, found.sequence) == (
        NumberKind.MARRIAGE,
        "310108",
        2010,
        "000001",
    )
    assert found.division_stood
    assert found.fits_registration(2010)
    assert not found.fits_registration(2011)
    assert not CertificateNumber.parse("J310108-2017-000001").division_stood


def test_a_reissued_number_may_be_younger_than_the_registration() -> None:
    found = CertificateNumber.parse("BL320102-2024-000001")
    assert found.kind is NumberKind.DIVORCE_REISSUED
    assert found.fits_registration(1999)
    assert not found.fits_registration(2025)


def test_only_writing_habits_of_a_number_are_unified() -> None:
    found = CertificateNumber.parse(" ｂｊ310101—２０１０－000001 ")
    assert found.normal == "BJ310101-2010-000001"
    assert found.raw == "ｂｊ310101—２０１０－000001"


@pytest.mark.parametrize("text", ["京海结字20250001", "政字第2002208号", "J310101-2010-01", "J310101-1810-000001"])
def test_an_old_form_is_a_valid_number(text: str) -> None:
    found = CertificateNumber.parse(text)
    assert (found.kind, found.raw) == (NumberKind.LEGACY, text)
    assert found.division_stood
    assert found.fits_registration(1985)


@pytest.mark.parametrize("text", ["", " ", "字" * 51, "J\x00", "J\ue000", "J\ud800", b"J310101-2010-000001"])
def test_a_number_without_text_is_refused(text: str) -> None:
    with pytest.raises(Refusal) as caught:
        CertificateNumber.parse(text)
    assert caught.value.reason is Reason.CERTIFICATE_NUMBER_MALFORMED


IDENTIFIERS = [
    ("11310101MB99990179", "S", "N"),
    ("11320102MB9999017U", "X", "Z"),
    ("11330102MB99990170", "N", "S"),
    ("11340102MB99990174", "8", "5"),
]


@pytest.mark.parametrize(("issuer", "standard", "legacy"), IDENTIFIERS)
def test_both_dialects_of_the_check_character_are_recognised(issuer: str, standard: str, legacy: str) -> None:
    text = f"1.2.156.3005.2.111000000000131433001.{issuer}.{'0123456789ABCDEF' * 2}.001."
    assert CertificateIdentifier.parse(text + standard).dialect is CheckDialect.STANDARD
    assert CertificateIdentifier.parse(text + legacy).dialect is CheckDialect.LEGACY
    other = next(char for char in "0123456789" if char not in (standard, legacy))
    assert CertificateIdentifier.parse(text + other).dialect is CheckDialect.NEITHER
    made = CertificateIdentifier.compose(
        type_code="111000000000131433001", issuer=issuer, serial="0123456789ABCDEF" * 2, version=1
    )
    assert made.text == text + standard


def test_an_issuer_may_be_a_division_code() -> None:
    found = CertificateIdentifier.parse("1.2.156.3005.2.111000000000131433001.340100.000000016.002.A")
    assert (found.issuer, found.serial, found.version) == ("340100", "000000016", "002")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1.2.156.3005.3.111000000000131433001.340100.1.001.A",
        "1.2.156.3005.2.1.2.3.4.5",
        b"1.2.156",
        "张" * 60,
    ],
)
def test_a_text_of_another_shape_is_no_identifier(text: str) -> None:
    with pytest.raises(Refusal) as caught:
        CertificateIdentifier.parse(text)
    assert caught.value.reason is Reason.CERTIFICATE_IDENTIFIER_MALFORMED


def test_an_identifier_is_not_made_of_wrong_parts() -> None:
    for serial, version in (("abc", 1), ("A.B", 1), ("", 1), ("A", 1000)):
        with pytest.raises(Refusal):
            CertificateIdentifier.compose(
                type_code="111000000000131433001", issuer="340100", serial=serial, version=version
            )


@given(st.text("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", max_size=80))
def test_the_field_dialect_has_a_character_for_every_body(body: str) -> None:
    assert legacy_check_character(body) in "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


# One law for everything

ANYTHING = st.one_of(
    st.text(),
    st.binary(),
    st.text("0123456789xX \n", max_size=20),
    st.from_regex(r"[1-9][0-9]{16}[0-9X]", fullmatch=True),
    st.text(st.characters(), max_size=60),
    st.integers(),
    st.none(),
)


@given(ANYTHING)
def test_anything_is_read_or_refused(thing: object) -> None:
    for reader in (
        lambda text: CitizenId.parse(text, today=TODAY).masked(),
        lambda text: expand_legacy(text, today=TODAY).masked(),
        lambda text: Uscc.parse(text).division,
        lambda text: (Name.parse(text).masked(), Name.parse(text).compare_key),
        lambda text: CertificateNumber.parse(text).division_stood,
        lambda text: CertificateIdentifier.parse(text).dialect,
    ):
        with contextlib.suppress(Refusal):
            reader(thing)


@given(st.dates(date(1900, 1, 1), TODAY), st.integers(0, 999))
def test_every_made_number_is_read_back(born: date, sequence: int) -> None:
    person = read(synthetic_id("340199", born, sequence))
    assert (person.birth_date, person.sex is Sex.MALE) == (born, sequence % 2 == 1)


@given(st.dates(date(1900, 1, 1), TODAY), st.integers(0, 999), st.integers(0, 16), st.integers(1, 9))
def test_one_wrong_digit_is_always_noticed(born: date, sequence: int, place: int, shift: int) -> None:
    right = synthetic_id("310199", born, sequence)
    wrong = right[:place] + str((int(right[place]) + shift) % 10) + right[place + 1 :]
    assert refused(wrong) is Reason.ID_NUMBER_MALFORMED


@given(st.text(st.characters(categories=("Lo", "Lu", "Ll", "Nd")), min_size=1, max_size=NAME_LIMIT))
def test_a_mask_keeps_the_length_and_shows_at_most_two_characters(text: str) -> None:
    masked = Name.parse(text).masked()
    assert len(masked) == len(text)
    assert sum(char != "*" for char in masked) <= 2
