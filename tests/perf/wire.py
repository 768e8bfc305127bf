"""The lightest HTTP client that can load a server: prepared octets out, status and body in, over kept TLS connections.

A client library would use more of the two cores than the hub that is measured.
"""

from __future__ import annotations

import asyncio
import re
import ssl

_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")


class Connection:
    """One kept connection; one request at a time."""

    def __init__(self, host: str, port: int, context: ssl.SSLContext | None) -> None:
        self._address = host, port
        self._context = context
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def open(self) -> None:
        host, port = self._address
        self._reader, self._writer = await asyncio.open_connection(host, port, ssl=self._context, limit=1 << 20)

    async def call(self, request: bytes) -> tuple[bytes, bytes]:
        """Header block and body of the answer."""
        if self._writer is None:
            await self.open()
        assert self._reader is not None and self._writer is not None
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        found = _LENGTH.search(head)
        body = await self._reader.readexactly(int(found[1])) if found else b""
        if not head.startswith(b"HTTP/1.1 20"):
            raise RuntimeError(f"{head[:40]!r} {body[:600]!r}")
        return head, body

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def post(path: str, body: bytes, content_type: str) -> bytes:
    """A whole POST request."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {content_type}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
