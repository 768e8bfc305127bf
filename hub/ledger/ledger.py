"""The ledger of one hub: reads on one connection, writes through the one writer, receipts of the evidence log."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TypeVar

from hub.ledger import evidence
from hub.ledger import statements as sql
from hub.ledger.clock import JudgedClock
from hub.ledger.records import Agency, DeliveryRow, Placement, Stored, Waiting
from hub.ledger.schema import MIGRATIONS
from hub.ledger.transaction import read_agencies, read_delivered, read_delivery, read_stored
from hub.ledger.writer import Work, Writer
from hub.payloads.store import PayloadStore
from protocol.checkpoint import LogKey
from protocol.exchange import EVERY_KIND
from protocol.model import Kind
from protocol.receipts import Receipt
from runtime.database import Connection, connect, open_database
from runtime.lock import FolderLock

T = TypeVar("T")

FILE_NAME = "ledger.sqlite"
CACHE_KIBIBYTES = 131072
"""Page cache of each connection: the indexes of some million documents."""


class Ledger:
    """Everything the hub knows. Reading methods are quick and synchronous; `do` returns when a work is durable."""

    def __init__(
        self, folder: Path, key: LogKey, now: Callable[[], int], steady: Callable[[], int] | None = None
    ) -> None:
        self._lock = FolderLock(folder, "tiến trình trục")
        path = folder / FILE_NAME
        self._writing: Connection = open_database(path, MIGRATIONS).conn
        self._reading: Connection = connect(path, read_only=True)
        for connection in (self._writing, self._reading):
            connection.execute(f"PRAGMA cache_size=-{CACHE_KIBIBYTES}")
        self._writing.execute("PRAGMA wal_autocheckpoint=4000")
        self.payloads = PayloadStore(
            folder / "payloads",
            self._writing.execute(sql.SEGMENTS).fetchall(),
            [row[0] for row in self._writing.execute(sql.LARGE_PAYLOADS)],
        )
        self.log = evidence.EvidenceLog(self._writing, key)
        self.writer = Writer(self._writing, self.payloads, self.log, JudgedClock(now, steady))
        self._closed = False

    async def do(self, work: Work[T]) -> T:
        """The work's result, once it is durable (see `Writer.do`)."""
        return await self.writer.do(work)

    async def close(self) -> None:
        """Commit what waits and close everything; may be called twice."""
        if self._closed:
            return
        self._closed = True
        await self.writer.close()
        self._reading.close()
        self._writing.close()
        self.payloads.close()
        self._lock.release()

    # messages and mailboxes

    def find_identity(self, identity: bytes) -> tuple[int, bytes, int, str] | None:
        """(number, digest, leaf, document id) of the message with this identity."""
        row: tuple[int, bytes, int, str] | None = self._reading.execute(sql.FIND_IDENTITY, (identity,)).fetchone()
        return row

    def find_message(self, number: int) -> Stored | None:
        """A message by its number."""
        row = self._reading.execute(sql.FIND_MESSAGE, (number,)).fetchone()
        return None if row is None else read_stored(row)

    def find_delivery(self, message: int, recipient: str) -> DeliveryRow | None:
        """A message at a recipient."""
        row = self._reading.execute(sql.FIND_DELIVERY, (message, recipient)).fetchone()
        return None if row is None else read_delivery(row)

    def find_delivered(self, message: int, recipient: str) -> tuple[DeliveryRow, Stored] | None:
        """A message at a recipient, and the message itself."""
        row = self._reading.execute(sql.FIND_DELIVERED, (message, recipient)).fetchone()
        return None if row is None else read_delivered(row)

    def find_fetchable(self, number: int, recipient: str) -> Stored | None:
        """A message that this recipient may have, now or again: sealed, in its mailbox, never withdrawn from it.

        Who confirms a withdrawn document says that it has it: such a claim opens nothing.
        """
        found = self.writer.recent.fetchable(number, recipient)
        if found is None:
            row = self.find_delivered(number, recipient)
            found = None if row is None or _was_withdrawn(row[0]) else row[1]
        return None if found is None or found.envelope is None else found

    def recipients(self, message: int) -> list[DeliveryRow]:
        """A message at all its recipients."""
        return [read_delivery(row) for row in self._reading.execute(sql.RECIPIENTS, (message,))]

    def waiting(self, recipient: str, limit: int, kinds: Collection[Kind] = EVERY_KIND) -> list[Waiting]:
        """The head of a mailbox, or of its messages of these kinds: most urgent first, then oldest."""
        if kinds == EVERY_KIND:
            return [Waiting(*row) for row in self._reading.execute(sql.WAITING, (recipient, limit))]
        asked = (recipient, json.dumps(list(kinds)), limit)
        return [Waiting(*row) for row in self._reading.execute(sql.WAITING_OF_KINDS, asked)]

    def due(self, recipient: str, now: int, limit: int) -> list[DeliveryRow]:
        """Deliveries to a registered endpoint whose time has come."""
        return [read_delivery(row) for row in self._reading.execute(sql.DUE, (recipient, now, limit))]

    def next_due(self, recipient: str) -> int | None:
        """When the next delivery to this endpoint is due, milliseconds UTC."""
        due: int | None = self._reading.execute(sql.NEXT_DUE, (recipient,)).fetchone()[0]
        return due

    def dead(self, limit: int) -> list[DeliveryRow]:
        """Deliveries that an endpoint refused for good; a person releases them."""
        return [read_delivery(row) for row in self._reading.execute(sql.DEAD, (limit,))]

    def reports(self, addressee: str, *, concerns: int | None, after: int, limit: int) -> list[Stored]:
        """Statuses and notices to an agency: about one document of it, or all, with a number above `after`."""
        if concerns is not None:
            rows = self._reading.execute(sql.REPORTS_ON, (concerns, addressee, after, limit))
        else:
            rows = self._reading.execute(sql.REPORTS_TO, (addressee, after, limit))
        return [read_stored(row) for row in rows]

    def find_later(self, sender: str, name: str, limit: int) -> list[int]:
        """Numbers of recalls, updates and replacements of this name (`document_ids.key`), latest first."""
        return [number for (number,) in self._reading.execute(sql.FIND_LATER, (sender, name, limit))]

    def queues(self) -> list[tuple[str, int, int]]:
        """(recipient, messages that wait, acceptance time of the oldest) of every mailbox that is not empty."""
        return self._reading.execute(sql.QUEUES).fetchall()  # type: ignore[no-any-return] # the library ships no types

    def find_payload(self, sha256: bytes) -> Placement | None:
        """Where a payload lies, if it is stored."""
        recent = self.writer.place_of(sha256)
        if recent is not None:
            return recent
        row = self._reading.execute(sql.FIND_PAYLOAD, (sha256,)).fetchone()
        return None if row is None else Placement(*row)

    # evidence

    def receipt(self, leaf: int) -> Receipt:
        """The receipt of an event; always the same for the same event. Raises `LookupError`."""
        return self.log.receipt(self._reading, leaf)

    def consistency(self, start: int, end: int) -> list[bytes]:
        """Consistency proof between two tree sizes. Raises `proof.invalid`."""
        return evidence.consistency(self._reading, start, end)

    # registry

    def agencies(self) -> list[Agency]:
        """Every agency with its aliases."""
        return read_agencies(self._reading)

    def certificates(self) -> dict[bytes, str]:
        """Fingerprint → agency of every certificate that was issued or registered."""
        return dict(self._reading.execute(sql.CERTIFICATES).fetchall())

    def find_invitation(self, code_hash: bytes) -> tuple[str, int, int | None] | None:
        """(agency, expires at, used at) of a one-time code."""
        row: tuple[str, int, int | None] | None = self._reading.execute(sql.FIND_INVITATION, (code_hash,)).fetchone()
        return row

    def integrity(self) -> str:
        """`ok`, or what SQLite found wrong."""
        found: str = self._reading.execute("PRAGMA quick_check(1)").fetchone()[0]
        return found


def _was_withdrawn(row: DeliveryRow) -> bool:
    return row.state == "withdrawn" or row.stopped_by is not None
