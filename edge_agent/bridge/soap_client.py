"""Calls the local system's own package B service through zeep: SendDocument with MIME parts, UpdateTraces.

zeep finds address, SOAP version and action in the WSDL and carries the octets; it never writes or reads a message:
its own attachment code drops line ends at the ends of a file, and what is handed over must be byte-identical.
Imported only when the configuration names such a service.
"""

from __future__ import annotations

import asyncio
import io
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import requests
import zeep
from lxml import etree
from requests.adapters import HTTPAdapter
from zeep.transports import Transport as _ZeepTransport

from certs import keys
from edge_agent.clock import Clock
from edge_agent.configuration import Soap
from edge_agent.messages import message_of
from edge_agent.payloads import CHUNK, Payloads
from edge_agent.records import Handover, StoredAttachment
from edge_agent.store import Store
from protocol import errors, package_b, soap, wsdl
from protocol.errors import ExchangeError
from protocol.mime import Limits, MultipartReader, MultipartWriter, PartData, PartEnd
from protocol.model import BussinessDocType, Document, Message
from protocol.soap import SoapVersion

Client: Any = zeep.Client  # zeep has no types
Transport: Any = _ZeepTransport
ANSWER_LIMIT: Final = 4 << 20
OWN_ADDRESS: Final = "http://lienthong.invalid/edoc/v1"
"""Stands in our own description; calls go to the configured address."""


class Operation(msgspec.Struct, frozen=True):
    """Where and how one operation is called."""

    address: str
    action: str
    version: SoapVersion


class SoapBridge:
    """Hands messages to the local system. Connections are kept; the WSDL is read once and again after a failure."""

    def __init__(self, settings: Soap, organ_id: str, *, store: Store, payloads: Payloads, clock: Clock) -> None:
        self._settings = settings
        self._organ_id = settings.organ_id or organ_id
        self._store = store
        self._payloads = payloads
        self._clock = clock
        self._client: Any = None

    async def hand_over(self, handover: Handover) -> None:
        """One message. Raises what the local system answered, or `server.unreachable`."""
        run, store = self._store.run, self._store
        row = await run(store.inbox.one, handover.inbox)
        envelope = await run(store.inbox.envelope, row.number)
        receipt = await run(store.inbox.receipt, row.number)
        attachments = await run(store.inbox.attachments, row.number)
        message = message_of(row, envelope, receipt)
        await run(store.handovers.begin, row.number, "soap")
        try:
            await asyncio.to_thread(self._call, message, attachments)
        except ExchangeError as error:
            if error.kind is not errors.DOCUMENT_CONFLICT or not _may_have_arrived(handover, message):
                raise
        await run(store.handovers.done, row.number, "soap", self._clock())

    def _call(self, message: Message, attachments: Sequence[StoredAttachment]) -> None:
        token = self._token()
        if isinstance(message, Document):
            name, (header, body) = "SendDocument", package_b.write_send_document(message, self._organ_id, token)
        else:
            name, (header, body) = "UpdateTraces", package_b.write_update_traces(message, self._organ_id, token)
        try:
            operation = self._operation(name)
            root = soap.write_envelope(operation.version, body, header=header)
            answer = self._post(operation, root, attachments)
        except (requests.RequestException, zeep.exceptions.Error, OSError) as error:
            self._client = None
            raise ExchangeError(errors.UNREACHABLE, cause=type(error).__name__) from error
        package_b.read_report(soap.read_answer(answer, max_size=ANSWER_LIMIT).body)

    def _post(self, operation: Operation, root: bytes, attachments: Sequence[StoredAttachment]) -> bytes:
        multipart = MultipartWriter(secrets.token_hex(20), f"{operation.version.content_type}; charset=utf-8")
        pieces: list[bytes | Path] = [multipart.root(root)]
        for one in attachments:
            pieces += [multipart.part_header(one.content_id, one.content_type), self._payloads.path(one.sha256)]
        headers = {"Content-Type": multipart.content_type, "SOAPAction": f'"{operation.action}"'}
        body = JoinedStream([*pieces, multipart.closing()])
        try:
            response = self._client.transport.post(operation.address, body, headers)
        finally:
            body.close()
        return _root_of(response)

    def _operation(self, name: str) -> Operation:
        if self._client is None:
            self._client = self._connect()
        service = self._client.service
        binding = service._binding  # noqa: SLF001 -- zeep offers no other way to ask for one operation's action
        is_12 = "soap12" in type(binding).__name__.lower()
        known = binding._operations.get(name)  # noqa: SLF001 -- as above
        return Operation(
            address=self._settings.address,
            action=(known.soapaction if known is not None else "") or name,
            version=SoapVersion.V12 if is_12 else SoapVersion.V11,
        )

    def _connect(self) -> Any:  # noqa: ANN401 -- zeep has no types
        session = requests.Session()
        for scheme in ("http://", "https://"):
            session.mount(scheme, _Direct())
        transport = Transport(session=session, timeout=self._settings.timeout, operation_timeout=self._settings.timeout)
        address = self._settings.wsdl or f"{self._settings.address}?wsdl"
        try:
            client = Client(address, transport=transport)
            _ = client.service  # zeep looks for wsdl:service only now, and may find none
        except (requests.RequestException, zeep.exceptions.Error, etree.XMLSyntaxError, OSError, ValueError):
            # many local systems publish none, or a broken one: ours describes what they speak
            return Client(OWN_ADDRESS + "?wsdl", transport=_OwnDescription(transport))
        return client

    def _token(self) -> str:
        file = self._settings.token_file
        return keys.read_private_file(file).decode().strip() if file is not None else ""


def _may_have_arrived(handover: Handover, message: Message) -> bool:
    """What "exists already" (M.Exist) means: an earlier call brought this message, and its answer was lost.

    Only when there was one, and not for an update or a replacement: there an old system means the document itself,
    and taking that for success would lose the message. Those, and a first call, are refusals that a person sees.
    """
    if not handover.begun:
        return False
    return not isinstance(message, Document) or message.bussiness.doc_type == BussinessDocType.NEW


class AnswerTooLargeError(requests.RequestException):
    """The local system answered with more than `ANSWER_LIMIT` octets, packed or unpacked."""


class _Direct(HTTPAdapter):
    """No proxy of the environment stands between this machine and its neighbour; answers are held only to a limit."""

    def send(  # the signature of HTTPAdapter
        self,
        request: requests.PreparedRequest,
        stream: bool = False,  # noqa: ARG002 -- as above
        timeout: Any = None,  # noqa: ANN401 -- as above
        verify: Any = True,  # noqa: ANN401 -- as above
        cert: Any = None,  # noqa: ANN401 -- as above
        proxies: Any = None,  # noqa: ANN401, ARG002 -- as above
    ) -> requests.Response:
        response = super().send(request, stream=True, timeout=timeout, verify=verify, cert=cert, proxies={})
        content = bytearray()
        for chunk in response.iter_content(CHUNK):
            content += chunk
            if len(content) > ANSWER_LIMIT:
                response.close()
                raise AnswerTooLargeError(request=request, response=response)
        response._content = bytes(content)  # noqa: SLF001 -- where requests itself keeps what it has read
        return response


class _OwnDescription(_ZeepTransport):
    """Loads our WSDL and XSDs from the package instead of the network; posts like the transport it stands for."""

    def __init__(self, transport: Any) -> None:  # noqa: ANN401 -- zeep has no types
        session, timeout = transport.session, transport.operation_timeout
        super().__init__(session=session, operation_timeout=timeout)  # type: ignore[no-untyped-call] # as above

    def load(self, url: str) -> bytes:
        """One of our descriptions."""
        _, _, query = url.partition("?")
        if query == "wsdl":
            return wsdl.wsdl("package_b", OWN_ADDRESS)
        return wsdl.schema(query.removeprefix("xsd="), OWN_ADDRESS)


class JoinedStream(io.RawIOBase):
    """Octets and files one after the other, as a file object of known length for `requests`."""

    def __init__(self, pieces: Sequence[bytes | Path]) -> None:
        super().__init__()
        self._pieces = list(pieces)
        self._length = sum(len(one) if isinstance(one, bytes) else one.stat().st_size for one in pieces)
        self._current: io.BytesIO | io.FileIO | None = None

    def __len__(self) -> int:
        return self._length

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 -- the signature of RawIOBase
        """Fill the buffer with what is next."""
        while True:
            if self._current is None:
                if not self._pieces:
                    return 0
                piece = self._pieces.pop(0)
                self._current = io.BytesIO(piece) if isinstance(piece, bytes) else io.FileIO(piece)
            count = self._current.readinto(buffer)
            if count:
                return count
            self._current.close()
            self._current = None

    def close(self) -> None:
        """Close the file that is open."""
        if self._current is not None:
            self._current.close()
        super().close()


def _root_of(response: requests.Response) -> bytes:
    """The envelope of an answer: the whole body, or the root part of a multipart one."""
    content_type = response.headers.get("Content-Type", "")
    if not content_type.lower().startswith("multipart/"):
        return bytes(response.content)
    limits = Limits(total=ANSWER_LIMIT, part=ANSWER_LIMIT, parts=10, headers=1 << 14, root=ANSWER_LIMIT)
    events = MultipartReader(content_type, limits).feed(response.content)
    end = next((position for position, event in enumerate(events) if isinstance(event, PartEnd)), len(events))
    return b"".join(event.data for event in events[:end] if isinstance(event, PartData))
