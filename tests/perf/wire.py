"""The lightest HTTP client that can load a server: prepared octets out, whole answers in, over kept TLS connections.

A client library would use more of the two cores than the hub that is measured.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Callable, Iterable
from typing import Final, Self

_LENGTH: Final = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
_END: Final = b"\r\n\r\n"


class AnswerError(RuntimeError):
    """The server answered with an error, or the connection ended."""


class Connection(asyncio.Protocol):
    """One kept connection, one request at a time."""

    def __init__(self, host: str, port: int, context: ssl.SSLContext | None) -> None:
        self._address = host, port
        self._context = context
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[bytes] | None = None
        self._pieces: list[bytes] = []
        self._received = 0
        self._wanted = 0
        self._consume: Callable[[bytes], None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def open(self) -> None:
        """Connect; otherwise the first request does."""
        await asyncio.get_running_loop().create_connection(lambda: self, *self._address, ssl=self._context)

    async def call(self, request: bytes) -> bytes:
        """The whole answer, header block and body. Raises `AnswerError` unless its status is 2xx."""
        answer = await self.start(request)
        return await answer

    async def stream(self, head: bytes, pieces: Iterable[bytes]) -> bytes:
        """As `call`, for a body that is too large to be held: it is made while it is sent."""
        answer = await self.start(head)
        assert self._transport is not None
        for piece in pieces:
            self._transport.write(piece)
            await self._writable.wait()
        return await answer

    async def download(self, request: bytes, consume: Callable[[bytes], None]) -> bytes:
        """As `call`, for an answer that is too large to be held: every piece of its body goes to `consume`.

        Returns the header block.
        """
        self._consume = consume
        try:
            return await self.call(request)
        finally:
            self._consume = None

    async def start(self, head: bytes) -> asyncio.Future[bytes]:
        """Send the beginning of a request; the future is its answer."""
        if self._transport is None:
            await self.open()
        assert self._transport is not None
        self._pieces, self._received, self._wanted = [], 0, 0
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(head)
        return self._answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment] # a stream's transport reads and writes

    def data_received(self, data: bytes) -> None:
        self._received += len(data)
        if self._wanted and self._consume is not None:
            self._consume(data)
        else:
            self._pieces.append(data)
        if not self._wanted:
            self._look_for_length()
        if self._wanted and self._received >= self._wanted:
            self._settle(b"".join(self._pieces))

    def _look_for_length(self) -> None:
        beginning = b"".join(self._pieces)
        self._wanted, body = _whole_length(beginning)
        if self._wanted and self._consume is not None:
            self._pieces = [beginning[:body]]
            self._consume(beginning[body:])

    def _settle(self, answer: bytes) -> None:
        if self._answer is None or self._answer.done():
            return
        if answer.startswith(b"HTTP/1.1 2"):
            self._answer.set_result(answer)
        else:
            self._answer.set_exception(AnswerError(answer[:800]))

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._writable.set()
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(AnswerError(f"connection lost: {exc!r}"))

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def close(self) -> None:
        """End the connection, at once."""
        self._answer = None
        if self._transport is not None:
            self._transport.abort()


def _whole_length(beginning: bytes) -> tuple[int, int]:
    """Octets of the whole answer, and where its body begins; zeros while its header block is not complete."""
    end = beginning.find(_END)
    if end < 0:
        return 0, 0
    found = _LENGTH.search(beginning, 0, end + 2)
    body = end + len(_END)
    return body + (int(found[1]) if found else 0), body


def head(method: str, path: str, length: int, **headers: str) -> bytes:
    """The header block of a request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Content-Length: {length}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def post(path: str, body: bytes, content_type: str) -> bytes:
    """A whole POST request."""
    return head("POST", path, len(body), Content_Type=content_type) + body
