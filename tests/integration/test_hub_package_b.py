"""Bad package B input at a real hub: a Report, an audit line, evidence that names the agency, and nothing stored.

What `test_package_b_refusals` says of the adapter is said here of the hub that agencies' systems reach by token.
"""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from lxml import etree
from package_b_letters import DOCUMENT_ID, HEADER, send_document, signature
from raw_http import EDOC, envelope, related

from certs import tls
from protocol import errors
from protocol.errors import ErrorKind
from tests.support.refusals import CONTENT, Stage, events, half_stored, held, stage

pytestmark = pytest.mark.asyncio(loop_scope="module")

TOKEN = "token of A at the hub"
RELATED = 'multipart/related;type="text/xml";boundary="Boundary";start="Start"'
SEND = {"SOAPAction": "SendDocument", "Content-Type": RELATED}
PDF = b"%PDF-1.4 " + CONTENT.encode()
CANARY = "Chim-Yến-hót-Đêm-thứ-7391"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def at(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with stage(tmp_path_factory.mktemp("hub")) as ready:
        await ready.hub.hub.administration.set_token("H21.16", TOKEN)
        await ready.sender.send(ready.sealed(ready.unsealed()))  # there is a segment from now on
        yield ready


def letter(*ids: str, old: str = "", new: str = "", token: str = TOKEN, signer: str = "H21.16") -> bytes:
    """The envelope of a document, one place of it changed."""
    return send_document(list(ids), signer=signer, token=token, replace=(old, new))


def whole(root: bytes, *parts: tuple[str, str, bytes]) -> bytes:
    return related(root, *(parts or (("<f1>", "", PDF),)))


async def post(at: Stage, body: bytes, headers: dict[str, str] = SEND) -> etree._Element:
    """The answer's envelope, asked by a client without a certificate."""
    connector = aiohttp.TCPConnector(ssl=tls.client_context(at.sender.trust.roots))
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.post(f"{at.hub.url}/edoc/v1", data=io.BytesIO(body), headers=headers) as response,
    ):
        answer = await response.read()
    return etree.fromstring(answer[answer.index(b"<soapenv:Envelope") : answer.rindex(b"Envelope>") + 9])


async def is_taken(at: Stage, body: bytes) -> bool:
    return next((await post(at, body)).iter(f"{{{EDOC}}}IsSuccess")).text == "true"


def codes(answer: etree._Element) -> list[str]:
    return [element.text or "" for element in answer.iter(f"{{{EDOC}}}Code")]


async def refused(
    at: Stage,
    body: bytes,
    kind: ErrorKind,
    code: str,
    headers: dict[str, str] = SEND,
    *,
    event: bool = True,
) -> None:
    """Everything that a refusal must leave, and nothing else."""
    before, leaves = held(at.hub), at.hub.hub.ledger.log.size
    at.lines.clear()
    answer = await post(at, body, headers)
    assert codes(answer)[:1] == [code]
    assert CONTENT not in "".join(answer.itertext())
    await at.nothing_kept(kind, before, leaves, event=event)


PLAIN = {"SOAPAction": "SendDocument", "Content-Type": "text/xml"}
UNREADABLE = {
    "not XML": (b"not xml", errors.NOT_XML),
    "doctype": (b"<!DOCTYPE x><x/>", errors.DOCTYPE),
    "entity bomb": (b'<!DOCTYPE x [<!ENTITY a "b"><!ENTITY c "&a;&a;">]><x>&c;</x>', errors.DOCTYPE),
    "300 deep": (envelope("<a>" * 300 + "</a>" * 300), errors.TOO_DEEP),
    "not SOAP": (b"<Envelope/>", errors.NOT_SOAP),
    "no credentials": (envelope("<edXML:Manifest/>", HEADER), errors.UNAUTHENTICATED),
}


@pytest.mark.parametrize(("body", "kind"), UNREADABLE.values(), ids=UNREADABLE)
async def test_what_cannot_be_read_is_audited_and_is_nobodys_evidence(at: Stage, body: bytes, kind: ErrorKind):
    before, leaves = held(at.hub), at.hub.hub.ledger.log.size
    at.lines.clear()
    assert codes(await post(at, body, PLAIN)) == [errors.ExchangeError(kind).report_code]
    (line,) = [line for line in at.lines if line["event"] == "refused"]
    said = (line["package"], line["agency"], line["claimed"], line["remote"], line["code"])
    assert said == ("B", "", "", "127.0.0.1", kind.code)
    assert (held(at.hub), at.hub.hub.ledger.log.size) == (before, leaves)


BAD_FIELDS = {
    "missing tag": ("<edXML:DueDate/>", "", errors.ELEMENT_MISSING, "N.MessageHeader.DueDate"),
    "empty": ("<edXML:CodeNumber>123<", "<edXML:CodeNumber><", errors.ELEMENT_EMPTY, "N.MessageHeader.Code.CodeNumber"),
    "date": (
        "2026/11/20</edXML:Prom",
        "hôm qua</edXML:Prom",
        errors.ELEMENT_TYPE,
        "T.MessageHeader.PromulgationInfo.PromulgationDate",
    ),
    "recipient": (
        "<edXML:OrganId>H21.23",
        "<edXML:OrganId>H21.77",
        errors.RECIPIENT_UNKNOWN,
        "MessageHeader.To.OrganId",
    ),
    "foreign": ("OrganId>H21.23", "OrganId>H45.77", errors.RECIPIENT_FOREIGN, "MessageHeader.To.OrganId"),
    "too long": ("V/v thử nghiệm", "V/v " + "dài " * 200, errors.ELEMENT_TOO_LONG, "R.MessageHeader.Subject"),
    "sender": ("<edXML:OrganId>H21.16", "<edXML:OrganId>H21.23", errors.NOT_THE_SENDER, "M.OrganId"),
}


@pytest.mark.parametrize(("old", "new", "kind", "code"), BAD_FIELDS.values(), ids=BAD_FIELDS)
async def test_a_bad_field_is_evidence_of_who_sent_it(at: Stage, old: str, new: str, kind: ErrorKind, code: str):
    await refused(at, whole(letter("f1", old=old, new=new)), kind, code)


BAD_PARTS = {
    "missing": ([("<f2>", "", PDF)], errors.ATTACHMENT_EXTRA),
    "doubled": ([("<f1>", "", PDF), ("<f1>", "", PDF)], errors.ATTACHMENT_DOUBLED),
    "extra": ([("<f1>", "", PDF), ("<f2>", "", PDF)], errors.ATTACHMENT_EXTRA),
    "damaged": ([("<f1>", "Content-Transfer-Encoding: base64\r\n", b"A***")], errors.ATTACHMENT_DAMAGED),
    "a large one, then an extra": ([("<f1>", "", PDF * 100_000), ("<f2>", "", PDF)], errors.ATTACHMENT_EXTRA),
}


@pytest.mark.parametrize(("parts", "kind"), BAD_PARTS.values(), ids=BAD_PARTS)
async def test_parts_that_disagree_leave_nothing(at: Stage, parts: list[tuple[str, str, bytes]], kind: ErrorKind):
    await refused(at, whole(letter("f1"), *parts), kind, errors.ExchangeError(kind).report_code)


async def test_a_body_that_breaks_off_leaves_nothing(at: Stage):
    body = whole(letter("f1"), ("<f1>", "", PDF * 50_000))
    await refused(at, body[: len(body) // 2], errors.MIME_TRUNCATED, "R.AttachmentName")


MARKS = {
    "subject": ("V/v thử nghiệm", f"TỐI MẬT\nV/v {CANARY}"),
    "content": ("<edXML:Content/>", f"<edXML:Content>Độ mật: Tối mật\n{CANARY}</edXML:Content>"),
    "element of nobody": ("<edXML:DueDate/>", f"<edXML:DueDate/><edXML:SecretLevel>2 {CANARY}</edXML:SecretLevel>"),
}


@pytest.mark.parametrize(("old", "new"), MARKS.values(), ids=MARKS)
async def test_ac_4_2a_3_a_marked_document_leaves_no_trace_on_disk_or_in_a_log(at: Stage, old: str, new: str):
    secret = ("<f1>", "", f"%PDF {CANARY}".encode() * 30_000)
    await refused(at, whole(letter("f1", old=old, new=new), secret), errors.SECRET_MARK, "CheckPermission")
    (event,) = [leaf for leaf in events(at.hub) if leaf.reason == errors.SECRET_MARK.code][-1:]
    assert CANARY not in repr(event) + repr(at.lines)
    for path in at.hub.folder.rglob("*"):
        if path.is_file():
            assert CANARY.encode() not in path.read_bytes(), path
    assert half_stored(at.hub) == []


async def test_a_document_by_token_is_taken_on_the_basis_of_its_authenticated_source(at: Stage):
    """It cannot seal: the hub records that, and seals what it received (design 3)."""
    leaves = at.hub.hub.ledger.log.size
    assert await is_taken(at, whole(letter("f1")))
    (accepted,) = events(at.hub, leaves)
    assert (accepted.type, accepted.sender, accepted.document_id) == ("accepted", "H21.16", DOCUMENT_ID)
    assert accepted.basis == "XACTHUC_NGUON_GOC"
    fetched = await at.recipient.fetch(accepted.number)
    assert fetched.parts == {"f1": PDF}


async def test_a_wrong_token_is_audited_with_the_agency_it_claims(at: Stage):
    await refused(at, whole(letter("f1", token="guessed")), errors.UNAUTHENTICATED, "Permission", event=False)


async def test_what_a_stranger_writes_for_a_code_stays_out_of_the_log(at: Stage):
    at.lines.clear()
    answer = await post(at, whole(letter("f1", signer=f"{CANARY} của ai đó")))
    assert codes(answer) == ["Permission"]
    (line,) = [line for line in at.lines if line["event"] == "refused"]
    assert (line["agency"], line["claimed"]) == ("", "")
    assert CANARY not in repr(at.lines)


async def test_a_revoked_token_is_refused_at_once(at: Stage):
    await at.hub.hub.administration.revoke_token("H21.16")
    await refused(at, whole(letter("f1")), errors.UNAUTHENTICATED, "Permission", event=False)
    await at.hub.hub.administration.set_token("H21.16", TOKEN)
    assert await is_taken(at, whole(letter("f1")))


async def test_a_suspended_agency_is_refused_at_once_by_token_too(at: Stage):
    before, leaves = held(at.hub), at.hub.hub.ledger.log.size
    await at.hub.hub.administration.suspend("H21.16")
    changes = at.hub.hub.ledger.log.size - leaves
    at.lines.clear()
    assert codes(await post(at, whole(letter("f1")))) == ["Permission"]
    (line,) = [line for line in at.lines if line["event"] == "refused"]
    at.named(line, proved=False)
    assert line["code"] == errors.SUSPENDED.code
    assert at.hub.hub.ledger.log.size == leaves + changes
    assert held(at.hub) == before
    await at.hub.hub.administration.resume("H21.16")


async def test_an_agency_that_must_seal_cannot_send_by_token(at: Stage):
    await at.hub.hub.administration.add("H21.16", seal_required=True)
    await refused(at, whole(letter("f1", old="123<", new="124<")), errors.SEAL_MISSING, "CheckSignature")
    await at.hub.hub.administration.add("H21.16", seal_required=False)


@pytest.mark.parametrize("by", [timedelta(days=1), -timedelta(days=1)], ids=["ahead", "behind"])
async def test_the_clock_of_a_caller_by_token_is_judged_too(at: Stage, by: timedelta):
    stated = format(datetime.now(UTC) + by, "%a, %d %b %Y %H:%M:%S GMT")
    code = errors.CLOCK.report_code
    await refused(at, whole(letter("f1")), errors.CLOCK, code, {**SEND, "Date": stated}, event=False)


async def test_a_status_in_the_name_of_another_is_refused(at: Stage):
    status = (
        "<Status><From><OrganId>H21.23</OrganId></From><ResponseFor><OrganId>H21.16</OrganId><Code>1/A</Code>"
        f"<DocumentId>{DOCUMENT_ID}</DocumentId></ResponseFor><StatusCode>03</StatusCode></Status>"
    )
    headers = {"SOAPAction": "UpdateTraces", "Content-Type": "text/xml"}
    await refused(at, envelope(status, signature(token=TOKEN)), errors.NOT_THE_SENDER, "M.OrganId", headers)


async def test_a_marked_status_leaves_no_trace(at: Stage):
    status = (
        "<Status><From><OrganId>H21.16</OrganId></From><ResponseFor><OrganId>H21.16</OrganId><Code>1/A</Code>"
        f"<DocumentId>{DOCUMENT_ID}</DocumentId></ResponseFor><StatusCode>02</StatusCode>"
        f"<Description>TUYỆT MẬT {CANARY}</Description></Status>"
    )
    headers = {"SOAPAction": "UpdateTraces", "Content-Type": "text/xml"}
    await refused(at, envelope(status, signature(token=TOKEN)), errors.SECRET_MARK, "CheckPermission", headers)
    assert not [path for path in _files(at.hub.folder) if CANARY.encode() in path.read_bytes()]


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]
