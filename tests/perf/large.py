"""Row 3: one large attachment through the hub alone, and from the folder of one edge agent to that of another."""

from __future__ import annotations

import hashlib
import os
import secrets
import time
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Final

import msgspec

from protocol import native, soap
from protocol.mime import MultipartReader, MultipartWriter, PartData, PartStart
from protocol.model import Reference
from protocol.soap import SoapVersion
from tests.perf import agents, stage
from tests.perf.load import PATH, SOAP, request
from tests.perf.octets import Octets, digest_of
from tests.perf.processes import Process, run
from tests.perf.rows import Row
from tests.perf.stage import Server
from tests.perf.wire import Connection, head, post
from tests.support.agency import LIMITS, AgencyClient

MEMORY: Final = 120.0
"""Megabytes that neither hub nor edge may pass."""
SPEED: Final = 150.0
"""Megabytes a second, each way."""


class Passage(msgspec.Struct, frozen=True):
    """One attachment through the hub; seconds."""

    into: float
    out: float


class Carrier:
    """A sender and a recipient of large attachments."""

    def __init__(self, server: Server, folder: Path) -> None:
        self._port = server.port
        senders, recipients = stage.agencies_of(folder)
        self._sender, self._recipient = senders[0], recipients[0]
        self._number = 0

    def as_part(self, octets: Octets) -> Passage:
        """The attachment is a MIME part of the request."""
        return run(self._carry(octets, self._send_part))

    def as_upload(self, octets: Octets) -> Passage:
        """The attachment goes ahead as a resumable upload, as an edge agent sends it."""
        return run(self._carry(octets, self._send_upload))

    async def _carry(self, octets: Octets, send: Callable[..., object]) -> Passage:
        envelope = self._envelope(octets)
        with self._connect(self._sender) as line:
            await line.open()
            began = time.perf_counter()
            number = await send(line, envelope, octets)  # type: ignore[misc] # both are coroutine functions
            into = time.perf_counter() - began
        with self._connect(self._recipient) as line:
            await line.open()
            began = time.perf_counter()
            await _fetch(line, number, octets)
            out = time.perf_counter() - began
            await line.call(request(native.write_confirm([number])))
        return Passage(into, out)

    def _connect(self, agency: AgencyClient) -> Connection:
        return Connection("localhost", self._port, agency.context)

    def _envelope(self, octets: Octets) -> bytes:
        self._number += 1
        document = self._sender.document([self._recipient.code], f"9{self._number}")
        reference = Reference(
            content_id="f1",
            attachment_name="ban-do.tif",
            content_type="image/tiff",
            sha256=octets.sha256,
            size=octets.size,
        )
        return self._sender.sealed(msgspec.structs.replace(document, references=(reference,)))

    async def _send_part(self, line: Connection, envelope: bytes, octets: Octets) -> int:
        writer = MultipartWriter(secrets.token_hex(20), SOAP)
        root = writer.root(soap.write_envelope(SoapVersion.V12, native.write_send(envelope)))
        before = root + writer.part_header("f1", "image/tiff")
        length = len(before) + octets.size + len(writer.closing())
        start = head("POST", PATH, length, Content_Type=writer.content_type)
        return _number(await line.stream(start + before, chain(octets, [writer.closing()])))

    async def _send_upload(self, line: Connection, envelope: bytes, octets: Octets) -> int:
        path = f"{PATH}/payloads/{octets.sha256.hex()}"
        size = str(octets.size)
        start = head("PATCH", path, octets.size, Upload_Offset="0", Upload_Length=size)
        await line.stream(start, octets)
        body = soap.write_envelope(SoapVersion.V12, native.write_send(envelope))
        return _number(await line.call(post(PATH, body, SOAP)))


def _number(answer: bytes) -> int:
    return int(answer.split(b"<lt:MessageNumber>", 1)[1].split(b"<", 1)[0])


class _Inspector:
    """Takes the octets of a multipart answer as they come and keeps the digest of its attachment."""

    def __init__(self) -> None:
        self._beginning = b""
        self._reader: MultipartReader | None = None
        self._inside = False
        self.digest = hashlib.sha256()

    def consume(self, data: bytes) -> None:
        if self._reader is None:
            data = self._beginning = self._beginning + data
            if b"\r\n" not in data:
                return
            boundary = data[2 : data.index(b"\r\n")].decode()
            self._reader = MultipartReader(f'multipart/related; boundary="{boundary}"', LIMITS)
        for event in self._reader.feed(data):
            if isinstance(event, PartStart):
                self._inside = not event.root
            elif self._inside and isinstance(event, PartData):
                self.digest.update(event.data)


async def _fetch(line: Connection, number: int, octets: Octets) -> None:
    """Raises when what comes is not what was sent."""
    inspector = _Inspector()
    await line.download(request(native.write_get_document(number)), inspector.consume)
    if inspector.digest.digest() != octets.sha256:
        raise RuntimeError("the attachment came changed")


def rows(template: Path, *, size: int) -> Iterator[Row]:
    """`size` is octets."""
    title = f"A {size / (1 << 30):.3g} GiB attachment"
    yield _disk(template.parent, size, title)
    with stage.copy(template, "large") as folder, stage.hub(folder) as server:
        carrier = Carrier(server, folder)
        yield from _passage(title, "as a MIME part", carrier.as_part(Octets(size, 1)), size)
        yield from _passage(title, "as a resumable upload", carrier.as_upload(Octets(size, 2)), size)
        yield _memory(title, "hub alone: peak RSS", server)
    with stage.copy(template, "agents") as folder:
        yield from _between_agents(folder, size, title)


def _disk(folder: Path, size: int, section: str) -> Row:
    """What the disk alone does, to compare with."""
    path = folder / "disk"
    block = os.urandom(1 << 20)
    began = time.perf_counter()
    with path.open("wb", buffering=0) as file:
        for _ in range(max(1, size // len(block))):
            file.write(block)
        os.fsync(file.fileno())
    seconds = time.perf_counter() - began
    written = path.stat().st_size
    path.unlink()
    return Row(section=section, name="floor: write and fsync a file", measured=written / seconds / 1e6, unit="MB/s")


def _passage(section: str, how: str, passage: Passage, size: int) -> Iterator[Row]:
    for name, seconds in (("in, to the receipt", passage.into), ("out", passage.out)):
        speed = size / seconds / 1e6
        yield Row(section=section, name=f"hub {how}: {name}", measured=speed, unit="MB/s", goal=SPEED)
    both = 2 * size / (passage.into + passage.out) / 1e6
    yield Row(
        section=section, name=f"hub {how}: octets moved, in and out", measured=both, unit="MB/s", goal=SPEED,
        note=f"in {passage.into:.1f} s, out {passage.out:.1f} s",
    )  # fmt: skip


def _memory(section: str, name: str, process: Process) -> Row:
    return Row(section=section, name=name, measured=process.peak() / 1e6, unit="MB", goal=MEMORY, sense="below")


def _between_agents(folder: Path, size: int, section: str) -> Iterator[Row]:
    octets = Octets(size, 3)
    with stage.hub(folder) as hub, agents.Pair(hub, folder) as pair:
        began = time.perf_counter()
        pair.drop(octets)
        written = time.perf_counter()
        arrived = pair.arrived(octets.size, seconds=60 + size / 5e6)
        seconds = time.perf_counter() - written
        if digest_of(arrived) != octets.sha256:
            raise RuntimeError("the attachment came changed")
        for name, process in (("edge A", pair.first), ("hub", hub), ("edge B", pair.second)):
            yield _memory(section, f"edge A → hub → edge B: peak RSS of {name}", process)
        note = f"{seconds:.1f} s from outgoing/ to incoming/, after {written - began:.1f} s of writing it there"
        speed = size / seconds / 1e6
        yield Row(section=section, name="edge A → hub → edge B: speed", measured=speed, unit="MB/s", note=note)
