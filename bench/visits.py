"""Whole visits: CPU by step, summed over all rooms, and how many a core-second brings when 1, 4 and 16 are walked at once."""

from __future__ import annotations

import cProfile
import pstats
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import product
from pathlib import Path
from typing import Any

from bench.clocks import Meter
from consent.clock import ShiftedClock
from consent.errors import Refusal
from consent.provinces import provinces
from consent.stores.valkey import start_valkey
from scanner_kiosk.country import Country, found, put_together
from scanner_kiosk.country.people import pair
from scanner_kiosk.country.walk import Walk
from verifier.consents import Consents
from verifier.desk import Desk
from verifier.library.register import Library

WALKED = 16  # visits for the medians
STEPS = (
    (Desk, "present", "desk: D1"),
    (Consents, "claim", "claim: C1"),
    (Consents, "approve", "approval: C2"),
    (Library, "release", "library: L1"),
    (Desk, "copy_arrived", "admit: D2"),
)


def by_step(folder: Path) -> tuple[dict[str, float], float, list[dict[str, Any]]]:
    """CPU microseconds by step, CPU microseconds of a whole visit, and the profile's top ten. One thread does all."""
    country = put_together(found(folder, now=ShiftedClock().now()), clock=ShiftedClock(), redis=None)
    try:
        _walk(country, "31", "32", "33")
        meter, triples = Meter(), list(product(provinces(), repeat=3))[:WALKED]
        with ExitStack() as held:
            for owner, method, name in STEPS:
                held.enter_context(meter.around(owner, method, name))
            began = time.process_time_ns()
            for triple in triples:
                _walk(country, *triple)
            whole = (time.process_time_ns() - began) / 1000 / len(triples)
        profile = cProfile.Profile()
        profile.enable()
        for triple in triples[:4]:
            _walk(country, *triple)
        profile.disable()
        return meter.medians(), whole, _top(profile)
    finally:
        country.stop()


def _walk(country: Country, app: str, desk: str, library: str) -> None:
    """One visit with all workers run by hand, so that nothing waits."""
    walk = Walk.of(country, pair(app, library), desk)
    walk.phone.show()
    walk.present(code=walk.phone.code())
    _pump(country)
    sheet = walk.phone.sheet()
    walk.agree(sheet, certificate=walk.pick(sheet, library))
    _pump(country)
    view = walk.client.visit(walk.request_id)
    if view.state != "PASSED":
        raise RuntimeError(f"a visit ended {view.state} {view.said.reason}")


def _pump(country: Country) -> None:
    while sum(province.worker.run_once() for province in country.provinces.values()):
        pass


def _top(profile: cProfile.Profile) -> list[dict[str, Any]]:
    stats = pstats.Stats(profile)
    rows = sorted(stats.stats.items(), key=lambda row: -row[1][2])[:10]  # type: ignore[attr-defined]
    total = sum(row[1][2] for row in stats.stats.items())  # type: ignore[attr-defined]
    return [
        {"function": f"{Path(file).name}:{name}", "calls": calls, "share": round(own / total, 3)}
        for (file, _, name), (_, calls, own, _, _) in rows
    ]


def together(folder: Path, counts: tuple[int, ...] = (1, 4, 16)) -> dict[str, float]:
    """Visits per core-second of CPU, with so many at once, over real workers and a real Redis."""
    clock = ShiftedClock()
    country = put_together(found(folder, now=clock.now()), clock=clock, redis=start_valkey(folder))
    country.start()
    try:
        return {str(count): _rate(country, count) for count in counts}
    finally:
        country.stop()


def _rate(country: Country, count: int) -> float:
    """Each of `count` threads walks personas of its own: two showings of one person would end each other."""
    pairs = list(product(provinces(), repeat=2))
    shares = [pairs[number::count] for number in range(count)]

    def walk_all(share: list[tuple[str, str]]) -> int:
        for app, library in share:
            walk = Walk.of(country, pair(app, library), library)
            walk.phone.show()
            walk.present(code=walk.phone.code())
            sheet = walk.sheet()
            try:
                walk.agree(sheet, certificate=walk.pick(sheet, library))
            except Refusal as no:
                raise RuntimeError(f"refused: {no.reason}") from no
            walk.ended()
        return len(share)

    began = time.process_time()
    with ThreadPoolExecutor(count) as pool:
        walked = sum(pool.map(walk_all, shares))
    return walked / (time.process_time() - began)
