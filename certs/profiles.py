"""What stands in each certificate that the province issues (RFC 5280 §4.2): one builder per profile."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from certs import keys, names

DOCUMENT_SIGNING: Final = x509.ObjectIdentifier("1.3.6.1.5.5.7.3.36")  # RFC 9336
_CLOCK_SKEW: Final = timedelta(hours=1)  # a certificate must work at once on a machine whose clock is late
_YEAR: Final = timedelta(days=365.25)


class Leaf(msgspec.Struct, frozen=True, kw_only=True):
    """Whom a leaf certificate speaks for; `server` allows it to answer TLS under `hosts`."""

    subject: x509.Name
    uri: x509.UniformResourceIdentifier
    hosts: Sequence[str] = ()
    server: bool = False


def authority_certificate(
    *,
    name: x509.Name,
    key: keys.PublicKey,
    issuer: x509.Certificate | None,
    issuer_key: keys.PrivateKey,
    at: datetime,
    years: float,
) -> x509.Certificate:
    """A root (no `issuer`, path length 1) or an intermediate below it (path length 0: it issues leaves only)."""
    end = at + years * _YEAR
    if issuer is not None:
        end = min(end, issuer.not_valid_after_utc)
    builder = _start(name, key, issuer=issuer.subject if issuer else name, issuer_key=issuer_key, at=at, end=end)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0 if issuer else 1), critical=True)
    builder = builder.add_extension(_usage(authority=True), critical=True)
    return builder.sign(issuer_key, keys.signature_hash(issuer_key))


def leaf_certificate(
    leaf: Leaf, key: keys.PublicKey, *, issuer: x509.Certificate, issuer_key: keys.PrivateKey, at: datetime, days: float
) -> x509.Certificate:
    """A certificate that seals and authenticates, and never outlives its issuer."""
    end = min(at + timedelta(days=days), issuer.not_valid_after_utc)
    purposes = [ExtendedKeyUsageOID.CLIENT_AUTH, DOCUMENT_SIGNING]
    if leaf.server:
        purposes.append(ExtendedKeyUsageOID.SERVER_AUTH)
    alternative = x509.SubjectAlternativeName([leaf.uri, *names.hosts(leaf.hosts)])
    builder = _start(leaf.subject, key, issuer=issuer.subject, issuer_key=issuer_key, at=at, end=end)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage(authority=False), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    builder = builder.add_extension(alternative, critical=False)
    return builder.sign(issuer_key, keys.signature_hash(issuer_key))


def _start(
    name: x509.Name,
    key: keys.PublicKey,
    *,
    issuer: x509.Name,
    issuer_key: keys.PrivateKey,
    at: datetime,
    end: datetime,
) -> x509.CertificateBuilder:
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())  # 20 octets from the system's generator
        .not_valid_before(at - _CLOCK_SKEW)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(authority, critical=False)
    )


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=not authority,  # a seal is meant to bind
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )
