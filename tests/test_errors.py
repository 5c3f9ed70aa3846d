"""Every reason has its row and its sentences, and no sentence says more than its reader may know."""

from __future__ import annotations

import re
from string import ascii_letters

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent.errors import (
    ROWS,
    UNAVAILABLE,
    Outcome,
    Reason,
    Refusal,
    Unavailable,
    outcome_of,
    row,
    seen_at_counter,
)
from consent.sentences import PLACEHOLDERS, Audience, Lang, _book, next_step, sentences, title

EVERY_REASON = pytest.mark.parametrize("reason", list(Reason))

# What a Chinese page may write in Latin letters: names in the vendors' interface, and nothing else.
LATIN = {"JSON", "Idempotency-Key"}

ALL_FACTS: dict[str, str | int] = {
    "n": 3,
    "what": "读卡器",
    "date": "2026-11-24",
    "status": "VALID",
    "as_of": "2026-11-24",
    "no": "12",
    "time": "10:30",
    "province": "33",
}


def everything_said(reason: Reason, lang: Lang, **facts: str | int) -> list[str]:
    said = [sentences(reason, lang, audience, **facts) for audience in Audience]
    return [*said, title(reason, lang), next_step(reason, lang, **facts)]


def test_there_is_exactly_one_row_for_every_reason() -> None:
    assert set(ROWS) == set(Reason)
    for lang in Lang:
        assert set(_book(lang)["reasons"]) == {reason.value for reason in Reason}
        assert set(_book(lang)["blanks"]) == PLACEHOLDERS


def test_codes_are_unique_and_equal_to_their_names() -> None:
    assert len({reason.value for reason in Reason}) == len(Reason.__members__)
    assert all(reason.value == name for name, reason in Reason.__members__.items())


@EVERY_REASON
def test_everybody_reads_a_sentence_in_both_languages(reason: Reason) -> None:
    for lang in Lang:
        for text in everything_said(reason, lang, **ALL_FACTS):
            assert len(text) > 1
            assert "{" not in text
            assert not re.search(r"  |\s$|^\s", text)


@EVERY_REASON
def test_a_missing_fact_leaves_a_readable_sentence(reason: Reason) -> None:
    for lang in Lang:
        for text in everything_said(reason, lang):
            assert "{" not in text
            assert not re.search(r"  |（）|\(\)|：$|: $|: [;.]", text)


@EVERY_REASON
def test_a_chinese_sentence_has_no_english_in_it_and_an_english_one_no_chinese(reason: Reason) -> None:
    for text in everything_said(reason, Lang.ZH_CN, **ALL_FACTS):
        assert set(re.findall(r"[A-Za-z][A-Za-z-]*", text)) <= LATIN
        assert re.search(r"[\u4e00-\u9fff]", text)
    for text in everything_said(reason, Lang.EN):
        assert text.isascii()
        assert set(text) & set(ascii_letters)


@EVERY_REASON
def test_an_absent_answer_is_undetermined_and_may_be_asked_for_again(reason: Reason) -> None:
    silent = reason in UNAVAILABLE
    assert silent == (row(reason).http >= 500)
    if silent:
        assert (row(reason).outcome, row(reason).retry) == (Outcome.UNDETERMINED, True)
    assert 400 <= row(reason).http <= 504
    assert row(reason).outcome is not Outcome.PASSED


def test_not_finding_a_certificate_is_never_a_no() -> None:
    undetermined = {reason for reason in Reason if outcome_of(reason) is Outcome.UNDETERMINED}
    assert undetermined - UNAVAILABLE == {
        Reason.NOT_FOUND,
        Reason.NOT_DIGITISED,
        Reason.AMBIGUOUS,
        Reason.PARTNER_MISSING,
    }
    assert "不表示没有登记" in sentences(Reason.NOT_FOUND, "zh-CN", "citizen")
    assert outcome_of(None) is Outcome.PASSED


def test_only_waiting_helps_a_refusal_that_may_be_retried() -> None:
    assert {reason for reason in set(Reason) - UNAVAILABLE if row(reason).retry} == {
        Reason.TOO_MANY,
        Reason.TWIN_LOCKED,
        Reason.ASKED_TOO_OFTEN,
        Reason.IDEMPOTENCY_IN_FLIGHT,
        Reason.AUTHORIZATION_PENDING,
        Reason.SLOW_DOWN,
    }


@pytest.mark.parametrize("reason", [Reason.DECLINED, Reason.TIMED_OUT])
def test_the_counter_cannot_tell_declining_from_silence(reason: Reason) -> None:
    assert seen_at_counter(reason) is Reason.NOT_AUTHORISED
    assert row(reason) == row(Reason.NOT_AUTHORISED)
    for lang in Lang:
        for say in (sentences, next_step, title):
            counter = say(reason, lang, "counter")
            assert counter == say(Reason.NOT_AUTHORISED, lang, "counter")
    assert "不同意" in sentences(Reason.DECLINED, "zh-CN", "citizen")


def test_the_counter_sees_every_other_reason_as_it_is() -> None:
    hidden = {reason for reason in Reason if seen_at_counter(reason) is not reason}
    assert hidden == {Reason.DECLINED, Reason.TIMED_OUT}


def test_reasons_of_law_quote_their_clause() -> None:
    assert row(Reason.SCOPE_NOT_LISTED).clause == "沪民婚发〔2024〕4号 二(一)2"
    assert row(Reason.CHANNEL_SUSPENDED).clause == "沪民婚发〔2024〕4号 四(三)"
    assert row(Reason.CODE_EXPIRED).clause == ""
    for each in ROWS.values():
        assert re.fullmatch(r"|沪民婚发〔2024〕4号 [一二三四](\([一二三四]\))?\d?", each.clause)


def test_facts_are_spoken_in_the_reader_s_language() -> None:
    assert sentences(Reason.LIBRARY_UNREACHABLE, "zh-CN", "counter", what="33") == "暂时无法核验：浙江省证照库无响应"
    assert "Zhejiang" in sentences(Reason.LIBRARY_UNREACHABLE, "en", "counter", what="33")
    status = sentences(Reason.CERTIFICATE_NOT_VALID, "zh-CN", "citizen", status="ANNULLED")
    assert status == "该证照当前状态为婚姻已撤销"
    both = {"what": "两证遗失声明", "what_en": "the written statement"}
    assert sentences(Reason.PRECONDITION_MISSING, "zh-CN", "counter", **both).endswith("两证遗失声明")
    assert sentences(Reason.PRECONDITION_MISSING, "en", "counter", **both).endswith("the written statement")
    assert "3" in sentences(Reason.CODE_NOT_YET_VALID, "en", "citizen", n=3)
    assert "10:30" in next_step(Reason.LIBRARY_UNREACHABLE, "en", time="10:30")


def test_only_listed_placeholders_occur() -> None:
    for lang in Lang:
        for texts in _book(lang)["reasons"].values():
            found = {name for text in texts.values() for name in re.findall(r"\{(.*?)\}", text)}
            assert found <= PLACEHOLDERS
            assert "{" not in texts["title"]


@given(st.text(), st.sampled_from(list(Lang)))
def test_a_fact_from_a_stranger_is_only_text(fact: str, lang: Lang) -> None:
    said = sentences(Reason.PRECONDITION_MISSING, lang, "counter", what=fact)
    assert not fact or fact in said


def test_a_fact_that_looks_like_a_placeholder_is_not_filled_again() -> None:
    said = sentences(Reason.PRECONDITION_MISSING, "en", "counter", what="{n.__class__} {date}", date="secret")
    assert said == "A precondition is missing: {n.__class__} {date}"


def test_an_unknown_language_or_reader_is_a_mistake_of_the_program() -> None:
    with pytest.raises(ValueError):
        sentences(Reason.WITHDRAWN, "fr", "citizen")
    with pytest.raises(ValueError):
        sentences(Reason.WITHDRAWN, "en", "everybody")


def test_an_error_prints_its_reason_and_never_its_detail() -> None:
    refusal = Refusal(Reason.PRECONDITION_MISSING, detail="310199199003070030", what="x", n=3)
    assert str(refusal) == "PRECONDITION_MISSING"
    assert "3101" not in repr(refusal)
    assert (refusal.detail, dict(refusal.facts)) == ("310199199003070030", {"what": "x", "n": 3})
    silence = Unavailable(Reason.LIBRARY_UNREACHABLE, what="33", detail="connect timed out")
    assert str(silence) == "LIBRARY_UNREACHABLE"
    assert (silence.what, dict(silence.facts), silence.retry_after_s) == ("33", {"what": "33"}, 5)
    assert not Unavailable(Reason.DEADLINE, retry_after_s=1).facts


def test_facts_cannot_be_changed_afterwards() -> None:
    with pytest.raises(TypeError):
        Refusal(Reason.TOO_MANY, n=3).facts["n"] = 4  # type: ignore[index]


@EVERY_REASON
def test_a_silent_library_never_looks_like_a_no_nor_a_no_like_silence(reason: Reason) -> None:
    right, wrong = (Unavailable, Refusal) if reason in UNAVAILABLE else (Refusal, Unavailable)
    assert right(reason).reason is reason
    with pytest.raises(ValueError):
        wrong(reason)
