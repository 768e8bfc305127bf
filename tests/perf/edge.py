"""Row 5: what an edge agent costs when nothing happens, how soon it is of use, how soon the commands answer."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Final

from tests.perf import agents, stage
from tests.perf.load import prepare
from tests.perf.processes import ROOT, run, wait_until
from tests.perf.rows import Row
from tests.perf.stage import Server
from tests.perf.wire import Connection

TITLE: Final = "Edge agent and commands"
NEWCOMER: Final = "H21.81"
COMMANDS: Final = ("lienthong-hub", "lienthong-edge", "lienthong-certs")
SIZE: Final = 50_000


def rows(template: Path, *, settle: float, repeats: int) -> Iterator[Row]:
    """`settle` is how many seconds the agent is left alone before its memory is read."""
    with stage.copy(template, "edge") as folder, stage.hub(folder) as hub:
        code = agents.invite(folder, NEWCOMER)
        _send_one(hub, folder)
        began = time.perf_counter()
        places = agents.join(folder / NEWCOMER, hub, code)
        joined = time.perf_counter()
        with agents.serve(places) as agent:
            wait_until(lambda: agent.check() and agents.incoming(places, SIZE), 60)
            arrived = time.perf_counter()
            yield Row(
                section=TITLE, name="join → first document in incoming/", measured=arrived - began, unit="s",
                goal=10, sense="below", note=f"of it the command join {joined - began:.1f} s",
            )  # fmt: skip
            time.sleep(settle)
            yield Row(
                section=TITLE, name="idle RSS of the edge agent", measured=agent.rss() / 1e6, unit="MB",
                goal=80, sense="below", note=f"{settle:g} s after its first document; peak {agent.peak() / 1e6:.0f} MB",
            )  # fmt: skip
    for command in COMMANDS:
        seconds = median(_timed(str(Path(sys.executable).parent / command), "--help") for _ in range(repeats))
        yield Row(
            section=TITLE, name=f"{command} --help", measured=seconds * 1e3, unit="ms", goal=150, sense="below",
            note=f"median of {repeats}",
        )  # fmt: skip
    seconds = median(_timed(sys.executable, "-c", "pass") for _ in range(repeats))
    yield Row(section=TITLE, name="floor: Python starts and ends", measured=seconds * 1e3, unit="ms")


def _send_one(hub: Server, folder: Path) -> None:
    """A document waits for the newcomer before it has joined."""
    sender = stage.agencies_of(folder)[0][0]
    letter = prepare(sender, NEWCOMER, range(1, 2), SIZE, bytes(SIZE))[0]

    async def send() -> None:
        with Connection("localhost", hub.port, sender.context) as line:
            await line.call(letter.data)

    run(send())


def _timed(*command: str) -> float:
    began = time.perf_counter()
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began
