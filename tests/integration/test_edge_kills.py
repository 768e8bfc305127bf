"""Killed between the local system's answer and its own note of it, the agent gives each document exactly once.

A real process of the agent dies by SIGKILL in the very statement that would have noted XONG; then it starts again.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from edge_stage import A, B, Edge, eventually, free_port, octets, province
from foreign.zeep_client import EDocClient, Received
from requests import RequestException
from test_edge_soap_bridge import SETTINGS, TOKEN, local_system

from edge_agent import configuration
from edge_agent.store import Store
from runtime import config

DIES_BEFORE_XONG = """
import os, signal, sys
from edge_agent.store.handovers import Handovers

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

Handovers.done = die
from edge_agent.commands import cli
cli(["serve", "--dir", sys.argv[1]])
"""
FILE = octets(300_000)


@asynccontextmanager
async def doomed(edge: Edge) -> AsyncIterator[asyncio.subprocess.Process]:
    """The agent as a process that dies in the statement that notes a hand-over."""
    edge.places.configuration.write_text(config.show(configuration.EdgeConfig, edge.config), "utf-8")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", DIES_BEFORE_XONG, str(edge.places.root), stderr=asyncio.subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def routes(edge: Edge) -> Sequence[tuple[object, ...]]:
    """What the database says of the hand-overs, with or without an agent."""
    store = Store(edge.places.database, read_only=True)
    try:
        return store.read("SELECT route, state, begun FROM handover ORDER BY route")
    finally:
        store.close()


async def test_a_kill_between_the_local_systems_answer_and_the_note_of_it_doubles_nothing(tmp_path: Path):
    async with province() as gialai, local_system() as system:
        (tmp_path / "token").write_text(TOKEN, "utf-8")
        (tmp_path / "token").chmod(0o600)
        soap = configuration.Soap(address=system.address, token_file=tmp_path / "token", **SETTINGS)
        local = configuration.Local(port=free_port(), pull=False)
        a = await gialai.edge(A)
        b = await gialai.join(B, soap=soap, local=local, folders=configuration.Folders(enabled=False))
        async with doomed(b) as process:
            a.drop("a.pdf", FILE)
            assert await asyncio.wait_for(process.wait(), 60) == -signal.SIGKILL
        ((document, files),) = system.documents
        assert files == {"a.pdf": FILE}
        assert routes(b) == [("soap", "CHO", 1)]
        await b.start()
        await eventually(lambda: routes(b) == [("soap", "XONG", 2)], "asked again, and known")
        assert [one for one, _ in system.documents] == [document]
        assert b.agent.store.watch.alarms() == []


class PullingSystem:
    """A vendor's system that asks, keeps what it does not have, and confirms; it knows a document by its number."""

    def __init__(self) -> None:
        self.kept: dict[int, Received] = {}
        self.lists: list[list[int]] = []

    def look(self, edge: Edge, token: str) -> None:
        """One round, in a thread. Raises when the agent dies in it."""
        client = EDocClient(f"http://127.0.0.1:{edge.config.local.port}/edoc/v1", B, token)
        try:
            numbers = client.pending()
            self.lists.append(numbers)
            for number in numbers:
                if number not in self.kept:
                    self.kept[number] = client.fetch(number)
                client.confirm(number)
        finally:
            client.close()


async def test_a_kill_while_a_pulling_system_confirms_doubles_nothing():
    async with province() as gialai:
        local = configuration.Local(port=free_port())
        a = await gialai.edge(A)
        b = await gialai.join(B, local=local, folders=configuration.Folders(enabled=False))
        token, system = b.token, PullingSystem()
        async with doomed(b) as process:
            a.drop("a.pdf", FILE)
            while process.returncode is None:
                with suppress(RequestException, OSError):
                    await asyncio.to_thread(system.look, b, token)
                with suppress(TimeoutError):
                    await asyncio.wait_for(process.wait(), 0.1)
        assert process.returncode == -signal.SIGKILL
        (number,) = system.kept
        assert routes(b) == [("pull", "CHO", 0)]
        await b.start()
        await asyncio.to_thread(system.look, b, token)
        assert system.lists[-1] == [number], "the same document under the same number"
        await asyncio.to_thread(system.look, b, token)
        assert system.lists[-1] == []
        (received,) = system.kept.values()
        assert received.files == {"a.pdf": FILE}
        assert routes(b) == [("pull", "XONG", 0)]
