"""Refusals are evidence too: who was refused, when, by which rule; never what the message said (AC-4.2a-4)."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from hub.ledger.records import Placement, from_milliseconds
from hub.ledger.transaction import Transaction
from protocol.receipts import Leaf, format_time


class Refuse(msgspec.Struct, frozen=True, kw_only=True):
    """An authenticated agency was refused. `reason` is the error code, `rule` an element path or rule name."""

    agency: str
    reason: str
    rule: str = ""
    payloads: tuple[()] = ()

    def apply(self, transaction: Transaction, places: Sequence[Placement]) -> int:  # noqa: ARG002 -- none asked
        """Log it; returns the leaf index."""
        leaf = Leaf(
            type="refused",
            time=format_time(from_milliseconds(transaction.now)),
            agency=self.agency,
            reason=self.reason,
            detail=self.rule,
        )
        return transaction.event(leaf, message=None, agency=self.agency)
