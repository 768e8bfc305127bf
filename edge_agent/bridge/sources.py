"""What lies in `outgoing/`, as submissions: an `.edxml`, a file with its sidecar, a status in TOML; read as streams."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from io import FileIO
from pathlib import Path
from typing import Final, Protocol

from edge_agent.bridge import sidecar
from edge_agent.bridge.items import Item, read_bounded
from edge_agent.bridge.regular_files import open_regular
from edge_agent.payloads import CHUNK
from edge_agent.screening import check_attachment_names
from edge_agent.store import Store
from protocol import agency_codes, document_ids, errors
from protocol.edxml.dates import parse_date
from protocol.edxml.reader import read_message
from protocol.errors import ExchangeError
from protocol.exchange import PlainSubmission, Upload
from protocol.model import Document, Organization, Reference, ResponseFor
from protocol.package_a import (
    AttachmentData,
    AttachmentEnd,
    AttachmentStart,
    EnvelopeReady,
    Event,
    Limits,
    PackageAReader,
)
from protocol.xml_reading import parse

MAIN_ID: Final = "f1"


class ChangedError(Exception):
    """The files are not what they were when they were looked at."""


class Source(Protocol):
    """One thing to send."""

    async def read(self) -> PlainSubmission:
        """Everything but the attachments. Raises errors of the vocabulary."""
        ...

    def uploads(self) -> AsyncIterator[Upload]:
        """The attachments, after `read`, in turn."""
        ...

    def close(self) -> None:
        """Let go of the files."""
        ...


class FileUpload:
    """One file of the folder as an attachment (`protocol.exchange.Upload`)."""

    def __init__(self, content_id: str, path: Path) -> None:
        self.content_id = content_id
        self._path = path

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The octets."""
        with open_regular(self._path) as file:
            while chunk := await asyncio.to_thread(file.read, CHUNK):
                yield chunk


class SidecarSource:
    """A file, its fields, and the files that the fields list."""

    def __init__(self, item: Item, sender: Organization) -> None:
        self._main, self._fields = item.files[:2]
        self._attachments = item.attachments
        self._sender = sender
        self._files: dict[str, Path] = {}

    async def read(self) -> PlainSubmission:
        """The document that the fields describe; its attachments are the file and those that the fields name.

        Raises `ChangedError` when the fields name others than they did a moment ago.
        """
        data = await asyncio.to_thread(read_bounded, self._fields)
        fields = sidecar.read_sidecar(self._fields.name, data)
        if len(fields.attachments) != len(self._attachments):
            raise ChangedError
        references = [_reference(MAIN_ID, self._main.name, fields.description)]
        self._files = {MAIN_ID: self._main}
        for position, (name, path) in enumerate(zip(fields.attachments, self._attachments, strict=True)):
            if path is None:
                raise ExchangeError(errors.ATTACHMENT_MISSING, element=f"Attachments[{position}]")
            if path in self._files.values():
                raise ExchangeError(errors.ATTACHMENT_DOUBLED, element=f"Attachments[{position}]")
            content_id = f"f{position + 2}"
            references.append(_reference(content_id, name, ""))
            self._files[content_id] = path
        message = sidecar.document_of(fields, self._sender, tuple(references))
        return PlainSubmission(message=message, original=data, package="A", written="fields")

    async def uploads(self) -> AsyncIterator[Upload]:
        """Main file first."""
        for content_id, path in self._files.items():
            yield FileUpload(content_id, path)

    def close(self) -> None:
        """Nothing stays open."""


class StatusSource:
    """A status in TOML. What it leaves out about the document comes from the inbox or from the DocumentId."""

    def __init__(self, path: Path, sender: Organization, store: Store) -> None:
        self._path = path
        self._sender = sender
        self._store = store

    async def read(self) -> PlainSubmission:
        """The status."""
        data = await asyncio.to_thread(read_bounded, self._path)
        line = sidecar.read_status(self._path.name, data)
        status = sidecar.status_of(line, self._sender, await self._known(line.document_id))
        return PlainSubmission(message=status, original=data, package="A", written="fields")

    async def _known(self, document_id: str) -> ResponseFor:
        key = document_ids.key(document_id)
        envelope = await self._store.run(self._store.inbox.document_envelope, key)
        if envelope:
            message = read_message(parse(envelope))
            if isinstance(message, Document):
                header = message.header
                return ResponseFor(
                    organ_id=header.sender.organ_id,
                    code=header.code.full,
                    promulgation_date=header.promulgation_info.date,
                )
        parts = document_ids.parts(key)
        if parts is None:
            return ResponseFor(organ_id=agency_codes.canonical(self._sender.organ_id))
        return ResponseFor(organ_id=parts.organ_id, code=parts.full_code, promulgation_date=parse_date(parts.date))

    async def uploads(self) -> AsyncIterator[Upload]:
        """None."""
        return
        yield FileUpload("", self._path)  # never reached: it makes this an asynchronous iterator

    def close(self) -> None:
        """Nothing stays open."""


class PackageASource:
    """An `.edxml`, read from front to back; its attachments are stored only on the second way."""

    def __init__(self, path: Path, limits: Limits) -> None:
        self._path = path
        self._limits = limits
        self._reader = PackageAReader(limits)
        self._file: FileIO | None = None
        self._events: list[Event] = []
        self._ended = False

    async def read(self) -> PlainSubmission:
        """The envelope; no octet of an attachment is kept anywhere yet."""
        self._file = await asyncio.to_thread(open_regular, self._path)
        event = await self._next()
        if not isinstance(event, EnvelopeReady):
            raise ExchangeError(errors.UNKNOWN_FORMAT)
        return PlainSubmission(message=event.message, original=event.original_envelope, package="A")

    async def uploads(self) -> AsyncIterator[Upload]:
        """The attachments as they stand in the file, once all their names are known to be free of secret marks."""
        await asyncio.to_thread(self._check_names)
        while (event := await self._next()) is not None:
            if isinstance(event, AttachmentStart):
                yield _EmbeddedUpload(event.content_id, self)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    async def content(self) -> AsyncIterator[bytes]:
        """Octets of the current attachment."""
        while (event := await self._next()) is not None and not isinstance(event, AttachmentEnd):
            if isinstance(event, AttachmentData):
                yield event.data

    async def _next(self) -> Event | None:
        while not self._events and not self._ended:
            self._events = await asyncio.to_thread(self._step)
        return self._events.pop(0) if self._events else None

    def _check_names(self) -> None:
        assert self._file is not None, "read first"
        place = self._file.tell()
        self._file.seek(0)
        check_attachment_names(self._file, self._limits)
        self._file.seek(place)

    def _step(self) -> list[Event]:
        assert self._file is not None, "read first"
        data = self._file.read(CHUNK)
        self._ended = not data
        return self._reader.feed(data) if data else self._reader.close()


class _EmbeddedUpload:
    """An attachment inside the file that is being read (`protocol.exchange.Upload`)."""

    def __init__(self, content_id: str, source: PackageASource) -> None:
        self.content_id = content_id
        self._source = source

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._source.content()


def _reference(content_id: str, name: str, description: str) -> Reference:
    return Reference(content_id=content_id, attachment_name=name, content_type="", description=description)
