"""The workload of the toy keeper of notes: it proves the harness before the harness proves the product."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.faults import toy
from tests.faults.runs import Stage, StuckError, ViolationError

NOTES = {"a": "x" * 20, "b": "y" * 3000, "c": "z"}


class ToyScenario:
    """Puts three notes, one of them twice, each until it is acknowledged."""

    name = "toy"
    imports: Sequence[str] = ("tests.faults.toy",)
    target = "tests.faults.toy:serve"

    async def prepare(self, folder: Path) -> None:
        toy.Keeper.init(folder)

    def arguments(self, stage: Stage) -> dict[str, Any]:
        return {"root": str(stage.root), "port": stage.port}

    async def play(self, stage: Stage) -> None:
        kept = set()
        for note in ("a", "b", "a", "c"):
            await _until_kept(stage, note)
            kept.add(note)
        stage.last_start()
        found = json.loads(await _ask(stage, "LIST"))
        for note in kept:
            if found.get(note) != [NOTES[note]]:
                raise ViolationError(f"note {note}: {len(found.get(note, []))} kept, as {found.get(note)}"[:200])


async def _until_kept(stage: Stage, note: str) -> None:
    for _attempt in range(20):
        if await _ask(stage, f"PUT {note} {NOTES[note]}") == f"KEPT {note}":
            return
    raise StuckError(f"note {note} is never acknowledged")


async def _ask(stage: Stage, line: str) -> str:
    for _attempt in range(500):
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", stage.port)
            writer.write(line.encode() + b"\n")
            answer = (await reader.readline()).decode()
            writer.close()
        except OSError:
            answer = ""
        if answer.endswith("\n"):
            return answer.strip()
        if not stage.fell():
            await asyncio.sleep(0.005)
    raise StuckError("the keeper does not answer")
