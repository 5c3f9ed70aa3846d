"""`wallet-api conformance URL [--json] [--lang zh-CN|en] [--webhook URL]`: check a vendor's back end, and say how it did.

Exit status 0: every check passed. 1: one failed or could not be run. 2: the back end cannot be reached at all, or the
command line is wrong. The report goes to standard output, progress to standard error.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final
from urllib.parse import urlsplit

from consent.errors import Refusal, Unavailable
from wallet_api.conformance.pace import Pace, Sleeping
from wallet_api.conformance.phone import ROOT, BackEnd, Phone, reach
from wallet_api.conformance.province import CITIZENS, Province, founded
from wallet_api.conformance.report import LANGUAGES, as_json, as_text, passed
from wallet_api.conformance.run import Run
from wallet_api.conformance.scenes import play

SCENE_NAMES: Final = {
    "show": ("出示二维码", "a showing and its codes"),
    "agree": ("同意与撤回", "agreeing and withdrawing"),
    "hooks": ("Webhook", "webhooks"),
    "decline": ("不同意", "declining"),
    "receive": ("调取与回执", "delivery and receipt"),
    "end": ("过期与失效", "expired and void"),
    "poll": ("轮询", "polling"),
    "grow": ("将来的答复", "answers of the future"),
    "fail": ("没有答复", "silences"),
    "tokens": ("令牌", "tokens"),
    "apart": ("两位当事人", "two citizens"),
    "twin": ("手工输入的数字", "digits to type"),
    "history": ("谁看过我的证照", "who saw my certificates"),
    "express": ("先同意后扫码", "agreeing before the scan"),
    "clock": ("时钟", "clocks"),
}


def run_command(asked: argparse.Namespace) -> int:
    """Check, print, and return the exit status."""
    url = str(asked.url).rstrip("/")
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
        print("conformance: URL is http://… or https://…", file=sys.stderr)
        return 2

    def say(n: int, of: int, scene: str) -> None:
        zh, en = SCENE_NAMES[scene]
        print(f"{n}/{of} {zh if asked.lang == 'zh-CN' else en} …", file=sys.stderr, flush=True)

    pace = Sleeping()
    try:
        run = check(url, webhook=asked.webhook, pace=pace, say=say)
    except (Refusal, Unavailable) as problem:
        print(f"conformance: {problem.reason}: {problem.detail}", file=sys.stderr)
        return 2
    if asked.json:
        print(as_json(url, run.findings, run.stops, now=pace.now()))
    else:
        print(as_text(url, run.findings, run.stops, lang=asked.lang))
    return 0 if passed(run.findings) else 1


def check(url: str, *, webhook: str | None = None, pace: Pace, say: Callable[[int, int, str], None]) -> Run:
    """One run against the back end at `url`. Webhooks go to `webhook`, by default to one of the kit's own addresses there.

    Unavailable(APP_UNREACHABLE) where /conformance/begin has no good answer; Refusal(WEBHOOK_ADDRESS_NOT_ALLOWED) where
    wallet_api may not call the webhook address.
    """
    with TemporaryDirectory(prefix="huzheng-conformance-") as folder, founded(Path(folder), pace=pace) as province:
        return check_in(province, url, webhook=webhook, say=say)


def check_in(province: Province, url: str, *, webhook: str | None = None, say: Callable[[int, int, str], None]) -> Run:
    """`check` in a province that stands already. One back end after the other; each has a tape of its own."""
    back_end = BackEnd(url)
    province.begin_anew(webhook or f"{back_end.url}{ROOT}/webhook")
    try:
        reach(back_end, province.told_at_beginning())
        first, second = (Phone(back_end, each.account, clock=province.clock) for each in CITIZENS)
        run = Run(province=province, back_end=back_end, first=first, second=second)
        play(run, say)
        return run
    finally:
        province.forget_hook()
        back_end.close()


def add_conformance_command(commands: Any) -> None:
    """Hang `conformance` below a parser's commands. It needs no settings: it founds a province of its own."""
    parser = commands.add_parser("conformance", help="check a vendor's back end by running it (docs/conformance.md)")
    parser.add_argument("url", help="where the test build of the back end listens, for instance http://127.0.0.1:8090")
    parser.add_argument("--json", action="store_true", help="the report for programs")
    parser.add_argument("--lang", choices=LANGUAGES, default="zh-CN", help="language of the report for people")
    parser.add_argument("--webhook", metavar="URL", help="where webhooks go, if not to URL/conformance/webhook")
    parser.set_defaults(alone=run_command)
