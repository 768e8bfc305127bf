"""The evidence log as the ledger keeps it: the tree's right edge in memory, its complete nodes and checkpoints in SQL.

A batch appends all its events at once: one tree update, one checkpoint signature. Receipts of recent events are made
from what the batch knew; older ones are computed from the stored nodes at the size of the first checkpoint that covered
them, so the same event always gives the same receipt.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

import msgspec

from hub.ledger import statements as sql
from hub.ledger.transaction import Transaction
from protocol import merkle
from protocol.checkpoint import LogKey, sign_checkpoint
from protocol.receipts import Receipt
from runtime.database import Connection

RECENT: Final = 16384
"""Receipts kept in memory (about 1.5 kB each)."""


class Grown(msgspec.Struct, frozen=True):
    """A batch's effect on the tree, before it is committed."""

    frontier: merkle.Frontier
    note: str
    receipts: dict[int, Receipt]


class EvidenceLog:
    """The tree of one hub. `grow` writes inside the writer's transaction; `adopt` follows its commit."""

    def __init__(self, connection: Connection, key: LogKey) -> None:
        self._key = key
        row = connection.execute(sql.LAST_EVENT).fetchone()
        self.frontier = merkle.Frontier.load(0 if row is None else row[0] + 1, node_reader(connection))
        self.last_event_at = 0 if row is None else row[1]
        note = connection.execute(sql.LAST_CHECKPOINT).fetchone()
        self.note = "" if note is None else note[1]
        self._recent: OrderedDict[int, Receipt] = OrderedDict()

    @property
    def size(self) -> int:
        """Number of events."""
        return self.frontier.size

    def grow(self, transaction: Transaction, connection: Connection) -> Grown:
        """Append the transaction's events: nodes and signed checkpoint are written with them."""
        first = self.frontier.size
        result = merkle.append_batch(self.frontier, transaction.hashes)
        # leaf hashes (level 0) are recomputed from the events and not stored twice
        nodes = [node for node in result.nodes if node[0]]
        connection.executemany(sql.INSERT_NODE, nodes)
        note = sign_checkpoint(self._key, result.frontier.size, result.root)
        connection.execute(sql.INSERT_CHECKPOINT, (result.frontier.size, note))
        made = {
            first + offset: Receipt(leaf=leaf, index=first + offset, proof=tuple(proof), checkpoint=note)
            for offset, (leaf, proof) in enumerate(zip(transaction.leaves, result.proofs, strict=True))
        }
        return Grown(result.frontier, note, made)

    def adopt(self, grown: Grown, at: int) -> None:
        """The batch is durable: its tree is the tree."""
        self.frontier = grown.frontier
        self.note = grown.note
        self.last_event_at = at
        self._recent.update(grown.receipts)
        while len(self._recent) > RECENT:
            self._recent.popitem(last=False)

    def receipt(self, connection: Connection, leaf: int) -> Receipt:
        """The receipt of an event: always the same for the same event."""
        recent = self._recent.get(leaf)
        return recent if recent is not None else stored_receipt(connection, leaf)


def stored_receipt(connection: Connection, leaf: int) -> Receipt:
    """A receipt from the stored nodes. Raises `LookupError` when there is no such event."""
    event = connection.execute(sql.FIND_EVENT, (leaf,)).fetchone()
    checkpoint = connection.execute(sql.CHECKPOINT_OF, (leaf,)).fetchone()
    if event is None or checkpoint is None:
        raise LookupError(f"no event {leaf}")
    size, note = checkpoint
    proof = merkle.inclusion_proof(leaf, size, node_reader(connection))
    return Receipt(leaf=event[0], index=leaf, proof=tuple(proof), checkpoint=note)


def consistency(connection: Connection, start: int, end: int) -> list[bytes]:
    """Consistency proof between two sizes (RFC 9162 §2.1.4)."""
    return merkle.consistency_proof(start, end, node_reader(connection))


def node_reader(connection: Connection) -> merkle.GetNode:
    """Reads a complete node: stored, or for a leaf computed from its event."""

    def read(level: int, position: int) -> bytes:
        if level == 0:
            row = connection.execute(sql.FIND_EVENT, (position,)).fetchone()
            found = None if row is None else merkle.leaf_hash(row[0])
        else:
            row = connection.execute(sql.FIND_NODE, (level, position)).fetchone()
            found = None if row is None else row[0]
        if found is None:
            raise LookupError(f"no node {level}/{position}")
        return found

    return read
