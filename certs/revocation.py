"""Certificate revocation lists (RFC 5280 §5): how one is built, and how one is read without being fooled."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from certs import keys

CRL_DAYS: Final = 7
"""A list is good for a week; the hub renews it daily, so a dead authority is noticed long before trust ends."""

REASONS: Final[Mapping[str, x509.ReasonFlags]] = {
    reason.value: reason
    for reason in (
        x509.ReasonFlags.unspecified,
        x509.ReasonFlags.key_compromise,
        x509.ReasonFlags.affiliation_changed,
        x509.ReasonFlags.superseded,
        x509.ReasonFlags.cessation_of_operation,
    )
}
"""Reasons by their RFC 5280 names (`keyCompromise` …). A revocation is final: there is no hold."""


class Revocation(msgspec.Struct, frozen=True, kw_only=True):
    """One revoked certificate."""

    serial: int
    at: datetime
    reason: str = "unspecified"


class RevocationList(msgspec.Struct, frozen=True, kw_only=True):
    """A list whose signature was verified: who is out since when, for the certificates of one issuer."""

    issuer: bytes
    """DER of the issuer's name."""
    number: int
    this_update: datetime
    next_update: datetime
    entries: Mapping[int, Revocation]


class CrlError(Exception):
    """A list that must not be used; the text is a short English reason for the log."""


def build(
    issuer: x509.Certificate,
    key: keys.PrivateKey,
    entries: Iterable[Revocation],
    *,
    number: int,
    at: datetime,
    days: float = CRL_DAYS,
) -> bytes:
    """A signed list (PEM). Entries of expired certificates stay: what they sealed is still verified (AC-5-4)."""
    identifier = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.subject)
        .last_update(at)
        .next_update(at + timedelta(days=days))
        .add_extension(x509.CRLNumber(number), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
    )
    for entry in sorted(entries, key=lambda one: (one.at, one.serial)):
        builder = builder.add_revoked_certificate(_entry(entry))
    return builder.sign(key, keys.signature_hash(key)).public_bytes(serialization.Encoding.PEM)


def _entry(entry: Revocation) -> x509.RevokedCertificate:
    builder = x509.RevokedCertificateBuilder().serial_number(entry.serial).revocation_date(entry.at)
    reason = REASONS[entry.reason]
    if reason is not x509.ReasonFlags.unspecified:  # RFC 5280 §5.3.1: absent rather than unspecified
        builder = builder.add_extension(x509.CRLReason(reason), critical=False)
    return builder.build()


def split_pem(data: bytes) -> list[bytes]:
    """The PEM blocks of CRLs in a file, each as one PEM text. Raises `CrlError` when there is none."""
    end = b"-----END X509 CRL-----"
    blocks = [block.strip() + b"\n" + end + b"\n" for block in data.split(end)[:-1]]
    if not blocks or data.rsplit(end, 1)[-1].strip():
        raise CrlError("no complete PEM block")
    return blocks


def read(data: bytes, issuers: Iterable[x509.Certificate]) -> RevocationList:
    """One list (PEM or DER), believed only when one of `issuers` signed it. Raises `CrlError`."""
    try:
        crl = x509.load_pem_x509_crl(data) if data.lstrip().startswith(b"-----") else x509.load_der_x509_crl(data)
        signer = next((one for one in issuers if one.subject == crl.issuer and _signed_by(crl, one)), None)
        if signer is None:
            raise CrlError("not signed by a trusted issuer")
        return _trusted(crl)
    except (*keys.UNREADABLE, x509.ExtensionNotFound) as error:
        raise CrlError(f"unreadable: {type(error).__name__}") from error


def _signed_by(crl: x509.CertificateRevocationList, issuer: x509.Certificate) -> bool:
    usage = issuer.extensions.get_extension_for_class(x509.KeyUsage).value
    algorithm = crl.signature_hash_algorithm
    strong = algorithm is not None and algorithm.name in {"sha256", "sha384", "sha512"}
    return usage.crl_sign and strong and crl.is_signature_valid(keys.check_authority_key(issuer.public_key()))


def _trusted(crl: x509.CertificateRevocationList) -> RevocationList:
    for extension in crl.extensions:
        # A critical extension here narrows the list (delta, one reason only): RFC 5280 §5.2 forbids ignoring it.
        if extension.critical:
            raise CrlError(f"critical extension {extension.oid.dotted_string}")
    if not crl.public_bytes(serialization.Encoding.DER).endswith(b"\x00" + crl.signature):
        raise CrlError("padding of the signature")  # X.690 §11.2.1
    if crl.next_update_utc is None:
        raise CrlError("no nextUpdate")
    number = crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    entries = (Revocation(serial=one.serial_number, at=one.revocation_date_utc, reason=_reason(one)) for one in crl)
    return RevocationList(
        issuer=crl.issuer.public_bytes(),
        number=number,
        this_update=crl.last_update_utc,
        next_update=crl.next_update_utc,
        entries={entry.serial: entry for entry in entries},
    )


def _reason(entry: x509.RevokedCertificate) -> str:
    try:
        return entry.extensions.get_extension_for_class(x509.CRLReason).value.reason.value
    except x509.ExtensionNotFound:
        return "unspecified"
