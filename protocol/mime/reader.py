"""Reads `multipart/related` piece by piece: octets in, events out, every limit checked before an octet is handed on.

The reader's states, in order::

    PREAMBLE → HEADERS → START → BODY → HEADERS … → EPILOGUE
               (START is the body before its first octet: there a delimiter needs no line end of its own)

Work is linear in the octets fed, however they are cut: a state looks at a chunk once, and what is kept between two
chunks is at most one delimiter line (or, in HEADERS, a block that grows in place).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum, auto
from typing import Final

import msgspec

from protocol.errors import (
    MIME_HEADERS_TOO_LARGE,
    MIME_MALFORMED,
    MIME_PART_TOO_LARGE,
    MIME_ROOT_NOT_FIRST,
    MIME_TOO_MANY_PARTS,
    MIME_TOTAL_TOO_LARGE,
    MIME_TRUNCATED,
    TOO_LARGE,
    ExchangeError,
)
from protocol.mime.content_type import bare_content_id, check_boundary, parse_content_type
from protocol.mime.headers import parse_headers
from protocol.mime.transfer import Decoder, decoder_for


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What a reader accepts; sizes in octets."""

    total: int
    """Everything fed, as it travels."""
    part: int
    """One attachment, decoded."""
    parts: int
    """Number of parts, the root included."""
    headers: int
    """The header block of one part; also the preamble."""
    root: int
    """The root part, decoded."""


class PartStart(msgspec.Struct, frozen=True):
    """A part begins. `content_id` has no angle brackets; `content_type` is the header's value ("" when absent)."""

    headers: Mapping[str, str]
    """By lower-case name."""
    content_id: str
    content_type: str
    transfer_encoding: str
    """Lower case, "" when absent; `PartData` is decoded already."""
    root: bool


class PartData(msgspec.Struct, frozen=True, gc=False):
    """Octets of the current part, decoded; never empty."""

    data: bytes


class PartEnd(msgspec.Struct, frozen=True, gc=False):
    """The current part is complete."""


Event = PartStart | PartData | PartEnd


class _State(Enum):
    PREAMBLE = auto()
    HEADERS = auto()
    START = auto()
    BODY = auto()
    EPILOGUE = auto()


_MORE: Final = -1
"""Position: the chunk is used up."""
_NOT_A_DELIMITER: Final = -2
"""Position: the line only begins like a delimiter."""
_PADDING: Final = 64
"""Octets of white space allowed after a boundary (RFC 2046 `transport-padding`)."""
_LINE_REST: Final = re.compile(rb"[ \t]{0,%d}+\r?\n" % _PADDING)
_LINE_UNDECIDED: Final = re.compile(rb"(?:[ \t]{0,%d}+\r?|-)\Z" % _PADDING)
_BLANK_LINE: Final = re.compile(rb"\n\r?\n")
_PART_END: Final = PartEnd()
_LINE_FEED: Final = 0x0A
_CARRIAGE_RETURN: Final = 0x0D


class MultipartReader:
    """One message whose Content-Type header is `content_type`; after an error the reader is of no more use.

    Raises `ExchangeError` of the `mime` branch, `message.too-large` for the root, `attachment.damaged` for a part whose
    transfer encoding is broken. Tolerated: preamble and epilogue, LF alone at the ends of header lines, LF alone before
    delimiters when the first delimiter line ends so, a root without Content-ID, `start` with and without brackets.
    """

    def __init__(self, content_type: str, limits: Limits) -> None:
        media_type, parameters = parse_content_type(content_type)
        if not media_type.startswith("multipart/"):
            raise ExchangeError(MIME_MALFORMED, element="Content-Type")
        self._limits = limits
        self._dash = b"--" + check_boundary(parameters.get("boundary", ""))
        self._delimiter = b"\n" + self._dash
        self._start_id = bare_content_id(parameters.get("start", ""))
        self._state = _State.PREAMBLE
        self._held = b"\n"  # as if a line had ended: the first delimiter may be the first octets
        self._block = bytearray()
        self._total = self._parts = self._size = 0
        self._size_limit = limits.headers
        self._root_named = False
        self._content_id = ""
        self._decoder: Decoder | None = None
        self._events: list[Event] = []
        self._failure: ExchangeError | None = None

    def feed(self, data: bytes) -> list[Event]:
        """The events that these octets complete.

        What is complete before an octet that is wrong is handed on first; then the next call raises.
        """
        self._raise_failure()
        self._total += len(data)
        if self._total > self._limits.total:
            raise ExchangeError(MIME_TOTAL_TOO_LARGE)
        chunk = self._held + data if self._held else data
        self._held = b""
        position = 0
        try:
            while position >= 0 and self._state is not _State.EPILOGUE:
                position = self._step(chunk, position)
        except ExchangeError as error:
            if not self._events:
                raise
            self._failure = error
        events, self._events = self._events, []
        return events

    def close(self) -> list[Event]:
        """The octets ended. Raises `mime.truncated` when the closing delimiter was not among them."""
        self._raise_failure()
        if self._state is not _State.EPILOGUE:
            raise ExchangeError(MIME_TRUNCATED)
        return []

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _step(self, chunk: bytes, position: int) -> int:
        if self._state is _State.HEADERS:
            return self._read_headers(chunk, position)
        if self._state is _State.START:
            return self._read_start(chunk, position)
        return self._read_body(chunk, position)

    def _read_headers(self, chunk: bytes, position: int) -> int:
        """Gather the header block, from the line end of its delimiter on; the position after it, or `_MORE`."""
        room = self._limits.headers + 3  # with the line end before the block and the blank line after it
        kept = self._block
        if not kept and (blank := _BLANK_LINE.search(chunk, position, position + room)) is not None:
            self._start_part(parse_headers(chunk[position + 1 : blank.start() + 1]))
            return blank.end()
        seen = len(kept)
        kept += chunk[position : position + room - seen]
        blank = _BLANK_LINE.search(kept, max(0, seen - 2))
        if blank is None:
            if len(kept) == room:
                raise ExchangeError(MIME_HEADERS_TOO_LARGE)
            return _MORE
        self._block = bytearray()
        self._start_part(parse_headers(bytes(kept[1 : blank.start() + 1])))
        return position + blank.end() - seen

    def _start_part(self, headers: Mapping[str, str]) -> None:
        content_id = bare_content_id(headers.get("content-id", ""))
        encoding = headers.get("content-transfer-encoding", "").lower()
        root = self._parts == 1
        self._check_root(content_id, root=root)
        self._content_id = content_id
        self._decoder = decoder_for(encoding, content_id)
        self._size = 0
        self._size_limit = self._limits.root if root else self._limits.part
        self._state = _State.START
        self._events.append(PartStart(headers, content_id, headers.get("content-type", ""), encoding, root))

    def _check_root(self, content_id: str, *, root: bool) -> None:
        """RFC 2387 §3.2 lets `start` name any part; a streaming receiver needs the envelope before the attachments."""
        named = content_id == self._start_id
        if self._start_id and ((root and content_id and not named) or (not root and named and not self._root_named)):
            raise ExchangeError(MIME_ROOT_NOT_FIRST)
        self._root_named = self._root_named or named

    def _read_start(self, chunk: bytes, position: int) -> int:
        """A delimiter may follow the header block at once: an empty part without a line end of its own."""
        begin = chunk[position : position + len(self._dash)]
        end = _NOT_A_DELIMITER
        if begin == self._dash:
            end = _line_end(chunk, position + len(begin))
        elif self._dash.startswith(begin):
            end = _MORE
        if end == _MORE:
            return self._hold(chunk, position)
        if end != _NOT_A_DELIMITER:
            return self._cross(chunk, end)
        self._state = _State.BODY
        return position

    def _read_body(self, chunk: bytes, position: int) -> int:
        """Hand on the octets before the next delimiter line; the position of that line's end, or `_MORE`."""
        delimiter = self._delimiter
        search = position
        while (found := chunk.find(delimiter, search)) >= 0:
            search = found + len(delimiter)
            end = _line_end(chunk, search)
            if end != _NOT_A_DELIMITER:
                self._emit(chunk[position:found])
                return self._hold(chunk, found) if end == _MORE else self._cross(chunk, end)
        # A delimiter may begin in the last octets. Its first octet occurs in it once, so there is one candidate.
        tail = chunk.rfind(delimiter[:1], max(position, len(chunk) - len(delimiter) + 1))
        if tail < 0 or not delimiter.startswith(chunk[tail:]):
            tail = len(chunk)
        self._emit(chunk[position:tail])
        return self._hold(chunk, tail)

    def _hold(self, chunk: bytes, position: int) -> int:
        self._held = chunk[position:]
        return _MORE

    def _emit(self, data: bytes) -> None:
        if self._decoder is not None:
            data = self._decoder.decode(data)
        if not data:
            return
        self._size += len(data)
        if self._size > self._size_limit:
            raise self._too_large()
        if self._state is not _State.PREAMBLE:
            self._events.append(PartData(data))

    def _too_large(self) -> ExchangeError:
        if self._state is _State.PREAMBLE:
            return ExchangeError(MIME_MALFORMED, element="preamble")
        if self._parts == 1:
            return ExchangeError(TOO_LARGE)
        return ExchangeError(MIME_PART_TOO_LARGE, element=self._content_id)

    def _cross(self, chunk: bytes, end: int) -> int:
        """Pass a delimiter line whose end was found by `_line_end`: the part before it is over."""
        if self._state is not _State.PREAMBLE:
            self._end_part()
        if chunk[end] != _LINE_FEED:
            return self._finish(chunk)
        if self._state is _State.PREAMBLE and chunk[end - 1] == _CARRIAGE_RETURN:
            self._delimiter = b"\r" + self._delimiter  # the first delimiter line says how the lines of this message end
        self._parts += 1
        if self._parts > self._limits.parts:
            raise ExchangeError(MIME_TOO_MANY_PARTS)
        self._state = _State.HEADERS
        return end

    def _end_part(self) -> None:
        if self._decoder is not None:
            decoder, self._decoder = self._decoder, None
            self._emit(decoder.finish())
        self._events.append(_PART_END)

    def _finish(self, chunk: bytes) -> int:
        if not self._parts:
            raise ExchangeError(MIME_MALFORMED, element="root")
        self._state = _State.EPILOGUE
        return len(chunk)


def _line_end(chunk: bytes, position: int) -> int:
    """How a line goes on whose boundary ended at `position`.

    The position of its LF, or `position` itself when `--` closes the message; `_MORE` when the chunk ends too early to
    know; `_NOT_A_DELIMITER` when the boundary was only the beginning of something else, which is data.
    """
    if chunk.startswith(b"--", position):
        return position
    if (rest := _LINE_REST.match(chunk, position)) is not None:
        return rest.end() - 1
    return _MORE if _LINE_UNDECIDED.match(chunk, position) else _NOT_A_DELIMITER
