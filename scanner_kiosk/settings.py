"""The settings of one kiosk: one frozen value, read once from the environment.

A name that begins with HUZHENG_KIOSK_ and is not known stops the start and names its nearest neighbour: a setting with a
typing error would otherwise be a setting that silently does not hold.

`HUZHENG_KIOSK_WINDOWS` is a JSON file: a list of the windows that this kiosk may stand for. At a real counter that is
one; in the sandbox one kiosk stands in for all.

    [{"province": "31", "window": "pudong-3", "name": "浦东 3 号窗口", "desk_url": "https://…", "key_uri": "file:…"}]

In the sandbox a window may have simulated devices: `reader_key_uri` and `pad_key_uri` are the keys of its card reader and of
its pad, `staff` those of the staff cards of its unit, by officer, and `unit` is the unit's USCC. A real device keeps its key
inside; a window of a live profile that names one stops the start.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from consent.errors import Refusal
from consent.provinces import province
from consent.sentences import Lang
from consent.starting import settings_in
from scanner_kiosk.devices.desk_scanner import named

OWN: Final = "HUZHENG_KIOSK_"
# These are the same for all rooms of a province.
SHARED: Final[Mapping[str, str]] = {
    "profile": "HUZHENG_PROFILE",
    "keylist": "HUZHENG_KEYLIST",
    "keylist_sha256": "HUZHENG_KEYLIST_SHA256",
}
PROFILES: Final = ("sandbox", "live")
_DEVICES: Final = ("reader_key_uri", "pad_key_uri", "staff")
_MAY_BE_EMPTY: Final = frozenset({"unit", "unit_zh", "unit_en", *_DEVICES})


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowSetting:
    """One window: where its desk is and which key is its own (URI, see consent.keys). Units' names and the simulated devices
    may be left out."""

    province: str
    window: str
    name: str
    desk_url: str
    key_uri: str
    unit_zh: str = ""
    unit_en: str = ""
    unit: str = ""
    reader_key_uri: str = ""
    pad_key_uri: str = ""
    staff: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings."""

    profile: str = "live"  # "sandbox" or "live"; a sandbox has card and phone simulators
    keylist: str = "var/keylist.json"  # path
    keylist_sha256: str = ""  # digest that pins the key list; base64url, 43 characters
    windows: str = "var/windows.json"  # path, see the top of this file
    personas: str = ""  # path to the sandbox's people, for the simulated card reader; empty: no such reader
    camera: str = "webcam:0"  # see scanner_kiosk.camera; sim:http://127.0.0.1:… is the phone simulator
    scanner: str = ""  # see scanner_kiosk.devices.desk_scanner; empty: none, or one that types into the page
    state: str = "var/kiosk"  # folder of what this kiosk keeps: the journals of reported problems and of a silent desk
    listen: str = "127.0.0.1:8441"  # host:port; the page is for this machine only
    ca_file: str = ""  # PEM file of those who may vouch for desks; empty: those of the system
    certificate: str = ""  # PEM file with this machine's certificate and key, where desks want one
    lang: str = Lang.ZH_CN.value  # zh-CN or en; the page can change it
    practice: int = 0  # 1: for learning; a sandbox only, with sandbox keys only, and the page says so everywhere
    threads: int = 8  # requests of the page at once
    log_level: str = "info"  # debug, info, warning, error

    @property
    def sandbox(self) -> bool:
        """Whether nothing here is real."""
        return self.profile == "sandbox"

    @property
    def port(self) -> int:
        """The page's port."""
        return int(self.listen.rpartition(":")[2])


def read_settings(environment: Mapping[str, str]) -> Settings:
    """The settings that an environment holds; ValueError names what is wrong, never a value."""
    return checked(Settings(**settings_in(environment, Settings, own=OWN, shared=SHARED)))


def checked(settings: Settings) -> Settings:
    """The settings, if they can hold; ValueError otherwise."""
    if settings.profile not in PROFILES:
        raise ValueError(f"{SHARED['profile']} is sandbox or live")
    if settings.lang not in tuple(Lang):
        raise ValueError(f"{OWN}LANG is zh-CN or en")
    host, _, port = settings.listen.rpartition(":")
    if host not in ("127.0.0.1", "localhost", "[::1]") or not port.isdigit() or int(port) > 65_535:
        raise ValueError(f"{OWN}LISTEN is 127.0.0.1:PORT; the counter's page is for its own machine only")
    if settings.scanner:
        try:
            named(settings.scanner)
        except ValueError as wrong:
            raise ValueError(f"{OWN}SCANNER: {wrong}") from wrong
    if settings.practice not in (0, 1) or (settings.practice and not settings.sandbox):
        raise ValueError(f"{OWN}PRACTICE is 0 or 1, and 1 in a sandbox only")
    if settings.threads < 1:
        raise ValueError(f"{OWN}THREADS is at least 1")
    return settings


def read_windows(path: Path, *, sandbox: bool) -> tuple[WindowSetting, ...]:
    """The windows of a kiosk; ValueError says what is wrong with the file."""
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        windows = tuple(WindowSetting(**row) for row in rows)
    except (OSError, ValueError, TypeError) as problem:
        raise ValueError(f"{path}: {type(problem).__name__}; it must be a list of windows") from problem
    for window in windows:
        try:
            province(window.province)
        except Refusal as no:
            raise ValueError(f"{path}: no province {window.province!r}") from no
        _check_members(path, window)
        if not sandbox and any(getattr(window, name) for name in _DEVICES):
            raise ValueError(f"{path}: the devices of {window.window} are simulated and must not be in live")
        if not window.desk_url.startswith("https://" if not sandbox else ("http://", "https://")):
            raise ValueError(f"{path}: the desk of {window.window} must be https in live")
    if not windows or len({(each.province, each.window) for each in windows}) != len(windows):
        raise ValueError(f"{path}: no window, or one twice")
    return windows


def _check_members(path: Path, window: WindowSetting) -> None:
    members = asdict(window)
    staff = members.pop("staff")
    if not all(isinstance(value, str) and (value or name in _MAY_BE_EMPTY) for name, value in members.items()):
        raise ValueError(f"{path}: every member is a text")
    if not isinstance(staff, dict) or not all(isinstance(value, str) and value for value in staff.values()):
        raise ValueError(f"{path}: staff has a key URI for each officer")
    if bool(window.reader_key_uri) != bool(window.pad_key_uri) or (staff and not (window.unit and window.pad_key_uri)):
        raise ValueError(f"{path}: {window.window} has a reader with a pad, and staff cards with both and a unit")
