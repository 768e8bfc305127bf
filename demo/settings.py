"""What the environment asks of the demo: FILE, ONCE, KEEP, and two sizes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

SAMPLE: Final = Path(__file__).parent / "assets" / "123-SVDA-VP.signed.pdf"
MEGABYTE: Final = 1_000_000
COPIES: Final = 8
"""How often the large attachment may lie on the disk: sender, two agents, hub, folder (as itself and as base64)."""


class SettingsError(Exception):
    """A variable says something impossible; the text is for the person who set it."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """One run."""

    file: Path
    """FILE: the document that agency A sends."""
    stays: bool
    """Stay up when everything is verified: a terminal, and no ONCE."""
    keep: bool
    """KEEP: leave the folder there at the end."""
    megabytes: int
    """DEMO_MEGABYTES: size of the large attachment."""
    documents: int
    """DEMO_DOCUMENTS: length of the stream in which the hub is killed."""

    @property
    def large(self) -> int:
        """Octets of the large attachment."""
        return self.megabytes * MEGABYTE

    @property
    def space(self) -> int:
        """Octets that must be free; the hub calls itself ready only with 1 GiB to spare."""
        return COPIES * self.large + (3 << 29)


def from_environment(environment: Mapping[str, str], *, terminal: bool) -> Settings:
    """Read the variables. Raises `SettingsError`."""
    file = Path(environment.get("FILE") or SAMPLE).expanduser().resolve()
    if not file.is_file():
        raise SettingsError(f"FILE: không có tệp {file}")
    return Settings(
        file=file,
        stays=terminal and not _yes(environment, "ONCE"),
        keep=_yes(environment, "KEEP"),
        megabytes=_number(environment, "DEMO_MEGABYTES", 200, least=1),
        documents=_number(environment, "DEMO_DOCUMENTS", 200, least=10),
    )


def _yes(environment: Mapping[str, str], name: str) -> bool:
    return environment.get(name, "") not in {"", "0"}


def _number(environment: Mapping[str, str], name: str, default: int, *, least: int) -> int:
    text = environment.get(name) or str(default)
    if not text.isascii() or not text.isdigit() or int(text) < least:
        raise SettingsError(f"{name}: cần một số từ {least} trở lên, không phải “{text}”")
    return int(text)
