"""What package B clients send is read as they meant it, or refused by name."""

import re
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from protocol import package_b
from protocol.errors import ExchangeError
from protocol.model import Reference
from protocol.soap import SoapRequest, read_envelope

VECTORS = Path(__file__).parents[2] / "vectors" / "package_b"
LINE = re.compile(
    r"^\| `(?P<file>\d{3}_\w+\.xml)` \| .+ \| `(?P<action>[^`]*)` \| `(?P<yields>[^`]+)` \|$", re.MULTILINE
)
TABLE = [tuple(match.group("file", "action", "yields")) for match in LINE.finditer((VECTORS / "README.md").read_text())]


def soap(file: str) -> SoapRequest:
    return read_envelope((VECTORS / file).read_bytes())


def read(file: str, action: str) -> package_b.Request:
    return package_b.read_request(action, soap(file))


def test_every_vector_has_its_line():
    assert [file for file, _, _ in TABLE] == sorted(path.name for path in VECTORS.glob("*.xml"))


@pytest.mark.parametrize(("file", "action", "yields"), TABLE)
def test_vector(file: str, action: str, yields: str):
    try:
        request = read(file, action)
    except ExchangeError as error:
        found = error.kind.code
    else:
        found = type(request).__name__
        assert (request.organ_id, request.token) == ("H21.40", "bi-mat-mot")
    assert found == yields


SENDING = [
    (file, action) for file, action, yields in TABLE if yields == "SendDocument" and "without_manifest" not in file
]


@pytest.mark.parametrize(("file", "action"), SENDING)
def test_a_document_is_the_same_in_every_dialect(file: str, action: str):
    request = read(file, action)
    assert isinstance(request, package_b.SendDocument)
    header = request.message.header
    assert (header.sender.organ_id, [to.organ_id for to in header.to]) == ("H21.40", ["H21.41"])
    assert header.code.full == "07/SVM-VP"
    assert header.promulgation_info.date == date(2026, 10, 5)
    assert header.signer_info.full_name == "Trần Thử"
    assert request.message.bussiness.paper == 1
    assert [hop.organ_id for hop in request.message.trace_headers] == ["H21.40"]
    assert request.message.references == (
        Reference(
            content_id="v1",
            attachment_name="07_SVM-VP.signed.pdf",
            content_type="application/pdf",
            description="Bản chính",
        ),
    )


def test_a_document_may_come_without_attachments():
    request = read("006_send_document_without_manifest.xml", "SendDocument")
    assert isinstance(request, package_b.SendDocument)
    assert request.message.references == ()


@pytest.mark.parametrize("file", ["014_update_traces.xml", "015_update_traces_in_header.xml"])
def test_a_status_is_read_from_body_or_header(file: str):
    request = read(file, "UpdateTraces")
    assert isinstance(request, package_b.UpdateTraces)
    assert request.status.status_code == 3
    assert request.status.sender.organ_id == "H21.41"
    assert request.status.response_for[0].document_id == "H21.40,2026/10/05,07/SVM-VP"
    assert request.status.timestamp == datetime(2026, 10, 5, 2, 0, tzinfo=UTC)


def test_numbers_and_moments_are_typed():
    assert getattr(read("012_get_document_qualified.xml", "GetDocument"), "number", None) == 42
    assert getattr(read("016_get_traces.xml", "GetTraces"), "timestamp", "unset") is None
    since = getattr(read("017_get_traces_since.xml", "GetTraces"), "timestamp", None)
    assert since == datetime(2026, 10, 5, 1, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    "action", ["SendDocument", '"SendDocument"', " 'SendDocument' ", "http://x.vn/eDoc#SendDocument"]
)
def test_actions_are_told_with_and_without_quotes(action: str):
    assert package_b.operation_of(action, soap("001_send_document.xml")) is package_b.Operation.SEND_DOCUMENT


@pytest.mark.parametrize("action", ["senddocument", "SendDocumentRequest", "Manifest", "GetDocument"])
def test_other_actions_are_refused_for_that_body(action: str):
    with pytest.raises(ExchangeError) as caught:
        package_b.operation_of(action, soap("001_send_document.xml"))
    assert caught.value.kind.code == "message.unknown-operation"


@pytest.mark.parametrize("action", ["", '""', "http://x.vn/eDoc/"])
def test_without_an_action_the_body_tells(action: str):
    assert package_b.operation_of(action, soap("001_send_document.xml")) is package_b.Operation.SEND_DOCUMENT
    assert package_b.operation_of(action, soap("018_check_permission.xml")) is package_b.Operation.CHECK_PERMISSION


def without(*tags: str) -> SoapRequest:
    text = (VECTORS / "001_send_document.xml").read_text()
    for tag in tags:
        text, count = re.subn(rf"<edXML:{tag}>.*?</edXML:{tag}>", "", text, count=1, flags=re.DOTALL)
        assert count == 1
    return read_envelope(text.encode())


def codes(request: SoapRequest) -> list[str]:
    return [error.report_code for error in package_b.missing_tags(request.header)]


def test_a_complete_structure_lacks_nothing():
    assert codes(soap("001_send_document.xml")) == []
    assert codes(soap("004_send_document_soap_namespace.xml")) == []


def test_every_missing_tag_is_named_at_once_in_the_regulations_order():
    assert codes(without("DueDate", "Type", "OrganizationInCharge", "OrganAdd", "Appendixes")) == [
        "N.MessageHeader.From.OrganizationInCharge",
        "N.MessageHeader.From.OrganAdd",
        "N.MessageHeader.DocumentType.Type",
        "N.MessageHeader.DueDate",
        "N.MessageHeader.OtherInfo.Appendixes",
    ]
    assert codes(without("SignerInfo", "To")) == ["N.MessageHeader.To", "N.MessageHeader.SignerInfo"]


def test_many_recipients_without_a_tag_give_one_error():
    text = (VECTORS / "001_send_document.xml").read_text()
    recipient = re.search(r"<edXML:To>.*?</edXML:To>", text, re.DOTALL)
    assert recipient is not None
    bare = recipient[0].replace("<edXML:OrganAdd>01 Đường Mẫu</edXML:OrganAdd>", "")
    request = read_envelope(text.replace(recipient[0], bare * 3).encode())
    assert codes(request) == ["N.MessageHeader.To.OrganAdd"]


def test_empty_tags_are_there_and_what_is_not_the_document_is_not_asked_for():
    assert codes(without("TraceHeaderList", "DocumentId")) == []
    assert codes(soap("103_no_message_header.xml")) == ["N.MessageHeader"]
    assert codes(soap("010_get_pending.xml")) == ["N.MessageHeader"]


@pytest.mark.parametrize("file", ["001_send_document.xml", "014_update_traces.xml"])
def test_a_request_cut_anywhere_raises_nothing_but_our_error(file: str):
    whole = (VECTORS / file).read_bytes().rstrip()
    for length in range(len(whole)):
        with pytest.raises(ExchangeError):
            read_envelope(whole[:length], tolerant=True)


@pytest.mark.parametrize("file", ["001_send_document.xml", "014_update_traces.xml", "011_get_document.xml"])
def test_a_request_that_lost_any_element_raises_nothing_but_our_error(file: str):
    action = file[4:-4].title().replace("_", "")
    total = sum(1 for _ in soap(file).root.iter("*"))
    outcomes = set()
    for position in range(3, total):  # Envelope, Header and Body are SOAP's affair
        request = soap(file)
        element = list(request.root.iter("*"))[position]
        parent = element.getparent()
        if parent is None or parent is request.root:
            continue
        parent.remove(element)
        try:
            package_b.read_request(
                action,
                SoapRequest(
                    version=request.version,
                    header=request.header,
                    body=request.body if element is not request.body else parent,
                    root=request.root,
                ),
            )
            package_b.missing_tags(request.header)
            outcomes.add("read")
        except ExchangeError:
            outcomes.add("refused")
    assert outcomes == {"read", "refused"}
