"""Webhooks: genuine, forged, old, twice, out of order, under two secrets."""

from __future__ import annotations

from typing import Any, Final

from wallet_api.conformance.judging import finding
from wallet_api.conformance.run import Run, must, word

_QUICK_S: Final = 5.0
_OLD_S: Final = 600
_OTHER_SECRET: Final = "whsec_YSBzZWNyZXQgdGhhdCBub2JvZHkgaGFzIHJlZ2lzdGVyZWQ="  # noqa: S105 - nobody's


def hooks(run: Run) -> None:
    """Each kind of message, and what the phone then hears."""
    province, phone = run.province, run.second
    showing_id = run.opened(phone)
    entries = province.deliver()
    refused = sum(len(each.attempts) != 1 or each.attempts[0].failure is not None for each in entries)
    believed = must(phone.ask("heard")).body
    right = not refused and believed.get("showing_id") == showing_id and believed.get("version") == 1
    run.note(finding("webhook-taken", right, n=len(entries), refused=refused))
    run.note(finding("webhook-quick", province.sender.slowest_s <= _QUICK_S, slowest_s=province.sender.slowest_s))
    if not right:
        return

    forgeries: tuple[tuple[tuple[str, ...], dict[str, Any]], ...] = (
        ((), {"unsigned": True}),
        ((), {"altered": True}),
        ((_OTHER_SECRET,), {}),
    )
    for check, forged in (("webhook-signature", forgeries), ("webhook-time", (((), {"age_s": _OLD_S}),))):
        taken = sum(province.message(showing_id, 9, "DELIVERED", *signing, **more).accepted for signing, more in forged)
        fooled = must(phone.ask("heard")).body.get("version") == 9
        run.note(finding(check, not taken and not fooled, taken=taken))
        showing_id = _fresh(run)

    before = _acted(run)
    taken = sum(province.message(showing_id, 2, "CLAIMED", message_id="msg_twice").accepted for _ in range(2))
    acted = _acted(run) - before
    run.note(finding("webhook-once", taken == 2 and acted == 1, taken=taken, acted=acted))

    showing_id = _fresh(run)
    province.message(showing_id, 3, "CONSENTED")
    late = province.message(showing_id, 2, "CLAIMED")
    version = must(phone.ask("heard")).body.get("version")
    run.note(finding("webhook-order", version == 3 and late.accepted, version=version if type(version) is int else "?"))

    showing_id = _fresh(run)
    good = province.message(showing_id, 2, "CLAIMED", _OTHER_SECRET, province.secret).accepted
    believed = must(phone.ask("heard")).body
    run.note(finding("webhook-rotation", good and believed.get("version") == 2, taken=word(good)))


def _fresh(run: Run) -> str:
    """A showing that is new to the webhooks, too."""
    showing_id = run.opened(run.second)
    run.province.message(showing_id, 1, "OPEN")
    return showing_id


def _acted(run: Run) -> int:
    told = must(run.second.ask("heard")).body.get("acted")
    return told if type(told) is int else 0
