"""One run: a workload against a program that dies or fails at one point, a power cut, a restart, the oracles.

A `Scenario` prepares a folder once, drives the workload through the program's own protocol, and says what it found
wrong. It must go on across the death of the program, the way the program's real clients do; `Stage` restarts it.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import shutil
import socket
import tempfile
import traceback
from collections.abc import AsyncIterator, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol, Self

from tests.faults.journal import Entry, read_journal
from tests.faults.plan import Fault
from tests.faults.power_cut import World, differences
from tests.faults.shim import Kind
from tests.faults.zygote import Child, Zygote

SHARED_MEMORY: Final = Path("/dev/shm")
PORTS: Final = (20_000, 32_000)
"""Below the range from which Linux takes the ports of outgoing connections."""
LOOK: Final = 0.01
"""Seconds between two looks of the supervisor."""
MAXIMUM_LIVES: Final = 8
"""Of a program that nothing strikes any more, which nevertheless keeps dying."""


class ViolationError(AssertionError):
    """A promise of the program that a fault broke."""


class StuckError(AssertionError):
    """The workload did not finish: the program hangs, or does not come back."""


class Scenario(Protocol):
    """A program and a workload."""

    name: str
    imports: Sequence[str]
    target: str

    async def prepare(self, folder: Path) -> None:
        """Makes the folder of the program as it is before the workload; it is copied for each run."""

    def arguments(self, stage: Stage) -> dict[str, Any]:
        """What `target` is called with."""

    async def play(self, stage: Stage) -> None:
        """The workload, to its end; raises ViolationError, StuckError."""


@dataclass(eq=False)
class Stage:
    """The folder, port and life of the program of one run."""

    scenario: Scenario
    zygote: Zygote
    template: Path
    folder: Path
    faults: list[Fault]
    mutations: Sequence[str] = ()
    port: int = 0
    peer_port: int = 0
    """Of a second program that the scenario may start."""
    reserved: tuple[socket.socket, ...] = ()
    """What keeps the ports from the runs of other processes, while nobody listens on them."""
    child: Child | None = None
    starts: int = 0
    notes: list[str] = field(default_factory=list)
    _world: World | None = None
    _replayed: int = 0

    @property
    def root(self) -> Path:
        """The watched folder."""
        return self.folder / "root"

    @property
    def log(self) -> Path:
        """Standard output and error of the program, all its lives."""
        return self.folder / "program.log"

    def journal(self, start: int) -> Path:
        """The journal of its start-th life (1, 2, …)."""
        return self.folder / f"journal-{start}"

    @property
    def entries(self) -> list[Entry]:
        """What the present life did."""
        return read_journal(self.journal(self.starts))

    def start(self) -> None:
        """Starts the program: with the next fault while there are any, then without."""
        fault = self.faults[self.starts] if self.starts < len(self.faults) else None
        self.starts += 1
        self._world = World.take(self.root)
        self.child = self.zygote.fork(
            self.scenario.target,
            self.scenario.arguments(self),
            log=self.log,
            root=self.root,
            journal=self.journal(self.starts),
            fault=fault,
            mutations=self.mutations,
        )

    @property
    def alive(self) -> bool:
        """Whether the program runs."""
        return self.child is not None and self.child.alive

    def plant(self, path: Path) -> None:
        """Tells the power cut of a file that the driver, not the program, made durably in the watched folder."""
        assert self._world
        self._world.plant(path)

    def fell(self) -> bool:
        """True when the program has died: then the power cut is made and the program restarted."""
        if self.alive:
            return False
        self.cut()
        if self.starts == MAXIMUM_LIVES:
            raise StuckError(f"the program died {self.starts} times: {', '.join(self.notes)}")
        self.start()
        return True

    def cut(self) -> None:
        """Kills the program if it lives, and leaves of the folder what a power cut leaves."""
        assert self.child
        assert self._world
        status = self.child.kill()
        self.notes.append(f"life {self.starts} ended with {status}")
        if self.starts > len(self.faults):
            return
        fault = self.faults[self.starts - 1]
        self._world.replay(self.entries)
        self._world.cut(fault.surviving, fault.seed)

    def last_start(self) -> None:
        """The end of the present life, and one more without any fault: what it shows is what is left for good."""
        self.cut()
        self.faults = self.faults[: self.starts]
        self.start()

    def check_journal(self) -> None:
        """The journal explains the folder; raises ViolationError when something wrote past the shim."""
        world = self._world
        assert world
        world.replay(self.entries)
        if wrong := differences(world):
            raise ViolationError(f"written past the shim: {', '.join(wrong)}")

    def close(self) -> None:
        """Ends the program and forgets the folder."""
        if self.child:
            self.child.kill()
        for reservation in self.reserved:
            reservation.close()
        shutil.rmtree(self.folder, ignore_errors=True)


@dataclass(frozen=True)
class Outcome:
    """What one run showed; `violation` is empty when every promise held."""

    faults: tuple[Fault, ...]
    fired: Entry | None
    kinds: tuple[Kind, ...]
    violation: str
    log: str = ""
    trace: tuple[str, ...] = ()

    @property
    def points(self) -> int:
        """How many points the first life had."""
        return len(self.kinds)


class Theatre:
    """A scenario with its zygote and its template folder, ready for any number of runs."""

    def __init__(self, scenario: Scenario, mutations: Sequence[str] = ()) -> None:
        base = SHARED_MEMORY if SHARED_MEMORY.is_dir() else None
        self._place = tempfile.TemporaryDirectory(prefix="lienthong-faults-", dir=base)
        self.place = Path(self._place.name)
        self.scenario = scenario
        self.mutations = mutations
        self.template = self.place / "template"
        self.template.mkdir()
        self.zygote = Zygote(scenario.imports)
        self._count = 0

    @classmethod
    async def open(cls, scenario: Scenario, mutations: Sequence[str] = ()) -> Self:
        """With the template prepared."""
        theatre = cls(scenario, mutations)
        try:
            await scenario.prepare(theatre.template)
        except BaseException:
            theatre.close()
            raise
        return theatre

    def close(self) -> None:
        """Ends the zygote, removes the folders."""
        self.zygote.close()
        self._place.cleanup()

    def stage(self, faults: Sequence[Fault]) -> Stage:
        """A fresh copy of the template."""
        self._count += 1
        folder = self.place / f"run-{self._count}"
        shutil.copytree(self.template, folder / "root", symlinks=True)
        (port, first), (peer_port, second) = free_port(), free_port()
        return Stage(
            self.scenario,
            self.zygote,
            self.template,
            folder,
            list(faults),
            self.mutations,
            port,
            peer_port,
            reserved=(first, second),
        )

    async def run(self, *faults: Fault) -> Outcome:
        """One run with one fault per life; what it broke is in the outcome, never raised."""
        stage = self.stage(faults)
        violation = ""
        try:
            stage.start()
            await self.scenario.play(stage)
            if not faults:
                stage.check_journal()
        except AssertionError as broken:
            violation = f"{type(broken).__name__}: {broken}"
        except Exception:  # noqa: BLE001 - what no oracle foresaw is shown whole, and the sweep goes on
            violation = f"unforeseen: {traceback.format_exc()}"
        finally:
            outcome = self._outcome(stage, faults, violation)
            stage.close()
        return outcome

    def _outcome(self, stage: Stage, faults: Sequence[Fault], violation: str) -> Outcome:
        first = read_journal(stage.journal(1))
        fired = next((entry for entry in first if entry.fired), None)
        log = stage.log.read_text(errors="replace") if violation and stage.log.exists() else ""
        near = [entry.describe() for entry in first if not fired or abs(entry.point - fired.point) < 15]
        return Outcome(
            faults=tuple(faults),
            fired=fired,
            kinds=tuple(entry.kind for entry in first if entry.point),
            violation=violation,
            log=log,
            trace=tuple(near[-40:]) if violation else (),
        )


async def together(jobs: Iterable[Coroutine[Any, Any, None]]) -> None:
    """All jobs at once; the first one that fails ends the others, and its exception is raised as it is."""
    tasks = [asyncio.ensure_future(job) for job in jobs]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def supervised(stage: Stage) -> AsyncIterator[None]:
    """Meanwhile a program that died is started again, whoever else would notice it, or nobody."""

    async def watch() -> None:
        while True:
            stage.fell()
            await asyncio.sleep(LOOK)

    watching = asyncio.create_task(watch())
    try:
        yield
    finally:
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching


def free_port() -> tuple[int, socket.socket]:
    """A loopback port that nobody listens on now, and that no outgoing connection can be given meanwhile.

    Other runs leave it alone until the second value is closed: an abstract Unix socket of the port's name.
    """
    while True:
        port = random.SystemRandom().randrange(*PORTS)
        reservation = socket.socket(socket.AF_UNIX)
        with socket.socket() as probe, contextlib.suppress(OSError):
            reservation.bind(f"\0lienthong-faults-{port}")
            probe.bind(("127.0.0.1", port))
            return port, reservation
        reservation.close()
