"""The text of a checkpoint (c2sp.org/tlog-checkpoint): signed by the log, read only when its key signed it."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from typing import Final

import msgspec

from protocol.checkpoint.cosignatures import Cosignature, check_cosignature
from protocol.checkpoint.keys import KeyKind, LogKey, VerifierKey
from protocol.checkpoint.note import (
    Note,
    SignatureLine,
    decode_base64,
    encode_base64,
    invalid,
    read_note,
    write_signature,
)
from protocol.merkle import HASH_SIZE

MAX_SIZE: Final = (1 << 63) - 1
"""Leaves of a tree; more does not fit in the signed 64-bit columns of any store."""
_CACHED: Final = 256
_DECIMAL: Final = re.compile(r"0|[1-9][0-9]{0,18}")


class Checkpoint(msgspec.Struct, frozen=True):
    """A verified tree head: log `origin`, number of leaves, root hash (32 octets), and the note it was read from."""

    origin: str
    size: int
    root: bytes
    text: str
    cosignatures: tuple[Cosignature, ...] = ()
    """Of the witnesses whose keys were given."""


def read_number(text: str, what: str) -> int:
    """An ASCII decimal without leading zeroes, below 2⁶³. Raises `proof.invalid` naming `what`."""
    number = int(text) if _DECIMAL.fullmatch(text) else -1
    if not 0 <= number <= MAX_SIZE:
        raise invalid(what)
    return number


def sign_checkpoint(key: LogKey, size: int, root: bytes) -> str:
    """The signed note for a tree of `size` leaves with this root. The caller must never sign two inconsistent trees."""
    if not 0 <= size <= MAX_SIZE or len(root) != HASH_SIZE:
        raise invalid("tree head")
    body = f"{key.origin}\n{size}\n{encode_base64(root)}\n"
    signature = SignatureLine(key.origin, key.key_id, key.sign(body.encode()))
    return f"{body}\n{write_signature(signature)}"


def read_checkpoint(text: str, vkeys: Iterable[str]) -> Checkpoint:
    """Verify a checkpoint with trusted keys (vkey lines of logs and witnesses).

    At least one of the keys must be the origin's log key and have signed. Signatures of unknown keys are ignored; one
    of a known key that fails, or stands twice, condemns the note. Raises `proof.invalid`.
    """
    return _read_checkpoint(text, tuple(vkeys))


@functools.lru_cache(maxsize=_CACHED)  # receipts of one batch share their checkpoint
def _read_checkpoint(text: str, vkeys: tuple[str, ...]) -> Checkpoint:
    note = read_note(text)
    origin, size, root = _read_body(note.body)
    signed, cosignatures = False, []
    for key, line in _known(note, vkeys):
        if key.kind is KeyKind.WITNESS:
            cosignatures.append(check_cosignature(key, line.signature, note.body))
        else:
            key.check(line.signature, note.body.encode())
            signed = signed or key.name == origin
    if not signed:
        raise invalid("checkpoint signature")
    return Checkpoint(origin, size, root, text, tuple(cosignatures))


def _read_body(body: str) -> tuple[str, int, bytes]:
    origin, *lines = body.removesuffix("\n").split("\n")
    if len(lines) < 2 or not origin or not all(lines):  # noqa: PLR2004 - size and root, then extensions
        raise invalid("checkpoint")
    root = decode_base64(lines[1])
    if len(root) != HASH_SIZE:
        raise invalid("checkpoint root")
    return origin, read_number(lines[0], "checkpoint size"), root


def _known(note: Note, vkeys: tuple[str, ...]) -> list[tuple[VerifierKey, SignatureLine]]:
    """The signature lines that trusted keys answer for, each key at most once."""
    keys = {(key.name, key.key_id): key for key in map(VerifierKey.parse, vkeys)}
    known = [(keys.get((line.name, line.key_id)), line) for line in note.signatures]
    found = [(key, line) for key, line in known if key is not None]
    if len({key for key, _ in found}) != len(found):
        raise invalid("repeated signature")
    return found
