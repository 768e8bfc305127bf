"""The small TOML or JSON beside a PDF, and the status in a TOML file: what a clerk types, under edXML's own names."""

from __future__ import annotations

import tomllib
from datetime import date, datetime
from typing import Annotated, Any, Final, TypeVar

import msgspec
from msgspec import Meta

from edge_agent.clock import VIETNAM
from protocol import errors
from protocol.edxml.dates import parse_date, parse_timestamp
from protocol.errors import ExchangeError
from protocol.model import (
    Bussiness,
    Code,
    Document,
    DocumentType,
    MessageHeader,
    Organization,
    OtherInfo,
    PromulgationInfo,
    Reference,
    ResponseFor,
    SignerInfo,
    StaffInfo,
    StatusMessage,
)

TYPE_DETAILS: Final = {
    "nghị quyết": 1, "quyết định": 2, "chỉ thị": 3, "quy chế": 4, "quy định": 5, "thông cáo": 6, "thông báo": 7,
    "hướng dẫn": 8, "chương trình": 9, "kế hoạch": 10, "phương án": 11, "đề án": 12, "dự án": 13, "báo cáo": 14,
    "biên bản": 15, "tờ trình": 16, "hợp đồng": 17, "công văn": 18, "công điện": 19, "bản ghi nhớ": 20,
    "bản cam kết": 21, "bản thỏa thuận": 22, "giấy chứng nhận": 23, "giấy ủy quyền": 24, "giấy mời": 25,
    "giấy giới thiệu": 26,
}  # fmt: skip
"""Index of the administrative types (Sửa đổi 1:2022 QCVN 102:2016); unknown names get 0."""

T = TypeVar("T", bound=msgspec.Struct)


class Fields(msgspec.Struct, frozen=True, kw_only=True, rename="pascal", forbid_unknown_fields=True):
    """Shared settings of the tables below: edXML names, unknown keys refused."""


class Recipient(Fields, frozen=True, kw_only=True):
    """One `To` with its name."""

    organ_id: str
    organ_name: str = ""


class Answered(Fields, frozen=True, kw_only=True):
    """One `ResponseFor`."""

    document_id: str = ""
    organ_id: str = ""
    code: str = ""
    promulgation_date: str = ""


class Sidecar(Fields, frozen=True, kw_only=True):
    """The fields of one document. Dates are TOML dates or text `yyyy-MM-dd`, `yyyy/MM/dd`, `dd/MM/yyyy`."""

    to: Annotated[list[str | Recipient], Meta(min_length=1)]
    code_number: str | int
    code_notation: str
    promulgation_date: str
    subject: str
    full_name: str
    type_name: str = "Công văn"
    type: int = 2
    type_detail: int | None = None
    place: str = ""
    content: str = ""
    competence: str = ""
    position: str = ""
    due_date: str = ""
    to_places: list[str] = []
    priority: int = 0
    sphere_of_promulgation: str = ""
    typer_notation: str = ""
    promulgation_amount: int = 1
    page_amount: int = 0
    steering_type: int = 0
    paper: int | bool = 0
    appendixes: list[str] = []
    response_for: list[Answered] = []
    bussiness_doc_type: int = 0
    bussiness_doc_reason: str = ""
    document_id: str = ""
    description: str = ""
    file: str = ""
    """The main file, of the same folder; "": the one that has the sidecar's name."""
    attachments: list[str] = []
    """Further files of the same folder."""


class Listing(msgspec.Struct, frozen=True):
    """The files that a sidecar names."""

    file: str = ""
    attachments: tuple[str, ...] = ()


class StatusLine(Fields, frozen=True, kw_only=True):
    """One status (01-06, 13, 15, 16) about the document `DocumentId`."""

    document_id: str
    status_code: int | str
    description: str = ""
    organ_id: str = ""
    code: str = ""
    promulgation_date: str = ""
    department: str = ""
    staff: str = ""
    mobile: str = ""
    email: str = ""
    timestamp: str = ""


def read_sidecar(name: str, data: bytes) -> Sidecar:
    """Fields from TOML or (name ending in `.json`) JSON. Raises `element.*` naming the key."""
    return _read(name, data, Sidecar)


def read_listing(name: str, data: bytes) -> Listing:
    """The files that a sidecar names; none when it cannot be read: `read_sidecar` will say what is wrong with it."""
    try:
        raw = _decoded(name, data)
        return msgspec.convert({"file": raw.get("File", ""), "attachments": raw.get("Attachments", [])}, Listing)
    except (AttributeError, ValueError, msgspec.MsgspecError):
        return Listing()


def read_status(name: str, data: bytes) -> StatusLine:
    """A status from TOML. Raises `element.*` naming the key."""
    return _read(name, data, StatusLine)


def document_of(fields: Sidecar, sender: Organization, references: tuple[Reference, ...]) -> Document:
    """The document that the fields describe."""
    header = MessageHeader(
        sender=sender,
        to=tuple(_recipient(one) for one in fields.to),
        code=Code(number=str(fields.code_number), notation=fields.code_notation),
        promulgation_info=PromulgationInfo(place=fields.place, date=_day(fields.promulgation_date, "PromulgationDate")),
        document_type=_type(fields),
        subject=fields.subject,
        content=fields.content,
        signer_info=SignerInfo(competence=fields.competence, position=fields.position, full_name=fields.full_name),
        due_date=_day(fields.due_date, "DueDate"),
        to_places=tuple(fields.to_places),
        other_info=_other(fields),
        response_for=tuple(_answered(one) for one in fields.response_for),
        steering_type=fields.steering_type,
        document_id=fields.document_id,
    )
    bussiness = Bussiness(
        doc_type=fields.bussiness_doc_type,
        reason=fields.bussiness_doc_reason,
        paper=int(fields.paper),
        document_id=fields.response_for[0].document_id if fields.bussiness_doc_type and fields.response_for else "",
    )
    return Document(header=header, bussiness=bussiness, references=references)


def status_of(line: StatusLine, sender: Organization, owner: ResponseFor) -> StatusMessage:
    """The status that the line reports. `owner` is what is known of the document; the line's own words win."""
    day = _day(line.promulgation_date, "PromulgationDate")
    answered = ResponseFor(
        organ_id=line.organ_id or owner.organ_id,
        code=line.code or owner.code,
        promulgation_date=day or owner.promulgation_date,
        document_id=line.document_id,
    )
    staff = StaffInfo(department=line.department, staff=line.staff, mobile=line.mobile, email=line.email)
    return StatusMessage(
        sender=sender,
        response_for=(answered,),
        staff_info=staff,
        status_code=_status_code(line.status_code),
        description=line.description,
        timestamp=_moment(line.timestamp),
    )


def _read(name: str, data: bytes, type_: type[T]) -> T:
    try:
        return msgspec.convert(_plain(_decoded(name, data)), type_)
    except msgspec.ValidationError as error:
        missing = "missing required field" in str(error)
        raise ExchangeError(errors.ELEMENT_MISSING if missing else errors.ELEMENT_TYPE, element=_key(error)) from None
    except (ValueError, msgspec.DecodeError) as error:  # not UTF-8, not TOML, not JSON; the text stays out of it
        raise ExchangeError(errors.UNKNOWN_FORMAT, cause=type(error).__name__) from None


def _decoded(name: str, data: bytes) -> Any:  # noqa: ANN401 -- whatever the file holds
    text = data.decode("utf-8-sig")  # editors on Windows put a mark in front
    return msgspec.json.decode(text) if name.lower().endswith(".json") else tomllib.loads(text)


def _plain(value: Any) -> Any:  # noqa: ANN401 -- whatever TOML holds
    """TOML's own dates as text, so that one rule reads them all."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return value.isoformat() if isinstance(value, date) else value


def _key(error: msgspec.ValidationError) -> str:
    """The key that a complaint of msgspec is about, never its value."""
    text = str(error)
    found = text.split("`")
    if " - at `$." in text:
        return text.rsplit("`$.", 1)[1].rstrip("`")
    return found[1] if len(found) > 1 else ""


def _recipient(one: str | Recipient) -> Organization:
    if isinstance(one, str):
        return Organization(organ_id=one.strip())
    return Organization(organ_id=one.organ_id.strip(), organ_name=one.organ_name)


def _type(fields: Sidecar) -> DocumentType:
    detail = TYPE_DETAILS.get(fields.type_name.strip().lower(), 0) if fields.type == 2 else 0  # noqa: PLR2004 -- 2 = hành chính
    given = fields.type_detail
    return DocumentType(type=fields.type, type_detail=detail if given is None else given, type_name=fields.type_name)


def _other(fields: Sidecar) -> OtherInfo:
    return OtherInfo(
        priority=fields.priority,
        sphere_of_promulgation=fields.sphere_of_promulgation,
        typer_notation=fields.typer_notation,
        promulgation_amount=fields.promulgation_amount,
        page_amount=fields.page_amount,
        appendixes=tuple(fields.appendixes),
    )


def _answered(one: Answered) -> ResponseFor:
    return ResponseFor(
        organ_id=one.organ_id,
        code=one.code,
        promulgation_date=_day(one.promulgation_date, "ResponseFor.PromulgationDate"),
        document_id=one.document_id,
    )


def _day(value: str, key: str) -> date | None:
    if not value.strip():
        return None
    day = parse_date(value)
    if day is None:
        raise ExchangeError(errors.ELEMENT_TYPE, element=key)
    return day


def _moment(value: str) -> datetime | None:
    """With an offset as it says, without one in Vietnam's time."""
    if not value.strip():
        return None
    try:
        moment = datetime.fromisoformat(value.strip())
    except ValueError:
        read = parse_timestamp(value)
        if read is None:
            raise ExchangeError(errors.ELEMENT_TYPE, element="Timestamp") from None
        return read
    return moment if moment.tzinfo else moment.replace(tzinfo=VIETNAM)


def _status_code(value: int | str) -> int:
    text = str(value).strip()
    if not text.isascii() or not text.isdigit():
        raise ExchangeError(errors.ELEMENT_TYPE, element="StatusCode")
    return int(text)
