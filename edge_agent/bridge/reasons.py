"""The reason that lies beside a file which was not sent, for a person to read; only what we wrote is ever removed."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from edge_agent.bridge.file_names import beside
from protocol.errors import KINDS, ExchangeError
from runtime import durable

REASON: Final = ".reason.txt"
_CODE: Final = "\nMã lỗi: "
_LONGEST: Final = 4096
"""Octets; no reason of ours is longer."""


def reason_text(error: ExchangeError) -> str:
    """The sentence, then the code. Nothing of the document."""
    element = f" ({error.element})" if error.element and error.element not in error.sentence else ""
    return f"{error.sentence}{element}{_CODE}{error.kind.code}\n"


def read_reason(text: str) -> tuple[str, str]:
    """(sentence, code) of a reason."""
    sentence, _, code = text.strip().rpartition(_CODE)
    return sentence, code


def reason_beside(path: Path) -> Path:
    """Where the reason of this file stands."""
    return path.with_name(beside(path.name, REASON))


def put(path: Path, error: ExchangeError) -> None:
    """A reason beside a file that stays where it is. Raises `OSError`. What somebody else wrote there stays."""
    reason = reason_beside(path)
    if not reason.exists() or is_ours(reason):
        durable.write_file(reason, reason_text(error).encode())


def remove(reason: Path) -> None:
    """Remove a reason, unless somebody else wrote it. Raises `OSError`."""
    if is_ours(reason):
        reason.unlink(missing_ok=True)


def is_ours(reason: Path) -> bool:
    """Whether this is a reason as `reason_text` writes them."""
    if reason.is_symlink() or not reason.is_file():
        return False
    with reason.open("rb") as file:
        octets = file.read(_LONGEST + 1)
    text = octets.decode("utf-8", errors="replace")
    return len(octets) <= _LONGEST and _CODE in text and read_reason(text)[1] in KINDS
