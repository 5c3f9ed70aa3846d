"""Which simulated devices stand at a window of the sandbox, as the kiosk's settings name them.

A country that was founded before these devices had keys has none: its windows then serve phones alone.
"""

from __future__ import annotations

from typing import Any

from scanner_kiosk.country.founding import Founded
from scanner_kiosk.country.units import officers_at, units_of
from verifier.matters.catalogue import load_catalogue


def devices_at(founded: Founded, province: str, window: str) -> dict[str, Any]:
    """`unit`, `reader_key_uri`, `pad_key_uri` and `staff` of a kiosk's `WindowSetting`; {} where there are none."""
    keys = founded.keys
    reader, pad = (keys.device(province, window, name) for name in ("reader", "pad"))
    staff = {officer: keys.officer(province, officer) for officer in officers_at(window)}
    if not all(path.exists() for path in (reader, pad, *staff.values())):
        return {}
    (unit,) = (each.uscc for each in units_of(province, load_catalogue()) if window in each.windows)
    return {
        "unit": unit,
        "reader_key_uri": f"file:{reader}",
        "pad_key_uri": f"file:{pad}",
        "staff": {officer: f"file:{path}" for officer, path in staff.items()},
    }
