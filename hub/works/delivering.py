"""What happens to a message at its recipient: confirmed, postponed, given to a person, released.

Law of this file: a delivery is delivered once; the event and the sender's notice are written in the same transaction.
A status or a notice that is confirmed tells nobody: a report never begets a report. A recall that crossed a fetch
withdrew a copy that its recipient has all the same: its confirmation counts, and it gets the recall.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from hub.ledger.records import DeliveryRow, Placement, Stored, from_milliseconds
from hub.ledger.transaction import Transaction
from protocol import errors, lifecycle
from protocol.errors import ExchangeError
from protocol.receipts import Leaf, format_time

Outcome = Literal["delivered", "already", "unknown"]


class Confirmed(msgspec.Struct, frozen=True):
    """Outcomes in the order asked, and the agencies that have something new in their mailboxes."""

    outcomes: tuple[Outcome, ...]
    notified: frozenset[str]


class Confirm(msgspec.Struct, frozen=True, kw_only=True):
    """The agency has these messages durably (status 01, time of entry into the recipient's system)."""

    agency: str
    numbers: tuple[int, ...]
    payloads: tuple[()] = ()

    def apply(self, transaction: Transaction, places: Sequence[Placement]) -> Confirmed:  # noqa: ARG002 -- none asked
        """Settle each; numbers of other agencies' mail are `unknown`."""
        notified: set[str] = set()
        outcomes = tuple(self._one(transaction, number, notified) for number in self.numbers)
        return Confirmed(outcomes, frozenset(notified))

    def _one(self, transaction: Transaction, number: int, notified: set[str]) -> Outcome:
        found = transaction.find_delivered(number, self.agency)
        if found is None:
            return "unknown"
        row, message = found
        if row.state not in {"waiting", "dead", "withdrawn"}:
            return "already"
        document = message.kind == "document"
        outcome = lifecycle.apply(row.handling, lifecycle.Event.ARRIVED) if document else None
        handling = row.handling if outcome is None else outcome.state
        if not transaction.settle(row, "delivered", handling):
            return "already"
        if outcome is not None:
            notice(transaction, message, self.agency)
            notified.add(message.sender)
            if outcome.effect is lifecycle.Effect.ASK_RECALL:
                hand_recall(transaction, row)
                notified.add(self.agency)
        return "delivered"


def notice(transaction: Transaction, message: Stored, recipient: str) -> None:
    """The event of a delivery, and the sender's notice of it."""
    arrived = int(lifecycle.Event.ARRIVED)
    leaf = transaction.event(
        Leaf(
            type="delivered",
            time=format_time(from_milliseconds(transaction.now)),
            number=message.number,
            kind="document",
            sender=message.sender,
            document_id=message.document_id,
            digest=message.digest.hex(),
            recipient=recipient,
            status=arrived,
        ),
        message=message.number,
        agency=recipient,
    )
    number = transaction.next_number
    transaction.add_message(
        Stored(
            number=number,
            kind="notice",
            sender=recipient,
            document_id=message.document_id,
            digest=message.digest,
            doc_type=message.doc_type,
            status=arrived,
            concerns=message.number,
            addressee=message.sender,
            priority=message.priority,
            size=0,
            accepted_at=transaction.now,
            basis="",
            leaf=leaf,
            envelope=None,
        ),
        None,
    )
    transaction.add_delivery(number, message.sender, message.priority)


def stop(transaction: Transaction, row: DeliveryRow, handling: str, recall: int) -> None:
    """The recall with this number takes an undelivered copy out of its mailbox: an event, as a delivery is one."""
    message = transaction.find_message(row.message)
    assert message is not None  # the row refers to it
    leaf = Leaf(
        type="recall",
        time=format_time(from_milliseconds(transaction.now)),
        number=message.number,
        kind="document",
        sender=message.sender,
        document_id=message.document_id,
        digest=message.digest.hex(),
        recipient=row.recipient,
        detail=f"stopped by {recall}",
    )
    transaction.event(leaf, message=message.number, agency=message.sender)
    transaction.withdraw(row, handling, recall)


def hand_recall(transaction: Transaction, row: DeliveryRow) -> None:
    """The copy that a recall withdrew arrived before it: its recipient gets that recall, a status or a document."""
    recall = None if row.stopped_by is None else transaction.find_message(row.stopped_by)
    if recall is None:  # cannot be: only a recall leads to a state that asks for one
        raise ExchangeError(errors.INTERNAL, message=row.message, stopped_by=row.stopped_by)
    if transaction.find_delivery(recall.number, row.recipient) is not None:
        return  # it recalls several documents, and came with another of them
    handling = lifecycle.DA_GUI if recall.kind == "document" else ""
    transaction.add_delivery(recall.number, row.recipient, recall.priority, handling)


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """An agency's own endpoint is about to be called.

    Written before the call, so that a hub that dies in it knows afterwards that the message may have arrived; until
    there is an answer the delivery counts as postponed to `next_attempt` (milliseconds UTC) for `error` (a code).
    """

    agency: str
    row: DeliveryRow
    next_attempt: int
    error: str
    payloads: tuple[()] = ()

    def apply(self, transaction: Transaction, places: Sequence[Placement]) -> bool:  # noqa: ARG002 -- none asked
        """Write it down; False when the message does not wait any more (a recall was quicker)."""
        return transaction.begin_attempt(self.row, self.next_attempt, self.error)


class Postpone(msgspec.Struct, frozen=True, kw_only=True):
    """An agency's own endpoint did not take a message. `next_attempt` is milliseconds UTC; `error` a code.

    `refused` when it said so for good, `dead` when it did so too often. `endpoint` is the address that was called.
    """

    agency: str
    endpoint: str
    row: DeliveryRow
    next_attempt: int
    error: str
    refused: bool
    dead: bool
    payloads: tuple[()] = ()

    def apply(self, transaction: Transaction, places: Sequence[Placement]) -> None:  # noqa: ARG002 -- none asked
        """Write down when to try again, or that a person must look; another address by now is tried at once."""
        agency = transaction.find_agency(self.agency)
        moved = agency is not None and agency.endpoint != self.endpoint
        when = transaction.now if moved else self.next_attempt
        transaction.postpone(self.row, when, self.error, refused=self.refused, dead=self.dead)


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """A person puts a dead delivery back."""

    agency: str
    message: int
    payloads: tuple[()] = ()

    def apply(self, transaction: Transaction, places: Sequence[Placement]) -> None:  # noqa: ARG002 -- none asked
        """Back to `waiting`, from the first attempt. Raises `document.not-found` when it is not dead."""
        row = transaction.find_delivery(self.message, self.agency)
        if row is None or row.state != "dead":
            raise ExchangeError(errors.DOCUMENT_NOT_FOUND, element=str(self.message))
        transaction.release(self.message, self.agency)
