"""The seal (dấu số của cơ quan): an enveloped XML signature over a QCVN `edXMLEnvelope`, in one fixed profile.

The profile leaves a forger nothing to choose: `ds:Signature` stands once, as a child of `edXMLHeader`; it has one
reference, `#Id` of the envelope, with the transforms enveloped-signature and exclusive C14N; RSA-SHA256 (2048 bits or
more) or ECDSA-P256-SHA256; one leaf certificate in KeyInfo. Attachments are covered by the digests in the manifest and
never enter the canonicalised XML, so the seal survives every change of package.

`open_seal` does the mathematics only; who the certificate belongs to is the caller's question (certs). Sources: XML
Signature 1.1 §4, Exclusive XML Canonicalization 1.0, QCVN 102:2016 (place of the signature).
"""

from __future__ import annotations

import base64
import hashlib
from functools import lru_cache
from typing import Final

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from lxml import etree

from protocol import errors
from protocol.errors import ExchangeError
from protocol.signature_form import DS, ENVELOPED, EXCLUSIVE_C14N, SHA256, SIGNATURE_METHODS, read_signature
from protocol.signing import SignatureAlgorithm, Signer
from protocol.xml_reading import ENVELOPE_MAX

QCVN: Final = "http://www.mic.gov.vn/TBT/QCVN_102_2016"
MINIMUM_RSA_BITS: Final = 2048
MAXIMUM_RSA_BITS: Final = 8192
"""Above it one verification costs milliseconds: a way to keep a server busy."""
P256_SIGNATURE_OCTETS: Final = 64
CERTIFICATE_MAX: Final = 16_384
"""Octets of one certificate in DER; an RSA-4096 leaf has 2 kB. What is not trusted yet must not fill the memory."""

_ENVELOPE = f"{{{QCVN}}}edXMLEnvelope"
_HEADER = f"{{{QCVN}}}edXMLHeader"
_SIGNATURE = f"{{{DS}}}Signature"
_METHOD_OF: Final = {algorithm: uri for uri, algorithm in SIGNATURE_METHODS.items()}
# The octets come from our own canonical form, whose size the caller has bounded.
_PARSER = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=False)

PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey


class OpenedSeal(msgspec.Struct, frozen=True, kw_only=True):
    """A seal whose mathematics is right."""

    sealed: bytes
    """The envelope with its signature in exclusive C14N: self-contained, what is stored and passed on."""
    signed: bytes
    """The octets that were signed: the envelope without its signature, in exclusive C14N."""
    root: etree._Element
    """The tree of `signed`; read the message from here and from nowhere else."""
    digest: str
    """Message digest: lower-case hex SHA-256 of `signed`."""
    certificate: bytes
    """DER of the leaf certificate that the seal names; not yet trusted."""
    algorithm: SignatureAlgorithm


def canonical(element: etree._Element) -> bytes:
    """Exclusive C14N of an element, without comments.

    Raises `seal.malformed` for what has no canonical form: a namespace name that is a relative URI (C14N 1.0 §1.3).
    """
    try:
        octets: bytes = etree.tostring(element, method="c14n", exclusive=True, with_comments=False)
    except etree.C14NError as error:
        raise ExchangeError(errors.SEAL_MALFORMED, element="edXMLEnvelope", reason="no canonical form") from error
    return octets


def message_digest(signed: bytes) -> str:
    """The digest that names a message everywhere: ledger, receipts, duplicates."""
    return hashlib.sha256(signed).hexdigest()


def is_sealed(envelope: etree._Element) -> bool:
    """Whether the envelope carries a `ds:Signature` where the profile wants it."""
    header = envelope.find(_HEADER)
    return header is not None and header.find(_SIGNATURE) is not None


def open_seal(envelope: etree._Element) -> OpenedSeal:
    """Check structure, algorithm, signature and digest of a sealed `edXMLEnvelope`.

    Raises:
        ExchangeError: `seal.missing`, `seal.malformed` (also every wrapping), `seal.algorithm`, `seal.invalid`;
            `message.too-large` for a canonical form that no reader would take.
    """
    signature = _the_signature(envelope)
    sealed = canonical(envelope)
    if len(sealed) > ENVELOPE_MAX:
        raise ExchangeError(errors.TOO_LARGE, size=len(sealed), limit=ENVELOPE_MAX)
    start, end = _span(sealed, signature, envelope.get("Id", ""))
    signed = sealed[:start] + sealed[end:]
    parts = read_signature(sealed[start:end], envelope.get("Id", ""))
    _verify(parts.certificate, parts.algorithm, parts.signature, parts.signed_info)
    digest = hashlib.sha256(signed)
    if digest.digest() != parts.digest:
        raise ExchangeError(errors.SEAL_INVALID, reason="digest")
    return OpenedSeal(
        sealed=sealed,
        signed=signed,
        root=_parse(signed),
        digest=digest.hexdigest(),
        certificate=parts.certificate,
        algorithm=parts.algorithm,
    )


def seal(envelope: bytes, signer: Signer) -> bytes:
    """Sign an unsealed `edXMLEnvelope` (with an `Id`); returns it sealed, in exclusive C14N.

    Raises:
        ExchangeError: `seal.malformed` when the envelope has no `Id`, no header, or a signature already.
    """
    root = etree.fromstring(envelope, _PARSER)
    header = root.find(_HEADER)
    if root.tag != _ENVELOPE or not root.get("Id") or header is None or root.find(f".//{_SIGNATURE}") is not None:
        raise ExchangeError(errors.SEAL_MALFORMED, element="edXMLEnvelope")
    digest = hashlib.sha256(canonical(root)).digest()
    header.append(_unsigned(root.get("Id", ""), digest, signer))
    signature = header[-1]
    signature[1].text = base64.b64encode(signer.sign(canonical(signature[0]))).decode()
    return canonical(root)


def _unsigned(identity: str, digest: bytes, signer: Signer) -> etree._Element:
    signature = etree.Element(_SIGNATURE, nsmap={"ds": DS})
    info = etree.SubElement(signature, f"{{{DS}}}SignedInfo")
    etree.SubElement(info, f"{{{DS}}}CanonicalizationMethod", Algorithm=EXCLUSIVE_C14N)
    etree.SubElement(info, f"{{{DS}}}SignatureMethod", Algorithm=_METHOD_OF[signer.algorithm])
    reference = etree.SubElement(info, f"{{{DS}}}Reference", URI=f"#{identity}")
    transforms = etree.SubElement(reference, f"{{{DS}}}Transforms")
    for algorithm in (ENVELOPED, EXCLUSIVE_C14N):
        etree.SubElement(transforms, f"{{{DS}}}Transform", Algorithm=algorithm)
    etree.SubElement(reference, f"{{{DS}}}DigestMethod", Algorithm=SHA256)
    etree.SubElement(reference, f"{{{DS}}}DigestValue").text = base64.b64encode(digest).decode()
    etree.SubElement(signature, f"{{{DS}}}SignatureValue")
    key_info = etree.SubElement(signature, f"{{{DS}}}KeyInfo")
    data = etree.SubElement(key_info, f"{{{DS}}}X509Data")
    etree.SubElement(data, f"{{{DS}}}X509Certificate").text = base64.b64encode(signer.certificate).decode()
    return signature


def _the_signature(envelope: etree._Element) -> etree._Element:
    """One signature, where it must stand; any other number or place is a wrapping attempt."""
    found = list(envelope.iter(_SIGNATURE))
    if not found:
        raise ExchangeError(errors.SEAL_MISSING)
    header = envelope.find(_HEADER)
    if envelope.tag != _ENVELOPE or len(found) != 1 or header is None or found[0].getparent() is not header:
        raise ExchangeError(errors.SEAL_MALFORMED, element="Signature")
    return found[0]


def _span(sealed: bytes, signature: etree._Element, identity: str) -> tuple[int, int]:
    """Where the signature stands in the canonical octets of its envelope.

    In canonical XML `<` is always markup, so a tag can be found as octets; and as exclusive C14N declares namespaces by
    ancestors only, cutting the element out leaves the canonical form of the envelope without it (the enveloped
    transform). The `Id` must be unique: in canonical XML an attribute can only look so, and a text that looks so too is
    refused with it.
    """
    prefix = f"{signature.prefix}:".encode() if signature.prefix else b""
    opening, closing = b"<" + prefix + b"Signature", b"</" + prefix + b"Signature>"
    starts = [start for start in (sealed.find(opening + after) for after in (b" ", b">")) if start >= 0]
    if not identity or sealed.count(b' Id="%b"' % identity.encode()) != 1:
        raise ExchangeError(errors.SEAL_MALFORMED, element="edXMLEnvelope/Id")
    if len(starts) != 1 or sealed.count(closing) != 1:
        raise ExchangeError(errors.SEAL_MALFORMED, element="Signature")
    return starts[0], sealed.index(closing) + len(closing)


def _parse(octets: bytes) -> etree._Element:
    try:
        return etree.fromstring(octets, _PARSER)
    except etree.XMLSyntaxError as error:
        raise ExchangeError(errors.SEAL_MALFORMED, element="Signature") from error


def public_key(certificate: bytes) -> PublicKey:
    """The public key of a DER certificate; parsed once per certificate (parsing costs as much as verifying).

    Raises:
        ExchangeError: `seal.malformed` (not a certificate, or above `CERTIFICATE_MAX`), `seal.algorithm` (a key the
            profile does not take).
    """
    if len(certificate) > CERTIFICATE_MAX:
        raise ExchangeError(errors.SEAL_MALFORMED, element="X509Certificate")
    return _public_key(certificate)


@lru_cache(maxsize=2048)
def _public_key(certificate: bytes) -> PublicKey:
    try:
        key = x509.load_der_x509_certificate(certificate).public_key()
    except UnsupportedAlgorithm as error:  # a curve or kind of key that the library does not know
        raise ExchangeError(errors.SEAL_ALGORITHM, element="X509Certificate") from error
    except (ValueError, x509.InvalidVersion) as error:
        raise ExchangeError(errors.SEAL_MALFORMED, element="X509Certificate") from error
    if isinstance(key, rsa.RSAPublicKey) and MINIMUM_RSA_BITS <= key.key_size <= MAXIMUM_RSA_BITS:
        return key
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return key
    raise ExchangeError(errors.SEAL_ALGORITHM, element="X509Certificate")


def _verify(certificate: bytes, method: SignatureAlgorithm, signature: bytes, data: bytes) -> None:
    key = public_key(certificate)
    try:
        if isinstance(key, rsa.RSAPublicKey) and method == "rsa-sha256":
            key.verify(signature, data, padding.PKCS1v15(), hashes.SHA256())
        elif isinstance(key, ec.EllipticCurvePublicKey) and method == "ecdsa-sha256":
            key.verify(_dss(signature), data, ec.ECDSA(hashes.SHA256()))
        else:
            raise ExchangeError(errors.SEAL_ALGORITHM, element="SignatureMethod")
    except InvalidSignature as error:
        raise ExchangeError(errors.SEAL_INVALID, reason="signature") from error


def _dss(signature: bytes) -> bytes:
    """XML Signature carries r‖s; OpenSSL wants the ASN.1 sequence."""
    if len(signature) != P256_SIGNATURE_OCTETS:
        raise ExchangeError(errors.SEAL_INVALID, reason="length")
    half = P256_SIGNATURE_OCTETS // 2
    return encode_dss_signature(int.from_bytes(signature[:half]), int.from_bytes(signature[half:]))
