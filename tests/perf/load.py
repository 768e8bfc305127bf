"""The load of the throughput rows: agencies send sealed documents, fetch and confirm what they get, read their notices.

Four agencies send and four others receive, as edge agents do: a sender keeps several requests under way, a recipient
long-polls, fetches over two connections and confirms what one poll gave in one call. A run is over when every document
was accepted, delivered and confirmed and every sender has read the notice of each.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Final

from protocol import native, soap
from protocol.soap import SoapVersion
from tests.perf.wire import Connection, post
from tests.support.agency import AgencyClient, Attached, multipart

PATH: Final = "/lienthong/v1"
SOAP: Final = "application/soap+xml; charset=utf-8"
AT_ONCE: Final = 16
"""Documents that one sender has under way at once."""
FETCHERS: Final = 2
"""Connections over which one recipient fetches."""
PATIENCE: Final = 120.0
"""Seconds after which a run has failed."""
_MESSAGE: Final = re.compile(rb'<lt:Message number="(\d+)" kind="(\w+)"')


def request(body: bytes) -> bytes:
    """A native request without attachments."""
    return post(PATH, soap.write_envelope(SoapVersion.V12, body), SOAP)


class Letter:
    """One whole request: a sealed document with one attachment, and the stamp by which it is known on arrival."""

    __slots__ = ("data", "stamp")

    def __init__(self, data: bytes, stamp: bytes) -> None:
        self.data = data
        self.stamp = stamp


def prepare(agency: AgencyClient, to: str, numbers: range, size: int, base: bytes) -> list[Letter]:
    """A letter for each number, with an attachment of `size` octets, all different."""
    made = []
    for number in numbers:
        stamp = b"<%s-%d>" % (agency.code.encode(), number)
        attached = Attached("f1", stamp + base[: size - len(stamp)])
        envelope = agency.sealed(agency.document([to], str(number), [attached]))
        body, content_type = multipart(soap.write_envelope(SoapVersion.V12, native.write_send(envelope)), [attached])
        made.append(Letter(post(PATH, body, content_type), stamp))
    return made


@dataclass
class Result:
    """What one run measured; seconds."""

    documents: int = 0
    seconds: float = 0.0
    generator_cpu: float = 0.0
    server_cpu: float = 0.0
    requests: Counter[str] = field(default_factory=Counter)
    accept: list[float] = field(default_factory=list)
    latency: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Documents accepted, delivered and confirmed, per second."""
        return self.documents / self.seconds


def percentile(values: list[float], share: float) -> float:
    """The value below which `share` of the values lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class Load:
    """One run against the server on `port`; `cpu` says how many CPU seconds it has used so far.

    `pace` is documents per second, 0 as fast as it goes.
    """

    def __init__(self, port: int, cpu: Callable[[], float], pace: float = 0.0) -> None:
        self._port = port
        self._cpu = cpu
        self._pace = pace
        self._begun = 0
        self._start = 0.0
        self._expected = 0
        self._notices = 0
        self._finished = asyncio.Event()
        self._outstanding: set[bytes] = set()
        self._accepted: dict[int, float] = {}
        self._fetched: dict[int, float] = {}
        self.result = Result()

    async def run(self, senders: dict[AgencyClient, list[Letter]], recipients: list[AgencyClient]) -> Result:
        """Connections are open before the clock starts: agencies keep theirs.

        Raises when a document came doubled, changed or not at all.
        """
        self._outstanding = {letter.stamp for letters in senders.values() for letter in letters}
        self._expected = len(self._outstanding)
        with ExitStack() as stack:
            sending = [await self._connect(stack, agency, AT_ONCE + 1) for agency in senders]
            receiving = [await self._connect(stack, agency, FETCHERS + 1) for agency in recipients]
            queues = [list(reversed(letters)) for letters in senders.values()]
            used, server_used = time.process_time(), self._cpu()
            self._start = time.perf_counter()
            await self._all(list(zip(sending, queues, strict=True)), receiving)
            self.result.generator_cpu = time.process_time() - used
            self.result.server_cpu = self._cpu() - server_used
        # a recipient can have its document before the sender has its receipt
        self.result.latency = [max(0.0, at - self._accepted[number]) for number, at in self._fetched.items()]
        if self._outstanding:
            raise RuntimeError(f"{len(self._outstanding)} documents never came")
        return self.result

    async def _all(
        self, sending: list[tuple[list[Connection], list[Letter]]], receiving: list[list[Connection]]
    ) -> None:
        async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as group:
            polls = [group.create_task(self._receive(*connections)) for connections in receiving]
            for connections, queue in sending:
                polls.append(group.create_task(self._read_notices(connections[0])))
                for connection in connections[1:]:
                    group.create_task(self._send(connection, queue))
            await self._finished.wait()
            for poll in polls:
                poll.cancel()

    async def _connect(self, stack: ExitStack, agency: AgencyClient, count: int) -> list[Connection]:
        connections = [stack.enter_context(Connection("localhost", self._port, agency.context)) for _ in range(count)]
        for connection in connections:
            await connection.open()
        return connections

    async def _call(self, connection: Connection, operation: str, data: bytes) -> bytes:
        self.result.requests[operation] += 1
        return await connection.call(data)

    async def _send(self, connection: Connection, queue: list[Letter]) -> None:
        while queue:
            letter = queue.pop()
            if self._pace:
                self._begun += 1
                await asyncio.sleep(self._start + self._begun / self._pace - time.perf_counter())
            began = time.perf_counter()
            answer = await self._call(connection, "send", letter.data)
            ended = time.perf_counter()
            number = int(answer.split(b"<lt:MessageNumber>", 1)[1].split(b"<", 1)[0])
            if number in self._accepted:
                raise RuntimeError(f"number {number} was given twice")
            self._accepted[number] = ended
            self.result.accept.append(ended - began)

    async def _receive(self, poll: Connection, *fetchers: Connection) -> None:
        while True:
            answer = await self._call(poll, "pending", request(native.write_get_pending(50, 1)))
            numbers = [int(number) for number, kind in _MESSAGE.findall(answer) if kind == b"document"]
            if not numbers:
                continue
            shares = [numbers[index :: len(fetchers)] for index in range(len(fetchers))]
            await asyncio.gather(*(self._fetch(one, share) for one, share in zip(fetchers, shares, strict=True)))
            await self._call(poll, "confirm", request(native.write_confirm(numbers)))
            self.result.documents += len(numbers)
            self._look_at_end()

    async def _fetch(self, connection: Connection, numbers: list[int]) -> None:
        for number in numbers:
            answer = await self._call(connection, "fetch", request(native.write_get_document(number)))
            self._fetched[number] = time.perf_counter()
            beginning = answer.rindex(b"\r\n\r\n<H21.") + 4
            self._outstanding.remove(answer[beginning : answer.index(b">", beginning) + 1])

    async def _read_notices(self, connection: Connection) -> None:
        while True:
            answer = await self._call(connection, "notices", request(native.write_get_pending(200, 1)))
            numbers = [int(number) for number, _ in _MESSAGE.findall(answer)]
            if numbers:
                await self._call(connection, "confirm", request(native.write_confirm(numbers)))
                self._notices += len(numbers)
                self._look_at_end()

    def _look_at_end(self) -> None:
        if self.result.documents == self._notices == self._expected:
            self.result.seconds = time.perf_counter() - self._start
            self._finished.set()
