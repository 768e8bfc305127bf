"""Models for the tests of readers and writers: one sample, and hypothesis strategies for any model of the wire."""

from __future__ import annotations

import string
from datetime import UTC, date, datetime

from hypothesis import strategies as st

from protocol.model import (
    Bussiness,
    BussinessDocumentInfo,
    Code,
    Document,
    DocumentType,
    MessageHeader,
    Organization,
    OtherInfo,
    PromulgationInfo,
    Receiver,
    Reference,
    ReplacementInfo,
    ResponseFor,
    SignerInfo,
    StaffInfo,
    StatusMessage,
    TraceHeader,
)

AWKWARD = [
    "&",
    "<",
    ">",
    '"',
    "'",
    "]]>",
    "<!--",
    "&amp;",
    "\r\n",
    "\r",
    "\t",
    " ",
    "đ",
    "Đ",
    "ữ",
    "\u0301",
    "𠀋",
    "\ufffd",
]
_IDENTIFIER = string.ascii_letters + string.digits + ".,/-ĐđỨ&<\"'"

legal_characters = st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff") | st.sampled_from(
    "\t\n\r"
)
texts = st.lists(legal_characters | st.sampled_from(AWKWARD), max_size=12).map("".join)
said = texts.filter(lambda text: bool(text.strip()))
identifiers = st.text(_IDENTIFIER, min_size=1, max_size=20)
maybe_identifiers = identifiers | st.just("")
counts = st.integers(0, 10**6)
days = st.dates(date(1000, 1, 1), date(9999, 12, 30))
moments = st.integers(-(10**9), 4 * 10**9).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))

organizations = st.builds(
    Organization,
    organ_id=identifiers,
    organization_in_charge=texts,
    organ_name=texts,
    organ_add=texts,
    email=texts,
    telephone=texts,
    fax=texts,
    website=texts,
)
responses = st.builds(
    ResponseFor,
    organ_id=maybe_identifiers,
    code=maybe_identifiers,
    promulgation_date=st.none() | days,
    document_id=maybe_identifiers,
).filter(lambda response: response != ResponseFor())
staff = st.builds(
    StaffInfo, department=texts, department_id=texts, staff=texts, staff_id=texts, mobile=texts, email=texts
)
headers = st.builds(
    MessageHeader,
    sender=organizations,
    to=st.lists(organizations, max_size=3).map(tuple),
    code=st.builds(Code, number=maybe_identifiers, notation=maybe_identifiers),
    promulgation_info=st.builds(PromulgationInfo, place=texts, date=st.none() | days),
    document_type=st.builds(DocumentType, type=counts, type_detail=counts, type_name=texts),
    subject=texts,
    content=texts,
    signer_info=st.builds(SignerInfo, competence=texts, position=texts, full_name=texts),
    due_date=st.none() | days,
    to_places=st.lists(said, max_size=3).map(tuple),
    other_info=st.builds(
        OtherInfo,
        priority=counts,
        sphere_of_promulgation=texts,
        typer_notation=texts,
        promulgation_amount=counts,
        page_amount=counts,
        direction=st.booleans(),
        appendixes=st.lists(said, max_size=3).map(tuple),
    ),
    response_for=st.lists(responses, max_size=3).map(tuple),
    steering_type=counts,
    response_for_task=st.lists(said, max_size=3).map(tuple),
    application_type=texts,
    document_id=maybe_identifiers,
)
bussinesses = st.builds(
    Bussiness,
    doc_type=counts,
    reason=texts,
    document_id=maybe_identifiers,
    paper=counts,
    document_info=st.lists(
        st.builds(
            BussinessDocumentInfo,
            document_info=counts,
            document_receiver=counts,
            receivers=st.lists(st.builds(Receiver, organ_id=identifiers, receiver_type=counts), max_size=2).map(tuple),
        ),
        max_size=2,
    ).map(tuple),
    staff_info=st.lists(staff, max_size=2).map(tuple),
    replacements=st.lists(
        st.builds(ReplacementInfo, document_id=identifiers, organ_ids=st.lists(identifiers, max_size=2).map(tuple)),
        max_size=2,
    ).map(tuple),
)
references = st.builds(
    Reference,
    content_id=identifiers,
    attachment_name=texts,
    content_type=st.sampled_from(["application/pdf", "application/octet-stream"]),
    description=texts,
    sha256=st.none() | st.binary(min_size=32, max_size=32),
    size=st.none() | st.integers(0, 2**40),
)
documents = st.builds(
    Document,
    header=headers,
    bussiness=bussinesses,
    trace_headers=st.lists(
        st.builds(
            TraceHeader, organ_id=identifiers.filter(lambda name: name.lower() != "null"), timestamp=st.none() | moments
        ),
        max_size=2,
    ).map(tuple),
    references=st.lists(references, max_size=3).map(tuple),
)
statuses = st.builds(
    StatusMessage,
    sender=organizations,
    response_for=st.lists(responses, max_size=2).map(tuple),
    staff_info=staff,
    status_code=st.integers(0, 99),
    description=texts,
    timestamp=st.none() | moments,
)
messages = documents | statuses

DOCUMENT = Document(
    header=MessageHeader(
        sender=Organization(organ_id="H21.16", organ_name="Sở Ví dụ A"),
        to=(Organization(organ_id="H21.23"),),
        code=Code(number="07", notation="SVDA-VP"),
        promulgation_info=PromulgationInfo(place="Gia Lai", date=date(2026, 11, 20)),
        subject="V/v thử nghiệm",
        document_id="H21.16,2026/11/20,07/SVDA-VP",
    ),
    trace_headers=(TraceHeader(organ_id="H21.16", timestamp=datetime(2026, 11, 20, 1, 15, 30, tzinfo=UTC)),),
    references=(
        Reference(
            content_id="f1", attachment_name="07.pdf", content_type="application/pdf", sha256=bytes(32), size=1234
        ),
    ),
)
STATUS = StatusMessage(
    sender=Organization(organ_id="H21.23"),
    response_for=(ResponseFor(organ_id="H21.16", code="07/SVDA-VP", document_id=DOCUMENT.header.document_id),),
    status_code=3,
    description="Đã tiếp nhận",
    timestamp=datetime(2026, 11, 20, 2, 0, 12, tzinfo=UTC),
)
