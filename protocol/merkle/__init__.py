"""The Merkle tree of the evidence log (RFC 6962, RFC 9162 §2.1): grow it, prove from it, verify proofs; no storage."""

from __future__ import annotations

from protocol.merkle.proofs import consistency_proof, inclusion_proof, verify_consistency, verify_inclusion
from protocol.merkle.tree import (
    EMPTY_ROOT,
    HASH_SIZE,
    BatchResult,
    Frontier,
    GetNode,
    append_batch,
    leaf_hash,
    node_hash,
)

__all__ = [
    "EMPTY_ROOT",
    "HASH_SIZE",
    "BatchResult",
    "Frontier",
    "GetNode",
    "append_batch",
    "consistency_proof",
    "inclusion_proof",
    "leaf_hash",
    "node_hash",
    "verify_consistency",
    "verify_inclusion",
]
