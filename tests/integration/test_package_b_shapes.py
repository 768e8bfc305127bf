"""The odd but honest shapes of package B requests that clients in use send: all are understood."""

import base64
from collections.abc import AsyncIterator

import aiohttp
import pytest
from package_b_letters import DOCUMENT_ID, send_document, signature
from package_b_stage import TOKENS, Endpoint, Stage, stage
from raw_http import SOAP_12, envelope, post, related

CREDENTIALS = f"<OrganId>H21.23</OrganId><Token>{TOKENS['H21.23']}</Token>"
RELATED = 'multipart/related;type="text/xml";boundary="Boundary";start="Start"'
PDF = b"%PDF-1.4\r\n\x00\xff--Boundary\n\r\n"


@pytest.fixture
async def served():
    async with stage() as running:
        yield running


@pytest.fixture
def endpoint(served: Stage) -> Endpoint:
    return served.endpoint


async def test_start_without_brackets_is_answered_with_a_complete_envelope(endpoint: Endpoint):
    """The C# client in use: it cuts the envelope out of the MIME answer with a text search."""
    body = related(envelope(f"<GetOrganizations>{CREDENTIALS}</GetOrganizations>"))
    headers = {"SOAPAction": "GetOrganizations", "Accept": "text/xml", "Content-Type": RELATED}
    answer = await post(endpoint.address, headers, body)
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("multipart/related")
    assert [element.text for element in answer.envelope.iter("{*}OrganId")] == ["H21.16", "H21.23"]
    assert next(answer.envelope.iter("{*}GetOrganizationsResponse")).prefix == "edXML"


@pytest.mark.parametrize(
    "action", ["GetOrganizations", '"GetOrganizations"', '"http://www.e-doc.vn/Schema/GetOrganizations"']
)
async def test_soap_action_is_understood_in_every_spelling(endpoint: Endpoint, action: str):
    body = envelope(f"<GetOrganizations>{CREDENTIALS}</GetOrganizations>")
    answer = await post(endpoint.address, {"SOAPAction": action, "Content-Type": "text/xml"}, body)
    assert answer.headers["content-type"] == "text/xml; charset=utf-8"
    assert answer.text("OrganId") == "H21.16"


@pytest.mark.parametrize(
    "content_type",
    [
        'application/soap+xml; charset=utf-8; action="GetOrganizations"',
        "application/soap+xml;action=GetOrganizations",
    ],
)
async def test_soap_12_is_answered_in_soap_12(endpoint: Endpoint, content_type: str):
    body = envelope(f"<GetOrganizations>{CREDENTIALS}</GetOrganizations>", version=SOAP_12)
    answer = await post(endpoint.address, {"Content-Type": content_type}, body)
    assert answer.headers["content-type"] == "application/soap+xml; charset=utf-8"
    assert answer.envelope.tag == f"{{{SOAP_12}}}Envelope"
    assert answer.text("OrganId") == "H21.16"


async def test_soap_12_action_inside_start_info_is_found(endpoint: Endpoint):
    content_type = (
        'multipart/related; boundary=Boundary; type="application/xop+xml"; start="<Start>"; '
        'start-info="application/soap+xml; action=\\"GetOrganizations\\""'
    )
    body = related(envelope(f"<GetOrganizations>{CREDENTIALS}</GetOrganizations>", version=SOAP_12))
    answer = await post(endpoint.address, {"Content-Type": content_type}, body)
    assert answer.text("OrganId") == "H21.16"


@pytest.mark.parametrize("prefix", ["", "edXML:", "q:"])
async def test_operation_elements_are_read_in_any_namespace(endpoint: Endpoint, prefix: str):
    declared = ' xmlns:q="urn:anything"' if prefix == "q:" else ""
    body = envelope(
        f"<{prefix}GetPendingDocumentIdsRequest{declared}>{CREDENTIALS}</{prefix}GetPendingDocumentIdsRequest>"
    )
    answer = await post(endpoint.address, {"SOAPAction": "GetPendingDocumentIds", "Content-Type": "text/xml"}, body)
    assert next(answer.envelope.iter("{*}DocumentIds")) is not None
    assert answer.codes == []


async def test_check_permission_stands_in_the_header(endpoint: Endpoint):
    body = envelope("", header=f"<CheckPermission>{CREDENTIALS}</CheckPermission>")
    answer = await post(endpoint.address, {"SOAPAction": "CheckPermission", "Content-Type": "text/xml"}, body)
    assert answer.text("IsSuccess") == "true"


async def test_old_form_of_the_agency_code_is_the_same_agency(served: Stage):
    """000.00.16.H21 authenticates as H21.16 and may write either form in From (QĐ 20/2020/QĐ-TTg)."""
    root = send_document(["f1"], signer="000.00.16.H21")
    headers = {"SOAPAction": "SendDocument", "Content-Type": RELATED}
    answer = await post(served.endpoint.address, headers, related(root, ("<f1>", "", PDF)))
    assert answer.text("IsSuccess") == "true"


@pytest.mark.parametrize(
    ("content_id", "extra", "octets"),
    [
        ("<f1>", "Content-Transfer-Encoding: binary\r\n", PDF),
        ("f1", "", PDF),
        ("<f1>", "Content-Transfer-Encoding: base64\r\n", base64.encodebytes(PDF)),
        ("<f1>", "Content-Transfer-Encoding: BASE64\r\nContent-Disposition: attachment\r\n", base64.b64encode(PDF)),
    ],
    ids=["binary", "no brackets", "base64 in lines", "base64"],
)
async def test_attachments_arrive_with_every_octet(served: Stage, content_id: str, extra: str, octets: bytes):
    headers = {"SOAPAction": '"SendDocument"', "Content-Type": RELATED}
    body = related(send_document(["f1"]), (content_id, extra, octets))
    answer = await post(served.endpoint.address, headers, body)
    assert answer.text("IsSuccess") == "true"
    fetched = await post(
        served.endpoint.address,
        {"SOAPAction": "GetDocument", "Content-Type": "text/xml"},
        envelope(
            f"<GetDocumentRequest>{CREDENTIALS}<DocumentId>{answer.text('DocumentId')}</DocumentId></GetDocumentRequest>"
        ),
    )
    assert b"\r\n\r\n" + PDF + b"\r\n--" in fetched.body
    assert fetched.text("DocumentId") == DOCUMENT_ID


async def test_a_fetched_document_shows_the_hop_through_this_system(served: Stage):
    headers = {"SOAPAction": "SendDocument", "Content-Type": RELATED}
    sent = await post(served.endpoint.address, headers, related(send_document(["f1"]), ("<f1>", "", PDF)))
    asked = f"<GetDocumentRequest>{CREDENTIALS}<DocumentId>{sent.text('DocumentId')}</DocumentId></GetDocumentRequest>"
    fetched = await post(
        served.endpoint.address, {"SOAPAction": "GetDocument", "Content-Type": "text/xml"}, envelope(asked)
    )
    hops = [(hop[0].text, hop[1].text) for hop in fetched.envelope.iter("{*}TraceHeader")]
    assert hops[-1] == ("H21.W00", "2026/11/23 09:00:00")


async def test_junk_before_the_xml_declaration_is_tolerated(endpoint: Endpoint):
    body = b"\xef\xbb\xbf\r\n " + envelope(f"<GetOrganizations>{CREDENTIALS}</GetOrganizations>")
    answer = await post(endpoint.address, {"SOAPAction": "GetOrganizations", "Content-Type": "text/xml"}, body)
    assert answer.text("OrganId") == "H21.16"


async def test_several_requests_share_one_connection(endpoint: Endpoint):
    """A refusal leaves the connection in order: the rest of a small request is read before the next one."""
    body = related(envelope("<Manifest/>", signature()), ("<f1>", "", b"x" * 100_000))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as session:
        for _ in range(3):
            headers = {"SOAPAction": "SendDocument", "Content-Type": RELATED}
            async with session.post(endpoint.address, data=body, headers=headers) as response:
                assert response.status == 200
                assert b"N.MessageHeader" in await response.read()
                assert response.headers.get("Connection") != "close"


@pytest.mark.parametrize(
    ("query", "status", "content_type", "words"),
    [
        ("?wsdl", 200, "text/xml", "wsdl:definitions"),
        ("?WSDL", 200, "text/xml", "wsdl:definitions"),
        ("?xsd=package_b", 200, "text/xml", "SendDocumentResponse"),
        ("?xsd=../errors", 404, "text/plain", "Không có lược đồ này"),
        ("", 200, "text/plain", "?wsdl"),
    ],
)
async def test_descriptions_are_served_beside_the_service(
    endpoint: Endpoint, query: str, status: int, content_type: str, words: str
):
    async with aiohttp.ClientSession() as session, session.get(endpoint.address + query) as response:
        assert (response.status, response.content_type) == (status, content_type)
        assert words in await response.text()


async def test_a_client_may_wait_for_100_continue_and_send_in_chunks(endpoint: Endpoint):
    """.NET and curl do so with large bodies."""
    async with aiohttp.ClientSession() as session:
        body = related(send_document(["f1"]), ("<f1>", "", PDF))

        async def pieces() -> AsyncIterator[bytes]:
            for start in range(0, len(body), 700):
                yield body[start : start + 700]

        headers = {"SOAPAction": "SendDocument", "Content-Type": RELATED}
        async with session.post(endpoint.address, data=pieces(), headers=headers, expect100=True) as response:
            assert b"<edXML:IsSuccess>true" in await response.read()
