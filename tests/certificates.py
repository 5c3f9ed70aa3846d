"""A small authority for tests: certificates that name peers, as `verifier.exchange.client` wants them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Pem:
    """Where one peer's certificate and key lie."""

    certificate: str
    key: str


@dataclass(frozen=True)
class Authority:
    """Signs certificates into a folder. The real clock counts here: TLS libraries look at it themselves."""

    folder: Path
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        made = self._builder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority")]), self.key.public_key())
        made = made.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        made = made.add_extension(_usage(signs=True), critical=True)
        (self.folder / "ca.pem").write_bytes(made.sign(self.key, hashes.SHA256()).public_bytes(Encoding.PEM))

    @property
    def path(self) -> str:
        """The authority's own certificate."""
        return str(self.folder / "ca.pem")

    def certify(self, name: str, *, common: tuple[str, ...] | None = None, age: timedelta = timedelta(0)) -> Pem:
        """A certificate for a peer. `common` gives it other common names than its own, `age` makes it older."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name(
            [x509.NameAttribute(NameOID.COMMON_NAME, each) for each in ((name,) if common is None else common)]
        )
        made = self._builder(subject, key.public_key(), age=age)
        made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        made = made.add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]), critical=False
        )
        made = made.add_extension(_usage(signs=False), critical=True)
        found = Pem(str(self.folder / f"{name}.pem"), str(self.folder / f"{name}.key"))
        Path(found.certificate).write_bytes(made.sign(self.key, hashes.SHA256()).public_bytes(Encoding.PEM))
        Path(found.key).write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return found

    def _builder(
        self, subject: x509.Name, public: ec.EllipticCurvePublicKey, *, age: timedelta = timedelta(0)
    ) -> x509.CertificateBuilder:
        now = datetime.now(UTC) - age
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority")]))
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _DAY)
            .not_valid_after(now + _DAY)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )
