"""How an application of this room is served: by granian, one worker, a pool of threads."""

from __future__ import annotations


def serve(target: str, listen: str, *, threads: int) -> None:
    """Serve what the factory `target` ("module:name") makes at `listen` (host:port), until told to end.

    One worker: what it has cached, or an app has answered, is remembered in one process.
    """
    from granian import Granian
    from granian.constants import Interfaces

    host, _, port = listen.rpartition(":")
    Granian(
        target,
        address=host,
        port=int(port),
        interface=Interfaces.WSGI,
        factory=True,
        workers=1,
        blocking_threads=threads,
        log_access=False,
    ).serve()
