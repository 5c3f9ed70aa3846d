"""The public photographs in two halves: on A the decoder may be tuned, on B it is only measured.

Two pictures of one symbol, or two frames of one burst, in different halves would let the tuning see what it is judged
on. So whole groups are dealt out and never single pictures:

1. A picture's perceptual hash: the signs of the 64 lowest frequencies of its 32 by 32 reduction, against their median.
2. Two pictures are near when their hashes differ in at most 10 of 64 bits, or when the manifest says that they show
   the same text; a group is what is joined by a chain of near pictures.
3. The groups, the largest first and then in the order of the SHA-256 of their first name, each go to the half that has
   fewer pictures, A when both have the same.

The answer is kept in `photograph_halves.json`, names and half only, so that a new picture or another version of OpenCV
moves nothing. `python -m tests.photograph_halves VECTORS/qr` prints it anew.
"""

from __future__ import annotations

import json
import sys
from hashlib import sha256
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from scanner_kiosk.picture import Grey, load_file

NEAR_BITS: Final = 10
KEPT: Final = Path(__file__).with_suffix(".json")


def perceptual_hash(grey: Grey) -> int:
    """64 bits that scaling, noise and compression hardly change (step 1)."""
    small = cv2.resize(grey, (32, 32), interpolation=cv2.INTER_AREA).astype(np.float32)
    low = cv2.dct(small)[:8, :8].ravel()
    return int("".join("1" if value > np.median(low[1:]) else "0" for value in low), 2)


def groups(pictures: dict[str, tuple[int, frozenset[str]]]) -> list[list[str]]:
    """The names that belong together, sorted (step 2). `pictures` gives the hash and the texts for each name."""
    names = sorted(pictures)
    leader = {name: name for name in names}

    def first(name: str) -> str:
        while leader[name] != name:
            name = leader[name]
        return name

    for at, one in enumerate(names):
        for other in names[at + 1 :]:
            near = (pictures[one][0] ^ pictures[other][0]).bit_count() <= NEAR_BITS
            if near or pictures[one][1] & pictures[other][1]:
                low, high = sorted((first(one), first(other)))
                leader[high] = low
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(first(name), []).append(name)
    return list(found.values())


def dealt(grouped: list[list[str]]) -> dict[str, str]:
    """The half, A or B, of every name (step 3)."""
    halves: dict[str, str] = {}
    sizes = {"A": 0, "B": 0}
    for group in sorted(grouped, key=lambda group: (-len(group), sha256(group[0].encode()).hexdigest())):
        half = "A" if sizes["A"] <= sizes["B"] else "B"
        sizes[half] += len(group)
        halves.update(dict.fromkeys(group, half))
    return dict(sorted(halves.items()))


def split(folder: Path) -> dict[str, str]:
    """The half of every picture in the manifest of `folder`, by its name there."""
    pictures: dict[str, tuple[int, frozenset[str]]] = {}
    for line in (folder / "manifest.jsonl").read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        pictures[entry["file"]] = perceptual_hash(load_file(folder / entry["file"])), frozenset(entry["expected"])
    return dealt(groups(pictures))


def kept() -> dict[str, str]:
    """The half of every picture as it was once dealt out."""
    halves: dict[str, str] = json.loads(KEPT.read_text(encoding="utf-8"))
    return halves


if __name__ == "__main__":
    json.dump(split(Path(sys.argv[1])), sys.stdout, indent=0)
    sys.stdout.write("\n")
