"""Bad input at the agent's own package B: a clear Report or fault, one audit line, and nothing half stored."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from edge_stage import A, Edge, Province, eventually, province
from package_b_letters import HEADER, send_document
from raw_http import SOAP_12, Answer, envelope, post, related

from edge_agent import configuration
from protocol import errors
from protocol.errors import ErrorKind
from tests.support.log_lines import Line, captured

pytestmark = pytest.mark.asyncio(loop_scope="module")

CANARY = "chim-hoang-yen-7391"
PDF = f"%PDF-1.4 {CANARY}\r\n".encode()
SUBJECT = "V/v thử nghiệm"
RELATED = 'multipart/related;type="text/xml";boundary="Boundary";start="Start"'
SEND = {"SOAPAction": "SendDocument", "Content-Type": RELATED}
XML = {"SOAPAction": "SendDocument", "Content-Type": "text/xml"}
PART = 100_000
LIMITS = configuration.Limits(attachment=PART, message=5 * PART, parts=4, disk_free=0)
TOKEN = "TOKEN"
"""Stands in the tables where the agent's own token goes."""


@dataclass
class Stage:
    """One agent for all cases, and what lay on its disk when it had taken nothing."""

    edge: Edge
    token: str

    def stored(self) -> list[Path]:
        """Attachments, whole or half."""
        return [path for path in self.edge.places.payloads.rglob("*") if path.is_file()]

    def traces(self) -> list[Path]:
        """Files of the agent that hold a word of the document."""
        files = [path for path in self.edge.places.root.rglob("*") if path.is_file()]
        return [path for path in files if CANARY.encode() in path.read_bytes()]

    def nothing_is_kept(self) -> None:
        assert self.stored() == []
        assert self.edge.agent.store.outbox.latest(9) == []
        assert self.traces() == []

    async def refused(self, body: bytes, headers: dict[str, str], kind: ErrorKind) -> Answer:
        """Post it; the refusal is clear, audited once by its code, and leaves nothing."""
        with captured() as lines:
            answer = await post(self.edge.package_b, headers, body.replace(TOKEN.encode(), self.token.encode()))
        one_audit_line(lines, kind)
        self.nothing_is_kept()
        assert CANARY.encode() not in answer.body
        assert self.token.encode() not in answer.body
        return answer


def one_audit_line(lines: list[Line], kind: ErrorKind) -> None:
    said = [line for line in lines if line["level"] in {"warning", "error"}]
    assert [(line["event"], line["code"]) for line in said] == [("local-refused", kind.code)]
    assert CANARY not in repr(lines)
    assert SUBJECT not in repr(lines)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gialai() -> AsyncIterator[Province]:
    async with province() as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def at(gialai: Province) -> Stage:
    edge = await gialai.edge(A, limits=LIMITS, folders=configuration.Folders(enabled=False))
    return Stage(edge, edge.token)


def letter(*content_ids: str, replace: tuple[str, str] = ("", "")) -> bytes:
    """A SendDocument whose subject holds the canary."""
    return send_document(list(content_ids), token=TOKEN, replace=replace).replace(
        SUBJECT.encode(), f"{SUBJECT} {CANARY}".encode()
    )


GOOD = letter("f1")
WHOLE = related(GOOD, ("<f1>", "", b"x" * 50_000))
LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
BOMB = f'<!DOCTYPE x [<!ENTITY l0 "ha">{LAUGHS}]>'.encode()


def before_root(data: bytes) -> bytes:
    """Between the XML declaration and the envelope."""
    return GOOD.replace(b"?><", b"?>" + data + b"<", 1)


def in_subject(data: bytes) -> bytes:
    return GOOD.replace(CANARY.encode(), data, 1)


DEEP = b"<a>" * 300 + b"</a>" * 300
NOT_MESSAGES: dict[str, tuple[bytes, ErrorKind]] = {
    "nothing": (b"", errors.NOT_XML),
    "text": (f"xin chào {CANARY}".encode(), errors.NOT_XML),
    "a PDF": (PDF, errors.NOT_XML),
    "cut": (GOOD[:-9], errors.NOT_XML),
    "not UTF-8": (in_subject(b"\xff\xfe"), errors.NOT_XML),
    "an undeclared entity": (in_subject(b"&hello;"), errors.NOT_XML),
    "DOCTYPE": (before_root(b"<!DOCTYPE x>"), errors.DOCTYPE),
    "a file as entity": (before_root(b'<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]>'), errors.DOCTYPE),
    "a billion laughs": (before_root(BOMB).replace(CANARY.encode(), b"&l9;"), errors.DOCTYPE),
    "300 deep": (in_subject(DEEP), errors.TOO_DEEP),
    "no SOAP": (f"<x>{CANARY}</x>".encode(), errors.NOT_SOAP),
}


@pytest.mark.parametrize(("body", "kind"), NOT_MESSAGES.values(), ids=NOT_MESSAGES)
async def test_ac_8_2c_7_what_is_no_message_is_refused_and_leaves_nothing(at: Stage, body: bytes, kind: ErrorKind):
    answer = await at.refused(body, XML, kind)
    assert (answer.status, answer.text("IsSuccess")) == (200, "false")
    assert answer.text("Description") == kind.sentence


@pytest.mark.parametrize(("body", "kind"), list(NOT_MESSAGES.values())[::2], ids=list(NOT_MESSAGES)[::2])
async def test_the_same_as_root_of_a_multipart_with_an_attachment(at: Stage, body: bytes, kind: ErrorKind):
    await at.refused(related(body, ("<f1>", "", PDF)), SEND, kind)


ONE, TWO = ("<f1>", "", PDF), ("<f2>", "", PDF)
PARTS: dict[str, tuple[list[tuple[str, str, bytes]], ErrorKind]] = {
    "none": ([], errors.ATTACHMENT_MISSING),
    "missing": ([ONE], errors.ATTACHMENT_MISSING),
    "extra": ([ONE, TWO, ("<f9>", "", PDF)], errors.ATTACHMENT_EXTRA),
    "extra before": ([("<f9>", "", PDF), ONE, TWO], errors.ATTACHMENT_EXTRA),
    "doubled": ([ONE, ONE, TWO], errors.ATTACHMENT_DOUBLED),
    "broken base64": ([ONE, ("<f2>", "Content-Transfer-Encoding: base64\r\n", b"A***")], errors.ATTACHMENT_DAMAGED),
    "too large": ([ONE, ("<f2>", "", b"x" * (PART + 1))], errors.MIME_PART_TOO_LARGE),
    "headers too large": ([ONE, ("<f2>", f"X-Long: {'x' * 20_000}\r\n", PDF)], errors.MIME_HEADERS_TOO_LARGE),
}


@pytest.mark.parametrize(("parts", "kind"), PARTS.values(), ids=PARTS)
async def test_manifest_and_parts_disagree(at: Stage, parts: list[tuple[str, str, bytes]], kind: ErrorKind):
    answer = await at.refused(related(letter("f1", "f2"), *parts), SEND, kind)
    assert (answer.status, answer.text("IsSuccess")) == (200, "false")


async def test_too_many_parts_and_too_much_in_all(at: Stage):
    five = [f"f{number}" for number in range(1, 6)]
    await at.refused(related(letter(*five), *((f"<{one}>", "", PDF) for one in five)), SEND, errors.MIME_TOO_MANY_PARTS)
    four = related(letter(*five[:4]), *((f"<{one}>", "", b"x" * PART) for one in five[:4]))
    await at.refused(four + b"x" * (5 * PART + 1 - len(four)), SEND, errors.MIME_TOTAL_TOO_LARGE)


@pytest.mark.parametrize("keep", [0.02, 0.2, 0.7, 0.97, 0.9995])
async def test_a_multipart_that_breaks_off_is_not_a_document(at: Stage, keep: float):
    """The whole Content-Length arrives; what is inside is cut: in the root, in the attachment, at the very end."""
    await at.refused(WHOLE[: int(len(WHOLE) * keep)], SEND, errors.MIME_TRUNCATED)


async def test_a_connection_that_breaks_off_leaves_nothing(at: Stage):
    body = WHOLE.replace(TOKEN.encode(), at.token.encode())
    head = f"POST /edoc/v1 HTTP/1.1\r\nHost: a\r\nSOAPAction: SendDocument\r\nContent-Type: {RELATED}\r\n"
    with captured() as lines:
        _, writer = await asyncio.open_connection("127.0.0.1", at.edge.agent.local.port)
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[:30_000])
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        await eventually(lambda: [line for line in lines if line["level"] == "warning"], "the audit line")
    one_audit_line(lines, errors.MIME_TRUNCATED)
    await eventually(lambda: not at.stored(), "nothing stays")
    at.nothing_is_kept()


FIELDS: dict[str, tuple[tuple[str, str], ErrorKind, str]] = {
    "missing element": (("<edXML:DueDate/>", ""), errors.ELEMENT_MISSING, "N.MessageHeader.DueDate"),
    "empty element": ((f"<edXML:Subject>{SUBJECT}</edXML:Subject>", "<edXML:Subject> </edXML:Subject>"),
                      errors.ELEMENT_EMPTY, "N.MessageHeader.Subject"),
    "bad date": (("2026/11/20</edXML:Prom", "hôm qua</edXML:Prom"), errors.ELEMENT_TYPE,
                 "T.MessageHeader.PromulgationInfo.PromulgationDate"),
    "over-long": ((SUBJECT, f"{SUBJECT} " + "dài " * 200), errors.ELEMENT_TOO_LONG, "R.MessageHeader.Subject"),
    "secret": ((SUBJECT, "TUYỆT MẬT"), errors.SECRET_MARK, "CheckPermission"),
    "another sender": (("<edXML:From><edXML:OrganId>H21.16", "<edXML:From><edXML:OrganId>H21.99"),
                       errors.NOT_THE_SENDER, "M.OrganId"),
}  # fmt: skip


@pytest.mark.parametrize(("replace", "kind", "code"), FIELDS.values(), ids=FIELDS)
async def test_a_bad_field_is_named_and_audited(at: Stage, replace: tuple[str, str], kind: ErrorKind, code: str):
    assert replace[0] in HEADER
    answer = await at.refused(related(letter("f1", replace=replace), ONE), SEND, kind)
    assert answer.codes[0] == code


async def test_a_guessed_token_is_refused_audited_and_not_written_down(at: Stage):
    guessed = f"guessed-{CANARY}"
    answer = await at.refused(
        related(GOOD.replace(TOKEN.encode(), guessed.encode()), ONE), SEND, errors.UNAUTHENTICATED
    )
    assert answer.codes == ["Permission"]


async def test_an_unknown_operation_is_a_fault(at: Stage):
    body = envelope(f"<DeleteEverything>{CANARY}</DeleteEverything>", version=SOAP_12)
    headers = {"SOAPAction": "DeleteEverything", "Content-Type": "application/soap+xml"}
    answer = await at.refused(body, headers, errors.UNKNOWN_OPERATION)
    assert answer.status == 500
    assert answer.envelope.tag == f"{{{SOAP_12}}}Envelope"


async def test_a_status_with_an_unknown_code_is_refused(at: Stage):
    signature = f"<Signature><KeyInfo><OrganId>{A}</OrganId><Token>{TOKEN}</Token></KeyInfo></Signature>"
    status = (
        f"<Status><From><OrganId>{A}</OrganId></From><ResponseFor><OrganId>H21.23</OrganId><Code>1/A</Code>"
        f"<DocumentId>{CANARY}</DocumentId></ResponseFor><StatusCode>99</StatusCode></Status>"
    )
    answer = await at.refused(
        envelope(status, signature), {"SOAPAction": "UpdateTraces", "Content-Type": "text/xml"}, errors.ELEMENT_RANGE
    )
    assert answer.text("IsSuccess") == "false"


async def test_after_all_of_it_a_good_document_is_taken_whole(at: Stage, gialai: Province):
    """Last in the file: the agent is as good as before."""
    with captured() as lines:
        answer = await post(at.edge.package_b, SEND, related(GOOD, ONE).replace(TOKEN.encode(), at.token.encode()))
    assert answer.text("IsSuccess") == "true"
    assert [path.name for path in at.stored()] == [hashlib.sha256(PDF).hexdigest()[2:]]
    assert [line["event"] for line in lines if line["event"] in {"taken", "local-refused"}] == ["taken"]
    assert CANARY not in repr(lines)
