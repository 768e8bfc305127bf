"""Content-Transfer-Encoding (RFC 2045 §6): what turns a part's octets back into the attachment, piece by piece."""

from __future__ import annotations

import binascii
import re
from typing import Final, Protocol

from protocol.errors import ATTACHMENT_DAMAGED, MIME_MALFORMED, ExchangeError

MAX_QUOTED_LINE: Final = 16_384
"""Octets of one quoted-printable line that are held until its end is seen; RFC 2045 §6.7 allows 76."""

_IDENTITY: Final = frozenset({"", "7bit", "8bit", "binary"})
_SPACE: Final = b" \t\r\n"
_BAD_ESCAPE: Final = re.compile(rb"=(?![0-9A-Fa-f]{2}|[ \t]*+(?:\r?\n|\Z))")


class Decoder(Protocol):
    """Decodes a stream of octets given in pieces of any size; both methods raise `attachment.damaged`."""

    def decode(self, data: bytes) -> bytes:
        """What these octets, after all earlier ones, decode to so far."""
        ...

    def finish(self) -> bytes:
        """What remained; nothing follows."""
        ...


class Base64Decoder:
    """RFC 4648 §4 with white space anywhere; other foreign octets and wrong padding are damage."""

    def __init__(self, content_id: str) -> None:
        self._content_id = content_id
        self._rest = b""
        self._ended = False

    def decode(self, data: bytes) -> bytes:
        """See `Decoder`."""
        text = self._rest + data.translate(None, _SPACE)
        whole = len(text) & ~3
        self._rest = text[whole:]
        if not whole:
            return b""
        if self._ended:
            raise ExchangeError(ATTACHMENT_DAMAGED, element=self._content_id)
        self._ended = text.endswith(b"=", 0, whole)
        try:
            return binascii.a2b_base64(text[:whole], strict_mode=True)
        except binascii.Error as error:
            raise ExchangeError(ATTACHMENT_DAMAGED, element=self._content_id) from error

    def finish(self) -> bytes:
        """See `Decoder`."""
        if self._rest:
            raise ExchangeError(ATTACHMENT_DAMAGED, element=self._content_id)
        return b""


class QuotedPrintableDecoder:
    """RFC 2045 §6.7, decoded by whole lines because the end of a line decides what stood before it."""

    def __init__(self, content_id: str) -> None:
        self._content_id = content_id
        self._line = bytearray()

    def decode(self, data: bytes) -> bytes:
        """See `Decoder`."""
        end = data.rfind(b"\n") + 1
        if not end:
            self._line += data
            self._check_line()
            return b""
        lines = bytes(self._line) + data[:end]
        self._line = bytearray(data[end:])
        self._check_line()
        return self._decode(lines)

    def finish(self) -> bytes:
        """See `Decoder`."""
        return self._decode(bytes(self._line))

    def _check_line(self) -> None:
        if len(self._line) > MAX_QUOTED_LINE:
            raise ExchangeError(ATTACHMENT_DAMAGED, element=self._content_id)

    def _decode(self, text: bytes) -> bytes:
        if _BAD_ESCAPE.search(text):
            raise ExchangeError(ATTACHMENT_DAMAGED, element=self._content_id)
        return binascii.a2b_qp(text)


def decoder_for(transfer_encoding: str, content_id: str) -> Decoder | None:
    """The decoder of a part, `None` when octets pass unchanged. Raises `mime.malformed` for an unknown encoding."""
    if transfer_encoding in _IDENTITY:
        return None
    if transfer_encoding == "base64":
        return Base64Decoder(content_id)
    if transfer_encoding == "quoted-printable":
        return QuotedPrintableDecoder(content_id)
    raise ExchangeError(MIME_MALFORMED, element="Content-Transfer-Encoding", content_id=content_id)
