"""The outbox on disk: what this agency sends, from acceptance to the hub's receipt or its final refusal."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec

from edge_agent.clock import to_text
from edge_agent.movements import Movement
from edge_agent.records import Outgoing, Prepared, RecipientState, StoredAttachment, Taken
from edge_agent.store.connection import StoreConnection, move_recipient, note
from protocol import errors
from protocol.errors import ExchangeError
from runtime.database import Connection

_COLUMNS: Final = (
    "number, kind, document_id, digest, priority, size, state, attempts, next_attempt_at, error_code, error_element,"
    " created_at, ended_at, hub_number"
)
_FIND: Final = "SELECT number, fingerprint, document_id FROM outbox WHERE identity = ? AND state <> 'GUI_LOI'"
_INSERT: Final = """
INSERT INTO outbox (kind, identity, fingerprint, document_id, document_key, digest, envelope, original, package,
                    priority, size, next_attempt_at, planned_at, created_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_INSERT_ATTACHMENT: Final = "INSERT INTO outbox_attachments VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_INSERT_RECIPIENT: Final = "INSERT INTO recipients VALUES (?, ?, 'DA_GUI', ?)"
# Urgent first, then oldest: new urgent mail always moves under a backlog.
_DUE: Final = f"""
SELECT {_COLUMNS} FROM outbox
WHERE state = 'CHO_GUI' AND (next_attempt_at <= ? OR planned_at > ?) ORDER BY priority DESC, number LIMIT ?"""  # noqa: S608 -- column list is a literal
_NEXT: Final = "SELECT min(next_attempt_at) FROM outbox WHERE state = 'CHO_GUI'"
_ONE: Final = f"SELECT {_COLUMNS} FROM outbox WHERE number = ?"  # noqa: S608 -- column list is a literal
_SETTLED: Final = """
SELECT number FROM outbox WHERE state <> 'CHO_GUI' AND number IN (SELECT value FROM json_each(?))"""
_LIST: Final = f"SELECT {_COLUMNS} FROM outbox ORDER BY number DESC LIMIT ?"  # noqa: S608 -- column list is a literal
_ENVELOPE: Final = "SELECT envelope FROM outbox WHERE number = ?"
_RECEIPT: Final = "SELECT receipt FROM outbox WHERE number = ?"
_ATTACHMENTS: Final = """
SELECT content_id, name, content_type, description, sha256, size FROM outbox_attachments
WHERE outbox = ? ORDER BY position"""
_SENT: Final = """
UPDATE outbox SET state = 'DA_GUI', hub_number = ?, receipt = ?, ended_at = ?, attempts = attempts + 1,
                  error_code = '', error_element = '' WHERE number = ? AND state = 'CHO_GUI'"""
_RESEALED: Final = "UPDATE outbox SET envelope = ? WHERE number = ? AND state = 'CHO_GUI'"
_RECALLED: Final = """
SELECT recipients.outbox, recipients.agency, recipients.state FROM recipients
JOIN outbox ON outbox.number = recipients.outbox WHERE outbox.document_key = ? AND outbox.state = 'DA_GUI'"""
_REFUSED: Final = """
UPDATE outbox SET state = 'GUI_LOI', error_code = ?, error_element = ?, ended_at = ?, attempts = attempts + 1
WHERE number = ? AND state = 'CHO_GUI'"""
_POSTPONED: Final = """
UPDATE outbox SET attempts = attempts + 1, next_attempt_at = ?, planned_at = ?, error_code = ?, error_element = ?
WHERE number = ? AND state = 'CHO_GUI'"""
_HURRY: Final = """
UPDATE outbox SET next_attempt_at = ?, planned_at = ? WHERE state = 'CHO_GUI' AND next_attempt_at > ?"""
_COUNTS: Final = "SELECT state, count(*) AS count, min(created_at) AS oldest FROM outbox GROUP BY state"
_RECIPIENTS: Final = "SELECT agency, state, changed_at FROM recipients WHERE outbox = ? ORDER BY agency"
_BY_DOCUMENT: Final = f"SELECT {_COLUMNS} FROM outbox WHERE document_key = ? ORDER BY number DESC"  # noqa: S608 -- column list is a literal


class QueueCount(msgspec.Struct, frozen=True):
    """How many rows stand in one state, and since when the oldest does."""

    state: str
    count: int
    oldest: str


class Outbox:
    """Every arrow of the outbox is one method; each writes its event in the same transaction."""

    def __init__(self, store: StoreConnection) -> None:
        self._store = store

    def accept(self, item: Prepared, now: datetime) -> Taken:
        """Take a message into custody, durably; the same message again gets the same answer.

        Raises:
            ExchangeError: `document.conflict` when the DocumentId is in use for another content.
        """
        with self._store.transaction() as connection:
            known = connection.execute(_FIND, (item.identity,)).fetchone()
            if known is None:
                return Taken(_insert(connection, item, to_text(now)), item.document_id, repeated=False)
            if known[1] != item.fingerprint:
                raise ExchangeError(errors.DOCUMENT_CONFLICT, element="MessageHeader.DocumentId", outbox=known[0])
            return Taken(known[0], known[2], repeated=True)

    def find(self, identity: str, fingerprint: str) -> Taken | None:
        """The message, if the outbox has it already. Raises `document.conflict` as `accept` does."""
        known = self._store.rows(_FIND, (identity,), _Known)
        if not known:
            return None
        if known[0].fingerprint != fingerprint:
            raise ExchangeError(errors.DOCUMENT_CONFLICT, element="MessageHeader.DocumentId", outbox=known[0].number)
        return Taken(known[0].number, known[0].document_id, repeated=True)

    def due(self, now: datetime, limit: int) -> list[Outgoing]:
        """What may be tried now, most urgent first."""
        return self._store.rows(_DUE, (to_text(now), to_text(now), limit), Outgoing)

    def next_attempt(self) -> str | None:
        """When the earliest waiting item may be tried; None when nothing waits."""
        found = self._store.value(_NEXT)
        return None if found is None else str(found)

    def sent(
        self,
        number: int,
        *,
        hub_number: int,
        receipt: str,
        now: datetime,
        recalled: tuple[str, Movement] | None = None,
    ) -> None:
        """The hub's receipt is verified: CHO_GUI → DA_GUI. `recalled`: a document asked back, and how it moves."""
        with self._store.transaction() as connection:
            if connection.execute(_SENT, (hub_number, receipt, to_text(now), number)).rowcount:
                note(connection, to_text(now), "outbox", number, event="sent", detail=str(hub_number))
                if recalled is not None:
                    _recall(connection, *recalled, to_text(now))

    def resealed(self, number: int, envelope: bytes, now: datetime) -> None:
        """A waiting message has the seal of a renewed certificate; its digest is the same."""
        with self._store.transaction() as connection:
            if connection.execute(_RESEALED, (envelope, number)).rowcount:
                note(connection, to_text(now), "outbox", number, event="resealed")

    def refused(self, number: int, error: ExchangeError, now: datetime) -> None:
        """The hub said no for good: CHO_GUI → GUI_LOI."""
        with self._store.transaction() as connection:
            if connection.execute(_REFUSED, (error.kind.code, error.element, to_text(now), number)).rowcount:
                note(connection, to_text(now), "outbox", number, event="refused", detail=error.kind.code)

    def postpone(self, number: int, error: ExchangeError, *, now: datetime, until: datetime) -> None:
        """A try failed and may succeed later; no event: a day without hub would write thousands."""
        with self._store.transaction() as connection:
            connection.execute(_POSTPONED, (to_text(until), to_text(now), error.kind.code, error.element, number))

    def hurry(self, now: datetime) -> None:
        """A new start: everything that waits is due, so that the urgent comes first."""
        with self._store.transaction() as connection:
            connection.execute(_HURRY, (to_text(now), to_text(now), to_text(now)))

    def one(self, number: int) -> Outgoing | None:
        """One row."""
        return next(iter(self._store.rows(_ONE, (number,), Outgoing)), None)

    def settled(self, numbers: Sequence[int]) -> set[int]:
        """Which of these are on their way no more (one question for a whole folder)."""
        asked = msgspec.json.encode(list(numbers)).decode()
        return {int(str(value)) for value in self._store.values(_SETTLED, (asked,))}

    def of_document(self, document_key: str) -> list[Outgoing]:
        """Every row about one DocumentId, newest first."""
        return self._store.rows(_BY_DOCUMENT, (document_key,), Outgoing)

    def latest(self, limit: int) -> list[Outgoing]:
        """The newest rows."""
        return self._store.rows(_LIST, (limit,), Outgoing)

    def envelope(self, number: int) -> bytes:
        """The sealed octets. Raises `document.not-found`."""
        found = self._store.value(_ENVELOPE, (number,))
        if not isinstance(found, bytes):
            raise ExchangeError(errors.DOCUMENT_NOT_FOUND)
        return found

    def receipt(self, number: int) -> str:
        """The hub's receipt, "" while there is none."""
        return str(self._store.value(_RECEIPT, (number,)) or "")

    def attachments(self, number: int) -> list[StoredAttachment]:
        """In the order of the manifest."""
        return self._store.rows(_ATTACHMENTS, (number,), StoredAttachment)

    def recipients(self, number: int) -> list[RecipientState]:
        """Where the document stands at each recipient."""
        return self._store.rows(_RECIPIENTS, (number,), RecipientState)

    def counts(self) -> list[QueueCount]:
        """Queue lengths and ages by state."""
        return self._store.rows(_COUNTS, (), QueueCount)


def _recall(connection: Connection, document_key: str, move: Movement, now: str) -> None:
    for outbox, agency, before in connection.execute(_RECALLED, (document_key,)).fetchall():
        move_recipient(connection, outbox, agency, (before, move(before)), now)


class _Known(msgspec.Struct, frozen=True):
    number: int
    fingerprint: str
    document_id: str


def _insert(connection: Connection, item: Prepared, now: str) -> int:
    values: Sequence[object] = (
        item.kind, item.identity, item.fingerprint, item.document_id, item.document_key, item.digest, item.envelope,
        item.original, item.package, item.priority, item.size, now, now, now,
    )  # fmt: skip
    number = int(connection.execute(_INSERT, values).lastrowid)
    for position, one in enumerate(item.attachments):
        row = (number, position, one.content_id, one.name, one.content_type, one.description, one.sha256, one.size)
        connection.execute(_INSERT_ATTACHMENT, row)
    for agency in item.recipients:
        connection.execute(_INSERT_RECIPIENT, (number, agency, now))
    note(connection, now, "outbox", number, event="accepted", detail=item.package)
    return number
