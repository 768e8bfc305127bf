"""The inbox on disk: what arrived and was verified, what the hub knows of it, and what is held as not believable."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final, Literal

import msgspec

from edge_agent.clock import to_text
from edge_agent.movements import Movement
from edge_agent.records import Arrived, Held, Incoming, Route, StoredAttachment
from edge_agent.store.connection import StoreConnection, move_recipient, note
from protocol import errors
from protocol.errors import ExchangeError
from protocol.exchange import EVERY_KIND
from protocol.model import Kind
from runtime.database import Connection

_COLUMNS: Final = (
    "number, hub_number, kind, sender, document_id, digest, priority, size, accepted_at, received_at, confirmed_at,"
    " outbox"
)
_KNOWN: Final = "SELECT number FROM inbox WHERE hub_number = ? AND digest = ?"
_STANDING: Final = "SELECT digest FROM inbox WHERE hub_number = ?"
_INSERT: Final = """
INSERT INTO inbox (hub_number, kind, sender, document_id, document_key, digest, envelope, receipt, priority, size,
                   accepted_at, received_at, outbox)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, (SELECT max(number) FROM outbox
        WHERE document_key = ? AND kind = 'document' AND state = 'DA_GUI' AND ? <> 'document'))"""
_INSERT_ATTACHMENT: Final = "INSERT INTO inbox_attachments VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_INSERT_HANDOVER: Final = "INSERT INTO handover (inbox, route, next_attempt_at, planned_at) VALUES (?, ?, ?, ?)"
_UNHOLD: Final = "DELETE FROM held WHERE hub_number = ?"
_UNCONFIRMED: Final = "SELECT hub_number FROM inbox WHERE state = 'DA_NHAN' ORDER BY number LIMIT ?"
_CONFIRMED: Final = """
UPDATE inbox SET state = 'DA_XAC_NHAN', confirmed_at = ? WHERE hub_number = ? AND state = 'DA_NHAN' RETURNING number"""
_ONE: Final = f"SELECT {_COLUMNS} FROM inbox WHERE number = ?"  # noqa: S608 -- column list is a literal
_LIST: Final = f"SELECT {_COLUMNS} FROM inbox ORDER BY number DESC LIMIT ?"  # noqa: S608 -- column list is a literal
_ENVELOPE: Final = "SELECT envelope FROM inbox WHERE number = ?"
_OF_DOCUMENT: Final = """
SELECT envelope FROM inbox WHERE document_key = ? AND kind = 'document' ORDER BY number DESC LIMIT 1"""
_RECEIPT: Final = "SELECT receipt FROM inbox WHERE number = ?"
_ATTACHMENTS: Final = """
SELECT content_id, name, content_type, description, sha256, size FROM inbox_attachments
WHERE inbox = ? ORDER BY position"""
_ABOUT: Final = f"""
SELECT {_COLUMNS} FROM inbox
WHERE kind <> 'document' AND number > ? AND (? = '' OR document_key = ?) ORDER BY number LIMIT ?"""  # noqa: S608 -- column list is a literal
_WAITING: Final = f"""
SELECT {", ".join("inbox." + name.strip() for name in _COLUMNS.split(","))}
FROM inbox JOIN handover ON handover.inbox = inbox.number
WHERE handover.route = ? AND handover.state IN ('CHO', 'SAN_SANG')
  AND inbox.kind IN (SELECT value FROM json_each(?))
ORDER BY inbox.priority DESC, inbox.number LIMIT ?"""  # noqa: S608 -- column list is a literal
_HOLD: Final = """
INSERT INTO held (hub_number, kind, sender, error_code, error_element, attempts, first_at, next_attempt_at, planned_at)
VALUES (?, ?, ?, ?, ?, 1, ?, ?, ?)
ON CONFLICT (hub_number) DO UPDATE SET error_code = excluded.error_code, error_element = excluded.error_element,
    attempts = attempts + 1, next_attempt_at = excluded.next_attempt_at, planned_at = excluded.planned_at"""
_HELD: Final = "SELECT * FROM held ORDER BY hub_number"
_COUNT: Final = "SELECT count(*) FROM inbox WHERE kind = ?"
_RECIPIENT: Final = "SELECT state FROM recipients WHERE outbox = ? AND agency = ?"


Standing = Literal["new", "known", "renumbered"]
"""Of a message at the hub: not here, here, or another one stands here under its number."""


class Report(msgspec.Struct, frozen=True):
    """What a status or notice does to the sent document: whose state moves (canonical code), and how."""

    agency: str
    move: Movement


class Inbox:
    """Every arrow of the inbox is one method; each writes its event in the same transaction."""

    def __init__(self, store: StoreConnection) -> None:
        self._store = store

    def receive(self, item: Arrived, routes: Sequence[Route], now: datetime, report: Report | None = None) -> int:
        """Keep a verified message, durably, and queue it for each route; a known one changes nothing.

        `report` moves the recipient of the sent document that a status or notice is about, in the same transaction.
        Returns the number in the inbox.
        """
        with self._store.transaction() as connection:
            known = connection.execute(_KNOWN, (item.hub_number, item.digest)).fetchone()
            if known is not None:
                return int(known[0])
            number = _insert(connection, item, to_text(now))
            for route in routes:
                connection.execute(_INSERT_HANDOVER, (number, route, to_text(now), to_text(now)))
            if report is not None:
                _move(connection, number, report, to_text(now))
            return number

    def standing(self, hub_number: int, digest: str) -> Standing:
        """What the inbox says to a message that waits at the hub under this number."""
        standing = self._store.values(_STANDING, (hub_number,))
        if digest in standing:
            return "known"
        return "renumbered" if standing else "new"

    def unconfirmed(self, limit: int) -> list[int]:
        """Hub numbers of what is durable here and not yet confirmed to the hub."""
        return [int(str(value)) for value in self._store.values(_UNCONFIRMED, (limit,))]

    def confirmed(self, hub_numbers: Sequence[int], now: datetime) -> None:
        """The hub has taken the confirmation: DA_NHAN → DA_XAC_NHAN."""
        with self._store.transaction() as connection:
            for hub_number in hub_numbers:
                for row in connection.execute(_CONFIRMED, (to_text(now), hub_number)).fetchall():
                    note(connection, to_text(now), "inbox", row[0], event="confirmed", detail=str(hub_number))

    def hold(self, held: Held) -> None:
        """Remember that a message was found wrong, or could not be fetched; it stays at the hub."""
        values = (held.hub_number, held.kind, held.sender, held.error_code, held.error_element)
        with self._store.transaction() as connection:
            connection.execute(_HOLD, (*values, held.first_at, held.next_attempt_at, held.planned_at))
            note(connection, held.planned_at, "held", held.hub_number, event="held", detail=held.error_code)

    def held(self) -> list[Held]:
        """What is held, oldest first."""
        return self._store.rows(_HELD, (), Held)

    def one(self, number: int) -> Incoming:
        """One row. Raises `document.not-found`."""
        found = self._store.rows(_ONE, (number,), Incoming)
        if not found:
            raise ExchangeError(errors.DOCUMENT_NOT_FOUND)
        return found[0]

    def latest(self, limit: int) -> list[Incoming]:
        """The newest rows."""
        return self._store.rows(_LIST, (limit,), Incoming)

    def waiting(self, route: Route, limit: int, kinds: Collection[Kind] = EVERY_KIND) -> list[Incoming]:
        """What the local system does not have yet of these kinds on one route, most urgent first."""
        wanted = msgspec.json.encode(sorted(kinds)).decode()
        return self._store.rows(_WAITING, (route, wanted, limit), Incoming)

    def reports(self, after: int, document_key: str = "", *, limit: int) -> list[Incoming]:
        """Statuses and notices with a number above `after`, of one document or of all, oldest first."""
        return self._store.rows(_ABOUT, (after, document_key, document_key, limit), Incoming)

    def envelope(self, number: int) -> bytes:
        """The sealed octets as delivered; b"" for a notice."""
        found = self._store.value(_ENVELOPE, (number,))
        return found if isinstance(found, bytes) else b""

    def document_envelope(self, document_key: str) -> bytes:
        """The sealed octets of the newest document with this key; b"" when none came."""
        found = self._store.value(_OF_DOCUMENT, (document_key,))
        return found if isinstance(found, bytes) else b""

    def receipt(self, number: int) -> str:
        """The hub's receipt."""
        return str(self._store.value(_RECEIPT, (number,)) or "")

    def attachments(self, number: int) -> list[StoredAttachment]:
        """In the order of the manifest."""
        return self._store.rows(_ATTACHMENTS, (number,), StoredAttachment)

    def count(self, kind: str) -> int:
        """How many messages of one kind arrived."""
        return int(str(self._store.value(_COUNT, (kind,))))


def _insert(connection: Connection, item: Arrived, now: str) -> int:
    values: Sequence[object] = (
        item.hub_number, item.kind, item.sender, item.document_id, item.document_key, item.digest, item.envelope,
        item.receipt, item.priority, item.size, to_text(item.accepted_at), now, item.document_key, item.kind,
    )  # fmt: skip
    number = int(connection.execute(_INSERT, values).lastrowid)
    for position, one in enumerate(item.attachments):
        row = (number, position, one.content_id, one.name, one.content_type, one.description, one.sha256, one.size)
        connection.execute(_INSERT_ATTACHMENT, row)
    connection.execute(_UNHOLD, (item.hub_number,))
    note(connection, now, "inbox", number, event="received", detail=item.kind)
    return number


def _move(connection: Connection, number: int, report: Report, now: str) -> None:
    outbox = connection.execute("SELECT outbox FROM inbox WHERE number = ?", (number,)).fetchone()[0]
    before = connection.execute(_RECIPIENT, (outbox, report.agency)).fetchone()
    if before is None:
        return
    move_recipient(connection, outbox, report.agency, (before[0], report.move(before[0])), now)
