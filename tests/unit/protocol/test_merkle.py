"""`protocol.merkle` against the reference tree of RFC 6962, a naive recursive tree, and altered proofs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import errors
from protocol.errors import ExchangeError
from protocol.merkle import (
    EMPTY_ROOT,
    BatchResult,
    Frontier,
    append_batch,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    verify_consistency,
    verify_inclusion,
)

VECTORS = Path(__file__).parents[2] / "vectors" / "evidence"
LEAVES = [hashlib.sha256(b"\x00" + bytes([n])).digest() for n in range(70)]


class InclusionVector(msgspec.Struct):
    index: int
    size: int
    proof: list[str]


class ConsistencyVector(msgspec.Struct):
    old: int
    new: int
    proof: list[str]


class ReferenceTree(msgspec.Struct):
    leaves: list[str]
    roots: list[str]
    inclusion: list[InclusionVector]
    consistency: list[ConsistencyVector]

    @property
    def hashes(self) -> list[bytes]:
        return [leaf_hash(bytes.fromhex(leaf)) for leaf in self.leaves]

    def root(self, size: int) -> bytes:
        return bytes.fromhex(self.roots[size - 1])


REFERENCE = msgspec.json.decode((VECTORS / "01-merkle-ct.json").read_bytes(), type=ReferenceTree)


def naive_split(leaves: list[bytes]) -> tuple[list[bytes], list[bytes]]:
    power = 1
    while power * 2 < len(leaves):
        power *= 2
    return leaves[:power], leaves[power:]


def naive_root(leaves: list[bytes]) -> bytes:
    """MTH of RFC 6962 §2.1, over leaf hashes."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    left, right = naive_split(leaves)
    return hashlib.sha256(b"\x01" + naive_root(left) + naive_root(right)).digest()


def naive_path(index: int, leaves: list[bytes]) -> list[bytes]:
    """PATH of RFC 6962 §2.1.1."""
    if len(leaves) == 1:
        return []
    left, right = naive_split(leaves)
    if index < len(left):
        return [*naive_path(index, left), naive_root(right)]
    return [*naive_path(index - len(left), right), naive_root(left)]


def naive_subproof(old: int, leaves: list[bytes], *, whole: bool) -> list[bytes]:
    """SUBPROOF of RFC 6962 §2.1.2."""
    if old == len(leaves):
        return [] if whole else [naive_root(leaves)]
    left, right = naive_split(leaves)
    if old <= len(left):
        return [*naive_subproof(old, left, whole=whole), naive_root(right)]
    return [*naive_subproof(old - len(left), right, whole=False), naive_root(left)]


def grown(leaves: list[bytes]) -> Frontier:
    frontier = Frontier()
    for leaf in leaves:
        frontier = frontier.append(leaf)
    return frontier


def reader(result: BatchResult) -> Callable[[int, int], bytes]:
    nodes = {(level, index): value for level, index, value in result.nodes}
    return lambda level, index: nodes[level, index]


def refused(check: Callable[..., None], *arguments: object) -> bool:
    try:
        check(*arguments)
    except ExchangeError as error:
        return error.kind is errors.PROOF_INVALID
    return False


def test_reference_roots_of_every_size():
    assert EMPTY_ROOT == Frontier().root() == hashlib.sha256(b"").digest()
    for size in range(1, 9):
        assert grown(REFERENCE.hashes[:size]).root() == REFERENCE.root(size)
        assert append_batch(Frontier(), REFERENCE.hashes[:size]).root == REFERENCE.root(size)


def test_reference_proofs_are_made_and_verified():
    get_node = reader(append_batch(Frontier(), REFERENCE.hashes))
    for path in REFERENCE.inclusion:
        proof = inclusion_proof(path.index, path.size, get_node)
        assert [value.hex() for value in proof] == path.proof
        verify_inclusion(REFERENCE.hashes[path.index], path.index, path.size, proof, REFERENCE.root(path.size))
    for step in REFERENCE.consistency:
        proof = consistency_proof(step.old, step.new, get_node)
        assert [value.hex() for value in proof] == step.proof
        verify_consistency(step.old, REFERENCE.root(step.old), step.new, REFERENCE.root(step.new), proof)


@pytest.mark.parametrize("old", range(34))
def test_a_batch_equals_the_naive_tree_at_every_size(old: int):
    """Root, frontier, new nodes and proofs; earlier nodes come from earlier batches only."""
    before = grown(LEAVES[:old])
    stored = {(level, index) for level, index, _ in append_batch(Frontier(), LEAVES[:old]).nodes}
    for count in range(1, 36):
        leaves = LEAVES[: old + count]
        result = append_batch(before, LEAVES[old : old + count])
        assert result.root == result.frontier.root() == naive_root(leaves)
        assert result.frontier == grown(leaves)
        assert result.proofs == [naive_path(index, leaves) for index in range(old, old + count)]
        for level, index, value in result.nodes:
            assert value == naive_root(leaves[index << level : index + 1 << level])
        names = [(level, index) for level, index, _ in result.nodes]
        everything = {(level, index) for level in range(7) for index in range(len(leaves) >> level)}
        assert len(names) == len(set(names))
        assert set(names) == everything - stored


def test_an_empty_batch_changes_nothing():
    before = grown(LEAVES[:5])
    assert append_batch(before, []) == BatchResult(before, before.root(), [], [])


@pytest.mark.parametrize("size", range(1, 71))
def test_proofs_from_stored_nodes_equal_the_naive_tree_and_verify(size: int):
    get_node = reader(append_batch(Frontier(), LEAVES))
    leaves, root = LEAVES[:size], naive_root(LEAVES[:size])
    assert Frontier.load(size, get_node) == grown(leaves)
    for index in range(size):
        proof = inclusion_proof(index, size, get_node)
        assert proof == naive_path(index, leaves)
        verify_inclusion(leaves[index], index, size, proof, root)
    for old in range(size + 1):
        proof = consistency_proof(old, size, get_node)
        assert proof == (naive_subproof(old, leaves, whole=True) if old else [])
        verify_consistency(old, naive_root(leaves[:old]), size, root, proof)


@given(st.integers(1, 1 << 40), st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=40))
def test_batches_in_huge_trees_prove_and_load(old: int, leaves: list[bytes]):
    """No node of the old tree is at hand but its peaks: the proofs must lead to the root all the same."""
    before = Frontier(old, tuple(hashlib.sha256(b"peak %d" % n).digest() for n in range(old.bit_count())))
    result = append_batch(before, leaves)
    assert result.frontier.size == old + len(leaves)
    for number, (leaf, proof) in enumerate(zip(leaves, result.proofs, strict=True)):
        verify_inclusion(leaf, old + number, result.frontier.size, proof, result.root)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 11])
def test_altered_inclusion_proofs_are_refused(size: int):
    get_node = reader(append_batch(Frontier(), LEAVES))
    root = naive_root(LEAVES[:size])
    for index in range(size):
        leaf, proof = LEAVES[index], inclusion_proof(index, size, get_node)
        for altered in altered_proofs(proof, root):
            assert refused(verify_inclusion, leaf, index, size, altered, root)
        assert refused(verify_inclusion, LEAVES[index + 1], index, size, proof, root)
        assert refused(verify_inclusion, leaf, index, size, proof, naive_root(LEAVES[: size + 1]))
        for other in {-1, size, size + index, *range(size)} - {index}:
            assert refused(verify_inclusion, leaf, other, size, proof, root)
        assert refused(verify_inclusion, leaf[:31], index, size, proof, root)
        assert refused(verify_inclusion, leaf, index, 0, proof, root)


@pytest.mark.parametrize("new", [2, 3, 7, 8, 11])
def test_altered_consistency_proofs_are_refused(new: int):
    get_node = reader(append_batch(Frontier(), LEAVES))
    new_root = naive_root(LEAVES[:new])
    for old in range(1, new):
        old_root, proof = naive_root(LEAVES[:old]), consistency_proof(old, new, get_node)
        for altered in altered_proofs(proof, new_root):
            assert refused(verify_consistency, old, old_root, new, new_root, altered)
        assert refused(verify_consistency, old, new_root, new, old_root, proof)
        assert refused(verify_consistency, old, LEAVES[60], new, new_root, proof)
        assert refused(verify_consistency, old, old_root, new, LEAVES[60], proof)
        assert refused(verify_consistency, new, old_root, old, new_root, proof)
        assert refused(verify_consistency, old, old_root, new, old_root, [])


def altered_proofs(proof: list[bytes], root: bytes) -> list[list[bytes]]:
    flipped = [[*proof[:n], bytes([value[0] ^ 16]) + value[1:], *proof[n + 1 :]] for n, value in enumerate(proof)]
    longer = [[*proof, root], [root, *proof], [*proof, b""], [*proof, *proof, root]]
    return [*flipped, *longer, *([proof[1:], proof[:-1], []] if proof else [])]


def test_equal_and_empty_trees_need_no_proof():
    root = naive_root(LEAVES[:5])
    verify_consistency(5, root, 5, root, [])
    verify_consistency(0, EMPTY_ROOT, 5, root, [])
    verify_consistency(0, EMPTY_ROOT, 0, EMPTY_ROOT, [])
    assert refused(verify_consistency, 5, root, 5, LEAVES[0], [])
    assert refused(verify_consistency, 5, root, 5, root, [root])
    assert refused(verify_consistency, 0, root, 5, root, [])
    assert refused(verify_consistency, 0, EMPTY_ROOT, 0, root, [])
    assert refused(verify_consistency, 0, EMPTY_ROOT, 5, root, [root])


def test_only_values_of_32_octets_are_hashes():
    assert refused(verify_inclusion, b"short", 0, 1, [], b"short")
    assert refused(verify_consistency, 5, b"short", 5, b"short", [])


def test_proofs_of_what_is_not_there_are_refused():
    get_node = reader(append_batch(Frontier(), LEAVES))
    for index, size in ((-1, 5), (5, 5), (0, 0)):
        assert refused(inclusion_proof, index, size, get_node)
    for old, new in ((-1, 5), (6, 5)):
        assert refused(consistency_proof, old, new, get_node)


def test_a_frontier_has_one_peak_for_each_bit_of_its_size():
    with pytest.raises(ExchangeError):
        Frontier(3, (LEAVES[0],))
    with pytest.raises(ExchangeError):
        Frontier(-1, (LEAVES[0],))


def test_leaves_and_nodes_hash_apart():
    """RFC 6962 §2.1: without the prefixes a node could be passed off as a leaf."""
    left, right = LEAVES[:2]
    assert leaf_hash(left + right) != node_hash(left, right)
    assert leaf_hash(b"\x01" + left + right) != node_hash(left, right)
