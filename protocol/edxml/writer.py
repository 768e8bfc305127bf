"""From the model to edXML text: the strict form that every reader in use accepts.

Elements stand in the regulation's order with the prefix `edXML`, which the caller's element declares; every element
that package B hubs demand is present, empty when unknown, except those whose emptiness breaks a reader. The text is
exclusive C14N already, so canonicalising it changes no octet.
"""

from __future__ import annotations

import base64

from protocol.edxml.dates import format_date, format_timestamp
from protocol.model import (
    Bussiness,
    BussinessDocumentInfo,
    Document,
    Message,
    MessageHeader,
    Organization,
    Reference,
    ReplacementInfo,
    ResponseFor,
    StaffInfo,
    StatusMessage,
    TraceHeader,
)
from protocol.namespaces import EXCHANGE, QCVN, SHA256, XMLDSIG
from protocol.xml_writing import escape, escape_attribute

_DIGEST_METHOD = f'<ds:DigestMethod xmlns:ds="{XMLDSIG}" Algorithm="{SHA256}"></ds:DigestMethod>'


def write_envelope(message: Message, *, envelope_id: str) -> bytes:
    """The unsealed `edXMLEnvelope`, a self-contained UTF-8 element with the attribute `Id`, in canonical form.

    Hops and NFC are the caller's. Raises `element.type` naming the element whose text XML 1.0 cannot hold.
    """
    if isinstance(message, StatusMessage):
        header, body = write_status(message, "MessageHeader"), ""
    else:
        header = write_message_header(message.header) + write_trace_header_list(message)
        body = f"<edXML:edXMLBody>{write_manifest(message.references)}</edXML:edXMLBody>"
    opening = f'<edXML:edXMLEnvelope xmlns:edXML="{QCVN}" Id="{escape_attribute(envelope_id, "edXMLEnvelope.Id")}">'
    return f"{opening}<edXML:edXMLHeader>{header}</edXML:edXMLHeader>{body}</edXML:edXMLEnvelope>".encode()


def write_message_header(header: MessageHeader) -> str:
    """`edXML:MessageHeader` of a document: From, To+, Code … SteeringType, DocumentId (QCVN 102:2016)."""
    path = "MessageHeader"
    parts = [
        "<edXML:MessageHeader>",
        write_organization("From", header.sender, "MessageHeader.From"),
        *(write_organization("To", organization, "MessageHeader.To") for organization in header.to),
        _code_and_place(header),
        _document_type(header),
        _leaf("Subject", header.subject, path),
        _leaf("Content", header.content, path),
        _signer_info(header),
        f"<edXML:DueDate>{format_date(header.due_date) if header.due_date else ''}</edXML:DueDate>",
        _list("ToPlaces", "Place", header.to_places, path),
        _other_info(header),
        *(write_response_for(response) for response in header.response_for),
        f"<edXML:SteeringType>{header.steering_type}</edXML:SteeringType>",
        _list("ResponseForTask", "TaskCode", header.response_for_task, path) if header.response_for_task else "",
        _leaf("ApplicationType", header.application_type, path) if header.application_type else "",
        _leaf("DocumentId", header.document_id, path),
        "</edXML:MessageHeader>",
    ]
    return "".join(parts)


def write_organization(name: str, organization: Organization, path: str) -> str:
    """`From` or `To` with all eight children: package B hubs demand the tags, one breaks without OrganAdd."""
    return (
        f"<edXML:{name}>{_leaf('OrganId', organization.organ_id, path)}"
        f"{_leaf('OrganizationInCharge', organization.organization_in_charge, path)}"
        f"{_leaf('OrganName', organization.organ_name, path)}{_leaf('OrganAdd', organization.organ_add, path)}"
        f"{_leaf('Email', organization.email, path)}{_leaf('Telephone', organization.telephone, path)}"
        f"{_leaf('Fax', organization.fax, path)}{_leaf('Website', organization.website, path)}</edXML:{name}>"
    )


def write_trace_header_list(document: Document) -> str:
    """`edXML:TraceHeaderList`: the hops, then the business block, which is always written."""
    hops = "".join(_trace_header(hop) for hop in document.trace_headers)
    return f"<edXML:TraceHeaderList>{hops}{write_bussiness(document.bussiness)}</edXML:TraceHeaderList>"


def write_bussiness(bussiness: Bussiness) -> str:
    """`edXML:Bussiness` (that spelling: the official reader ignores the other)."""
    path = "TraceHeaderList.Bussiness"
    affected = _leaf("DocumentId", bussiness.document_id, path) if bussiness.document_id else ""
    replaced = "".join(_replacement(info) for info in bussiness.replacements)
    return (
        f"<edXML:Bussiness><edXML:BussinessDocType>{int(bussiness.doc_type)}</edXML:BussinessDocType>"
        f"{_leaf('BussinessDocReason', bussiness.reason, path)}"
        f"{''.join(_document_info(info) for info in bussiness.document_info)}{affected}"
        f"{''.join(write_staff(staff, f'{path}.StaffInfo') for staff in bussiness.staff_info)}"
        f"<edXML:Paper>{bussiness.paper}</edXML:Paper>"
        f"{f'<edXML:ReplacementInfoList>{replaced}</edXML:ReplacementInfoList>' if replaced else ''}</edXML:Bussiness>"
    )


def write_staff(staff: StaffInfo, path: str) -> str:
    """`edXML:StaffInfo`; the two ids, which not every reader knows, only when they are set."""
    department_id = _leaf("DepartmentId", staff.department_id, path) if staff.department_id else ""
    staff_id = _leaf("StaffId", staff.staff_id, path) if staff.staff_id else ""
    return (
        f"<edXML:StaffInfo>{_leaf('Department', staff.department, path)}{department_id}"
        f"{_leaf('Staff', staff.staff, path)}{staff_id}"
        f"{_leaf('Mobile', staff.mobile, path)}{_leaf('Email', staff.email, path)}</edXML:StaffInfo>"
    )


def write_response_for(response: ResponseFor) -> str:
    """`edXML:ResponseFor`."""
    path = "MessageHeader.ResponseFor"
    issued = format_date(response.promulgation_date) if response.promulgation_date else ""
    return (
        f"<edXML:ResponseFor>{_leaf('OrganId', response.organ_id, path)}{_leaf('Code', response.code, path)}"
        f"<edXML:PromulgationDate>{issued}</edXML:PromulgationDate>"
        f"{_leaf('DocumentId', response.document_id, path)}</edXML:ResponseFor>"
    )


def write_status(status: StatusMessage, name: str) -> str:
    """A business status as `edXML:<name>`: `MessageHeader` in package A, `Status` elsewhere. Codes have two digits."""
    path = "MessageHeader"
    reported = format_timestamp(status.timestamp) if status.timestamp else ""
    return (
        f"<edXML:{name}>{write_organization('From', status.sender, 'MessageHeader.From')}"
        f"{''.join(write_response_for(response) for response in status.response_for)}"
        f"{write_staff(status.staff_info, 'MessageHeader.StaffInfo')}"
        f"<edXML:StatusCode>{status.status_code:02}</edXML:StatusCode>{_leaf('Description', status.description, path)}"
        f"<edXML:Timestamp>{reported}</edXML:Timestamp></edXML:{name}>"
    )


def write_manifest(references: tuple[Reference, ...]) -> str:
    """`edXML:edXMLManifest` of version 1.0."""
    written = "".join(_reference(reference) for reference in references)
    return f'<edXML:edXMLManifest version="1.0">{written}</edXML:edXMLManifest>'


def _reference(reference: Reference) -> str:
    """A relay in use adds one `cid:` per hop; here it stands exactly once."""
    path = "edXMLManifest.Reference"
    digest = base64.b64encode(reference.sha256).decode() if reference.sha256 is not None else ""
    digest_elements = f'{_DIGEST_METHOD}<ds:DigestValue xmlns:ds="{XMLDSIG}">{digest}</ds:DigestValue>'
    size = f'<lt:Size xmlns:lt="{EXCHANGE}">{reference.size}</lt:Size>' if reference.size is not None else ""
    return (
        f"<edXML:Reference>{_leaf('ContentId', f'cid:{reference.content_id}', path)}"
        f"{_leaf('ContentType', reference.content_type, path)}{_leaf('Description', reference.description, path)}"
        f"{_leaf('AttachmentName', reference.attachment_name, path)}"
        f"{digest_elements if digest else ''}{size}</edXML:Reference>"
    )


def _leaf(name: str, text: str, path: str) -> str:
    return f"<edXML:{name}>{escape(text, f'{path}.{name}') if text else ''}</edXML:{name}>"


def _list(group: str, name: str, texts: tuple[str, ...], path: str) -> str:
    items = "".join(_leaf(name, text, f"{path}.{group}") for text in texts if text.strip())
    return f"<edXML:{group}>{items}</edXML:{group}>"


def _code_and_place(header: MessageHeader) -> str:
    info = header.promulgation_info
    issued = format_date(info.date) if info.date else ""
    return (
        f"<edXML:Code>{_leaf('CodeNumber', header.code.number, 'MessageHeader.Code')}"
        f"{_leaf('CodeNotation', header.code.notation, 'MessageHeader.Code')}</edXML:Code>"
        f"<edXML:PromulgationInfo>{_leaf('Place', info.place, 'MessageHeader.PromulgationInfo')}"
        f"<edXML:PromulgationDate>{issued}</edXML:PromulgationDate></edXML:PromulgationInfo>"
    )


def _document_type(header: MessageHeader) -> str:
    kind = header.document_type
    return (
        f"<edXML:DocumentType><edXML:Type>{kind.type}</edXML:Type><edXML:TypeDetail>{kind.type_detail}"
        f"</edXML:TypeDetail>{_leaf('TypeName', kind.type_name, 'MessageHeader.DocumentType')}</edXML:DocumentType>"
    )


def _signer_info(header: MessageHeader) -> str:
    signer, path = header.signer_info, "MessageHeader.SignerInfo"
    return (
        f"<edXML:SignerInfo>{_leaf('Competence', signer.competence, path)}{_leaf('Position', signer.position, path)}"
        f"{_leaf('FullName', signer.full_name, path)}</edXML:SignerInfo>"
    )


def _other_info(header: MessageHeader) -> str:
    info, path = header.other_info, "MessageHeader.OtherInfo"
    return (
        f"<edXML:OtherInfo><edXML:Priority>{int(info.priority)}</edXML:Priority>"
        f"{_leaf('SphereOfPromulgation', info.sphere_of_promulgation, path)}"
        f"{_leaf('TyperNotation', info.typer_notation, path)}"
        f"<edXML:PromulgationAmount>{info.promulgation_amount}</edXML:PromulgationAmount>"
        f"<edXML:PageAmount>{info.page_amount}</edXML:PageAmount>"
        f"<edXML:Direction>{'true' if info.direction else 'false'}</edXML:Direction>"
        f"{_list('Appendixes', 'Appendix', info.appendixes, path)}</edXML:OtherInfo>"
    )


def _trace_header(hop: TraceHeader) -> str:
    passed = format_timestamp(hop.timestamp) if hop.timestamp else ""
    return (
        f"<edXML:TraceHeader>{_leaf('OrganId', hop.organ_id, 'TraceHeaderList.TraceHeader')}"
        f"<edXML:Timestamp>{passed}</edXML:Timestamp></edXML:TraceHeader>"
    )


def _document_info(info: BussinessDocumentInfo) -> str:
    path = "TraceHeaderList.Bussiness.BussinessDocumentInfo.ReceiverList.Receiver"
    receivers = "".join(
        f"<edXML:Receiver>{_leaf('OrganId', receiver.organ_id, path)}"
        f"<edXML:ReceiverType>{receiver.receiver_type}</edXML:ReceiverType></edXML:Receiver>"
        for receiver in info.receivers
    )
    return (
        f"<edXML:BussinessDocumentInfo><edXML:DocumentInfo>{info.document_info}</edXML:DocumentInfo>"
        f"<edXML:DocumentReceiver>{info.document_receiver}</edXML:DocumentReceiver>"
        f"<edXML:ReceiverList>{receivers}</edXML:ReceiverList></edXML:BussinessDocumentInfo>"
    )


def _replacement(info: ReplacementInfo) -> str:
    path = "TraceHeaderList.Bussiness.ReplacementInfoList.ReplacementInfo"
    return (
        f"<edXML:ReplacementInfo>{_leaf('DocumentId', info.document_id, path)}"
        f"{_list('OrganIdList', 'OrganId', info.organ_ids, path)}</edXML:ReplacementInfo>"
    )
