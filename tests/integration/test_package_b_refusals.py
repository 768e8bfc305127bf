"""Bad package B requests: each gets a Report (or a fault), is audited, and leaves nothing in the exchange."""

import asyncio
import io
from collections.abc import AsyncIterator, Sequence

import aiohttp
import pytest
from aiohttp import web
from package_b_letters import HEADER, send_document, signature
from package_b_stage import NOW, ORGANIZATIONS, TOKENS, Stage, stage
from raw_http import SOAP_12, Answer, envelope, post, related

from protocol import errors
from protocol.errors import ExchangeError
from protocol.exchange import Accepted, Caller, Summary
from protocol.mime import Limits
from protocol.twin import Twin

RELATED = 'multipart/related;type="text/xml";boundary="Boundary";start="Start"'
SEND = {"SOAPAction": "SendDocument", "Content-Type": RELATED}
PDF = b"%PDF-1.4 test"
LIMITS = Limits(total=200_000, part=100_000, parts=5, headers=2_000, root=64_000)


@pytest.fixture
async def served() -> AsyncIterator[Stage]:
    async with stage(LIMITS) as running:
        yield running


async def nothing_was_kept(running: Stage) -> bool:
    waiting = [await running.exchange.pending(Caller(agency=code, proof="token"), limit=10) for code in TOKENS]
    return not any(waiting)


async def refused(running: Stage, body: bytes, headers: dict[str, str] = SEND) -> Answer:
    answer = await post(running.endpoint.address, headers, body)
    assert await nothing_was_kept(running)
    assert len(running.refused) == 1  # one audit line
    return answer


@pytest.mark.parametrize(
    ("body", "codes"),
    [
        (b"not xml at all", ["M.SendDocument"]),
        (b"", ["M.SendDocument"]),
        (b"<?xml version='1.0'?><!DOCTYPE x><x/>", ["M.SendDocument"]),
        (b'<!DOCTYPE x [<!ENTITY a "b"><!ENTITY c "&a;&a;">]><x>&c;</x>', ["M.SendDocument"]),
        (b"<a>" * 300 + b"</a>" * 300, ["M.SendDocument"]),
        (b"<Envelope/>", ["M.SendDocument"]),
        (b"x" * 70_000, ["M.SendDocument"]),
    ],
    ids=["not xml", "empty", "doctype", "entity bomb", "300 deep", "not soap", "too large"],
)
async def test_an_envelope_that_cannot_be_read_is_refused_with_a_report(served: Stage, body: bytes, codes: list[str]):
    answer = await refused(served, body, {"SOAPAction": "SendDocument", "Content-Type": "text/xml"})
    assert (answer.status, answer.codes, answer.text("IsSuccess")) == (200, codes, "false")


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("<edXML:DueDate/>", "", "N.MessageHeader.DueDate"),
        (
            "<edXML:Subject>V/v thử nghiệm</edXML:Subject>",
            "<edXML:Subject> </edXML:Subject>",
            "N.MessageHeader.Subject",
        ),
        ("<edXML:CodeNumber>123</edXML:CodeNumber>", "<edXML:CodeNumber/>", "N.MessageHeader.Code.CodeNumber"),
        ("2026/11/20</edXML:Prom", "hôm qua</edXML:Prom", "T.MessageHeader.PromulgationInfo.PromulgationDate"),
        ("<edXML:DueDate/>", "<edXML:DueDate/><edXML:Code/>", "N.MessageHeader.Code.CodeNumber"),
        ("H21.23", "H21.99", "MessageHeader.To.OrganId"),
        ("<edXML:To>", "<edXML:To><edXML:OrganId/></edXML:To><edXML:To>", "N.MessageHeader.To.OrganName"),
        ("V/v thử nghiệm", "V/v " + "dài " * 200, "R.MessageHeader.Subject"),
        ("V/v thử nghiệm", "TỐI MẬT", "CheckPermission"),
    ],
)
async def test_a_bad_field_is_named_in_the_report(served: Stage, old: str, new: str, code: str):
    answer = await refused(served, related(send_document(["f1"], replace=(old, new)), ("<f1>", "", PDF)))
    assert answer.codes[0] == code


async def test_all_missing_tags_are_reported_at_once(served: Stage):
    header = HEADER.replace("<edXML:DueDate/>", "").replace("<edXML:ToPlaces/>", "").replace("<edXML:Content/>", "")
    answer = await refused(served, related(envelope("<edXML:Manifest/>", header + signature())))
    assert answer.codes == ["N.MessageHeader.Content", "N.MessageHeader.DueDate", "N.MessageHeader.ToPlaces"]


async def test_ac_4_2a_3_a_secret_mark_is_refused_before_an_attachment_is_read_and_leaves_no_text():
    """The refusal comes while the attachment has not even been sent, and repeats no word of the document."""
    root = send_document(["f1"], replace=("V/v thử nghiệm", "TUYỆT MẬT kế hoạch phòng thủ"))
    body = related(root, ("<f1>", "", b"x" * 90_000))
    async with stage(LIMITS) as running:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        head = f"POST /edoc/v1 HTTP/1.1\r\nHost: a\r\nSOAPAction: SendDocument\r\nContent-Type: {RELATED}\r\n"
        begun = body.index(b"x" * 100)
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[:begun])
        await running.heard.wait()  # the rest is not sent until the decision has been made
        writer.write(body[begun:])
        writer.write_eof()
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        assert b"CheckPermission" in answer
        assert "phòng thủ".encode() not in answer
        assert running.refused[0].kind is errors.SECRET_MARK
        assert "phòng thủ" not in repr(running.refused[0]) + repr(running.refused[0].details)
        assert await nothing_was_kept(running)


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        ([], "R.AttachmentName"),
        ([("<f1>", "", PDF)], "R.AttachmentName"),
        ([("<f1>", "", PDF), ("<f2>", "", PDF), ("<f3>", "", PDF)], "R.AttachmentName"),
        ([("<f1>", "", PDF), ("<f1>", "", PDF), ("<f2>", "", PDF)], "R.AttachmentName"),
        ([("<f1>", "", PDF), ("<f2>", "Content-Transfer-Encoding: base64\r\n", b"A***")], "M.Attachment-Encoding"),
        ([("<f1>", "", PDF), ("<f2>", "", b"x" * 100_001)], "R.AttachmentName"),
        ([("<f1>", f"X-Long: {'x' * 3_000}\r\n", PDF), ("<f2>", "", PDF)], "R.AttachmentName"),
        ([("<f1>", "", PDF), *[("<f2>", "", PDF)] * 4], "R.AttachmentName"),
    ],
    ids=["none", "one missing", "one extra", "one doubled", "bad base64", "too large", "long headers", "too many"],
)
async def test_manifest_and_parts_agree(served: Stage, parts: list[tuple[str, str, bytes]], code: str):
    answer = await refused(served, related(send_document(["f1", "f2"]), *parts))
    assert answer.codes == [code]


@pytest.mark.parametrize("keep", [0.2, 0.7, 0.97, 0.999])
async def test_a_request_that_breaks_off_is_not_a_document(served: Stage, keep: float):
    """The whole Content-Length arrives, but the multipart inside is cut: in the root, in a file, at the end."""
    body = related(send_document(["f1"]), ("<f1>", "", b"x" * 50_000))
    answer = await refused(served, body[: int(len(body) * keep)])
    assert answer.text("IsSuccess") == "false"
    assert served.refused[0].kind is errors.MIME_TRUNCATED


async def test_a_connection_that_breaks_off_leaves_nothing(served: Stage):
    body = related(send_document(["f1"]), ("<f1>", "", b"x" * 50_000))
    _, writer = await asyncio.open_connection("127.0.0.1", served.port)
    head = f"POST /edoc/v1 HTTP/1.1\r\nHost: a\r\nSOAPAction: SendDocument\r\nContent-Type: {RELATED}\r\n"
    writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[:30_000])
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    await served.heard.wait()
    assert served.refused[0].kind is errors.MIME_TRUNCATED
    assert await nothing_was_kept(served)


@pytest.mark.parametrize(
    ("signer", "token", "code"),
    [
        ("H21.16", "guessed", "Permission"),
        ("H21.16", "", "Permission"),
        ("H21.16", TOKENS["H21.23"], "Permission"),
        ("H21.77", TOKENS["H21.16"], "Permission"),
        ("H21.23", TOKENS["H21.23"], "M.OrganId"),
    ],
)
async def test_nobody_sends_as_another(served: Stage, signer: str, token: str, code: str):
    answer = await refused(served, related(send_document(["f1"], signer=signer, token=token), ("<f1>", "", PDF)))
    assert answer.codes == [code]


async def test_a_certificate_of_one_agency_does_not_prove_the_organ_id_beside_it():
    """Mutual TLS proves B; From and OrganId both say A."""

    async def certificate_of_b(_request: web.Request, _organ_id: str, _token: str) -> Caller:
        return Caller(agency="H21.23", proof="mutual-tls", certificate="00" * 32)

    async with stage(LIMITS, prove=certificate_of_b) as running:
        answer = await refused(running, related(send_document(["f1"], token=""), ("<f1>", "", PDF)))
        assert answer.codes == ["M.OrganId"]


async def test_a_status_in_the_name_of_another_is_refused(served: Stage):
    signature = f"<Signature><KeyInfo><OrganId>H21.23</OrganId><Token>{TOKENS['H21.23']}</Token></KeyInfo></Signature>"
    status = (
        "<Status><From><OrganId>H21.16</OrganId></From><ResponseFor><OrganId>H21.16</OrganId><Code>1/A</Code>"
        "<DocumentId>x</DocumentId></ResponseFor><StatusCode>03</StatusCode></Status>"
    )
    headers = {"SOAPAction": "UpdateTraces", "Content-Type": "text/xml"}
    answer = await refused(served, envelope(status, signature), headers)
    assert answer.codes == ["M.OrganId"]


@pytest.mark.parametrize(
    ("version", "content_type", "code"),
    [
        ("http://schemas.xmlsoap.org/soap/envelope/", "text/xml", "Client"),
        (SOAP_12, "application/soap+xml", "Sender"),
    ],
)
async def test_an_unknown_action_is_a_fault(served: Stage, version: str, content_type: str, code: str):
    body = envelope("<DeleteEverything/>", version=version)
    answer = await refused(served, body, {"SOAPAction": "DeleteEverything", "Content-Type": content_type})
    assert answer.status == 500
    assert answer.envelope.tag == f"{{{version}}}Envelope"
    fault = next(answer.envelope.iter(f"{{{version}}}Fault"))
    assert f":{code}" in "".join(fault.itertext())
    assert "message.unknown-operation" in "".join(fault.itertext())


async def test_an_action_that_contradicts_the_body_is_refused(served: Stage):
    headers = {"SOAPAction": "GetOrganizations", "Content-Type": "text/xml"}
    answer = await refused(served, send_document(["f1"]), headers)
    assert answer.status == 500


async def test_a_refused_sender_of_much_still_gets_the_answer():
    """The decision falls at the first octets of 30 MB; the peer, busy sending, hears of it all the same."""
    async with stage() as running, aiohttp.ClientSession() as session:
        body = related(send_document(["f1"], token="guessed"), ("<f1>", "", b"x" * 30_000_000))
        async with session.post(running.endpoint.address, data=io.BytesIO(body), headers=SEND) as response:
            assert b"<edXML:Code>Permission</edXML:Code>" in await response.read()
        assert await nothing_was_kept(running)


class Failing(Twin):
    """An exchange with a bug."""

    async def send(self, *_: object) -> Accepted:
        raise ZeroDivisionError("the subject of a document")

    async def pending(self, *_: object, **__: object) -> Sequence[Summary]:
        raise ExchangeError(errors.BUSY)


async def test_an_unexpected_error_is_internal_and_says_nothing(capsys: pytest.CaptureFixture[str]):
    async with stage(exchange=Failing(ORGANIZATIONS, lambda: NOW)) as running:
        body = related(send_document(["f1"]), ("<f1>", "", PDF))
        answer = await post(running.endpoint.address, SEND, body)
        assert answer.codes == [errors.INTERNAL.report_code]
        assert b"subject of a document" not in answer.body
        assert running.refused[0].kind is errors.INTERNAL
        logged = capsys.readouterr()
        assert "V/v thử nghiệm" not in logged.out + logged.err
        assert TOKENS["H21.16"] not in logged.out + logged.err


async def test_a_busy_exchange_says_so():
    async with stage(exchange=Failing(ORGANIZATIONS, lambda: NOW)) as running:
        credentials = f"<OrganId>H21.16</OrganId><Token>{TOKENS['H21.16']}</Token>"
        asked = envelope(f"<GetPendingDocumentIdsRequest>{credentials}</GetPendingDocumentIdsRequest>")
        headers = {"SOAPAction": "GetPendingDocumentIds", "Content-Type": "text/xml"}
        answer = await post(running.endpoint.address, headers, asked)
        assert answer.text("Description") == errors.BUSY.sentence
