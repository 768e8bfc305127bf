"""The published WSDL and XSD: they compile, name the address that was asked, and what we write is valid by them."""

import re
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
import zeep
from edxml_models import DOCUMENT, STATUS
from lxml import etree
from msgspec.structs import replace

import protocol.wsdl
from protocol import native, package_b
from protocol.edxml.writer import write_envelope
from protocol.errors import DOCUMENT_CONFLICT, ELEMENT_MISSING, ExchangeError
from protocol.exchange import Accepted, Confirmation, Delivery, Summary, Trace
from protocol.model import (
    Bussiness,
    BussinessDocumentInfo,
    Document,
    DocumentType,
    Message,
    OtherInfo,
    Receiver,
    ReplacementInfo,
    ResponseFor,
    StaffInfo,
)
from protocol.namespaces import EXCHANGE
from protocol.package_a import write_package_a
from protocol.soap import SoapVersion, write_fault
from protocol.wsdl import SCHEMAS, WsdlName, schema, wsdl

FOLDER = Path(protocol.wsdl.__file__).parent
ADDRESS = "https://trục.gialai.example:8443/edoc/v1"
NOW = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
WSDL_NS = "{http://schemas.xmlsoap.org/wsdl/}"

RICH = replace(
    DOCUMENT,
    header=replace(
        DOCUMENT.header,
        due_date=date(2026, 12, 1),
        document_type=DocumentType(type=18, type_detail=0, type_name="Công văn"),
        to_places=("Như trên", "Lưu: VT"),
        other_info=OtherInfo(priority=3, direction=True, appendixes=("Phụ lục 1",)),
        response_for=(ResponseFor(organ_id="000.00.23.H21", code="1/A"), ResponseFor(document_id="x")),
        response_for_task=("T1",),
        application_type="MCDT_DT",
    ),
    bussiness=Bussiness(
        doc_type=3,
        reason="thay thế",
        document_id="x",
        paper=1,
        document_info=(BussinessDocumentInfo(document_info=1, receivers=(Receiver(organ_id="H21.1"),)),),
        staff_info=(StaffInfo(staff="A", staff_id="7", department_id="8"),),
        replacements=(ReplacementInfo(document_id="y", organ_ids=("H21.1",)),),
    ),
)
STATUS_WITHOUT_ANYTHING = replace(STATUS, response_for=(), description="", timestamp=None)


def compiled(name: str) -> etree.XMLSchema:
    return etree.XMLSchema(etree.parse(str(FOLDER / f"{name}.xsd")))


def valid(name: str, octets: bytes) -> None:
    compiled(name).assertValid(etree.fromstring(octets))


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_schema_compiles_as_it_lies_in_the_package(name: str):
    compiled(name)


def test_every_schema_file_is_published():
    assert {path.stem for path in FOLDER.glob("*.xsd")} == set(SCHEMAS)


@pytest.mark.parametrize("message", [DOCUMENT, RICH, STATUS, STATUS_WITHOUT_ANYTHING])
def test_the_envelopes_that_we_write_are_valid_edxml(message: Message):
    valid("qcvn", write_envelope(message, envelope_id="m1"))


@pytest.mark.parametrize("message", [DOCUMENT, RICH])
def test_package_a_files_are_valid_edxml(message: Document):
    valid("qcvn", b"".join(write_package_a(message, [(message.references[0], [b"%PDF", b"-1.4"])])))


def test_the_schemas_refuse_what_is_wrong():
    octets = write_envelope(DOCUMENT, envelope_id="m1")
    for old, new in ((b"Subject", b"Subjekt"), (b"2026/11/20", b"20/11/2026"), (b'Id="m1"', b'Id="1 2"')):
        assert not compiled("qcvn").validate(etree.fromstring(octets.replace(old, new)))


def summaries() -> list[Summary]:
    return [
        Summary(
            number=number,
            kind=kind,
            sender="H21.16",
            document_id='Đ"&<',
            digest="0" * 64,
            priority=1,
            size=5,
            accepted_at=NOW,
            receipt=receipt,
        )
        for number, (kind, receipt) in enumerate([("document", ""), ("status", ""), ("notice", "c2sp…\n")])
    ]


def native_messages() -> dict[str, bytes]:
    envelope = write_envelope(RICH, envelope_id="m1")
    delivery = Delivery(summary=summaries()[0], envelope=envelope, receipt="receipt")
    accepted = Accepted(number=7, document_id="x", receipt="receipt", repeated=True)
    return {
        "SendDocument": native.write_send(envelope),
        "SendDocumentResponse": native.write_accepted("SendDocument", accepted),
        "ReportStatus": native.write_report(write_envelope(STATUS, envelope_id="m1")),
        "ReportStatusResponse": native.write_accepted("ReportStatus", accepted),
        "GetPending": native.write_get_pending(limit=100, wait_seconds=30.5),
        "GetPendingResponse": native.write_pending(summaries()),
        "GetDocument": native.write_get_document(7),
        "GetDocumentResponse": native.write_delivery(delivery),
        "ConfirmReceived": native.write_confirm([1, 2]),
        "ConfirmReceivedResponse": native.write_confirmations([Confirmation(number=1, outcome="already")]),
        "GetTraces": native.write_get_traces(document_id="x", after=3),
        "GetTracesResponse": native.write_traces([Trace(number=4, document_id="x", status=STATUS)]),
        "GetOrganizations": native.write_get_organizations(),
        "GetOrganizationsResponse": native.write_organizations([DOCUMENT.header.sender]),
        "GetCheckpoint": native.write_get_checkpoint(),
        "GetCheckpointResponse": native.write_checkpoint("hub\n1\n"),
        "GetConsistency": native.write_get_consistency(1, 2),
        "GetConsistencyResponse": native.write_consistency([bytes(32)]),
    }


@pytest.mark.parametrize("name", native_messages())
def test_native_messages_are_valid_by_the_published_schema(name: str):
    octets = native_messages()[name]
    assert etree.fromstring(octets).tag == f"{{{EXCHANGE}}}{name}"
    valid("native", octets)


@pytest.mark.parametrize("version", SoapVersion)
def test_the_detail_of_a_fault_is_valid(version: SoapVersion):
    fault = etree.fromstring(write_fault(version, ExchangeError(ELEMENT_MISSING, element="MessageHeader.To")))
    (detail,) = fault.iter(f"{{{EXCHANGE}}}Error")
    compiled("native").assertValid(etree.fromstring(etree.tostring(detail)))


def test_the_wsdl_has_every_native_operation_in_both_soap_versions():
    operations = {name for name in native_messages() if not name.endswith("Response")}
    assert operations_by_port(wsdl("native", ADDRESS)) == {"Soap11": operations, "Soap12": operations}


def test_the_wsdl_has_every_package_b_operation_in_both_soap_versions():
    operations = set(package_b.Operation)
    assert operations_by_port(wsdl("package_b", ADDRESS)) == {"Soap11": operations, "Soap12": operations}


def operations_by_port(text: bytes) -> dict[str, set[str]]:
    root = etree.fromstring(text)
    bindings = {
        binding.get("name"): {operation.get("name") for operation in binding.findall(f"{WSDL_NS}operation")}
        for binding in root.findall(f"{WSDL_NS}binding")
    }
    return {port.get("name"): bindings[port.get("binding").split(":")[1]] for port in root.iter(f"{WSDL_NS}port")}


@pytest.mark.parametrize("message", [DOCUMENT, RICH])
def test_package_b_documents_are_valid_in_both_directions(message: Document):
    header, body = package_b.write_send_document(message, "H21.16", "token")
    for octets in (header, body, *package_b.write_document(message, 7)):
        check_siblings("package_b", octets)


def test_package_b_answers_are_valid():
    refusals = (ExchangeError(ELEMENT_MISSING, element="MessageHeader.DueDate"), ExchangeError(DOCUMENT_CONFLICT))
    for operation in package_b.Operation:
        valid("package_b", package_b.write_report(operation, refusals))
        if operation in {"SendDocument", "ConfirmReceived", "UpdateTraces", "CheckPermission"}:
            valid("package_b", package_b.write_report(operation, ()))
    valid("package_b", package_b.write_report("SendDocument", (), 7))
    valid("package_b", package_b.write_pending_ids([1, 2]))
    valid("package_b", package_b.write_pending_ids([]))
    valid("package_b", package_b.write_traces([Trace(number=4, document_id="x", status=STATUS)]))
    valid("package_b", package_b.write_organizations([DOCUMENT.header.sender]))


def test_package_b_statuses_are_valid_requests():
    header, body = package_b.write_update_traces(STATUS, "H21.23", "token")
    check_siblings("package_b", header)
    valid("package_b_requests", body)


def check_siblings(name: str, octets: bytes) -> None:
    """Header blocks stand side by side, without a root of their own."""
    for element in etree.fromstring(b"<all>" + octets + b"</all>"):
        compiled(name).assertValid(etree.fromstring(etree.tostring(element)))


@pytest.mark.parametrize("package", ["native", "package_b"])
def test_the_address_asked_stands_in_every_location(package: WsdlName):
    text = wsdl(package, ADDRESS).decode()
    locations = re.findall(r'[lL]ocation="([^"]*)"', text)
    assert len(locations) >= 3
    assert all(location.startswith(ADDRESS) for location in locations)
    for name in SCHEMAS:
        assert all(one.startswith(ADDRESS) for one in re.findall(r'ocation="([^"]*)"', schema(name, ADDRESS).decode()))


def test_an_address_cannot_break_out_of_its_attribute():
    text = wsdl("native", 'http://h/"><evil/>&')
    assert not etree.fromstring(text).findall(".//evil")


def test_an_unknown_schema_is_refused():
    with pytest.raises(ExchangeError) as refusal:
        schema("../wsdl", ADDRESS)
    assert refusal.value.kind.code == "message.unknown-operation"


@pytest.mark.parametrize(("package", "operations"), [("native", 9), ("package_b", 8)])
def test_zeep_reads_the_files_as_they_lie_in_the_package(package: str, operations: int):
    client = zeep.Client(str(FOLDER / f"{package}.wsdl"))
    for service in client.wsdl.services.values():
        for port in service.ports.values():
            assert len(port.binding._operations) == operations
