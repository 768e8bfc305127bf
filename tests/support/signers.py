"""Signers of the tests whose certificates sign themselves: the seal's mathematics asks for no more."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.x509.oid import NameOID

from certs.signers import raw_ecdsa
from protocol.signing import SignatureAlgorithm

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
NOW = datetime(2026, 11, 23, tzinfo=UTC)


class KeySigner:
    """A `protocol.signing.Signer` on a key in memory; `pem` holds key and certificate for programs."""

    def __init__(self, key: Key, *, name: str = "Con dấu thử", days: int = 3650) -> None:
        self.key = key
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        builder = builder.not_valid_before(NOW - timedelta(days=1)).not_valid_after(NOW + timedelta(days=days))
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        made = builder.sign(key, None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256())
        self.certificate = made.public_bytes(serialization.Encoding.DER)
        self.chain: tuple[bytes, ...] = ()
        self.algorithm: SignatureAlgorithm = "rsa-sha256" if isinstance(key, rsa.RSAPrivateKey) else "ecdsa-sha256"

    @property
    def certificate_pem(self) -> bytes:
        loaded = x509.load_der_x509_certificate(self.certificate)
        return loaded.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        form, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        return self.key.private_bytes(serialization.Encoding.PEM, form, plain)

    def sign(self, data: bytes) -> bytes:
        return self.sign_with(data, hashes.SHA256())

    def sign_with(self, data: bytes, algorithm: hashes.HashAlgorithm) -> bytes:
        if isinstance(self.key, rsa.RSAPrivateKey):
            return self.key.sign(data, padding.PKCS1v15(), algorithm)
        assert isinstance(self.key, ec.EllipticCurvePrivateKey)
        return raw_ecdsa(self.key.sign(data, ec.ECDSA(algorithm)))


@cache
def rsa_signer(bits: int = 2048) -> KeySigner:
    return KeySigner(rsa.generate_private_key(65537, bits))


@cache
def p256_signer() -> KeySigner:
    return KeySigner(ec.generate_private_key(ec.SECP256R1()))
