"""`./dev demo`: the whole country in this process, 64 visits from camera to certificate, then everything that must fail.

No camera, no account, no port, no network. Every triple (app's province, desk's province, library's province) is walked, with
a line each; then for each app a visit that begins with the text that the app's own server draws (simulated here); then the
refusals, whose expected reasons stand in country/refusals.json. The last line is the verdict, and the exit status is 0 only
if everything came out as written. Pictures of one visit stay in var/demo.

Visits are walked a few at a time: while one waits for its letters another's frames are decoded.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any, Final

from consent.counter_strings import drawn_by, known_as
from consent.people import Name
from consent.provinces import provinces
from scanner_kiosk.country import Country, open_country
from scanner_kiosk.country.people import pair
from scanner_kiosk.country.refused import SCENARIOS, expectations, observe
from scanner_kiosk.country.walk import Walk, text_digest
from scanner_kiosk.walkthrough import Chapter, write_walkthrough

TOGETHER: Final = 3  # visits at once
_APART_S: Final = 660  # between two refusals, on the country's clock; see verifier.pressing
FOLDER: Final = Path("var/demo")
_MEMORY: Final = "/dev/shm"  # noqa: S108 - the folder made in it has a random name and mode 0700


@dataclass(slots=True, kw_only=True)
class Report:
    """What came out, line by line; printed as it grows unless it is wanted as JSON in the end."""

    quiet: bool
    triples: list[dict[str, Any]] = field(default_factory=list)
    own_codes: list[dict[str, Any]] = field(default_factory=list)
    refusals: list[dict[str, Any]] = field(default_factory=list)
    wakeups: dict[str, int] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether everything came out as written, and nothing is missing."""
        counts = (len(self.triples), len(self.own_codes), len(self.refusals))
        return counts == (64, len(provinces()), len(expectations())) and not self.wrong

    @property
    def wrong(self) -> list[dict[str, Any]]:
        """What did not come out as written."""
        return [row for row in (*self.triples, *self.own_codes, *self.refusals) if not row["ok"]]

    def say(self, text: str) -> None:
        """One line for people."""
        if not self.quiet:
            print(text, flush=True)

    def to_json(self) -> dict[str, Any]:
        """The report as one object."""
        return {
            "triples": self.triples,
            "own_codes": self.own_codes,
            "refusals": self.refusals,
            "wakeups": self.wakeups,
            "passed": self.passed,
        }


def main(arguments: Sequence[str] = ()) -> int:
    """Run the demo; 0 when everything came out as written."""
    parser = argparse.ArgumentParser(prog="dev demo", description="The main job, end to end, in one process.")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of lines")
    asked = parser.parse_args(list(arguments))
    report, began = Report(quiet=asked.json), time.monotonic()
    report.say("互证 Huzheng · 沙盒演示，所有人员均为虚构 / sandbox, all people are invented")
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="huzheng-demo-", dir=memory()) as folder,
        open_country(Path(folder)) as country,
    ):
        engine = "no Redis" if country.redis is None else country.redis.engine
        report.say(f"建成四省沙盒 / four provinces founded, hints by {engine}  ({time.monotonic() - began:.1f} s)\n")
        chapter = walk_all(country, report)
        walk_own_codes(country, report)
        refuse_all(country, report)
        report.wakeups = country.wakeups
    if chapter is not None:
        write_walkthrough(FOLDER, chapter, report.to_json())
    if asked.json:
        print(json.dumps(report.to_json(), ensure_ascii=False))
    else:
        _verdict(report, time.monotonic() - began)
    return 0 if report.passed else 1


def memory() -> str | None:
    """Where the demo's databases live: in memory where there is any. Nothing of them is meant to last, and a disk that
    takes ten milliseconds for each of some thousand commits would be most of what one waits for."""
    return _MEMORY if os.access(_MEMORY, os.W_OK) else None


def walk_all(country: Country, report: Report) -> Chapter | None:
    """All 64 triples; returns the pictures and words of the first that went through."""
    codes = list(provinces())
    triples = list(product(codes, codes, codes))
    first: Chapter | None = None
    with ThreadPoolExecutor(TOGETHER) as pool:
        outcomes = pool.map(lambda triple: _tried(country, *triple), triples)
        for number, (row, chapter) in enumerate(outcomes, start=1):
            report.triples.append(row)
            first = first or chapter
            report.say(_line(number, row))
    return first


def walk_own_codes(country: Country, report: Report) -> None:
    """One visit for each app by the text that it draws itself, at a desk and from a library of two other provinces."""
    report.say("\n各应用自有的码 / the apps' own codes, drawn by simulators of their servers")
    codes = list(provinces())
    turns = [(codes[n], codes[(n + 1) % len(codes)], codes[(n + 2) % len(codes)]) for n in range(len(codes))]
    with ThreadPoolExecutor(TOGETHER) as pool:
        outcomes = pool.map(lambda triple: _tried(country, *triple, own=True), turns)
        for number, (row, _) in enumerate(outcomes, start=1):
            report.own_codes.append(row)
            report.say(_line(number, row, of=len(turns), code=" / ".join(known_as(row["app"]))))
    # The refusals meet the same people, whom a unit may not press: they come when these visits are forgotten.
    country.clock.advance(_APART_S)
    country.forget_tokens()


def _tried(
    country: Country, app: str, desk: str, library: str, *, own: bool = False
) -> tuple[dict[str, Any], Chapter | None]:
    """One visit; where it breaks off, a row that says so, and the others go on."""
    try:
        return _triple(country, app, desk, library, own=own)
    except Exception as fault:
        said = {"outcome": type(fault).__name__, "reason": str(fault), "frames": 0, "seconds": 0.0, "ok": False}
        return {"app": app, "desk": desk, "library": library, **said}, None


def _triple(country: Country, app: str, desk: str, library: str, *, own: bool) -> tuple[dict[str, Any], Chapter]:
    began = time.monotonic()
    # One persona is walked to four desks, also at once; each walk is a phone of its own.
    walk = Walk.of(country, pair(app, library), desk)
    with _one_showing_each(walk.persona.id):
        scanned = (walk.show_own if own else walk.show)(seed=int(app + desk + library))
        picture = walk.phone.picture()
        walk.present()
        sheet = walk.sheet()
        certificate = walk.pick(sheet, library)
        walk.agree(sheet, certificate=certificate)
        view = walk.ended()
        receipts = walk.receipts()
    drawn = drawn_by(scanned.text)
    ok = view.state == "PASSED" and view.library == library and view.copy is not None and all(receipts.values())
    ok = ok and drawn == (app if own else None)
    row = {
        "app": app,
        "desk": desk,
        "library": library,
        "matter": walk.matter,
        "outcome": view.outcome,
        "reason": view.said.reason,
        "frames": scanned.frames,
        "drawn_by": drawn,
        "text_sha256": text_digest(scanned.text),
        "hops": walk.hops(),
        "receipts": receipts,
        "seconds": round(time.monotonic() - began, 2),
        "ok": ok,
    }
    chapter = Chapter(
        picture=picture, frame=scanned.image, sheet=sheet["sheet"], view=view, row=row, masked=_masked(walk)
    )
    return row, chapter


def _masked(walk: Walk) -> str:
    return Name.parse(walk.persona.name).masked()


_LOCKS: Final[dict[str, threading.Lock]] = {}


def _one_showing_each(persona: str) -> threading.Lock:
    """A second showing of one person would end the first (CODE_SUPERSEDED), so a person stands at one counter at a time."""
    return _LOCKS.setdefault(persona, threading.Lock())


def refuse_all(country: Country, report: Report) -> None:
    """Everything that must fail, in the order of the file; the last one kills Redis and must pass."""
    report.say("\n拒绝与异常 / refusals, each a real visit that somebody breaks at one point")
    for number, expected in enumerate(expectations(), start=1):
        slug = str(expected["slug"])
        began = time.monotonic()
        try:
            got: str | None = observe(SCENARIOS[slug], country)
        except Exception as fault:
            got = f"{type(fault).__name__}: {fault}"
        # The next one meets the same people, whom a unit may not press: it comes when the last one is forgotten.
        country.clock.advance(_APART_S)
        country.forget_tokens()
        ok = got == expected["reason"]
        report.refusals.append({"slug": slug, "expected": expected["reason"], "got": got, "ok": ok})
        report.say(
            f"[{number:2}/{len(expectations())}] {_sign(ok)} {expected['zh']} / {expected['en']}"
            f"  → {got or 'PASSED'}  {time.monotonic() - began:.1f} s"
        )


def _line(number: int, row: dict[str, Any], *, of: int = 64, code: str = "") -> str:
    names = provinces()
    shown = f"{names[row['app']].app_name_zh} {code}".rstrip()
    way = " → ".join((shown, f"{names[row['desk']].name_zh}窗口", f"{names[row['library']].name_zh}证照库"))
    outcome = "通过 passed" if row["ok"] else f"不符 wrong: {row['outcome']} {row['reason']}"
    return f"[{number:2}/{of}] {_sign(row['ok'])} {way}  {outcome}  {row['frames']} 帧 frames  {row['seconds']:.1f} s"


def _sign(ok: bool) -> str:
    return "✓" if ok else "✗"


def _verdict(report: Report, took: float) -> None:
    wrong, woken = report.wrong, report.wakeups
    print(f"\n唤醒 wake-ups: Redis {woken['redis']}, 轮询 polling {woken['polling']}")
    kept = ", ".join(sorted(path.name for path in FOLDER.iterdir() if path.is_file()))
    print(f"图片 pictures in {FOLDER}: {kept}")
    if report.passed:
        done = f"64 visits, {len(report.own_codes)} by apps' own codes, {len(report.refusals)} refusals"
        print(f"全部符合预期 / all as expected: {done}, {took:.0f} s")
    else:
        print(f"有 {len(wrong)} 项不符 / {len(wrong)} not as expected, {took:.0f} s")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
