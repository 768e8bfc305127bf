"""Inclusion and consistency proofs of the evidence log: made from stored nodes, verified from roots (RFC 9162 §2.1)."""

from __future__ import annotations

from collections.abc import Sequence

from protocol.errors import PROOF_INVALID, ExchangeError
from protocol.merkle.tree import EMPTY_ROOT, HASH_SIZE, GetNode, fold, node_hash, peak_levels


def _subtree(first: int, end: int, get_node: GetNode) -> bytes:
    """The hash over leaves `first` to `end`, where `first` is a multiple of the power of two that holds them all."""
    hashes: list[bytes] = []
    for level in peak_levels(end - first):
        hashes.append(get_node(level, first >> level))
        first += 1 << level
    return fold(hashes)


def _split(size: int) -> int:
    """The largest power of two smaller than `size` (RFC 9162 §2.1.1)."""
    return 1 << (size - 1).bit_length() - 1


def inclusion_proof(index: int, size: int, get_node: GetNode) -> list[bytes]:
    """The path of leaf `index` in the tree of `size` leaves, sibling first (RFC 9162 §2.1.3.1).

    Raises `proof.invalid` when the tree has no such leaf.
    """
    if not 0 <= index < size:
        raise ExchangeError(PROOF_INVALID, element="index")
    proof: list[bytes] = []
    first, end = 0, size
    while end - first > 1:
        middle = first + _split(end - first)
        if index < middle:
            proof.append(_subtree(middle, end, get_node))
            end = middle
        else:
            proof.append(_subtree(first, middle, get_node))
            first = middle
    proof.reverse()
    return proof


def consistency_proof(old: int, new: int, get_node: GetNode) -> list[bytes]:
    """The proof that the tree of `new` leaves begins with the tree of `old` (RFC 9162 §2.1.4.1).

    Empty when `old` is 0 or `new`. Raises `proof.invalid` when `old` exceeds `new`.
    """
    if not 0 <= old <= new:
        raise ExchangeError(PROOF_INVALID, element="size")
    proof: list[bytes] = []
    first, end = 0, new
    while old not in (0, end):
        middle = first + _split(end - first)
        if old <= middle:
            proof.append(_subtree(middle, end, get_node))
            end = middle
        else:
            proof.append(_subtree(first, middle, get_node))
            first = middle
    if first:  # else the old tree is a whole left subtree, whose hash the verifier has: the old root
        proof.append(_subtree(first, end, get_node))
    proof.reverse()
    return proof


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Check that leaf hash `leaf` is number `index` under `root` (RFC 9162 §2.1.3.2). Raises `proof.invalid`."""
    if not 0 <= index < size or not _are_hashes(leaf, root, *proof):
        raise ExchangeError(PROOF_INVALID, element="inclusion proof")
    node, last, position = leaf, size - 1, index
    for sibling in proof:
        if last == 0:
            raise ExchangeError(PROOF_INVALID, element="inclusion proof")
        if position & 1 or position == last:
            node = node_hash(sibling, node)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        else:
            node = node_hash(node, sibling)
        position, last = position >> 1, last >> 1
    if last or node != root:
        raise ExchangeError(PROOF_INVALID, element="inclusion proof")


def verify_consistency(old: int, old_root: bytes, new: int, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Check that the tree (`new`, `new_root`) begins with the tree (`old`, `old_root`) (RFC 9162 §2.1.4.2).

    The empty tree begins every tree, with an empty proof. Raises `proof.invalid`.
    """
    if not 0 <= old <= new or not _are_hashes(old_root, new_root, *proof):
        raise ExchangeError(PROOF_INVALID, element="consistency proof")
    if old in (0, new):
        known = EMPTY_ROOT if old == 0 else new_root
        sound = not proof and old_root == known and (new > 0 or new_root == EMPTY_ROOT)
    else:
        path = [old_root, *proof] if old & (old - 1) == 0 else list(proof)
        sound = _replay(old, new, path) == (old_root, new_root)
    if not sound:
        raise ExchangeError(PROOF_INVALID, element="consistency proof")


def _replay(old: int, new: int, path: list[bytes]) -> tuple[bytes, bytes] | None:
    """The two roots that a consistency path leads to; `None` when its length is wrong (RFC 9162 §2.1.4.2 steps 3-6)."""
    position, last = old - 1, new - 1
    while position & 1:
        position, last = position >> 1, last >> 1
    if not path:
        return None
    old_node = new_node = path[0]
    for sibling in path[1:]:
        if last == 0:
            return None
        if position & 1 or position == last:
            old_node, new_node = node_hash(sibling, old_node), node_hash(sibling, new_node)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        else:
            new_node = node_hash(new_node, sibling)
        position, last = position >> 1, last >> 1
    return None if last else (old_node, new_node)


def _are_hashes(*values: bytes) -> bool:
    return all(len(value) == HASH_SIZE for value in values)
