"""What the store keeps and gives back: one frozen struct for each thing that has a name in the office."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from protocol.model import Kind, Reference

OutboxState = Literal["CHO_GUI", "DA_GUI", "GUI_LOI"]
Route = Literal["folder", "soap", "pull"]
"""A way into the local system: watched folder, its own SOAP service, its own polling of ours."""


class StoredAttachment(msgspec.Struct, frozen=True, kw_only=True):
    """An attachment whose octets are in the payload store. `sha256` is hex, `size` octets."""

    content_id: str
    name: str
    content_type: str
    description: str
    sha256: str
    size: int

    @property
    def reference(self) -> Reference:
        """The manifest line, digest and size included."""
        return Reference(
            content_id=self.content_id,
            attachment_name=self.name,
            content_type=self.content_type,
            description=self.description,
            sha256=bytes.fromhex(self.sha256),
            size=self.size,
        )


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """A message that passed every check of the edge and carries the agency's seal; ready for the outbox.

    `identity` is what makes two messages one (design: NFC DocumentId; with the fingerprint for updates, recalls,
    replacements and statuses). `fingerprint` is the SHA-256 of what the local system said, without hops and seal.
    """

    kind: Literal["document", "status"]
    identity: str
    fingerprint: str
    document_id: str
    document_key: str
    digest: str
    envelope: bytes
    original: bytes
    package: str
    priority: int = 0
    recipients: tuple[str, ...] = ()
    attachments: tuple[StoredAttachment, ...] = ()

    @property
    def size(self) -> int:
        """Octets of all attachments."""
        return sum(attachment.size for attachment in self.attachments)


class Taken(msgspec.Struct, frozen=True):
    """The outbox has it. `repeated`: it had it before."""

    number: int
    document_id: str
    repeated: bool


class Outgoing(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the outbox, without envelope and original."""

    number: int
    kind: Literal["document", "status"]
    document_id: str
    digest: str
    priority: int
    size: int
    state: OutboxState
    attempts: int
    next_attempt_at: str
    error_code: str
    error_element: str
    created_at: str
    ended_at: str | None
    hub_number: int | None


class Arrived(msgspec.Struct, frozen=True, kw_only=True):
    """A message from the hub, verified, its attachments durable; ready for the inbox."""

    hub_number: int
    kind: Kind
    sender: str
    document_id: str
    document_key: str
    digest: str
    envelope: bytes | None
    receipt: str
    priority: int
    accepted_at: datetime
    attachments: tuple[StoredAttachment, ...] = ()

    @property
    def size(self) -> int:
        """Octets of all attachments."""
        return sum(attachment.size for attachment in self.attachments)


class Incoming(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the inbox, without envelope and receipt. `outbox` is the sent document that it is about."""

    number: int
    hub_number: int
    kind: Kind
    sender: str
    document_id: str
    digest: str
    priority: int
    size: int
    accepted_at: str
    received_at: str
    confirmed_at: str | None
    outbox: int | None


class Handover(msgspec.Struct, frozen=True, kw_only=True):
    """One message on its way into the local system."""

    inbox: int
    route: Route
    state: Literal["CHO", "SAN_SANG", "XONG", "TU_CHOI"]
    begun: int
    """Calls of the local system that were begun, answered or not; counted anew after a release."""
    attempts: int
    next_attempt_at: str
    error_code: str
    error_text: str


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """A message at the hub that this agent refuses to believe, or could not fetch so far."""

    hub_number: int
    kind: Kind
    sender: str
    error_code: str
    error_element: str
    attempts: int
    first_at: str
    next_attempt_at: str
    planned_at: str


class SeenCheckpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A checkpoint of the hub's log. `root` is hex; `consistent`: proofs lead from the first one here."""

    size: int
    root: str
    text: str
    seen_at: str
    consistent: bool


class Alarm(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a person must see until it is over. `text` is Vietnamese."""

    kind: str
    text: str
    raised_at: str


class Contact(msgspec.Struct, frozen=True, kw_only=True):
    """When something last happened (`hub`, `send`, `receive`, …)."""

    name: str
    at: str
    detail: str


class RecipientState(msgspec.Struct, frozen=True, kw_only=True):
    """Where a sent document stands at one recipient."""

    agency: str
    state: str
    changed_at: str
