"""Edge agents for the benches: the installed command in processes of its own, joined to a running hub by code."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Final, Self

import msgspec

from edge_agent import configuration
from edge_agent.places import Places
from hub import control
from hub.configuration import FILE_NAME, HubConfiguration
from runtime import config
from tests.perf.octets import Octets
from tests.perf.processes import ROOT, Process, free_port, wait_until
from tests.perf.stage import Server

COMMAND: Final = ("-c", "from edge_agent.commands import main; main()")
SIDECAR: Final = {
    "CodeNumber": "77",
    "CodeNotation": "SVDA-VP",
    "PromulgationDate": "2026-11-20",
    "Subject": "V/v gửi hồ sơ có dung lượng lớn",
    "FullName": "Nguyễn Văn Mẫu",
}


def invite(folder: Path, code: str) -> str:
    """A one-time code from the hub that runs on `folder`."""
    settings = config.load(folder / FILE_NAME, HubConfiguration)
    return str(asyncio.run(control.call(settings.control, "add", code=code, name=f"Cơ quan {code}")))


def join(folder: Path, hub: Server, code_text: str) -> Places:
    """`lienthong-edge join`; then the agent gets a port of its own, as several run on this machine."""
    arguments = ("join", f"https://localhost:{hub.port}", code_text, "--dir", str(folder))
    subprocess.run([sys.executable, *COMMAND, *arguments], cwd=ROOT, check=True, capture_output=True, timeout=60)
    places = Places(folder)
    settings = configuration.load(places)
    local = msgspec.structs.replace(settings.local, port=free_port())
    settings = msgspec.structs.replace(settings, local=local)
    places.configuration.write_text(config.show(configuration.EdgeConfig, settings))
    return places


def serve(places: Places) -> Process:
    """`lienthong-edge serve`."""
    return Process(*COMMAND, "serve", "--dir", str(places.root), log=places.root / "bench.log")


def incoming(places: Places, size: int) -> list[Path]:
    """Files of `size` octets that arrived."""
    found = places.incoming.glob("[!.]*/*")
    return [path for path in found if path.stat().st_size == size]


class Pair:
    """Two agents, joined and running: the first sends to the second."""

    def __init__(self, hub: Server, folder: Path) -> None:
        self._codes = ("H21.71", "H21.72")
        self._places = [join(folder / code, hub, invite(folder, code)) for code in self._codes]
        self.first, self.second = (serve(places) for places in self._places)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.first.stop()
        self.second.stop()

    def drop(self, octets: Octets) -> None:
        """Put a document into the first agent's `outgoing/`."""
        outgoing = self._places[0].outgoing
        wait_until(lambda: self.first.check() and outgoing.exists())
        octets.write(outgoing / "ho-so.pdf.part")
        (outgoing / "ho-so.pdf.part").rename(outgoing / "ho-so.pdf")
        (outgoing / "ho-so.json").write_bytes(msgspec.json.encode({**SIDECAR, "To": [self._codes[1]]}))

    def arrived(self, size: int, seconds: float) -> Path:
        """The attachment in the second agent's `incoming/`. Raises `TimeoutError`."""
        places = self._places[1]
        wait_until(lambda: self.first.check() and self.second.check() and incoming(places, size), seconds, interval=0.1)
        return incoming(places, size)[0]
