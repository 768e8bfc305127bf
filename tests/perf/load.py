"""The load of the hub bench: agencies send sealed documents, fetch and confirm what they get, read their notices."""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass, field

from protocol import native, soap
from protocol.soap import SoapVersion
from tests.perf.wire import Connection, post
from tests.support.agency import AgencyClient, Attached, multipart

PATH = "/lienthong/v1"
SOAP = "application/soap+xml; charset=utf-8"
_MESSAGE = re.compile(rb'<lt:Message number="(\d+)" kind="(\w+)"')
_FETCHED = re.compile(rb"<lt:Receipt>")


def request(body: bytes) -> bytes:
    """A native request without attachments."""
    return post(PATH, soap.write_envelope(SoapVersion.V12, body), SOAP)


def prepare(agency: AgencyClient, to: str, count: int, size: int, base: bytes, first: int = 0) -> list[bytes]:
    """Whole requests of `count` sealed documents with one attachment of `size` octets each, all different."""
    made = []
    for number in range(first, first + count):
        stamp = b"%s-%d;" % (agency.code.encode(), number)
        attached = Attached("f1", stamp + base[: size - len(stamp)])
        envelope = agency.sealed(agency.document([to], str(number), [attached]))
        body, content_type = multipart(soap.write_envelope(SoapVersion.V12, native.write_send(envelope)), [attached])
        made.append(post(PATH, body, content_type))
    return made


@dataclass
class Result:
    """What one run measured; seconds."""

    sent: int = 0
    delivered: int = 0
    notices: int = 0
    seconds: float = 0.0
    accept: list[float] = field(default_factory=list)
    latency: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Documents accepted, delivered and confirmed, per second."""
        return self.delivered / self.seconds

    def percentile(self, share: float) -> float:
        """Accept → delivered, seconds."""
        ordered = sorted(self.latency)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class Load:
    """One run: every prepared request is sent, every document fetched and confirmed, every notice read."""

    def __init__(self, host: str, port: int, pace: float = 0.0) -> None:
        self._host = host
        self._port = port
        self._pace = pace
        self.result = Result()
        self._accepted: dict[int, float] = {}
        self._sent_at: dict[bytes, float] = {}
        self._expected = 0

    async def run(
        self, senders: dict[AgencyClient, list[bytes]], recipients: list[AgencyClient], connections: int = 4
    ) -> Result:
        """Returns when every document was delivered, confirmed and its notice read."""
        self._expected = sum(len(requests) for requests in senders.values())
        tasks = []
        start = time.perf_counter()
        for agency, requests in senders.items():
            queue = list(reversed(requests))
            tasks += [self._send(agency, queue, start) for _ in range(connections)]
            tasks.append(self._read_notices(agency))
        tasks += [self._receive(agency) for agency in recipients]
        self._pacer = 0
        await asyncio.gather(*tasks)
        return self.result

    def _connection(self, agency: AgencyClient) -> Connection:
        return Connection(self._host, self._port, agency.context)

    async def _send(self, agency: AgencyClient, queue: list[bytes], start: float) -> None:
        connection = self._connection(agency)
        await connection.open()
        while queue:
            data = queue.pop()
            if self._pace:
                self._pacer += 1
                delay = start + self._pacer / self._pace - time.perf_counter()
                if delay > 0:
                    await asyncio.sleep(delay)
            began = time.perf_counter()
            _, answer = await connection.call(data)
            ended = time.perf_counter()
            number = int(answer.split(b"<lt:MessageNumber>", 1)[1].split(b"<", 1)[0])
            self._accepted[number] = ended
            self.result.accept.append(ended - began)
            self.result.sent += 1
        connection.close()

    async def _receive(self, agency: AgencyClient) -> None:
        """Long-poll, fetch over two connections, confirm in one call: as an edge agent does."""
        poll = self._connection(agency)
        fetchers = [self._connection(agency) for _ in range(2)]
        started = time.perf_counter()
        while self.result.delivered < self._expected:
            _, answer = await poll.call(request(native.write_get_pending(50, 1)))
            numbers = [int(number) for number, kind in _MESSAGE.findall(answer) if kind == b"document"]
            if not numbers:
                continue
            shares = [numbers[index :: len(fetchers)] for index in range(len(fetchers))]
            await asyncio.gather(*(self._fetch(one, share) for one, share in zip(fetchers, shares, strict=True)))
            await poll.call(request(native.write_confirm(numbers)))
            now = time.perf_counter()
            self.result.delivered += len(numbers)
            self.result.seconds = now - started
        for connection in (poll, *fetchers):
            connection.close()

    async def _fetch(self, connection: Connection, numbers: list[int]) -> None:
        for number in numbers:
            _, answer = await connection.call(request(native.write_get_document(number)))
            if not _FETCHED.search(answer[:2000]):
                raise RuntimeError(answer[:500])
            accepted = self._accepted.get(number)
            now = time.perf_counter()
            # a recipient can be faster than the sender's own answer
            self.result.latency.append(max(0.0, now - accepted) if accepted is not None else 0.0)

    async def _read_notices(self, agency: AgencyClient) -> None:
        connection = self._connection(agency)
        while self.result.notices < self._expected:
            _, answer = await connection.call(request(native.write_get_pending(200, 1)))
            numbers = [int(number) for number, _ in _MESSAGE.findall(answer)]
            if numbers:
                await connection.call(request(native.write_confirm(numbers)))
                self.result.notices += len(numbers)
        connection.close()
