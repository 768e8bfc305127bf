"""A whole message into canonical Unicode at the sending edge, and the check that everybody else makes."""

from __future__ import annotations

from typing import Generic, TypeVar

import msgspec

from protocol.errors import NOT_NFC, UNDECODABLE_TEXT, ExchangeError
from protocol.model import Message
from protocol.text.detection import Encoding, Reading, detect
from protocol.text.fields import rewrite, text_fields, texts
from protocol.text.nfc import is_normal

M = TypeVar("M", bound=Message)


class Conversion(msgspec.Struct, Generic[M], frozen=True, kw_only=True):
    """A converted message. `undecided` has the path and the readings of each field that was left alone."""

    message: M
    encodings: frozenset[Encoding]
    """The encodings in which fields were found."""
    undecided: tuple[tuple[str, Reading], ...] = ()

    def decided(self) -> M:
        """The message, when every field decided. Raises `text.undecodable` with the path of the first that did not."""
        for path, _ in self.undecided:
            raise ExchangeError(UNDECODABLE_TEXT, element=path)
        return self.message


def convert(message: M, declared: Encoding | None = None) -> Conversion[M]:
    """Every text field in canonical Unicode, each by its own evidence.

    A field that does not decide by itself follows the others when they agree on one encoding; else it stays as it is
    and is listed in `undecided`: a person must choose before anything is sealed. Raises `text.undecodable` (with the
    path) for a field that holds U+FFFD.
    """
    readings = {path + "\0" + text: _read(path, text, declared) for path, text in text_fields(message)}
    telling = {r.encoding for r in readings.values() if _tells(r)}
    undecided: list[tuple[str, Reading]] = []

    def change(path: str, text: str) -> str:
        reading = readings[path + "\0" + text]
        if not reading.certain:
            following = [other for other in reading.alternatives if {other.encoding} == telling]
            if not following:
                undecided.append((path, reading))
            return following[0].text if following else text
        return reading.text

    converted = rewrite(message, change)
    return Conversion(message=converted, encodings=frozenset(telling), undecided=tuple(undecided))


def check(message: Message) -> None:
    """Raise for the first field that is not canonical (`text.not-nfc`) or lost letters (`text.undecodable`)."""
    joined = "\n".join(texts(message))
    if is_normal(joined) and "\ufffd" not in joined:
        return
    for path, text in text_fields(message):
        if "\ufffd" in text:
            raise ExchangeError(UNDECODABLE_TEXT, element=path)
        if not is_normal(text):
            raise ExchangeError(NOT_NFC, element=path)


def _tells(reading: Reading) -> bool:
    """Whether a reading is evidence for the encoding of the other fields."""
    return reading.certain and not reading.neutral and (reading.encoding != "unicode" or not reading.text.isascii())


def _read(path: str, text: str, declared: Encoding | None) -> Reading:
    try:
        return detect(text, declared)
    except ExchangeError as error:
        raise ExchangeError(error.kind, element=path) from error
