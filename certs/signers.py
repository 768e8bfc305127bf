"""Signers whose keys are files of mode 0600: the X.509 key of an agency or hub, and the Ed25519 key of the log."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from certs import keys
from protocol.errors import ExchangeError
from protocol.signing import SignatureAlgorithm
from runtime.config import ConfigError

_COORDINATE: Final = 32  # octets of r and of s on P-256


class FileSigner:
    """A `protocol.signing.Signer` on two PEM files; the key is read once (parsing an RSA key takes 30 ms).

    `certificate_path` holds the leaf, then its intermediates. Raises `ConfigError` for a missing, open, damaged or
    weak key, a damaged certificate, or a pair that does not belong together.
    """

    def __init__(self, key_path: Path, certificate_path: Path) -> None:
        key = keys.read_key(key_path)
        chain = read_certificates(certificate_path)
        if chain[0].public_key() != key.public_key():
            raise ConfigError(f"Khóa {key_path} không phải của chứng thư {certificate_path}.")
        try:
            keys.check_leaf_key(key.public_key())
        except ExchangeError as error:
            raise ConfigError(f"Khóa {key_path} quá yếu hoặc không được chấp nhận: {error.sentence}") from error
        self._key = key
        self._hash = hashes.SHA256()
        self._padding = padding.PKCS1v15()
        self._ecdsa = ec.ECDSA(self._hash)
        self._chain = tuple(one.public_bytes(serialization.Encoding.DER) for one in chain)
        self._algorithm: SignatureAlgorithm = "rsa-sha256" if isinstance(key, rsa.RSAPrivateKey) else "ecdsa-sha256"

    @property
    def algorithm(self) -> SignatureAlgorithm:
        """The algorithm that `sign` uses."""
        return self._algorithm

    @property
    def certificate(self) -> bytes:
        """DER of the leaf certificate."""
        return self._chain[0]

    @property
    def chain(self) -> tuple[bytes, ...]:
        """DER of the intermediates in the certificate file."""
        return self._chain[1:]

    def sign(self, data: bytes) -> bytes:
        """Raw RSA signature, or the 64 octets r‖s (XML Signature 1.1 §6.4.3)."""
        if isinstance(self._key, rsa.RSAPrivateKey):
            return self._key.sign(data, self._padding, self._hash)
        return raw_ecdsa(self._key.sign(data, self._ecdsa))


class LogSigner:
    """The Ed25519 key that signs checkpoints, in one PEM file of mode 0600."""

    def __init__(self, key_path: Path) -> None:
        self._key = keys.read_log_key(key_path)
        self.public: bytes = self._key.public_key().public_bytes_raw()

    @staticmethod
    def create(key_path: Path) -> LogSigner:
        """Make a new key in a file that does not exist yet."""
        if key_path.exists():
            raise ConfigError(f"Tệp khóa {key_path} đã có; không ghi đè khóa của sổ bằng chứng.")
        keys.write_key(key_path, keys.to_pem(ed25519.Ed25519PrivateKey.generate()))
        return LogSigner(key_path)

    def sign(self, data: bytes) -> bytes:
        """The 64 octets of RFC 8032."""
        return self._key.sign(data)


def read_certificates(path: Path) -> list[x509.Certificate]:
    """All certificates of a PEM file, at least one. Raises `ConfigError`."""
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"Không đọc được chứng thư {path}: {error.strerror}.") from error
    except keys.UNREADABLE as error:
        raise ConfigError(f"Tệp {path} không chứa chứng thư PEM hợp lệ.") from error


def raw_ecdsa(der: bytes) -> bytes:
    """ECDSA-Sig-Value (X.509, openssl) as the 64 octets r‖s (XML Signature)."""
    r, s = decode_dss_signature(der)
    return r.to_bytes(_COORDINATE, "big") + s.to_bytes(_COORDINATE, "big")


def der_ecdsa(raw: bytes) -> bytes:
    """The 64 octets r‖s as ECDSA-Sig-Value, which `openssl dgst -verify` reads."""
    return encode_dss_signature(int.from_bytes(raw[:_COORDINATE], "big"), int.from_bytes(raw[_COORDINATE:], "big"))
