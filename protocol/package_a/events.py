"""What reading an `.edxml` file yields, and the limits it is read under."""

from __future__ import annotations

from typing import Final

import msgspec

from protocol.model import Message
from protocol.xml_reading import MESSAGE_MAX


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of one file. All sizes are octets; the names are those of the MIME limits.

    `total` is the file as it stands, `part` one attachment after decoding, `parts` the number of attachments, `root`
    the envelope (and any single tag), `held` what may wait in memory when a file puts its attachments before the
    envelope, or an attachment's content before its ContentId.
    """

    total: int = 6 << 30
    part: int = 4 << 30
    parts: int = 1000
    root: int = MESSAGE_MAX
    held: int = 8 << 20


DEFAULT_LIMITS: Final = Limits()
MAX_DEPTH: Final = 64
"""Nesting of elements; real files stay under 10."""


class EnvelopeReady(msgspec.Struct, frozen=True, kw_only=True):
    """The envelope was read; it precedes every attachment event, wherever it stands in the file.

    `original_envelope` is the `edXMLEnvelope` element as sent, one self-contained XML element: only namespace
    declarations that it inherited (or forgot) are added to its start tag, so that a seal inside still verifies.
    """

    message: Message
    original_envelope: bytes


class AttachmentStart(msgspec.Struct, frozen=True, kw_only=True):
    """An attachment begins. `content_id` is without `cid:`; what the attachment leaves out comes from the manifest."""

    content_id: str
    name: str
    content_type: str
    description: str


class AttachmentData(msgspec.Struct, frozen=True):
    """The next octets of the attachment, decoded and, where a sender wrapped the file in a ZIP, unwrapped."""

    data: bytes


class AttachmentEnd(msgspec.Struct, frozen=True, kw_only=True):
    """The attachment is complete and was not damaged on its way through the sender's software.

    `name` and `description` are what the file says of it only behind the content; "" when it says nothing new there.
    """

    name: str = ""
    description: str = ""


Event = EnvelopeReady | AttachmentStart | AttachmentData | AttachmentEnd
