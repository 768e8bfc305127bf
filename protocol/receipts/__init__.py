"""Receipts: events of the evidence log (leaves) and the text that proves one of them offline."""

from __future__ import annotations

from protocol.receipts.leaf import Leaf, LeafType, decode_leaf, encode_leaf, format_time
from protocol.receipts.receipt import Receipt, verify

__all__ = ["Leaf", "LeafType", "Receipt", "decode_leaf", "encode_leaf", "format_time", "verify"]
