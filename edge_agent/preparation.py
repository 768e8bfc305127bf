"""Attachments and seal: the two steps after screening (`edge_agent.screening`) that bring a message to the outbox.

    4. attachments stream to the payload store while they are hashed; the manifest must match them one to one
    5. the seal, over header and digests

A failure at any step leaves nothing behind: attachments get their names only when everything else is done.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import ExitStack
from typing import Final

import msgspec
from lxml import etree

from edge_agent.clock import Clock
from edge_agent.payloads import Payloads, PayloadWriter
from edge_agent.records import Prepared, StoredAttachment
from protocol import agency_codes, document_ids, errors, seal
from protocol.edxml.dates import format_date
from protocol.edxml.writer import write_envelope
from protocol.errors import ExchangeError
from protocol.exchange import PlainSubmission, Upload
from protocol.model import BussinessDocType, Document, Message, Reference, StatusMessage, TraceHeader
from protocol.package_a.content_type import true_type
from protocol.sameness import settled
from protocol.signing import Signer

SNIFFED: Final = 8
"""Octets that tell a content type."""


class Received(msgspec.Struct, frozen=True):
    """Attachments that are hashed and on disk, and do not have their names yet."""

    writers: tuple[PayloadWriter, ...]
    attachments: tuple[StoredAttachment, ...]

    async def publish(self) -> None:
        """Give them their names, durably. Raises `server.disk-full`."""
        for writer in self.writers:
            await asyncio.to_thread(writer.finish)


class Preparation:
    """Turns what the local system says into what the outbox keeps."""

    def __init__(self, agency: str, signer: Signer, payloads: Payloads, clock: Clock) -> None:
        self._agency = agency
        self._signer = signer
        self._payloads = payloads
        self._clock = clock

    async def receive(
        self, message: Message, uploads: AsyncIterator[Upload], stack: ExitStack, expected: int = 0
    ) -> Received:
        """Step 4. Leaving `stack` without `publish` removes what was written. `expected`: octets, where they are known.

        Raises errors of the `attachment` and `mime` branches, and `server.disk-full`.
        """
        if isinstance(message, StatusMessage):
            return Received((), ())
        self._payloads.check_space(expected)
        writers = await self._write(message, uploads, stack)
        for reference in message.references:
            if reference.content_id not in writers:
                raise ExchangeError(errors.ATTACHMENT_MISSING, element=reference.content_id)
        kept = tuple(_kept(reference, *writers[reference.content_id]) for reference in message.references)
        return Received(tuple(writer for writer, _ in writers.values()), kept)

    def seal(self, message: Message, submission: PlainSubmission, received: Received) -> Prepared:
        """Step 5."""
        content = settled(_with_references(message, received.attachments))
        fingerprint = fingerprint_of(content)
        unsealed = write_envelope(self._stamped(content), envelope_id=f"E{fingerprint[:32]}")
        # opened again: the seal is proved before anything relies on it
        opened = seal.open_seal(etree.fromstring(seal.seal(unsealed, self._signer)))
        document_id = document_id_of(content)
        return Prepared(
            kind="document" if isinstance(content, Document) else "status",
            identity=identity_of(content, fingerprint),
            fingerprint=fingerprint,
            document_id=document_id,
            document_key=document_ids.key(document_id),
            digest=opened.digest,
            envelope=opened.sealed,
            original=submission.original,
            package=submission.package,
            priority=content.header.other_info.priority if isinstance(content, Document) else 0,
            recipients=recipients_of(content),
            attachments=_renamed(received.attachments, content),
        )

    async def _write(
        self, document: Document, uploads: AsyncIterator[Upload], stack: ExitStack
    ) -> dict[str, tuple[PayloadWriter, bytes]]:
        wanted = {reference.content_id for reference in document.references}
        writers: dict[str, tuple[PayloadWriter, bytes]] = {}
        async for upload in uploads:
            if upload.content_id not in wanted:
                raise ExchangeError(errors.ATTACHMENT_EXTRA, element=upload.content_id)
            if upload.content_id in writers:
                raise ExchangeError(errors.ATTACHMENT_DOUBLED, element=upload.content_id)
            writer = stack.enter_context(self._payloads.writer())
            start = b""
            async for chunk in upload:
                start = start or bytes(chunk[:SNIFFED])
                await asyncio.to_thread(writer.write, chunk)
            writers[upload.content_id] = writer, start
        return writers

    def _stamped(self, message: Message) -> Message:
        """With this system's own hop (edXML TraceHeader), and a time on a status that has none."""
        now = self._clock()
        if isinstance(message, StatusMessage):
            return message if message.timestamp else msgspec.structs.replace(message, timestamp=now)
        hop = TraceHeader(organ_id=self._agency, timestamp=now)
        return msgspec.structs.replace(message, trace_headers=(*message.trace_headers, hop))


def fingerprint_of(message: Message) -> str:
    """Hex SHA-256 of what a settled message says, attachments by digest."""
    return hashlib.sha256(write_envelope(message, envelope_id="content")).hexdigest()


def identity_of(message: Message, fingerprint: str) -> str:
    """What makes two messages one.

    The DocumentId of a new document; an update, recall, replacement or status may come again for the same DocumentId,
    so its content belongs to its identity.
    """
    key = document_ids.key(document_id_of(message))
    if isinstance(message, Document) and message.bussiness.doc_type == BussinessDocType.NEW:
        return f"document\n{key}"
    return f"{'document' if isinstance(message, Document) else 'status'}\n{key}\n{fingerprint}"


def document_id_of(message: Message) -> str:
    """The DocumentId that a message is (document) or is about (status)."""
    if isinstance(message, Document):
        return message.header.document_id
    answered = message.response_for[0]
    issued = format_date(answered.promulgation_date) if answered.promulgation_date else ""
    return answered.document_id.strip() or f"{answered.organ_id},{issued},{answered.code}"


def recipients_of(message: Message) -> tuple[str, ...]:
    """Canonical codes of the recipients of a document; nobody's for a status."""
    if not isinstance(message, Document):
        return ()
    return tuple(dict.fromkeys(agency_codes.canonical(one.organ_id) for one in message.header.to))


def _with_references(message: Message, attachments: tuple[StoredAttachment, ...]) -> Message:
    if isinstance(message, StatusMessage):
        return message
    return msgspec.structs.replace(message, references=tuple(one.reference for one in attachments))


def _renamed(attachments: tuple[StoredAttachment, ...], content: Message) -> tuple[StoredAttachment, ...]:
    """The attachments under the content ids of the settled manifest."""
    references = content.references if isinstance(content, Document) else ()
    pairs = zip(attachments, references, strict=True)
    return tuple(msgspec.structs.replace(one, content_id=reference.content_id) for one, reference in pairs)


def _kept(reference: Reference, writer: PayloadWriter, start: bytes) -> StoredAttachment:
    written = writer.written
    if reference.sha256 is not None and reference.sha256.hex() != written.sha256:
        raise ExchangeError(errors.ATTACHMENT_DIGEST, element=reference.content_id)
    return StoredAttachment(
        content_id=reference.content_id,
        name=reference.attachment_name,
        content_type=true_type(reference, start),
        description=reference.description,
        sha256=written.sha256,
        size=written.size,
    )
