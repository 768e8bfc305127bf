"""Reads the hub's answer to `GetDocument` while it arrives: receipt and envelope first, then the attachments."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator

from lxml import etree

from protocol import errors, native, soap
from protocol.errors import ExchangeError
from protocol.mime import Event, Limits, MultipartReader, PartData, PartStart
from protocol.xml_reading import MESSAGE_MAX


class Fetched:
    """A message of the mailbox. `attachments` must be consumed inside the block that gave it, each in turn."""

    def __init__(self, receipt: str, envelope: etree._Element, events: AsyncIterator[Event]) -> None:
        self.receipt = receipt
        self.envelope = envelope
        self._events = events

    async def attachments(self) -> AsyncIterator[tuple[str, AsyncIterator[bytes]]]:
        """(content id, octets) of each part, in the order of arrival. Raises errors of the `mime` branch."""
        async for event in self._events:
            if isinstance(event, PartStart):
                part = self._octets()
                yield event.content_id, part
                async for _ in part:  # what the caller left unread
                    pass

    async def _octets(self) -> AsyncIterator[bytes]:
        async for event in self._events:
            if not isinstance(event, PartData):
                return
            yield event.data


async def read_fetched(octets: AsyncIterable[bytes], content_type: str, limits: Limits) -> Fetched:
    """Read up to the end of the root. Raises the hub's fault, `server.bad-answer`, errors of the `mime` branch."""
    if not content_type.lower().startswith("multipart/"):
        return _fetched(await _bounded(octets), _nothing())
    events = _events(octets, MultipartReader(content_type, limits))
    root = bytearray()
    async for event in events:
        if isinstance(event, PartStart):
            continue
        if not isinstance(event, PartData):
            break
        root += event.data
    return _fetched(bytes(root), events)


def _fetched(root: bytes, events: AsyncIterator[Event]) -> Fetched:
    receipt, envelope = native.read_delivery(soap.read_answer(root, max_size=MESSAGE_MAX).body)
    return Fetched(receipt, envelope, events)


async def _events(octets: AsyncIterable[bytes], reader: MultipartReader) -> AsyncIterator[Event]:
    async for chunk in octets:
        for event in reader.feed(chunk):
            yield event
    for event in reader.close():
        yield event


async def _nothing() -> AsyncIterator[Event]:
    return
    yield PartStart({}, "", "", "", root=False)  # never reached: it makes this an asynchronous iterator


async def _bounded(octets: AsyncIterable[bytes]) -> bytes:
    data = bytearray()
    async for chunk in octets:
        data += chunk
        if len(data) > MESSAGE_MAX:
            raise ExchangeError(errors.BAD_ANSWER, reason="answer too large")
    return bytes(data)
