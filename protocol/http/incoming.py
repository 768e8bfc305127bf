"""A SOAP request as it arrives over HTTP: the root part whole and first, attachments as streams behind it.

The root is read before a single octet of an attachment is asked for, so a message that must leave no trace (Điều 4.2a)
is refused while it is only in memory. Waiting has limits, so that nobody holds a place by sending slowly.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

import msgspec
from aiohttp import ClientError, web

from protocol import errors
from protocol.errors import ExchangeError
from protocol.mime import Limits, MultipartReader, PartData, PartEnd, PartStart, parse_content_type
from protocol.mime.reader import Event

DEFAULT_LIMITS: Final = Limits(total=4 << 30, part=2 << 30, parts=1001, headers=16 << 10, root=4 << 20)
"""2 GiB an attachment, 4 GiB a message, 1,000 attachments, 4 MiB of envelope."""
DRAIN: Final = 1 << 20
"""Octets of a refused request that are still read, so that the peer gets the answer before the connection closes."""
SLOWEST: Final = 1 << 10
"""Octets per second that a body must bring on average, once `Patience.stall` is used up."""


class Patience(msgspec.Struct, frozen=True, kw_only=True):
    """How long a slow peer is waited for, in seconds."""

    root: float = 60.0
    """From the first look at the body until the root part is whole."""
    stall: float = 60.0
    """Without a single octet."""


DEFAULT_PATIENCE: Final = Patience()
Look = Callable[[bytes | bytearray], Awaitable[None]]
"""Given the root as far as it is here, after each piece of it."""


class Body:
    """The octets of one request's body, with `Patience`."""

    def __init__(self, request: web.Request, patience: Patience = DEFAULT_PATIENCE) -> None:
        self._content = request.content
        self._loop = asyncio.get_running_loop()
        self._stall = patience.stall
        self._limit = self._loop.time() + patience.root
        self._waited = 0.0
        self.size = 0
        """Octets so far."""

    def root_is_whole(self) -> None:
        """From now on only stalling is judged, not the time of the whole."""
        self._limit = float("inf")

    async def more(self) -> bytes:
        """What the transport has; b"" at the end. Raises `mime.truncated`, `server.too-slow`."""
        try:
            data = self._content.read_nowait() or await self._wait()
        except TimeoutError as error:
            raise ExchangeError(errors.TOO_SLOW, received=self.size) from error
        except (ClientError, ConnectionError, web.RequestPayloadError) as error:
            raise ExchangeError(errors.MIME_TRUNCATED) from error
        self.size += len(data)
        return data

    async def drain(self) -> bool:
        """Read what is left, up to `DRAIN` octets; False when more remains and the connection should be closed."""
        left = DRAIN
        self._limit = self._loop.time() + self._stall
        while left > 0:
            try:
                data = self._content.read_nowait() or await self._wait()
            except (ClientError, OSError, web.RequestPayloadError):
                return False
            if not data:
                return True
            left -= len(data)
        return self._content.at_eof()

    async def _wait(self) -> bytes:
        """A timer that breaks the stream costs half of what `asyncio.timeout` does; this is on every document's way."""
        if self._content.at_eof():
            return b""
        now = self._loop.time()
        seconds = min(self._stall, self._limit - now, self._stall + self.size / SLOWEST - self._waited)
        timer = self._loop.call_later(max(seconds, 0.0), self._content.set_exception, TimeoutError())
        try:
            return await self._content.readany()
        finally:
            timer.cancel()
            self._waited += self._loop.time() - now


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

    def __init__(
        self, request: web.Request, limits: Limits = DEFAULT_LIMITS, patience: Patience = DEFAULT_PATIENCE
    ) -> None:
        self._body = Body(request, patience)
        self._limits = limits
        self._events: list[Event] = []
        self._next = 0
        self._ended = False
        content_type = request.headers.get("Content-Type", "")
        multipart = parse_content_type(content_type)[0].startswith("multipart/") if content_type else False
        self._reader = MultipartReader(content_type, limits) if multipart else None

    async def read_root(self, look: Look | None = None) -> bytes:
        """The SOAP envelope. `look` sees it grow, and may stop it.

        Raises `ExchangeError` of the `mime` branch, `message.too-large`, `server.too-slow`.
        """
        root: bytes | bytearray = b""
        while piece := await self._root_piece():
            if not root:
                root = piece
            else:  # an array, because pieces of one octet would take forty times their size
                root = bytearray(root) if isinstance(root, bytes) else root
                root += piece
            if look is not None:
                await look(root)
        self._body.root_is_whole()
        return bytes(root)

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
        return await self._body.drain()

    async def _root_piece(self) -> bytes:
        """Some octets of the root; b"" at its end."""
        if self._reader is None:
            data = await self._body.more()
            if self._body.size > self._limits.root:
                raise ExchangeError(errors.TOO_LARGE)
            return data
        while not isinstance(event := await self.next_event(), PartEnd):
            if isinstance(event, PartData):
                return event.data
        return b""

    async def _event_or_end(self) -> Event | None:
        assert self._reader is not None
        while self._next >= len(self._events):
            if self._ended:
                return None
            data = await self._body.more()
            self._ended = not data
            self._events = self._reader.feed(data) if data else self._reader.close()
            self._next = 0
        event = self._events[self._next]
        self._next += 1
        return event
