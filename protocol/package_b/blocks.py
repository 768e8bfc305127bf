"""The pieces that package B requests and answers share: header blocks, manifest, status, in the e-doc namespace."""

from __future__ import annotations

from datetime import date
from typing import Final

from protocol.edxml.dates import format_date, format_timestamp
from protocol.edxml.writer import write_message_header, write_organization, write_staff, write_trace_header_list
from protocol.model import Document, Reference, ResponseFor, StatusMessage
from protocol.namespaces import EDOC, XLINK
from protocol.xml_writing import escape, escape_attribute

DECLARATION: Final = f'xmlns:edXML="{EDOC}"'


def rooted(element: str) -> str:
    """`element` (`<edXML:Name>…`) with the declaration of its prefix."""
    end = element.index(">")
    return f"{element[:end]} {DECLARATION}{element[end:]}"


def leaf(name: str, text: str, path: str) -> str:
    """One text element. Raises `element.type` for characters that XML cannot hold."""
    return f"<edXML:{name}>{escape(text, f'{path}.{name}')}</edXML:{name}>"


def document_blocks(document: Document) -> str:
    """MessageHeader and TraceHeaderList. Package B spells `Business`; readers of today know both."""
    traces = write_trace_header_list(document)
    # markup only: a "<" in text stands escaped
    traces = traces.replace("<edXML:Bussiness", "<edXML:Business").replace("</edXML:Bussiness", "</edXML:Business")
    return rooted(write_message_header(document.header)) + rooted(traces)


def manifest(references: tuple[Reference, ...]) -> str:
    """`Manifest`: each reference names its MIME part by `cid:` and its Content-ID; `xlink:type` is the media type."""
    path = "Manifest.Reference"
    written = "".join(
        f'<edXML:Reference xlink:href="cid:{escape_attribute(reference.content_id, path)}"'
        f' xlink:type="{escape_attribute(reference.content_type, path)}">'
        f"{leaf('AttachmentName', reference.attachment_name, path)}"
        f"{leaf('Description', reference.description, path)}</edXML:Reference>"
        for reference in references
    )
    return f'<edXML:Manifest {DECLARATION} xmlns:xlink="{XLINK}">{written}</edXML:Manifest>'


def traced_status(status: StatusMessage) -> str:
    """`Status` as GetTraces answers it: `1`, not `01`, dates with a time part: what its clients know."""
    path = "Status"
    staff = write_staff(status.staff_info, f"{path}.StaffInfo")
    return (
        f"<edXML:Status>{write_organization('From', status.sender, f'{path}.From')}"
        f"{''.join(_response_for(response) for response in status.response_for)}{staff}"
        f"<edXML:StatusCode>{status.status_code}</edXML:StatusCode>{leaf('Description', status.description, path)}"
        f"{leaf('Timestamp', format_timestamp(status.timestamp) if status.timestamp else '', path)}</edXML:Status>"
    )


def _response_for(response: ResponseFor) -> str:
    path = "Status.ResponseFor"
    return (
        f"<edXML:ResponseFor>{leaf('OrganId', response.organ_id, path)}{leaf('Code', response.code, path)}"
        f"{leaf('PromulgationDate', _midnight(response.promulgation_date), path)}"
        f"{leaf('DocumentId', response.document_id, path)}</edXML:ResponseFor>"
    )


def _midnight(day: date | None) -> str:
    return f"{format_date(day)} 00:00:00" if day else ""
