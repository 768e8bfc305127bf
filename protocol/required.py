"""What a message must say before it can be processed or sent, as a table of fields with lengths and sources.

Two profiles: `HUB` is the minimum without which nothing can be done with a document; `EDGE` adds the formal elements
that a sending agency answers for (AC-4.1e-1). Lengths are code points after NFC; an over-long value is refused, never
cut, because the cut text would be signed (AC-4.1f-2).
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date
from enum import Enum
from typing import Final

import msgspec

from protocol import agency_codes, document_ids, text
from protocol.errors import (
    ATTACHMENT_DOUBLED,
    DATE_IN_FUTURE,
    DUPLICATE_RECIPIENT,
    ELEMENT_EMPTY,
    ELEMENT_MISSING,
    ELEMENT_RANGE,
    ELEMENT_TOO_LONG,
    ExchangeError,
)
from protocol.model import BussinessDocType, Document, ResponseFor, StatusMessage


class Profile(Enum):
    """How much is demanded."""

    HUB = "hub"
    EDGE = "edge"


HUB: Final = Profile.HUB
EDGE: Final = Profile.EDGE


class Field(msgspec.Struct, frozen=True):
    """One row of the table: edXML path, how to get its texts, longest length (0: no limit), who demands it."""

    path: str
    values: Callable[[Document], tuple[str, ...]]
    limit: int = 0
    needed_by: tuple[Profile, ...] = ()


_BOTH: Final = (HUB, EDGE)
_EDGE: Final = (EDGE,)
# Sources of the lengths: QCVN = Sửa đổi 1:2022 QCVN 102:2016; ND30 = NĐ 30/2020 PL VI phần II; ours = no rule found.
FIELDS: Final = (
    Field("MessageHeader.From.OrganId", lambda d: (d.header.sender.organ_id,), 35, _BOTH),  # QCVN
    Field("MessageHeader.From.OrganizationInCharge", lambda d: (d.header.sender.organization_in_charge,), 200),  # ND30
    Field("MessageHeader.From.OrganName", lambda d: (d.header.sender.organ_name,), 200, _EDGE),  # ND30 I.7
    Field("MessageHeader.To.OrganId", lambda d: tuple(to.organ_id for to in d.header.to), 35, _BOTH),  # QCVN
    Field("MessageHeader.To.OrganName", lambda d: tuple(to.organ_name for to in d.header.to), 200),  # ND30 I.13.2
    Field("MessageHeader.Code.CodeNumber", lambda d: (d.header.code.number,), 11, _BOTH),  # ND30 I.4
    Field("MessageHeader.Code.CodeNotation", lambda d: (d.header.code.notation,), 30, _EDGE),  # ND30 I.5
    Field("MessageHeader.DocumentType.TypeName", lambda d: (d.header.document_type.type_name,), 100, _EDGE),  # ND30 I.3
    Field("MessageHeader.Subject", lambda d: (d.header.subject,), 500, _BOTH),  # ND30 I.8
    Field("MessageHeader.SignerInfo.Position", lambda d: (d.header.signer_info.position,), 100),  # ND30 I.12
    Field("MessageHeader.SignerInfo.FullName", lambda d: (d.header.signer_info.full_name,), 50, _EDGE),  # ND30 I.12
    Field("MessageHeader.DocumentId", lambda d: (d.header.document_id,), document_ids.MAX_LENGTH, _BOTH),  # ours
    Field("TraceHeaderList.Bussiness.BussinessDocReason", lambda d: (d.bussiness.reason,), 500),  # ND30 I.11
    Field("edXMLManifest.Reference.ContentId", lambda d: tuple(r.content_id for r in d.references), 255, _BOTH),  # ours
    # the limit that the hubs of the CV 2803 generation check
    Field("edXMLManifest.Reference.AttachmentName", lambda d: tuple(r.attachment_name for r in d.references), 500),
    Field(
        "edXMLManifest.Reference.Description", lambda d: tuple(r.description for r in d.references), 500
    ),  # ND30 I.11
)
"""The table: everything that has a length or is demanded as text."""

MAX_REASON: Final = 500
"""Code points of the reason in a status (as Ghi chú, NĐ 30/2020 PL VI)."""
STATUS_CODES: Final = frozenset({1, 2, 3, 4, 5, 6, 13, 15, 16})
REFUSED: Final = 2
"""The status whose reason is mandatory."""
MAX_DIGIT: Final = 9
"""Priority is a one-digit number (NĐ 30/2020 PL VI)."""


def problems(document: Document, profile: Profile = HUB, *, today: date | None = None) -> list[ExchangeError]:
    """Everything that is wrong with `document`, in the order of the message; empty when nothing is.

    `today` is the current date in Vietnam; without it a future date of promulgation is not noticed.
    """
    return list(_problems(document, profile, today))


def check_document(document: Document, profile: Profile = HUB, *, today: date | None = None) -> None:
    """Raise the first of `problems`."""
    for problem in _problems(document, profile, today):
        raise problem


def check_status(status: StatusMessage, profile: Profile = HUB) -> None:
    """Raise the first thing that is wrong with a status message.

    It must name who reports, which document (DocumentId, or agency and full code) and a code of the list. The reason
    of a refusal (02) is demanded by `EDGE` only: a hub that refused it would hide the refusal from the sender.
    """
    for problem in _status_problems(status, profile):
        raise problem


def _problems(document: Document, profile: Profile, today: date | None) -> Iterator[ExchangeError]:
    if not document.header.to:
        yield ExchangeError(ELEMENT_MISSING, element="MessageHeader.To")
    for field in FIELDS:
        needed, limit = profile in field.needed_by, field.limit or sys.maxsize
        for value in field.values(document):
            if len(value) > limit or (needed and not value.strip()):
                yield from _field_problems(field, value, needed=needed)
    yield from _organ_problems(document)
    yield from _date_problems(document, today)
    yield from _number_problems(document)
    yield from _business_problems(document)
    yield from _manifest_problems(document)


def _field_problems(field: Field, value: str, *, needed: bool) -> Iterator[ExchangeError]:
    if needed and not value.strip():
        yield ExchangeError(ELEMENT_EMPTY, element=field.path)
    if field.limit and len(value) > field.limit and text.length(value) > field.limit:
        yield ExchangeError(ELEMENT_TOO_LONG, element=field.path, limit=field.limit, length=text.length(value))


def _organ_problems(document: Document) -> Iterator[ExchangeError]:
    recipients = [to.organ_id for to in document.header.to if to.organ_id.strip()]
    sender = document.header.sender.organ_id
    if sender.strip() and not agency_codes.is_plausible(sender.strip()):
        yield ExchangeError(ELEMENT_RANGE, element="MessageHeader.From.OrganId")
    if any(not agency_codes.is_plausible(code.strip()) for code in recipients):
        yield ExchangeError(ELEMENT_RANGE, element="MessageHeader.To.OrganId")
    if len({agency_codes.canonical(code) for code in recipients}) < len(recipients):
        yield ExchangeError(DUPLICATE_RECIPIENT, element="MessageHeader.To.OrganId")


def _date_problems(document: Document, today: date | None) -> Iterator[ExchangeError]:
    promulgated = document.header.promulgation_info.date
    if promulgated is None:
        yield ExchangeError(ELEMENT_MISSING, element="MessageHeader.PromulgationInfo.PromulgationDate")
    elif today is not None and promulgated > today:
        yield ExchangeError(DATE_IN_FUTURE, element="MessageHeader.PromulgationInfo.PromulgationDate")


def _number_problems(document: Document) -> Iterator[ExchangeError]:
    other = document.header.other_info
    if not 0 <= other.priority <= MAX_DIGIT:
        yield ExchangeError(ELEMENT_RANGE, element="MessageHeader.OtherInfo.Priority")
    if other.promulgation_amount < 0:
        yield ExchangeError(ELEMENT_RANGE, element="MessageHeader.OtherInfo.PromulgationAmount")
    if other.page_amount < 0:
        yield ExchangeError(ELEMENT_RANGE, element="MessageHeader.OtherInfo.PageAmount")


def _business_problems(document: Document) -> Iterator[ExchangeError]:
    """A recall, update or replacement must say which document it is about (edXML `Bussiness`, `ResponseFor`)."""
    business = document.bussiness
    named = bool(business.document_id.strip()) or any(map(_names_document, document.header.response_for))
    match business.doc_type:
        case BussinessDocType.NEW:
            return
        case BussinessDocType.RECALL:
            if not named:
                yield ExchangeError(ELEMENT_MISSING, element="MessageHeader.ResponseFor.DocumentId")
        case BussinessDocType.UPDATE:
            if not named:
                yield ExchangeError(ELEMENT_MISSING, element="TraceHeaderList.Bussiness.DocumentId")
        case BussinessDocType.REPLACE:
            if not named and not any(info.document_id.strip() for info in business.replacements):
                path = "TraceHeaderList.Bussiness.ReplacementInfoList.ReplacementInfo.DocumentId"
                yield ExchangeError(ELEMENT_MISSING, element=path)
        case _:
            yield ExchangeError(ELEMENT_RANGE, element="TraceHeaderList.Bussiness.BussinessDocType")


def _names_document(answered: ResponseFor) -> bool:
    return bool(answered.document_id.strip() or (answered.organ_id.strip() and answered.code.strip()))


def _manifest_problems(document: Document) -> Iterator[ExchangeError]:
    counts = Counter(reference.content_id for reference in document.references)
    if any(count > 1 for content_id, count in counts.items() if content_id.strip()):
        yield ExchangeError(ATTACHMENT_DOUBLED, element="edXMLManifest.Reference.ContentId")


def _status_problems(status: StatusMessage, profile: Profile) -> Iterator[ExchangeError]:
    if not status.sender.organ_id.strip():
        yield ExchangeError(ELEMENT_EMPTY, element="MessageHeader.From.OrganId")
    elif not agency_codes.is_plausible(status.sender.organ_id.strip()):
        yield ExchangeError(ELEMENT_RANGE, element="MessageHeader.From.OrganId")
    if not any(map(_names_document, status.response_for)):
        yield ExchangeError(ELEMENT_MISSING, element="MessageHeader.ResponseFor.DocumentId")
    if status.status_code not in STATUS_CODES:
        yield ExchangeError(ELEMENT_RANGE, element="MessageHeader.StatusCode")
    if profile is EDGE and status.status_code == REFUSED and not status.description.strip():
        yield ExchangeError(ELEMENT_EMPTY, element="MessageHeader.Description")
    if text.length(status.description) > MAX_REASON:
        yield ExchangeError(ELEMENT_TOO_LONG, element="MessageHeader.Description", limit=MAX_REASON)
