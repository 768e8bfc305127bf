"""The local system's token: made by `lienthong-edge token`, kept only as a salted hash, compared in constant time."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from pathlib import Path
from typing import Final

import msgspec

from protocol import agency_codes, errors
from protocol.errors import ExchangeError
from protocol.exchange import Caller
from runtime import durable

TOKEN_OCTETS: Final = 32
"""256 random bits: a plain hash is enough, nobody guesses it."""
SALT_OCTETS: Final = 16


class TokenHash(msgspec.Struct, frozen=True):
    """What the file holds; both hex."""

    salt: str
    hash: str


def make_token(file: Path) -> str:
    """A new token; its hash replaces the old one durably. The token itself is shown once and kept nowhere."""
    token = secrets.token_urlsafe(TOKEN_OCTETS)
    salt = secrets.token_hex(SALT_OCTETS)
    durable.write_file(file, msgspec.json.encode(TokenHash(salt, _hash(salt, token))), durable.PRIVATE_MODE)
    return token


class LocalAuthentication:
    """Proves that a local caller is the agency's own system. A new token is seen without a restart."""

    def __init__(self, file: Path, agency: str) -> None:
        self._file = file
        self._agency = agency
        self._seen: tuple[int, int] | None = None
        self._known: TokenHash | None = None

    def check(self, organ_id: str, token: str) -> Caller:
        """The caller. Raises `caller.unauthenticated`; nothing says whether code or token was wrong."""
        known = self._load()
        right_token = known is not None and hmac.compare_digest(known.hash, _hash(known.salt, token))
        if not right_token or not agency_codes.same(organ_id, self._agency):
            raise ExchangeError(errors.UNAUTHENTICATED)
        return Caller(agency=self._agency, proof="token")

    def _load(self) -> TokenHash | None:
        try:
            status = self._file.stat()
            if self._seen != (status.st_mtime_ns, status.st_ino):
                self._known = msgspec.json.decode(self._file.read_bytes(), type=TokenHash)
                self._seen = status.st_mtime_ns, status.st_ino
        except (OSError, msgspec.MsgspecError):
            self._known, self._seen = None, None
        return self._known


def _hash(salt: str, token: str) -> str:
    return hashlib.sha256(f"{salt}\n{token}".encode()).hexdigest()
