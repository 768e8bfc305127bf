"""What a package B client asks: the operation that its SOAPAction names, and the request in header and body."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from typing import Final

import msgspec
from lxml import etree

from protocol.edxml.elements import Children, children_of, digits, leaf, moment, only
from protocol.edxml.manifest import read_references
from protocol.edxml.reader import read_message_header, read_status
from protocol.edxml.trace import read_trace_header_list
from protocol.errors import ELEMENT_EMPTY, ELEMENT_MISSING, ELEMENT_TYPE, UNKNOWN_OPERATION, ExchangeError
from protocol.model import Bussiness, Document, StatusMessage
from protocol.soap import SoapRequest
from protocol.xml_reading import local_name


class Operation(StrEnum):
    """The operations, by their SOAPAction."""

    SEND_DOCUMENT = "SendDocument"
    GET_PENDING_DOCUMENT_IDS = "GetPendingDocumentIds"
    GET_DOCUMENT = "GetDocument"
    CONFIRM_RECEIVED = "ConfirmReceived"
    UPDATE_TRACES = "UpdateTraces"
    GET_TRACES = "GetTraces"
    CHECK_PERMISSION = "CheckPermission"
    GET_ORGANIZATIONS = "GetOrganizations"


class _Asked(msgspec.Struct, frozen=True, kw_only=True):
    """Whoever asks says so: agency code and token as sent, "" when absent. What proves them is the adapter's affair."""

    organ_id: str
    token: str


class SendDocument(_Asked, frozen=True, kw_only=True):
    """Take this document; its attachments are MIME parts named by the references' `content_id`."""

    message: Document


class GetPendingDocumentIds(_Asked, frozen=True, kw_only=True):
    """Which documents wait?"""


class GetDocument(_Asked, frozen=True, kw_only=True):
    """Hand over the document with this number."""

    number: int


class ConfirmReceived(_Asked, frozen=True, kw_only=True):
    """The document with this number is stored here."""

    number: int


class UpdateTraces(_Asked, frozen=True, kw_only=True):
    """Take this business status."""

    status: StatusMessage


class GetTraces(_Asked, frozen=True, kw_only=True):
    """Statuses of my documents since `timestamp`; `None`: those that I have not been given yet."""

    timestamp: datetime | None


class CheckPermission(_Asked, frozen=True, kw_only=True):
    """Are code and token good?"""


class GetOrganizations(_Asked, frozen=True, kw_only=True):
    """Whom can I write to?"""


Request = (
    SendDocument
    | GetPendingDocumentIds
    | GetDocument
    | ConfirmReceived
    | UpdateTraces
    | GetTraces
    | CheckPermission
    | GetOrganizations
)

_BODIES: Final = {
    "Manifest": Operation.SEND_DOCUMENT,
    "edXMLManifest": Operation.SEND_DOCUMENT,
    "Status": Operation.UPDATE_TRACES,
    **{str(operation): operation for operation in Operation},
    **{f"{operation}Request": operation for operation in Operation},
}
"""Which operation an element in the body belongs to, by local name."""


def operation_of(action: str, soap: SoapRequest) -> Operation:
    """The operation that `action` names: the SOAPAction header (SOAP 1.2: the `action` parameter), quoted or not.

    A path or URN before the name is ignored. Without an action the body tells; an action that contradicts the body is
    refused, because two readers would do different things. Raises `message.unknown-operation`.
    """
    name = re.split(r"[/#:]", action.strip().strip("\"'").strip())[-1]
    told = _told_by_content(soap)
    if not name and told is not None:
        return told
    if name in _BODIES and _BODIES[name] == name and told in {None, name}:
        return Operation(name)
    raise ExchangeError(UNKNOWN_OPERATION, element=name[:40])


def _told_by_content(soap: SoapRequest) -> Operation | None:
    told = _BODIES.get(local_name(soap.body))
    if told is not None or local_name(soap.body) != "Body":
        return told
    blocks = {local_name(block) for block in soap.header} if soap.header is not None else set()
    if "Status" in blocks:
        return Operation.UPDATE_TRACES
    if "MessageHeader" in blocks:
        return Operation.SEND_DOCUMENT
    return Operation.CHECK_PERMISSION if "CheckPermission" in blocks else None


def read_request(action: str, soap: SoapRequest) -> Request:
    """The request. Raises `message.unknown-operation` and the `element.*` errors of what it holds.

    Ask `missing_tags` first to refuse an incomplete SendDocument with all its errors at once.
    """
    operation = operation_of(action, soap)
    return _READERS[operation](soap, _Parts(operation, soap))


class _Parts:
    """The pieces of a request, and who asks: in the operation's own element, in Signature/KeyInfo, or in a Token."""

    def __init__(self, operation: Operation, soap: SoapRequest) -> None:
        self.blocks: Children = children_of(soap.header) if soap.header is not None else {}
        self.body: Children = {}
        if operation is Operation.CHECK_PERMISSION and "CheckPermission" in self.blocks:
            self.body = children_of(self.block("CheckPermission"))
        elif _BODIES.get(local_name(soap.body)) is operation:
            self.body = children_of(soap.body)
        signature = children_of(self.block("Signature")) if "Signature" in self.blocks else {}
        key_info = only(signature, "KeyInfo", "Signature")
        signed = children_of(key_info) if key_info is not None else {}
        # a status has an OrganId of its own, deeper; only the operation's direct children are credentials
        self.organ_id = (leaf(self.body, "OrganId", operation) or leaf(signed, "OrganId", "KeyInfo")).strip()
        # one client of that time sends the token as a header block of its own, in http://e-doc.vn/xsd
        self.token = (
            leaf(self.body, "Token", operation)
            or leaf(signed, "Token", "KeyInfo")
            or leaf(self.blocks, "Token", "Header")
        ).strip()

    def block(self, name: str) -> etree._Element:
        """The header block of that name. Raises `element.missing`, `element.mismatch`."""
        block = only(self.blocks, name, "Header")
        if block is None:
            raise ExchangeError(ELEMENT_MISSING, element=name)
        return block

    def number(self) -> int:
        """The DocumentId of a request: the number that the peer got from us. Raises `element.*`."""
        text = leaf(self.body, "DocumentId", "").strip()
        if not text:
            kind = ELEMENT_EMPTY if "DocumentId" in self.body else ELEMENT_MISSING
            raise ExchangeError(kind, element="DocumentId")
        number = digits(text)
        if number is None:
            raise ExchangeError(ELEMENT_TYPE, element="DocumentId")
        return number


def _send_document(soap: SoapRequest, parts: _Parts) -> SendDocument:
    header = read_message_header(parts.block("MessageHeader"))
    traces = only(parts.blocks, "TraceHeaderList", "Header")
    bussiness, hops = read_trace_header_list(traces) if traces is not None else (Bussiness(), ())
    references = read_references(soap.body) if local_name(soap.body) != "Body" else ()
    message = Document(header=header, bussiness=bussiness, trace_headers=hops, references=references)
    return SendDocument(message=message, organ_id=parts.organ_id, token=parts.token)


def _update_traces(soap: SoapRequest, parts: _Parts) -> UpdateTraces:
    # CV 2803 systems put the Status into the header
    element = soap.body if local_name(soap.body) == "Status" else parts.block("Status")
    return UpdateTraces(status=read_status(element), organ_id=parts.organ_id, token=parts.token)


def _get_traces(_soap: SoapRequest, parts: _Parts) -> GetTraces:
    text = leaf(parts.body, "TimeStamp", "GetTraces") or leaf(parts.body, "Timestamp", "GetTraces")
    return GetTraces(timestamp=moment(text, "GetTraces.TimeStamp"), organ_id=parts.organ_id, token=parts.token)


_READERS: Final[dict[Operation, Callable[[SoapRequest, _Parts], Request]]] = {
    Operation.SEND_DOCUMENT: _send_document,
    Operation.GET_PENDING_DOCUMENT_IDS: lambda _, parts: GetPendingDocumentIds(
        organ_id=parts.organ_id, token=parts.token
    ),
    Operation.GET_DOCUMENT: lambda _, parts: GetDocument(
        number=parts.number(), organ_id=parts.organ_id, token=parts.token
    ),
    Operation.CONFIRM_RECEIVED: lambda _, parts: ConfirmReceived(
        number=parts.number(), organ_id=parts.organ_id, token=parts.token
    ),
    Operation.UPDATE_TRACES: _update_traces,
    Operation.GET_TRACES: _get_traces,
    Operation.CHECK_PERMISSION: lambda _, parts: CheckPermission(organ_id=parts.organ_id, token=parts.token),
    Operation.GET_ORGANIZATIONS: lambda _, parts: GetOrganizations(organ_id=parts.organ_id, token=parts.token),
}
