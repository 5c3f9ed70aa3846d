"""Found a sandbox country in an empty folder: keys, key list, scopes, databases, certificates, vendors, personas.

    keylist.json  keys/  scopes/scope-PP.jwt            trust
    handover-PP.db  inner-PP.db  library-PP.db  exchange.db   one file for each owner and province
    personas.json  windows.json  vendors.json           what the phones, counters and vendors of the sandbox need
    founding.json                                       the key list's digest, and when it was founded

Everything that a process needs afterwards is a setting: `environment_of` gives the variables of one province, for the
processes of `serve` and for the one process of the demo alike.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from consent.certificate_numbers import CertificateIdentifier
from consent.clock import rfc3339
from consent.errors import Reason
from consent.keys import jwk_of, load_secret, new_key, write_private
from consent.provinces import provinces
from consent.stores import handover
from consent.stores.base import open_engine
from consent.stores.migrations import migrate
from scanner_kiosk.country.keys import KeyFiles, make_keys
from scanner_kiosk.country.people import Persona, Story, personas
from scanner_kiosk.country.units import officers_at, sandbox_uscc, units_of, windows_of
from verifier.library.certificate import Certificate, Party
from verifier.library.issuing import issue, new_handle, note_paper_file
from verifier.library.register import Library
from verifier.library.vault import Vault
from verifier.matters.catalogue import load_catalogue
from verifier.matters.scope import Unit, seal_scope
from verifier.province import migrate_stores
from verifier.settings import Settings as VerifierSettings
from verifier.settings import read_settings as read_verifier_settings
from verifier.stores import exchange as exchange_tables
from wallet_api.app import migrate_store as migrate_wallet
from wallet_api.settings import read_settings as read_wallet_settings
from wallet_api.vendors import SCOPES, Vendors

TYPE_CODES: Final = {"marriage": "111000000000131433001", "divorce": "111000000000131433002"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Founded:
    """A founded country's folder and what has to be known of it."""

    folder: Path
    keylist_sha256: str

    @property
    def keys(self) -> KeyFiles:
        """Where the keys lie."""
        return KeyFiles(folder=self.folder / "keys")

    def environment(self, code: str, *, redis_url: str = "") -> dict[str, str]:
        """The variables of one province's two rooms, all but addresses."""
        folder, keys = self.folder, self.keys
        return {
            "HUZHENG_PROFILE": "sandbox",
            "HUZHENG_REDIS_URL": redis_url,
            "HUZHENG_KEYLIST": str(folder / "keylist.json"),
            "HUZHENG_KEYLIST_SHA256": self.keylist_sha256,
            "HUZHENG_WALLET_PROVINCE": code,
            "HUZHENG_WALLET_STORE": f"sqlite:///{folder}/handover-{code}.db",
            "HUZHENG_WALLET_CODE_KEY": keys.uri(code, "code"),
            "HUZHENG_WALLET_SHOWING_KEY": keys.uri(code, "showing"),
            "HUZHENG_VERIFIER_PROVINCE": code,
            "HUZHENG_VERIFIER_INNER_STORE": f"sqlite:///{folder}/inner-{code}.db",
            "HUZHENG_VERIFIER_HANDOVER_STORE": f"sqlite:///{folder}/handover-{code}.db",
            "HUZHENG_VERIFIER_LIBRARY_STORE": f"sqlite:///{folder}/library-{code}.db",
            "HUZHENG_VERIFIER_EXCHANGE_STORE": f"sqlite:///{folder}/exchange.db",
            "HUZHENG_VERIFIER_SCOPES": str(folder / "scopes"),
            **{
                f"HUZHENG_VERIFIER_{role.upper()}_KEY": keys.uri(code, role)
                for role in ("request", "consent", "answer", "library", "envelope", "showing", "index", "data")
            },
        }


def open_founded(folder: Path) -> Founded:
    """A country that was founded before; FileNotFoundError where there is none."""
    found = json.loads((folder / "founding.json").read_text(encoding="utf-8"))
    return Founded(folder=folder, keylist_sha256=found["keylist_sha256"])


def found(folder: Path, *, now: datetime) -> Founded:
    """Found a country in a folder that has none yet."""
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    units = {code: units_of(code, load_catalogue()) for code in provinces()}
    digest = make_keys(
        folder,
        windows={code: windows_of(code) for code in provinces()},
        officers={code: _officers(units[code]) for code in units},
        now=now,
    )
    founded = Founded(folder=folder, keylist_sha256=digest)
    _scopes(founded, now=now)
    _stores(founded)
    for code in provinces():
        _certificates(founded, code, now=now)
    _vendors(founded, now=now)
    _lists(founded)
    (folder / "founding.json").write_text(json.dumps({"keylist_sha256": digest, "at": rfc3339(now)}), encoding="utf-8")
    return founded


def _officers(units: Sequence[Unit]) -> dict[str, str]:
    return {officer: unit.uscc for unit in units for officer in officers_at(next(iter(unit.windows)))}


def _scopes(founded: Founded, *, now: datetime) -> None:
    folder = founded.folder / "scopes"
    folder.mkdir()
    catalogue = load_catalogue()
    for code in provinces():
        text = seal_scope(units_of(code, catalogue), founded.keys.signing(code, "request"), version=1, now=now)
        (folder / f"scope-{code}.jwt").write_text(text, encoding="ascii")


def _stores(founded: Founded) -> None:
    for code in provinces():
        environment = founded.environment(code)
        migrate_wallet(read_wallet_settings(environment), create=True)
        migrate_stores(read_verifier_settings(environment), create=True)
    engine = open_engine(f"sqlite:///{founded.folder}/exchange.db", must_exist=False)
    migrate(engine, exchange_tables.OWNER)
    engine.dispose()


def library_of(founded: Founded, code: str) -> Library:
    """The library of a province, opened by itself: for founding, and for tests that change a certificate."""
    settings: VerifierSettings = read_verifier_settings(founded.environment(code))
    return Library(
        engine=open_engine(settings.library_store),
        province=code,
        library_key=founded.keys.signing(code, "library"),
        answer_key=founded.keys.signing(code, "answer"),
        index_key=load_secret(settings.index_key, sandbox=True),
        vault=Vault(load_secret(settings.data_key, sandbox=True)),
    )


def _certificates(founded: Founded, code: str, *, now: datetime) -> None:
    library = library_of(founded, code)
    number = 0
    for persona in personas():
        for story in persona.stories:
            number += 1
            if story.library == code:
                issue(library, certificate_of(persona, story, number), now=now)
        if persona.undigitised == code:
            note_paper_file(library, persona.id_number, now=now)
    library.engine.dispose()


def certificate_of(persona: Persona, story: Story, number: int) -> Certificate:
    own = Party(name=persona.name, id_number=persona.id_number)
    partner = Party(name=story.partner_name, id_number=story.partner_id)
    division = {"31": "310101", "32": "320102", "33": "330106", "34": "340102"}[story.library]
    letter = {"marriage": "J", "divorce": "L"}[story.type]
    year = story.registered.year + (3 if story.reissued else 0)
    version = 2 if story.reissued else 1
    issuer = sandbox_uscc("11", division, 17)
    identifier = CertificateIdentifier.compose(
        type_code=TYPE_CODES[story.type], issuer=issuer, serial=f"{year}{number:07d}", version=version
    )
    return Certificate(
        handle=new_handle(story.library),
        identifier=identifier.text,
        number=f"{'B' if story.reissued else ''}{letter}{division}-{year}-{number:06d}",
        type=story.type,
        registration_type={"marriage": "ICA" if story.reissued else "IA", "divorce": "IB"}[story.type],
        registration_date=story.registered,
        authority=f"{provinces()[story.library].name_zh}婚姻登记处（沙盒）",
        husband=own if persona.husband else partner,
        wife=partner if persona.husband else own,
        holder="husband" if persona.husband else "wife",
        status=story.status,
        version=version,
        provenance="sandbox",
    )


def _vendors(founded: Founded, *, now: datetime) -> None:
    """One sandbox vendor for each app, with its key in a file."""
    rows: dict[str, Any] = {}
    for code, province in provinces().items():
        client_id = f"{province.app_id}-sandbox"
        key = new_key("ES256", issuer=client_id)
        path = founded.folder / "keys" / f"{code}-vendor.pem"
        write_private(path, key.pem())
        engine = open_engine(read_wallet_settings(founded.environment(code)).store)
        Vendors(engine, profile="sandbox", by="founding").add(
            client_id,
            name=f"{province.app_name_zh} 沙盒",
            app=province.app_id,
            jwk=jwk_of(key.public),
            scopes=SCOPES,
            now=now,
        )
        engine.dispose()
        rows[code] = {"client_id": client_id, "key": str(path), "kid": key.kid}
    (founded.folder / "vendors.json").write_text(json.dumps(rows, indent=1), encoding="utf-8")


def _reason(persona: Persona) -> Reason | None:
    """Why a counter that asks for this person's certificate gets none, although the person agrees; None: it passes."""
    if persona.undigitised is not None:
        return Reason.NOT_DIGITISED
    if not persona.stories:
        return Reason.NOT_FOUND
    valid = any(story.status == "VALID" for story in persona.stories)
    return None if valid else Reason.CERTIFICATE_NOT_VALID


def _lists(founded: Founded) -> None:
    people = [
        {
            "id": each.id,
            "province": each.province,
            "app": provinces()[each.province].app_id,
            "name": each.name,
            "id_number": each.id_number,
            "note_zh": each.note_zh,
            "note_en": each.note_en,
            "certificates": [
                {"province": story.library, "type": story.type, "status": story.status} for story in each.stories
            ],
            "reason": _reason(each),
        }
        for each in personas()
    ]
    write_private(founded.folder / "personas.json", json.dumps(people, ensure_ascii=False, indent=1))
    windows = [
        {
            "province": code,
            "window": window,
            "name": name,
            "unit_zh": unit.name_zh,
            "unit_en": unit.name_en,
            "key": founded.keys.uri(code, f"window-{window}"),
        }
        for code in provinces()
        for unit in units_of(code, load_catalogue())
        for window, name in unit.windows.items()
    ]
    (founded.folder / "windows.json").write_text(json.dumps(windows, ensure_ascii=False, indent=1), encoding="utf-8")


__all__ = ["Founded", "found", "handover", "library_of", "open_founded"]
