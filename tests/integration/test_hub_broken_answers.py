"""An answer that cannot be finished is broken off: no second answer begins inside the first."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from raw_http import envelope
from yarl import URL

from hub.exchange import HubAttachment
from protocol import native, soap
from protocol.soap import SoapVersion
from tests.support.agency import Attached
from tests.support.refusals import Stage, stage

FILE = Attached("f1", hashlib.shake_256(b"large").digest(4 << 20))
TOKEN = "token of B"


@pytest.fixture
async def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    whole = HubAttachment.chunks

    async def some(attachment: HubAttachment) -> AsyncIterator[bytes]:
        chunks = whole(attachment)
        yield await anext(chunks)
        await chunks.aclose()  # type: ignore[attr-defined] # a generator
        raise OSError(5, "the disk cannot read on")

    async with stage(tmp_path / "hub") as ready:
        await ready.hub.hub.administration.set_token("H21.23", TOKEN)
        with monkeypatch.context() as broken:
            broken.setattr(HubAttachment, "chunks", some)
            yield ready


def native_request(number: int) -> tuple[str, bytes]:
    return "/lienthong/v1", soap.write_envelope(SoapVersion.V11, native.write_get_document(number))


def package_b_request(number: int) -> tuple[str, bytes]:
    asked = f"<OrganId>H21.23</OrganId><Token>{TOKEN}</Token><DocumentId>{number}</DocumentId>"
    return "/edoc/v1", envelope(f"<GetDocumentRequest>{asked}</GetDocumentRequest>")


@pytest.mark.parametrize("write", [native_request, package_b_request], ids=["native", "package B"])
async def test_a_read_that_fails_in_the_middle_breaks_the_connection_off(at: Stage, write):
    accepted = await at.sender.send(at.sealed(at.unsealed([FILE])), [FILE])
    path, body = write(accepted.number)
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", URL(at.hub.url).port, ssl=at.recipient.context, server_hostname="localhost"
    )
    head = f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: text/xml\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    received = b""
    try:
        while data := await reader.read(1 << 16):
            received += data
    except ConnectionError:
        pass
    writer.close()
    assert received.startswith(b"HTTP/1.1 200")
    assert received.count(b"HTTP/1.1") == 1
    assert b"Fault" not in received
    assert len(received) < len(FILE.data)
    assert [line for line in at.lines if line["event"] == "answer.broken_off"]
    assert not [line for line in at.lines if line["event"] == "refused"]
    assert (await at.recipient.pending())[0].number == accepted.number
