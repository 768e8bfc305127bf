"""The strict edXML writer, and that the reader gives back what it wrote."""

from __future__ import annotations

from datetime import UTC, date, datetime

import edxml_models
import msgspec
import pytest
from hypothesis import given
from lxml import etree

from protocol.edxml import reader, writer
from protocol.edxml.dates import format_date, format_timestamp
from protocol.errors import ELEMENT_TYPE, ExchangeError
from protocol.model import Bussiness, Document, Message, MessageHeader, Organization, OtherInfo, Reference
from protocol.namespaces import EXCHANGE, QCVN, XMLDSIG
from protocol.xml_reading import local_name, parse

E = f"{{{QCVN}}}"
# QCVN 102:2016 numbers the fields 1.1 to 1.14 in this order
GROUPS = {
    "From": ("OrganId", "OrganizationInCharge", "OrganName", "OrganAdd", "Email", "Telephone", "Fax", "Website"),
    "To": ("OrganId", "OrganName", "OrganAdd", "Email", "Telephone", "Fax", "Website"),
    "Code": ("CodeNumber", "CodeNotation"),
    "PromulgationInfo": ("Place", "PromulgationDate"),
    "DocumentType": ("Type", "TypeDetail", "TypeName"),
    "Subject": (),
    "Content": (),
    "SignerInfo": ("Competence", "Position", "FullName"),
    "DueDate": (),
    "ToPlaces": (),
    "OtherInfo": (
        *("Priority", "SphereOfPromulgation", "TyperNotation", "PromulgationAmount", "PageAmount", "Direction"),
        "Appendixes",
    ),
    "SteeringType": (),
    "DocumentId": (),
}


def written(message: Message) -> etree._Element:
    return parse(writer.write_envelope(message, envelope_id="e-1"))


def with_header(**changes: object) -> Document:
    header = msgspec.structs.replace(edxml_models.DOCUMENT.header, **changes)
    return msgspec.structs.replace(edxml_models.DOCUMENT, header=header)


@given(edxml_models.messages)
def test_what_is_written_is_read_back_equal(message: Message):
    assert reader.read_message(written(message)) == message


@given(edxml_models.messages)
def test_what_is_written_is_canonical_already(message: Message):
    data = writer.write_envelope(message, envelope_id="e-1")
    assert etree.tostring(parse(data), method="c14n", exclusive=True, with_comments=False) == data


def test_the_envelope_stands_alone_and_carries_its_id():
    data = writer.write_envelope(edxml_models.DOCUMENT, envelope_id="e-1")
    assert data.startswith(b'<edXML:edXMLEnvelope xmlns:edXML="%b" Id="e-1"><edXML:edXMLHeader>' % QCVN.encode())
    assert data.count(b"xmlns:edXML=") == 1


def test_the_header_has_the_order_of_the_regulation():
    header = written(edxml_models.DOCUMENT).find(f"{E}edXMLHeader/{E}MessageHeader")
    assert header is not None
    assert [local_name(child) for child in header] == list(GROUPS)


def test_answers_tasks_and_application_stand_in_their_places():
    document = with_header(
        response_for=edxml_models.STATUS.response_for, response_for_task=("CV-1",), application_type="MCDT_DT"
    )
    header = written(document).find(f"{E}edXMLHeader/{E}MessageHeader")
    assert header is not None
    names = [local_name(child) for child in header]
    assert names[10:] == [
        "OtherInfo",
        "ResponseFor",
        "SteeringType",
        "ResponseForTask",
        "ApplicationType",
        "DocumentId",
    ]


def test_every_tag_that_package_b_hubs_demand_is_there_when_nothing_is_known():
    header = MessageHeader(sender=Organization(organ_id="H21"), to=(Organization(organ_id="H22"),))
    root = written(Document(header=header))
    for group, children in GROUPS.items():
        found = root.find(f"{E}edXMLHeader/{E}MessageHeader/{E}{group}")
        assert found is not None, group
        assert set(children) <= {local_name(child) for child in found}, group


def test_values_whose_emptiness_breaks_a_reader_are_never_empty():
    root = written(Document(header=MessageHeader(sender=Organization(organ_id="H21"))))
    for name in ("SteeringType", "Type", "TypeDetail", "BussinessDocType", "Paper", "Direction", "Priority"):
        assert root.findtext(f".//{E}{name}"), name


def test_the_business_block_is_always_there_with_the_spelling_of_the_regulation():
    block = written(edxml_models.DOCUMENT).find(f".//{E}TraceHeaderList/{E}Bussiness")
    assert block is not None
    assert (block.findtext(f"{E}BussinessDocType"), block.findtext(f"{E}Paper")) == ("0", "0")


def test_dates_are_written_year_first_in_vietnam_time():
    # 18:30 UTC is already the next day in Vietnam
    moment = datetime(2026, 11, 20, 18, 30, 5, tzinfo=UTC)
    assert format_timestamp(moment) == "2026/11/21 01:30:05"
    assert format_date(date(987, 1, 2)) == "0987/01/02"
    root = written(edxml_models.DOCUMENT)
    assert root.findtext(f".//{E}PromulgationDate") == "2026/11/20"
    assert root.findtext(f".//{E}TraceHeader/{E}Timestamp") == "2026/11/20 08:15:30"


def test_a_reference_has_cid_once_then_the_digest_and_size():
    reference = written(edxml_models.DOCUMENT).find(f".//{E}edXMLManifest/{E}Reference")
    assert reference is not None
    assert [child.tag for child in reference] == [
        *(f"{E}{name}" for name in ("ContentId", "ContentType", "Description", "AttachmentName")),
        *(f"{{{XMLDSIG}}}DigestMethod", f"{{{XMLDSIG}}}DigestValue", f"{{{EXCHANGE}}}Size"),
    ]
    assert reference.findtext(f"{E}ContentId") == "cid:f1"
    assert reference.findtext(f"{{{XMLDSIG}}}DigestValue") == "A" * 43 + "="
    assert reference.findtext(f"{{{EXCHANGE}}}Size") == "1234"


def test_an_unknown_digest_and_size_are_not_written():
    document = msgspec.structs.replace(edxml_models.DOCUMENT, references=(Reference(content_id="f1"),))
    reference = written(document).find(f".//{E}Reference")
    assert reference is not None
    assert len(reference) == 4


def test_a_status_has_two_digits_and_no_body():
    root = written(edxml_models.STATUS)
    header = root.find(f"{E}edXMLHeader/{E}MessageHeader")
    assert header is not None
    assert [local_name(child) for child in header] == [
        "From",
        "ResponseFor",
        "StaffInfo",
        "StatusCode",
        "Description",
        "Timestamp",
    ]
    assert header.findtext(f"{E}StatusCode") == "03"
    assert [local_name(child) for child in root] == ["edXMLHeader"]


@pytest.mark.parametrize("character", ["\x00", "\x0b", "\x1f", "\ud800", "\ufffe", "\uffff"])
def test_what_xml_cannot_hold_is_refused_and_named(character: str):
    for message, element in (
        (with_header(subject=f"a{character}b"), "MessageHeader.Subject"),
        (with_header(to=(Organization(organ_id="H21", organ_name=character),)), "MessageHeader.To.OrganName"),
        (with_header(to_places=("a", character + "b")), "MessageHeader.ToPlaces.Place"),
        (
            with_header(other_info=OtherInfo(appendixes=("x" + character,))),
            "MessageHeader.OtherInfo.Appendixes.Appendix",
        ),
        (
            msgspec.structs.replace(edxml_models.DOCUMENT, bussiness=Bussiness(reason=character)),
            "TraceHeaderList.Bussiness.BussinessDocReason",
        ),
        (
            msgspec.structs.replace(
                edxml_models.DOCUMENT, references=(Reference(content_id="f", attachment_name=character),)
            ),
            "edXMLManifest.Reference.AttachmentName",
        ),
        (msgspec.structs.replace(edxml_models.STATUS, description=character), "MessageHeader.Description"),
    ):
        with pytest.raises(ExchangeError) as caught:
            writer.write_envelope(message, envelope_id="e-1")
        assert (caught.value.kind, caught.value.element) == (ELEMENT_TYPE, element)


def test_vietnamese_in_every_form_of_unicode_is_kept_as_it_is():
    # NFC is the sender's business before the seal; the writer alters nothing
    subject = "Cộng hòa – Co\u0323\u0302ng ho\u0300a"
    message = reader.read_message(written(with_header(subject=subject)))
    assert isinstance(message, Document)
    assert message.header.subject == subject
