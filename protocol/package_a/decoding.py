"""From the characters of `ContentTransferEncoded` to octets, and the recognition of files ruined before encoding."""

from __future__ import annotations

import binascii
import codecs
from typing import Final

from protocol.errors import ATTACHMENT_DAMAGED, ExchangeError

_WHITE_SPACE: Final = b" \t\r\n"
_BINARY: Final = (b"%PDF", b"PK\x03\x04")
"""First octets of formats that are never valid UTF-8 with U+FFFD in it."""
_LOST: Final = "\ufffd"


class Base64Decoder:
    """Decodes base64 that arrives in pieces of any length, wrapped or not (RFC 4648 §4).

    White space is skipped; any other foreign character, data after the padding, or a missing end raises
    `attachment.damaged` naming the file: a shortened text would otherwise pass for a shorter file.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._rest = b""
        self._padded = False

    def feed(self, text: str) -> bytes:
        """The octets that became complete."""
        try:
            data = self._rest + text.encode("ascii").translate(None, _WHITE_SPACE)
        except UnicodeEncodeError:
            raise self._damaged("foreign character") from None
        cut = len(data) & ~3
        self._rest = data[cut:]
        return self._decode(data[:cut]) if cut else b""

    def close(self) -> None:
        """The text is over. Raises `attachment.damaged` when it stops inside a group of four characters."""
        if self._rest:
            raise self._damaged("incomplete")

    def _decode(self, whole: bytes) -> bytes:
        if self._padded:
            raise self._damaged("data after padding")
        self._padded = whole.endswith(b"=")
        try:
            return binascii.a2b_base64(whole, strict_mode=True)
        except binascii.Error as error:
            raise self._damaged(str(error)) from None

    def _damaged(self, reason: str) -> ExchangeError:
        return ExchangeError(ATTACHMENT_DAMAGED, element=self._name, reason=f"base64: {reason}")


class RoundTripDetector:
    """Recognises a binary file that was converted to UTF-8 text and back before it was encoded.

    Such a conversion writes U+FFFD for every octet that is not text, so that the whole file becomes valid UTF-8 with
    runs of `EF BF BD`. An undamaged PDF or ZIP is not valid UTF-8, which shows within its first lines: from there on
    the detector costs nothing.
    """

    def __init__(self) -> None:
        self._head = b""
        self._decoder: codecs.IncrementalDecoder | None = codecs.getincrementaldecoder("utf-8")()
        self._last = ""
        self._run = False

    def feed(self, data: bytes) -> None:
        """Look at the next octets."""
        if self._decoder is None or not data:
            return
        if len(self._head) < len(_BINARY[0]):
            self._head = (self._head + data)[: len(_BINARY[0])]
            if not any(magic.startswith(self._head) for magic in _BINARY):
                self._decoder = None
                return
        try:
            text = self._last + self._decoder.decode(data)
        except UnicodeDecodeError:
            self._decoder = None
            return
        self._run = self._run or _LOST * 2 in text
        self._last = text[-1:]

    @property
    def damaged(self) -> bool:
        """Whether everything seen so far is text that lost octets."""
        return self._decoder is not None and self._head in _BINARY and self._run
