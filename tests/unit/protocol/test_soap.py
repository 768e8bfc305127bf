"""SOAP envelopes and faults in both versions, from both sides."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from protocol.errors import (
    BAD_ANSWER,
    BUSY,
    ELEMENT_MISSING,
    INTERNAL,
    KINDS,
    MUST_UNDERSTAND,
    NOT_SOAP,
    NOT_XML,
    SECRET_MARK,
    ErrorKind,
    ExchangeError,
    Fault,
)
from protocol.namespaces import EXCHANGE, SOAP_11, SOAP_12
from protocol.soap import SoapVersion, read_answer, read_envelope, read_fault, write_envelope, write_fault
from protocol.xml_reading import local_name

VERSIONS = list(SoapVersion)
XML_LANG = "{http://www.w3.org/XML/1998/namespace}lang"
SEALED = '<e:edXMLEnvelope xmlns:e="urn:x" Id="a">\n  <e:A>đ &amp; "b"&#xD;</e:A>\n</e:edXMLEnvelope>'.encode()


def refusal(data: bytes) -> ExchangeError:
    with pytest.raises(ExchangeError) as caught:
        read_envelope(data)
    return caught.value


@pytest.mark.parametrize(
    ("version", "namespace", "content_type"),
    [(SoapVersion.V11, SOAP_11, "text/xml"), (SoapVersion.V12, SOAP_12, "application/soap+xml")],
)
def test_an_envelope_is_read_back_in_its_version(version: SoapVersion, namespace: str, content_type: str):
    data = write_envelope(version, b"<a><b/></a>", header=b"<h/>")
    request = read_envelope(data)
    assert request.version is version
    assert (version.namespace, version.content_type) == (namespace, content_type)
    assert request.root.tag == f"{{{namespace}}}Envelope"
    assert local_name(request.body) == "a"
    assert request.header is not None
    assert [local_name(block) for block in request.header] == ["h"]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_sealed_element_inside_keeps_every_octet_and_its_canonical_form(version: SoapVersion):
    data = write_envelope(version, SEALED)
    assert SEALED in data
    inside = etree.tostring(read_envelope(data).body, method="c14n", exclusive=True, with_comments=False)
    assert inside == SEALED


def test_an_envelope_without_header_and_with_any_prefix_is_read():
    request = read_envelope(f'<x:Envelope xmlns:x="{SOAP_11}"><x:Body><a/></x:Body></x:Envelope>'.encode())
    assert request.header is None
    assert local_name(request.body) == "a"


def test_an_empty_body_is_given_as_the_body_itself():
    request = read_envelope(write_envelope(SoapVersion.V11, b"", header=b"<CheckPermission/>"))
    assert request.body.tag == f"{{{SOAP_11}}}Body"


def test_only_the_first_element_of_a_body_is_the_request():
    assert local_name(read_envelope(write_envelope(SoapVersion.V11, b"<a/><b/>")).body) == "a"


@pytest.mark.parametrize(
    "data",
    [
        b"<a/>",
        b"<Envelope/>",
        b'<Envelope xmlns="urn:other"><Body/></Envelope>',
        f'<Envelope xmlns="{SOAP_11}"/>'.encode(),
        f'<Envelope xmlns="{SOAP_11}"><Header/></Envelope>'.encode(),
        f'<Envelope xmlns="{SOAP_11}"><Body/><Body/></Envelope>'.encode(),
        f'<Envelope xmlns="{SOAP_11}"><Header/><Header/><Body/></Envelope>'.encode(),
        f'<Envelope xmlns="{SOAP_11}"><Body/><Header/></Envelope>'.encode(),
        f'<Envelope xmlns="{SOAP_11}"><Body xmlns="{SOAP_12}"/></Envelope>'.encode(),
        f'<Fault xmlns="{SOAP_11}"/>'.encode(),
    ],
)
def test_what_is_no_envelope_is_refused(data: bytes):
    assert refusal(data).kind is NOT_SOAP


def test_a_header_that_must_be_understood_and_is_not_is_refused():
    block = f'<w:Security xmlns:w="urn:w" xmlns:s="{SOAP_11}" s:mustUnderstand="1"/>'.encode()
    error = refusal(write_envelope(SoapVersion.V11, b"<a/>", header=block))
    assert (error.kind, error.element) == (MUST_UNDERSTAND, "Security")
    fault = etree.fromstring(write_fault(SoapVersion.V11, error))
    assert fault.findtext(".//faultcode") == "soapenv:MustUnderstand"


@pytest.mark.parametrize(
    "block",
    [
        '<w:Security xmlns:w="urn:w" mustUnderstand="1"/>',
        '<w:Security xmlns:w="urn:w" xmlns:s="{ns}" s:mustUnderstand="0"/>',
        '<w:Security xmlns:w="urn:w" xmlns:s="{ns}" s:mustUnderstand="true" s:{role}="urn:somebody-else"/>',
        '<e:TraceHeaderList xmlns:e="urn:e" xmlns:s="{ns}" s:mustUnderstand="1" s:{role}=""/>',
    ],
)
@pytest.mark.parametrize("version", VERSIONS)
def test_headers_that_need_not_be_understood_pass(version: SoapVersion, block: str):
    role = "actor" if version is SoapVersion.V11 else "role"
    data = write_envelope(version, b"<a/>", header=block.format(ns=version.namespace, role=role).encode())
    assert local_name(read_envelope(data).body) == "a"


def test_a_forgotten_prefix_is_accepted_when_tolerant():
    data = write_envelope(SoapVersion.V11, b"<edXML:Manifest/>")
    assert local_name(read_envelope(data, tolerant=True).body) == "Manifest"
    assert refusal(data).kind is NOT_XML


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.code)
def test_every_error_of_the_vocabulary_survives_the_wire(version: SoapVersion, kind: ErrorKind):
    read = read_fault(read_envelope(write_fault(version, ExchangeError(kind, element="MessageHeader.To"))))
    assert read is not None
    assert (read.kind, read.element) == (kind, "MessageHeader.To")


def test_a_soap_11_fault_has_the_shape_of_the_standard():
    fault = etree.fromstring(
        write_fault(SoapVersion.V11, ExchangeError(ELEMENT_MISSING, element="MessageHeader.Subject"))
    )
    assert fault.findtext(".//faultcode") == "soapenv:Client"
    assert fault.findtext(".//faultstring") == ELEMENT_MISSING.sentence.replace("{element}", "MessageHeader.Subject")
    detail = fault.find(f".//detail/{{{EXCHANGE}}}Error")
    assert detail is not None
    assert [(local_name(one), one.text) for one in detail][::3] == [("Code", "element.missing"), ("Temporary", "false")]


def test_a_soap_12_fault_has_the_shape_of_the_standard():
    tag = f"{{{SOAP_12}}}"
    fault = etree.fromstring(write_fault(SoapVersion.V12, ExchangeError(BUSY)))
    assert fault.findtext(f".//{tag}Code/{tag}Value") == "soapenv:Receiver"
    reason = fault.find(f".//{tag}Reason/{tag}Text")
    assert reason is not None
    assert (reason.text, reason.get(XML_LANG)) == (BUSY.sentence, "vi")
    assert fault.findtext(f".//{tag}Detail/{{{EXCHANGE}}}Error/{{{EXCHANGE}}}Temporary") == "true"


@pytest.mark.parametrize(("kind", "code"), [(SECRET_MARK, "Client"), (BUSY, "Server")])
def test_a_fault_says_whose_it_is(kind: ErrorKind, code: str):
    fault = etree.fromstring(write_fault(SoapVersion.V11, ExchangeError(kind)))
    assert fault.findtext(".//faultcode") == f"soapenv:{code}"
    assert (kind.fault is Fault.SENDER) == (code == "Client")


@given(st.text(max_size=30))
def test_a_fault_can_always_be_written(element: str):
    read = read_fault(read_envelope(write_fault(SoapVersion.V12, ExchangeError(ELEMENT_MISSING, element=element))))
    assert read is not None
    assert read.kind is ELEMENT_MISSING


def test_log_details_of_an_error_never_reach_the_peer():
    data = write_fault(SoapVersion.V11, ExchangeError(INTERNAL, path="/var/lib/secret"))
    assert b"secret" not in data


@pytest.mark.parametrize(
    "fault",
    [
        "<s:Fault><faultcode>s:Client</faultcode><faultstring>No</faultstring></s:Fault>",
        f'<s:Fault><d><Error xmlns="{EXCHANGE}"><Code>from.the-future</Code></Error></d></s:Fault>',
        "<s:Fault/>",
    ],
)
def test_an_unknown_fault_is_an_internal_error_and_temporary(fault: str):
    data = f'<s:Envelope xmlns:s="{SOAP_11}"><s:Body>{fault}</s:Body></s:Envelope>'.encode()
    read = read_fault(read_envelope(data))
    assert read is not None
    assert read.kind is INTERNAL
    assert read.kind.temporary


def test_an_answer_is_no_fault_and_a_fault_no_answer():
    assert read_fault(read_envelope(write_envelope(SoapVersion.V11, b"<Fault/>"))) is None
    assert local_name(read_answer(write_envelope(SoapVersion.V12, b"<a/>")).body) == "a"
    with pytest.raises(ExchangeError) as caught:
        read_answer(write_fault(SoapVersion.V12, ExchangeError(BUSY)))
    assert caught.value.kind is BUSY


@pytest.mark.parametrize(
    "page", [b"<html><body>502 Bad Gateway</body></html>", b"busy", b"", b"<!DOCTYPE html><html/>"]
)
def test_the_error_page_of_a_proxy_is_temporary(page: bytes):
    with pytest.raises(ExchangeError) as caught:
        read_answer(page)
    assert caught.value.kind is BAD_ANSWER
    assert caught.value.kind.temporary


@given(st.text("<>/sEnvelopBdyHa:=\"' ", max_size=80))
def test_garbage_is_an_error_of_the_vocabulary(text: str):
    with pytest.raises(ExchangeError):
        read_envelope(text.encode())
