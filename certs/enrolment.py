"""Enrolment: the one-time code that a person reads out over the telephone, and the certificate request behind it.

The code is 35 Crockford characters in seven groups of five: 80 bits of secret, the first 80 bits of the SHA-256 of the
province's root certificate, and a 15-bit CRC. The edge knows from it which hub is the right one before it says the
secret (a second root with the same 80 bits cannot be made), and the hub keeps only a hash of the secret.
CRC-15 finds every burst of up to 15 bits: every single wrong character, and every swap of two neighbours.
"""

from __future__ import annotations

import hashlib
import secrets
import unicodedata
from collections.abc import Callable
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from certs import keys, names
from protocol.errors import ENROLMENT_CODE, ENROLMENT_REQUEST, ExchangeError

ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
SECRET_OCTETS: Final = 10
ROOT_OCTETS: Final = 10
_CHECK_BITS: Final = 15
_CRC_POLYNOMIAL: Final = 0x4599
_GROUP: Final = 5
_LENGTH: Final = 35
_LOOK_ALIKES: Final = str.maketrans({"O": "0", "I": "1", "L": "1"})
_REQUEST_LIMIT: Final = 16_384  # octets; an RSA-4096 request has 1.6 kB
_HASH_CONTEXT: Final = b"lienthong enrolment code v1\0"


def make_code(root: bytes, *, random: Callable[[int], bytes] = secrets.token_bytes) -> tuple[str, str]:
    """A new code for the province whose root certificate (DER) is given: the text to read out, the hash to keep."""
    secret = random(SECRET_OCTETS)
    data = secret + hashlib.sha256(root).digest()[:ROOT_OCTETS]
    number = int.from_bytes(data, "big") << _CHECK_BITS | _crc15(data)
    characters = [ALPHABET[number >> shift & 31] for shift in range(5 * (_LENGTH - 1), -1, -5)]
    text = "-".join("".join(characters[start : start + _GROUP]) for start in range(0, _LENGTH, _GROUP))
    return text, code_hash(secret)


def parse_code(text: str) -> tuple[bytes, bytes]:
    """The secret and the root's fingerprint prefix in a code, however it was typed.

    Case, spaces, dashes and dots do not matter; O reads as 0, I and L as 1. Raises `enrolment.code`.
    """
    folded = unicodedata.normalize("NFKC", text).upper().translate(_LOOK_ALIKES)
    characters = [one for one in folded if not one.isspace() and one not in "-‐‑‒–—_.,"]
    if len(characters) != _LENGTH or not set(characters) <= set(ALPHABET):
        raise ExchangeError(ENROLMENT_CODE, reason="shape", length=len(characters))
    number = 0
    for one in characters:
        number = number << 5 | ALPHABET.index(one)
    data = (number >> _CHECK_BITS).to_bytes(SECRET_OCTETS + ROOT_OCTETS, "big")
    if _crc15(data) != number & (1 << _CHECK_BITS) - 1:
        raise ExchangeError(ENROLMENT_CODE, reason="check characters")
    return data[:SECRET_OCTETS], data[SECRET_OCTETS:]


def code_hash(secret: bytes) -> str:
    """What is stored of a code (hex SHA-256). One hash is enough: nobody guesses 80 random bits."""
    return hashlib.sha256(_HASH_CONTEXT + secret).hexdigest()


def root_matches(root: bytes, prefix: bytes) -> bool:
    """Whether this root certificate (DER) is the one that the code names."""
    return len(prefix) == ROOT_OCTETS and hashlib.sha256(root).digest()[:ROOT_OCTETS] == prefix


def make_request(agency: str, *, kind: keys.KeyKind = "p-256") -> tuple[bytes, bytes]:
    """A new private key (PEM) and its PKCS #10 request (DER); the hub takes only the key of it, not the names."""
    key = keys.make_key(kind)
    builder = x509.CertificateSigningRequestBuilder().subject_name(names.subject(common_name=agency))
    builder = builder.add_extension(x509.SubjectAlternativeName([names.agency_uri(agency)]), critical=False)
    request = builder.sign(key, hashes.SHA256())
    return keys.to_pem(key), request.public_bytes(serialization.Encoding.DER)


def read_request(data: bytes) -> bytes:
    """The DER of a request in PEM or DER. Raises `enrolment.request`."""
    try:
        if data.lstrip().startswith(b"-----"):
            return x509.load_pem_x509_csr(data).public_bytes(serialization.Encoding.DER)
    except keys.UNREADABLE as error:
        raise ExchangeError(ENROLMENT_REQUEST, reason="form") from error
    return data


def check_request(request: bytes) -> keys.PublicKey:
    """The public key of a request (DER) that proves possession of its private key.

    Raises `enrolment.request`: not PKCS #10, too large, false signature, a key that the exchange does not accept.
    """
    if len(request) > _REQUEST_LIMIT:
        raise ExchangeError(ENROLMENT_REQUEST, reason="size", octets=len(request))
    try:
        parsed = x509.load_der_x509_csr(request)
        key = keys.check_leaf_key(parsed.public_key())
        canonical = request.endswith(b"\x00" + parsed.signature)  # X.690 §11.2.1, which the library lets pass
        proved = canonical and parsed.is_signature_valid
    except keys.UNREADABLE as error:
        raise ExchangeError(ENROLMENT_REQUEST, reason="form") from error
    except ExchangeError as error:
        raise ExchangeError(ENROLMENT_REQUEST, reason=error.kind.code) from error
    if not proved:
        raise ExchangeError(ENROLMENT_REQUEST, reason="signature")
    return key


def _crc15(data: bytes) -> int:
    """CRC-15 with the polynomial of CAN (ISO 11898-1 §10.4.2.6)."""
    register = 0
    for octet in data:
        for bit in range(7, -1, -1):
            carry = register >> 14 & 1 ^ octet >> bit & 1
            register = register << 1 & 0x7FFF
            if carry:
                register ^= _CRC_POLYNOMIAL
    return register
