"""Resumable uploads: a large attachment goes ahead of its document, and goes on where a broken line stopped it.

`HEAD` tells how far an upload has come, `PATCH` continues it there. When the last octet is in, the digest is compared
and the file fsynced before the answer. An upload belongs to the agency that made it: nobody can refer to another's.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections import defaultdict
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from aiohttp import ClientError, web

from hub.payloads.store import CHUNK, PayloadStore
from protocol import errors
from protocol.errors import ExchangeError
from protocol.exchange import Caller
from protocol.http.native import CALLER
from runtime import durable, logs

_log = logs.get(__name__)
DIGEST_CHARACTERS: Final = 64


class Uploads:
    """`HEAD` and `PATCH` of `…/payloads/{sha256}`. `audit` is awaited for every refusal before the peer hears of it."""

    def __init__(
        self,
        store: PayloadStore,
        authenticate: Callable[[web.Request], Caller],
        audit: Callable[[web.Request, ExchangeError], Awaitable[None]],
        maximum: int,
    ) -> None:
        self._store = store
        self._authenticate = authenticate
        self._audit = audit
        self._maximum = maximum
        self._locks: defaultdict[Path, asyncio.Lock] = defaultdict(asyncio.Lock)

    def mount(self, app: web.Application, path: str) -> None:
        """Add the routes below `path`."""
        app.router.add_route("HEAD", f"{path}/payloads/{{sha256}}", self.offset)
        app.router.add_route("PATCH", f"{path}/payloads/{{sha256}}", self.append)

    async def offset(self, request: web.Request) -> web.Response:
        """How many octets are here already (`Upload-Offset`); 404 when none."""
        try:
            final = self._final(request)
        except ExchangeError as error:
            return await self._refuse(request, error)
        held = _held(final)
        if held and not final.exists():
            # all of it may be here, and the hub was stopped before it could say so
            await asyncio.to_thread(_complete, final.with_name(final.name + durable.TEMPORARY_SUFFIX), final)
        if held is None:
            return web.Response(status=404, headers={"Upload-Offset": "0"})
        return web.Response(headers={"Upload-Offset": str(held), "Cache-Control": "no-store"})

    async def append(self, request: web.Request) -> web.Response:
        """Continue at `Upload-Offset`; 204 with the new offset, 409 with the right one when it was another."""
        try:
            final = self._final(request)
            start, length = _header(request, "Upload-Offset"), _header(request, "Upload-Length")
            if length > self._maximum:
                raise ExchangeError(errors.MIME_PART_TOO_LARGE)  # noqa: TRY301 -- one exit renders
            lock = self._locks[final]
            try:
                async with lock:
                    return await self._append(request, final, start, length)
            finally:
                if not lock.locked():
                    self._locks.pop(final, None)
        except ExchangeError as error:
            return await self._refuse(request, error)
        except OSError as error:
            _log.error("upload.failed", errno=error.errno)
            return await self._refuse(request, ExchangeError(errors.DISK_FULL))

    async def _append(self, request: web.Request, final: Path, start: int, length: int) -> web.Response:
        held = _held(final) or 0
        if start != held:
            return web.Response(status=409, headers={"Upload-Offset": str(held)})
        if final.exists():  # noqa: ASYNC240 -- a stat, not a read
            return web.Response(status=204, headers={"Upload-Offset": str(held)})
        partial = final.with_name(final.name + durable.TEMPORARY_SUFFIX)
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            held = await _receive(request, descriptor, held, length)
            await asyncio.to_thread(durable.fsync_file, descriptor)
        except (ExchangeError, OSError) as error:
            if not _is_broken_line(error):
                partial.unlink(missing_ok=True)  # not what was announced, or no room for it
            raise
        finally:
            os.close(descriptor)
        if held == length and not await asyncio.to_thread(_finish, partial, final):
            if start == 0:
                raise ExchangeError(errors.ATTACHMENT_DIGEST, element="sha256")
            # what was resumed may have been damaged here, by a power cut: the agency starts anew
            return web.Response(status=409, headers={"Upload-Offset": "0"})
        return web.Response(status=204, headers={"Upload-Offset": str(held)})

    def _final(self, request: web.Request) -> Path:
        caller = request[CALLER] = self._authenticate(request)
        name = request.match_info["sha256"]
        try:
            sha256 = bytes.fromhex(name)
        except ValueError:
            sha256 = b""
        if len(name) != DIGEST_CHARACTERS or not sha256:
            raise ExchangeError(errors.ELEMENT_TYPE, element="sha256")
        return self._store.upload_path(caller.agency, sha256)

    async def _refuse(self, request: web.Request, error: ExchangeError) -> web.Response:
        if not _is_broken_line(error):
            await self._audit(request, error)
        return web.Response(status=error.kind.http_status, headers={"Lienthong-Error": error.kind.code})


async def _receive(request: web.Request, descriptor: int, held: int, length: int) -> int:
    """Write what comes; a line that breaks keeps what was written. More than announced is refused."""
    pending: list[bytes] = []
    size = 0
    try:
        while data := await request.content.readany():
            held += len(data)
            if held > length:
                raise ExchangeError(errors.ATTACHMENT_DIGEST, element="Upload-Length")
            pending.append(data)
            size += len(data)
            if size >= 4 * CHUNK:
                await asyncio.to_thread(durable.write_all, descriptor, b"".join(pending))
                pending, size = [], 0
    except (ClientError, ConnectionError, web.RequestPayloadError) as error:
        await asyncio.to_thread(durable.write_all, descriptor, b"".join(pending))
        raise ExchangeError(errors.MIME_TRUNCATED) from error
    await asyncio.to_thread(durable.write_all, descriptor, b"".join(pending))
    return held


def _complete(partial: Path, final: Path) -> bool:
    """Give a partial upload its name when its octets are all there; else leave it as it is."""
    digest = hashlib.sha256()
    with partial.open("rb") as file:
        while data := file.read(CHUNK):
            digest.update(data)
        if not final.name.endswith(digest.hexdigest()):
            return False
        durable.fsync_file(file.fileno())
    durable.publish(partial, final)
    return True


def _finish(partial: Path, final: Path) -> bool:
    """Compare the digest with the name; False: it was another, and was thrown away, so that the next starts anew."""
    if _complete(partial, final):
        return True
    partial.unlink()
    return False


def _held(final: Path) -> int | None:
    for path in (final, final.with_name(final.name + durable.TEMPORARY_SUFFIX)):
        if path.exists():
            return path.stat().st_size
    return None


def _header(request: web.Request, name: str) -> int:
    value = request.headers.get(name, "")
    if not value.isascii() or not value.isdigit():
        raise ExchangeError(errors.ELEMENT_TYPE, element=name)
    return int(value)


def _is_broken_line(error: Exception) -> bool:
    """Nothing is refused then: what came is kept, and the agency goes on from there."""
    return isinstance(error, ExchangeError) and error.kind is errors.MIME_TRUNCATED
