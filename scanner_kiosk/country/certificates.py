"""The certificates by which the processes of a sandbox know each other (mTLS): made at each start, good for this start.

An authority signs one certificate for each name and is then forgotten: its key is never written, so that nobody can get a
name from it later. In a real country the authority is the exchange's, and each party brings its own request to it.

A certificate carries its name twice, as common name, by which a server knows its client, and as DNS name, by which a client
knows its server (see `verifier.exchange.client`). The sandbox adds the loopback address, because a counter reaches its desk
by that.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from consent.keys import write_private

LIFE: Final = timedelta(days=30)  # a sandbox that runs longer is started again
EARLY: Final = timedelta(minutes=5)  # clocks differ


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateFiles:
    """Where the certificates of a start lie. A name's file holds its key and its certificate, owner-readable."""

    folder: Path

    @property
    def authority(self) -> Path:
        """The authority's certificate, without a key."""
        return self.folder / "ca.pem"

    def of(self, name: str) -> Path:
        """Key and certificate of one name."""
        return self.folder / f"{name}.pem"


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """Signs certificates. Lives in memory only."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)

    @classmethod
    def new(cls, *, now: datetime) -> Authority:
        """A fresh one; it can sign names, and no other authority."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name("Huzheng sandbox")
        drawn = (
            _begun(name, name, key.public_key(), now)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
        )
        return cls(certificate=drawn.sign(key, hashes.SHA256()), key=key)

    def sign(self, name: str, *, now: datetime) -> str:
        """A new key with a certificate for this name, good as server and as client; PEM, the key first."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = [x509.DNSName(name), x509.DNSName("localhost"), x509.IPAddress(IPv4Address("127.0.0.1"))]
        purposes = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        drawn = (
            _begun(_name(name), self.certificate.subject, key.public_key(), now)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        )
        secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return (secret + drawn.sign(self.key, hashes.SHA256()).public_bytes(Encoding.PEM)).decode("ascii")


def make_certificates(folder: Path, names: Iterable[str], *, now: datetime) -> CertificateFiles:
    """An authority and a certificate for each name below `folder`; those of an earlier start are replaced."""
    files = CertificateFiles(folder=folder)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for old in folder.glob("*.pem"):
        old.unlink()
    authority = Authority.new(now=now)
    write_private(files.authority, authority.certificate.public_bytes(Encoding.PEM).decode("ascii"))
    for name in names:
        write_private(files.of(name), authority.sign(name, now=now))
    return files


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _begun(
    subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey, now: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - EARLY)
        .not_valid_after(now + LIFE)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
