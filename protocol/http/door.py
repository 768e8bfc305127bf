"""Those who have proved nothing yet: how much of their request is read, and how many of them at a time.

The token of package B stands inside the envelope, so an envelope must be read before its sender is known. Until then
there is room for `UNPROVED` octets, without a tree of them, in `PLACES` requests; the rest waits outside, where it
costs a connection. Whoever shows a client certificate is known before the first octet and never comes here.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web

from protocol import errors
from protocol.errors import ExchangeError
from protocol.package_b.credentials import Credentials, find_credentials

UNPROVED: Final = 512 << 10
"""Octets of an envelope within which its credentials must stand: a header with a thousand recipients."""
PLACES: Final = 64
PER_ADDRESS: Final = 16
"""Of the places, for one network address: an office behind one address is several, a flood is no more."""
WAIT: Final = 10.0
"""Seconds that a request waits for a place."""


def shows_certificate(request: web.Request) -> bool:
    """Whether the connection was opened with a client certificate that some authority of ours signed."""
    channel = request.get_extra_info("ssl_object")
    return isinstance(channel, ssl.SSLObject) and bool(channel.getpeercert(binary_form=True))


class Door:
    """The places of one service."""

    def __init__(self, places: int = PLACES, per_address: int = PER_ADDRESS) -> None:
        self._places = places
        self._per_address = per_address
        self._inside: Counter[str] = Counter()
        self._left = asyncio.Condition()

    @asynccontextmanager
    async def enter(self, address: str) -> AsyncIterator[None]:
        """Hold a place. Raises `server.busy` when none becomes free in time."""
        if not self._is_room(address):
            await self._wait(address)
        self._inside[address] += 1
        try:
            yield
        finally:
            self._inside[address] -= 1
            if not self._inside[address]:
                del self._inside[address]
            async with self._left:
                self._left.notify_all()

    def _is_room(self, address: str) -> bool:
        return self._inside.total() < self._places and self._inside[address] < self._per_address

    async def _wait(self, address: str) -> None:
        try:
            async with asyncio.timeout(WAIT), self._left:
                await self._left.wait_for(lambda: self._is_room(address))
        except TimeoutError as error:
            raise ExchangeError(errors.BUSY, waiting="unproved") from error


class Gate:
    """One request of somebody unproved: `look` while its root grows, `close` when it is whole."""

    def __init__(self, prove: Callable[[Credentials], Awaitable[None]]) -> None:
        self._prove = prove
        self._proved = False

    async def look(self, root: bytes | bytearray) -> None:
        """More than `UNPROVED` octets are taken of nobody who is not proved by them. Raises `caller.*`, `message.*`."""
        if not self._proved and len(root) > UNPROVED:
            await self._judge(bytes(root), whole=False)

    async def close(self, root: bytes) -> None:
        """As `look`, at the end."""
        if not self._proved:
            await self._judge(root, whole=True)

    async def _judge(self, root: bytes, *, whole: bool) -> None:
        await self._prove(find_credentials(root, whole=whole))
        self._proved = True
