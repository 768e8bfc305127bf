"""What a package B server answers, and what a client of it sends and reads back."""

from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

import protocol.wsdl
from protocol import package_b
from protocol.errors import (
    ATTACHMENT_MISSING,
    DOCUMENT_CONFLICT,
    ELEMENT_MISSING,
    ELEMENT_RANGE,
    KINDS,
    UNAUTHENTICATED,
    ErrorKind,
    ExchangeError,
)
from protocol.exchange import Trace
from protocol.model import (
    Bussiness,
    BussinessDocType,
    Code,
    Document,
    MessageHeader,
    Organization,
    PromulgationInfo,
    Reference,
    ReplacementInfo,
    ResponseFor,
    StaffInfo,
    StatusMessage,
    TraceHeader,
)
from protocol.soap import SoapVersion, read_envelope, write_envelope
from protocol.xml_reading import parse

EDOC = "{http://www.e-doc.vn/Schema/}"
FOLDER = Path(protocol.wsdl.__file__).parent
ANSWERS = etree.XMLSchema(etree.parse(FOLDER / "package_b.xsd"))
REQUESTS = etree.XMLSchema(etree.parse(FOLDER / "package_b_requests.xsd"))

ONE = Organization(organ_id="H21.40", organ_name="Sở Vectơ Một", organization_in_charge="UBND tỉnh")
TWO = Organization(organ_id="H21.41", organ_name="Sở <Hai> & Ba")
DOCUMENT = Document(
    header=MessageHeader(
        sender=ONE,
        to=(TWO,),
        code=Code(number="07", notation="SVM-VP"),
        promulgation_info=PromulgationInfo(place="Pleiku", date=date(2026, 10, 5)),
        subject="V/v <edXML:Bussiness> trong văn bản",
        response_for=(ResponseFor(organ_id="H21.41", code="01/SVH-VP", promulgation_date=date(2026, 9, 1)),),
        document_id="H21.40,2026/10/05,07/SVM-VP",
    ),
    bussiness=Bussiness(
        doc_type=BussinessDocType.REPLACE,
        reason="Thay thế",
        staff_info=(StaffInfo(staff="Trần Thử", department_id="VP"),),
        replacements=(ReplacementInfo(document_id="cũ", organ_ids=("H21.41",)),),
    ),
    trace_headers=(TraceHeader(organ_id="H21.40", timestamp=datetime(2026, 10, 5, 0, 30, tzinfo=UTC)),),
    references=(
        Reference(content_id="v1@x", attachment_name="07 & phụ lục.pdf", content_type="application/pdf"),
        Reference(content_id='"2"', attachment_name="b.xls", description="Bảng"),
    ),
)
STATUS = StatusMessage(
    sender=TWO,
    response_for=(
        ResponseFor(
            organ_id="H21.40",
            code="07/SVM-VP",
            promulgation_date=date(2026, 10, 5),
            document_id="H21.40,2026/10/05,07/SVM-VP",
        ),
    ),
    staff_info=StaffInfo(department="Văn thư", staff="Lê Thử"),
    status_code=1,
    description="Đã đến",
    timestamp=datetime(2026, 10, 5, 1, 0, 0, tzinfo=UTC),
)
VERSIONS = pytest.mark.parametrize("version", list(SoapVersion))


def answered(body: bytes) -> etree._Element:
    """The body, valid by the published schema."""
    element = read_envelope(write_envelope(SoapVersion.V11, body)).body
    ANSWERS.assertValid(parse(etree.tostring(element)))
    return element


def test_a_report_of_success_carries_the_number():
    element = answered(package_b.write_report("SendDocument", [], 42))
    assert element.tag == f"{EDOC}SendDocumentResponse"
    assert [child.tag for child in element] == [f"{EDOC}Report", f"{EDOC}DocumentId"]
    assert package_b.read_report(element) == 42


def test_a_refusal_lists_every_error_with_its_code_and_a_sentence():
    errors = [
        ExchangeError(ELEMENT_MISSING, element="MessageHeader.DueDate"),
        ExchangeError(ELEMENT_RANGE, element="MessageHeader.DocumentType.Type"),
        ExchangeError(ATTACHMENT_MISSING, element="a<b>\x00.pdf"),
    ]
    element = answered(package_b.write_report("SendDocument", errors))
    assert element.findtext(f"{EDOC}Report/{EDOC}IsSuccess") == "false"
    assert [code.text for code in element.iter(f"{EDOC}Code")] == [
        "N.MessageHeader.DueDate",
        "R.MessageHeader.DocumentType.Type",
        "R.AttachmentName",
    ]
    sentences = [description.text or "" for description in element.iter(f"{EDOC}Description")]
    assert "MessageHeader.DueDate" in sentences[0]
    assert "a<b>\ufffd.pdf" in sentences[2]


@pytest.mark.parametrize("operation", [item for item in package_b.Operation if item != "GetDocument"])
def test_errors_stand_in_the_operations_own_response(operation: package_b.Operation):
    element = answered(package_b.write_report(operation, [ExchangeError(UNAUTHENTICATED)]))
    assert element.tag == f"{EDOC}{operation}Response"
    with pytest.raises(ExchangeError) as caught:
        package_b.read_report(element)
    assert caught.value.kind is UNAUTHENTICATED


def test_a_refused_get_document_has_no_wrapper():
    element = answered(package_b.write_report("GetDocument", [ExchangeError(UNAUTHENTICATED)]))
    assert element.tag == f"{EDOC}Report"


def test_pending_ids_are_numbers_in_their_order():
    element = answered(package_b.write_pending_ids([7, 3, 9_000_000_000]))
    assert [child.text for child in element[0]] == ["7", "3", "9000000000"]
    assert len(answered(package_b.write_pending_ids([]))[0]) == 0


@VERSIONS
def test_a_document_handed_over_reads_as_it_was_sent(version: SoapVersion):
    header, body = package_b.write_document(DOCUMENT, 42)
    soap = read_envelope(write_envelope(version, body, header=header))
    assert soap.header is not None
    for block in (*soap.header, soap.body):
        ANSWERS.assertValid(parse(etree.tostring(block)))
    assert [etree.QName(block).localname for block in soap.header] == ["MessageHeader", "TraceHeaderList"]
    request = package_b.read_request("SendDocument", soap)
    assert isinstance(request, package_b.SendDocument)
    assert request.message == DOCUMENT
    assert package_b.missing_tags(soap.header) == []


def test_a_document_without_id_gets_the_number_for_one():
    nameless = Document(header=MessageHeader(sender=ONE, to=(TWO,)))
    header, _ = package_b.write_document(nameless, 42)
    assert b"<edXML:DocumentId>42</edXML:DocumentId>" in header


def test_traces_say_what_their_clients_have_always_read():
    traces = [Trace(number=5, document_id="x", status=STATUS)]
    element = answered(package_b.write_traces(traces))
    (status,) = element[0]
    assert status.findtext(f"{EDOC}StatusCode") == "1"
    assert status.findtext(f"{EDOC}ResponseFor/{EDOC}PromulgationDate") == "2026/10/05 00:00:00"
    assert status.findtext(f"{EDOC}Timestamp") == "2026/10/05 08:00:00"
    back = package_b.read_request(
        "UpdateTraces", read_envelope(write_envelope(SoapVersion.V11, etree.tostring(status)))
    )
    assert isinstance(back, package_b.UpdateTraces)
    assert back.status == STATUS


def test_organizations_have_all_their_fields():
    element = answered(package_b.write_organizations([ONE, TWO]))
    assert [item.findtext(f"{EDOC}OrganId") for item in element[0]] == ["H21.40", "H21.41"]
    assert len(element[0][0]) == 8
    assert element[0][1].findtext(f"{EDOC}OrganName") == "Sở <Hai> & Ba"


@VERSIONS
def test_a_client_sends_a_document_that_a_server_reads_whole(version: SoapVersion):
    header, body = package_b.write_send_document(DOCUMENT, "H21.40", "bí <mật> & 1")
    soap = read_envelope(write_envelope(version, body, header=header))
    request = package_b.read_request("SendDocument", soap)
    assert soap.header is not None
    for block in (*soap.header, soap.body):
        ANSWERS.assertValid(parse(etree.tostring(block)))
    assert request == package_b.SendDocument(message=DOCUMENT, organ_id="H21.40", token="bí <mật> & 1")
    assert package_b.missing_tags(soap.header) == []


@VERSIONS
def test_a_client_sends_a_status_in_no_namespace(version: SoapVersion):
    header, body = package_b.write_update_traces(STATUS, "H21.41", "t")
    soap = read_envelope(write_envelope(version, body, header=header))
    REQUESTS.assertValid(parse(etree.tostring(soap.body)))
    assert {etree.QName(element).namespace for element in soap.body.iter("*")} == {None}
    assert soap.body.findtext("StatusCode") == "01"
    assert package_b.read_request("UpdateTraces", soap) == package_b.UpdateTraces(
        status=STATUS, organ_id="H21.41", token="t"
    )


TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Cn"]), max_size=30)


@given(
    subject=TEXTS,
    reason=TEXTS,
    name=TEXTS,
    content_id=st.text("abc019.@-_<&\"'", min_size=1),
    number=st.integers(0, 10**6),
)
def test_any_text_survives_the_way_through_package_b(
    subject: str, reason: str, name: str, content_id: str, number: int
):
    document = Document(
        header=MessageHeader(sender=ONE, to=(TWO,), subject=subject, code=Code(number=str(number)), document_id="d"),
        bussiness=Bussiness(reason=reason),
        references=(Reference(content_id=content_id, attachment_name=name),),
    )
    header, body = package_b.write_send_document(document, "H21.40", "t")
    request = package_b.read_request("", read_envelope(write_envelope(SoapVersion.V11, body, header=header)))
    assert isinstance(request, package_b.SendDocument)
    assert request.message == document


def report(inner: str, tag: str = "SendDocumentResponse") -> etree._Element:
    return parse(f'<{tag} xmlns="http://www.e-doc.vn/Schema/">{inner}</{tag}>'.encode())


def refusal(*codes: str) -> etree._Element:
    listed = "".join(f"<Error><Code>{code}</Code><Description>mật</Description></Error>" for code in codes)
    return report(f"<Report><IsSuccess>false</IsSuccess><ErrorList>{listed}</ErrorList></Report>")


@pytest.mark.parametrize(
    ("element", "kind", "named"),
    [
        (refusal("M.Exist"), DOCUMENT_CONFLICT, ""),
        (refusal("N.MessageHeader.DueDate", "M.Exist"), ELEMENT_MISSING, "MessageHeader.DueDate"),
        (refusal("R.MessageHeaderToOrganName"), ELEMENT_RANGE, "MessageHeaderToOrganName"),
        (refusal("Permission"), UNAUTHENTICATED, ""),
        (refusal("M.SendDocument"), KINDS["server.internal"], ""),
        (refusal("lạ"), KINDS["server.internal"], ""),
        (refusal(), KINDS["server.internal"], ""),
        (report("<Report><IsSuccess>false</IsSuccess></Report>"), KINDS["server.internal"], ""),
        (report("<Report/>"), KINDS["server.bad-answer"], "SendDocumentResponse"),
        (report("<DocumentIds/>"), KINDS["server.bad-answer"], "SendDocumentResponse"),
        (report("<Report><IsSuccess>maybe</IsSuccess></Report>"), KINDS["server.bad-answer"], "SendDocumentResponse"),
    ],
)
def test_a_peers_refusal_becomes_ours_without_its_prose(element: etree._Element, kind: ErrorKind, named: str):
    with pytest.raises(ExchangeError) as caught:
        package_b.read_report(element)
    assert (caught.value.kind, caught.value.element) == (kind, named)
    assert "mật" not in repr(caught.value.details)


@pytest.mark.parametrize("inner", ["", "<ErrorList/>"])
def test_success_is_read_with_and_without_an_error_list(inner: str):
    answer = report(f"<Report><IsSuccess> TRUE </IsSuccess>{inner}</Report><DocumentId>7</DocumentId>")
    assert package_b.read_report(answer) == 7
    bare = report(f"<IsSuccess>true</IsSuccess>{inner}", "Report")
    assert package_b.read_report(bare) is None
