"""What a certificate may say, and how little of it goes out: the pure half of the library."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consent.annotated_copy import DISCLOSURES
from consent.certificate_numbers import CertificateIdentifier
from consent.errors import Reason, Refusal, Unavailable
from consent.holding import STATUSES
from consent.people import synthetic_id
from consent.provinces import provinces
from tests.counts import count
from tests.shelf import HERE, HUSBAND, NOW, SOME, WIFE, certificate, fields
from verifier.library.certificate import Certificate, Party, problems
from verifier.library.disclosure import DISCLOSABLE, disclose, masked_id, masked_name, masked_number
from verifier.library.vault import Vault
from verifier.matters.catalogue import MatterField, load_catalogue

TODAY = date(2026, 3, 2)


def said(it: Certificate, level: str = "error") -> list[str]:
    return [each.text for each in problems(it, today=TODAY) if each.level == level]


# The rules of a certificate -------------------------------------------------------------------------------


def test_a_sound_certificate_has_no_problem() -> None:
    assert problems(certificate(), today=TODAY) == ()


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"status": "MARRIED"}, "a status that does not exist"),
        ({"type": "divorce"}, "certificate type and registration type do not agree"),
        ({"type": "birth"}, "certificate type and registration type do not agree"),
        ({"holder": "witness"}, "the holder is neither husband nor wife"),
        ({"registration_date": date(2026, 3, 3), "number": "J330106-2026-000123"}, "the registration date lies"),
        ({"registration_date": date(1950, 4, 30), "number": "政字第7号"}, "the registration date lies"),
        ({"authority": ""}, "the registration authority is missing or too long"),
        ({"authority": "处" * 81}, "the registration authority is missing or too long"),
        ({"version": 0}, "a version that does not exist"),
        ({"wife": HUSBAND}, "both parties have one ID number"),
        ({"wife": Party(name="", id_number=WIFE.id_number)}, "wife: NAME_MALFORMED"),
        ({"wife": Party(name="\ue000", id_number=WIFE.id_number)}, "wife: NAME_PUA_CHARACTER"),
        ({"wife": Party(name="乙", id_number="330199199006070029X")}, "wife: ID_NUMBER_MALFORMED"),
        ({"number": ""}, "CERTIFICATE_NUMBER_MALFORMED"),
        ({"number": "J330106-2014-000123"}, "the year of the number does not fit the registration date"),
        ({"number": "L330106-2015-000123"}, "the letters of the number do not fit the registration type"),
        ({"number": "BJ330106-2018-000123"}, "the letters of the number do not fit the registration type"),
        ({"identifier": "1.2.3"}, "CERTIFICATE_IDENTIFIER_MALFORMED"),
        ({"version": 2}, "the identifier is of another version"),
    ],
)
def test_each_broken_rule_is_named(changes: dict[str, Any], error: str) -> None:
    assert any(text.startswith(error) for text in said(certificate(**changes)))


def test_all_broken_rules_are_named_at_once() -> None:
    bad = certificate(
        status="?", holder="?", number="", identifier="", authority="", version=-1, husband=Party(name="", id_number="")
    )
    assert said(bad) == [
        "a status that does not exist",
        "the holder is neither husband nor wife",
        "the registration authority is missing or too long",
        "a version that does not exist",
        "husband: NAME_MALFORMED",
        "husband: ID_NUMBER_MALFORMED",
        "CERTIFICATE_NUMBER_MALFORMED",
        "CERTIFICATE_IDENTIFIER_MALFORMED",
    ]


def test_a_number_with_a_small_x_is_not_canonical() -> None:
    """The holder is found by an HMAC of these very characters: x would never be found again."""
    number = next(
        found for n in range(1, 999, 2) if (found := synthetic_id("310199", date(1988, 1, 1), n)).endswith("X")
    )
    assert said(certificate(husband=Party(name="甲", id_number=number))) == []
    small = certificate(husband=Party(name="甲", id_number=number.lower()))
    assert said(small) == ["husband: the ID number is not in its canonical form"]


def test_somebody_born_after_the_registration_is_an_error_and_somebody_young_a_warning() -> None:
    day = date(2015, 5, 20)

    def born(on: date) -> Certificate:
        return certificate(wife=Party(name="乙", id_number=synthetic_id("330199", on, 2)))

    assert said(born(day + timedelta(days=1))) == ["wife: born after the registration"]
    assert said(born(day)) == []
    young = "wife: younger than the Civil Code's age at registration"
    assert said(born(date(1995, 5, 21)), "warning") == [young]
    assert said(born(date(1995, 5, 20)), "warning") == []


def test_what_real_registers_hold_is_only_a_warning() -> None:
    swapped = certificate(husband=WIFE, wife=HUSBAND)
    assert said(swapped) == []
    assert said(swapped, "warning") == [
        "husband: the ID number says the other sex",
        "wife: the ID number says the other sex",
    ]
    good = CertificateIdentifier.parse(certificate().identifier)
    wrong = next(
        text for letter in "0123456789" if said(certificate(identifier=(text := good.text[:-1] + letter)), "warning")
    )
    assert said(certificate(identifier=wrong)) == []


def test_old_numbers_and_reissued_ones_are_sound() -> None:
    assert said(certificate(number="西结字20150001")) == []
    reissued = certificate(registration_type="ICA", number="BJ330106-2018-000123")
    assert said(reissued) == []


def test_a_certificate_comes_out_of_its_face_as_it_went_in() -> None:
    it = certificate(holder="wife")
    assert Certificate.from_face(it.face(), handle=it.handle, status=it.status) == it
    assert (it.own, it.other) == (WIFE, HUSBAND)


def test_a_certificate_does_not_print_itself() -> None:
    shown = repr(certificate())
    for secret in (HUSBAND.id_number, WIFE.id_number, HUSBAND.name, WIFE.name, "000123"):
        assert secret not in shown


# Masking --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "masked"),
    [
        ("J330106-2015-000123", "J******-****-**0123"),
        ("BL330106-2015-00000123", "BL******-****-****0123"),
        ("J330106-2015-0123", "J******-****-0123"),
        ("京海结字20250001", "**********01"),
        ("政字12", "***2"),
        ("政字1", "***"),
        ("7", "*"),
    ],
)
def test_a_masked_number_tells_neither_county_nor_year(number: str, masked: str) -> None:
    assert masked_number(number) == masked


@given(number=st.text(alphabet="京海结字政第号J0123456789-", min_size=1, max_size=50))
def test_a_masked_number_hides_most_of_any_number(number: str) -> None:
    masked = masked_number(number)
    assert len(masked) == len(number)
    assert masked.count("*") * 2 >= len(number) - 4
    assert number not in masked


def test_names_and_numbers_are_masked_in_the_shape_that_shanghai_uses() -> None:
    assert masked_name("张三") == "张*"
    assert masked_id(WIFE.id_number) == f"330199********{WIFE.id_number[-4:]}"
    assert masked_id("E1234567") == "********"


# Disclosure -----------------------------------------------------------------------------------------------

_FAMILY = st.text(alphabet="赵钱孙李周吴郑王", min_size=2, max_size=4)
_GIVEN = st.text(alphabet="冯陈褚卫蒋沈韩杨", min_size=2, max_size=4)
_BORN = st.dates(date(1940, 1, 1), date(1990, 12, 31))


@st.composite
def certificates(draw: st.DrawFn) -> Certificate:
    """Certificates of any two people, whose values are all different from everything else in a copy."""
    registered = draw(st.dates(date(2011, 1, 1), date(2024, 12, 31)))
    sequence = draw(st.integers(1, 999_999))
    return certificate(
        husband=Party(name=draw(_FAMILY), id_number=synthetic_id("310199", draw(_BORN), draw(st.integers(0, 999)))),
        wife=Party(name=draw(_GIVEN), id_number=synthetic_id("330199", draw(_BORN), draw(st.integers(0, 999)))),
        holder=draw(st.sampled_from(["husband", "wife"])),
        registration_date=registered,
        number=f"J330106-{registered.year}-{sequence:06d}",
        status=draw(st.sampled_from(["VALID", "VALID", *STATUSES])),
    )


def secrets_of(it: Certificate) -> dict[str, str]:
    """Every value of a face that would tell something, by the field that gives it in plain."""
    return {
        "holder_name": it.own.name,
        "holder_id": it.own.id_number,
        "other_party_name": it.other.name,
        "other_party_id": it.other.id_number,
        "birth date": it.other.id_number[6:14],
        "certificate_number": it.number,
        "registration_date": it.registration_date.isoformat(),
        "registration_authority": it.authority,
        "identifier": it.identifier,
        "handle": it.handle,
    }


@settings(max_examples=count(1000, 100), deadline=None)
@given(it=certificates(), data=st.data())
def test_nothing_but_the_allowed_fields_ever_appears_in_a_copy(it: Certificate, data: st.DataObject) -> None:
    names = data.draw(st.lists(st.sampled_from(sorted(DISCLOSABLE)), unique=True))
    ways = {name: data.draw(st.sampled_from(sorted(DISCLOSABLE[name]))) for name in names}
    body = disclose(it, fields(**ways), library=HERE, cause="办理业务", now=NOW)
    text = body.to_bytes().decode()
    valid = it.status == "VALID"
    assert [field.name for field in body.fields] == (names if valid else [])
    for name, secret in secrets_of(it).items():
        assert (secret in text) == (valid and ways.get(name) == "PLAIN"), name


@settings(max_examples=count(1000, 100), deadline=None)
@given(it=certificates(), name=st.sampled_from([*sorted(DISCLOSABLE), "holder_id", "photo", ""]), data=st.data())
def test_a_field_is_disclosed_in_its_own_ways_or_refused(it: Certificate, name: str, data: st.DataObject) -> None:
    way = data.draw(st.sampled_from([*DISCLOSURES, "FILE", ""]))
    asked = fields(**{name: way})
    if way in DISCLOSABLE.get(name, ()):
        disclose(it, asked, library=HERE, cause="办理业务", now=NOW)
        return
    with pytest.raises(Refusal) as caught:
        disclose(it, asked, library=HERE, cause="办理业务", now=NOW)
    assert caught.value.reason is Reason.FIELD_NOT_ALLOWED


@settings(max_examples=count(500, 60), deadline=None)
@given(it=certificates())
def test_no_matter_of_the_catalogue_gives_the_other_partys_number(it: Certificate) -> None:
    for matter in load_catalogue().rows:
        text = disclose(it, matter.fields, library=HERE, cause="办理业务", now=NOW).to_bytes().decode()
        assert it.other.id_number not in text
        assert it.other.id_number[6:14] not in text
        assert it.other.name not in text
        assert it.own.id_number not in text


def test_values_are_what_the_certificate_says() -> None:
    body = disclose(certificate(), SOME, library=HERE, cause="办理业务", now=NOW)
    assert {field.name: field.value for field in body.fields} == {
        "holder_match": "yes",
        "certificate_number": "J330106-2015-000123",
        "registration_date": "2015-05-20",
        "other_party_id": masked_id(WIFE.id_number),
    }


def test_the_annotation_names_cause_term_and_the_department_that_answers() -> None:
    body = disclose(certificate(), SOME, library=HERE, cause="办理业务", now=NOW)
    assert (body.cause, body.status_as_of, body.expires) == (
        "办理业务",
        "2026-03-02T01:02:03Z",
        "2026-03-02T13:02:03Z",
    )
    assert (body.library, body.authority) == (HERE, provinces()[HERE].civil_affairs_zh)


@pytest.mark.parametrize("status", [each for each in STATUSES if each != "VALID"])
def test_of_a_certificate_that_is_not_valid_only_the_status_goes_out(status: str) -> None:
    body = disclose(certificate(status=status), SOME, library=HERE, cause="办理业务", now=NOW)
    assert (body.status, body.fields) == (status, ())


def test_what_may_not_be_disclosed_is_refused_even_where_nothing_would_go_out() -> None:
    plain = (MatterField(name="other_party_id", disclosure="PLAIN", label_zh="栏", label_en="Field"),)
    for status in STATUSES:
        with pytest.raises(Refusal):
            disclose(certificate(status=status), plain, library=HERE, cause="办理业务", now=NOW)


# Personal data at rest ------------------------------------------------------------------------------------


def test_a_closed_field_opens_only_in_its_place_and_under_its_key() -> None:
    vault = Vault(bytes(32))
    text = vault.close("测试".encode(), place="certificates|face|33.a")
    assert vault.open(text, place="certificates|face|33.a") == "测试".encode()
    for other, place in ((vault, "certificates|face|33.b"), (Vault(bytes(31) + b"\1"), "certificates|face|33.a")):
        with pytest.raises(Unavailable) as caught:
            other.open(text, place=place)
        assert caught.value.reason is Reason.STORE_UNAVAILABLE


@pytest.mark.parametrize(
    "damage", [lambda text: "", lambda text: "€" + text, lambda text: text[:12], lambda text: "A" * 8]
)
def test_a_damaged_field_is_our_silence_and_no_other_error(damage: Any) -> None:
    vault = Vault(bytes(32))
    with pytest.raises(Unavailable):
        vault.open(damage(vault.close(b"x", place="p")), place="p")


def test_the_same_field_is_never_closed_twice_alike() -> None:
    vault = Vault(bytes(32))
    assert vault.close(b"x", place="p") != vault.close(b"x", place="p")
    assert repr(vault) == "Vault()"
