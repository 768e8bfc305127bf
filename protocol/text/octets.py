"""Bytes of one-byte legacy text as characters and back: windows-1252, which every Windows program assumed."""

from __future__ import annotations

from protocol.errors import UNDECODABLE_TEXT, ExchangeError


def as_characters(source: str | bytes) -> str:
    """The characters for these bytes; a string (bytes already taken as windows-1252) passes unchanged.

    Raises `text.undecodable` for the five bytes that windows-1252 does not define.
    """
    if isinstance(source, str):
        return source
    try:
        return source.decode("cp1252")
    except UnicodeDecodeError as error:
        raise ExchangeError(UNDECODABLE_TEXT, offset=error.start) from error


def as_octets(characters: str) -> bytes:
    """The bytes of these characters. Raises `text.undecodable` for a character that windows-1252 does not have."""
    try:
        return characters.encode("cp1252")
    except UnicodeEncodeError as error:
        raise ExchangeError(UNDECODABLE_TEXT, offset=error.start) from error
