"""What runs beside the agent is asked directly, whatever proxy the environment names, and cannot fill its memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from edge_stage import PDF, A, B, eventually, free_port, province
from test_edge_soap_bridge import SETTINGS, local_system

from edge_agent import configuration, control
from edge_agent.bridge.soap_client import ANSWER_LIMIT

PIECE = b" " * (1 << 20)
ENDLESS = 64 * len(PIECE)


@pytest.fixture
def _proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that is not there, as a session of a person may name one that is not for services."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
        monkeypatch.setenv(name.upper(), f"http://127.0.0.1:{free_port()}")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


@asynccontextmanager
async def answering(answer: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    """A local system that answers everything with this; its address."""
    app = web.Application()
    app.router.add_route("*", "/ws", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/ws"
    finally:
        await runner.cleanup()


@pytest.mark.usefixtures("_proxy")
async def test_neither_the_local_system_nor_the_agent_is_asked_through_a_proxy():
    async with province() as gialai, local_system() as system:
        a, b = await gialai.edge(A), await gialai.edge(B, soap=configuration.Soap(address=system.address, **SETTINGS))
        a.drop("a.pdf", PDF)
        await eventually(lambda: system.organ_ids, "the local system is reached")
        assert await asyncio.to_thread(control.ask_ready, b.places) == ""


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_an_endless_answer_is_cut_at_the_limit_and_the_message_stays(method: str):
    """As description (GET) or as answer (POST): what the neighbour pours out is not held."""
    poured = {"GET": 0, "POST": 0}

    async def pour(request: web.Request) -> web.StreamResponse:
        await request.read()
        if request.method != method:
            return web.Response(status=404)
        response = web.StreamResponse(headers={"Content-Type": "text/xml"})
        await response.prepare(request)
        while poured[method] < ENDLESS:
            await response.write(PIECE)
            poured[method] += len(PIECE)
        return response

    async with province() as gialai, answering(pour) as address:
        a, b = await gialai.edge(A), await gialai.edge(B, soap=configuration.Soap(address=address, **SETTINGS))
        a.drop("a.pdf", PDF)
        await eventually(lambda: poured[method], "the local system is asked")
        await eventually(lambda: b.agent.store.inbox.count("document"), "arrival")
        await eventually(lambda: b.agent.store.handovers.one(1, "soap").attempts, "a failed try")
        assert ANSWER_LIMIT <= poured[method] < ENDLESS
        assert b.agent.store.handovers.one(1, "soap").state == "CHO"
