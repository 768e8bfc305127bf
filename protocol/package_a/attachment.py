"""One `Attachment` element on its way from characters to the octets of a file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from protocol.edxml.manifest import strip_cid
from protocol.errors import (
    ATTACHMENT_DAMAGED,
    ATTACHMENT_MISSING,
    ELEMENT_MISSING,
    ELEMENT_TOO_LONG,
    MIME_PART_TOO_LARGE,
    ExchangeError,
)
from protocol.model import Reference
from protocol.package_a.decoding import Base64Decoder, RoundTripDetector
from protocol.package_a.events import AttachmentStart
from protocol.package_a.wrapping import Unwrapper

CONTENT: Final = "ContentTransferEncoded"
_FIELDS: Final = frozenset(("ContentId", "AttachmentName", "Description", "ContentType"))
_FIELD_MAX: Final = 4096
"""Characters of one field; what is too long for its register is judged later, by its own rule."""


class AttachmentReading:
    """Collects the fields of an attachment and runs its content through base64, wrapper and damage check."""

    def __init__(self, references: Mapping[str, Reference], limit: int) -> None:
        self._references = references
        self._limit = limit
        self._fields: dict[str, str] = {}
        self._size = 0
        self._decoder: Base64Decoder | None = None
        self._unwrapper = Unwrapper("")
        self._detector = RoundTripDetector()

    @property
    def has_content_id(self) -> bool:
        """Whether ContentId was read: it stands before the content in every known file, but no rule says so."""
        return bool(strip_cid(self._fields.get("ContentId", "")))

    def field(self, name: str, text: str) -> None:
        """More characters of a child element. Raises `element.too-long`."""
        if name not in _FIELDS:
            return
        self._fields[name] = self._fields.get(name, "") + text
        if len(self._fields[name]) > _FIELD_MAX:
            raise ExchangeError(ELEMENT_TOO_LONG, element=f"AttachmentEncoded.Attachment.{name}")

    def begin(self) -> None:
        """The content begins."""
        if self._decoder is not None:
            raise self._damaged("content twice")
        name = self.start().name
        self._decoder = Base64Decoder(name or self._label())
        self._unwrapper = Unwrapper(name)

    def content(self, text: str) -> list[bytes]:
        """The octets of the file that became known. Raises `attachment.damaged`, `mime.part-too-large`."""
        if self._decoder is None:
            return []
        data = self._decoder.feed(text)
        return self._checked(self._unwrapper.feed(data)) if data else []

    def finish(self) -> list[bytes]:
        """The content is over: the last octets. Raises `attachment.damaged` for what only the whole file shows."""
        if self._decoder is None:
            return []
        self._decoder.close()
        pieces = self._checked(self._unwrapper.close())
        if self._detector.damaged:
            raise self._damaged("text round trip")
        return pieces

    def check_complete(self) -> None:
        """The element is over. Raises `element.missing`, `attachment.missing`."""
        if not self.has_content_id:
            raise ExchangeError(ELEMENT_MISSING, element="AttachmentEncoded.Attachment.ContentId")
        if self._decoder is None:
            raise ExchangeError(ATTACHMENT_MISSING, element=self._label())

    def start(self) -> AttachmentStart:
        """What is known of the attachment now."""
        content_id = strip_cid(self._fields.get("ContentId", ""))
        listed = self._references.get(content_id, Reference(content_id=content_id, content_type=""))
        return AttachmentStart(
            content_id=content_id,
            name=self._fields.get("AttachmentName", "").strip() or listed.attachment_name,
            content_type=self._fields.get("ContentType", "").strip() or listed.content_type,
            description=self._fields.get("Description", "").strip() or listed.description,
        )

    def _checked(self, pieces: list[bytes]) -> list[bytes]:
        for piece in pieces:
            self._size += len(piece)
            self._detector.feed(piece)
        if self._size > self._limit:
            raise ExchangeError(MIME_PART_TOO_LARGE, element=self._label(), limit=self._limit)
        return pieces

    def _label(self) -> str:
        start = self.start()
        return start.name or start.content_id

    def _damaged(self, reason: str) -> ExchangeError:
        return ExchangeError(ATTACHMENT_DAMAGED, element=self._label(), reason=reason)
