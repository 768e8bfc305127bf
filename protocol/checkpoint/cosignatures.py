"""Witness cosignatures v1 (c2sp.org/tlog-cosignature): "as of this time, this is the largest consistent tree I saw"."""

from __future__ import annotations

import struct
from typing import Final

import msgspec

from protocol.checkpoint.keys import KeyKind, VerifierKey, WitnessKey
from protocol.checkpoint.note import SignatureLine, invalid, read_note, write_signature

_TIMESTAMP: Final = struct.Struct(">Q")
_ED25519_SIZE: Final = 64
_MAX_TIME: Final = (1 << 63) - 1


class Cosignature(msgspec.Struct, frozen=True):
    """A verified cosignature: the witness's name and its time in POSIX seconds."""

    name: str
    timestamp: int


def cosign(key: WitnessKey, checkpoint: str, timestamp: int) -> str:
    """The signature line, newline included, of a witness that checked this checkpoint's consistency.

    `checkpoint` is a signed note, `timestamp` POSIX seconds. Raises `proof.invalid` when either cannot be.
    """
    if not 0 <= timestamp <= _MAX_TIME:
        raise invalid("cosignature time")
    signature = key.sign(_message(timestamp, read_note(checkpoint).body))
    return write_signature(SignatureLine(key.origin, key.key_id, _TIMESTAMP.pack(timestamp) + signature))


def add_cosignature(checkpoint: str, line: str) -> str:
    """The checkpoint with one more signature line. Raises `proof.invalid` when the result is no signed note."""
    read_note(checkpoint)
    cosigned = checkpoint + line
    if len(read_note(cosigned).signatures) != len(read_note(checkpoint).signatures) + 1:
        raise invalid("signature line")
    return cosigned


def check_cosignature(key: VerifierKey, signature: bytes, body: str) -> Cosignature:
    """Verify the `timestamped_signature` of a witness key over a checkpoint's text. Raises `proof.invalid`."""
    if key.kind is not KeyKind.WITNESS or len(signature) != _TIMESTAMP.size + _ED25519_SIZE:
        raise invalid("cosignature")
    timestamp: int = _TIMESTAMP.unpack_from(signature)[0]
    if timestamp > _MAX_TIME:
        raise invalid("cosignature time")
    key.check(signature[_TIMESTAMP.size :], _message(timestamp, body))
    return Cosignature(key.name, timestamp)


def _message(timestamp: int, body: str) -> bytes:
    return f"cosignature/v1\ntime {timestamp}\n{body}".encode()
