"""The receipt: a leaf of the evidence log, its inclusion proof and a checkpoint, one text (c2sp.org/tlog-proof@v1).

The `extra` line holds the leaf. It is not authenticated by itself: only `verify`, which hashes it and follows the
proof to a signed root, makes it evidence.
"""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Iterable
from typing import Final, Self

import msgspec

from protocol.checkpoint import read_checkpoint
from protocol.checkpoint.checkpoints import read_number
from protocol.checkpoint.note import decode_base64, invalid
from protocol.merkle import HASH_SIZE, leaf_hash, verify_inclusion
from protocol.receipts.leaf import Leaf, decode_leaf

MAX_RECEIPT: Final = 512 * 1024
"""Characters of a receipt's text."""
MAX_PROOF: Final = 63
"""Hashes of a path: trees stay below 2⁶³ leaves."""

_HEADER: Final = "c2sp.org/tlog-proof@v1"
_OPENING: Final = _HEADER.encode() + b"\nextra "


class Receipt(msgspec.Struct, frozen=True):
    """Everything that proves an event offline, given the log's public key."""

    leaf: bytes
    """As `encode_leaf` wrote it."""
    index: int
    """Of the leaf, counted from 0."""
    proof: tuple[bytes, ...]
    """Hashes from the leaf's sibling up to a child of the root."""
    checkpoint: str
    """A signed note, verbatim."""

    def to_text(self) -> str:
        """The text form, ending in the checkpoint."""
        hashes = b"".join(map(b2a_base64, self.proof))  # each brings its newline
        head = b"%b%bindex %d\n%b\n" % (_OPENING, b2a_base64(self.leaf), self.index, hashes)
        return head.decode("ascii") + self.checkpoint

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read the text form. Raises `proof.invalid` for anything `to_text` would not have written."""
        head, blank, checkpoint = text.partition("\n\n") if len(text) <= MAX_RECEIPT else ("", "", "")
        header, extra, index, *hashes = [*head.split("\n"), "", ""]  # two too many, so that short texts unpack
        if header != _HEADER or not blank or not checkpoint or len(hashes) > MAX_PROOF + 2:
            raise invalid("receipt")
        leaf = decode_base64(_value(extra, "extra "))
        number = read_number(_value(index, "index "), "receipt index")
        return cls(leaf, number, tuple(_read_hash(line) for line in hashes[:-2]), checkpoint)


def _value(line: str, label: str) -> str:
    if not line.startswith(label):
        raise invalid("receipt")
    return line[len(label) :]


def _read_hash(line: str) -> bytes:
    value = decode_base64(line)
    if len(value) != HASH_SIZE:
        raise invalid("receipt proof")
    return value


def verify(receipt: Receipt, vkeys: Iterable[str]) -> Leaf:
    """The event that the receipt proves, checked offline: checkpoint signature, inclusion proof, then the leaf's form.

    `vkeys` are trusted public keys as text: the log's, and witnesses' where cosignatures shall be checked.
    Raises `proof.invalid`.
    """
    checkpoint = read_checkpoint(receipt.checkpoint, vkeys)
    verify_inclusion(leaf_hash(receipt.leaf), receipt.index, checkpoint.size, receipt.proof, checkpoint.root)
    return decode_leaf(receipt.leaf)
