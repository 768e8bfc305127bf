"""The sealed envelope in a file that a person kept: bare XML, a SOAP message, or an `.edxml` with attachments."""

from __future__ import annotations

import hashlib
from itertools import chain
from typing import Final

import msgspec
from lxml import etree

from protocol import xml_reading
from protocol.errors import UNKNOWN_FORMAT, ExchangeError
from protocol.namespaces import QCVN
from protocol.package_a import AttachmentData, AttachmentStart, EnvelopeReady, PackageAReader

_STEP: Final = 1 << 20


class SealedFile(msgspec.Struct, frozen=True, kw_only=True):
    """The envelope as it stands in the file, and SHA-256 and size of each attachment beside it, by content id."""

    envelope: etree._Element
    attachments: dict[str, tuple[bytes, int]]


def read(data: bytes) -> SealedFile:
    """Find the envelope. Raises `message.unknown-format` or what reading a damaged file raises."""
    try:
        return _edxml(data)
    except ExchangeError as error:
        if error.kind is not UNKNOWN_FORMAT:  # an .edxml it is, but a damaged one
            raise
        return SealedFile(envelope=_in_tree(data), attachments={})


def _in_tree(data: bytes) -> etree._Element:
    root = xml_reading.parse(data)
    found = list(root.iter(f"{{{QCVN}}}edXMLEnvelope"))
    if len(found) != 1:
        raise ExchangeError(UNKNOWN_FORMAT, envelopes=len(found))
    return found[0]


def _edxml(data: bytes) -> SealedFile:
    reader = PackageAReader()
    envelope: etree._Element | None = None
    digests: dict[str, tuple[hashlib._Hash, int]] = {}
    content_id = ""
    steps = (reader.feed(data[start : start + _STEP]) for start in range(0, len(data), _STEP))
    last = (reader.close() for _ in range(1))  # lazily: after the last step
    for event in chain.from_iterable(chain(steps, last)):
        match event:
            case EnvelopeReady():
                envelope = xml_reading.parse(event.original_envelope)
            case AttachmentStart():
                content_id = event.content_id
                digests[content_id] = hashlib.sha256(), 0
            case AttachmentData():
                digest, size = digests[content_id]
                digest.update(event.data)
                digests[content_id] = digest, size + len(event.data)
    if envelope is None:
        raise ExchangeError(UNKNOWN_FORMAT)
    return SealedFile(
        envelope=envelope, attachments={key: (digest.digest(), size) for key, (digest, size) in digests.items()}
    )
