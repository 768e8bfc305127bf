"""A full disk under the edge: refused cleanly at every place it can hit, and all is well when there is room again."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from edge_stage import FIELDS, PDF, A, B, Edge, Province, eventually, now, province
from foreign.zeep_client import Refused
from test_edge_local_service import client, letter

from edge_agent import configuration, posting, service
from edge_agent.backoff import Backoff
from edge_agent.bridge import outgoing_folder, sidecar
from edge_agent.payloads import Payloads
from protocol import errors
from protocol.errors import ExchangeError

MIB = 1 << 20
CAPACITY = 48 * MIB
KEPT = 4 * MIB
"""What must stay free."""
LARGE = hashlib.shake_256(b"large").digest(3 * MIB)
CANNOT_NOW = "M.SendDocument"


class Disk:
    """The disk of one agent: a file system of its own, in memory, that a ballast file fills.

    Where none may be mounted, the agent is told to keep more free than there is.
    """

    def __init__(self, edge: Edge) -> None:
        self._edge = edge
        self._root = edge.places.root
        self._kept = edge.config.limits.disk_free
        mount = ["mount", "-t", "tmpfs", "-o", f"size={CAPACITY}", "tmpfs", str(self._root)]
        try:
            self.real = not subprocess.run(mount, capture_output=True, check=False).returncode
        except FileNotFoundError:
            self.real = False

    def fill(self, leaving: int) -> None:
        """Leave only so many octets of room."""
        if not self.real:
            self._edge.agent.payloads._disk_free = self._kept + self._edge.agent.payloads.free() - leaving
            return
        self.empty()
        with (self._root / "ballast").open("wb") as file:
            left = self._edge.agent.payloads.free() - leaving
            while left > 0:
                left -= file.write(bytes(min(left, MIB)))

    def empty(self) -> None:
        """Give the room back."""
        if self.real:
            (self._root / "ballast").unlink(missing_ok=True)
        else:
            self._edge.agent.payloads._disk_free = self._kept

    def gone(self) -> None:
        if self.real:
            subprocess.run(["umount", "--lazy", str(self._root)], check=True)


@asynccontextmanager
async def stage(kept: int = KEPT) -> AsyncIterator[tuple[Province, Edge, Edge, Disk]]:
    """A on a small disk, B on a large one."""
    async with province() as gialai:
        limits = configuration.Limits(disk_free=kept)
        a = await gialai.join(A, limits=limits)
        moved = a.places.root.with_name("joined")
        a.places.root.rename(moved)
        a.places.root.mkdir()
        disk = Disk(a)
        try:
            shutil.copytree(moved, a.places.root, dirs_exist_ok=True)
            await a.start()
            yield gialai, a, await gialai.edge(B), disk
        finally:
            await a.stop()
            disk.gone()


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits of half a minute say nothing."""
    monkeypatch.setattr(outgoing_folder, "RETRY", Backoff(first=0.05, longest=0.1))
    monkeypatch.setattr(service, "LOCAL", Backoff(first=0.05, longest=0.1))


def half_stored(edge: Edge) -> list[Path]:
    temporary = [*(edge.places.payloads / "tmp").glob("*"), *edge.places.outgoing.glob(".*")]
    return [*temporary, *edge.places.incoming.glob(".*")]


def alarms(edge: Edge) -> set[str]:
    return {alarm.kind for alarm in edge.agent.store.watch.alarms()}


def unsent(edge: Edge, number: int) -> str:
    """Why a message of the inbox does not lie in incoming/ yet."""
    handover = edge.agent.store.handovers.one(number, "folder")
    return handover.error_code if handover is not None and handover.state == "CHO" else ""


@pytest.mark.parametrize("leaving", [KEPT // 2, KEPT + MIB])
async def test_ac_8_3c_3_package_b_is_told_that_it_cannot_be_now(leaving: int, tmp_path: Path):
    """Below what must stay free at once; above it, when the octets have come so far."""
    file = tmp_path / "a.pdf"
    file.write_bytes(LARGE * 12)
    async with stage() as (_, a, _b, disk):
        sender = await client(a, A)
        disk.fill(leaving)
        for _ in range(2):
            with pytest.raises(Refused) as caught:
                await asyncio.to_thread(sender.send, letter(file))
            assert caught.value.codes == [CANNOT_NOW]
            assert half_stored(a) == []
            assert a.agent.store.outbox.latest(9) == []
        disk.empty()
        if disk.real:
            file.write_bytes(LARGE)
        await asyncio.to_thread(sender.send, letter(file))
        assert len(a.agent.store.outbox.latest(9)) == 1
        sender.close()


async def test_ac_8_3c_3_a_file_in_the_folder_waits_for_room_and_the_alarm_ends_by_itself():
    async with stage() as (_, a, b, disk):
        await a.stop()
        a.drop("a.pdf", LARGE)
        await a.start()
        disk.fill(KEPT + len(LARGE) - MIB)  # room for a part of it
        watchman = a.agent.watchman
        await eventually(lambda: _missed(a.agent.payloads), "it did not fit")
        await watchman.check_disk()
        assert "disk" in alarms(a)
        assert [path.name for path in a.places.failed.iterdir()] == []
        assert half_stored(a) == []
        disk.empty()
        await eventually((a.places.done / "a.pdf").exists, "sent once there is room")
        await watchman.check_disk()
        assert "disk" not in alarms(a)
        assert "folder" not in alarms(a)
        await eventually(b.incoming, "arrival")


def _missed(payloads: Payloads) -> int:
    return payloads._missed


async def test_ac_8_3c_3_what_does_not_fit_stays_at_the_hub_and_lets_the_others_pass():
    async with stage() as (_, a, b, disk):
        disk.fill(KEPT + 2 * MIB)
        b.drop("a.pdf", LARGE, To=[A], CodeNumber="1")
        await eventually(lambda: _missed(a.agent.payloads), "it did not fit")
        b.drop("b.pdf", PDF, To=[A], CodeNumber="2")
        await eventually(lambda: a.arrived("b.pdf"), "what fits arrives")
        assert a.arrived("a.pdf") == []
        assert half_stored(a) == []
        await a.agent.watchman.round()
        assert "disk" in alarms(a)
        await a.stop()
        disk.empty()
        await a.start()
        (arrived,) = await eventually(lambda: a.arrived("a.pdf"), "the rest arrives when there is room")
        assert arrived.read_bytes() == LARGE


async def test_ac_8_3c_3_a_hand_over_waits_for_room_for_its_copies():
    async with stage() as (_, a, b, disk):
        disk.fill(KEPT + len(LARGE) + MIB)  # room in the archive, none for file and package in incoming/
        b.drop("a.pdf", LARGE, To=[A])
        await eventually(lambda: unsent(a, 1) == errors.DISK_FULL.code, "held for room")
        assert list(a.places.incoming.iterdir()) == []
        disk.empty()
        (arrived,) = await eventually(lambda: a.arrived("a.pdf"), "handed over")
        assert arrived.read_bytes() == LARGE
        assert half_stored(a) == []


async def test_a_disk_that_is_really_full_in_the_middle_of_a_write_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Nobody keeps anything free: the writes themselves fail, of payloads and of copies."""
    file = tmp_path / "a.pdf"
    file.write_bytes(LARGE)
    async with stage(kept=0) as (_, a, b, disk):
        sender = await client(a, A)
        disk.fill(2 * MIB)
        with pytest.raises(Refused) as caught:
            await asyncio.to_thread(sender.send, letter(file))
        assert caught.value.codes == [CANNOT_NOW]
        assert half_stored(a) == []
        sender.close()
        disk.empty()
        monkeypatch.setattr(a.agent.payloads, "check_space", lambda *_, **__: None)  # somebody else fills it meanwhile
        disk.fill(2 * len(LARGE))
        b.drop("a.pdf", LARGE, To=[A], CodeNumber="7")
        if disk.real:
            await eventually(lambda: unsent(a, 1) == errors.DISK_FULL.code, "no room in the middle of a copy")
            assert list(a.places.incoming.iterdir()) == []
        disk.empty()
        await eventually(lambda: a.arrived("a.pdf"), "handed over")


async def test_a_database_that_may_not_grow_is_a_full_disk(tmp_path: Path):
    """SQLite's own word for it: the same answer, nothing kept, the file waits where it is."""
    file = tmp_path / "a.pdf"
    file.write_bytes(PDF)
    async with stage() as (gialai, a, _b, _disk):
        await gialai.stop_hub()
        connection = a.agent.store._connection
        connection.execute("PRAGMA max_page_count = 1").fetchone()  # SQLite makes it the size that the file has
        sender = await client(a, A)

        def send_many() -> None:
            for number in range(400):  # until the free room in its pages is used up
                sender.send(letter(file, number=str(1000 + number)))

        with pytest.raises(Refused) as caught:
            await asyncio.to_thread(send_many)
        assert caught.value.codes == [CANNOT_NOW]
        sender.close()
        a.drop("b.pdf", PDF, CodeNumber="5")
        with pytest.raises(ExchangeError) as full:
            await a.agent.store.run(_fill, a)
        assert full.value.kind is errors.DISK_FULL
        connection.execute("PRAGMA max_page_count = 1000000").fetchone()
        await gialai.start_hub()
        await eventually((a.places.done / "b.pdf").exists, "sent when there is room")


def _fill(edge: Edge) -> None:
    for number in range(10_000):
        edge.agent.store.watch.alarm(f"held-{number}", "x" * 500, edge.agent._clock())


async def test_a_command_that_finds_no_room_leaves_nothing(tmp_path: Path):
    async with stage() as (_, a, _b, disk):
        if not disk.real:
            return  # the command asks the disk, not the agent
        files = [tmp_path / "a.pdf", tmp_path / "b.bin"]
        for file in files:
            file.write_bytes(LARGE)
        fields = sidecar.read_sidecar("x.json", msgspec.json.encode(FIELDS))
        disk.fill(4 * MIB)
        with pytest.raises(OSError, match="No space left"):
            posting.post_fields(a.places, fields, files, a.agent.organization, now())
        assert list(a.places.outgoing.iterdir()) == []
        disk.empty()
        posting.post_fields(a.places, fields, files, a.agent.organization, now())
        await eventually((a.places.done / "b.bin").exists, "sent")


async def test_a_disk_that_is_nearly_full_raises_an_alarm_that_ends_by_itself():
    async with stage() as (_, a, _b, disk):
        disk.fill(KEPT // 2)
        await a.agent.watchman.check_disk()
        assert "disk" in alarms(a)
        disk.empty()
        await a.agent.watchman.check_disk()
        assert alarms(a) == set()
