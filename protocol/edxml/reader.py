"""From an `edXMLEnvelope` element to the model, tolerant of what systems really send.

Elements are known by local name, in any order and namespace; unknown ones are ignored. Missing groups are empty groups:
what a document must contain is the business of `protocol.required`, here only what the model cannot do without
(`From.OrganId`, `To.OrganId`, a numeric `StatusCode`, dates and numbers that are some) is demanded.
"""

from __future__ import annotations

from lxml import etree

from protocol.edxml import names
from protocol.edxml.elements import (
    Children,
    children_of,
    day,
    demanded,
    digits,
    fields_of,
    flag,
    integer,
    leaf,
    leaves,
    many,
    moment,
    only,
    required,
)
from protocol.edxml.manifest import read_manifest
from protocol.edxml.trace import read_staff, read_trace_header_list
from protocol.errors import (
    ELEMENT_EMPTY,
    ELEMENT_MISMATCH,
    ELEMENT_MISSING,
    ELEMENT_TYPE,
    UNKNOWN_FORMAT,
    ExchangeError,
)
from protocol.model import (
    Bussiness,
    Code,
    Document,
    DocumentType,
    Message,
    MessageHeader,
    Organization,
    OtherInfo,
    PromulgationInfo,
    ResponseFor,
    SignerInfo,
    StaffInfo,
    StatusMessage,
)
from protocol.xml_reading import local_name


def read_message(envelope: etree._Element) -> Message:
    """The message in an `edXMLEnvelope` (or in the `edXML` root around it): a status when `StatusCode` is there.

    The element comes from `xml_reading.parse`. Raises `message.unknown-format` for another root and `element.*` errors
    that name the element.
    """
    name = local_name(envelope)
    if name == "edXML":
        envelope = demanded(children_of(envelope), "edXMLEnvelope")
    elif name != "edXMLEnvelope":
        raise ExchangeError(UNKNOWN_FORMAT)
    parts = children_of(envelope)
    header = children_of(demanded(parts, "edXMLHeader"))
    message_header = demanded(header, "MessageHeader")
    references = read_manifest(only(parts, "edXMLBody", "edXMLEnvelope"))
    fields = children_of(message_header)
    if "StatusCode" in fields:
        if references:  # a status carries no attachment; one that does hides a document from every check
            raise ExchangeError(ELEMENT_MISMATCH, element="MessageHeader.StatusCode")
        return _status(fields)
    traces = only(header, "TraceHeaderList", "edXMLHeader")
    bussiness, hops = read_trace_header_list(traces) if traces is not None else (Bussiness(), ())
    return Document(header=_message_header(fields), bussiness=bussiness, trace_headers=hops, references=references)


def read_message_header(element: etree._Element) -> MessageHeader:
    """The header of a document (`MessageHeader`, packages A and B)."""
    return _message_header(children_of(element))


def _message_header(children: Children) -> MessageHeader:
    path = "MessageHeader"
    return MessageHeader(
        sender=read_organization(demanded(children, "From", path), f"{path}.From"),
        to=tuple(read_organization(to, "MessageHeader.To") for to in many(children, "To", path, names.RECIPIENTS_MAX)),
        code=_code(children),
        promulgation_info=_promulgation_info(children),
        document_type=_document_type(children),
        subject=leaf(children, "Subject", path),
        content=leaf(children, "Content", path),
        signer_info=_signer_info(children),
        due_date=day(leaf(children, "DueDate", path), "MessageHeader.DueDate"),
        to_places=leaves(children, "ToPlaces", "Place", path),
        other_info=_other_info(children),
        response_for=_responses(children),
        # a reader in use loses the whole packet on an empty SteeringType; here it is 0 as when absent
        steering_type=integer(leaf(children, "SteeringType", path), "MessageHeader.SteeringType"),
        response_for_task=leaves(children, "ResponseForTask", "TaskCode", path),
        application_type=leaf(children, "ApplicationType", path),
        document_id=leaf(children, "DocumentId", path).strip(),
    )


def read_status(element: etree._Element) -> StatusMessage:
    """A business status: the children of `MessageHeader` (package A) or of `Status` (package B)."""
    return _status(children_of(element))


def _status(children: Children) -> StatusMessage:
    path = "MessageHeader"
    staff = only(children, "StaffInfo", path)
    return StatusMessage(
        sender=read_organization(demanded(children, "From", path), "MessageHeader.From"),
        response_for=_responses(children),
        staff_info=read_staff(staff, "MessageHeader.StaffInfo") if staff is not None else StaffInfo(),
        status_code=_status_code(children),
        description=leaf(children, "Description", path),
        timestamp=moment(leaf(children, "Timestamp", path), "MessageHeader.Timestamp"),
    )


def read_organization(element: etree._Element, path: str) -> Organization:
    """An agency (`From`, `To`, package B `Organization`). `path` names it in errors."""
    fields = fields_of(element, names.ORGANIZATION, path)
    organ_id = required(fields.pop("organ_id", ""), element, "OrganId", path)
    return Organization(organ_id=organ_id, **fields)


def read_response_for(element: etree._Element, path: str = "MessageHeader.ResponseFor") -> ResponseFor:
    """The document that is answered."""
    fields = fields_of(element, names.RESPONSE_FOR, path)
    return ResponseFor(
        organ_id=fields.get("organ_id", "").strip(),
        code=fields.get("code", "").strip(),
        promulgation_date=day(fields.get("promulgation_date", ""), f"{path}.PromulgationDate"),
        document_id=fields.get("document_id", "").strip(),
    )


def _code(children: Children) -> Code:
    element = only(children, "Code", "MessageHeader")
    if element is None:
        return Code()
    fields = fields_of(element, names.CODE, "MessageHeader.Code")
    return Code(number=fields.get("number", "").strip(), notation=fields.get("notation", "").strip())


def _promulgation_info(children: Children) -> PromulgationInfo:
    element = only(children, "PromulgationInfo", "MessageHeader")
    if element is None:
        return PromulgationInfo()
    path = "MessageHeader.PromulgationInfo"
    fields = fields_of(element, names.PROMULGATION_INFO, path)
    return PromulgationInfo(place=fields.get("place", ""), date=day(fields.get("date", ""), f"{path}.PromulgationDate"))


def _document_type(children: Children) -> DocumentType:
    """Type lies in real traffic (18, text, empty): what is no number is 2, as the official reader has it."""
    element = only(children, "DocumentType", "MessageHeader")
    if element is None:
        return DocumentType()
    fields = fields_of(element, names.DOCUMENT_TYPE, "MessageHeader.DocumentType")
    group, detail = digits(fields.get("type", "")), digits(fields.get("type_detail", ""))
    return DocumentType(
        type=2 if group is None else group, type_detail=detail or 0, type_name=fields.get("type_name", "")
    )


def _signer_info(children: Children) -> SignerInfo:
    element = only(children, "SignerInfo", "MessageHeader")
    if element is None:
        return SignerInfo()
    return SignerInfo(**fields_of(element, names.SIGNER_INFO, "MessageHeader.SignerInfo"))


def _other_info(children: Children) -> OtherInfo:
    element = only(children, "OtherInfo", "MessageHeader")
    if element is None:
        return OtherInfo()
    path, inside = "MessageHeader.OtherInfo", children_of(element)
    return OtherInfo(
        priority=integer(leaf(inside, "Priority", path), f"{path}.Priority"),
        sphere_of_promulgation=leaf(inside, "SphereOfPromulgation", path),
        typer_notation=leaf(inside, "TyperNotation", path),
        promulgation_amount=integer(leaf(inside, "PromulgationAmount", path), f"{path}.PromulgationAmount"),
        page_amount=integer(leaf(inside, "PageAmount", path), f"{path}.PageAmount"),
        direction=flag(leaf(inside, "Direction", path), f"{path}.Direction"),
        appendixes=leaves(inside, "Appendixes", "Appendix", path),
    )


def _responses(children: Children) -> tuple[ResponseFor, ...]:
    """Empty `ResponseFor` elements, which some systems always write, answer nothing."""
    read = (read_response_for(element) for element in many(children, "ResponseFor", "MessageHeader"))
    return tuple(response for response in read if response != ResponseFor())


def _status_code(children: Children) -> int:
    text = leaf(children, "StatusCode", "MessageHeader").strip()
    path = "MessageHeader.StatusCode"
    if not text:
        raise ExchangeError(ELEMENT_EMPTY if "StatusCode" in children else ELEMENT_MISSING, element=path)
    number = digits(text)
    if number is None:
        raise ExchangeError(ELEMENT_TYPE, element=path)
    return number
