"""Large attachments that nobody holds: made piece by piece while they are sent, recognised by their digest."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Final

PIECE: Final = 1 << 20


class Octets:
    """`size` octets that do not repeat and do not compress, always the same for the same `seed`."""

    def __init__(self, size: int, seed: int) -> None:
        self.size = size
        self._block = random.Random(seed).randbytes(PIECE)

    def __iter__(self) -> Iterator[bytes]:
        """The octets in pieces of at most a mebibyte."""
        for number in range(0, self.size, PIECE):
            stamp = b"%020d" % number
            yield (stamp + self._block[len(stamp) :])[: self.size - number]

    @cached_property
    def sha256(self) -> bytes:
        """The digest."""
        digest = hashlib.sha256()
        for piece in self:
            digest.update(piece)
        return digest.digest()

    def write(self, path: Path) -> None:
        """As a file."""
        with path.open("wb") as file:
            for piece in self:
                file.write(piece)


def digest_of(path: Path) -> bytes:
    """SHA-256 of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
