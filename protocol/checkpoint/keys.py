"""Ed25519 keys of the evidence log and of its witnesses, and their public text form `name+id+base64` (C2SP vkey)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from enum import IntEnum
from typing import Final, Self

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from protocol.checkpoint.note import KEY_ID_SIZE, check_key_name, decode_base64, encode_base64, invalid

PUBLIC_KEY_SIZE: Final = 32
MAX_VKEY: Final = 1024

Sign = Callable[[bytes], bytes]
"""Ed25519 (RFC 8032) over the octets given: 64 octets."""


class KeyKind(IntEnum):
    """The signature type of a key (c2sp.org/signed-note, "Signature types")."""

    LOG = 0x01
    """Signs the note's text as it is."""
    WITNESS = 0x04
    """Signs a time and the checkpoint's text: tlog-cosignature v1."""


class VerifierKey(msgspec.Struct, frozen=True):
    """A public key that is trusted under a name."""

    name: str
    kind: KeyKind
    public: bytes

    @property
    def key_id(self) -> bytes:
        """SHA-256(name ‖ 0x0A ‖ kind ‖ public)[:4]: names the key, proves nothing."""
        return hashlib.sha256(b"%b\n%c%b" % (self.name.encode(), self.kind, self.public)).digest()[:KEY_ID_SIZE]

    @property
    def text(self) -> str:
        """The vkey line: `name+hex id+base64(kind ‖ public)`."""
        return f"{self.name}+{self.key_id.hex()}+{encode_base64(bytes([self.kind]) + self.public)}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a vkey line. Raises `proof.invalid`, also for a kind of key that is not ours."""
        name, *rest = text.split("+", 2) if len(text) <= MAX_VKEY else ("",)
        if len(rest) != 2:  # noqa: PLR2004 - name, id, key
            raise invalid("vkey")
        data = decode_base64(rest[1])
        if len(data) != 1 + PUBLIC_KEY_SIZE or data[0] not in (KeyKind.LOG, KeyKind.WITNESS):
            raise invalid("vkey")
        key = cls(check_key_name(name), KeyKind(data[0]), data[1:])
        if key.key_id.hex() != rest[0]:
            raise invalid("vkey")
        return key

    def check(self, signature: bytes, message: bytes) -> None:
        """Verify an Ed25519 signature. Raises `proof.invalid`."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
        except (InvalidSignature, ValueError) as error:
            raise invalid("signature") from error


class LogKey:
    """The key with which a log signs its checkpoints; its name is the log's origin.

    `sign` may live anywhere (a file, an HSM). Raises `proof.invalid` when origin or public key cannot be one.
    """

    kind = KeyKind.LOG

    def __init__(self, origin: str, public: bytes, sign: Sign) -> None:
        if len(public) != PUBLIC_KEY_SIZE:
            raise invalid("public key")
        self.verifier = VerifierKey(check_key_name(origin), self.kind, public)
        self.sign = sign
        self.key_id = self.verifier.key_id

    @classmethod
    def from_private(cls, origin: str, private: Ed25519PrivateKey) -> Self:
        """The key around a private key held in memory."""
        return cls(origin, private.public_key().public_bytes_raw(), private.sign)

    @property
    def origin(self) -> str:
        """The name that signature lines carry."""
        return self.verifier.name

    @property
    def vkey(self) -> str:
        """The public text form, to be given to those who verify."""
        return self.verifier.text


class WitnessKey(LogKey):
    """The key with which an agency cosigns the checkpoints it has seen; its name is the witness's."""

    kind = KeyKind.WITNESS
