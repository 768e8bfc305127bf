"""Those who have proved nothing: they cost little, hold nothing for long, and keep nobody else waiting."""

from __future__ import annotations

import asyncio
import contextlib
import io
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from package_b_letters import HEADER, send_document, signature
from raw_http import envelope, related
from yarl import URL

from certs import tls
from protocol import errors, native, soap, xml_reading
from protocol.http import door
from tests.support.agency import Attached
from tests.support.refusals import Stage, held, stage, until

RELATED = 'multipart/related;type="text/xml";boundary="Boundary";start="Start"'
SEND = {"SOAPAction": "SendDocument", "Content-Type": "text/xml"}
TOKEN = "token of A"
CROWD = envelope("<Manifest/>", "<a/>" * 900_000)
"""3.6 MB that become a tree of 900,000 elements."""
IMPATIENT = {"stall_seconds": "0.4", "envelope_seconds": "0.8"}


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[Stage]:
    async with stage(tmp_path / "hub") as ready:
        await ready.hub.hub.administration.set_token("H21.16", TOKEN)
        yield ready


@pytest.fixture
async def impatient(tmp_path: Path) -> AsyncIterator[Stage]:
    async with stage(tmp_path / "hub", settings=IMPATIENT) as ready:
        await ready.hub.hub.administration.set_token("H21.16", TOKEN)
        yield ready


def nobody(at: Stage) -> ssl.SSLContext:
    """A client without a certificate."""
    return tls.client_context(at.sender.trust.roots)


async def post(at: Stage, body: bytes, headers: dict[str, str] = SEND) -> bytes:
    connector = aiohttp.TCPConnector(ssl=nobody(at))
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.post(f"{at.hub.url}/edoc/v1", data=io.BytesIO(body), headers=headers) as response,
    ):
        return await response.read()


async def open_slowly(at: Stage, context: ssl.SSLContext, path: str, *headers: str) -> asyncio.StreamWriter:
    """The head of a request that announces a body; nothing of the body."""
    url = URL(at.hub.url)
    _, writer = await asyncio.open_connection("127.0.0.1", url.port, ssl=context, server_hostname="localhost")
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", *headers, "Content-Length: 100000", "", ""]
    writer.write("\r\n".join(lines).encode())
    await writer.drain()
    return writer


def refusals(at: Stage) -> list[str]:
    return [line["code"] for line in at.lines if line["event"] == "refused"]


async def test_a_flood_of_strangers_is_never_made_into_trees_and_a_document_gets_through(
    at: Stage, monkeypatch: pytest.MonkeyPatch
):
    """Eight at once stopped every agency for seven seconds, for 306 MB; now none of it is parsed, or kept."""
    before, parsed, longest = held(at.hub), [], []
    parse = xml_reading.parse

    def watched(data: bytes, **limits: object) -> object:
        parsed.append(len(data))
        return parse(data, **limits)  # type: ignore[arg-type]

    monkeypatch.setattr(soap, "parse", watched)
    kept = door.Gate.look

    async def look(gate: door.Gate, root: bytes | bytearray) -> None:
        longest.append(len(root))
        await kept(gate, root)

    monkeypatch.setattr(door.Gate, "look", look)
    at.lines.clear()
    flood = [asyncio.create_task(post(at, CROWD)) for _ in range(8)]
    await until(lambda: bool(longest))
    accepted = await at.sender.send(at.sealed(at.unsealed()))
    assert not accepted.repeated
    for answer in await asyncio.gather(*flood):
        assert b"M.SendDocument" in answer
    assert max(parsed) < 100_000
    assert max(longest) < door.UNPROVED + (1 << 20)
    assert refusals(at) == [errors.TOO_LARGE.code] * 8
    assert held(at.hub).files.keys() == before.files.keys() | {"segments/00000001.seg"}


async def test_a_stranger_is_not_read_further_than_it_must_be(at: Stage):
    """A short envelope of a stranger with 4 MB behind its credentials: refused at the credentials."""
    root = envelope("<Manifest/>" + "x" * (3 << 20), HEADER + signature(token="guessed"))
    assert b"<edXML:Code>Permission</edXML:Code>" in await post(at, root)
    assert refusals(at)[-1] == errors.UNAUTHENTICATED.code


async def test_who_has_proved_itself_may_send_a_long_envelope(at: Stage):
    """Longer than what is read of a stranger: the credentials stand in its first part."""
    content = f"<edXML:Content>{'nội dung ' * 60_000}</edXML:Content>"
    root = envelope("<edXML:Manifest/>", signature(token=TOKEN) + HEADER.replace("<edXML:Content/>", content))
    assert len(root) > door.UNPROVED
    answer = await post(at, root)
    assert b"R.MessageHeader.Content" in answer or b"<edXML:IsSuccess>true" in answer
    assert errors.UNAUTHENTICATED.code not in refusals(at)
    assert errors.TOO_LARGE.code not in refusals(at)


async def test_places_for_strangers_are_few_and_given_back(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(door, "WAIT", 0.05)
    places = door.Door(places=3, per_address=2)
    async with contextlib.AsyncExitStack() as inside:
        await inside.enter_async_context(places.enter("a"))
        await inside.enter_async_context(places.enter("a"))
        for address in ("a", "a"):
            with pytest.raises(errors.ExchangeError) as caught:
                async with places.enter(address):
                    pass
            assert caught.value.kind is errors.BUSY
        await inside.enter_async_context(places.enter("b"))
        with pytest.raises(errors.ExchangeError):
            async with places.enter("c"):
                pass
    async with places.enter("a"), places.enter("a"), places.enter("c"):
        pass
    assert not places._inside


async def test_a_place_is_waited_for():
    places = door.Door(places=1, per_address=1)
    order: list[str] = []

    async def second() -> None:
        async with places.enter("b"):
            order.append("second")

    async with places.enter("a"):
        waiting = asyncio.create_task(second())
        await asyncio.sleep(0)
        order.append("first")
    await waiting
    assert order == ["first", "second"]


async def test_a_stranger_that_sends_nothing_is_not_waited_for(impatient: Stage):
    at = impatient
    writers = [await open_slowly(at, nobody(at), "/edoc/v1", "SOAPAction: SendDocument") for _ in range(3)]
    await until(lambda: refusals(at) == [errors.TOO_SLOW.code] * 3)
    for writer in writers:
        writer.close()


async def test_an_envelope_that_trickles_is_not_waited_for(impatient: Stage):
    """Each octet comes before the patience with silence ends; the envelope as a whole does not."""
    at = impatient
    writer = await open_slowly(at, nobody(at), "/edoc/v1", "SOAPAction: SendDocument")

    async def trickle() -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                writer.write(b"<")
                await writer.drain()
                await asyncio.sleep(0.05)

    trickling = asyncio.create_task(trickle())
    await until(lambda: refusals(at) == [errors.TOO_SLOW.code])
    trickling.cancel()
    writer.close()


async def test_an_agency_that_stalls_in_an_attachment_gives_its_place_back(impatient: Stage):
    """It may hold a place among those in flight for as long as octets come, and no longer; nothing of it stays."""
    at = impatient
    file = Attached("f1", b"x" * 90_000)
    before = held(at.hub)
    writer = await open_slowly(at, at.sender.context, "/lienthong/v1", f"Content-Type: {RELATED}")
    body = soap.write_envelope(soap.SoapVersion.V12, native.write_send(at.sealed(at.unsealed([file]))))
    writer.write(related(body, ("<f1>", "", file.data))[: len(body) + 5_000])
    await writer.drain()
    await until(lambda: refusals(at) == [errors.TOO_SLOW.code])
    await until(lambda: at.hub.hub.exchange.custody.in_flight.total() == 0)
    assert held(at.hub) == before
    writer.close()


async def test_a_slow_but_steady_body_is_taken(impatient: Stage):
    at = impatient
    body = related(send_document([], token=TOKEN))
    url = URL(at.hub.url)
    reader, writer = await asyncio.open_connection("127.0.0.1", url.port, ssl=nobody(at), server_hostname="localhost")
    head = f"POST /edoc/v1 HTTP/1.1\r\nHost: a\r\nSOAPAction: SendDocument\r\nContent-Type: {RELATED}\r\n"
    writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode())
    for start in range(0, len(body), 1000):
        writer.write(body[start : start + 1000])
        await writer.drain()
        await asyncio.sleep(0.02)
    assert b"200" in await reader.readline()
    writer.close()
