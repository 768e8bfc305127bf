"""A real hub inside the test's event loop: real TLS, real SQLite, real files, on free ports of loopback."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from hub.installation import initialise
from hub.service import Hub
from tests.support.agency import AgencyClient


class RunningHub:
    """`async with RunningHub(folder) as hub`; `stop` and `start` again to restart it on its data."""

    def __init__(self, folder: Path, now: Callable[[], datetime] | None = None) -> None:
        self.folder = folder
        self._now = now or (lambda: datetime.now(UTC))
        if not (folder / "hub.toml").exists():
            initialise(
                folder,
                province="H21",
                province_name="Gia Lai",
                name="lienthong.example",
                hosts=("localhost", "127.0.0.1"),
                port=0,
                at=datetime.now(UTC),
            )
        self.hub: Hub

    async def start(self, port: int = 0) -> None:
        from hub.configuration import HubConfiguration
        from runtime import config

        configuration = config.load(self.folder / "hub.toml", HubConfiguration)
        self.hub = Hub(msgspec.structs.replace(configuration, port=port), self._now)
        await self.hub.start()

    async def stop(self) -> None:
        await self.hub.stop()

    async def __aenter__(self) -> RunningHub:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def url(self) -> str:
        return f"https://localhost:{self.hub.port}"

    async def agency(self, code: str, **options: object) -> AgencyClient:
        """A registered agency that has joined."""
        invitation = await self.hub.administration.add(code, f"Cơ quan {code}", **options)  # type: ignore[arg-type]
        return await AgencyClient.join(self.url, invitation, self.folder / "agencies" / code)
