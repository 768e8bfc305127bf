"""A SOAP request as it arrives over HTTP: the root part whole and first, attachments as streams behind it.

The root is read before a single octet of an attachment is asked for, so a message that must leave no trace (Điều 4.2a)
is refused while it is only in memory.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from aiohttp import ClientError, web

from protocol import errors
from protocol.errors import ExchangeError
from protocol.mime import Limits, MultipartReader, PartData, PartEnd, PartStart, parse_content_type
from protocol.mime.reader import Event

DEFAULT_LIMITS: Final = Limits(total=4 << 30, part=2 << 30, parts=1001, headers=16 << 10, root=4 << 20)
"""2 GiB an attachment, 4 GiB a message, 1,000 attachments, 4 MiB of envelope."""
DRAIN: Final = 1 << 20
"""Octets of a refused request that are still read, so that the peer gets the answer before the connection closes."""


class IncomingUpload:
    """One attachment while it arrives; iterate once."""

    def __init__(self, source: IncomingMessage, start: PartStart) -> None:
        self._source = source
        self.content_id = start.content_id
        self.content_type = start.content_type

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The octets, decoded, to the end of the part."""
        while True:
            event = await self._source.next_event()
            if isinstance(event, PartEnd):
                return
            if isinstance(event, PartData):
                yield event.data


class IncomingMessage:
    """One request. `read_root` first, then `uploads`."""

    def __init__(self, request: web.Request, limits: Limits = DEFAULT_LIMITS) -> None:
        self._request = request
        self._limits = limits
        self._events: list[Event] = []
        self._next = 0
        self._ended = False
        content_type = request.headers.get("Content-Type", "")
        multipart = parse_content_type(content_type)[0].startswith("multipart/") if content_type else False
        self._reader = MultipartReader(content_type, limits) if multipart else None

    async def read_root(self) -> bytes:
        """The SOAP envelope. Raises `ExchangeError` of the `mime` branch, or `message.too-large`."""
        if self._reader is None:
            return await self._read_plain()
        pieces: list[bytes] = []
        while True:
            event = await self.next_event()
            if isinstance(event, PartEnd):
                return pieces[0] if len(pieces) == 1 else b"".join(pieces)
            if isinstance(event, PartData):
                pieces.append(event.data)

    async def uploads(self) -> AsyncIterator[IncomingUpload]:
        """The parts behind the root, in their order; each must be consumed before the next is asked for."""
        while self._reader is not None:
            event = await self._event_or_end()
            if event is None:
                return
            if isinstance(event, PartStart):
                yield IncomingUpload(self, event)

    async def next_event(self) -> Event:
        """The next event of the multipart reader. Raises `mime.truncated` when there is none."""
        event = await self._event_or_end()
        if event is None:
            raise ExchangeError(errors.MIME_TRUNCATED)
        return event

    async def drain(self) -> bool:
        """Read what is left, up to `DRAIN` octets; False when more remains and the connection should be closed."""
        content = self._request.content
        left = DRAIN
        while left > 0:
            try:
                data = await content.readany()
            except (ClientError, OSError, web.RequestPayloadError):
                return False
            if not data:
                return True
            left -= len(data)
        return content.at_eof()

    async def _read_plain(self) -> bytes:
        pieces = []
        size = 0
        while data := await self._more():
            size += len(data)
            if size > self._limits.root:
                raise ExchangeError(errors.TOO_LARGE)
            pieces.append(data)
        return b"".join(pieces)

    async def _event_or_end(self) -> Event | None:
        assert self._reader is not None
        while self._next >= len(self._events):
            if self._ended:
                return None
            data = await self._more()
            self._ended = not data
            self._events = self._reader.feed(data) if data else self._reader.close()
            self._next = 0
        event = self._events[self._next]
        self._next += 1
        return event

    async def _more(self) -> bytes:
        """What the transport has. A body that breaks off is `mime.truncated`."""
        try:
            return await self._request.content.readany()
        except (ClientError, ConnectionError, web.RequestPayloadError) as error:
            raise ExchangeError(errors.MIME_TRUNCATED) from error
