"""Business statuses: who may report what, what it does to the document's life, and who is told.

A stranger to the document hears that there is none: whether a DocumentId exists is nobody else's business.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from hub.ledger.records import DeliveryRow, Placement, Stored, from_milliseconds
from hub.ledger.transaction import Transaction
from hub.works.delivering import hand_recall, stop
from hub.works.intake import Recorded, again
from protocol import errors, lifecycle
from protocol.errors import ExchangeError
from protocol.lifecycle import Effect, Event, Outcome, Party
from protocol.receipts import Leaf, format_time


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A status of `agency` about a document. `document` is its ledger number; `digest` 32 octets of the status."""

    agency: str
    document: int
    status: int
    identity: bytes
    digest: bytes
    basis: str
    envelope: bytes

    @property
    def payloads(self) -> Sequence[tuple[bytes | None, bytes]]:
        """The sealed status."""
        return [(None, self.envelope)]

    def apply(self, transaction: Transaction, places: Sequence[Placement]) -> Recorded:
        """Move the document's life and tell the other side.

        Raises:
            ExchangeError: `document.not-found`, `document.status-not-yours`, `document.status-not-allowed`.
        """
        earlier = transaction.find_identity(self.identity)
        if earlier is not None:
            return again(earlier, self.digest)
        document = transaction.find_message(self.document)
        if document is None:
            raise ExchangeError(errors.DOCUMENT_NOT_FOUND, element="ResponseFor.DocumentId")
        event = lifecycle.event_of_status(self.status)
        moves = self._moves(transaction, document, event)
        told = self._told(document, moves)
        recorded = self._record(transaction, document, told, places[0])
        asked = self._move(transaction, moves, recorded.number)
        return msgspec.structs.replace(recorded, recipients=(*told, *asked))

    def _moves(self, transaction: Transaction, document: Stored, event: Event) -> list[tuple[DeliveryRow, Outcome]]:
        """What the event does at each recipient it concerns; all checks happen here, before any write."""
        row = transaction.find_delivery(document.number, self.agency)
        if row is None and self.agency != document.sender:
            raise ExchangeError(errors.DOCUMENT_NOT_FOUND, element="ResponseFor.DocumentId")
        if lifecycle.may_cause(event) is Party.SENDER:
            if self.agency != document.sender:
                raise ExchangeError(errors.STATUS_NOT_YOURS, element="MessageHeader.From.OrganId")
            rows = transaction.recipients(document.number)
            moves = [(row, outcome) for row in rows if (outcome := _allowed(row.handling, event)) is not None]
            if not moves:
                raise ExchangeError(errors.STATUS_NOT_ALLOWED, element="MessageHeader.StatusCode")
            return moves
        if row is None:
            raise ExchangeError(errors.STATUS_NOT_YOURS, element="MessageHeader.From.OrganId")
        return [(row, lifecycle.apply(row.handling, event))]

    def _told(self, document: Stored, moves: list[tuple[DeliveryRow, Outcome]]) -> tuple[str, ...]:
        """The other side. A recipient whose copy was stopped never saw the document, and sees no recall of it."""
        if lifecycle.may_cause(lifecycle.event_of_status(self.status)) is Party.RECIPIENT:
            return (document.sender,)
        return tuple(row.recipient for row, outcome in moves if lifecycle.DUNG_GUI not in {row.handling, outcome.state})

    def _move(self, transaction: Transaction, moves: list[tuple[DeliveryRow, Outcome]], number: int) -> tuple[str, ...]:
        """Write the new states; returns who gets an earlier recall, because a stopped copy had arrived all the same."""
        asked = []
        for row, outcome in moves:
            if outcome.effect is Effect.STOP_UNDELIVERED:
                stop(transaction, row, outcome.state, number)
                continue
            if outcome.state != row.handling:
                transaction.set_handling(row, outcome.state)
            if outcome.effect is Effect.ASK_RECALL and row.handling == lifecycle.DUNG_GUI:
                hand_recall(transaction, row)
                asked.append(row.recipient)
        return tuple(asked)

    def _record(self, transaction: Transaction, document: Stored, told: tuple[str, ...], place: Placement) -> Recorded:
        number = transaction.next_number
        leaf = transaction.event(
            Leaf(
                type="status",
                time=format_time(from_milliseconds(transaction.now)),
                number=number,
                kind="status",
                sender=self.agency,
                document_id=document.document_id,
                digest=self.digest.hex(),
                recipients=told,
                status=self.status,
                basis=self.basis,
            ),
            message=number,
            agency=self.agency,
        )
        transaction.add_message(
            Stored(
                number=number,
                kind="status",
                sender=self.agency,
                document_id=document.document_id,
                digest=self.digest,
                doc_type=document.doc_type,
                status=self.status,
                concerns=document.number,
                addressee=document.sender,
                priority=document.priority,
                size=0,
                accepted_at=transaction.now,
                basis=self.basis,
                leaf=leaf,
                envelope=place,
            ),
            self.identity,
        )
        for recipient in told:
            transaction.add_delivery(number, recipient, document.priority)
        return Recorded(number, leaf, document.document_id, repeated=False, recipients=told)


def _allowed(handling: str, event: Event) -> Outcome | None:
    """The outcome at one recipient, or None where it is too late; another recipient may still be in time."""
    try:
        return lifecycle.apply(handling, event)
    except ExchangeError as error:
        if error.kind is errors.STATUS_NOT_ALLOWED:
            return None
        raise
