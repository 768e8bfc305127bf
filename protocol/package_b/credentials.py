"""Who a package B request says it is, found before anything of it is believed or built.

Anybody can write to a hub that takes tokens, and the token stands inside the envelope. This look at it keeps nothing:
no tree, no names, and it may be given the beginning of an envelope only. `read_request` reads the same places anew for
those who were proved, and what it says counts.
"""

from __future__ import annotations

from typing import Final
from xml.parsers import expat

import msgspec

from protocol.errors import DOCTYPE, NOT_SOAP, NOT_XML, TOO_DEEP, TOO_LARGE, ExchangeError
from protocol.namespaces import SOAP_11, SOAP_12
from protocol.xml_reading import beginning

TAGS_MAX: Final = 1 << 14
"""Start tags of a request that nobody has proved yet."""
DEPTH_MAX: Final = 64
_UTF_16: Final = (b"\xff\xfe", b"\xfe\xff", b"\x00<")
_KEY_INFO: Final = ("Envelope", "Header", "Signature", "KeyInfo")
_DEPTH_OF_OPERATION: Final = 3
"""`Envelope`, `Body` and the operation's own element; CheckPermission is one in the header."""


class Credentials(msgspec.Struct, frozen=True):
    """As sent, "" when absent."""

    organ_id: str
    token: str


def find_credentials(data: bytes, *, whole: bool) -> Credentials:
    """The credentials in an envelope; without `whole`, in as much of it as `data` is.

    Raises `message.not-xml`, `.doctype`, `.too-deep`, `.too-large` (tags), `.not-soap`.
    """
    if data[:2] not in _UTF_16:
        data = data[max(beginning(data), 0) :]
    scan = _Scan()
    try:
        scan.parser.Parse(data, whole)
    except expat.ExpatError as error:
        raise ExchangeError(NOT_XML, line=error.lineno, column=error.offset) from None
    return scan.found()


class _Scan:
    def __init__(self) -> None:
        self.parser = parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.StartDoctypeDeclHandler = self._doctype
        self._path: list[str] = []
        self._tags = 0
        self._texts: dict[tuple[str, str], str] = {}
        """By place (`operation`, `key-info`, `header`) and name: the first of each, as the reader has it."""
        self._text: list[str] = []
        self._wanted: tuple[str, str] | None = None

    def found(self) -> Credentials:
        """The same order of places as in `requests`."""
        organ_id, token = (
            next((text for place in places if (text := self._texts.get((place, name), "").strip())), "")
            for name, places in (("OrganId", ("operation", "key-info")), ("Token", ("operation", "key-info", "header")))
        )
        return Credentials(organ_id, token)

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self._tags += 1
        if self._tags > TAGS_MAX:
            raise ExchangeError(TOO_LARGE, tags=self._tags, limit=TAGS_MAX)
        if len(self._path) >= DEPTH_MAX:
            raise ExchangeError(TOO_DEEP, limit=DEPTH_MAX)
        name = tag.rpartition(":")[2]
        if not self._path and (name != "Envelope" or not {SOAP_11, SOAP_12} & set(attributes.values())):
            raise ExchangeError(NOT_SOAP)
        place = self._place() if name in {"OrganId", "Token"} else ""
        if place and (place, name) not in self._texts:
            self._wanted, self._text = (place, name), []
            self.parser.CharacterDataHandler = self._text.append
        self._path.append(name)

    def _end(self, _tag: str) -> None:
        self._path.pop()
        if self._wanted is not None:
            self._texts[self._wanted] = "".join(self._text)
            self._wanted = None
            self.parser.CharacterDataHandler = None

    def _place(self) -> str:
        """Which of the places that hold credentials the current element is, "" for every other."""
        path = self._path
        if path[1:] == ["Header"]:
            return "header"
        if len(path) == _DEPTH_OF_OPERATION and (path[1] == "Body" or path[2] == "CheckPermission"):
            return "operation"
        return "key-info" if tuple(path) == _KEY_INFO else ""

    def _doctype(self, *_: object) -> None:
        raise ExchangeError(DOCTYPE)
