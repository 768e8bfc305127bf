"""`Exchange`, the one port of the system: every protocol package is an adapter in front of it.

The hub implements it on its ledger, the edge agent on its outbox and inbox, so a vendor may point the same client at
either. Implementations authenticate nobody: the adapter passes the `Caller` it has proved. All methods raise
`ExchangeError` and leave nothing half done when they do.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from datetime import datetime
from typing import Final, Literal, Protocol

import msgspec
from lxml import etree

from protocol.model import Document, Kind, Message, Organization, Reference, StatusMessage

Package = Literal["native", "A", "B", "C", "LGSP"]
"""The wire package that a message came in."""
EVERY_KIND: Final[frozenset[Kind]] = frozenset({"document", "status", "notice"})


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who speaks, as proved by the adapter: canonical agency code and how it was proved."""

    agency: str
    proof: Literal["mutual-tls", "token", "hmac", "local"]
    certificate: str = ""
    """SHA-256 fingerprint (hex) of the TLS client certificate, when there was one."""


class Upload(Protocol):
    """One attachment while it arrives. Iterating yields its octets once, in order; it must be consumed in turn."""

    content_id: str

    def __aiter__(self) -> AsyncIterator[bytes]:
        """The octets, in chunks of any size."""
        ...


class SealedSubmission(msgspec.Struct, frozen=True, kw_only=True):
    """A message that its agency sealed: the `edXMLEnvelope` element as it stands in the request."""

    envelope: etree._Element
    package: Package = "native"


class PlainSubmission(msgspec.Struct, frozen=True, kw_only=True):
    """A message from a system that cannot seal: the model that was read, and the octets it was read from."""

    message: Message
    original: bytes
    package: Package
    written: Literal["xml", "fields"] = "xml"
    """What `original` is: XML, which may say more than the model knows, or a clerk's TOML or JSON, which may not."""


Submission = SealedSubmission | PlainSubmission


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """A message is durable here.

    `receipt` is the hub's receipt (text of `protocol.receipts`); "" where the receiver is an edge agent: the hub's
    receipt follows its acceptance later.
    """

    number: int
    document_id: str
    receipt: str = ""
    repeated: bool = False
    """True when this very message had been accepted before."""


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """A message that waits in the caller's mailbox. `digest` is the hex SHA-256 of the signed octets."""

    number: int
    kind: Kind
    sender: str
    document_id: str
    digest: str
    priority: int
    size: int
    """Octets of all attachments together."""
    accepted_at: datetime
    receipt: str = ""
    """A notice carries its receipt here (delivery event with proof) where one was asked for; others have `fetch`."""


class Attachment(Protocol):
    """A stored attachment, ready to be sent."""

    reference: Reference
    """With `sha256` and `size`."""

    def chunks(self) -> AsyncIterator[bytes]:
        """The octets, read from storage as they are needed."""
        ...


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """A message handed to its recipient; it stays in the mailbox until confirmed."""

    summary: Summary
    envelope: bytes
    """The sealed `edXMLEnvelope`, a self-contained XML element (exclusive C14N, UTF-8)."""
    message: Message | None = None
    """The model, when the implementation has it at hand; adapters read the envelope otherwise."""
    attachments: tuple[Attachment, ...] = ()
    receipt: str = ""


class Confirmation(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of one `confirm`: `delivered` now, `already` confirmed before, or `unknown` to this caller."""

    number: int
    outcome: Literal["delivered", "already", "unknown"]


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened to a document at one recipient. `number` orders traces and serves as a cursor."""

    number: int
    document_id: str
    status: StatusMessage


class Exchange(Protocol):
    """The port. `limit` and numbers are counts, `wait_seconds` is seconds (0: answer at once)."""

    async def send(self, caller: Caller, submission: Submission, uploads: AsyncIterator[Upload]) -> Accepted:
        """Take a document into custody; return only when it is durable. Same identity and digest: the same answer."""
        ...

    async def report(self, caller: Caller, submission: Submission) -> Accepted:
        """Take a business status; idempotent, never moves a document backwards."""
        ...

    async def pending(
        self,
        caller: Caller,
        *,
        limit: int,
        wait_seconds: float = 0,
        kinds: Collection[Kind] = EVERY_KIND,
        receipts: bool = False,
    ) -> Sequence[Summary]:
        """What waits for the caller of these kinds, most urgent first, then oldest first.

        With `receipts` notices carry theirs, where there are any; they cost more than all the rest.
        """
        ...

    async def fetch(self, caller: Caller, number: int) -> Delivery:
        """One waiting or earlier delivered message of the caller's mailbox. Raises `document.not-found`."""
        ...

    async def confirm(self, caller: Caller, numbers: Sequence[int]) -> Sequence[Confirmation]:
        """The caller has these durably; answers in the order asked."""
        ...

    async def traces(self, caller: Caller, *, document_id: str = "", after: int = 0) -> Sequence[Trace]:
        """Statuses of the caller's own sent documents: of one document, or all with a number above `after`.

        Oldest first, and perhaps not all at once: ask again after the last number until nothing comes.
        """
        ...

    async def organizations(self, caller: Caller) -> Sequence[Organization]:
        """The directory of agencies that can be written to."""
        ...


__all__ = [
    "EVERY_KIND",
    "Accepted",
    "Attachment",
    "Caller",
    "Confirmation",
    "Delivery",
    "Document",
    "Exchange",
    "Package",
    "PlainSubmission",
    "SealedSubmission",
    "Submission",
    "Summary",
    "Trace",
    "Upload",
]
