"""What a package B server answers: `{Action}Response` around a Report or a result, in the e-doc namespace.

GetDocument alone fills header and body directly, and puts its Report into the body without a wrapper.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from protocol.edxml.writer import write_organization
from protocol.errors import ExchangeError
from protocol.exchange import Trace
from protocol.model import Document, Organization
from protocol.package_b.blocks import DECLARATION, document_blocks, manifest, rooted, traced_status
from protocol.package_b.requests import Operation
from protocol.xml_writing import escape, legal


def write_report(action: str, errors: Sequence[ExchangeError], document_number: int | None = None) -> bytes:
    """The body of an answer to `action` that only says how it went: success when `errors` is empty.

    `document_number` is what SendDocument returns as DocumentId, the number to ask traces and documents by.
    """
    report = _report(errors)
    if action == Operation.GET_DOCUMENT:
        return rooted(report).encode()
    number = "" if document_number is None else f"<edXML:DocumentId>{document_number}</edXML:DocumentId>"
    return _response(action, report + number)


def write_pending_ids(numbers: Iterable[int]) -> bytes:
    """The body of the answer to GetPendingDocumentIds."""
    ids = "".join(f"<edXML:DocumentId>{number}</edXML:DocumentId>" for number in numbers)
    return _response(Operation.GET_PENDING_DOCUMENT_IDS, f"<edXML:DocumentIds>{ids}</edXML:DocumentIds>")


def write_document(document: Document, number: int) -> tuple[bytes, bytes]:
    """Header and body of the answer to GetDocument: the form that the sender's own request had.

    The attachments follow as MIME parts whose Content-IDs are the references' `content_id`. `number` stands in for
    DocumentId where the sender gave none, as hubs of today do.
    """
    if not document.header.document_id:
        header = msgspec.structs.replace(document.header, document_id=str(number))
        document = msgspec.structs.replace(document, header=header)
    return document_blocks(document).encode(), manifest(document.references).encode()


def write_traces(traces: Iterable[Trace]) -> bytes:
    """The body of the answer to GetTraces."""
    statuses = "".join(traced_status(trace.status) for trace in traces)
    return _response(Operation.GET_TRACES, f"<edXML:Traces>{statuses}</edXML:Traces>")


def write_organizations(organizations: Iterable[Organization]) -> bytes:
    """The body of the answer to GetOrganizations."""
    written = "".join(write_organization("Organization", item, "Organization") for item in organizations)
    return _response(Operation.GET_ORGANIZATIONS, f"<edXML:Organizations>{written}</edXML:Organizations>")


def _response(action: str, content: str) -> bytes:
    return f"<edXML:{action}Response {DECLARATION}>{content}</edXML:{action}Response>".encode()


def _report(errors: Sequence[ExchangeError]) -> str:
    listed = "".join(
        f"<edXML:Error><edXML:Code>{escape(legal(error.report_code))}</edXML:Code>"
        f"<edXML:Description>{escape(legal(error.sentence))}</edXML:Description></edXML:Error>"
        for error in errors
    )
    return (
        f"<edXML:Report><edXML:IsSuccess>{'false' if errors else 'true'}</edXML:IsSuccess>"
        f"<edXML:ErrorList>{listed}</edXML:ErrorList></edXML:Report>"
    )
