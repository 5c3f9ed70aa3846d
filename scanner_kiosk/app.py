"""The parts list of one kiosk: keys, windows, camera, thread, page.

`line` says how a desk is reached, so that demo, tests and the embedded country can pass a line that stays inside the
process. Nothing is global.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Final

from flask import Flask

from consent.attest import staff_of
from consent.card import device_of
from consent.clock import Clock, shanghai_date
from consent.envelope import Recipient
from consent.errors import Reason, Refusal, Unavailable
from consent.keylist import KeyList, read_key_list
from consent.keys import SANDBOX_MARK, SigningKey, load_key, secret_text
from consent.telling import Log, new_log
from consent.window import issuer_of
from scanner_kiosk.camera import Source, open_source
from scanner_kiosk.cards import Card, read_cards
from scanner_kiosk.chosen import Window
from scanner_kiosk.devices.desk_scanner import DeskScanner, named
from scanner_kiosk.devices.simulated import Devices, SimulatedMatcher, SimulatedPad, SimulatedReader, SimulatedStaffCard
from scanner_kiosk.kiosk import Kiosk
from scanner_kiosk.offline import Offline
from scanner_kiosk.pictures_apart import shared
from scanner_kiosk.province_client import HttpLine, Line, ProvinceClient
from scanner_kiosk.screen import create_screen
from scanner_kiosk.settings import Settings, WindowSetting, checked, read_windows

SIM: Final = "sim:"
_NEAR: Final = ("http://127.0.0.1:", "http://localhost:")


def create_app(
    settings: Settings,
    *,
    clock: Clock,
    log: Log | None = None,
    line: Callable[[WindowSetting], Line] | None = None,
    start: bool = True,
) -> Flask:
    """The kiosk's page, with its thread running unless `start` is false. The `Kiosk` stands in `app.extensions["kiosk"]`.

    Raises ValueError for settings that cannot hold, Refusal where a key or the key list is not what they say.
    """
    settings = checked(settings)
    log = log or new_log("scanner_kiosk", clock, level=settings.log_level)
    keylist = read_key_list(Path(settings.keylist), pinned=settings.keylist_sha256)
    kiosk = Kiosk(
        windows=[
            _window(each, settings, keylist, clock, line)
            for each in read_windows(Path(settings.windows), sandbox=settings.sandbox)
        ],
        keylist=keylist,
        clock=clock,
        log=log,
        open_camera=open_camera,
        camera=settings.camera,
        offline=Offline(Path(settings.state), keylist=settings.keylist_sha256, log=log),
        cards=_cards(settings, clock),
    )
    app = create_screen(kiosk, settings, clock=clock, log=log)
    if start:
        Thread(target=kiosk.run, name="kiosk", daemon=True).start()
        if settings.scanner:
            kiosk.listen_to(DeskScanner(named(settings.scanner), deliver=kiosk.typed, log=log))
    return app


def _cards(settings: Settings, clock: Clock) -> tuple[Card, ...]:
    if not settings.sandbox or not settings.personas:
        return ()
    return read_cards(Path(settings.personas), today=shanghai_date(clock.now()))


def _window(
    each: WindowSetting,
    settings: Settings,
    keylist: KeyList,
    clock: Clock,
    line: Callable[[WindowSetting], Line] | None,
) -> Window:
    if settings.practice:
        _refuse_live_keys(each)
    key = load_key(each.key_uri, issuer=issuer_of(each.province, each.window), sandbox=settings.sandbox)
    recipient: Recipient = keylist.recipient(each.province)
    way = line(each) if line else HttpLine(each.desk_url, ca_file=settings.ca_file, certificate=settings.certificate)
    client = ProvinceClient(
        line=way, province=each.province, window=each.window, key=key, recipient=recipient, clock=clock
    )
    return Window(
        name=each.name,
        unit_zh=each.unit_zh,
        unit_en=each.unit_en,
        client=client,
        devices=_devices(each, recipient) if settings.sandbox and each.reader_key_uri else None,
    )


def _refuse_live_keys(each: WindowSetting) -> None:
    """Refusal KEY_NOT_ALLOWED unless all keys of a window, its devices and its staff are a sandbox's. The other way round
    holds everywhere: a sandbox key is refused in live."""
    keys = {"window": each.key_uri, "reader": each.reader_key_uri, "pad": each.pad_key_uri, **each.staff}
    for holder, uri in keys.items():
        made_now = uri.startswith("new:")
        if uri and not made_now and SANDBOX_MARK.strip() not in secret_text(uri, sandbox=True):
            raise Refusal(
                Reason.KEY_NOT_ALLOWED, detail=f"{each.window}, {holder}: a practice kiosk takes sandbox keys only"
            )


def _devices(each: WindowSetting, inner: Recipient) -> Devices:
    """The simulated devices of a window; real ones hold their keys themselves."""

    def device(uri: str, name: str) -> SigningKey:
        return load_key(uri, issuer=device_of(each.province, each.window, name), sandbox=True)

    return Devices(
        reader=SimulatedReader(
            key=device(each.reader_key_uri, "reader"), province=each.province, window=each.window, inner=inner
        ),
        pad=SimulatedPad(key=device(each.pad_key_uri, "pad"), province=each.province),
        matcher=SimulatedMatcher(),
        staff=tuple(
            SimulatedStaffCard(
                key=load_key(uri, issuer=staff_of(each.province, each.unit, officer), sandbox=True),
                province=each.province,
                window=each.window,
                officer=officer,
            )
            for officer, uri in each.staff.items()
        ),
    )


def let_go(kiosk: Kiosk, log: Log) -> None:
    """The end of a served kiosk: camera, scanner and the process that reads pictures are free for the next one."""
    kiosk.stop()
    shared().close()
    log.info("kiosk_ends")


def open_camera(name: str) -> Source:
    """The camera of a setting. `sim:` may be followed by the address on this machine at which a phone's picture lies."""
    address = name.removeprefix(SIM)
    if not name.startswith(SIM) or not address:
        return open_source(name)
    if not address.startswith(_NEAR):
        raise ValueError("the simulated phone is on this machine: sim:http://127.0.0.1:PORT/PATH")
    return open_source(SIM, picture=PhonePicture(address))


class PhonePicture:
    """The PNG that a simulated phone shows now: fetched at most twice a second, nothing while there is none."""

    EVERY: Final = 15  # frames of a camera at 30 a second

    def __init__(self, address: str) -> None:
        host, slash, path = address.partition("://")[2].partition("/")
        self._line, self._path = HttpLine(f"http://{host}"), slash + path
        self._png, self._frames = b"", 0

    def __call__(self) -> bytes:
        if self._frames % self.EVERY == 0:
            self._png = self._fetch()
        self._frames += 1
        return self._png

    def _fetch(self) -> bytes:
        try:
            reply = self._line.call("GET", self._path, b"", {"Accept": "image/png"})
        except Unavailable:
            return b""
        return reply.body if reply.status == 200 and reply.headers.get("content-type") == "image/png" else b""
