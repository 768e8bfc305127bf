"""Certification path of one leaf: leaf → intermediate → trusted root, exactly, with every rule spelled out.

`cryptography.x509.verification` is not used: it is a web profile (a host name to match, CA/B rules), declared unstable,
does no revocation and reports one opaque error; an agency must be told whether its certificate is expired, weak, or
not the province's. The shape here is so narrow that RFC 5280 §6.1 reduces to the checks below.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import ExtendedKeyUsageOID, SignatureAlgorithmOID

from certs import keys, names
from certs.profiles import DOCUMENT_SIGNING
from protocol.errors import SEAL_ALGORITHM, SEAL_MALFORMED, SEAL_UNTRUSTED, ErrorKind, ExchangeError
from protocol.seal import CERTIFICATE_MAX

_SIGNATURES: Final = frozenset(
    {
        SignatureAlgorithmOID.RSA_WITH_SHA256,
        SignatureAlgorithmOID.RSA_WITH_SHA384,
        SignatureAlgorithmOID.RSA_WITH_SHA512,
        SignatureAlgorithmOID.ECDSA_WITH_SHA256,
        SignatureAlgorithmOID.ECDSA_WITH_SHA384,
        SignatureAlgorithmOID.ECDSA_WITH_SHA512,
    }
)
_UNDERSTOOD: Final = (x509.BasicConstraints, x509.KeyUsage, x509.ExtendedKeyUsage, x509.SubjectAlternativeName)
SEALING: Final = frozenset(
    {
        DOCUMENT_SIGNING,
        ExtendedKeyUsageOID.EMAIL_PROTECTION,
        ExtendedKeyUsageOID.CLIENT_AUTH,
        ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,
    }
)
"""Extended key usages of which one allows sealing; outside CAs rarely use RFC 9336 yet."""


class Window(msgspec.Struct, frozen=True):
    """The time in which every certificate of a path is valid; aware UTC, both ends included."""

    start: datetime
    end: datetime


class Path(msgspec.Struct, frozen=True, kw_only=True):
    """A leaf whose path to a trusted root holds; time and revocation are judged at each use."""

    fingerprint: str
    """SHA-256 of the DER, lower-case hex."""
    serial: int
    issuers: tuple[tuple[bytes, int], ...]
    """(issuer name DER, serial) of leaf and intermediate: what revocation lists are asked about."""
    agency: str
    """The agency that the certificate speaks for, "" when none."""
    hub: str
    """The hub that it speaks for, "" when none."""
    window: Window
    public_key: keys.PublicKey
    can_seal: bool
    can_call: bool
    can_serve: bool


class Anchors:
    """The certificates that paths may go through, checked once when they are loaded.

    Raises `seal.certificate-untrusted` or `seal.algorithm` for a root that is no CA; an intermediate that leads to no
    root is left out.
    """

    def __init__(self, roots: Iterable[bytes], intermediates: Iterable[bytes]) -> None:
        self.roots = tuple(_authority(parse(der)) for der in roots)
        if not self.roots:
            raise ExchangeError(SEAL_UNTRUSTED, reason="no root")
        self.above: dict[x509.Certificate, x509.Certificate] = {}
        for der in intermediates:
            certificate = parse(der)
            root = self._root_of(certificate)
            if root is not None:
                self.above[certificate] = root

    @property
    def intermediates(self) -> tuple[x509.Certificate, ...]:
        """Those that lead to a root."""
        return tuple(self.above)

    def _root_of(self, certificate: x509.Certificate) -> x509.Certificate | None:
        try:
            _authority(certificate)
        except ExchangeError:
            return None
        return next((root for root in self.roots if root != certificate and issued_by(certificate, root)), None)

    def issuer_of(self, leaf: x509.Certificate) -> x509.Certificate | None:
        """The intermediate that signed this leaf. A root may not sign leaves: its key is in a safe."""
        return next((one for one in self.above if issued_by(leaf, one)), None)


def parse(der: bytes) -> x509.Certificate:
    """A certificate whose form and algorithms are acceptable. Raises `seal.malformed` or `seal.algorithm`."""
    if len(der) > CERTIFICATE_MAX:
        raise _refusal(SEAL_MALFORMED, "size")
    try:
        certificate = x509.load_der_x509_certificate(der)
        # parsed lazily by the library: asked for now, so that errors come now
        _ = certificate.extensions, certificate.subject, certificate.issuer
        if certificate.version is not x509.Version.v3:
            raise _refusal(SEAL_MALFORMED, "version")
        if not der.endswith(b"\x00" + certificate.signature):  # X.690 §11.2.1, which the library lets pass
            raise _refusal(SEAL_MALFORMED, "padding")
        if certificate.signature_algorithm_oid not in _SIGNATURES:
            raise _refusal(SEAL_ALGORITHM, "signature algorithm")
    except keys.UNREADABLE as error:
        raise _refusal(SEAL_MALFORMED, "form") from error
    return certificate


def build(der: bytes, anchors: Anchors) -> Path:
    """The path of a leaf (DER). Raises `seal.malformed`, `seal.algorithm`, `seal.certificate-untrusted`."""
    leaf = parse(der)
    issuer = anchors.issuer_of(leaf)
    if issuer is None:
        raise _refusal(SEAL_UNTRUSTED, "issuer")
    try:
        key = keys.check_leaf_key(leaf.public_key())
    except keys.UNREADABLE as error:
        raise _refusal(SEAL_ALGORITHM, "key") from error
    _check_leaf(leaf)
    chain = (leaf, issuer, anchors.above[issuer])
    purposes = _purposes(leaf)
    signs = _key_usage(leaf).digital_signature
    return Path(
        fingerprint=leaf.fingerprint(hashes.SHA256()).hex(),
        serial=leaf.serial_number,
        issuers=tuple((one.issuer.public_bytes(), one.serial_number) for one in chain[:2]),
        agency=names.spoken_for(leaf, names.AGENCY_PREFIX),
        hub=names.spoken_for(leaf, names.HUB_PREFIX),
        window=_common_window(chain),
        public_key=key,
        can_seal=signs and (purposes is None or bool(purposes & SEALING)),
        can_call=signs and purposes is not None and ExtendedKeyUsageOID.CLIENT_AUTH in purposes,
        can_serve=signs and purposes is not None and ExtendedKeyUsageOID.SERVER_AUTH in purposes,
    )


def issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Name, key identifier (when present) and signature agree."""
    if certificate.issuer.public_bytes() != issuer.subject.public_bytes() or not _identifiers_agree(
        certificate, issuer
    ):
        return False
    try:
        certificate.verify_directly_issued_by(issuer)
    except (*keys.UNREADABLE, InvalidSignature):
        return False
    return True


def to_der(certificate: x509.Certificate) -> bytes:
    """DER of a certificate."""
    return certificate.public_bytes(serialization.Encoding.DER)


def _identifiers_agree(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        wanted = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
        given = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    except x509.ExtensionNotFound:
        return True
    return wanted is None or wanted == given


def _authority(certificate: x509.Certificate) -> x509.Certificate:
    """A certificate that may issue others. Raises `seal.certificate-untrusted`, `seal.algorithm`."""
    keys.check_authority_key(certificate.public_key())
    _check_critical(certificate)
    if not _is_authority(certificate) or not _key_usage(certificate).key_cert_sign:
        raise _refusal(SEAL_UNTRUSTED, "not an authority")
    return certificate


def _check_leaf(leaf: x509.Certificate) -> None:
    _check_critical(leaf)
    if _is_authority(leaf) or _key_usage(leaf).key_cert_sign or _key_usage(leaf).crl_sign:
        raise _refusal(SEAL_UNTRUSTED, "an authority is not a leaf")


def _check_critical(certificate: x509.Certificate) -> None:
    for extension in certificate.extensions:
        if extension.critical and not isinstance(extension.value, _UNDERSTOOD):  # RFC 5280 §4.2
            raise _refusal(SEAL_UNTRUSTED, f"critical extension {extension.oid.dotted_string}")


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _key_usage(certificate: x509.Certificate) -> x509.KeyUsage:
    try:
        return certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound as error:
        raise _refusal(SEAL_UNTRUSTED, "no key usage") from error


def _purposes(certificate: x509.Certificate) -> frozenset[x509.ObjectIdentifier] | None:
    """Extended key usages; `None` when the certificate does not restrict itself."""
    try:
        return frozenset(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    except x509.ExtensionNotFound:
        return None


def _common_window(chain: Sequence[x509.Certificate]) -> Window:
    return Window(max(one.not_valid_before_utc for one in chain), min(one.not_valid_after_utc for one in chain))


def _refusal(kind: ErrorKind, reason: str) -> ExchangeError:
    return ExchangeError(kind, reason=reason)
