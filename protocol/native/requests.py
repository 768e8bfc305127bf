"""Requests of the native package: written by a client, read by a server into frozen structs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final

import msgspec
from lxml import etree

from protocol.edxml.elements import digits
from protocol.errors import (
    ELEMENT_EMPTY,
    ELEMENT_MISMATCH,
    ELEMENT_MISSING,
    ELEMENT_RANGE,
    ELEMENT_TYPE,
    UNKNOWN_OPERATION,
    ExchangeError,
)
from protocol.namespaces import EXCHANGE
from protocol.xml_reading import local_name
from protocol.xml_writing import escape

LIMIT_MAX: Final = 1000
"""Messages in one answer to `GetPending`, numbers in one `ConfirmReceived`."""
WAIT_MAX: Final = 3600.0
"""Seconds; a server may answer sooner than it is asked to wait."""
_TAG: Final = f"{{{EXCHANGE}}}"


class SendDocumentRequest(msgspec.Struct, frozen=True):
    """`envelope` is the sealed `edXMLEnvelope` element where it stands in the request."""

    envelope: etree._Element


class ReportStatusRequest(msgspec.Struct, frozen=True):
    """A sealed status."""

    envelope: etree._Element


class GetPendingRequest(msgspec.Struct, frozen=True):
    """At most `limit` messages; wait up to `wait_seconds` for the first one (0: answer at once)."""

    limit: int
    wait_seconds: float


class GetDocumentRequest(msgspec.Struct, frozen=True):
    """One message of the caller's mailbox."""

    number: int


class ConfirmReceivedRequest(msgspec.Struct, frozen=True):
    """The caller has these durably; none is no error."""

    numbers: tuple[int, ...]


class GetTracesRequest(msgspec.Struct, frozen=True):
    """Of one document, or ("") of all with a trace number above `after`."""

    document_id: str
    after: int


class GetOrganizationsRequest(msgspec.Struct, frozen=True):
    """The directory."""


class GetCheckpointRequest(msgspec.Struct, frozen=True):
    """The latest checkpoint."""


class GetConsistencyRequest(msgspec.Struct, frozen=True):
    """The consistency proof between the tree sizes `start` and `end`."""

    start: int
    end: int


Request = (
    SendDocumentRequest
    | ReportStatusRequest
    | GetPendingRequest
    | GetDocumentRequest
    | ConfirmReceivedRequest
    | GetTracesRequest
    | GetOrganizationsRequest
    | GetCheckpointRequest
    | GetConsistencyRequest
)


def read_request(body: etree._Element) -> Request:
    """The request in the first element of a SOAP Body.

    Raises `message.unknown-operation`, and `element.*` errors that name the element (`GetPending.Limit`).
    """
    read = _READERS.get(body.tag)
    if read is None:
        raise ExchangeError(UNKNOWN_OPERATION)
    return read(body)


def write_send(envelope: bytes) -> bytes:
    """`SendDocument` around a sealed envelope."""
    return b'<lt:SendDocument xmlns:lt="%b">%b</lt:SendDocument>' % (EXCHANGE.encode(), envelope)


def write_report(envelope: bytes) -> bytes:
    """`ReportStatus` around a sealed envelope."""
    return b'<lt:ReportStatus xmlns:lt="%b">%b</lt:ReportStatus>' % (EXCHANGE.encode(), envelope)


def write_get_pending(limit: int, wait_seconds: float = 0) -> bytes:
    """`GetPending`."""
    return _write("GetPending", f"<lt:Limit>{limit}</lt:Limit><lt:WaitSeconds>{wait_seconds:.3f}</lt:WaitSeconds>")


def write_get_document(number: int) -> bytes:
    """`GetDocument`."""
    return _write("GetDocument", f"<lt:MessageNumber>{number}</lt:MessageNumber>")


def write_confirm(numbers: Sequence[int]) -> bytes:
    """`ConfirmReceived`."""
    return _write("ConfirmReceived", "".join(f"<lt:MessageNumber>{number}</lt:MessageNumber>" for number in numbers))


def write_get_traces(document_id: str = "", after: int = 0) -> bytes:
    """`GetTraces`."""
    asked = f"<lt:DocumentId>{escape(document_id, 'GetTraces.DocumentId')}</lt:DocumentId>" if document_id else ""
    return _write("GetTraces", f"{asked}<lt:After>{after}</lt:After>")


def write_get_organizations() -> bytes:
    """`GetOrganizations`."""
    return _write("GetOrganizations", "")


def write_get_checkpoint() -> bytes:
    """`GetCheckpoint`."""
    return _write("GetCheckpoint", "")


def write_get_consistency(start: int, end: int) -> bytes:
    """`GetConsistency` between two tree sizes."""
    return _write("GetConsistency", f"<lt:From>{start}</lt:From><lt:To>{end}</lt:To>")


def _write(operation: str, content: str) -> bytes:
    return f'<lt:{operation} xmlns:lt="{EXCHANGE}">{content}</lt:{operation}>'.encode()


def _read_envelope(body: etree._Element) -> etree._Element:
    """The one `edXMLEnvelope` of the operation; nothing may stand beside what is signed."""
    operation = local_name(body)
    if not len(body):
        raise ExchangeError(ELEMENT_MISSING, element=f"{operation}.edXMLEnvelope")
    if len(body) > 1 or local_name(body[0]) != "edXMLEnvelope":
        raise ExchangeError(ELEMENT_MISMATCH, element=f"{operation}.edXMLEnvelope")
    return body[0]


def _read_get_pending(body: etree._Element) -> GetPendingRequest:
    limit = _number(body, "Limit", LIMIT_MAX)
    if limit < 1:
        raise ExchangeError(ELEMENT_RANGE, element="GetPending.Limit")
    wait = (body.findtext(f"{_TAG}WaitSeconds") or "0").strip()
    try:
        seconds = float(wait)
    except ValueError:
        raise ExchangeError(ELEMENT_TYPE, element="GetPending.WaitSeconds") from None
    if not math.isfinite(seconds) or seconds < 0:
        raise ExchangeError(ELEMENT_RANGE, element="GetPending.WaitSeconds")
    return GetPendingRequest(min(limit, LIMIT_MAX), min(seconds, WAIT_MAX))


def _read_confirm(body: etree._Element) -> ConfirmReceivedRequest:
    path = "ConfirmReceived.MessageNumber"
    numbers = body.findall(f"{_TAG}MessageNumber")
    if len(numbers) > LIMIT_MAX:
        raise ExchangeError(ELEMENT_RANGE, element=path)
    return ConfirmReceivedRequest(tuple(_digits(number.text, path) for number in numbers))


def _read_get_traces(body: etree._Element) -> GetTracesRequest:
    document_id = (body.findtext(f"{_TAG}DocumentId") or "").strip()
    return GetTracesRequest(document_id, _number(body, "After", 0))


def _number(body: etree._Element, name: str, default: int | None = None) -> int:
    """A count; without `default` it must be there."""
    path = f"{local_name(body)}.{name}"
    element = body.find(f"{_TAG}{name}")
    if element is None:
        if default is None:
            raise ExchangeError(ELEMENT_MISSING, element=path)
        return default
    return _digits(element.text, path)


def _digits(text: str | None, path: str) -> int:
    if not text or not text.strip():
        raise ExchangeError(ELEMENT_EMPTY, element=path)
    number = digits(text)
    if number is None:
        raise ExchangeError(ELEMENT_TYPE, element=path)
    return number


_READERS: Final[dict[str, Callable[[etree._Element], Request]]] = {
    f"{_TAG}SendDocument": lambda body: SendDocumentRequest(_read_envelope(body)),
    f"{_TAG}ReportStatus": lambda body: ReportStatusRequest(_read_envelope(body)),
    f"{_TAG}GetPending": _read_get_pending,
    f"{_TAG}GetDocument": lambda body: GetDocumentRequest(_number(body, "MessageNumber")),
    f"{_TAG}ConfirmReceived": _read_confirm,
    f"{_TAG}GetTraces": _read_get_traces,
    f"{_TAG}GetOrganizations": lambda _: GetOrganizationsRequest(),
    f"{_TAG}GetCheckpoint": lambda _: GetCheckpointRequest(),
    f"{_TAG}GetConsistency": lambda body: GetConsistencyRequest(_number(body, "From"), _number(body, "To")),
}
