"""The one form that `ds:Signature` has in a seal, read from its canonical octets by one expression.

In canonical XML there is one way to write a thing: double quotes, sorted attributes, no comments, no CDATA, `<` never
but as markup. So the whole signature either matches or is malformed: exactly these elements in this order, no attribute
but those named, between them white space alone. Nothing unsigned hides in it, and there is nothing to choose.

Sources: XML Signature 1.1 §4, Exclusive XML Canonicalization 1.0.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final

import msgspec

from protocol import errors
from protocol.errors import ExchangeError
from protocol.signing import SignatureAlgorithm

DS: Final = "http://www.w3.org/2000/09/xmldsig#"
EXCLUSIVE_C14N: Final = "http://www.w3.org/2001/10/xml-exc-c14n#"
ENVELOPED: Final = "http://www.w3.org/2000/09/xmldsig#enveloped-signature"
SHA256: Final = "http://www.w3.org/2001/04/xmlenc#sha256"
SIGNATURE_METHODS: Final[dict[str, SignatureAlgorithm]] = {
    "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256": "rsa-sha256",
    "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256": "ecdsa-sha256",
}

# Every repetition is possessive: no hostile signature can make the expression try twice.
_SPACE = rb"(?:[ \t\n]|&#xD;)*+"
_CARRIAGE_RETURN: Final = b"&#xD;"
_STEPS: Final = (EXCLUSIVE_C14N.encode(), ENVELOPED.encode(), EXCLUSIVE_C14N.encode())
"""Canonicalisation of SignedInfo, then the two transforms."""


def _element(name: str, content: bytes, attributes: bytes = b"") -> bytes:
    """`content` may be surrounded by white space."""
    tag = b"(?P=prefix)" + name.encode()
    return b"<" + tag + attributes + b">" + _SPACE + content + _SPACE + b"</" + tag + b">"


def _algorithm(name: str, group: str) -> bytes:
    return _element(name, b"", b' Algorithm="(?P<%b>[^"<]*+)"' % group.encode())


def _text(name: str, group: str) -> bytes:
    tag = b"(?P=prefix)" + name.encode()
    return b"<" + tag + b">(?P<" + group.encode() + b">[^<]*+)</" + tag + b">"


def _all(*elements: bytes) -> bytes:
    return _SPACE.join(elements)


_REFERENCE = _element(
    "Reference",
    _all(
        _element("Transforms", _all(_algorithm("Transform", "first"), _algorithm("Transform", "second"))),
        _algorithm("DigestMethod", "digest_method"),
        _text("DigestValue", "digest"),
    ),
    b' URI="(?P<uri>[^"<]*+)"',
)
_SIGNED_INFO = _element(
    "SignedInfo",
    _all(_algorithm("CanonicalizationMethod", "c14n"), _algorithm("SignatureMethod", "method"), _REFERENCE),
)
_KEY_INFO = _element("KeyInfo", _element("X509Data", _text("X509Certificate", "certificate")))
# the Id is the one attribute that nobody signs: a name, with no room for a message (in bytes, `\w` is ASCII)
_SIGNATURE: Final = re.compile(
    rb'<(?P<prefix>[^\s:<>="]*+:|)Signature(?P<namespace> xmlns(?::[^\s:<>="]*+)?="[^"<]*+")'
    rb'(?: Id="[A-Za-z_][\w.\-]{0,63}+")?>'
    + _SPACE
    + _all(b"(?P<info>" + _SIGNED_INFO + b")", _text("SignatureValue", "signature"), _KEY_INFO)
    + _SPACE
    + rb"</(?P=prefix)Signature>"
)


class SignatureParts(msgspec.Struct, frozen=True, kw_only=True):
    """What a signature says; nothing of it is verified."""

    algorithm: SignatureAlgorithm
    digest: bytes
    """Of the envelope without its signature."""
    signature: bytes
    signed_info: bytes
    """The exclusive C14N of SignedInfo: what was signed with the key."""
    certificate: bytes
    """DER."""


def read_signature(octets: bytes, identity: str) -> SignatureParts:
    """Take a canonical `ds:Signature` apart that refers to the element with the `Id` `identity`.

    Raises:
        ExchangeError: `seal.malformed`, or `seal.algorithm` for another digest or signature method.
    """
    found = _SIGNATURE.fullmatch(octets)
    if found is None or found["namespace"] != _declaration(found["prefix"]):
        raise _malformed("Signature")
    algorithm = SIGNATURE_METHODS.get(found["method"].decode())
    if algorithm is None or found["digest_method"].decode() != SHA256:
        raise ExchangeError(errors.SEAL_ALGORITHM, element="SignatureMethod")
    steps = (found["c14n"], found["first"], found["second"])
    if steps != _STEPS or found["uri"] != b"#" + identity.encode():
        raise _malformed("SignedInfo")
    return SignatureParts(
        algorithm=algorithm,
        digest=_base64(found["digest"], "DigestValue"),
        signature=_base64(found["signature"], "SignatureValue"),
        signed_info=_standing_alone(found["info"], found["prefix"]),
        certificate=_base64(found["certificate"], "X509Certificate"),
    )


def _declaration(prefix: bytes) -> bytes:
    """How the canonical form declares the namespace for this prefix (with its colon; empty: the default)."""
    return b' xmlns%b%b="%b"' % (b":" if prefix else b"", prefix[:-1], DS.encode())


def _standing_alone(info: bytes, prefix: bytes) -> bytes:
    """The canonical form of an element by itself: as inside its parent, but it declares its namespace."""
    name_ends = len(b"<") + len(prefix) + len(b"SignedInfo")
    return info[:name_ends] + _declaration(prefix) + info[name_ends:]


def _base64(text: bytes, element: str) -> bytes:
    try:
        return base64.b64decode(b"".join(text.replace(_CARRIAGE_RETURN, b"").split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise _malformed(element) from error


def _malformed(element: str) -> ExchangeError:
    return ExchangeError(errors.SEAL_MALFORMED, element=element)
