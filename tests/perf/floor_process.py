"""The floor beside the hub: the same requests answered with nothing but their HTTP, TLS, hashing, signatures and fsync.

Per document: one RSA verification and SHA-256 over envelope and attachment on the way in, a group fsync before the
answer with one Ed25519 signature for the group, the stored octets on the way out. No XML, no ledger, no tree, no checks.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
import tempfile
from pathlib import Path

from aiohttp import web
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa

from certs import tls
from certs.bundle import TrustBundle
from runtime import service

ANSWER = b"<lt:MessageNumber>%d</lt:MessageNumber>" + b" " * 1800
MESSAGES = b'<lt:Message number="%d" kind="document"/>' + b" " * 300


class Floor:
    def __init__(self, folder: Path) -> None:
        self._rsa = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._signed = self._rsa.sign(b"x", padding.PKCS1v15(), hashes.SHA256())
        self._public = self._rsa.public_key()
        self._log = ed25519.Ed25519PrivateKey.generate()
        self._file = os.open(folder / "floor", os.O_RDWR | os.O_CREAT | os.O_APPEND)
        self._end = 0
        self._stored: list[tuple[int, int]] = []
        self._pending: list[tuple[bytes, asyncio.Future[int]]] = []
        self._waiting: list[int] = []
        self._notices: list[int] = []
        self._wake = asyncio.Event()

    async def writer(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            group, self._pending = self._pending, []
            await asyncio.to_thread(self._write, [data for data, _ in group])
            self._log.sign(b"checkpoint")
            for data, future in group:
                self._stored.append((self._end, len(data)))
                self._end += len(data)
                self._waiting.append(len(self._stored))
                future.set_result(len(self._stored))

    def _write(self, group: list[bytes]) -> None:
        os.write(self._file, b"".join(group))
        os.fsync(self._file)

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        if b"SendDocument" in body[:2000]:
            hashlib.sha256(body).digest()
            self._public.verify(self._signed, b"x", padding.PKCS1v15(), hashes.SHA256())
            future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
            self._pending.append((body, future))
            self._wake.set()
            return web.Response(body=ANSWER % await future)
        if b"GetPending" in body:
            if b">200<" in body:
                found, self._notices = self._notices, []
            else:
                found, self._waiting = self._waiting[:50], self._waiting[50:]
                self._notices += found
            if not found:
                await asyncio.sleep(0.005)
            return web.Response(body=b"".join(MESSAGES % number for number in found))
        if b"GetDocument" in body:
            number = int(body.split(b"<lt:MessageNumber>", 1)[1].split(b"<", 1)[0])
            position, length = self._stored[number - 1]
            return web.Response(body=b"<lt:Receipt>" + os.pread(self._file, length, position))
        return web.Response(body=b"ok")


async def run(hub_folder: Path, drain: asyncio.Event) -> None:
    folder = Path(tempfile.mkdtemp(dir=hub_folder))
    floor = Floor(folder)
    task = asyncio.create_task(floor.writer())
    app = web.Application(client_max_size=1 << 30)
    app.router.add_post("/lienthong/v1", floor.handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    context = tls.server_context(hub_folder / "hub.pem", hub_folder / "hub.key", TrustBundle.load(hub_folder / "ca"))
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    print(runner.addresses[0][1], flush=True)
    await drain.wait()
    task.cancel()
    await runner.cleanup()


if __name__ == "__main__":
    service.run(lambda drain: run(Path(sys.argv[1]), drain))
