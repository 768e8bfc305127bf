"""Which keys the exchange accepts, how they are made, and how they lie in files.

The seal profile allows RSA of 2048 bits or more and ECDSA P-256; a CA may also use P-384 (its signatures are only
checked when a certificate is first seen). Nothing else is accepted anywhere.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from protocol.errors import SEAL_ALGORITHM, ExchangeError
from runtime import durable
from runtime.config import ConfigError

KeyKind = Literal["p-256", "p-384", "rsa-2048", "rsa-3072", "rsa-4096"]
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey

UNREADABLE: Final = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)
"""What the library raises when a certificate, list, request or key is damaged; not all of them are ValueError."""

_RSA_SMALLEST: Final = 2048
_RSA_LARGEST: Final = 8192  # above it one verification costs milliseconds: a way to make the hub slow
_RSA_EXPONENT: Final = 65537
_OTHERS_MAY: Final = 0o077

_MAKERS: Final[dict[KeyKind, Callable[[], PrivateKey]]] = {
    "p-256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "p-384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "rsa-2048": lambda: rsa.generate_private_key(_RSA_EXPONENT, 2048),
    "rsa-3072": lambda: rsa.generate_private_key(_RSA_EXPONENT, 3072),
    "rsa-4096": lambda: rsa.generate_private_key(_RSA_EXPONENT, 4096),
}
LEAF_KINDS: Final[tuple[KeyKind, ...]] = ("p-256", "rsa-2048", "rsa-3072", "rsa-4096")
AUTHORITY_KINDS: Final[tuple[KeyKind, ...]] = ("p-384", "p-256", "rsa-3072", "rsa-4096")


def make_key(kind: KeyKind) -> PrivateKey:
    """A new private key."""
    return _MAKERS[kind]()


def leaf_kind(name: str) -> KeyKind:
    """The kind of this name, when leaves may have it. Raises `ConfigError`."""
    return _kind(name, LEAF_KINDS)


def authority_kind(name: str) -> KeyKind:
    """The kind of this name, when authorities may have it. Raises `ConfigError`."""
    return _kind(name, AUTHORITY_KINDS)


def _kind(name: str, allowed: tuple[KeyKind, ...]) -> KeyKind:
    for kind in allowed:
        if kind == name:
            return kind
    raise ConfigError(f"Loại khóa không được dùng ở đây: {name}. Các loại: {', '.join(allowed)}.")


def check_leaf_key(key: object) -> PublicKey:
    """The key, when it may seal and authenticate. Raises `seal.algorithm`."""
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return key
    return _check_rsa(key)


def check_authority_key(key: object) -> PublicKey:
    """The key, when it may sign certificates and revocation lists. Raises `seal.algorithm`."""
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1 | ec.SECP384R1):
        return key
    return _check_rsa(key)


def _check_rsa(key: object) -> rsa.RSAPublicKey:
    if not isinstance(key, rsa.RSAPublicKey) or not _RSA_SMALLEST <= key.key_size <= _RSA_LARGEST:
        raise ExchangeError(SEAL_ALGORITHM, key=type(key).__name__, bits=getattr(key, "key_size", 0))
    return key


def signature_hash(key: PrivateKey) -> hashes.SHA256 | hashes.SHA384:
    """The hash that a CA key signs with: SHA-384 for P-384, else SHA-256."""
    if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP384R1):
        return hashes.SHA384()
    return hashes.SHA256()


def to_pem(key: PrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    """PKCS #8 PEM without a password: the file's mode protects it."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def write_key(path: Path, pem: bytes) -> None:
    """Put a private key into a file of mode 0600, durably."""
    durable.write_file(path, pem, durable.PRIVATE_MODE)


def read_private_file(path: Path) -> bytes:
    """The octets of a file that nobody but its owner may read.

    Raises `ConfigError`: missing, or open to group or others (the mode is not looked at on Windows).
    """
    try:
        mode = path.stat().st_mode
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"Không đọc được tệp khóa {path}: {error.strerror}.") from error
    if os.name != "nt" and mode & _OTHERS_MAY:
        shown = f"{mode & 0o777:04o}"
        raise ConfigError(f"Tệp khóa {path} có quyền {shown}: người khác đọc được. Chạy: chmod 600 {path}")
    return data


def read_key(path: Path) -> PrivateKey:
    """The RSA or EC private key in a file. Raises `ConfigError`."""
    key = _load(path)
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise ConfigError(f"Tệp khóa {path} không phải khóa RSA hoặc ECDSA.")
    return key


def read_log_key(path: Path) -> ed25519.Ed25519PrivateKey:
    """The Ed25519 private key in a file. Raises `ConfigError`."""
    key = _load(path)
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        raise ConfigError(f"Tệp khóa {path} không phải khóa Ed25519.")
    return key


def _load(path: Path) -> object:
    data = read_private_file(path)
    try:
        return serialization.load_pem_private_key(data, password=None)
    except TypeError as error:
        raise ConfigError(f"Tệp khóa {path} có mật khẩu: dịch vụ không tự mở được. Bỏ mật khẩu.") from error
    except UNREADABLE as error:
        raise ConfigError(f"Tệp khóa {path} bị hỏng hoặc không phải khóa PEM.") from error
