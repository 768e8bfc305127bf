"""Who on the machine may read what: letters are the agent's and the hub's alone, `folders/` also their group's."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from edge_stage import PDF, A, B, eventually, octets, province

from hub.doctor import Finding, examine
from protocol.exchange import Caller


@pytest.fixture(params=[0o000, 0o022], ids=["umask-000", "umask-022"])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    """What the service manager may have set; the most open one must not matter."""
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def open_to_others(folder: Path, bits: int) -> list[str]:
    """Everything at and under this folder whose mode has one of the bits."""
    found = {path: stat.S_IMODE(path.lstat().st_mode) for path in (folder, *folder.rglob("*"))}
    return [f"{path.relative_to(folder)} {mode:04o}" for path, mode in found.items() if mode & bits]


async def test_no_other_account_reads_letters_in_the_data_of_agent_or_hub(umask: int):
    async with province() as gialai:
        a, b = await gialai.edge(A), await gialai.edge(B)
        a.drop("a.pdf", PDF)
        a.drop("lớn.pdf", octets(9 << 20), CodeNumber="124")  # uploaded on its own, a file of its own at the hub
        await eventually(lambda: len(b.arrived("van-ban.edxml")) == 2, "arrival")
        await a.agent.exchange.organizations(Caller(agency=A, proof="token"))
        assert (a.places.data / "edge.db-wal").exists()
        for edge in (a, b):
            assert open_to_others(edge.places.data, 0o077) == []
            assert open_to_others(edge.places.keys, 0o077) == []
        assert open_to_others(gialai.hub_config.data, 0o077) == []
        await a.stop()
        assert open_to_others(a.places.data, 0o077) == []


async def test_the_shared_folders_are_shut_to_strangers_and_open_to_the_group(umask: int):
    async with province() as gialai:
        edge = await gialai.edge(A)
        for folder in (edge.places.outgoing, edge.places.incoming, edge.places.done, edge.places.failed):
            assert stat.S_IMODE(folder.stat().st_mode) == 0o770 & ~umask
        assert stat.S_IMODE(edge.places.outgoing.parent.stat().st_mode) == 0o770 & ~umask


@pytest.mark.parametrize(
    ("name", "mode", "mended"),
    [
        (".", 0o755, "700"),
        ("ledger.sqlite", 0o644, "600"),
        ("ledger.sqlite-wal", 0o604, "600"),
        ("payloads", 0o750, "700"),
    ],
)
async def test_the_hubs_doctor_tells_of_a_mode_that_lets_others_in(name: str, mode: int, mended: str):
    async with province() as gialai:
        path = gialai.hub_config.data / name

        def told() -> Finding:
            return next(one for one in examine(gialai.hub_config) if one.subject == "Quyền của tệp")

        assert (await asyncio.to_thread(told)).good
        path.chmod(mode)
        found = await asyncio.to_thread(told)
        assert not found.good
        assert found.sentence.endswith(f"có quyền {mode:04o}: người khác vào được. Chạy: chmod {mended} {path}")
