"""Reads an `.edxml` file as it arrives: octets in, events out, in memory that does not grow with the attachments.

The outer frame is read without namespaces, by local name, because files in circulation use prefixes that they never
declare (QCVN 102:2016 samples themselves); only the envelope, cut out whole, is parsed with namespaces. Attachments
are decoded on the fly. An envelope that stands last is waited for: no attachment event precedes it.
"""

from __future__ import annotations

from typing import Final
from xml.parsers import expat

from protocol import xml_reading
from protocol.edxml.reader import read_message
from protocol.errors import (
    ATTACHMENT_DAMAGED,
    ATTACHMENT_DOUBLED,
    DOCTYPE,
    ELEMENT_MISMATCH,
    ELEMENT_MISSING,
    MESSAGE_TRUNCATED,
    MIME_TOO_MANY_PARTS,
    MIME_TOTAL_TOO_LARGE,
    NOT_XML,
    TOO_DEEP,
    TOO_LARGE,
    UNKNOWN_FORMAT,
    ExchangeError,
)
from protocol.model import Document, Reference
from protocol.package_a.attachment import AttachmentReading
from protocol.package_a.capture import EnvelopeCapture, declarations
from protocol.package_a.events import DEFAULT_LIMITS, MAX_DEPTH, AttachmentStart, EnvelopeReady, Event, Limits
from protocol.package_a.queue import EventQueue

_JUNK_MAX: Final = 4096
"""Octets before the first `<` that are skipped (a byte order mark, white space, the `1212` of one official sample)."""
_STEP: Final = 64 << 10
_TEXT: Final = 256 << 10
_UNFINISHED: Final = frozenset(
    expat.errors.codes[message]
    for message in (
        expat.errors.XML_ERROR_NO_ELEMENTS,
        expat.errors.XML_ERROR_UNCLOSED_TOKEN,
        expat.errors.XML_ERROR_PARTIAL_CHAR,
        expat.errors.XML_ERROR_UNCLOSED_CDATA_SECTION,
    )
)


class PackageAReader:
    """Feed it the file; it answers with events. After an error it must be thrown away.

    Raises `message.not-xml`, `message.truncated`, `message.doctype`, `message.too-deep`, `message.too-large`,
    `message.unknown-format`, the `mime.…-too-large` limits, `attachment.damaged|doubled|missing`, and what reading
    the envelope raises.
    """

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self._limits = limits
        # the declaration's own word is not asked: .NET writes "utf-16" above UTF-8 octets
        self._parser = expat.ParserCreate("UTF-8")
        self._parser.buffer_text = True
        self._parser.buffer_size = _TEXT
        self._parser.ordered_attributes = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._text
        self._parser.StartDoctypeDeclHandler = self._doctype
        self._junk: bytes | None = b""
        self._received = 0
        self._parsed = 0
        self._settled = 0
        self._path: list[str] = []
        self._inherited: dict[str, str] = {}
        self._capture = EnvelopeCapture(limits.root)
        self._references: dict[str, Reference] | None = None
        self._attachment: AttachmentReading | None = None
        self._attachments = 0
        self._content_ids: set[str] = set()
        self._is_named = False
        self._queue = EventQueue(limits.held)

    def feed(self, data: bytes) -> list[Event]:
        """The events that `data` completes, in order; the envelope is always the first of the file."""
        self._received += len(data)
        if self._received > self._limits.total:
            raise ExchangeError(MIME_TOTAL_TOO_LARGE, limit=self._limits.total)
        data = self._without_junk(data)
        for start in range(0, len(data), _STEP):
            self._parse(data[start : start + _STEP])
        return self._queue.release()

    def close(self) -> list[Event]:
        """The file is over: the last events. Raises `message.truncated` unless it is complete."""
        if not self._parsed:
            raise ExchangeError(NOT_XML, reason="empty")
        self._run(b"", final=True)
        if self._references is None:
            raise ExchangeError(ELEMENT_MISSING, element="edXMLEnvelope")
        return self._queue.release()

    def _without_junk(self, data: bytes) -> bytes:
        if self._junk is None:
            return data
        self._junk += data
        start = self._junk.find(b"<", 0, _JUNK_MAX)
        if start < 0:
            if len(self._junk) > _JUNK_MAX:
                raise ExchangeError(NOT_XML, reason="no start of XML")
            return b""
        data, self._junk = self._junk[start:], None
        return data

    def _parse(self, data: bytes) -> None:
        if self._references is None:
            self._capture.feed(data, self._settled)
        self._run(data)
        self._parsed += len(data)
        self._settled = max(self._settled, self._parser.CurrentByteIndex)
        # a tag, comment or instruction that does not end would grow inside the parser
        if self._parsed - self._settled > self._limits.root:
            raise ExchangeError(TOO_LARGE, limit=self._limits.root)

    def _run(self, data: bytes, *, final: bool = False) -> None:
        try:
            self._parser.Parse(data, final)
        except expat.ExpatError as error:
            kind = MESSAGE_TRUNCATED if final and error.code in _UNFINISHED else NOT_XML
            raise ExchangeError(kind, line=error.lineno, column=error.offset, parser_code=error.code) from None

    def _doctype(self, *_: object) -> None:
        raise ExchangeError(DOCTYPE)

    def _start(self, name: str, attributes: list[str]) -> None:
        self._path.append(name.rpartition(":")[2])
        if len(self._path) > MAX_DEPTH:
            raise ExchangeError(TOO_DEEP, limit=MAX_DEPTH)
        if self._capture.active:
            self._capture.start(name, attributes)
            return
        match self._path:
            case [root]:
                if root != "edXML":
                    raise ExchangeError(UNKNOWN_FORMAT)
                self._inherited = declarations(attributes)
            case [_, "edXMLEnvelope"]:
                self._begin_envelope(name, attributes)
            case [_, "AttachmentEncoded", "Attachment"]:
                self._begin_attachment()
            case [_, "AttachmentEncoded", "Attachment", "ContentTransferEncoded"]:
                self._begin_content()
            case [_, "AttachmentEncoded", "Attachment", "ContentTransferEncoded", *_]:
                raise ExchangeError(ATTACHMENT_DAMAGED, element=self._open().start().name, reason="markup inside")

    def _end(self, _name: str) -> None:
        if self._capture.active:
            self._capture.end()
        match self._path:
            case [_, "edXMLEnvelope"]:
                self._end_envelope()
            case [_, "AttachmentEncoded", "Attachment", "ContentTransferEncoded"]:
                self._end_content()
            case [_, "AttachmentEncoded", "Attachment"]:
                self._end_attachment()
        self._path.pop()

    def _text(self, text: str) -> None:
        match self._path:
            case [_, "AttachmentEncoded", "Attachment", "ContentTransferEncoded"]:
                self._queue.data(self._open().content(text))
            case [_, "AttachmentEncoded", "Attachment", field]:
                self._open().field(field, text)

    def _begin_envelope(self, name: str, attributes: list[str]) -> None:
        if self._references is not None:
            raise ExchangeError(ELEMENT_MISMATCH, element="edXMLEnvelope")
        self._capture.begin(name, self._parser.CurrentByteIndex, self._inherited)
        self._capture.start(name, attributes)

    def _end_envelope(self) -> None:
        octets = self._capture.cut(self._parser.CurrentByteIndex)
        # declarations were added to what the limit had passed
        message = read_message(xml_reading.parse(octets, max_size=2 * self._limits.root))
        references = message.references if isinstance(message, Document) else ()
        self._references = {reference.content_id: reference for reference in references}
        self._queue.envelope(EnvelopeReady(message=message, original_envelope=octets))

    def _begin_attachment(self) -> None:
        self._attachments += 1
        if self._attachments > self._limits.parts:
            raise ExchangeError(MIME_TOO_MANY_PARTS, limit=self._limits.parts)
        self._attachment = AttachmentReading(self._references or {}, self._limits.part)

    def _begin_content(self) -> None:
        attachment = self._open()
        attachment.begin()
        start = self._only_one(attachment.start()) if attachment.has_content_id else None
        self._queue.begin(start)
        self._is_named = start is not None

    def _end_content(self) -> None:
        self._queue.data(self._open().finish())

    def _end_attachment(self) -> None:
        attachment = self._open()
        attachment.check_complete()
        start = attachment.start()
        self._queue.end(start if self._is_named else self._only_one(start))
        self._attachment = None

    def _only_one(self, start: AttachmentStart) -> AttachmentStart:
        """Two attachments of one id: which of them was signed would be anybody's choice."""
        if start.content_id in self._content_ids:
            raise ExchangeError(ATTACHMENT_DOUBLED, element=start.name or start.content_id)
        self._content_ids.add(start.content_id)
        return start

    def _open(self) -> AttachmentReading:
        assert self._attachment is not None
        return self._attachment
