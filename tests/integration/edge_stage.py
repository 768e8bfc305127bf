"""A province for tests: the real hub and real edge agents in one event loop, on loopback, in a temporary folder."""

from __future__ import annotations

import asyncio
import random
import shutil
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from edge_agent import configuration
from edge_agent import join as joining
from edge_agent.configuration import EdgeConfig
from edge_agent.places import Places
from edge_agent.service import EdgeAgent
from edge_agent.tokens import make_token
from hub.configuration import HubConfiguration
from hub.installation import initialise
from hub.service import Hub

PDF = b"%PDF-1.7\n\x00\xff xin chao \r\n\r\n"
A, B, C = "H21.16", "H21.23", "H21.31"
NAMES = {A: "Sở Ví dụ A", B: "Sở Ví dụ B", C: "Sở Ví dụ C"}
PATIENCE = 60.0
T = TypeVar("T")
FIELDS: dict[str, Any] = {
    "To": [B],
    "CodeNumber": "123",
    "CodeNotation": "SVDA-VP",
    "PromulgationDate": "2026-11-20",
    "Subject": "V/v thử nghiệm gửi nhận văn bản điện tử",
    "FullName": "Nguyễn Văn Mẫu",
}
"""A sidecar that passes."""


def now() -> datetime:
    return datetime.now(UTC)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def eventually(check: Callable[[], T], what: str = "", patience: float = PATIENCE) -> T:
    """The first true answer of `check`; fails when there is none in time."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        found = check()
        if found:
            return found
        await asyncio.sleep(0.02)
    raise AssertionError(f"never happened: {what or check}")


class Edge:
    """One running agent."""

    def __init__(self, places: Places, config: EdgeConfig) -> None:
        self.places = places
        self.config = config
        self._drain = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.agent: EdgeAgent

    async def start(self, **changes: object) -> None:
        self._drain = asyncio.Event()
        self.agent = EdgeAgent(self.places, self.config, **changes)
        self._task = asyncio.create_task(self.agent.run(self._drain))
        await eventually(lambda: self._task.done() or self.agent.local.listening, "listening")
        if self._task.done():
            await self._task

    async def stop(self) -> None:
        if self._task is not None:
            self._drain.set()
            await self._task
            self._task = None

    @property
    def token(self) -> str:
        return make_token(self.places.token_hash)

    @property
    def package_b(self) -> str:
        return f"http://127.0.0.1:{self.agent.local.port}/edoc/v1"

    def drop(self, name: str, data: bytes, **fields: object) -> Path:
        """Put a PDF and its fields into `outgoing/`."""
        main = self.places.outgoing / name
        main.write_bytes(data)
        main.with_suffix(".json").write_bytes(msgspec.json.encode({**FIELDS, **fields}))
        return main

    def incoming(self) -> list[Path]:
        """Folders that arrived, by number."""
        found = (path for path in self.places.incoming.iterdir() if not path.name.startswith("."))
        return sorted(found, key=lambda path: int(path.name.split("-")[0]))

    def arrived(self, file: str) -> list[Path]:
        """Files of this name in `incoming/`, in the order of their arrival."""
        return [folder / file for folder in self.incoming() if (folder / file).exists()]


class Province:
    """The hub and whoever joined it."""

    def __init__(self, root: Path, hub_config: HubConfiguration) -> None:
        self.root = root
        self.hub_config = hub_config
        self.hub = Hub(hub_config)
        self.edges: dict[str, Edge] = {}

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.hub_config.port}"

    async def stop_hub(self) -> None:
        await self.hub.stop()

    async def start_hub(self) -> None:
        self.hub = Hub(self.hub_config)
        await self.hub.start()

    async def join(self, code: str, **overrides: object) -> Edge:
        """Join without starting. `overrides` replace whole tables of the configuration."""
        invitation = await self.hub.administration.add(code, name=NAMES[code])
        places = Places(self.root / code)
        await joining.join(places, self.url, str(invitation), now=now())
        loaded = configuration.load(places)
        fast = {
            "local": configuration.Local(port=0),
            "folders": configuration.Folders(interval=0.05),
            "hub": configuration.Hub(url=self.url, retry_first=0.05, retry_longest=0.3, poll_wait=2.0),
            **overrides,
        }
        edge = self.edges[code] = Edge(places, msgspec.structs.replace(loaded, **fast))
        return edge

    async def edge(self, code: str, **overrides: object) -> Edge:
        """Join and start."""
        edge = await self.join(code, **overrides)
        await edge.start()
        return edge


@asynccontextmanager
async def province() -> AsyncIterator[Province]:
    """A hub that runs; everything is stopped and removed at the end."""
    # not pytest's own folder: the hub's control socket needs a short path
    root = Path(tempfile.mkdtemp(prefix="lt"))
    config = initialise(
        root / "hub",
        province="H21",
        province_name="Gia Lai",
        name="truc.thu.example",
        hosts=("127.0.0.1",),
        port=free_port(),
        at=now(),
    )
    built = Province(root, msgspec.structs.replace(config, operator_port=0))
    await built.hub.start()
    try:
        yield built
    finally:
        for edge in built.edges.values():
            await edge.stop()
        await built.hub.stop()
        shutil.rmtree(root, ignore_errors=True)


def octets(size: int, seed: int = 1) -> bytes:
    """Bytes that do not compress and end in a line end."""
    return random.Random(seed).randbytes(size - 2) + b"\r\n"
