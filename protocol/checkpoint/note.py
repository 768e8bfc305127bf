"""C2SP signed notes: a text and the signature lines below it, taken apart and put together (c2sp.org/signed-note).

Nothing here is trusted: which keys count, and what the text says, is decided by the modules that use a note.
"""

from __future__ import annotations

import re
from binascii import Error, a2b_base64, b2a_base64
from typing import Final

import msgspec

from protocol.errors import PROOF_INVALID, ExchangeError

MAX_NOTE: Final = 100_000
"""Characters of a note: room for the 16 signatures that must be accepted, post-quantum ones included."""
MAX_SIGNATURES: Final = 100
KEY_ID_SIZE: Final = 4

_CONTROL: Final = re.compile(r"[\x00-\x09\x0b-\x1f]")
_KEY_NAME: Final = re.compile(r"[^\s+]+")
_SIGNATURE: Final = re.compile("— ([^\\s+]+) ([A-Za-z0-9+/=]+)")


class SignatureLine(msgspec.Struct, frozen=True):
    """One line below a note: who claims to have signed (both unverified), and the signature's octets."""

    name: str
    key_id: bytes
    signature: bytes


class Note(msgspec.Struct, frozen=True):
    """A note as it was read. `body` ends in a newline; it is what signatures cover."""

    body: str
    signatures: tuple[SignatureLine, ...]


def invalid(what: str) -> ExchangeError:
    """The error of this branch, naming what failed."""
    return ExchangeError(PROOF_INVALID, element=what)


def check_key_name(name: str) -> str:
    """The name, when a signature line can hold it: not empty, without Unicode spaces and `+`."""
    if _KEY_NAME.fullmatch(name) is None or _CONTROL.search(name):
        raise invalid("key name")
    return name


def decode_base64(text: str) -> bytes:
    """Standard base64 in its only canonical form, padding included. Raises `proof.invalid`."""
    try:
        data = a2b_base64(text, strict_mode=True)
    except (Error, ValueError) as error:
        raise invalid("base64") from error
    if encode_base64(data) != text:
        raise invalid("base64")
    return data


def encode_base64(data: bytes) -> str:
    """Standard base64 (RFC 4648 §4)."""
    return b2a_base64(data, newline=False).decode("ascii")


def write_signature(line: SignatureLine) -> str:
    """The line as it stands below a note, newline included."""
    return f"— {line.name} {encode_base64(line.key_id + line.signature)}\n"


def read_note(text: str) -> Note:
    """Take a note apart. Raises `proof.invalid` for anything that is not exactly a signed note."""
    if len(text) > MAX_NOTE or _CONTROL.search(text) or not _is_utf8(text):
        raise invalid("note")
    body, blank, rest = text.rpartition("\n\n")
    lines = rest.split("\n")
    if not blank or not body or lines.pop() or not 0 < len(lines) <= MAX_SIGNATURES:
        raise invalid("note")
    return Note(body + "\n", tuple(_read_signature(line) for line in lines))


def _read_signature(line: str) -> SignatureLine:
    match = _SIGNATURE.fullmatch(line)
    data = decode_base64(match[2]) if match else b""
    if match is None or len(data) <= KEY_ID_SIZE:
        raise invalid("signature line")
    return SignatureLine(match[1], data[:KEY_ID_SIZE], data[KEY_ID_SIZE:])


def _is_utf8(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:  # a lone surrogate
        return False
    return True
