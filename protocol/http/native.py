"""The native package over HTTP: thin aiohttp handlers in front of an `Exchange`.

Each request is read, one method of the port is called, the answer is rendered in the SOAP version of the request. What
the request was and how it ended is left on the request (`CALLER`, `REFUSAL`) for the program's audit.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Awaitable, Callable, Iterator
from typing import Final, Literal, Protocol

import structlog
from aiohttp import web

from protocol import errors, native, soap
from protocol.errors import ExchangeError
from protocol.exchange import Accepted, Caller, Delivery, Exchange, SealedSubmission
from protocol.http.failures import whereabouts
from protocol.http.incoming import DEFAULT_LIMITS, DEFAULT_PATIENCE, IncomingMessage, Patience
from protocol.http.soap_action import version_hint
from protocol.mime import Limits, MultipartWriter
from protocol.soap import SoapVersion

CALLER: Final[web.RequestKey[Caller]] = web.RequestKey("caller", Caller)
REFUSAL: Final[web.RequestKey[ExchangeError]] = web.RequestKey("refusal", ExchangeError)
LONG_POLL: Final[web.RequestKey[bool]] = web.RequestKey("long poll", bool)
"""Set when the answer may wait for a message to come."""
WHOLE: Final = 1 << 20
"""Answers up to this many octets are sent in one piece."""

Authenticate = Callable[[web.Request], Caller]
"""Proves who speaks, or raises `caller.*`."""

_log = structlog.get_logger(__name__)


class Evidence(Protocol):
    """The read side of a transparency log, where the exchange has one."""

    def checkpoint(self) -> str:
        """The latest signed checkpoint."""
        ...

    def consistency(self, start: int, end: int) -> list[bytes]:
        """Proof that the tree of `end` leaves begins with the tree of `start`."""
        ...


class NativePackage:
    """The handlers. `audit` is awaited for every refusal before the peer hears of it."""

    def __init__(
        self,
        exchange: Exchange,
        authenticate: Authenticate,
        *,
        evidence: Evidence | None = None,
        audit: Callable[[web.Request, ExchangeError], Awaitable[None]] | None = None,
        limits: Limits = DEFAULT_LIMITS,
        patience: Patience = DEFAULT_PATIENCE,
    ) -> None:
        self._exchange = exchange
        self._authenticate = authenticate
        self._evidence = evidence
        self._audit = audit
        self._limits = limits
        self._patience = patience

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One POST."""
        version = version_hint(request)
        message: IncomingMessage | None = None
        try:
            caller = request[CALLER] = self._authenticate(request)
            message = IncomingMessage(request, self._limits, self._patience)
            read = soap.read_envelope(await message.read_root(), max_size=self._limits.root)
            version = read.version
            return await self._answer(request, caller, message, version, native.read_request(read.body))
        except ExchangeError as error:
            return await self._refuse(request, message, version, error)
        except (ConnectionError, web.HTTPException):
            raise
        except Exception as error:  # noqa: BLE001 -- an error outside the vocabulary is server.internal, and temporary
            _log.error("native.failed", error=whereabouts(error))
            return await self._refuse(request, message, version, ExchangeError(errors.INTERNAL))

    async def _answer(
        self,
        request: web.Request,
        caller: Caller,
        message: IncomingMessage,
        version: SoapVersion,
        asked: native.Request,
    ) -> web.StreamResponse:
        exchange = self._exchange
        match asked:
            case native.SendDocumentRequest(envelope):
                accepted = await exchange.send(caller, SealedSubmission(envelope=envelope), message.uploads())
                return await self._accepted(message, version, "SendDocument", accepted)
            case native.ReportStatusRequest(envelope):
                accepted = await exchange.report(caller, SealedSubmission(envelope=envelope))
                return await self._accepted(message, version, "ReportStatus", accepted)
            case native.GetDocumentRequest(number):
                return await self._deliver(request, version, await exchange.fetch(caller, number))
            case native.GetPendingRequest(limit, wait_seconds):
                if wait_seconds:
                    request[LONG_POLL] = True
                waiting = await exchange.pending(caller, limit=limit, wait_seconds=wait_seconds, receipts=True)
                body = native.write_pending(waiting)
            case native.ConfirmReceivedRequest(numbers):
                body = native.write_confirmations(await exchange.confirm(caller, numbers))
            case native.GetTracesRequest(document_id, after):
                body = native.write_traces(await exchange.traces(caller, document_id=document_id, after=after))
            case native.GetOrganizationsRequest():
                body = native.write_organizations(await exchange.organizations(caller))
            case _:
                body = self._proof(asked)
        return _whole(version, body)

    def _proof(self, asked: native.Request) -> bytes:
        if self._evidence is None:
            raise ExchangeError(errors.UNKNOWN_OPERATION)
        if isinstance(asked, native.GetConsistencyRequest):
            return native.write_consistency(self._evidence.consistency(asked.start, asked.end))
        return native.write_checkpoint(self._evidence.checkpoint())

    async def _accepted(
        self,
        message: IncomingMessage,
        version: SoapVersion,
        operation: Literal["SendDocument", "ReportStatus"],
        accepted: Accepted,
    ) -> web.Response:
        response = _whole(version, native.write_accepted(operation, accepted))
        if not await message.drain():
            response.force_close()
        return response

    async def _deliver(self, request: web.Request, version: SoapVersion, delivery: Delivery) -> web.StreamResponse:
        root = soap.write_envelope(version, native.write_delivery(delivery))
        if not delivery.attachments:
            return _response(version, root)
        return await send_multipart(request, f"{version.content_type}; charset=utf-8", root, delivery)

    async def _refuse(
        self, request: web.Request, message: IncomingMessage | None, version: SoapVersion, error: ExchangeError
    ) -> web.Response:
        request[REFUSAL] = error
        if self._audit is not None:
            await self._audit(request, error)
        response = _response(version, soap.write_fault(version, error), status=500)
        if message is None or not await message.drain():
            response.force_close()
        return response


async def send_multipart(request: web.Request, root_type: str, root: bytes, delivery: Delivery) -> web.StreamResponse:
    """Answer with the root and the delivery's attachments: in one piece when small, else streamed."""
    writer = MultipartWriter(secrets.token_hex(20), root_type)
    pieces = [writer.root(root)]
    size = len(pieces[0])
    for attachment in delivery.attachments:
        header = writer.part_header(attachment.reference.content_id, attachment.reference.content_type)
        size += len(header) + (attachment.reference.size or 0)
        pieces.append(header)
    closing = writer.closing()
    size += len(closing)
    if size <= WHOLE:
        return await _send_small(writer.content_type, pieces, delivery, closing)
    response = web.StreamResponse(headers={"Content-Type": writer.content_type, "Content-Length": str(size)})
    await response.prepare(request)
    with _whole_or_broken_off(request):
        await response.write(pieces[0])
        for header, attachment in zip(pieces[1:], delivery.attachments, strict=True):
            await response.write(header)
            async with contextlib.aclosing(attachment.chunks()) as chunks:  # type: ignore[type-var] # generators all
                async for chunk in chunks:
                    await response.write(chunk)
        await response.write(closing)
        await response.write_eof()
    return response


@contextlib.contextmanager
def _whole_or_broken_off(request: web.Request) -> Iterator[None]:
    """What fails in the middle of an answer ends the connection: a fault would be read as octets of the attachment."""
    try:
        yield
    except ConnectionError:
        raise
    except Exception as error:
        _log.error("answer.broken_off", error=whereabouts(error))
        if request.transport is not None:
            request.transport.abort()
        raise ConnectionResetError("an answer could not be continued") from error


async def _send_small(content_type: str, pieces: list[bytes], delivery: Delivery, closing: bytes) -> web.Response:
    body = [pieces[0]]
    for header, attachment in zip(pieces[1:], delivery.attachments, strict=True):
        body.append(header)
        body.extend([chunk async for chunk in attachment.chunks()])
    body.append(closing)
    return web.Response(body=b"".join(body), headers={"Content-Type": content_type})


def _whole(version: SoapVersion, body: bytes) -> web.Response:
    return _response(version, soap.write_envelope(version, body))


def _response(version: SoapVersion, envelope: bytes, status: int = 200) -> web.Response:
    return web.Response(
        body=envelope, status=status, headers={"Content-Type": f"{version.content_type}; charset=utf-8"}
    )
