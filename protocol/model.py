"""The QCVN 102:2016 data model (with its 2022 amendment), typed and frozen; CV 512/2803 maps onto it.

Text is as read; dates are `datetime.date`; timestamps are aware UTC. An absent optional group is an empty group, an
absent date is `None`: writers decide what a missing value looks like in their package. Names follow the regulation,
its spelling `Bussiness` included.
"""

from __future__ import annotations

from datetime import date, datetime
from enum import IntEnum
from typing import Literal

import msgspec

Kind = Literal["document", "status", "notice"]
"""What a message is: a document, a business status, or the hub's own notice that a document was delivered."""


class Model(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Every part of the model: immutable, keyword-only."""


class BussinessDocType(IntEnum):
    """What a document does to others (edXML `BussinessDocType`)."""

    NEW = 0
    RECALL = 1
    UPDATE = 2
    REPLACE = 3


class Priority(IntEnum):
    """Độ khẩn (edXML `OtherInfo/Priority`)."""

    NORMAL = 0
    URGENT = 1
    VERY_URGENT = 2
    EXPRESS = 3
    EXPRESS_TIMED = 4


class Organization(Model, frozen=True, kw_only=True):
    """An agency as a message names it (`From`, `To`). `organ_id` keeps the form that the peer used."""

    organ_id: str
    organization_in_charge: str = ""
    organ_name: str = ""
    organ_add: str = ""
    email: str = ""
    telephone: str = ""
    fax: str = ""
    website: str = ""


class Code(Model, frozen=True, kw_only=True):
    """Số và ký hiệu. `number` is a string (`05`, `123a`); the full form is `number/notation`."""

    number: str = ""
    notation: str = ""

    @property
    def full(self) -> str:
        """`123/SVDA-VP`."""
        return f"{self.number}/{self.notation}" if self.notation else self.number


class PromulgationInfo(Model, frozen=True, kw_only=True):
    """Nơi và ngày ban hành."""

    place: str = ""
    date: date | None = None


class DocumentType(Model, frozen=True, kw_only=True):
    """Loại văn bản: group (1 QPPL, 2 hành chính, other integers occur), index inside it, name. Trust the name."""

    type: int = 2
    type_detail: int = 0
    type_name: str = ""


class SignerInfo(Model, frozen=True, kw_only=True):
    """Người ký."""

    competence: str = ""
    position: str = ""
    full_name: str = ""


class OtherInfo(Model, frozen=True, kw_only=True):
    """Other registration data. Amounts are counts of copies and pages."""

    priority: int = 0
    sphere_of_promulgation: str = ""
    typer_notation: str = ""
    promulgation_amount: int = 0
    page_amount: int = 0
    direction: bool = False
    appendixes: tuple[str, ...] = ()


class ResponseFor(Model, frozen=True, kw_only=True):
    """The document that this one answers, recalls or reports on. `code` is the full `123/ABC`."""

    organ_id: str = ""
    code: str = ""
    promulgation_date: date | None = None
    document_id: str = ""


class StaffInfo(Model, frozen=True, kw_only=True):
    """The person who handles it."""

    department: str = ""
    department_id: str = ""
    staff: str = ""
    staff_id: str = ""
    mobile: str = ""
    email: str = ""


class MessageHeader(Model, frozen=True, kw_only=True):
    """The header of a document (edXML `MessageHeader`)."""

    sender: Organization
    to: tuple[Organization, ...] = ()
    code: Code = Code()
    promulgation_info: PromulgationInfo = PromulgationInfo()
    document_type: DocumentType = DocumentType()
    subject: str = ""
    content: str = ""
    signer_info: SignerInfo = SignerInfo()
    due_date: date | None = None
    to_places: tuple[str, ...] = ()
    other_info: OtherInfo = OtherInfo()
    response_for: tuple[ResponseFor, ...] = ()
    steering_type: int = 0
    response_for_task: tuple[str, ...] = ()
    application_type: str = ""
    document_id: str = ""


class Receiver(Model, frozen=True, kw_only=True):
    """A receiver added (0) or removed (1) by an update."""

    organ_id: str
    receiver_type: int = 0


class BussinessDocumentInfo(Model, frozen=True, kw_only=True):
    """What an update changes: the document's data, its receivers."""

    document_info: int = 0
    document_receiver: int = 0
    receivers: tuple[Receiver, ...] = ()


class ReplacementInfo(Model, frozen=True, kw_only=True):
    """A replaced document and the agencies concerned."""

    document_id: str
    organ_ids: tuple[str, ...] = ()


class Bussiness(Model, frozen=True, kw_only=True):
    """The business block (edXML `Bussiness`). `paper` is 1 when a paper copy follows (Điều 4.3)."""

    doc_type: int = BussinessDocType.NEW
    reason: str = ""
    document_id: str = ""
    paper: int = 0
    document_info: tuple[BussinessDocumentInfo, ...] = ()
    staff_info: tuple[StaffInfo, ...] = ()
    replacements: tuple[ReplacementInfo, ...] = ()


class TraceHeader(Model, frozen=True, kw_only=True):
    """One system that carried the message."""

    organ_id: str = ""
    timestamp: datetime | None = None


class Reference(Model, frozen=True, kw_only=True):
    """One line of the manifest. `content_id` is without any `cid:`.

    `sha256` (32 octets) and `size` (octets) are present in sealed envelopes, `None` in packages that do not carry them.
    """

    content_id: str
    attachment_name: str = ""
    content_type: str = "application/octet-stream"
    description: str = ""
    sha256: bytes | None = None
    size: int | None = None


class Document(Model, frozen=True, kw_only=True):
    """A document: header, business block, hops, manifest."""

    header: MessageHeader
    bussiness: Bussiness = Bussiness()
    trace_headers: tuple[TraceHeader, ...] = ()
    references: tuple[Reference, ...] = ()


class StatusMessage(Model, frozen=True, kw_only=True):
    """A business status (01-06, 13, 15, 16). `status_code` is the integer; `03` and `3` are equal."""

    sender: Organization
    response_for: tuple[ResponseFor, ...] = ()
    staff_info: StaffInfo = StaffInfo()
    status_code: int
    description: str = ""
    timestamp: datetime | None = None


Message = Document | StatusMessage
"""What an edXML envelope holds."""
