"""The floor beside the hub: the same requests answered with nothing but what no hub could leave out.

`bare`: HTTP, TLS, one SHA-256 over the request, one RSA-2048 verification, a group fsync with one Ed25519 signature
before the answer to a document and to a confirmation, the stored octets on the way out. `sealed` adds what a sealed
document needs by its definition: the request is read by the MIME reader, its envelope parsed, and the seal opened
(exclusive C14N, digest, signature). Neither has a ledger, a tree, a certificate check, a mailbox or any other rule.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa

from certs import tls
from certs.bundle import TrustBundle
from protocol import native, soap
from protocol.http.incoming import IncomingMessage
from protocol.seal import open_seal
from runtime import service

ANSWER = b"<lt:MessageNumber>%d</lt:MessageNumber>" + b" " * 1800
MESSAGE = b'<lt:Message number="%d" kind="%b"/>' + b" " * 300

CONFIRMED = b"confirmed"


class Queue:
    """Numbers that wait for whoever asks."""

    def __init__(self) -> None:
        self._numbers: list[int] = []
        self._filled = asyncio.Event()

    def put(self, numbers: list[int]) -> None:
        self._numbers += numbers
        if numbers:
            self._filled.set()

    async def take(self, limit: int) -> list[int]:
        """Up to `limit` numbers; waits for the first."""
        while not self._numbers:
            self._filled.clear()
            await self._filled.wait()
        found, self._numbers = self._numbers[:limit], self._numbers[limit:]
        return found


class Floor:
    """The answers. `read` turns a request of SendDocument into the octets to be stored."""

    def __init__(self, folder: Path, kind: str) -> None:
        self._read: Callable[[web.Request], Awaitable[bytes]] = {"bare": self._bare, "sealed": self._sealed}[kind]
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._signed = key.sign(b"x", padding.PKCS1v15(), hashes.SHA256())
        self._public = key.public_key()
        self._log = ed25519.Ed25519PrivateKey.generate()
        self._file = os.open(folder / "floor", os.O_RDWR | os.O_CREAT | os.O_APPEND)
        self._end = 0
        self._stored: list[tuple[int, int]] = []
        self._pending: list[tuple[bytes, asyncio.Future[int]]] = []
        self._documents = Queue()
        self._notices = Queue()
        self._wake = asyncio.Event()

    async def writer(self) -> None:
        """One write, one fsync and one signature for all that wait; a confirmation is a line of its own."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            group, self._pending = self._pending, []
            await asyncio.to_thread(self._write, [data for data, _ in group])
            self._log.sign(b"checkpoint")
            first = len(self._stored) + 1
            for data, future in group:
                if len(data) > len(CONFIRMED):
                    self._stored.append((self._end, len(data)))
                self._end += len(data)
                future.set_result(len(self._stored))
            self._documents.put(list(range(first, len(self._stored) + 1)))

    async def _durable(self, data: bytes) -> int:
        """The number of what was written, once it is on the disk."""
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._pending.append((data, future))
        self._wake.set()
        return await future

    async def handle(self, request: web.Request) -> web.Response:
        """Any of the requests of the load."""
        if request.headers["Content-Type"].startswith("multipart/"):
            return await self._send(request)
        body = await request.read()
        if b"<lt:GetPending" in body:
            return await self._list(b">200<" in body)
        if b"<lt:GetDocument" in body:
            position, length = self._stored[_number(body) - 1]
            return web.Response(body=b"<lt:Receipt>" + os.pread(self._file, length, position))
        await self._durable(CONFIRMED)
        return web.Response(body=CONFIRMED)

    async def _send(self, request: web.Request) -> web.Response:
        return web.Response(body=ANSWER % await self._durable(await self._read(request)))

    async def _list(self, notices: bool) -> web.Response:
        if notices:
            found, kind = await self._notices.take(200), b"notice"
        else:
            found, kind = await self._documents.take(50), b"document"
            self._notices.put(found)
        return web.Response(body=b"".join(MESSAGE % (number, kind) for number in found))

    async def _bare(self, request: web.Request) -> bytes:
        body = await request.read()
        hashlib.sha256(body).digest()
        self._public.verify(self._signed, b"x", padding.PKCS1v15(), hashes.SHA256())
        return body

    async def _sealed(self, request: web.Request) -> bytes:
        message = IncomingMessage(request)
        asked = native.read_request(soap.read_envelope(await message.read_root()).body)
        assert isinstance(asked, native.SendDocumentRequest)
        opened = open_seal(asked.envelope)
        pieces = [opened.sealed]
        async for upload in message.uploads():
            data = b"".join([piece async for piece in upload])
            hashlib.sha256(data).digest()
            pieces += [b"\r\n\r\n", data]
        return b"".join(pieces)

    def _write(self, group: list[bytes]) -> None:
        os.write(self._file, b"".join(group))
        os.fsync(self._file)


def _number(body: bytes) -> int:
    return int(body.split(b"<lt:MessageNumber>", 1)[1].split(b"<", 1)[0])


async def serve(folder: Path, kind: str, port: int, drain: asyncio.Event) -> None:
    """Answer with the certificate of the hub in `folder` until `drain`."""
    floor = Floor(folder, kind)
    task = asyncio.create_task(floor.writer())
    app = web.Application(client_max_size=1 << 30)
    app.router.add_post("/lienthong/v1", floor.handle)
    # a poll whose client has gone must not take what is meant for the next
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    context = tls.server_context(folder / "hub.pem", folder / "hub.key", TrustBundle.load(folder / "ca"))
    await web.TCPSite(runner, "127.0.0.1", port, ssl_context=context).start()
    await drain.wait()
    task.cancel()
    await runner.cleanup()


if __name__ == "__main__":
    sys.setswitchinterval(0.001)
    service.run(lambda drain: serve(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), drain))
