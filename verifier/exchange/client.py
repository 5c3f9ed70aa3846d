"""How a letter is posted to the next machine, and what each answer means.

The same client stands at both ends of the exchange: a province posts to the exchange, the exchange posts to a province.
They differ in the address and in what silence means.

 202                         accepted: the destination has it in its database
 a problem of ours, 4xx      Refusal, with the reason and its public facts
 a problem of ours, 5xx      Unavailable; LIBRARY_UNREACHABLE stays what it is, anything else is this hop's own silence
 anything else               Unavailable: a proxy's error page, a redirect or half an answer decide nothing

Nothing is repeated here. Whether and when a letter is sent again is decided by its sender, who also knows whether it still
matters. A few connections are kept for each address and no more are opened: when a destination hangs, only the threads that
hold one of them hang with it, and the rest hear at once that it does not answer.

Peers know each other by name and not by host, because addresses move. A peer's certificate carries its name ("31",
"exchange") twice: as common name, by which a server knows its client, and as DNS name, by which a client knows its server.
"""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, Timeout
from urllib3.exceptions import EmptyPoolError, HTTPError
from urllib3.util import parse_url

from consent.errors import UNAVAILABLE, Reason, Refusal, Unavailable, row
from consent.seal import strict_json
from consent.sentences import PLACEHOLDERS
from consent.telling import PROBLEM_TYPE
from consent.transport import Letter

EXCHANGE: Final = "exchange"
"""The exchange's name as a peer; a province's is its code."""

PEER: Final = "huzheng.peer"
"""The WSGI environ's key for the name of whoever is at the other end of the wire. No header can set it."""

EXCHANGE_PATH: Final = "/exchange/letters"
PEER_PATH: Final = "/peer/letters"
PEER_HEADER: Final = "Peer-Token"

_LONGEST_ANSWER: Final = 16_384  # bytes; a problem with its sentences has about 1,500
_LONGEST_FACT: Final = 100  # characters
_FACTS: Final = {f"{name}{lang}" for name in PLACEHOLDERS for lang in ("", "_zh", "_en")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long one post may take, in seconds, and how many may be under way to one address. Connecting includes TLS."""

    connect: float
    read: float
    together: int
    wait: float = 0.2  # for one of those places


TO_EXCHANGE: Final = Limits(connect=1.0, read=4.0, together=8)
# The exchange gives up on a province before that letter's sender gives up on the exchange.
TO_PROVINCE: Final = Limits(connect=1.0, read=2.0, together=4)

NO_EXCHANGE: Final = Reason.EXCHANGE_UNREACHABLE
NO_PROVINCE: Final = Reason.LIBRARY_UNREACHABLE


def body_of(letter: Letter) -> bytes:
    """The letter as the body of a post."""
    return json.dumps(letter.to_json(), separators=(",", ":")).encode()


def judge(letter: Letter, status: int, content_type: str, body: bytes, *, silence: Reason) -> None:
    """Return for 202, raise for everything else, as the table above says. `silence` is what this hop's silence means."""
    if status == 202:
        return
    problem = _problem(status, content_type, body)
    if problem is None:
        raise Unavailable(silence, letter.to, detail=f"status {status} without a problem of ours")
    reason = Reason(problem["code"])
    if reason is Reason.LIBRARY_UNREACHABLE:
        raise Unavailable(reason, letter.to, detail="said by the next machine")
    if reason in UNAVAILABLE or row(reason).retry:
        raise Unavailable(silence, letter.to, detail=f"the next machine says {reason}")
    raise Refusal(reason, detail="said by the next machine", **_facts(problem))


def _problem(status: int, content_type: str, body: bytes) -> Mapping[str, Any] | None:
    """The problem document, if it is one, its reason exists, and its status is that reason's."""
    if content_type.partition(";")[0].strip() != PROBLEM_TYPE:
        return None
    try:
        found = strict_json(body, depth=3, members=16)
    except Refusal:
        return None
    code = found.get("code") if isinstance(found, dict) else None
    if not isinstance(code, str) or code not in Reason.__members__ or row(Reason(code)).http != status:
        return None
    return dict(found)


def _facts(problem: Mapping[str, Any]) -> dict[str, str | int]:
    """The public facts of a refusal; whatever is not one of them, or is no short text or number, is left out."""
    facts = problem.get("facts")
    if not isinstance(facts, dict):
        return {}
    return {name: value for name, value in facts.items() if name in _FACTS and _is_fact(value)}


def _is_fact(value: object) -> bool:
    if isinstance(value, str):
        return len(value) <= _LONGEST_FACT and value.isprintable()
    return type(value) is int


@dataclass(slots=True, kw_only=True)
class HttpTransport:
    """A Transport that posts letters to one address, `http[s]://host:port`.

    `name` is who must answer there, by its certificate. `tls` names us by ours and trusts one authority only (see
    `client_tls`); `peer_token` names us in a sandbox without TLS. ValueError for an address that cannot be used.
    """

    address: str
    path: str
    name: str
    silence: Reason
    limits: Limits
    tls: ssl.SSLContext | None = None
    peer_token: str = field(default="", repr=False)
    _pool: HTTPConnectionPool = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._pool = _pool(self.address, self.name, self.limits, self.tls)

    @classmethod
    def to_exchange(
        cls, address: str, *, tls: ssl.SSLContext | None = None, peer_token: str = "", limits: Limits = TO_EXCHANGE
    ) -> Self:
        """How a province reaches the exchange."""
        return cls(
            address=address,
            path=EXCHANGE_PATH,
            name=EXCHANGE,
            silence=NO_EXCHANGE,
            limits=limits,
            tls=tls,
            peer_token=peer_token,
        )

    @classmethod
    def to_province(
        cls,
        address: str,
        province: str,
        *,
        tls: ssl.SSLContext | None = None,
        peer_token: str = "",
        limits: Limits = TO_PROVINCE,
    ) -> Self:
        """How the exchange reaches a province."""
        return cls(
            address=address,
            path=PEER_PATH,
            name=province,
            silence=NO_PROVINCE,
            limits=limits,
            tls=tls,
            peer_token=peer_token,
        )

    def send(self, letter: Letter) -> None:
        """See `consent.transport.Transport`."""
        began = time.monotonic()
        try:
            answer = self._pool.urlopen(
                "POST",
                self.path,
                body=body_of(letter),
                headers=self._headers(),
                retries=False,
                redirect=False,
                pool_timeout=self.limits.wait,  # type: ignore[arg-type]  # handed to queue.get, in seconds
                preload_content=False,
                decode_content=False,
            )
        except EmptyPoolError as full:
            raise Unavailable(self.silence, letter.to, detail="all places to this address are taken") from full
        except (HTTPError, OSError, ValueError) as problem:
            raise Unavailable(self.silence, letter.to, detail=type(problem).__name__) from problem
        try:
            body = self._body(answer, began)
        except (HTTPError, OSError, ValueError) as problem:
            raise Unavailable(self.silence, letter.to, detail=f"answer: {type(problem).__name__}") from problem
        judge(letter, answer.status, answer.headers.get("Content-Type", ""), body, silence=self.silence)

    def close(self) -> None:
        """Give the connections back."""
        self._pool.close()

    def _headers(self) -> dict[str, str]:
        headers = {"Content-Type": "application/json", "Accept": f"application/json, {PROBLEM_TYPE}"}
        return headers | ({PEER_HEADER: self.peer_token} if self.peer_token else {})

    def _body(self, answer: Any, began: float) -> bytes:
        """All of a short answer. The read limit of a socket holds for one read; this one holds for all of them."""
        found = bytearray()
        whole = False
        try:
            while piece := answer.read1(4096):
                found += piece
                if len(found) > _LONGEST_ANSWER:
                    raise ValueError("answer too long")
                if time.monotonic() - began > self.limits.connect + self.limits.read:
                    raise TimeoutError("answer too slow")
            whole = True
        finally:
            if not whole:
                answer.close()  # such a connection is not used again
            answer.release_conn()
        return bytes(found)


def _pool(address: str, name: str, limits: Limits, tls: ssl.SSLContext | None) -> HTTPConnectionPool:
    try:
        found = parse_url(address)
    except HTTPError as problem:
        raise ValueError("an address is http[s]://host:port") from problem
    if found.scheme not in ("http", "https") or not found.host or found.path not in (None, "/") or found.query:
        raise ValueError("an address is http[s]://host:port")
    if (found.scheme == "https") != (tls is not None):
        raise ValueError("https needs a certificate of ours, and http takes none")
    timeout = Timeout(connect=limits.connect, read=limits.read)
    if tls is None:
        return HTTPConnectionPool(found.host, found.port, timeout=timeout, maxsize=limits.together, block=True)
    return HTTPSConnectionPool(
        found.host,
        found.port,
        timeout=timeout,
        maxsize=limits.together,
        block=True,
        ssl_context=tls,
        server_hostname=name,
        assert_hostname=name,
    )


def client_tls(*, certificate: str, key: str, authority: str) -> ssl.SSLContext:
    """A context that names us by `certificate` and believes only servers that `authority` has signed (PEM paths)."""
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=authority)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(certificate, key)
    return context
