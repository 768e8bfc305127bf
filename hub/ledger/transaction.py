"""What a work may read and write inside one batch. Every write is part of the batch's one commit."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from hub.ledger import statements as sql
from hub.ledger.recent import RecentMessages
from hub.ledger.records import Agency, DeliveryRow, DeliveryState, Placement, Stored, StoredAttachment
from protocol import merkle, receipts
from runtime.database import Connection

DELIVERY_COLUMNS: Final = len(DeliveryRow.__struct_fields__)

_encode = msgspec.msgpack.Encoder().encode
_decode_manifest = msgspec.msgpack.Decoder(tuple[StoredAttachment, ...]).decode


def read_stored(row: tuple[object, ...]) -> Stored:
    """A `messages` row as a record."""
    *plain, segment, position, length, manifest = row
    placement = None if segment is None else Placement(segment, position, length)  # type: ignore[arg-type] # STRICT table
    attachments = _decode_manifest(manifest) if manifest else ()  # type: ignore[arg-type] # STRICT table
    return Stored(*plain, placement, attachments)  # type: ignore[arg-type, call-arg] # STRICT table, columns in order


class Transaction:
    """One batch in the making. `now` is milliseconds UTC; numbers and leaf indexes are final once it commits.

    New rows are written together at the end, or before anything is read that might be among them.
    """

    def __init__(
        self, connection: Connection, *, now: int, next_number: int, size: int, recent: RecentMessages
    ) -> None:
        self._raw = connection
        self.now = now
        self.next_number = next_number
        self._first_number = next_number
        self._size = size
        self._recent = recent
        self._identities: dict[bytes, tuple[int, bytes, int, str]] = {}
        self._message_rows: list[tuple[object, ...]] = []
        self._delivery_rows: list[tuple[object, ...]] = []
        self._payload_rows: list[tuple[object, ...]] = []
        self.messages: list[Stored] = []
        self.deliveries: list[tuple[int, str]] = []
        self.withdrawn: list[tuple[int, str]] = []
        self.hashes: list[bytes] = []
        self._events: list[tuple[int, str, int, int | None, str, bytes]] = []
        self.placed: dict[bytes, Placement] = {}
        self.changed = False

    def event(self, leaf: receipts.Leaf, *, message: int | None, agency: str) -> int:
        """Add an event to the evidence log; returns its index."""
        data = receipts.encode_leaf(leaf)
        index = self._size + len(self.hashes)
        self.hashes.append(merkle.leaf_hash(data))
        self._events.append((index, leaf.type, self.now, message, agency, data))
        self.changed = True
        return index

    @property
    def leaves(self) -> list[bytes]:
        """The encoded events of this batch, in order."""
        return [event[5] for event in self._events]

    @property
    def _connection(self) -> Connection:
        """The database with everything of this batch in it."""
        self._write_rows()
        return self._raw

    def _at(self, number: int) -> Connection:
        """The database, good for what concerns this message."""
        return self._raw if number < self._first_number else self._connection

    def flush(self) -> None:
        """Write what was added (once, at the end of the batch)."""
        self._write_rows()
        if self._events:
            self._raw.executemany(sql.INSERT_EVENT, self._events)

    def _write_rows(self) -> None:
        for statement, rows in (
            (sql.INSERT_MESSAGE, self._message_rows),
            (sql.INSERT_DELIVERY, self._delivery_rows),
            (sql.INSERT_PAYLOAD, self._payload_rows),
        ):
            if rows:
                self._raw.executemany(statement, rows)
                rows.clear()

    def find_identity(self, identity: bytes) -> tuple[int, bytes, int, str] | None:
        """(number, digest, leaf, document id) of the message with this identity."""
        row: tuple[int, bytes, int, str] | None = self._identities.get(identity)
        return row or self._raw.execute(sql.FIND_IDENTITY, (identity,)).fetchone()

    def find_message(self, number: int) -> Stored | None:
        """A message by number."""
        known = self._recent.message(number)
        if known is not None:
            return known
        row = self._at(number).execute(sql.FIND_MESSAGE, (number,)).fetchone()
        return None if row is None else read_stored(row)

    def add_message(self, message: Stored, identity: bytes | None) -> None:
        """Store a message under the next number; the caller used `next_number`."""
        place = message.envelope
        if identity is not None:
            self._identities[identity] = message.number, message.digest, message.leaf, message.document_id
        self.messages.append(message)
        self._message_rows.append(
            (
                message.number,
                message.kind,
                message.sender,
                message.document_id,
                identity,
                message.digest,
                message.doc_type,
                message.status,
                message.concerns,
                message.addressee,
                message.priority,
                message.size,
                message.accepted_at,
                message.basis,
                message.leaf,
                None if place is None else place.segment,
                None if place is None else place.position,
                None if place is None else place.length,
                _encode(message.manifest) if message.manifest else None,
            )
        )
        self.next_number = message.number + 1
        self.changed = True

    def add_payload(self, sha256: bytes, place: Placement) -> None:
        """Remember where a payload lies."""
        self.placed[sha256] = place
        self._payload_rows.append((sha256, place.segment, place.position, place.length))
        self.changed = True

    def add_delivery(self, message: int, recipient: str, priority: int, handling: str = "") -> None:
        """Put a message into a mailbox."""
        self.deliveries.append((message, recipient))
        self._delivery_rows.append((message, recipient, priority, handling))
        self.changed = True

    def find_delivery(self, message: int, recipient: str) -> DeliveryRow | None:
        """A message at a recipient."""
        row = self._at(message).execute(sql.FIND_DELIVERY, (message, recipient)).fetchone()
        return None if row is None else read_delivery(row)

    def find_delivered(self, message: int, recipient: str) -> tuple[DeliveryRow, Stored] | None:
        """A message at a recipient, and the message itself."""
        known = self._recent.message(message)
        if known is not None:
            found = self.find_delivery(message, recipient)
            return None if found is None else (found, known)
        row = self._at(message).execute(sql.FIND_DELIVERED, (message, recipient)).fetchone()
        return None if row is None else read_delivered(row)

    def recipients(self, message: int) -> list[DeliveryRow]:
        """A message at all its recipients."""
        return [read_delivery(row) for row in self._at(message).execute(sql.RECIPIENTS, (message,))]

    def settle(self, row: DeliveryRow, state: DeliveryState, handling: str) -> bool:
        """Move a delivery out of its state; False when somebody else already had."""
        if state == "withdrawn":
            self.withdrawn.append((row.message, row.recipient))
        cursor = self._at(row.message).execute(
            sql.SETTLE_DELIVERY, (state, self.now, handling, row.message, row.recipient, row.state)
        )
        self.changed = True
        return bool(cursor.rowcount)

    def set_handling(self, row: DeliveryRow, handling: str) -> None:
        """Record a lifecycle move."""
        self._at(row.message).execute(sql.SET_HANDLING, (handling, row.message, row.recipient))
        self.changed = True

    def postpone(self, row: DeliveryRow, next_attempt: int, error: str, *, refused: bool, dead: bool) -> None:
        """The endpoint did not take it: try at `next_attempt`, or give it to a person."""
        state = "dead" if dead else "waiting"
        values = (int(refused), next_attempt, error, state, row.message, row.recipient)
        self._at(row.message).execute(sql.POSTPONE, values)
        self.changed = True

    def release(self, message: int, recipient: str) -> bool:
        """Put a dead delivery back into its mailbox; False when it is not dead."""
        self.changed = True
        return bool(self._connection.execute(sql.RELEASE, (message, recipient)).rowcount)

    def put_agency(self, agency: Agency) -> None:
        """Write an agency and its aliases."""
        self._connection.execute(
            sql.PUT_AGENCY,
            (
                agency.code,
                agency.name,
                agency.kind,
                agency.state,
                agency.domain,
                int(agency.seal_required),
                agency.token_hash,
                agency.endpoint,
                agency.endpoint_token,
                agency.valid_from,
                agency.valid_to,
            ),
        )
        for alias in agency.aliases:
            self._connection.execute(sql.PUT_ALIAS, (alias, agency.code))
        self.changed = True

    def put_certificate(self, fingerprint: bytes, agency: str, serial: str, not_after: int) -> None:
        """Remember that this certificate speaks for the agency."""
        self._connection.execute(sql.PUT_CERTIFICATE, (fingerprint, agency, serial, not_after, self.now))
        self.changed = True

    def put_invitation(self, code_hash: bytes, agency: str, expires_at: int) -> None:
        """A one-time code (its hash) for this agency."""
        self._connection.execute(sql.PUT_INVITATION, (code_hash, agency, expires_at))
        self.changed = True

    def find_invitation(self, code_hash: bytes) -> tuple[str, int, int | None] | None:
        """(agency, expires at, used at) of a one-time code."""
        row: tuple[str, int, int | None] | None = self._connection.execute(sql.FIND_INVITATION, (code_hash,)).fetchone()
        return row

    def use_invitation(self, code_hash: bytes) -> bool:
        """Use up a one-time code; False when it was used before."""
        self.changed = True
        return bool(self._connection.execute(sql.USE_INVITATION, (self.now, code_hash)).rowcount)

    def begin_attempt(self, row: DeliveryRow, next_attempt: int, error: str) -> bool:
        """An endpoint is about to be called; `error` stands until it answers. False when nothing waits any more."""
        values = (next_attempt, error, row.message, row.recipient)
        self.changed = True
        return bool(self._at(row.message).execute(sql.BEGIN_ATTEMPT, values).rowcount)

    def try_now(self, recipient: str) -> None:
        """Whatever was postponed for this endpoint is due."""
        self._connection.execute(sql.TRY_NOW, (recipient,))
        self.changed = True

    def withdraw(self, row: DeliveryRow, handling: str, stopped_by: int) -> None:
        """Take an undelivered copy out of its mailbox; `stopped_by` is the number of the recall."""
        if self.settle(row, "withdrawn", handling):
            self._at(row.message).execute(sql.STOP_DELIVERY, (stopped_by, row.message, row.recipient))

    def add_later_document(self, sender: str, name: str, number: int) -> None:
        """A recall, update or replacement can be found by its name."""
        self._connection.execute(sql.INSERT_LATER, (sender, name, number))
        self.changed = True

    def find_agency(self, code: str) -> Agency | None:
        """An agency as the works before this one left it."""
        row = self._connection.execute(sql.FIND_AGENCY, (code,)).fetchone()
        aliases = self._connection.execute(sql.ALIASES_OF, (code,)).fetchall() if row else ()
        return None if row is None else read_agency(row, [alias for (alias,) in aliases])

    def owners_of(self, code: str) -> set[str]:
        """The agencies that go by this code."""
        return {owner for (owner,) in self._connection.execute(sql.OWNER_OF, (code,))}

    def has_certificate(self, agency: str) -> bool:
        """Whether a certificate was ever issued to the agency."""
        return bool(self._connection.execute(sql.HAS_CERTIFICATE, (agency,)).fetchone()[0])


def read_delivery(row: tuple[object, ...]) -> DeliveryRow:
    """A `deliveries` row as a record."""
    return DeliveryRow(*row)  # type: ignore[arg-type] # STRICT table


def read_delivered(row: tuple[object, ...]) -> tuple[DeliveryRow, Stored]:
    """A `deliveries` row joined with its `messages` row."""
    return read_delivery(row[:DELIVERY_COLUMNS]), read_stored(row[DELIVERY_COLUMNS:])


def read_agencies(connection: Connection) -> list[Agency]:
    """Every agency with its aliases."""
    aliases: dict[str, list[str]] = {}
    for alias, code in connection.execute(sql.ALIASES):
        aliases.setdefault(code, []).append(alias)
    return [read_agency(row, aliases.get(row[0], ())) for row in connection.execute(sql.AGENCIES)]


def read_agency(row: tuple[Any, ...], aliases: Iterable[str]) -> Agency:
    """An `agencies` row with its aliases as a record."""
    fields = dict(zip(Agency.__struct_fields__, row, strict=False)) | {"seal_required": bool(row[5])}
    return Agency(**fields, aliases=tuple(aliases))
