"""`protocol.receipts`: a receipt proves its event offline, and nothing altered proves anything."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from protocol import errors
from protocol.checkpoint import Cosignature, LogKey, read_checkpoint, sign_checkpoint
from protocol.errors import ExchangeError
from protocol.merkle import Frontier, append_batch, leaf_hash
from protocol.receipts import Leaf, Receipt, decode_leaf, encode_leaf, format_time, verify

VECTORS = Path(__file__).parents[2] / "vectors" / "evidence"
TEXT = (VECTORS / "04-receipt.tlog-proof").read_text()
LEAF = (VECTORS / "04-receipt.leaf.json").read_bytes()
VKEY = (VECTORS / "04-receipt.vkey").read_text().strip()
EVENT = Leaf(
    type="accepted",
    time="2026-11-20T02:15:00.123Z",
    number=1042,
    kind="document",
    sender="H21.16",
    document_id="H21.16,2026/11/20,123/SVĐA-VP",
    digest=hashlib.sha256(b"signed octets").hexdigest(),
    recipients=("H21.07", "H21.09.3"),
    basis="CHU_KY_CO_QUAN",
)


def refused(text: str, *vkeys: str) -> bool:
    try:
        verify(Receipt.from_text(text), vkeys or (VKEY,))
    except ExchangeError as error:
        return error.kind is errors.PROOF_INVALID
    return False


def leaf_refused(data: bytes) -> bool:
    try:
        decode_leaf(data)
    except ExchangeError as error:
        return error.kind is errors.PROOF_INVALID
    return False


def test_ac_5_3_a_stored_receipt_proves_its_event_offline():
    assert verify(Receipt.from_text(TEXT), [VKEY]) == EVENT


def test_the_format_of_receipts_never_changes():
    assert encode_leaf(EVENT) == LEAF
    log = LogKey.from_private("lienthong.example.vn/log", Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
    before = Frontier()
    for number in range(5):
        before = before.append(leaf_hash(b"earlier event %d" % number))
    batch = append_batch(before, [leaf_hash(b"same batch"), leaf_hash(LEAF), leaf_hash(b"same batch, later")])
    checkpoint = sign_checkpoint(log, batch.frontier.size, batch.root)
    receipt = Receipt(LEAF, 6, tuple(batch.proofs[1]), checkpoint)
    assert receipt.to_text() == TEXT
    assert Receipt.from_text(TEXT) == receipt
    assert log.vkey == VKEY


def test_a_cosigned_receipt_names_its_witness():
    receipt = Receipt.from_text((VECTORS / "05-cosigned.tlog-proof").read_text())
    vkeys = (VECTORS / "05-cosigned.vkeys").read_text().splitlines()
    assert verify(receipt, vkeys) == verify(receipt, [VKEY]) == EVENT
    assert read_checkpoint(receipt.checkpoint, vkeys).cosignatures == (Cosignature("H21.16", 1_795_141_200),)


def test_ac_5_2_one_changed_bit_anywhere_fails():
    octets = TEXT.encode()
    for position in range(len(octets)):
        for bit in (0, 1, 5):
            altered = bytes([*octets[:position], octets[position] ^ 1 << bit, *octets[position + 1 :]])
            assert refused(altered.decode("utf-8", "replace")), altered


def test_ac_5_2_another_event_in_place_of_the_proved_one_fails():
    receipt = Receipt.from_text(TEXT)
    forged = encode_leaf(Leaf(type="accepted", time=EVENT.time, number=1043))
    for altered in (
        Receipt(forged, receipt.index, receipt.proof, receipt.checkpoint),
        Receipt(receipt.leaf, receipt.index - 1, receipt.proof, receipt.checkpoint),
        Receipt(receipt.leaf, receipt.index, receipt.proof[:-1], receipt.checkpoint),
        Receipt(receipt.leaf, receipt.index, (), receipt.checkpoint),
    ):
        assert refused(altered.to_text())


def test_an_inner_node_is_no_event():
    """Two hashes that stand in the tree as a node's children cannot be presented as a leaf (RFC 6962 §2.1)."""
    receipt = Receipt.from_text(TEXT)
    node = leaf_hash(receipt.leaf) + receipt.proof[0]
    for leaf in (node, b"\x01" + node):
        assert refused(Receipt(leaf, receipt.index >> 1, receipt.proof[1:], receipt.checkpoint).to_text())


def test_a_proved_leaf_that_is_no_event_is_refused():
    log = LogKey.from_private("log", Ed25519PrivateKey.generate())
    for data in (b"", b"text", LEAF + b" "):
        batch = append_batch(Frontier(), [leaf_hash(data)])
        receipt = Receipt(data, 0, (), sign_checkpoint(log, 1, batch.root))
        assert refused(receipt.to_text(), log.vkey)


def test_only_the_trusted_key_counts():
    other = LogKey.from_private("lienthong.example.vn/log", Ed25519PrivateKey.generate())
    assert refused(TEXT, other.vkey)


@pytest.mark.parametrize(
    "text",
    [
        "",
        TEXT.replace("@v1", "@v2"),
        TEXT.replace("\n", "\r\n"),
        "\n" + TEXT,
        TEXT.replace("extra ", "Extra "),
        "\n".join(line for line in TEXT.split("\n") if not line.startswith("extra ")),
        "\n".join(line for line in TEXT.split("\n") if not line.startswith("index ")),
        TEXT.replace("index 6", "index 06"),
        TEXT.replace("index 6", "index -6"),
        TEXT.replace("index 6", "index 6 "),
        TEXT.replace("index 6", f"index {1 << 63}"),
        TEXT.replace("index 6\n", "index 6\nAAAA\n"),
        TEXT.replace("\n\n", "\n", 1),
        TEXT.split("\n\n")[0],
        TEXT.split("\n\n")[0] + "\n\n",
        TEXT.replace("\n\n", "\n\n\n", 1),
        TEXT + "trailing",
    ],
)
def test_texts_that_are_no_receipt_are_refused(text: str):
    assert refused(text)


def test_sizes_are_limited_before_anything_is_checked():
    hashes = "index 6\n" + ("A" * 43 + "=\n") * 60
    assert len(Receipt.from_text(TEXT.replace("index 6\n", hashes)).proof) == 63
    for text in (TEXT.replace("index 6\n", hashes + "A" * 43 + "=\n"), TEXT + "x" * (512 * 1024)):
        with pytest.raises(ExchangeError) as caught:
            Receipt.from_text(text)
        assert caught.value.kind is errors.PROOF_INVALID


@given(st.text(max_size=100), st.integers(0, len(TEXT)), st.integers(0, 100))
def test_any_text_is_refused_with_the_one_error(text: str, position: int, length: int):
    altered = TEXT[:position] + text + TEXT[position + length :]
    assert altered == TEXT or refused(altered)


names = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
events = st.builds(
    Leaf,
    type=st.sampled_from(["accepted", "refused", "delivered", "status", "policy"]),
    time=st.datetimes(timezones=st.just(UTC)).map(format_time),
    number=st.integers(0, 1 << 62),
    document_id=names,
    recipients=st.lists(names, max_size=4).map(tuple),
    status=st.none() | st.integers(0, 99),
    detail=names,
)


@given(events)
def test_every_event_reads_back_and_has_one_form(event: Leaf):
    data = encode_leaf(event)
    assert decode_leaf(data) == event
    assert encode_leaf(decode_leaf(data)) == data


def test_a_leaf_is_compact_sorted_utf_8_without_absent_values():
    data = encode_leaf(Leaf(type="delivered", time="2026-11-20T02:15:00.123Z", recipient="Sở Nội vụ", status=0))
    expected = '{"recipient":"Sở Nội vụ","status":0,"time":"2026-11-20T02:15:00.123Z","type":"delivered","v":1}'
    assert data == expected.encode()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[]",
        b'{"time":"2026-11-20T02:15:00.123Z","type":"accepted"}',
        b'{"time":"2026-11-20T02:15:00.123Z","type":"accepted","v":2}',
        b'{"time":"2026-11-20T02:15:00.123Z","type":"unheard-of","v":1}',
        b'{"time":"2026-11-20T02:15:00.123Z","type":"accepted","unheard-of":1,"v":1}',
        b'{"time":"2026-11-20T02:15:00.123Z", "type":"accepted","v":1}',
        b'{"type":"accepted","time":"2026-11-20T02:15:00.123Z","v":1}',
        b'{"sender":"A","sender":"B","time":"2026-11-20T02:15:00.123Z","type":"accepted","v":1}',
        b'{"sender":"","time":"2026-11-20T02:15:00.123Z","type":"accepted","v":1}',
        b'{"sender":"\\u0041","time":"2026-11-20T02:15:00.123Z","type":"accepted","v":1}',
        b'{"number":1.0,"time":"2026-11-20T02:15:00.123Z","type":"accepted","v":1}',
        b'{"number":"1","time":"2026-11-20T02:15:00.123Z","type":"accepted","v":1}',
        b'{"time":"2026-11-20T02:15:00Z","type":"accepted","v":1}',
        b'{"time":"2026-13-20T02:15:00.123Z","type":"accepted","v":1}',
        b'{"time":"2026-11-20T02:15:00.123+07:00","type":"accepted","v":1}',
        b'{"sender":"\xff","time":"2026-11-20T02:15:00.123Z","type":"accepted","v":1}',
        LEAF + b" ",
        LEAF[:-1],
        b'{"detail":"' + b"x" * 200_000 + b'","time":"2026-11-20T02:15:00.123Z","type":"policy","v":1}',
        b"[" * 100_000,
    ],
)
def test_octets_that_encode_leaf_would_not_write_are_refused(data: bytes):
    assert leaf_refused(data)


def test_times_are_utc_milliseconds():
    local = datetime(2026, 11, 20, 9, 15, 0, 123_999, tzinfo=timezone(timedelta(hours=7)))
    assert format_time(local) == "2026-11-20T02:15:00.123Z"
    assert EVENT.moment == datetime(2026, 11, 20, 2, 15, 0, 123_000, tzinfo=UTC)
