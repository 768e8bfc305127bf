"""Package B over HTTP (CV 512, CV 2803): thin aiohttp handlers in front of an `Exchange`.

The operation is the `SOAPAction`. Every refusal is a `Report` inside the operation's answer, with HTTP status 200, as
the clients of this generation expect; only an operation that nobody knows is a SOAP fault. An answer is multipart when
the request was. The agency that the token proves must be the one that From names, which hubs of today do not check.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

import msgspec
import structlog
from aiohttp import web

from protocol import agency_codes, errors, package_b, soap
from protocol.edxml.reader import read_message
from protocol.errors import ExchangeError
from protocol.exchange import Caller, Delivery, Exchange, PlainSubmission
from protocol.http.descriptions import describe
from protocol.http.door import Door, Gate, shows_certificate
from protocol.http.failures import whereabouts
from protocol.http.incoming import DEFAULT_LIMITS, DEFAULT_PATIENCE, Patience
from protocol.http.mailbox_views import StatusReader, statuses_since, waiting_documents
from protocol.http.native import CALLER, REFUSAL, send_multipart
from protocol.http.package_b_call import Call, IncompleteError
from protocol.mime import Limits
from protocol.model import Document, TraceHeader
from protocol.package_b import Operation
from protocol.package_b.credentials import Credentials
from protocol.xml_reading import parse

Authenticate = Callable[[web.Request, str, str], Awaitable[Caller]]
"""(request, OrganId, Token) → who speaks, or raises `caller.*`."""
Audit = Callable[[web.Request, ExchangeError], Awaitable[None]]
Clock = Callable[[], datetime]

_log = structlog.get_logger(__name__)


class PackageB:
    """The handlers. `relay` is this system's own agency code: the hop that it adds to what it hands out ("": none).

    `audit` is awaited for every refusal before the peer hears of it. `clock` gives aware UTC.
    """

    def __init__(
        self,
        exchange: Exchange,
        authenticate: Authenticate,
        *,
        clock: Clock,
        limits: Limits = DEFAULT_LIMITS,
        patience: Patience = DEFAULT_PATIENCE,
        relay: str = "",
        audit: Audit | None = None,
    ) -> None:
        self._exchange = exchange
        self._authenticate = authenticate
        self._clock = clock
        self._limits = limits
        self._patience = patience
        self._door = Door()
        self._relay = relay
        self._audit = audit
        self._statuses = StatusReader(exchange)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One POST."""
        call = Call(request, self._limits, self._patience)
        try:
            asked = await self._read(call)
            caller = await self._prove(request, asked)
            return await self._answer(call, caller, asked)
        except IncompleteError as error:
            return await self._refuse(call, error.missing)
        except ExchangeError as error:
            return await self._refuse(call, [error])
        except (ConnectionError, web.HTTPException):
            raise
        except Exception as error:  # noqa: BLE001 -- an error outside the vocabulary is server.internal, and temporary
            _log.error("package_b.failed", failure=whereabouts(error))
            return await self._refuse(call, [ExchangeError(errors.INTERNAL)])

    async def _read(self, call: Call) -> package_b.Request:
        """The request of somebody who was proved before anything was made of it."""
        http = call.http

        async def prove(found: Credentials) -> None:
            http[CALLER] = await self._authenticate(http, found.organ_id, found.token)

        if shows_certificate(http):
            await prove(Credentials("", ""))
            return await call.read()
        async with self._door.enter(http.remote or ""):
            return await call.read(Gate(prove))

    async def _prove(self, http: web.Request, asked: package_b.Request) -> Caller:
        """Who asks; the agency that was proved must be the one that From names, in any form of its code."""
        caller = http[CALLER] = await self._authenticate(http, asked.organ_id, asked.token)
        # a token proves the OrganId beside it, also an alias; a certificate says nothing about that OrganId
        proved = (caller.agency, asked.organ_id) if caller.proof == "token" else (caller.agency,)
        sender = _sender(asked)
        if sender and not any(agency_codes.same(sender, own) for own in proved):
            raise ExchangeError(errors.NOT_THE_SENDER, element="MessageHeader.From.OrganId")
        return caller

    async def _answer(self, call: Call, caller: Caller, asked: package_b.Request) -> web.StreamResponse:
        exchange = self._exchange
        match asked:
            case package_b.SendDocument(message=document):
                submission = PlainSubmission(message=document, original=call.original, package="B")
                accepted = await exchange.send(caller, submission, call.message.uploads())
                body = package_b.write_report(Operation.SEND_DOCUMENT, (), accepted.number)
            case package_b.UpdateTraces(status=status):
                await exchange.report(caller, PlainSubmission(message=status, original=call.original, package="B"))
                body = package_b.write_report(Operation.UPDATE_TRACES, ())
            case package_b.GetPendingDocumentIds():
                body = package_b.write_pending_ids(await waiting_documents(exchange, caller))
            case package_b.GetDocument(number=number):
                return await self._deliver(call, await exchange.fetch(caller, number))
            case package_b.ConfirmReceived(number=number):
                body = await self._confirm(caller, number)
            case package_b.GetTraces(timestamp=since):
                return await self._read_statuses(call, caller, since)
            case package_b.GetOrganizations():
                body = package_b.write_organizations(await exchange.organizations(caller))
            case package_b.CheckPermission():
                body = package_b.write_report(Operation.CHECK_PERMISSION, ())
        return await call.answer(body)

    async def _deliver(self, call: Call, delivery: Delivery) -> web.StreamResponse:
        header, body = package_b.write_document(self._rendered(delivery), delivery.summary.number)
        root = soap.write_envelope(call.version, body, header=header)
        return await send_multipart(call.http, call.root_type, root, delivery)

    def _rendered(self, delivery: Delivery) -> Document:
        """The document as an old reader gets it: hops are in the ledger, and only in this rendering our own."""
        document = delivery.message if delivery.message is not None else read_message(parse(delivery.envelope))
        if not isinstance(document, Document):
            raise ExchangeError(errors.DOCUMENT_NOT_FOUND)
        if not self._relay:
            return document
        hop = TraceHeader(organ_id=self._relay, timestamp=self._clock())
        return msgspec.structs.replace(document, trace_headers=(*document.trace_headers, hop))

    async def _confirm(self, caller: Caller, number: int) -> bytes:
        (confirmation,) = await self._exchange.confirm(caller, [number])
        if confirmation.outcome == "unknown":
            raise ExchangeError(errors.DOCUMENT_NOT_FOUND)
        return package_b.write_report(Operation.CONFIRM_RECEIVED, ())

    async def _read_statuses(self, call: Call, caller: Caller, since: datetime | None) -> web.StreamResponse:
        """GetTraces: with TimeStamp a read, without it the statuses not given yet, given only once this has left."""
        if since is not None:
            return await call.answer(package_b.write_traces(await statuses_since(self._exchange, caller, since)))
        traces = await self._statuses.read(caller)
        response = await call.answer(package_b.write_traces(traces))
        await response.prepare(call.http)
        await response.write_eof()
        self._statuses.handed_out(caller, traces)
        return response

    async def _refuse(self, call: Call, problems: Sequence[ExchangeError]) -> web.Response:
        call.http[REFUSAL] = problems[0]
        if self._audit is not None:
            await self._audit(call.http, problems[0])
        return await call.refuse(problems)


def mount(app: web.Application, path: str, package: PackageB) -> None:
    """Serve `package` at `path`: POST for the operations, GET for `?wsdl` and `?xsd=`."""
    app.router.add_post(path, package.handle)
    app.router.add_get(path, describe("package_b"))


def _sender(asked: package_b.Request) -> str:
    match asked:
        case package_b.SendDocument(message=document):
            return document.header.sender.organ_id
        case package_b.UpdateTraces(status=status):
            return status.sender.organ_id
        case _:
            return ""
