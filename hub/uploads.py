"""Resumable uploads: a large attachment goes ahead of its document, and goes on where a broken line stopped it.

`HEAD` tells how far an upload has come, `PATCH` continues it there. An upload is hashed while it comes; when its last
octet is in, the digest is compared and the file fsynced before the answer. It belongs to the agency that made it:
nobody can refer to another's.

One request at a time writes to an upload. What a failed write or fsync leaves is never continued: the kernel may have
dropped what memory still shows.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from aiohttp import web

from hub.configuration import Limits
from hub.payloads.store import PayloadStore, Receiving
from hub.upload_room import UploadRoom
from protocol import errors
from protocol.errors import ExchangeError
from protocol.exchange import Caller
from protocol.http.incoming import Body, Patience
from protocol.http.native import CALLER
from runtime import durable, logs

_log = logs.get(__name__)
DIGEST_CHARACTERS: Final = 64


class _Upload:
    """One upload of one agency: its two names, and whose turn it is."""

    def __init__(self, agency: str, sha256: bytes, final: Path) -> None:
        self.agency = agency
        self.sha256 = sha256
        self.final = final
        self.partial = final.with_name(final.name + durable.TEMPORARY_SUFFIX)
        self.turn = asyncio.Lock()
        self.users = 0

    def held(self) -> int | None:
        """Octets that are here; None when there is no such upload."""
        for path in (self.final, self.partial):
            try:
                return path.stat().st_size
            except FileNotFoundError:
                continue
        return None


class Uploads:
    """`HEAD` and `PATCH` of `…/payloads/{sha256}`. `audit` is awaited for every refusal before the peer hears of it."""

    def __init__(
        self,
        store: PayloadStore,
        authenticate: Callable[[web.Request], Caller],
        audit: Callable[[web.Request, ExchangeError], Awaitable[None]],
        limits: Limits,
        patience: Patience,
    ) -> None:
        self._store = store
        self._authenticate = authenticate
        self._audit = audit
        self._maximum = limits.attachment
        self._patience = patience
        self._room = UploadRoom(store.uploads, for_agency=limits.uploads, reserve=limits.disk_free)
        self._uploads: dict[Path, _Upload] = {}
        """Those that a request is about now."""
        self._hashed: set[Path] = set()
        """Partial files that this process wrote or hashed, and that are not whole."""
        self._condemned: set[Path] = set()
        """Partial files that a disk error may have damaged, and that could not be removed."""

    def mount(self, app: web.Application, path: str) -> None:
        """Add the routes below `path`."""
        app.router.add_route("HEAD", f"{path}/payloads/{{sha256}}", self.offset)
        app.router.add_route("PATCH", f"{path}/payloads/{{sha256}}", self.append)

    async def offset(self, request: web.Request) -> web.Response:
        """How many octets are here already (`Upload-Offset`); 404 when none."""
        return await self._handle(request, self._offset)

    async def append(self, request: web.Request) -> web.Response:
        """Continue at `Upload-Offset`; 204 with the new offset, 409 with the right one when it was another."""
        return await self._handle(request, self._append)

    async def _handle(
        self, request: web.Request, method: Callable[[web.Request, _Upload], Awaitable[web.Response]]
    ) -> web.Response:
        try:
            async with self._about(request) as upload:
                response = await method(request, upload)
            return await self._heard_out(request, response)
        except ExchangeError as error:
            return await self._refuse(request, error)
        except OSError as error:
            _log.error("upload.failed", errno=error.errno)
            full = error.errno in {errno.ENOSPC, errno.EDQUOT}
            return await self._refuse(request, ExchangeError(errors.DISK_FULL if full else errors.INTERNAL))

    @asynccontextmanager
    async def _about(self, request: web.Request) -> AsyncIterator[_Upload]:
        """The upload that the request names; the same object for all who ask about it at once."""
        caller = request[CALLER] = self._authenticate(request)
        name = request.match_info["sha256"]
        try:
            sha256 = bytes.fromhex(name)
        except ValueError:
            sha256 = b""
        if len(name) != DIGEST_CHARACTERS or not sha256:
            raise ExchangeError(errors.ELEMENT_TYPE, element="sha256")
        final = self._store.upload_path(caller.agency, sha256)
        upload = self._uploads.setdefault(final, _Upload(caller.agency, sha256, final))
        upload.users += 1
        try:
            yield upload
        finally:
            upload.users -= 1
            if not upload.users:
                del self._uploads[final]

    async def _offset(self, _request: web.Request, upload: _Upload) -> web.Response:
        if not upload.turn.locked():  # else octets are coming, and whoever asks may as well be told how many
            async with upload.turn:
                await self._settle(upload)
        held = upload.held()
        if held is None:
            return web.Response(status=404, headers={"Upload-Offset": "0"})
        return web.Response(headers={"Upload-Offset": str(held), "Cache-Control": "no-store"})

    async def _append(self, request: web.Request, upload: _Upload) -> web.Response:
        start, length = _header(request, "Upload-Offset"), _header(request, "Upload-Length")
        if length > self._maximum:
            raise ExchangeError(errors.MIME_PART_TOO_LARGE)
        async with upload.turn:
            await self._settle(upload)
            held = upload.held() or 0
            if start != held:
                return _stands_at(409, held)
            if upload.final.exists():
                return _stands_at(204, held)
            async with self._room.taken(upload.agency, upload.partial, held=held, length=length):
                return await self._continue(request, upload, held, length)

    async def _continue(self, request: web.Request, upload: _Upload, start: int, length: int) -> web.Response:
        receiving = Receiving(upload.partial, resumed=True)
        try:
            if start:
                await receiving.take_over()
            broken = await self._receive(request, receiving, length)
            digest = await receiving.finish()
        except (ExchangeError, OSError):
            await self._throw_away(upload, receiving)
            raise
        except BaseException:  # the hub stops
            receiving.leave()
            raise
        self._hashed.add(upload.partial)
        if digest == upload.sha256:
            await self._publish(upload)
        if broken is not None:
            raise broken
        if receiving.size == length and digest != upload.sha256:
            self._remove(upload)
            if start == 0:
                raise ExchangeError(errors.ATTACHMENT_DIGEST, element="sha256")
            # what was resumed may have been damaged here, by a power cut: the agency starts anew
        return _stands_at(409 if upload.held() is None else 204, upload.held() or 0)

    async def _receive(self, request: web.Request, receiving: Receiving, length: int) -> ExchangeError | None:
        """Write what comes; why it came no further, if it did not. More than announced is refused."""
        body = Body(request, self._patience)
        body.root_is_whole()
        try:
            while data := await body.more():
                if receiving.size + len(data) > length:
                    raise ExchangeError(errors.ATTACHMENT_DIGEST, element="Upload-Length")  # noqa: TRY301 -- told apart below
                await receiving.write(data)
        except ExchangeError as error:
            if error.kind not in {errors.MIME_TRUNCATED, errors.TOO_SLOW}:
                raise
            return error
        return None

    async def _settle(self, upload: _Upload) -> None:
        """Make of what lies there what may be continued: nothing condemned, and nothing that is whole already."""
        if upload.partial in self._condemned:
            self._remove(upload)
        if upload.final.exists():
            # its name may be in memory only: the hub was stopped, or the disk failed, before the folder's fsync
            await asyncio.to_thread(durable.fsync_directory, upload.final.parent)
        elif upload.partial not in self._hashed and upload.held():
            await self._judge(upload)

    async def _judge(self, upload: _Upload) -> None:
        """All of it may be here, and the hub was stopped before it could say so.

        What is not whole gives back its last octet: all of them may be here and some be damaged, by a power cut. The
        agency must have something to send, or it would never hear that it must start anew.
        """
        receiving = Receiving(upload.partial, resumed=True)
        try:
            await receiving.take_over()
            digest = await receiving.finish()
        except OSError:
            await self._throw_away(upload, receiving)
            raise
        except BaseException:  # the hub stops
            receiving.leave()
            raise
        self._hashed.add(upload.partial)
        if digest == upload.sha256:
            await self._publish(upload)
        else:
            await asyncio.to_thread(os.truncate, upload.partial, receiving.size - 1)

    async def _publish(self, upload: _Upload) -> None:
        """Give a whole upload its name; a document with a state-secret mark may have taken it away meanwhile."""
        self._hashed.discard(upload.partial)
        try:
            await asyncio.to_thread(durable.publish, upload.partial, upload.final)
        except FileNotFoundError:
            _log.info("upload.forgotten", agency=upload.agency)

    async def _throw_away(self, upload: _Upload, receiving: Receiving) -> None:
        """Condemned first: if it cannot be removed either, it is when somebody asks next."""
        self._condemned.add(upload.partial)
        self._hashed.discard(upload.partial)
        await receiving.settle()
        receiving.discard()
        self._condemned.discard(upload.partial)

    def _remove(self, upload: _Upload) -> None:
        """Raises `OSError`; then it stays condemned."""
        self._condemned.add(upload.partial)
        self._hashed.discard(upload.partial)
        upload.partial.unlink(missing_ok=True)
        self._condemned.discard(upload.partial)

    async def _refuse(self, request: web.Request, error: ExchangeError) -> web.Response:
        if error.kind is not errors.MIME_TRUNCATED:  # nobody hears of that: the line is gone, and will be back
            await self._audit(request, error)
        response = web.Response(status=error.kind.http_status, headers={"Lienthong-Error": error.kind.code})
        if CALLER not in request:
            response.force_close()
            return response
        return await self._heard_out(request, response)

    async def _heard_out(self, request: web.Request, response: web.Response) -> web.Response:
        """An agency that is still sending gets the answer only once it has sent; one with much left is cut off."""
        if not await Body(request, self._patience).drain():
            response.force_close()
        return response


def _stands_at(status: int, held: int) -> web.Response:
    return web.Response(status=status, headers={"Upload-Offset": str(held)})


def _header(request: web.Request, name: str) -> int:
    value = request.headers.get(name, "")
    if not value.isascii() or not value.isdigit():
        raise ExchangeError(errors.ELEMENT_TYPE, element=name)
    return int(value)
