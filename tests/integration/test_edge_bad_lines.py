"""Lines that break between agent and hub: uploads go on where they stopped, nothing is lost or doubled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import msgspec
from aiohttp import web
from edge_stage import PDF, A, B, Province, eventually, free_port, now, octets, province

from certs import tls
from edge_agent import configuration
from protocol import errors
from protocol.errors import ExchangeError

MIB = 1 << 20


class Line:
    """A TCP relay in front of the hub that can be cut after so many octets."""

    def __init__(self, port: int) -> None:
        self._hub = port
        self.port = free_port()
        self.up = self.down = 0
        """Octets carried so far, to the hub and from it."""
        self.cuts_up: list[int] = []
        self.cuts_down: list[int] = []
        """A connection is cut when it has carried this many; one entry for each cut."""
        self.connections: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hub_reader, hub_writer = await asyncio.open_connection("127.0.0.1", self._hub)
        tasks = (
            asyncio.ensure_future(self._carry(reader, hub_writer, "up", self.cuts_up)),
            asyncio.ensure_future(self._carry(hub_reader, writer, "down", self.cuts_down)),
        )
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for end in (writer, hub_writer):
            end.transport.abort()

    async def _carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, name: str, cuts: list[int]
    ) -> None:
        carried = 0
        while data := await reader.read(64 * 1024):
            carried += len(data)
            setattr(self, name, getattr(self, name) + len(data))
            if cuts and carried >= cuts[0]:
                cuts.pop(0)
                return
            writer.write(data)
            await writer.drain()


@asynccontextmanager
async def line(gialai: Province) -> AsyncIterator[Line]:
    relay = Line(gialai.hub_config.port)
    server = await asyncio.start_server(relay.handle, "127.0.0.1", relay.port)
    try:
        yield relay
    finally:
        server.close()
        for edge in gialai.edges.values():
            await edge.stop()
        await asyncio.sleep(0)


def through(relay: Line, **changes: object) -> dict[str, configuration.Hub]:
    given = {"retry_first": 0.05, "retry_longest": 0.2, "poll_wait": 2.0, **changes}
    return {"hub": configuration.Hub(url=relay.url, **given)}  # type: ignore[arg-type]


async def test_an_interrupted_upload_goes_on_where_it_stopped():
    async with province() as gialai, line(gialai) as relay:
        a, b = await gialai.edge(A, **through(relay)), await gialai.edge(B)
        large = octets(24 * MIB)
        relay.cuts_up += [10 * MIB, 6 * MIB]
        a.drop("lon.pdf", large)
        (package,) = await eventually(lambda: b.arrived("van-ban.edxml"), "arrival", patience=60)
        assert (package.parent / "lon.pdf").read_bytes() == large
        assert relay.cuts_up == []
        assert relay.up < 30 * MIB, "what had arrived was not sent again"
        await eventually((a.places.done / "lon.pdf").exists)
        assert len(b.incoming()) == 1


async def test_an_interrupted_fetch_leaves_nothing_half_and_is_repeated():
    async with province() as gialai, line(gialai) as relay:
        a, b = await gialai.edge(A), await gialai.edge(B, **through(relay))
        large = octets(6 * MIB)
        relay.cuts_down += [2 * MIB, 4 * MIB]
        a.drop("lon.pdf", large)
        (package,) = await eventually(lambda: b.arrived("van-ban.edxml"), "arrival", patience=60)
        assert (package.parent / "lon.pdf").read_bytes() == large
        assert relay.cuts_down == []
        assert len([path for path in b.places.payloads.rglob("*") if path.is_file()]) == 1
        assert b.agent.store.inbox.held() == []


async def test_a_lost_answer_is_asked_for_again_and_the_receipt_is_the_same():
    async with province() as gialai, line(gialai) as relay:
        a, b = await gialai.edge(A, **through(relay)), await gialai.edge(B)
        send = a.agent.link.send
        lost = []

        async def send_and_lose(*arguments: object):  # noqa: ANN202 -- the answer of the original
            accepted = await send(*arguments)  # type: ignore[arg-type]
            if not lost:
                lost.append(accepted)
                raise_unreachable()
            return accepted

        a.agent.link.send = send_and_lose  # type: ignore[method-assign]
        a.drop("a.pdf", PDF)
        await eventually((a.places.done / "a.pdf").exists, "the receipt at the second try")
        assert a.agent.store.outbox.one(1).hub_number == lost[0].number
        await eventually(b.incoming)
        assert gialai.hub.ledger.log.size >= 1
        assert len(b.incoming()) == 1


async def test_a_proxy_that_answers_with_a_page_ends_nothing():
    async with province() as gialai:
        a = await gialai.join(A)
        await gialai.join(B)
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", _page)
        runner = web.AppRunner(app)
        await runner.setup()
        context = tls.server_context(gialai.hub_config.certificate, gialai.hub_config.key, gialai.hub.trust.bundle)
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        real = a.config.hub
        proxy = msgspec.structs.replace(real, url=f"https://127.0.0.1:{runner.addresses[0][1]}")
        a.config = msgspec.structs.replace(a.config, hub=proxy)
        await a.start()
        a.drop("a.pdf", PDF)
        await eventually(lambda: a.agent.store.outbox.latest(1), "in the outbox")
        await eventually(lambda: a.agent.store.outbox.latest(1)[0].error_code == "server.bad-answer", "tried")
        assert a.agent.store.outbox.latest(1)[0].state == "CHO_GUI"
        await a.stop()
        await runner.cleanup()
        a.config = msgspec.structs.replace(a.config, hub=real)
        await a.start()
        await eventually((a.places.done / "a.pdf").exists, "sent to the real hub")


async def test_many_wait_and_one_that_always_fails_starves_nobody():
    async with province() as gialai:
        a, b = await gialai.edge(A), await gialai.edge(B)
        send = a.agent.link.send

        async def send_but_one(envelope: bytes, *rest: object):  # noqa: ANN202 -- the answer of the original
            if b"13/SVDA-VP" in envelope:
                raise_unreachable()
            return await send(envelope, *rest)  # type: ignore[arg-type]

        a.agent.link.send = send_but_one  # type: ignore[method-assign]
        a.drop("13.pdf", PDF, CodeNumber="13", Priority=3)
        for number in range(20, 26):
            a.drop(f"{number}.pdf", PDF, CodeNumber=str(number))
        await eventually(lambda: len(b.incoming()) == 6, "all others arrive", patience=60)
        waiting = a.agent.store.outbox.due(now() + timedelta(minutes=30), 9)
        assert [row.document_id.split(",")[2] for row in waiting] == ["13/SVDA-VP"]


async def test_the_directory_is_there_without_the_hub():
    async with province() as gialai:
        a = await gialai.edge(A)
        await gialai.join(B)
        organizations = await a.agent.exchange.organizations(None)  # type: ignore[arg-type]
        assert {one.organ_id for one in organizations} >= {A, B}
        await a.stop()
        await gialai.stop_hub()
        await a.start()
        remembered = await a.agent.exchange.organizations(None)  # type: ignore[arg-type]
        assert remembered == organizations
        await gialai.start_hub()


def raise_unreachable() -> None:
    raise ExchangeError(errors.UNREACHABLE)


async def _page(_request: web.Request) -> web.Response:
    return web.Response(status=502, text="<html>Bad gateway</html>")
