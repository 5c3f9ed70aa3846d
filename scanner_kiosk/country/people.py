"""The people of the sandbox, and their certificates. All invented; every ID number has a county code that never existed.

Sixteen of them hold one certificate for each pair of (app's province, library's province), so that all 64 triples of a
visit can be walked; their stories are the ones that counters know: married, divorced, remarried, reissued, a minority
name, a rare character, two people of one name. Four more have what counters fear: a paper file only, a certificate under
objection, none at all, an old certificate that a reissued one has replaced. The last one is the other party of `wang-fang`'s
registration, so that two can come for one visit.

Plain data, no IO. `founding` puts them into apps and libraries.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from typing import Final

from consent.people import synthetic_id

_COUNTY: Final = {
    "31": "310199",
    "32": "320199",
    "33": "330199",
    "34": "340199",
}  # these counties never existed


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """One certificate in one library. `type` is "marriage" or "divorce", `status` one of `consent.holding.STATUSES`."""

    library: str
    type: str
    registered: date
    partner_name: str
    partner_id: str
    status: str = "VALID"
    reissued: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Persona:
    """One invented citizen. `undigitised` names a library that has only a paper file."""

    id: str
    province: str
    name: str
    id_number: str
    husband: bool
    note_zh: str
    note_en: str
    stories: tuple[Story, ...]
    undigitised: str | None = None


def _number(province: str, born: date, sequence: int) -> str:
    return synthetic_id(_COUNTY[province], born, sequence)


def _partner(library: str, n: int, *, husband: bool) -> str:
    # 17th digit: odd for men, even for women.
    return _number(library, date(1986, 1 + n % 12, 1 + n % 28), n * 2 + (0 if husband else 1))


def _story(n: int, library: str, type_: str, registered: date, partner: str, *, husband: bool, **more: object) -> Story:
    return Story(
        library=library,
        type=type_,
        registered=registered,
        partner_name=partner,
        partner_id=_partner(library, n, husband=husband),
        **more,  # type: ignore[arg-type]
    )


# (id, app, library, name, a man, type, registered, partner, zh, en)
_PAIRS: Final = (
    ("zhang-wei", "31", "31", "张伟", True, "marriage", date(2016, 5, 20), "李静", "已婚", "married"),
    ("chen-jie", "31", "32", "陈洁", False, "divorce", date(2019, 3, 14), "王刚", "已离婚", "divorced"),
    (
        "wang-fang",
        "31",
        "33",
        "王芳",
        False,
        "marriage",
        date(2021, 10, 8),
        "赵磊",
        "跨省结婚",
        "married elsewhere",
    ),
    (
        "liu-yang",
        "31",
        "34",
        "刘洋",
        True,
        "divorce",
        date(2022, 7, 1),
        "周敏",
        "跨省离婚",
        "divorced elsewhere",
    ),
    (
        "ouyang-xue",
        "32",
        "31",
        "欧阳雪",
        False,
        "marriage",
        date(2012, 12, 12),
        "孙浩",
        "复姓",
        "two-character surname",
    ),
    ("wu-lei", "32", "32", "吴磊", True, "marriage", date(2018, 8, 18), "郑爽文", "补领", "reissued"),
    (
        "ayi-guli",
        "32",
        "33",
        "阿依古丽·买买提",
        False,
        "marriage",
        date(2017, 6, 6),
        "艾力·吐尔逊",
        "民族姓名",
        "minority name",
    ),
    ("sun-li", "32", "34", "孙丽", False, "divorce", date(2020, 11, 2), "何强", "已离婚", "divorced"),
    (
        "zhou-ming",
        "33",
        "31",
        "周明",
        True,
        "divorce",
        date(2015, 4, 9),
        "林燕",
        "离婚后再婚",
        "divorced, remarried",
    ),
    (
        "rare-name",
        "33",
        "32",
        "王𬭩",
        True,
        "marriage",
        date(2023, 2, 22),
        "㛃小雨",
        "生僻字",
        "rare characters",
    ),
    ("shen-yu", "33", "33", "沈玉", False, "marriage", date(2014, 9, 10), "钱东", "已婚", "married"),
    (
        "same-name-1",
        "33",
        "34",
        "李静",
        False,
        "marriage",
        date(2011, 1, 11),
        "马超群",
        "同名之一",
        "same name, one",
    ),
    (
        "same-name-2",
        "34",
        "31",
        "李静",
        False,
        "divorce",
        date(2018, 5, 30),
        "冯远",
        "同名之二",
        "same name, two",
    ),
    ("he-tao", "34", "32", "何涛", True, "marriage", date(2024, 8, 10), "丁香", "新近结婚", "newly married"),
    (
        "fang-hua",
        "34",
        "33",
        "方华",
        False,
        "divorce",
        date(2021, 3, 3),
        "高原",
        "跨省离婚",
        "divorced elsewhere",
    ),
    ("gao-yuan", "34", "34", "高媛", False, "marriage", date(2010, 10, 10), "罗成", "已婚", "married"),
)


def _paired(n: int, row: tuple[str, str, str, str, bool, str, date, str, str, str]) -> Persona:
    id_, app, library, name, husband, type_, registered, partner, zh, en = row
    first = _story(n, library, type_, registered, partner, husband=husband, reissued=id_ == "wu-lei")
    more: tuple[Story, ...] = ()
    if id_ == "zhou-ming":  # the earlier marriage is over, the later one stands, in another province
        more = (
            _story(
                n + 40,
                "31",
                "marriage",
                date(2009, 9, 9),
                partner,
                husband=husband,
                status="INVALIDATED_BY_DIVORCE",
            ),
            _story(n + 41, "33", "marriage", date(2020, 1, 20), "沈秋", husband=husband),
        )
    return Persona(
        id=id_,
        province=app,
        name=name,
        id_number=_number(app, date(1984 + n % 12, 1 + n % 12, 3 + n), 500 + n * 2 + (1 if husband else 0)),
        husband=husband,
        note_zh=zh,
        note_en=en,
        stories=(first, *more),
    )


def personas() -> tuple[Persona, ...]:
    """Everybody, the sixteen of the pairs first."""
    pairs = tuple(_paired(n, row) for n, row in enumerate(_PAIRS, start=1))
    paper = Persona(
        id="paper-only",
        province="31",
        name="顾海",
        id_number=_number("31", date(1958, 3, 4), 701),
        husband=True,
        note_zh="只有十五位号码的纸质档案",
        note_en="paper file with a 15-digit number only",
        stories=(),
        undigitised="31",
    )
    objection = Persona(
        id="under-objection",
        province="32",
        name="许诺",
        id_number=_number("32", date(1990, 7, 7), 702),
        husband=False,
        note_zh="证照异议处理中",
        note_en="certificate under objection",
        stories=(_story(60, "32", "marriage", date(2019, 9, 9), "蒋文", husband=False, status="SUSPENDED"),),
    )
    nothing = Persona(
        id="no-certificate",
        province="33",
        name="陆一鸣",
        id_number=_number("33", date(2000, 1, 2), 703),
        husband=True,
        note_zh="没有电子证照",
        note_en="no e-certificate",
        stories=(),
    )
    reissued = Persona(
        id="superseded",
        province="34",
        name="汪洋",
        id_number=_number("34", date(1982, 2, 3), 705),
        husband=True,
        note_zh="旧证已被补领的新证取代",
        note_en="old certificate replaced by a reissued one",
        stories=(
            _story(62, "34", "marriage", date(2008, 8, 8), "程程", husband=True, status="SUPERSEDED"),
            _story(62, "34", "marriage", date(2008, 8, 8), "程程", husband=True, reissued=True),
        ),
    )
    return (*pairs, paper, objection, nothing, reissued, _spouse(pairs[2]))


def _spouse(of: Persona) -> Persona:
    """The other party of somebody's first certificate, in the same app: the simulated camera sees one app's phones."""
    story = of.stories[0]
    own = replace(story, partner_name=of.name, partner_id=of.id_number)
    return Persona(
        id="zhao-lei",
        province=of.province,
        name=story.partner_name,
        id_number=story.partner_id,
        husband=not of.husband,
        note_zh="跨省结婚者的配偶",
        note_en="spouse of the one married elsewhere",
        stories=(own,),
    )


def pair(app: str, library: str) -> Persona:
    """The persona whose first certificate lies in `library` and whose app is that of `app`."""
    (found,) = (each for each in personas()[:16] if each.province == app and each.stories[0].library == library)
    return found
