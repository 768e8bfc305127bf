"""`TraceHeaderList`: the systems that carried a message, and the business block that says what it does to others."""

from __future__ import annotations

from lxml import etree

from protocol.edxml import names
from protocol.edxml.dates import parse_timestamp
from protocol.edxml.elements import (
    Children,
    children_of,
    fields_of,
    integer,
    leaf,
    leaves,
    many,
    only,
    required,
)
from protocol.model import (
    Bussiness,
    BussinessDocumentInfo,
    Receiver,
    ReplacementInfo,
    StaffInfo,
    TraceHeader,
)

PATH = "TraceHeaderList.Bussiness"


def read_trace_header_list(element: etree._Element) -> tuple[Bussiness, tuple[TraceHeader, ...]]:
    """The business block (type 0 when it is missing, as the axis itself delivers) and the hops, in their order."""
    children = children_of(element)
    block = only(children, "Bussiness", "TraceHeaderList")
    hops = tuple(_trace_header(hop) for hop in many(children, "TraceHeader", "TraceHeaderList"))
    return (read_bussiness(block) if block is not None else Bussiness()), hops


def read_bussiness(element: etree._Element) -> Bussiness:
    """`Bussiness` or `Business`."""
    children = children_of(element)
    return Bussiness(
        doc_type=integer(leaf(children, "BussinessDocType", PATH), f"{PATH}.BussinessDocType"),
        reason=leaf(children, "BussinessDocReason", PATH),
        document_id=leaf(children, "DocumentId", PATH).strip(),
        paper=integer(leaf(children, "Paper", PATH), f"{PATH}.Paper"),
        document_info=tuple(_document_info(info) for info in many(children, "BussinessDocumentInfo", PATH)),
        staff_info=tuple(read_staff(staff, f"{PATH}.StaffInfo") for staff in many(children, "StaffInfo", PATH)),
        replacements=_replacements(children),
    )


def read_staff(element: etree._Element, path: str) -> StaffInfo:
    """`StaffInfo`."""
    return StaffInfo(**fields_of(element, names.STAFF_INFO, path))


def _trace_header(element: etree._Element) -> TraceHeader:
    """A hop informs only: the text `null` is no agency, and a time that cannot be read is no reason to refuse."""
    fields = fields_of(element, names.TRACE_HEADER, "TraceHeaderList.TraceHeader")
    organ_id = fields.get("organ_id", "").strip()
    return TraceHeader(
        organ_id="" if organ_id.lower() == "null" else organ_id,
        timestamp=parse_timestamp(fields.get("timestamp", "")),
    )


def _document_info(element: etree._Element) -> BussinessDocumentInfo:
    path = f"{PATH}.BussinessDocumentInfo"
    children = children_of(element)
    receivers = only(children, "ReceiverList", path)
    found = many(children_of(receivers), "Receiver", path, names.RECIPIENTS_MAX) if receivers is not None else ()
    return BussinessDocumentInfo(
        document_info=integer(leaf(children, "DocumentInfo", path), f"{path}.DocumentInfo"),
        document_receiver=integer(leaf(children, "DocumentReceiver", path), f"{path}.DocumentReceiver"),
        receivers=tuple(_receiver(receiver, f"{path}.ReceiverList.Receiver") for receiver in found),
    )


def _receiver(element: etree._Element, path: str) -> Receiver:
    fields = fields_of(element, names.RECEIVER, path)
    return Receiver(
        organ_id=required(fields.get("organ_id", ""), element, "OrganId", path),
        receiver_type=integer(fields.get("receiver_type", ""), f"{path}.ReceiverType"),
    )


def _replacements(children: Children) -> tuple[ReplacementInfo, ...]:
    path = f"{PATH}.ReplacementInfoList"
    element = only(children, "ReplacementInfoList", PATH)
    if element is None:
        return ()
    return tuple(_replacement(info, path) for info in many(children_of(element), "ReplacementInfo", path))


def _replacement(element: etree._Element, path: str) -> ReplacementInfo:
    path = f"{path}.ReplacementInfo"
    children = children_of(element)
    return ReplacementInfo(
        document_id=required(leaf(children, "DocumentId", path), element, "DocumentId", path),
        organ_ids=tuple(organ_id.strip() for organ_id in leaves(children, "OrganIdList", "OrganId", path)),
    )
