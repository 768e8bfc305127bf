"""An agency as the hub sees it: a client of the native package that goes on until it holds what it asked for.

Every operation is repeated over a lost connection and a temporary error, the way an edge agent does, also across the
death of the hub, which `fell` notices and repairs. An answer outside the vocabulary, and a permanent refusal of
what is right, are violations.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import secrets
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

import aiohttp
from lxml import etree

from protocol import errors, native, soap
from protocol.errors import ExchangeError, kind_of
from protocol.exchange import Accepted, Confirmation, Summary
from protocol.mime import Limits, MultipartReader, MultipartWriter, PartData, PartStart
from protocol.seal import open_seal
from protocol.signing import Signer
from protocol.soap import SoapVersion
from tests.faults.papers import Paper
from tests.faults.runs import StuckError, ViolationError

T = TypeVar("T")
PATH: Final = "/lienthong/v1"
PATIENCE: Final = 60.0
"""Seconds after which an operation that never succeeds is stuck."""
ATTEMPT: Final = 8.0
PAUSE: Final = 0.01
LIMITS: Final = Limits(total=1 << 26, part=1 << 26, parts=50, headers=1 << 14, root=1 << 22)
VERSION: Final = SoapVersion.V12


@dataclass(frozen=True)
class Received:
    """A message of the mailbox, whole and opened; `attachments` are SHA-256 by content id."""

    receipt: str
    digest: str
    attachments: dict[str, str]


class Line(Protocol):
    """Where the other side listens, and what becomes of it when it dies: a `Stage`, or a `Steady` one."""

    port: int

    @property
    def alive(self) -> bool:
        """Whether it runs."""

    def fell(self) -> bool:
        """True when it had died and was started again."""


@dataclass
class Steady:
    """A side that no fault strikes."""

    port: int
    alive: bool = True

    def fell(self) -> bool:
        """Never."""
        return False


async def persist(line: Line, who: str, attempt: Callable[[], Awaitable[T]]) -> T:
    """`attempt` until it succeeds, over lost connections, temporary errors and deaths.

    Raises ViolationError for a permanent refusal and for an answer that is none, StuckError when patience ends.
    """
    deadline = time.monotonic() + PATIENCE
    last: object = None
    while time.monotonic() < deadline:
        try:
            return await attempt()
        except (aiohttp.ClientError, TimeoutError, OSError, asyncio.IncompleteReadError) as error:
            last = error
        except ExchangeError as error:
            last = error
            half_answered = error.kind in (errors.BAD_ANSWER, errors.MIME_TRUNCATED)
            if (half_answered and line.alive) or not (half_answered or error.kind.temporary):
                raise ViolationError(f"{who} is refused: {error} {error.details}") from error
        if not line.fell():
            await asyncio.sleep(PAUSE)
    raise StuckError(f"{who} gives up after {PATIENCE} s: {last!r}")


class AgencyClient:
    """One agency's line to the hub."""

    def __init__(self, code: str, signer: Signer, tls: ssl.SSLContext) -> None:
        self.code = code
        self.signer = signer
        self._tls = tls
        self._line: Line | None = None
        self._session: aiohttp.ClientSession | None = None

    @contextlib.asynccontextmanager
    async def on(self, line: Line) -> AsyncIterator[AgencyClient]:
        """The same agency, connected to this run's hub."""
        bound = AgencyClient(self.code, self.signer, self._tls)
        bound._line = line
        connector = aiohttp.TCPConnector(ssl=self._tls)
        timeout = aiohttp.ClientTimeout(total=ATTEMPT)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as bound._session:
            yield bound

    async def send(self, paper: Paper) -> Accepted:
        """Until the receipt is held; large attachments first."""

        async def attempt() -> Accepted:
            for content_id in paper.uploaded:
                await self._upload(paper.attachments[content_id])
            return await self._send(paper)

        return await self._until(attempt)

    async def report(self, envelope: bytes) -> Accepted:
        """Until the hub has the status."""
        return await self._until(lambda: self._operation(native.write_report(envelope), native.read_accepted))

    async def pending(self, wait_seconds: float = 0) -> tuple[Summary, ...]:
        """The mailbox."""
        return await self._until(
            lambda: self._operation(native.write_get_pending(50, wait_seconds), native.read_pending)
        )

    async def fetch(self, number: int) -> Received:
        """One message."""
        return await self._until(lambda: self._fetch(number))

    async def confirm(self, numbers: Sequence[int]) -> tuple[Confirmation, ...]:
        """Until the hub knows that they arrived."""
        return await self._until(lambda: self._operation(native.write_confirm(numbers), native.read_confirmations))

    async def checkpoint(self) -> str:
        """The newest checkpoint."""
        return await self._until(lambda: self._operation(native.write_get_checkpoint(), native.read_checkpoint))

    async def consistency(self, start: int, end: int) -> list[bytes]:
        """A consistency proof."""
        return await self._until(
            lambda: self._operation(native.write_get_consistency(start, end), native.read_consistency)
        )

    async def _until(self, attempt: Callable[[], Awaitable[T]]) -> T:
        assert self._line
        return await persist(self._line, self.code, attempt)

    async def _post(self, body: bytes, content_type: str) -> aiohttp.ClientResponse:
        assert self._session
        assert self._line
        url = f"https://127.0.0.1:{self._line.port}{PATH}"
        return await self._session.post(url, data=body, headers={"Content-Type": content_type})

    async def _operation(self, body: bytes, read: Callable[[etree._Element], T]) -> T:
        envelope = soap.write_envelope(VERSION, body)
        async with await self._post(envelope, f"{VERSION.content_type}; charset=utf-8") as response:
            return read(soap.read_answer(await response.read(), max_size=1 << 22).body)

    async def _send(self, paper: Paper) -> Accepted:
        inline = {name: data for name, data in paper.attachments.items() if name not in paper.uploaded}
        body = native.write_send(paper.envelope)
        if not inline:
            return await self._operation(body, native.read_accepted)
        multipart = MultipartWriter(secrets.token_hex(20), f"{VERSION.content_type}; charset=utf-8")
        pieces = [multipart.root(soap.write_envelope(VERSION, body))]
        for name, data in inline.items():
            pieces += [multipart.part_header(name, "application/pdf"), data]
        async with await self._post(b"".join([*pieces, multipart.closing()]), multipart.content_type) as response:
            return native.read_accepted(soap.read_answer(await response.read()).body)

    async def _upload(self, data: bytes) -> None:
        """From the octet on that the hub does not have yet; in two halves, so that there is something to resume."""
        assert self._session
        assert self._line
        url = f"https://127.0.0.1:{self._line.port}{PATH}/payloads/{hashlib.sha256(data).hexdigest()}"
        async with self._session.head(url) as response:
            offset = int(response.headers.get("Upload-Offset", "0"))
        while offset < len(data):
            end = len(data) // 2 if offset < len(data) // 2 else len(data)
            headers = {"Upload-Offset": str(offset), "Upload-Length": str(len(data))}
            async with self._session.patch(url, data=data[offset:end], headers=headers) as response:
                if response.status not in {204, 409}:
                    raise ExchangeError(kind_of(response.headers.get("Lienthong-Error", "")), status=response.status)
                offset = int(response.headers["Upload-Offset"])

    async def _fetch(self, number: int) -> Received:
        envelope = soap.write_envelope(VERSION, native.write_get_document(number))
        async with await self._post(envelope, f"{VERSION.content_type}; charset=utf-8") as response:
            content_type = response.headers.get("Content-Type", "")
            data = await response.read()
        root, attachments = parts(data, content_type) if content_type.startswith("multipart/") else (data, {})
        receipt, sealed = native.read_delivery(soap.read_answer(root, max_size=1 << 22).body)
        return Received(receipt, open_seal(sealed).digest, attachments)


def parts(data: bytes, content_type: str) -> tuple[bytes, dict[str, str]]:
    """The root of a multipart answer, and the SHA-256 of each attachment by content id."""
    reader = MultipartReader(content_type, LIMITS)
    bodies: list[tuple[str, bytearray]] = []
    for event in [*reader.feed(data), *reader.close()]:
        if isinstance(event, PartStart):
            bodies.append((event.content_id, bytearray()))
        elif isinstance(event, PartData):
            bodies[-1][1].extend(event.data)
    return bytes(bodies[0][1]), {name: hashlib.sha256(body).hexdigest() for name, body in bodies[1:]}


def codes(messages: Iterable[Summary]) -> str:
    """A mailbox in one line, for a violation."""
    return ", ".join(f"{one.number} {one.kind} {one.document_id}" for one in messages) or "nothing"
