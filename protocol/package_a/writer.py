"""Writes an `.edxml` file piece by piece: the exact frame, prefix and double declaration that strict readers expect.

The .NET reader of the national axis refuses another prefix than `edXML`, and the Java reader looks for
`AttachmentEncoded` without one; base64 stands on one line, encoded as the octets come.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Final

import msgspec

from protocol.edxml.writer import write_envelope
from protocol.errors import ATTACHMENT_DOUBLED, ATTACHMENT_EXTRA, ATTACHMENT_MISSING, ExchangeError
from protocol.model import Document, Message, Reference
from protocol.namespaces import QCVN
from protocol.package_a.content_type import true_type
from protocol.xml_writing import escape

_BLOCK: Final = 192 << 10
"""Octets encoded at a time; a multiple of 3, so that only the last block is padded."""
_OPENING: Final = f'<?xml version="1.0" encoding="UTF-8"?>\n<edXML xmlns="{QCVN}">'.encode()
_PATH: Final = "AttachmentEncoded.Attachment"


class PackageAWriter:
    """Writes one file: `head`, then per attachment `begin`, `data`*, `finish`, then `end`; each returns octets."""

    def __init__(self) -> None:
        self._has_attachments = False
        self._rest = b""

    def head(self, message: Message, *, envelope: bytes | None = None) -> bytes:
        """Everything before the attachments. `envelope` is a sealed `edXMLEnvelope` to carry octet by octet."""
        if envelope is None:
            # the attribute serves a seal only, and no reader of unsealed files has ever met it
            envelope = write_envelope(message, envelope_id="").replace(b' Id=""', b"", 1)
        return _OPENING + envelope

    def begin(self, reference: Reference) -> bytes:
        """Everything of an attachment before its content. `content_id` gets its `cid:` here, once."""
        opening = "" if self._has_attachments else "<AttachmentEncoded>"
        self._has_attachments = True
        fields = (
            ("ContentId", f"cid:{reference.content_id}"),
            ("AttachmentName", reference.attachment_name),
            ("Description", reference.description),
            ("ContentType", reference.content_type),
        )
        leaves = "".join(f"<{name}>{escape(text, f'{_PATH}.{name}')}</{name}>" for name, text in fields)
        return f'{opening}<Attachment>{leaves}<edXML:ContentTransferEncoded xmlns:edXML="{QCVN}">'.encode()

    def data(self, octets: bytes) -> Iterator[bytes]:
        """The next octets of the attachment, encoded."""
        view = memoryview(self._rest + octets)
        whole = len(view) - len(view) % 3
        for start in range(0, whole, _BLOCK):
            yield binascii.b2a_base64(view[start : min(start + _BLOCK, whole)], newline=False)
        self._rest = bytes(view[whole:])

    def finish(self) -> bytes:
        """The end of the attachment."""
        rest, self._rest = self._rest, b""
        return binascii.b2a_base64(rest, newline=False) + b"</edXML:ContentTransferEncoded></Attachment>"

    def end(self) -> bytes:
        """The end of the file."""
        return b"</AttachmentEncoded></edXML>" if self._has_attachments else b"</edXML>"


class _Opened(msgspec.Struct, frozen=True):
    reference: Reference
    chunks: Iterable[bytes]


def write_package_a(
    message: Message,
    attachments: Iterable[tuple[Reference, Iterable[bytes]]] = (),
    *,
    envelope: bytes | None = None,
) -> Iterator[bytes]:
    """The file, in chunks. `attachments` are the manifest's references with their octets, in any order.

    The first chunk of each is read before anything is written, because the manifest must declare the true types.
    `envelope` is the sealed `edXMLEnvelope` of `message`, carried as it stands, so that its seal still verifies.
    Raises `attachment.missing`, `attachment.doubled`, `attachment.extra` (before the first octet), `element.type`.
    """
    opened = [_open(reference, chunks) for reference, chunks in attachments]
    if isinstance(message, Document):
        references = _match(message.references, [item.reference for item in opened])
        message = msgspec.structs.replace(message, references=references)
    elif opened:
        raise ExchangeError(ATTACHMENT_EXTRA, element=opened[0].reference.attachment_name)
    return _write(message, opened, envelope)


def _write(message: Message, opened: list[_Opened], envelope: bytes | None) -> Iterator[bytes]:
    writer = PackageAWriter()
    yield writer.head(message, envelope=envelope)
    for item in opened:
        yield writer.begin(item.reference)
        for chunk in item.chunks:
            yield from writer.data(chunk)
        yield writer.finish()
    yield writer.end()


def _open(reference: Reference, chunks: Iterable[bytes]) -> _Opened:
    iterator = iter(chunks)
    first = next((chunk for chunk in iterator if chunk), b"")
    typed = msgspec.structs.replace(reference, content_type=true_type(reference, first))
    return _Opened(typed, chain((first,), iterator))


def _match(manifest: tuple[Reference, ...], written: list[Reference]) -> tuple[Reference, ...]:
    """The manifest with the types of what is written."""
    types: dict[str, str] = {}
    listed = {reference.content_id for reference in manifest}
    for reference in written:
        if reference.content_id in types:
            raise ExchangeError(ATTACHMENT_DOUBLED, element=reference.attachment_name or reference.content_id)
        if reference.content_id not in listed:
            raise ExchangeError(ATTACHMENT_EXTRA, element=reference.attachment_name or reference.content_id)
        types[reference.content_id] = reference.content_type
    for reference in manifest:
        if reference.content_id not in types:
            raise ExchangeError(ATTACHMENT_MISSING, element=reference.attachment_name or reference.content_id)
    return tuple(msgspec.structs.replace(reference, content_type=types[reference.content_id]) for reference in manifest)
