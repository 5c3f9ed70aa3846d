"""The report of a run, for people and for programs. It names checks, clauses and facts; nothing of a person, no secret."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from consent.clock import rfc3339
from wallet_api.conformance.judging import CHECKS, GROUPS, Check, Finding, counts, verdict_of, verdicts
from wallet_api.conformance.run import Stop

LANGUAGES: Final = ("zh-CN", "en")

_MARK: Final[Mapping[str, str]] = {"pass": "✓", "fail": "✗", "not-run": "–"}
_WORDS: Final[Mapping[str, Mapping[str, str]]] = {
    "zh-CN": {
        "title": "互证 后台一致性检查：{url}",
        "pass": "通过",
        "fail": "不通过",
        "not-run": "未检查到",
        "stopped": "场景“{scene}”停在 /conformance/{verb}：{said}",
        "answered": "答复 {status}",
        "silent": "没有答复",
        "good": "全部通过。",
        "bad": "尚未全部通过。",
        "seen": "所见",
    },
    "en": {
        "title": "Huzheng conformance of a back end: {url}",
        "pass": "passed",
        "fail": "failed",
        "not-run": "not run",
        "stopped": "scene “{scene}” stopped at /conformance/{verb}: {said}",
        "answered": "answered {status}",
        "silent": "no answer",
        "good": "All passed.",
        "bad": "Not all passed.",
        "seen": "seen",
    },
}


def passed(findings: Sequence[Finding]) -> bool:
    """Whether every check of the list passed: none failed, and none was not run."""
    return set(counts(findings)) == {"pass"}


def as_json(url: str, findings: Sequence[Finding], stops: Sequence[Stop], *, now: datetime) -> str:
    """The report for programs. Members are only ever added."""
    told = verdicts(findings)
    return json.dumps(
        {
            "url": url,
            "at": rfc3339(now),
            "passed": passed(findings),
            "counts": {verdict: counts(findings)[verdict] for verdict in _MARK},
            "checks": [_row(CHECKS[check], found) for check, found in told.items()],
            "stopped": [{"scene": each.scene, "verb": each.verb, "status": each.status} for each in stops],
        },
        ensure_ascii=False,
        indent=1,
    )


def as_text(url: str, findings: Sequence[Finding], stops: Sequence[Stop], *, lang: str) -> str:
    """The report for people, in one of `LANGUAGES`."""
    words, told = _WORDS[lang], verdicts(findings)
    lines = [words["title"].format(url=url)]
    for group, (zh, en) in GROUPS.items():
        lines += ["", zh if lang == "zh-CN" else en]
        for check, found in told.items():
            if CHECKS[check].group == group:
                lines += _lines(CHECKS[check], found, lang)
    lines.append("")
    for each in stops:
        said = words["answered"].format(status=each.status) if each.status else words["silent"]
        lines.append(words["stopped"].format(scene=each.scene, verb=each.verb, said=said))
    found_counts = counts(findings)
    lines.append(" · ".join(f"{found_counts[verdict]} {words[verdict]}" for verdict in _MARK))
    lines.append(words["good" if passed(findings) else "bad"])
    return "\n".join(lines)


def _lines(check: Check, found: Sequence[Finding], lang: str) -> list[str]:
    verdict, words = verdict_of(found), _WORDS[lang]
    sentence = check.zh if lang == "zh-CN" else check.en
    lines = [f"  {_MARK[verdict]} {check.id}  [{check.clause}]  {sentence}"]
    if verdict == "not-run":
        lines.append(f"      {words['not-run']}")
    if verdict == "fail":
        lines += [f"      {words['seen']}: {_seen(check, each, lang)}" for each in found if not each.passed]
    return lines


def _seen(check: Check, found: Finding, lang: str) -> str:
    return (check.seen_zh if lang == "zh-CN" else check.seen_en).format(**found.facts)


def _row(check: Check, found: Sequence[Finding]) -> dict[str, Any]:
    failed = [each for each in found if not each.passed]
    shown = failed or list(found)[:1]
    return {
        "id": check.id,
        "group": check.group,
        "clause": check.clause,
        "verdict": verdict_of(found),
        "zh": check.zh,
        "en": check.en,
        "seen_zh": [_seen(check, each, "zh-CN") for each in shown],
        "seen_en": [_seen(check, each, "en") for each in shown],
        "facts": [dict(each.facts) for each in shown],
    }
