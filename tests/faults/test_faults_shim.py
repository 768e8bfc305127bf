"""The shim sees every call that CPython, SQLite and the event loops make, and injects what it is told to."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.faults.journal import read_journal
from tests.faults.plan import Fault
from tests.faults.power_cut import World, differences
from tests.faults.shim import Action, Kind
from tests.faults.zygote import CRASHED, Zygote

CALLS = "tests.faults.calls"


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    with Zygote([CALLS]) as running:
        yield running


class Sink:
    """Counts the octets of one connection."""

    def __init__(self) -> None:
        self.port = 0
        self.octets = 0
        self.ended = asyncio.Event()

    async def swallow(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(1 << 20):
                self.octets += len(data)
        writer.close()
        self.ended.set()


@pytest.fixture
async def sink() -> AsyncIterator[Sink]:
    made = Sink()
    server = await asyncio.start_server(made.swallow, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    yield made
    await asyncio.wait_for(made.ended.wait(), 10)
    server.close()
    await server.wait_closed()


class Watched:
    """One child on a fresh folder, and what the shim saw of it."""

    def __init__(self, zygote: Zygote, folder: Path) -> None:
        self.root, self.journal, self.log = folder / "root", folder / "journal", folder / "log"
        self.root.mkdir()
        self.world = World.take(self.root)
        self.zygote = zygote

    async def run(self, call: str, fault: Fault | None = None, **arguments: object) -> int:
        child = self.zygote.fork(
            f"{CALLS}:{call}",
            {"root": str(self.root), **arguments},
            log=self.log,
            root=self.root,
            journal=self.journal,
            fault=fault,
        )
        return await child.wait(30)

    @property
    def kinds(self) -> Counter[Kind]:
        return Counter(entry.kind for entry in read_journal(self.journal))

    def unexplained(self) -> list[str]:
        self.world.replay(read_journal(self.journal))
        return differences(self.world)


@pytest.fixture
def watched(zygote: Zygote, tmp_path: Path) -> Watched:
    return Watched(zygote, tmp_path)


async def test_every_change_that_python_makes_is_in_the_journal(watched: Watched):
    assert await watched.run("python_files") == 0, watched.log.read_text()
    assert watched.unexplained() == []
    assert set(watched.kinds) == set(Kind) - {Kind.SEND}
    assert watched.kinds[Kind.FSYNC] == 3
    assert watched.kinds[Kind.TRUNCATE] == 3


async def test_every_change_that_sqlite_makes_is_in_the_journal(watched: Watched):
    assert await watched.run("sqlite_files") == 0, watched.log.read_text()
    assert watched.unexplained() == []
    assert (watched.root / "ledger.db-wal").stat().st_size > 0
    assert watched.kinds[Kind.FSYNC] > 11


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
async def test_every_send_of_the_event_loops_is_a_point(watched: Watched, sink: Sink, loop: str):
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    assert await watched.run("sends", port=sink.port, loop=loop) == 0, watched.log.read_text()
    await asyncio.wait_for(sink.ended.wait(), 10)
    sent = [entry.result for entry in read_journal(watched.journal) if entry.kind is Kind.SEND and entry.result > 0]
    assert sum(sent) == sink.octets == 5 + 1_001_000 + 100_000


@pytest.mark.parametrize("action", [Action.KILL_BEFORE, Action.KILL_AFTER, Action.KILL_TORN])
async def test_a_kill_happens_at_its_point(watched: Watched, action: Action):
    assert await watched.run("python_files", Fault(action, 4)) == -9
    last = read_journal(watched.journal)[-1]
    assert (last.point, last.fired, last.executed) == (4, action, action is not Action.KILL_BEFORE)
    assert watched.unexplained() == []


async def test_a_kill_can_be_bound_to_one_kind_of_point(watched: Watched):
    assert await watched.run("python_files", Fault(Action.KILL_AFTER, 2, kinds=(Kind.FSYNC,))) == -9
    kinds = watched.kinds
    assert kinds[Kind.FSYNC] == 2
    assert kinds[Kind.WRITE] > 2


async def test_an_injected_failure_reaches_the_program(watched: Watched):
    assert await watched.run("python_files", Fault(Action.FAIL, 1, error=28)) == CRASHED
    assert "No space left on device" in watched.log.read_text()
    assert watched.unexplained() == []


async def test_a_short_write_writes_half(watched: Watched):
    fault = Fault(Action.SHORT, 1, kinds=(Kind.WRITE,))
    assert await watched.run("python_files", fault) == 0, watched.log.read_text()
    entries = [entry for entry in read_journal(watched.journal) if entry.kind is Kind.WRITE]
    assert entries[0].result == 50_000
    assert watched.unexplained() == []


async def test_a_failing_send_looks_like_a_lost_connection(watched: Watched, sink: Sink):
    fault = Fault(Action.FAIL, 1, kinds=(Kind.SEND,))
    assert await watched.run("sends", fault, port=sink.port, loop="asyncio") == CRASHED
    assert "ConnectionResetError" in watched.log.read_text()


async def test_a_failure_may_be_followed_by_the_end(watched: Watched):
    assert await watched.run("python_files", Fault(Action.SHORT, 1, kinds=(Kind.WRITE,), death=3)) == -9
    writes = [entry for entry in read_journal(watched.journal) if entry.kind is Kind.WRITE]
    assert [(entry.fired, entry.executed) for entry in writes] == [
        (Action.SHORT, True),
        (Action.COUNT, True),
        (Action.KILL_BEFORE, False),
    ]
