"""The ZIP wrapper that senders put around a single file, taken off while the octets stream by.

The national axis SDK stores every file whose extension it does not know (XLS and XLSX among them) as a ZIP with one
entry, and other senders put a ZIP under the name of a PDF; ContentType tells nothing. What counts is the first octets
(`PK 03 04`) and the names. A file that is a ZIP by its own right (`.zip`, OOXML, ODF, JAR …) passes untouched.
"""

from __future__ import annotations

import re
import struct
import zlib
from enum import Enum, auto
from typing import Final

from protocol.errors import ATTACHMENT_DAMAGED, MIME_PART_TOO_LARGE, ExchangeError

_LOCAL: Final = b"PK\x03\x04"
_CENTRAL: Final = b"PK\x01\x02"
_ENDS: Final = (b"PK\x05\x06", b"PK\x06\x06")
_LOCAL_SIZE: Final = 30
_CENTRAL_SIZE: Final = 46
_DESCRIPTOR_MAX: Final = 24
_TAIL_MAX: Final = 256 << 10
_ENCRYPTED: Final = 0x0001
_DESCRIPTOR: Final = 0x0008
_ZIP64: Final = 0xFFFFFFFF
_STORED, _DEFLATED = 0, 8
_PIECE: Final = 256 << 10

_FREE_GROWTH: Final = 16 << 20
_RATIO: Final = 200
"""A wrapped office file grows 20 times at most; deflate can grow 1,000 times, which only a bomb does at length."""

_NEVER_ZIP: Final = frozenset(
    ("pdf", "doc", "xls", "ppt", "rtf", "txt", "csv", "xml", "jpg", "jpeg", "png", "gif", "bmp", "tif", "tiff")
)
_OWN_FORMATS: Final = frozenset(("[Content_Types].xml", "mimetype"))
"""First entries of OOXML and of ODF and EPUB: the file is a ZIP by its own right, whatever its name says."""
_FOLDERS: Final = re.compile(r"[/\\]")
_RANDOM_NAME: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}(\.\w*)?", re.IGNORECASE)


class _State(Enum):
    SNIFFING = auto()
    UNTOUCHED = auto()
    INFLATING = auto()
    STORED = auto()
    TAIL = auto()


def _extension(name: str) -> str:
    return name.rpartition(".")[2].strip().lower() if "." in name else ""


def is_wrapper(attachment_name: str, entry_name: str) -> bool:
    """Whether a ZIP that calls its first entry `entry_name` is only a wrapper around `attachment_name`.

    It is when the attachment's own format is never a ZIP, when the entry has the attachment's extension (a DOCX in a
    ZIP called DOCX; a real DOCX starts with another entry), or when the entry has the random name that the SDK gives.
    It is none when the entry is the first of an office file or stands in a folder: such a file under an old name
    (`.doc`, `.xls`) opens in every office program.
    """
    extension = _extension(attachment_name)
    if not attachment_name or extension == "zip" or entry_name in _OWN_FORMATS or _FOLDERS.search(entry_name):
        return False
    if extension in _NEVER_ZIP or _RANDOM_NAME.fullmatch(entry_name):
        return True
    return extension != "" and extension == _extension(entry_name)


class Unwrapper:
    """Passes one attachment through, without its wrapper if it has one.

    Raises `attachment.damaged` when a wrapper is broken off, fails its CRC-32 or holds more than one file, and
    `mime.part-too-large` when it unpacks like a bomb.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._state = _State.SNIFFING
        self._head = b""
        self._inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        self._left = 0
        self._crc = 0
        self._read = 0
        self._written = 0
        self._tail = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The octets of the file inside, as far as they are known."""
        if self._state is _State.UNTOUCHED:
            return [data]
        if self._state is _State.SNIFFING:
            return self._sniff(data)
        return self._unwrap(data)

    def close(self) -> list[bytes]:
        """The attachment is over: what was still held back."""
        if self._state is _State.SNIFFING:
            return [self._head] if self._head else []
        if self._state is not _State.UNTOUCHED:
            self._check_tail()
        return []

    def _sniff(self, data: bytes) -> list[bytes]:
        self._head += data
        head = self._head
        if not _LOCAL.startswith(head[: len(_LOCAL)]):
            return self._leave_untouched()
        if len(head) < _LOCAL_SIZE:
            return []
        name_length, extra_length = struct.unpack_from("<HH", head, 26)
        start = _LOCAL_SIZE + name_length + extra_length
        if len(head) < start:
            return []
        entry_name = head[_LOCAL_SIZE : _LOCAL_SIZE + name_length].decode("utf-8", "replace")
        if not is_wrapper(self._name, entry_name) or not self._can_unwrap(head):
            return self._leave_untouched()
        self._head = b""
        return self._unwrap(head[start:])

    def _leave_untouched(self) -> list[bytes]:
        self._state = _State.UNTOUCHED
        head, self._head = self._head, b""
        return [head] if head else []

    def _can_unwrap(self, head: bytes) -> bool:
        flags, method = struct.unpack_from("<HH", head, 6)
        (self._left,) = struct.unpack_from("<I", head, 18)
        if flags & _ENCRYPTED:
            return False
        if method == _DEFLATED:
            self._state = _State.INFLATING
        elif method == _STORED and not flags & _DESCRIPTOR and self._left != _ZIP64:
            self._state = _State.STORED
        return self._state is not _State.SNIFFING

    def _unwrap(self, data: bytes) -> list[bytes]:
        pieces: list[bytes] = []
        if self._state is _State.INFLATING:
            pieces, data = self._inflate(data)
        elif self._state is _State.STORED:
            pieces, data = [data[: self._left]], data[self._left :]
            self._account(pieces[0])
            self._left -= len(pieces[0])
            if self._left == 0:
                self._state = _State.TAIL
        if self._state is _State.TAIL:
            self._tail += data
            if len(self._tail) > _TAIL_MAX:
                raise self._damaged("tail")
        return pieces

    def _inflate(self, data: bytes) -> tuple[list[bytes], bytes]:
        pieces: list[bytes] = []
        self._read += len(data)
        while True:
            try:
                piece = self._inflater.decompress(data, _PIECE)
            except zlib.error:
                raise self._damaged("deflate") from None
            self._account(piece)
            if piece:
                pieces.append(piece)
            data = self._inflater.unconsumed_tail
            if self._inflater.eof:
                self._state = _State.TAIL
                return pieces, self._inflater.unused_data
            # a full piece may have left more inside the inflater although it took all the input
            if not data and len(piece) < _PIECE:
                return pieces, b""

    def _account(self, piece: bytes) -> None:
        self._crc = zlib.crc32(piece, self._crc)
        self._written += len(piece)
        if self._state is _State.INFLATING and self._written > _FREE_GROWTH + _RATIO * self._read:
            raise ExchangeError(MIME_PART_TOO_LARGE, element=self._name, reason="zip ratio")

    def _check_tail(self) -> None:
        """The central directory must know exactly this entry, with this CRC-32 (APPNOTE 4.3.12)."""
        at = self._tail.find(_CENTRAL, 0, _DESCRIPTOR_MAX + len(_CENTRAL))
        if self._state is not _State.TAIL or at < 0 or len(self._tail) < at + _CENTRAL_SIZE:
            raise self._damaged("incomplete or several entries")
        (crc,) = struct.unpack_from("<I", self._tail, at + 16)
        end = at + _CENTRAL_SIZE + sum(struct.unpack_from("<HHH", self._tail, at + 28))
        if crc != self._crc or self._tail[end : end + 4] not in _ENDS:
            raise self._damaged("crc or several entries")

    def _damaged(self, reason: str) -> ExchangeError:
        return ExchangeError(ATTACHMENT_DAMAGED, element=self._name, reason=f"zip: {reason}")
