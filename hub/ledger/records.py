"""What the ledger stores and hands out, as frozen types."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

import msgspec

from protocol.model import Kind, Reference

AgencyState = Literal["invited", "active", "suspended"]
DeliveryState = Literal["waiting", "delivered", "withdrawn", "dead"]


class Placement(msgspec.Struct, frozen=True):
    """Where octets lie: a range of a segment, or (segment 0) a file of their own."""

    segment: int
    position: int
    length: int


class StoredAttachment(msgspec.Struct, frozen=True, array_like=True):
    """An attachment as the ledger remembers it."""

    content_id: str
    name: str
    content_type: str
    description: str
    sha256: bytes
    size: int

    @property
    def reference(self) -> Reference:
        """The manifest line."""
        return Reference(
            content_id=self.content_id,
            attachment_name=self.name,
            content_type=self.content_type,
            description=self.description,
            sha256=self.sha256,
            size=self.size,
        )


class Agency(msgspec.Struct, frozen=True, kw_only=True):
    """An agency in the registry (AC-1.1-1). `code` is canonical; times are milliseconds UTC."""

    code: str
    name: str
    kind: Literal["state", "member"] = "state"
    state: AgencyState = "invited"
    domain: str = ""
    seal_required: bool = False
    token_hash: bytes | None = None
    endpoint: str = ""
    endpoint_token: str = ""
    valid_from: int = 0
    valid_to: int | None = None
    aliases: tuple[str, ...] = ()


class Stored(msgspec.Struct, frozen=True):
    """A message in the ledger, in the order of the columns. `digest` is 32 octets; `accepted_at` milliseconds UTC."""

    number: int
    kind: Kind
    sender: str
    document_id: str
    digest: bytes
    doc_type: int
    status: int | None
    concerns: int | None
    addressee: str | None
    priority: int
    size: int
    accepted_at: int
    basis: str
    leaf: int
    envelope: Placement | None
    manifest: tuple[StoredAttachment, ...] = ()


class Waiting(msgspec.Struct, frozen=True):
    """A line of a mailbox, as the pending list needs it."""

    number: int
    kind: Kind
    sender: str
    document_id: str
    digest: bytes
    priority: int
    size: int
    accepted_at: int
    leaf: int


class DeliveryRow(msgspec.Struct, frozen=True):
    """One message at one recipient, in the order of the columns."""

    message: int
    recipient: str
    state: DeliveryState
    handling: str
    attempts: int = 0
    refusals: int = 0
    next_attempt: int = 0
    last_error: str = ""
    stopped_by: int | None = None
    """Number of the recall that withdrew it, also when it turned out later that the recipient had it."""


def to_milliseconds(moment: datetime) -> int:
    """Milliseconds since 1970 of an aware datetime."""
    return int(moment.timestamp() * 1000)


def from_milliseconds(milliseconds: int) -> datetime:
    """Aware UTC datetime."""
    return datetime.fromtimestamp(milliseconds / 1000, tz=UTC)
