"""The Merkle tree of the evidence log as it grows: hashing, the frontier, appending in batches (RFC 9162 §2.1.1).

A node is named by (level, index): level 0 are leaf hashes, node (k, i) covers leaves i·2ᵏ to (i+1)·2ᵏ - 1 and exists
only when all of them do; such a node never changes. A tree of `size` leaves has one *peak* for each set bit k of
`size`: the last complete node of level k. Peaks are listed from the highest level down; appending needs nothing else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import msgspec

from protocol.errors import PROOF_INVALID, ExchangeError

HASH_SIZE: Final = 32
"""Octets of SHA-256."""
EMPTY_ROOT: Final = hashlib.sha256().digest()
"""The root of the tree without leaves (RFC 9162 §2.1.1)."""

GetNode = Callable[[int, int], bytes]
"""(level, index) → hash of a complete node."""

_sha256 = hashlib.sha256


def leaf_hash(data: bytes) -> bytes:
    """SHA-256(0x00 ‖ data) (RFC 9162 §2.1.1)."""
    return _sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 ‖ left ‖ right) (RFC 9162 §2.1.1)."""
    return _sha256(b"\x01" + left + right).digest()


class Frontier(msgspec.Struct, frozen=True):
    """The right edge of a tree: its size and its peaks, highest level first (a compact range from leaf 0)."""

    size: int = 0
    peaks: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        if self.size < 0 or len(self.peaks) != self.size.bit_count():
            raise ExchangeError(PROOF_INVALID, element="frontier")

    @classmethod
    def load(cls, size: int, get_node: GetNode) -> Frontier:
        """The frontier of a stored tree; reads one node per set bit of `size`."""
        return cls(size, tuple(get_node(level, (size >> level) - 1) for level in peak_levels(size)))

    def root(self) -> bytes:
        """The tree's root hash."""
        return fold(self.peaks) if self.peaks else EMPTY_ROOT

    def append(self, new_leaf: bytes) -> Frontier:
        """The frontier after one more leaf hash."""
        peaks = [*self.peaks]
        node, size = new_leaf, self.size
        while size & 1:
            node = node_hash(peaks.pop(), node)
            size >>= 1
        return Frontier(self.size + 1, (*peaks, node))


class BatchResult(msgspec.Struct, frozen=True):
    """What appending a batch gives."""

    frontier: Frontier
    root: bytes
    nodes: list[tuple[int, int, bytes]]
    """The complete nodes that are new, leaf hashes included, as (level, index, hash), by level and index."""
    proofs: list[list[bytes]]
    """For each new leaf in order, its inclusion proof in the tree of the new size."""


class _Row(msgspec.Struct, frozen=True):
    """The hashes of one level that a batch touches: index `base` (even) onwards, to the right edge.

    The last may be the *ragged* node, which covers the remaining leaves and is not complete.
    """

    base: int
    hashes: list[bytes]


def append_batch(frontier: Frontier, leaf_hashes: Sequence[bytes]) -> BatchResult:
    """Append leaf hashes. Hashes n + log₂(size) nodes and reads no stored one; the new peaks fall out of the rows."""
    if not leaf_hashes:
        return BatchResult(frontier, frontier.root(), [], [])
    old, new = frontier.size, frontier.size + len(leaf_hashes)
    rows = _rows(frontier, leaf_hashes)
    nodes: list[tuple[int, int, bytes]] = []
    peaks: list[bytes] = []
    for level, row in enumerate(rows):
        first, end = old >> level, new >> level
        fresh = row.hashes[first - row.base : end - row.base]
        nodes += zip((level,) * len(fresh), range(first, end), fresh, strict=True)
        if end & 1:
            peaks.append(row.hashes[end - 1 - row.base])
    return BatchResult(Frontier(new, tuple(reversed(peaks))), rows[-1].hashes[0], nodes, _proofs(rows, old))


def _rows(frontier: Frontier, leaf_hashes: Sequence[bytes]) -> list[_Row]:
    """The rows from the leaves to the root. An old peak joins its row as left neighbour of the first new node."""
    peaks = list(frontier.peaks)
    first, hashes = frontier.size, list(leaf_hashes)
    rows: list[_Row] = []
    while True:
        if first & 1:
            hashes.insert(0, peaks.pop())
            first -= 1
        rows.append(_Row(first, hashes))
        if first == 0 and len(hashes) == 1:
            return rows
        hashes = _parents(hashes)
        first >>= 1


def _parents(hashes: list[bytes]) -> list[bytes]:
    """The level above; a last node without a sibling is its own parent: the ragged edge (RFC 9162 §2.1.1)."""
    pairs = iter(hashes)
    parents = [_sha256(b"\x01" + left + right).digest() for left, right in zip(pairs, pairs, strict=False)]
    if len(hashes) & 1:
        parents.append(hashes[-1])
    return parents


def _proofs(rows: list[_Row], old: int) -> list[list[bytes]]:
    """From the root down: a node's path is its sibling, then its parent's path, so the upper parts are built once."""
    above, paths = 0, [list[bytes]()]
    for level in range(len(rows) - 2, -1, -1):
        base, hashes = rows[level].base, rows[level].hashes
        first, count = old >> level, len(hashes)
        below: list[list[bytes]] = []
        for offset in range(first - base, count):
            path = paths[((base + offset) >> 1) - above]
            below.append([hashes[offset ^ 1], *path] if offset ^ 1 < count else path)
        above, paths = first, below
    return paths


def peak_levels(size: int) -> Iterator[int]:
    """The levels that have a peak in a tree of `size` leaves, highest first."""
    return (level for level in reversed(range(size.bit_length())) if size >> level & 1)


def fold(peaks: Sequence[bytes]) -> bytes:
    """The hash over neighbouring complete subtrees of falling size; at least one."""
    *left, node = peaks
    for peak in reversed(left):
        node = node_hash(peak, node)
    return node
