"""The documents and statuses of the fault scenarios: sealed once, so that every resend is the same message."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from protocol.edxml.writer import write_envelope
from protocol.model import (
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
    StatusMessage,
)
from protocol.seal import open_seal, seal
from protocol.signing import Signer
from protocol.xml_reading import parse


@dataclass(frozen=True)
class Paper:
    """A sealed document with the octets of its attachments by content id; `uploaded` ones go ahead of it."""

    name: str
    sender: str
    recipients: tuple[str, ...]
    document: Document
    envelope: bytes
    digest: str
    attachments: dict[str, bytes]
    uploaded: frozenset[str] = frozenset()

    @property
    def document_id(self) -> str:
        """The identity that everybody knows it by."""
        return self.document.header.document_id


def octets(name: str, size: int) -> bytes:
    """Incompressible octets that only this name gives."""
    return random.Random(name).randbytes(size)


def draft(
    number: int, sender: str, recipients: Sequence[str], attachments: dict[str, bytes], *, priority: int = 0
) -> Document:
    """A document complete enough for hub and edge, unsealed."""
    promulgated = date(2026, 1, 15)
    return Document(
        header=MessageHeader(
            sender=Organization(organ_id=sender, organ_name=f"Cơ quan {sender}"),
            to=tuple(Organization(organ_id=code, organ_name=f"Cơ quan {code}") for code in recipients),
            code=Code(number=str(number), notation="CV-VP"),
            promulgation_info=PromulgationInfo(place="Gia Lai", date=promulgated),
            document_type=DocumentType(type=2, type_detail=1, type_name="Công văn"),
            subject=f"Về việc thử nghiệm thứ {number}",
            signer_info=SignerInfo(position="Chánh Văn phòng", full_name="Nguyễn Thị Thuỷ"),
            other_info=OtherInfo(priority=priority, page_amount=1, promulgation_amount=1),
            document_id=f"{sender},{promulgated:%Y/%m/%d},{number}/CV-VP",
        ),
        references=tuple(_reference(content_id, data) for content_id, data in attachments.items()),
    )


def paper(
    number: int,
    signer: Signer,
    sender: str,
    recipients: Sequence[str],
    attachments: dict[str, bytes],
    *,
    priority: int = 0,
    uploaded: Sequence[str] = (),
) -> Paper:
    """A document, sealed."""
    document = draft(number, sender, recipients, attachments, priority=priority)
    envelope = seal(write_envelope(document, envelope_id=f"d{number}"), signer)
    return Paper(
        name=f"document {number}",
        sender=sender,
        recipients=tuple(recipients),
        document=document,
        envelope=envelope,
        digest=open_seal(parse(envelope)).digest,
        attachments=attachments,
        uploaded=frozenset(uploaded),
    )


def status(signer: Signer, reporter: str, about: Paper, code: int) -> bytes:
    """A sealed status of `reporter` about a document."""
    message = StatusMessage(
        sender=Organization(organ_id=reporter, organ_name=f"Cơ quan {reporter}"),
        response_for=(
            ResponseFor(
                organ_id=about.sender,
                code=about.document.header.code.full,
                promulgation_date=about.document.header.promulgation_info.date,
                document_id=about.document_id,
            ),
        ),
        status_code=code,
        description="Đã tiếp nhận",
        timestamp=datetime(2026, 1, 16, 1, 2, 3, tzinfo=UTC),
    )
    return seal(write_envelope(message, envelope_id=f"s{code}"), signer)


def _reference(content_id: str, data: bytes) -> Reference:
    return Reference(
        content_id=content_id,
        attachment_name=f"{content_id}.pdf",
        content_type="application/pdf",
        sha256=hashlib.sha256(data).digest(),
        size=len(data),
    )
