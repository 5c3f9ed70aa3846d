"""The description of the interface as a file: what `wallet-api openapi` prints and docs/openapi/wallet-api.json holds.

It must not depend on where it is made, so it is taken from a service of its own: a sandbox with throwaway keys and an
empty store, which answers one request and is gone. Its address becomes "/", because a committed file knows none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from consent.b64 import to_b64
from consent.clock import Clock
from consent.envelope import new_envelope_key
from consent.keylist import write_key_list
from consent.keys import SANDBOX_MARK, new_key, write_private
from consent.provinces import province
from consent.telling import new_log
from wallet_api.app import create_app, migrate_store
from wallet_api.settings import Settings

VERSION: Final = "v1"  # of the interface, as in its paths; the program's own version moves faster

_CODE: Final = "31"


def describe(clock: Clock) -> dict[str, Any]:
    """The whole description (OpenAPI 3.1) as the sandbox gives it, which has every operation of live and its own."""
    with TemporaryDirectory() as name:
        settings = _founded(Path(name), clock)
        migrate_store(settings, create=True)
        app = create_app(settings, clock=clock, log=new_log("wallet_api", clock, stream=StringIO()))
        try:
            with app.test_client() as client:
                found: dict[str, Any] = client.get("/openapi.json").get_json()
        finally:
            app.extensions["wallet_api"].engine.dispose()
    return neutral(found, settings.public_url)


def neutral(description: Mapping[str, Any], address: str) -> dict[str, Any]:
    """A service's description without the service's own address, profile and release."""
    found: dict[str, Any] = json.loads(json.dumps(dict(description)).replace(address, ""))
    found["servers"] = [{"url": "/"}]
    found["info"]["version"] = VERSION
    return found


def canonical(description: Mapping[str, Any]) -> str:
    """The text of the file: members sorted, one line each, so that a change is a small difference."""
    return json.dumps(description, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def _founded(folder: Path, clock: Clock) -> Settings:
    code_key = new_key("EdDSA", issuer=_CODE)
    login_key = new_key("ES256", issuer=province(_CODE).app_id)
    now = clock.now()
    life = {"not_before": now - timedelta(minutes=1), "not_after": now + timedelta(days=1)}
    keys = (code_key.published("YRD1", **life), login_key.published("holder+jwt", **life))
    recipients = {_CODE: new_envelope_key().recipient}
    write_private(folder / "code.pem", code_key.pem())
    write_private(folder / "showing.key", SANDBOX_MARK + to_b64(bytes(32)))
    return Settings(
        province=_CODE,
        profile="sandbox",
        store=f"sqlite:///{folder}/handover.db",
        keylist=str(folder / "keylist.json"),
        keylist_sha256=write_key_list(folder / "keylist.json", version=1, keys=keys, recipients=recipients),
        code_key=f"file:{folder}/code.pem",
        showing_key=f"file:{folder}/showing.key",
        public_url="https://wallet.sandbox.example",
    )
