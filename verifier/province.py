"""The parts of one province's inner network, put together once by hand: stores, keys, rules, then who does what.

`open_province` reads like a list because it is one. The door application, the worker and the one-process country all start
here; what differs between them is the transport and the clock that they bring.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine

from consent.clock import Clock
from consent.envelope import load_envelope_key
from consent.keylist import read_key_list
from consent.keys import SigningKey, load_key, load_secret
from consent.stores import handover
from consent.stores.base import open_engine
from consent.stores.migrations import check_schema, migrate
from consent.stores.signals import Signals
from consent.telling import Log, new_log
from consent.transport import Transport
from verifier import intake, looking
from verifier.cards import Cards
from verifier.consents import Consents
from verifier.desk import Desk
from verifier.history import History, history_key
from verifier.intake import Intake
from verifier.invitations import Invitations
from verifier.library.register import Library
from verifier.library.vault import Vault
from verifier.looking import Looking
from verifier.lookups import Lookups
from verifier.matters.catalogue import load_catalogue
from verifier.matters.scope import load_scopes
from verifier.offers import Offers
from verifier.office import Office
from verifier.peers import Peers
from verifier.rounds import Rounds
from verifier.scanned import NoResolver, Resolver
from verifier.settings import Settings
from verifier.stores import inner
from verifier.stores import library as library_tables
from verifier.work import Worker


@dataclass(frozen=True, slots=True, kw_only=True)
class Province:
    """One province, ready to work."""

    office: Office
    desk: Desk
    peers: Peers
    library: Library
    worker: Worker

    def ready(self) -> None:
        """Unavailable where a store is silent or its schema is not this program's."""
        check_schema(self.office.inner, inner.OWNER)
        check_schema(self.office.handover, handover.OWNER)
        check_schema(self.library.engine, library_tables.OWNER)

    def close(self) -> None:
        """Give all connections back."""
        for engine in (self.office.inner, self.office.handover, self.library.engine):
            engine.dispose()


def open_province(
    settings: Settings,
    *,
    clock: Clock,
    transport: Transport,
    signals: Signals,
    resolver: Resolver | None = None,
    log: Log | None = None,
) -> Province:
    """Put one province together; Refusal where a key is not what the settings say.

    Stores are opened, not looked at: `ready` does that, and a library whose file is missing must not keep the rest of its
    province from working.
    """
    now = clock.now()
    log = (log or new_log("work", clock, level=settings.log_level)).bind(province=settings.province)
    keylist = read_key_list(Path(settings.keylist), pinned=settings.keylist_sha256, issued_after=settings.floor)
    answer_key = _key(settings, settings.answer_key)
    index_key = load_secret(settings.index_key, sandbox=settings.sandbox)
    data_key = load_secret(settings.data_key, sandbox=settings.sandbox)
    office = Office(
        province=settings.province,
        keylist=keylist,
        request_key=_key(settings, settings.request_key),
        consent_key=_key(settings, settings.consent_key),
        answer_key=answer_key,
        envelope_key=load_envelope_key(settings.envelope_key, sandbox=settings.sandbox),
        showing_key=load_secret(settings.showing_key, sandbox=settings.sandbox),
        index_key=index_key,
        history_key=history_key(data_key),
        catalogue=load_catalogue(),
        scopes=load_scopes(Path(settings.scopes), keylist.ring, now=now),
        inner=open_engine(settings.inner_store),
        handover=open_engine(settings.handover_store),
        signals=signals,
        log=log,
    )
    library = Library(
        engine=open_engine(settings.library_store),
        province=settings.province,
        library_key=_key(settings, settings.library_key),
        answer_key=answer_key,
        index_key=index_key,
        vault=Vault(data_key),
    )
    desk = Desk(office=office)
    rounds = Rounds(office=office, compose={"history": looking.merge, "objection": intake.outcome})
    consents = Consents(office=office, resolver=resolver or NoResolver())
    peers = Peers(
        office=office,
        desk=desk,
        consents=consents,
        cards=Cards(office=office, consents=consents),
        lookups=Lookups(office=office),
        offers=Offers(office=office),
        invitations=Invitations(office=office, desk=desk),
        library=library,
        history=History(office=office),
        rounds=rounds,
        looking=Looking(office=office, rounds=rounds),
        intake=Intake(office=office, rounds=rounds, vault=library.vault),
    )
    worker = Worker(office=office, peers=peers, transport=transport, clock=clock, log=log)
    return Province(office=office, desk=desk, peers=peers, library=library, worker=worker)


def migrate_stores(settings: Settings, *, create: bool) -> None:
    """Bring inner store and library to the newest revision; `create` founds the SQLite files."""
    for url, owner in ((settings.inner_store, inner.OWNER), (settings.library_store, library_tables.OWNER)):
        engine: Engine = open_engine(url, must_exist=not create)
        try:
            migrate(engine, owner)
        finally:
            engine.dispose()


def _key(settings: Settings, uri: str) -> SigningKey:
    return load_key(uri, issuer=settings.province, sandbox=settings.sandbox)
