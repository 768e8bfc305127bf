"""The province's directory of agencies: asked from the hub, kept on disk, so that it is there without the hub too."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec

from edge_agent.clock import Clock
from edge_agent.uplink import HubLink
from protocol.errors import ExchangeError
from protocol.model import Organization
from runtime import durable

FRESH: Final = timedelta(minutes=5)
"""An answer this young is not asked for again."""
_Agencies = tuple[Organization, ...]


class Directory:
    """Last known answer of the hub. Raises the hub's error only when nothing was ever known."""

    def __init__(self, file: Path, link: HubLink, clock: Clock) -> None:
        self._file = file
        self._link = link
        self._clock = clock
        self._asked_at: datetime | None = None
        self._known: _Agencies | None = None

    async def organizations(self) -> Sequence[Organization]:
        """All agencies that can be written to."""
        if self._known is not None and self._asked_at is not None and self._clock() - self._asked_at < FRESH:
            return self._known
        try:
            self._known = await self._link.organizations()
        except ExchangeError:
            self._known = await asyncio.to_thread(self._remembered)
            if self._known is None:
                raise
            return self._known
        self._asked_at = self._clock()
        await asyncio.to_thread(self._keep, self._known)
        return self._known

    def _keep(self, known: _Agencies) -> None:
        durable.write_file(self._file, msgspec.json.encode(known), durable.PRIVATE_MODE)

    def _remembered(self) -> _Agencies | None:
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=_Agencies)
        except (FileNotFoundError, msgspec.MsgspecError):
            return None
