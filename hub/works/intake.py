"""Taking a document into custody: its identity, its row, its mailboxes, its event.

A recall document (BussinessDocType 1) does to the documents it names what a status 13 does, at the recipients that it
is addressed to: an undelivered copy stops, and its recipient, who never saw it, gets no recall either.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

import msgspec

from hub.ledger.records import DeliveryRow, Placement, Stored, StoredAttachment, from_milliseconds
from hub.ledger.transaction import Transaction
from hub.works.delivering import stop
from protocol import document_ids, errors, lifecycle
from protocol.errors import ExchangeError
from protocol.model import BussinessDocType, Kind
from protocol.receipts import Leaf, format_time

IDENTITY_OCTETS: Final = 16


def identity_of(kind: Kind, sender: str, document_id: str, doc_type: int, digest: bytes) -> bytes:
    """What makes two messages the same one.

    A new document is named by its sender and DocumentId alone, so other bytes under the same name are a conflict.
    Recalls, updates, replacements and statuses reuse a document's name; they are named by their digest too.
    """
    name = document_ids.key(document_id)
    only_name = kind == "document" and doc_type == BussinessDocType.NEW
    parts = (kind, sender, name, str(doc_type), "" if only_name else digest.hex())
    return hashlib.sha256("\0".join(parts).encode()).digest()[:IDENTITY_OCTETS]


class Recorded(msgspec.Struct, frozen=True):
    """Where a message stands in the ledger."""

    number: int
    leaf: int
    document_id: str
    repeated: bool
    recipients: tuple[str, ...] = ()


class Accept(msgspec.Struct, frozen=True, kw_only=True):
    """A document whose every check passed and whose large attachments are durable. `digest` is 32 octets."""

    agency: str
    document_id: str
    identity: bytes
    digest: bytes
    doc_type: int
    priority: int
    recipients: tuple[str, ...]
    basis: str
    envelope: bytes
    attachments: tuple[StoredAttachment, ...]
    small: tuple[tuple[bytes, bytes], ...]
    """(SHA-256, octets) of attachments that go into a segment."""
    large: tuple[tuple[bytes, Placement], ...]
    """(SHA-256, place) of attachments that lie in files of their own."""
    recalls: tuple[int, ...] = ()
    """Ledger numbers of the sender's own documents that this one recalls."""

    @property
    def payloads(self) -> Sequence[tuple[bytes | None, bytes]]:
        """The envelope first, shared with nobody; then the small attachments."""
        return [(None, self.envelope), *self.small]

    def apply(self, transaction: Transaction, places: Sequence[Placement]) -> Recorded:
        """Record it, or answer what was recorded before. Raises `document.conflict`."""
        earlier = transaction.find_identity(self.identity)
        if earlier is not None:
            return again(earlier, self.digest)
        number = transaction.next_number
        leaf = transaction.event(self._leaf(number, transaction.now), message=number, agency=self.agency)
        transaction.add_message(self._message(number, leaf, transaction.now, places[0]), self.identity)
        for (sha256, _), place in zip(self.small, places[1:], strict=True):
            transaction.add_payload(sha256, place)
        for sha256, place in self.large:
            transaction.add_payload(sha256, place)
        if self.doc_type != BussinessDocType.NEW:
            transaction.add_later_document(self.agency, document_ids.key(self.document_id), number)
        reached = self._recall(transaction, number) if self.recalls else self.recipients
        for recipient in reached:
            transaction.add_delivery(number, recipient, self.priority, lifecycle.DA_GUI)
        return Recorded(number, leaf, self.document_id, repeated=False, recipients=reached)

    def _recall(self, transaction: Transaction, number: int) -> tuple[str, ...]:
        """Move the recalled documents' lives; returns who is to get this document."""
        reached = []
        for recipient in self.recipients:
            rows = [row for one in self.recalls if (row := transaction.find_delivery(one, recipient)) is not None]
            stopped = [_recall_one(transaction, row, number) for row in rows]
            if not rows or not all(stopped):
                reached.append(recipient)
        return tuple(reached)

    def _leaf(self, number: int, now: int) -> Leaf:
        return Leaf(
            type="accepted",
            time=format_time(from_milliseconds(now)),
            number=number,
            kind="document",
            sender=self.agency,
            document_id=self.document_id,
            digest=self.digest.hex(),
            recipients=self.recipients,
            basis=self.basis,
        )

    def _message(self, number: int, leaf: int, now: int, place: Placement) -> Stored:
        return Stored(
            number=number,
            kind="document",
            sender=self.agency,
            document_id=self.document_id,
            digest=self.digest,
            doc_type=self.doc_type,
            status=None,
            concerns=None,
            addressee=None,
            priority=self.priority,
            size=sum(attachment.size for attachment in self.attachments),
            accepted_at=now,
            basis=self.basis,
            leaf=leaf,
            envelope=place,
            manifest=self.attachments,
        )


def _recall_one(transaction: Transaction, row: DeliveryRow, number: int) -> bool:
    """One document back from one recipient; whether its copy was stopped, now or before."""
    outcome = lifecycle.apply(row.handling, lifecycle.Event.RECALL_DOCUMENT)
    if outcome.effect is lifecycle.Effect.STOP_UNDELIVERED:
        stop(transaction, row, outcome.state, number)
        return True
    if outcome.state != row.handling:
        transaction.set_handling(row, outcome.state)
    return row.handling == lifecycle.DUNG_GUI


def again(earlier: tuple[int, bytes, int, str], digest: bytes) -> Recorded:
    """The answer to a message that is already there. Raises `document.conflict` when its bytes are others."""
    number, known, leaf, document_id = earlier
    if known != digest:
        raise ExchangeError(errors.DOCUMENT_CONFLICT, element="MessageHeader.DocumentId", number=number)
    return Recorded(number, leaf, document_id, repeated=True)
