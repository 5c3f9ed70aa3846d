"""How an application is put on a wire: granian without client certificates, gunicorn with them.

granian asks for client certificates and then keeps what is in them to itself. Where doors must know who is calling, gunicorn's
threaded worker serves: it shakes hands in the thread of the request, so that a silent client holds up nobody else, and lets
the application see the socket. `named_by_certificate` puts the name that it finds there where no header can: `huzheng.peer`.

 1. no certificate, or one of another authority   the handshake fails, no byte of HTTP is read
 2. a certificate without exactly one common name  the caller stays nameless, and every door for peers refuses
 3. a name                                         the door compares it with what it expects, the relay with the letter

TLS 1.3 only: all ends of these lines are ours.
"""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from verifier.exchange.client import PEER
from verifier.settings import Settings

_HANDSHAKE_S: Final = 5.0  # for the handshake and the first request of a connection
_KEEP_S: Final = 75  # an idle connection stays open; a caller's pool then rarely meets one that is being closed


def serve(target: str, load: Callable[[], WSGIApplication], settings: Settings, *, peers: bool) -> None:
    """Answer requests until told to stop. `target` ("module:function") and `load` make the same application; it is made
    in the process that serves. `peers`: callers must show a certificate, if there is TLS at all."""
    host, _, port = settings.listen.rpartition(":")
    if settings.tls and peers:
        _serve_peers(load, settings)
        return
    from granian import Granian
    from granian.constants import Interfaces, SSLProtocols

    tls: dict[str, Any] = {}
    if settings.tls:
        tls = {
            "ssl_cert": Path(settings.tls_certificate),
            "ssl_key": Path(settings.tls_key),
            "ssl_protocol_min": SSLProtocols.tls13,
        }
    Granian(
        target,
        address=host,
        port=int(port),
        interface=Interfaces.WSGI,
        factory=True,
        workers=1,
        blocking_threads=settings.threads,
        log_access=False,
        **tls,
    ).serve()


def _serve_peers(load: Callable[[], WSGIApplication], settings: Settings) -> None:
    from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]
    from gunicorn.glogging import Logger  # type: ignore[import-untyped]

    class Words(Logger):  # type: ignore[misc]  # gunicorn ships no types
        def setup(self, cfg: Any) -> None:
            """No lines of its own kind: the application sends what libraries log through its own mask."""
            self.error_log.setLevel(logging.WARNING)
            self.error_log.propagate = True

    context = server_tls(settings)  # once; gunicorn would read the files anew for each connection
    options = {
        "bind": settings.listen,
        "workers": 1,
        "worker_class": "gthread",
        "threads": settings.threads,
        "keepalive": _KEEP_S,
        "graceful_timeout": 5,
        "certfile": settings.tls_certificate,
        "keyfile": settings.tls_key,
        "ssl_context": lambda conf, usual: context,
        "when_ready": _wake_for_words,
        "forwarded_allow_ips": "",  # no proxy stands before us, so no header may say where a request came from
        "control_socket_disable": True,
        "logger_class": Words,
    }

    class Application(BaseApplication):  # type: ignore[misc]  # gunicorn ships no types
        def load_config(self) -> None:
            for name, value in options.items():
                self.cfg.set(name, value)

        def load(self) -> WSGIApplication:
            return named_by_certificate(load())

    Application().run()


def _wake_for_words(arbiter: Any) -> None:
    """Let the kernel keep connections that say nothing (tcp(7), Linux). In TLS the caller speaks first; a thread that is given
    a silent one would wait for it."""
    if hasattr(socket, "TCP_DEFER_ACCEPT"):
        for listener in arbiter.LISTENERS:
            listener.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, int(_HANDSHAKE_S))


class _Patient(ssl.SSLContext):
    """A server's context that waits for a client's handshake, but not for ever."""

    def wrap_socket(self, sock: socket.socket, *args: Any, **kwargs: Any) -> ssl.SSLSocket:
        """See `ssl.SSLContext.wrap_socket`; the limit stays on the socket."""
        sock.settimeout(_HANDSHAKE_S)
        return super().wrap_socket(sock, *args, **kwargs)


def server_tls(settings: Settings) -> ssl.SSLContext:
    """Our certificate, and callers that must show one of the authority in the settings."""
    context = _Patient(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(settings.tls_ca)
    context.load_cert_chain(settings.tls_certificate, settings.tls_key)
    return context


def named_by_certificate(app: WSGIApplication) -> WSGIApplication:
    """The application, told by `huzheng.peer` who is at the other end of the wire."""

    def named(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        environ.pop(PEER, None)
        line = environ.get("gunicorn.socket")
        if isinstance(line, ssl.SSLSocket) and (name := common_name(line.getpeercert())):
            environ[PEER] = name
        return app(environ, start_response)

    return named


def common_name(certificate: Any) -> str | None:
    """The common name in a verified certificate, as `ssl.SSLSocket.getpeercert` gives it; None unless there is just one."""
    subject = (certificate or {}).get("subject", ())
    names = [value for part in subject for name, value in part if name == "commonName"]
    return str(names[0]) if len(names) == 1 else None
