"""A province for tests: its authority, certificates that it issues, and certificates that nobody should believe."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from certs import enrolment, keys, names, profiles
from certs.authority import Authority
from certs.signers import FileSigner
from certs.trust import Trust

NOW = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
DAY = timedelta(days=1)
AGENCY = "H21.16"


@cache
def _request(kind: keys.KeyKind) -> tuple[bytes, bytes]:
    return enrolment.make_request(AGENCY, kind=kind)


def request(kind: keys.KeyKind = "p-256") -> tuple[bytes, bytes]:
    """One key and request per kind: making RSA keys is slow."""
    return _request(kind)


@cache
def rsa_key(bits: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


@cache
def ec_key(_name: str = "leaf") -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def serial_of(der: bytes) -> int:
    return x509.load_der_x509_certificate(der).serial_number


def vkey(origin: str, public: bytes) -> str:
    """C2SP signed-note, written out here a second time on purpose."""
    key = b"\x01" + public
    key_id = hashlib.sha256(origin.encode() + b"\n" + key).hexdigest()[:8]
    return f"{origin}+{key_id}+{base64.b64encode(key).decode()}"


class Province:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ca = folder / "ca"
        self.authority = Authority(self.ca)

    def agency(self, code: str = AGENCY, *, kind: keys.KeyKind = "p-256", **options: object) -> bytes:
        arguments = {"at": NOW, **options}
        return self.authority.issue_agency(request(kind)[1], code, **arguments)

    def hub(self, *, kind: keys.KeyKind = "p-256", hosts: tuple[str, ...] = ("localhost", "127.0.0.1")) -> bytes:
        return self.authority.issue_hub(request(kind)[1], hosts, at=NOW)

    def files(self, certificate: bytes, name: str, kind: keys.KeyKind = "p-256") -> tuple[Path, Path]:
        key, pem = self.folder / f"{name}.key", self.folder / f"{name}.pem"
        keys.write_key(key, request(kind)[0])
        pem.write_bytes(self.authority.chain_pem(certificate))
        return key, pem

    def signer(self, certificate: bytes, name: str, kind: keys.KeyKind = "p-256") -> FileSigner:
        return FileSigner(*self.files(certificate, name, kind))

    def trust(self) -> Trust:
        return Trust.load(self.ca)

    @property
    def intermediate(self) -> x509.Certificate:
        return x509.load_der_x509_certificate(self.authority.intermediate)

    @property
    def intermediate_key(self) -> keys.PrivateKey:
        return keys.read_key(self.ca / "intermediate.key")

    @property
    def root(self) -> x509.Certificate:
        return x509.load_der_x509_certificate(self.authority.root)

    @property
    def root_key(self) -> keys.PrivateKey:
        return keys.read_key(self.ca / "root.key")

    def forge(self, **changes: object) -> bytes:
        """A leaf signed by the province's own intermediate, with something wrong in it."""
        return replace(Forged(issuer=self.intermediate, issuer_key=self.intermediate_key), **changes).der()


@dataclass(frozen=True)
class Forged:
    """Every part of a leaf, changeable; the defaults make a good one."""

    issuer: x509.Certificate | None
    issuer_key: keys.PrivateKey
    key: object = field(default_factory=ec_key)
    subject: x509.Name = field(default_factory=lambda: names.subject(common_name=AGENCY))
    start: datetime = NOW - DAY
    end: datetime = NOW + DAY
    ca: bool | None = False
    usage: x509.KeyUsage | None = field(default_factory=lambda: profiles._usage(authority=False))
    purposes: tuple[x509.ObjectIdentifier, ...] | None = (ExtendedKeyUsageOID.CLIENT_AUTH, profiles.DOCUMENT_SIGNING)
    uris: tuple[str, ...] = (names.AGENCY_PREFIX + AGENCY,)
    extra: tuple[tuple[x509.ExtensionType, bool], ...] = ()
    key_identifier: bytes | None = None
    algorithm: hashes.HashAlgorithm = field(default_factory=hashes.SHA256)

    def der(self) -> bytes:
        issuer_name = self.issuer.subject if self.issuer else self.subject
        builder = (
            x509.CertificateBuilder()
            .subject_name(self.subject)
            .issuer_name(issuer_name)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(self.start)
            .not_valid_after(self.end)
        )
        for value, critical in self._extensions():
            builder = builder.add_extension(value, critical=critical)
        return builder.sign(self.issuer_key, self.algorithm).public_bytes(serialization.Encoding.DER)

    def _extensions(self) -> list[tuple[x509.ExtensionType, bool]]:
        found: list[tuple[x509.ExtensionType, bool]] = list(self.extra)
        if self.ca is not None:
            found.append((x509.BasicConstraints(ca=self.ca, path_length=None), True))
        if self.usage is not None:
            found.append((self.usage, True))
        if self.purposes is not None:
            found.append((x509.ExtendedKeyUsage(self.purposes), False))
        if self.uris:
            found.append((x509.SubjectAlternativeName([x509.UniformResourceIdentifier(u) for u in self.uris]), False))
        if self.key_identifier is not None:
            found.append((x509.AuthorityKeyIdentifier(self.key_identifier, None, None), False))
        return found
