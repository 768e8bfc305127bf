"""How much may lie in `uploads/`: so much for each agency, and never the disk's last octets.

An upload is kept for days whether or not its document comes, so without a bound any one agency could fill the disk of
all. One that a document took is a second name of a stored payload, and counts no more.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from protocol import errors
from protocol.errors import ExchangeError


class UploadRoom:
    """The folder's bounds, in octets: `for_agency`, and `reserve` that stays free on its disk."""

    def __init__(self, folder: Path, *, for_agency: int, reserve: int) -> None:
        self._folder = folder
        self._for_agency = for_agency
        self._reserve = reserve
        self._coming: dict[Path, tuple[str, int, int]] = {}
        """Agency, whole length and octets still to come of every upload under way, by its partial file."""

    @asynccontextmanager
    async def taken(self, agency: str, partial: Path, *, held: int, length: int) -> AsyncIterator[None]:
        """Keep room for the rest of an upload while it comes.

        Raises:
            ExchangeError: `server.busy` when the agency has its share, `server.disk-full` when the disk's is used up.
        """
        others = [coming for path, coming in self._coming.items() if path != partial]
        announced = sum(whole for whose, whole, _ in others if whose == agency)
        self._coming[partial] = agency, length, length - held
        try:
            lying = await asyncio.to_thread(self._lying, agency, frozenset(path.name for path in self._coming))
            if lying + announced + length > self._for_agency:
                raise ExchangeError(errors.BUSY, uploads=lying + announced, limit=self._for_agency)
            free = shutil.disk_usage(self._folder).free - sum(rest for _, _, rest in others) - (length - held)
            if free < self._reserve:
                raise ExchangeError(errors.DISK_FULL, free=free)
            yield
        finally:
            del self._coming[partial]

    def _lying(self, agency: str, under_way: frozenset[str]) -> int:
        """Octets of the agency's uploads that nobody took and that are not under way."""
        total = 0
        with os.scandir(self._folder) as entries:
            for entry in entries:
                if entry.name.rpartition("-")[0] == agency and entry.name not in under_way:
                    try:
                        status = entry.stat()
                    except FileNotFoundError:  # it has just got its document, or its name
                        continue
                    total += status.st_size if status.st_nlink == 1 else 0
        return total
