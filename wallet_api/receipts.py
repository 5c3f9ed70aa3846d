"""Receipts checked at a desk, without any service: `wallet-api receipt verify FILE… --keys KEYLIST`.

One receipt, in this order:
 1. the text      three parts of base64url, a header of `alg`, `kid`, `typ`
 2. the claims    each by itself, and those that follow from others: a side that there is, an outcome that fits its
                  reason, a life that fits its issue, an issuer that is the key's
 3. the key       one of the list that could seal receipts when this one was made. It may have retired since.
 4. the seal      over header and claims

A seal says that something was changed, never what. Therefore the claims are judged one by one as well, and every one that
does not fit is named. What was changed into something just as plausible shows against another receipt of the same visit:

 5. two or three receipts of one visit name the same request, unit, window, matter, certificate type and fields; consent
    and copy wherever both know of them; and one outcome. What differs is named, with the side that says it.

Exit status 0: all hold and agree. 1: something does not. 2: nothing could be checked.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from itertools import combinations
from pathlib import Path
from typing import Any, Final

from consent.b64 import from_b64, to_b64
from consent.clock import Clock, SystemClock, from_epoch, rfc3339
from consent.errors import Reason, Refusal, outcome_of
from consent.keylist import KeyList, read_key_list
from consent.keys import ReceiptKeys
from consent.people import Uscc
from consent.receipt import LIFE, RECEIPT, SIDES, open_receipt
from consent.seal import COMMON, signed_digest, strict_json

SHARED: Final = ("req", "unit", "window", "officer", "matter", "type", "fields", "outcome")
KNOWN_TO_SOME: Final = ("consent", "copy")
MOST: Final = 3  # receipts of one visit: citizen, unit, library


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What became of one receipt. `faults` is empty when it holds; `claims` is what could be read of it."""

    name: str
    claims: Mapping[str, Any]
    digest: str | None
    faults: tuple[str, ...]

    @property
    def side(self) -> str:
        """Whose receipt it says that it is."""
        return str(self.claims.get("aud", "?"))


def check(name: str, text: str, keys: KeyList, *, now: datetime) -> Checked:
    """One receipt, in the steps above. Total: whatever the text is, its faults are named."""
    try:
        header, claims = _read(text)  # 1
    except Refusal as no:
        return Checked(name=name, claims={}, digest=None, faults=(f"text: {no.detail}",))
    faults = _faults(claims)  # 2
    issued = claims.get("iat")
    at = from_epoch(issued) if type(issued) is int and COMMON["iat"].fits(issued) else now
    ring = ReceiptKeys(keys.ring, at)
    try:
        key = ring.find(RECEIPT.typ, str(header.get("kid")), now=now)  # 3
        if claims.get("iss") != key.issuer:
            faults.append(f"iss: the key is {key.issuer}'s")
    except Refusal as no:
        faults.append(f"kid: {no.detail}")
    try:
        open_receipt(text, ring, side=str(claims.get("aud")), now=now)  # 4
    except Refusal as no:
        faults.append(_seal_fault(no))
    return Checked(name=name, claims=claims, digest=signed_digest(text), faults=tuple(dict.fromkeys(faults)))


def compare(found: Sequence[Checked]) -> list[str]:
    """Where receipts of one visit contradict each other; empty when they agree."""
    faults = []
    for one, other in combinations([each for each in found if each.claims], 2):
        for claim in (*SHARED, *KNOWN_TO_SOME):
            mine, yours = one.claims.get(claim), other.claims.get(claim)
            if claim in KNOWN_TO_SOME and (mine is None or yours is None):
                continue
            if mine != yours:
                faults.append(f"{claim}: {one.side} {_short(mine)}, {other.side} {_short(yours)}")
        if one.side == other.side:
            faults.append(f"aud: two receipts of one side, {one.side}")
    return faults


def _read(text: str) -> tuple[Mapping[str, Any], dict[str, Any]]:
    if len(text) > RECEIPT.max_length or text.count(".") != 2 or not text.isascii():
        raise Refusal(Reason.DOCUMENT_MALFORMED, detail="not a receipt+jwt in compact form")
    parts = text.split(".")
    header = strict_json(from_b64(parts[0]), depth=1, members=3)
    claims = strict_json(from_b64(parts[1]), depth=RECEIPT.depth, members=RECEIPT.members)
    if not isinstance(header, dict) or not isinstance(claims, dict):
        raise Refusal(Reason.DOCUMENT_MALFORMED, detail="header or claims are no object")
    if header.get("typ") != RECEIPT.typ:
        raise Refusal(Reason.DOCUMENT_WRONG_KIND, detail=f"typ is not {RECEIPT.typ}")
    return header, claims


def _faults(claims: Mapping[str, Any]) -> list[str]:
    shapes = {**COMMON, **RECEIPT.claims}
    faults = [f"{name}: missing" for name in shapes if name not in claims]
    faults += [f"{name}: no claim of a receipt" for name in claims if name not in shapes]
    wrong = [name for name, shape in shapes.items() if name in claims and not shape.fits(claims[name])]
    faults += [f"{name}: not what such a claim can be" for name in wrong]
    if not faults:
        faults += _contradictions(claims)
    return faults


def _contradictions(claims: Mapping[str, Any]) -> list[str]:
    """Claims of the right shapes that cannot stand beside each other."""
    faults = []
    if claims["aud"] not in SIDES:
        faults.append(f"aud: no side, there are {', '.join(SIDES)}")
    if claims["exp"] - claims["iat"] != LIFE // timedelta(seconds=1):
        faults += ["exp: does not follow from iat", "iat: does not lead to exp"]
    reason = None if claims["reason"] is None else Reason(claims["reason"])
    if outcome_of(reason) != claims["outcome"]:
        faults += ["outcome: does not follow from reason", "reason: does not lead to outcome"]
    if len(set(claims["fields"])) != len(claims["fields"]):
        faults.append("fields: one twice")
    try:
        Uscc.parse(claims["unit"])
    except Refusal:
        faults.append("unit: its check character is wrong")
    return faults


def _seal_fault(no: Refusal) -> str:
    if no.reason is Reason.DOCUMENT_SIGNATURE:
        return "signature: does not cover this text; header or claims were changed after sealing, or the signature was"
    return f"{no.reason}: {no.detail}"


def _short(value: Any) -> str:
    text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= 40 else f"{text[:40]}…"


# The command ------------------------------------------------------------------------------------------------


def add_receipt_commands(commands: Any) -> None:
    """Hang `receipt verify` under the program's commands."""
    receipts = commands.add_parser("receipt", help="what a visit left").add_subparsers(required=True, metavar="VERB")
    verifying = receipts.add_parser("verify", help="check receipts offline, with public keys alone")
    verifying.add_argument("files", nargs="+", type=Path, metavar="FILE", help="one to three receipts of one visit")
    verifying.add_argument("--keys", type=Path, required=True, metavar="KEYLIST", help="the key list (keylist.json)")
    verifying.add_argument("--pin", metavar="SHA256", help="the list's digest in base64url, from a source you trust")
    verifying.set_defaults(alone=verify)


def verify(asked: argparse.Namespace, *, clock: Clock | None = None) -> int:
    """Check, print, and return the exit status."""
    try:
        keys, digest = _keys(asked.keys, asked.pin)
        texts = [(str(path), path.read_text(encoding="ascii").strip()) for path in asked.files]
    except (OSError, UnicodeDecodeError) as problem:
        print(f"receipt: cannot be read: {type(problem).__name__}")
        return 2
    except Refusal as no:
        print(f"receipt: {no.reason}: {no.detail}")
        return 2
    if len(texts) > MOST:
        print(f"receipt: at most {MOST}, the receipts of one visit")
        return 2
    now = (clock or SystemClock()).now()
    print(f"keys      {asked.keys}, sha256 {digest}{', pinned' if asked.pin else ', NOT pinned: compare it yourself'}")
    found = [check(name, text, keys, now=now) for name, text in texts]
    for each in found:
        print()
        for line in _lines(each):
            print(line)
    differences, broken = compare(found), any(each.faults for each in found)
    if len(found) > 1:
        print()
        agreed = (
            "agree     no: one of them does not hold" if broken else f"agree     {len(found)} receipts of one visit"
        )
        print("\n".join(f"differ    {each}" for each in differences) or agreed)
    return 1 if differences or broken else 0


def _keys(path: Path, pin: str | None) -> tuple[KeyList, str]:
    digest = to_b64(sha256(path.read_bytes()).digest())
    return read_key_list(path, pinned=pin or digest), digest


def _lines(found: Checked) -> list[str]:
    claims = found.claims
    lines = [f"receipt   {found.name}", "holds     yes" if not found.faults else "holds     NO"]
    lines += [f"fault     {each}" for each in found.faults]
    if not claims:
        return lines
    ledger = claims.get("ledger")
    place = f"{ledger.get('position')}, {ledger.get('entry')}" if isinstance(ledger, dict) else ledger
    issued = claims.get("iat")
    rows = {
        "side": f"{found.side}, sealed by {claims.get('iss')}",
        "outcome": f"{claims.get('outcome')}{'' if claims.get('reason') is None else ', ' + str(claims['reason'])}",
        "time": rfc3339(from_epoch(issued)) if type(issued) is int and COMMON["iat"].fits(issued) else issued,
        "unit": f"{claims.get('unit')}, window {claims.get('window')}, officer {claims.get('officer')}",
        "matter": f"{claims.get('matter')}, {claims.get('type')}: {_listed(claims.get('fields'))}",
        "request": claims.get("req"),
        "consent": claims.get("consent") or "-",
        "copy": claims.get("copy") or "-",
        "ledger": place,
        "digest": found.digest,
    }
    return lines + [f"{name:<9} {_printable(value)}" for name, value in rows.items()]


def _listed(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _printable(value: Any) -> str:
    """A forged receipt may hold anything; a terminal gets none of its control characters."""
    return "".join(each if each.isprintable() else "�" for each in str(value))
