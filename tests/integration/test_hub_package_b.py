"""Package B at a real hub: what a vendor may leave out, and what is as large as the doors allow."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from lxml import etree
from package_b_letters import DOCUMENT_ID, send_document
from raw_http import envelope, related

from protocol import soap
from protocol.edxml.reader import read_message
from protocol.seal import canonical
from protocol.xml_reading import ENVELOPE_MAX
from tests.support.agency import AgencyClient, read_parts
from tests.support.running_hub import RunningHub

PDF = b"%PDF-1.4 test"
RELATED = 'multipart/related;type="text/xml";boundary="Boundary";start="Start"'


@dataclass
class Stage:
    sender: AgencyClient
    recipient: AgencyClient

    async def call(self, agency: AgencyClient, operation: str, body: bytes, content_type: str) -> etree._Element:
        headers = {"SOAPAction": operation, "Content-Type": content_type}
        async with agency.session.post(f"{agency.url}/edoc/v1", data=body, headers=headers) as response:
            answer, content_type = await response.read(), response.headers["Content-Type"]
        root = read_parts(content_type, answer)["root"] if content_type.startswith("multipart/") else answer
        return soap.read_envelope(root, max_size=8 << 20).root

    async def send(self, root: bytes) -> str:
        """The number that the hub gave, or "" with a refusal."""
        answer = await self.call(self.sender, "SendDocument", related(root, ("<f1>", "", PDF)), RELATED)
        return next(iter(answer.xpath("//*[local-name()='DocumentId']/text()")), "")


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[Stage]:
    async with AsyncExitStack() as stack:
        running = await stack.enter_async_context(RunningHub(tmp_path / "hub"))
        clients = [await stack.enter_async_context(await running.agency(code)) for code in ("H21.16", "H21.23")]
        yield Stage(*clients)


@pytest.mark.parametrize("written", ["", "<edXML:DocumentId/>", "<edXML:DocumentId> </edXML:DocumentId>"])
async def test_a_document_without_its_id_gets_the_one_that_its_agency_would_write(at: Stage, written: str):
    given = f"<edXML:DocumentId>{DOCUMENT_ID}</edXML:DocumentId>"
    root = send_document(["f1"], replace=(given, written))
    number = await at.send(root)
    assert number
    assert await at.send(root) == number, "the same again is the same"
    (waiting,) = await at.recipient.pending()
    assert waiting.document_id == DOCUMENT_ID
    fetched = await at.recipient.fetch(waiting.number)
    assert read_message(fetched.envelope).header.document_id == DOCUMENT_ID


async def test_base64_that_does_not_say_so_is_a_text_and_stays_one(at: Stage):
    """edXML 7.4: some hubs answer so. Nobody guesses at octets that are about to be sealed."""
    text = base64.b64encode(PDF * 100)
    answer = await at.call(at.sender, "SendDocument", related(send_document(["f1"]), ("<f1>", "", text)), RELATED)
    assert answer.xpath("string(//*[local-name()='IsSuccess'])") == "true"
    (waiting,) = await at.recipient.pending()
    assert list((await at.recipient.fetch(waiting.number)).parts.values()) == [text]


@pytest.mark.parametrize("size", [1_200_000, ENVELOPE_MAX - 100_000])
async def test_an_envelope_that_one_door_took_leaves_by_every_other(at: Stage, size: int):
    document = at.sender.document(["H21.23"], "12", content="Nội dung " * (size // len("Nội dung ".encode())))
    sealed = at.sender.sealed(document)
    accepted = await at.sender.send(sealed)
    (waiting,) = await at.recipient.pending()
    assert canonical((await at.recipient.fetch(waiting.number)).envelope) == sealed
    asked = envelope(
        f"<GetDocumentRequest><OrganId>H21.23</OrganId><Token/><DocumentId>{accepted.number}</DocumentId>"
        "</GetDocumentRequest>"
    )
    answer = await at.call(at.recipient, "GetDocument", asked, "text/xml; charset=utf-8")
    assert answer.xpath("string(//*[local-name()='Content'])") == document.header.content
