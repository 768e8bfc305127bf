"""The trust bundle: everything that somebody needs to check the province's signatures, and no secret.

Its JSON form holds PEM texts, so that `openssl` and a person can read what is inside.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Self

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from certs import keys, revocation
from runtime.config import ConfigError

FORMAT: Final = "lienthong-trust-1"
_SIZE_LIMIT: Final = 64 << 20  # octets; a list of a hundred thousand revocations has 4 MB


class TrustBundle(msgspec.Struct, frozen=True, kw_only=True):
    """Roots and intermediates (DER), revocation lists (PEM), statements about the log's keys (`certs.log_key`)."""

    roots: tuple[bytes, ...]
    intermediates: tuple[bytes, ...] = ()
    crls: tuple[bytes, ...] = ()
    log_keys: tuple[str, ...] = ()

    @classmethod
    def load(cls, path: Path) -> Self:
        """An authority's folder, or a bundle file. Raises `ConfigError`."""
        try:
            if not path.is_dir():
                return cls.from_json(path.read_bytes())
            statements = sorted((path / "log").glob("*.json"))
            return cls(
                roots=_certificates((path / "root.pem").read_bytes()),
                intermediates=_certificates((path / "intermediate.pem").read_bytes()),
                crls=tuple(revocation.split_pem((path / "crl.pem").read_bytes())),
                log_keys=tuple(one.read_text(encoding="utf-8") for one in statements),
            )
        except OSError as error:
            raise ConfigError(f"Không đọc được dữ liệu tin cậy {error.filename}: {error.strerror}.") from error
        except (*keys.UNREADABLE, revocation.CrlError) as error:
            raise ConfigError(f"Dữ liệu tin cậy trong {path} bị hỏng: {error}.") from error

    @classmethod
    def from_json(cls, data: bytes | str) -> Self:
        """The bundle in a JSON text. Raises `ConfigError` for anything else."""
        if len(data) > _SIZE_LIMIT:
            raise ConfigError("Gói tin cậy quá lớn.")
        try:
            text = msgspec.json.decode(data, type=_Json)
            roots, intermediates = (
                _certificates("\n".join(part).encode()) for part in (text.roots, text.intermediates)
            )
            crls = tuple(block for one in text.crls for block in revocation.split_pem(one.encode()))
        except (*keys.UNREADABLE, msgspec.MsgspecError, revocation.CrlError) as error:
            raise ConfigError(f"Gói tin cậy không đúng khuôn dạng: {error}.") from error
        if text.format != FORMAT or not roots:
            raise ConfigError(f"Gói tin cậy không đúng khuôn dạng: cần {FORMAT} và ít nhất một chứng thư gốc.")
        return cls(roots=roots, intermediates=intermediates, crls=crls, log_keys=text.log_keys)

    def to_json(self) -> bytes:
        """The JSON form, UTF-8."""
        text = _Json(
            format=FORMAT,
            roots=tuple(map(pem, self.roots)),
            intermediates=tuple(map(pem, self.intermediates)),
            crls=tuple(one.decode() for one in self.crls),
            log_keys=self.log_keys,
        )
        return msgspec.json.format(msgspec.json.encode(text), indent=1)


class _Json(msgspec.Struct, frozen=True, kw_only=True):
    """The JSON form."""

    format: str
    roots: tuple[str, ...]
    intermediates: tuple[str, ...] = ()
    crls: tuple[str, ...] = ()
    log_keys: tuple[str, ...] = ()


def pem(certificate: bytes) -> str:
    """A DER certificate as PEM."""
    return x509.load_der_x509_certificate(certificate).public_bytes(serialization.Encoding.PEM).decode()


def pem_file(certificates: Sequence[bytes]) -> str:
    """Several, one after the other."""
    return "".join(map(pem, certificates))


def _certificates(data: bytes) -> tuple[bytes, ...]:
    if not data.strip():
        return ()
    return tuple(one.public_bytes(serialization.Encoding.DER) for one in x509.load_pem_x509_certificates(data))
