"""Cuts the `edXMLEnvelope` element out of the octets of the file and makes it stand on its own."""

from __future__ import annotations

from collections.abc import Mapping

from protocol.errors import TOO_LARGE, ExchangeError
from protocol.namespaces import KNOWN_PREFIXES
from protocol.xml_reading import ATTRIBUTES_MAX
from protocol.xml_writing import escape_attribute


def prefix_of(name: str) -> str:
    """`edXML` of `edXML:From`, "" of `From`."""
    return name.partition(":")[0] if ":" in name else ""


def declarations(attributes: list[str]) -> dict[str, str]:
    """The namespace declarations among the attributes of a start tag (names and values in turn), by prefix."""
    pairs = zip(attributes[::2], attributes[1::2], strict=True)
    return {name[len("xmlns:") :]: value for name, value in pairs if name == "xmlns" or name.startswith("xmlns:")}


class EnvelopeCapture:
    """Keeps the octets of the file from the envelope's start tag on, and the prefixes it uses without declaring them.

    Positions are octets from the start of the XML, as the parser counts them.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._octets = bytearray()
        self._position = 0
        self._name = ""
        self._inherited: Mapping[str, str] = {}
        self._declared: list[frozenset[str]] = []
        self._needed: dict[str, str] = {}

    @property
    def active(self) -> bool:
        """Whether the envelope has begun and not ended."""
        return bool(self._declared)

    def feed(self, data: bytes, settled: int) -> None:
        """The next octets of the file; what precedes `settled` was understood and is forgotten unless captured.

        Raises `message.too-large` when an envelope, or a tag before it, does not end within the limit.
        """
        if not self.active:
            self._forget(settled)
        if len(self._octets) > self._limit:
            raise self._too_large()
        self._octets += data

    def begin(self, name: str, position: int, inherited: Mapping[str, str]) -> None:
        """The envelope's start tag `name` is at `position`; `inherited` are the namespaces in force around it."""
        self._forget(position)
        self._name, self._inherited = name, inherited
        self._declared = [frozenset(("xml", "xmlns"))]

    def start(self, name: str, attributes: list[str]) -> None:
        """An element of the envelope begins (the envelope itself included).

        Raises `message.too-large` for more namespaces in force than `xml_reading` would take.
        """
        here = self._declared[-1]
        if attributes and (declared := declarations(attributes)):
            here = here | declared.keys()
            if len(here) > ATTRIBUTES_MAX:
                raise self._too_large()
        self._declared.append(here)  # mostly the parent's own set: a copy for each element would take for ever
        # an attribute without prefix is in no namespace (Namespaces in XML 1.0 §6.2)
        used = [prefix_of(name), *(prefix_of(attribute) for attribute in attributes[::2] if ":" in attribute)]
        for prefix in used:
            if prefix not in here and prefix not in self._needed:
                self._need(prefix)

    def end(self) -> None:
        """The element that began last ends."""
        self._declared.pop()

    def cut(self, position: int) -> bytes:
        """The element whose end tag is at `position`. Raises `message.too-large`."""
        self._declared = []
        end = position - self._position
        # after an element without content (`<x/>`) the parser stands behind it already
        if self._octets.startswith(b"</", end):
            end = self._octets.index(b">", end) + 1
        if end > self._limit:
            raise self._too_large()
        octets = bytes(self._octets[:end])
        self._octets.clear()
        if not self._needed:
            return octets
        after_name = 1 + len(self._name.encode())
        added = "".join(
            f' xmlns{":" if prefix else ""}{prefix}="{escape_attribute(uri)}"'
            for prefix, uri in sorted(self._needed.items())
        )
        return octets[:after_name] + added.encode() + octets[after_name:]

    def _forget(self, position: int) -> None:
        if position > self._position:
            del self._octets[: position - self._position]
            self._position = position

    def _need(self, prefix: str) -> None:
        uri = self._inherited.get(prefix) or KNOWN_PREFIXES.get(prefix.encode(), b"").decode()
        if uri or prefix:
            self._needed[prefix] = uri or f"urn:undeclared:{prefix}"

    def _too_large(self) -> ExchangeError:
        return ExchangeError(TOO_LARGE, element="edXMLEnvelope", limit=self._limit)
