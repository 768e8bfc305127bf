"""What is not a message at all: refused over the wire with the right word, and nothing stays behind."""

from __future__ import annotations

import gzip
import io
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from protocol import errors, native, soap
from protocol.errors import ErrorKind, ExchangeError
from protocol.namespaces import SOAP_11, SOAP_12
from protocol.soap import SoapVersion
from tests.support.refusals import CONTENT, Stage, stage

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROOT_LIMIT = 300_000
NUMBER = "<lt:MessageNumber>{}</lt:MessageNumber>"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def at(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    settings = {"envelope": str(ROOT_LIMIT), "message": "3000000"}
    async with stage(tmp_path_factory.mktemp("hub"), settings=settings) as ready:
        yield ready


async def post(
    at: Stage, body: bytes, content_type: str = "application/soap+xml; charset=utf-8", **headers: str
) -> None:
    """Send these octets; raises the fault that comes back."""
    headers = {"Content-Type": content_type, **headers}
    if not content_type:
        del headers["Content-Type"]
    async with at.sender.session.post(
        f"{at.hub.url}/lienthong/v1", data=io.BytesIO(body), headers=headers, skip_auto_headers=["Content-Type"]
    ) as response:
        answer = soap.read_envelope(await response.read())
        error = soap.read_fault(answer)
        assert error is not None
        assert response.status == 500
        assert error.sentence  # Vietnamese, for a person
        assert CONTENT not in str(await response.text())
        raise error


def in_soap(inside: str, before: str = "", namespace: str = SOAP_12) -> bytes:
    """An envelope with a text of the document where an attack would show."""
    return (
        f'{before}<s:Envelope xmlns:s="{namespace}"><s:Body><x>{CONTENT}</x>{inside}</s:Body></s:Envelope>'
    ).encode()


LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
BOMB = f'<!DOCTYPE x [<!ENTITY l0 "ha">{LAUGHS}]>'
NOT_MESSAGES: dict[str, tuple[bytes, ErrorKind]] = {
    "nothing": (b"", errors.NOT_XML),
    "text": (f"xin chào {CONTENT}".encode(), errors.NOT_XML),
    "a PDF": (b"%PDF-1.7\n\x00\xff", errors.NOT_XML),
    "JSON": (b'{"a": 1}', errors.NOT_XML),
    "cut": (in_soap("")[:-9], errors.NOT_XML),
    "two roots": (in_soap("") + b"<y/>", errors.NOT_XML),
    "undeclared prefix": (in_soap("<p:y/>"), errors.NOT_XML),
    "not UTF-8": (in_soap("").replace(b"<x>", b"<x>\xff\xfe"), errors.NOT_XML),
    "a control character": (in_soap("&#1;"), errors.NOT_XML),
    "an unknown encoding": (in_soap("", '<?xml version="1.0" encoding="TCVN3"?>'), errors.NOT_XML),
    "an undeclared entity": (in_soap("&hello;"), errors.NOT_XML),
    "DOCTYPE": (in_soap("", "<!DOCTYPE x>"), errors.DOCTYPE),
    "DOCTYPE in UTF-16": (in_soap("", "<!DOCTYPE x>").decode().encode("utf-16"), errors.DOCTYPE),
    "an external DTD": (in_soap("", '<!DOCTYPE x SYSTEM "http://127.0.0.1:9/x.dtd">'), errors.DOCTYPE),
    "a file as entity": (in_soap("&f;", '<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]>'), errors.DOCTYPE),
    "a parameter entity": (in_soap("", '<!DOCTYPE x [<!ENTITY % f SYSTEM "file:///etc/passwd">%f;]>'), errors.DOCTYPE),
    "a billion laughs": (in_soap("&l9;", BOMB), errors.DOCTYPE),
    "laughs in an attribute": (in_soap('<y z="&l9;"/>', BOMB), errors.DOCTYPE),
    "a quadratic bomb": (in_soap("&a;" * 9000, f'<!DOCTYPE x [<!ENTITY a "{"a" * 9000}">]>'), errors.DOCTYPE),
    "300 deep": (in_soap("<a>" * 300 + "</a>" * 300), errors.TOO_DEEP),
    "65 deep": (in_soap("<a>" * 63 + "</a>" * 63), errors.TOO_DEEP),
    "30,000 deep": (in_soap("<a>" * 30_000 + "</a>" * 30_000), errors.TOO_DEEP),
    "an envelope too large": (in_soap("<a/>" * (ROOT_LIMIT // 4)), errors.TOO_LARGE),
    "no SOAP": (f"<x>{CONTENT}</x>".encode(), errors.NOT_SOAP),
    "SOAP of another version": (in_soap("", namespace="urn:soap-1.3"), errors.NOT_SOAP),
    "SOAP without a body": (f'<s:Envelope xmlns:s="{SOAP_12}"/>'.encode(), errors.NOT_SOAP),
    "two bodies": (in_soap("").replace(b"</s:Body>", b"</s:Body><s:Body/>"), errors.NOT_SOAP),
    "an unknown operation": (in_soap(""), errors.UNKNOWN_OPERATION),
    "an unknown operation in SOAP 1.1": (in_soap("", namespace=SOAP_11), errors.UNKNOWN_OPERATION),
    "an empty body": (f'<s:Envelope xmlns:s="{SOAP_12}"><s:Body/></s:Envelope>'.encode(), errors.UNKNOWN_OPERATION),
    "a header that must be understood": (
        in_soap("").replace(b"<s:Body>", b'<s:Header><w:a xmlns:w="urn:w" s:mustUnderstand="1"/></s:Header><s:Body>'),
        errors.MUST_UNDERSTAND,
    ),
}


@pytest.mark.parametrize(("body", "kind"), NOT_MESSAGES.values(), ids=NOT_MESSAGES)
async def test_ac_8_2c_7_what_is_no_message_is_refused_and_leaves_nothing(at: Stage, body: bytes, kind: ErrorKind):
    await at.refused(post(at, body), kind)


@pytest.mark.parametrize(("body", "kind"), list(NOT_MESSAGES.values())[::5], ids=list(NOT_MESSAGES)[::5])
async def test_the_same_inside_multipart(at: Stage, body: bytes, kind: ErrorKind):
    part = b"--b\r\nContent-Type: application/soap+xml\r\nContent-ID: <root>\r\n\r\n" + body + b"\r\n--b--\r\n"
    await at.refused(post(at, part, 'multipart/related; boundary=b; type="application/soap+xml"; start="<root>"'), kind)


async def test_ac_8_2c_7_compressed_bomb_is_unpacked_no_further_than_the_limit(at: Stage):
    """A body of 200 kB that says it is 200 MB."""
    bomb = gzip.compress(in_soap("").replace(b"<x>", b"<x>" + b" " * (200 << 20)), 9)
    await at.refused(post(at, bomb, **{"Content-Encoding": "gzip"}), errors.TOO_LARGE)


MULTIPARTS = {
    "no boundary": ("multipart/related", b"", errors.MIME_MALFORMED),
    "an empty boundary": ('multipart/related; boundary=""', b"", errors.MIME_MALFORMED),
    "a boundary that never comes": ("multipart/related; boundary=b", b"--c\r\n\r\n", errors.MIME_TRUNCATED),
    "an endless preamble": ("multipart/related; boundary=b", b"x" * 200_000, errors.MIME_MALFORMED),
    "headers without an end": (
        "multipart/related; boundary=b",
        b"--b\r\n" + b"X: y\r\n" * 20_000,
        errors.MIME_HEADERS_TOO_LARGE,
    ),
    "a header that is none": ("multipart/related; boundary=b", b"--b\r\nwhat\r\n\r\n--b--\r\n", errors.MIME_MALFORMED),
    "nothing between the boundaries": ("multipart/related; boundary=b", b"--b--\r\n", errors.MIME_MALFORMED),
    "the root last": (
        'multipart/related; boundary=b; start="<root>"',
        b"--b\r\nContent-ID: <f1>\r\n\r\nx\r\n--b\r\nContent-ID: <root>\r\n\r\n" + in_soap("") + b"\r\n--b--\r\n",
        errors.MIME_ROOT_NOT_FIRST,
    ),
    "a root too large": (
        "multipart/related; boundary=b",
        b"--b\r\n\r\n" + b" " * (ROOT_LIMIT + 1) + b"\r\n--b--\r\n",
        errors.TOO_LARGE,
    ),
    "a root in broken base64": (
        "multipart/related; boundary=b",
        b"--b\r\nContent-Transfer-Encoding: base64\r\n\r\n****\r\n--b--\r\n",
        errors.ATTACHMENT_DAMAGED,
    ),
}


@pytest.mark.parametrize(("content_type", "body", "kind"), MULTIPARTS.values(), ids=MULTIPARTS)
async def test_multipart_that_is_none(at: Stage, content_type: str, body: bytes, kind: ErrorKind):
    await at.refused(post(at, body, content_type), kind)


async def test_body_without_a_content_type_is_read_as_soap(at: Stage):
    await at.refused(post(at, in_soap(""), content_type=""), errors.UNKNOWN_OPERATION)


OPERATIONS = {
    "SendDocument of nothing": ("SendDocument", "", errors.ELEMENT_MISSING, "SendDocument.edXMLEnvelope"),
    "SendDocument of two": ("SendDocument", "<a/><b/>", errors.ELEMENT_MISMATCH, "SendDocument.edXMLEnvelope"),
    "SendDocument of another thing": ("SendDocument", "<a/>", errors.ELEMENT_MISMATCH, "SendDocument.edXMLEnvelope"),
    "ReportStatus of nothing": ("ReportStatus", "", errors.ELEMENT_MISSING, "ReportStatus.edXMLEnvelope"),
    "a number that is none": ("GetDocument", NUMBER.format("một"), errors.ELEMENT_TYPE, "GetDocument.MessageNumber"),
    "no number": ("GetDocument", "", errors.ELEMENT_MISSING, "GetDocument.MessageNumber"),
    "an empty number": ("ConfirmReceived", NUMBER.format(""), errors.ELEMENT_EMPTY, "ConfirmReceived.MessageNumber"),
    "too many numbers": (
        "ConfirmReceived",
        NUMBER.format(1) * 1001,
        errors.ELEMENT_RANGE,
        "ConfirmReceived.MessageNumber",
    ),
    "a limit of zero": ("GetPending", "<lt:Limit>0</lt:Limit>", errors.ELEMENT_RANGE, "GetPending.Limit"),
    "an endless wait": (
        "GetPending",
        "<lt:WaitSeconds>inf</lt:WaitSeconds>",
        errors.ELEMENT_RANGE,
        "GetPending.WaitSeconds",
    ),
    "a tree that does not exist yet": (
        "GetConsistency",
        "<lt:From>1</lt:From><lt:To>999999999</lt:To>",
        errors.ELEMENT_RANGE,
        "GetConsistency.To",
    ),
    "a proof backwards": ("GetConsistency", "<lt:From>2</lt:From><lt:To>1</lt:To>", errors.PROOF_INVALID, None),
    "a number beyond every ledger": ("GetDocument", NUMBER.format("9" * 18), errors.DOCUMENT_NOT_FOUND, None),
    "a number beyond every integer": (
        "GetDocument",
        NUMBER.format("9" * 30),
        errors.ELEMENT_TYPE,
        "GetDocument.MessageNumber",
    ),
    "traces of an unknown document": (
        "GetTraces",
        "<lt:DocumentId>H21.16,2026/01/01,1/X</lt:DocumentId>",
        errors.DOCUMENT_NOT_FOUND,
        "DocumentId",
    ),
}


@pytest.mark.parametrize(("operation", "inside", "kind", "element"), OPERATIONS.values(), ids=OPERATIONS)
async def test_operation_asked_wrongly(at: Stage, operation: str, inside: str, kind: ErrorKind, element: str | None):
    body = f'<lt:{operation} xmlns:lt="{native.NAMESPACE}">{inside}</lt:{operation}>'
    await at.refused(at.sender.call(body.encode()), kind, element)


async def test_answer_comes_in_the_version_of_the_request(at: Stage):
    for version in SoapVersion:
        body = soap.write_envelope(version, b"<x/>")
        headers = {"Content-Type": version.content_type}
        async with at.sender.session.post(f"{at.hub.url}/lienthong/v1", data=body, headers=headers) as response:
            answer = soap.read_envelope(await response.read())
            assert response.content_type == version.content_type
        assert answer.version is version
        assert isinstance(soap.read_fault(answer), ExchangeError)
