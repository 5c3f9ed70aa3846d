"""`./dev bench`: a picture of where the time goes. See the package's docstring."""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench import bombs, operations, visits
from scanner_kiosk.demo import memory

# What a visit cannot do without: six signatures made and checked at least (request, approval, consent, copy, two receipts).
_SIGNED, _CHECKED = 6, 12


def main() -> int:
    """Measure everything and print it."""
    parser = argparse.ArgumentParser(prog="dev bench", description="CPU per operation, side by side in one run.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    asked = parser.parse_args()
    report = measure(quiet=asked.json)
    if asked.json:
        print(json.dumps(report, ensure_ascii=False))
    else:
        _print(report)
    return 0


def measure(*, quiet: bool) -> dict[str, Any]:
    """All figures: microseconds of CPU, ratios to the raw work of this very run, milliseconds a frame."""
    _say(quiet, "raw signatures and envelopes …")
    raw = operations.raw()
    _say(quiet, "codes and pictures …")
    single = operations.codes()
    _say(quiet, "frames …")
    frames = operations.frames()
    _say(quiet, "posted pictures beside bombs …")
    posted = bombs.harm()
    with (
        tempfile.TemporaryDirectory(prefix="huzheng-bench-", dir=memory()) as one,
        tempfile.TemporaryDirectory(prefix="huzheng-bench-", dir=memory()) as two,
    ):
        _say(quiet, "one visit, step by step …")
        steps, whole, top = visits.by_step(Path(one))
        _say(quiet, "1, 4 and 16 visits at once …")
        rates = visits.together(Path(two))
    unit = raw["ed25519 verify"]
    floor = _SIGNED * raw["ed25519 sign"] + _CHECKED * raw["ed25519 verify"]
    micro = {**single, **steps, "a whole visit, all rooms": whole}
    return {
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
        "raw_us": raw,
        "cpu_us": micro,
        "ratio_to_ed25519_verify": {name: value / unit for name, value in micro.items()},
        "visit_to_its_signatures": whole / floor,
        "visits_per_core_second": rates,
        "codes_per_core_second": operations.per_core_second(single),
        "decode_ms": frames,
        "posted_ms": posted,
        "profile_top": top,
    }


def _print(report: Mapping[str, Any]) -> None:
    print(f"\n{report['machine']}; CPU, not waiting\n")
    print("raw work                          µs")
    for name, value in report["raw_us"].items():
        print(f"  {name:28} {value:7.1f}")
    print("\noperation                         µs   × one Ed25519 verify")
    for name, value in report["cpu_us"].items():
        print(f"  {name:26} {value:9.0f}   {report['ratio_to_ed25519_verify'][name]:8.1f}")
    print(f"\na visit costs {report['visit_to_its_signatures']:.0f} × its own signature work")
    rates = ", ".join(f"{count} at once {rate:.1f}" for count, rate in report["visits_per_core_second"].items())
    print(f"visits per core-second: {rates}")
    print("\nsigned and drawn as PNG           per core-second")
    for name, value in report["codes_per_core_second"].items():
        print(f"  {name:26} {value:9.0f}")
    print("\ndecoding                          ms a frame")
    for name, value in report["decode_ms"].items():
        print(f"  {name:26} {value:9.2f}")
    print("\na posted picture                  ms, waiting included")
    for name, value in report["posted_ms"].items():
        print(f"  {name:26} {value:9.2f}")
    print("\nwhere a visit's time goes (own time)")
    for row in report["profile_top"]:
        print(f"  {row['share']:6.1%}  {row['calls']:8}  {row['function']}")


def _say(quiet: bool, text: str) -> None:
    if not quiet:
        print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
