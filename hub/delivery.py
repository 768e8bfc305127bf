"""Calling agencies that registered an address: their package B service gets documents and statuses as they come.

Outcome per recipient. A network failure or a temporary error postpones with doubling waits and is tried for ever; a
permanent refusal is tried a few times, then the delivery is dead: a person sees it (`lienthong-hub dead`) and releases
it. One silent agency has one worker and delays nobody else. Unknown errors are temporary.
"""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from pathlib import Path

import aiohttp

from hub.configuration import Delivery as Settings
from hub.exchange import HubExchange
from hub.ledger.records import Agency, DeliveryRow, Stored, to_milliseconds
from hub.works import Confirm, Postpone
from protocol import errors, package_b, soap
from protocol.edxml.reader import read_message
from protocol.errors import ExchangeError
from protocol.exchange import Delivery
from protocol.mime import Limits, MultipartReader, MultipartWriter, PartData, PartEnd
from protocol.model import Document
from protocol.soap import SoapVersion
from protocol.xml_reading import parse
from runtime import logs

_log = logs.get(__name__)
AT_ONCE = 20
IDLE_SECONDS = 30.0
ANSWER_LIMIT = 4 << 20
ANSWER_LIMITS = Limits(total=ANSWER_LIMIT, part=ANSWER_LIMIT, parts=10, headers=16 << 10, root=ANSWER_LIMIT)


class EndpointDelivery:
    """One worker per agency with an endpoint. `start` and `stop` belong to the service."""

    def __init__(self, exchange: HubExchange, settings: Settings, now: Callable[[], datetime]) -> None:
        self._exchange = exchange
        self._settings = settings
        self._now = now
        self._workers: dict[str, asyncio.Task[None]] = {}
        self._session: aiohttp.ClientSession | None = None
        self._stopping = False

    def refresh(self) -> None:
        """Start workers for agencies that have an endpoint now."""
        for agency in self._exchange.registry.all():
            worker = self._workers.get(agency.code)
            if agency.endpoint and (worker is None or worker.done()):
                self._workers[agency.code] = asyncio.create_task(self._work(agency.code), name=f"deliver {agency.code}")

    async def stop(self) -> None:
        """End the workers; what was being sent will be sent again, and the receiver knows it by its DocumentId."""
        self._stopping = True
        for worker in self._workers.values():
            worker.cancel()
        await asyncio.gather(*self._workers.values(), return_exceptions=True)
        self._workers.clear()
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _work(self, code: str) -> None:
        while not self._stopping:
            agency = self._exchange.registry.find(code)
            if agency is None or not agency.endpoint:
                return
            wait = IDLE_SECONDS
            if agency.state == "active":
                wait = await self._round(agency)
            await self._exchange.dispatch.wait(code, wait)

    async def _round(self, agency: Agency) -> float:
        """Deliver what is due; returns the seconds until something will be."""
        ledger = self._exchange.ledger
        for row in ledger.due(agency.code, to_milliseconds(self._now()), AT_ONCE):
            await self._deliver(agency, row)
        next_due = ledger.next_due(agency.code)
        if next_due is None:
            return IDLE_SECONDS
        return min(IDLE_SECONDS, max(0.01, (next_due - to_milliseconds(self._now())) / 1000))

    async def _deliver(self, agency: Agency, row: DeliveryRow) -> None:
        message = self._exchange.ledger.find_message(row.message)
        if message is None:
            return
        try:
            if message.kind != "notice":
                await self._send(agency, message)
        except ExchangeError as error:
            await self._postpone(agency, row, error)
        except Exception as error:  # noqa: BLE001 -- unknown errors are temporary
            _log.error("delivery.failed", agency=agency.code, number=row.message, exc_info=error)
            await self._postpone(agency, row, ExchangeError(errors.INTERNAL))
        else:
            confirmed = await self._exchange.ledger.do(Confirm(agency=agency.code, numbers=(row.message,)))
            self._exchange.dispatch.wake(confirmed.notified)
            _log.info("delivery.done", agency=agency.code, number=row.message, attempts=row.attempts + 1)

    async def _postpone(self, agency: Agency, row: DeliveryRow, error: ExchangeError) -> None:
        refused = row.attempts + 1 >= self._settings.refusals and not error.kind.temporary
        wait = min(self._settings.longest_retry, self._settings.first_retry * 2 ** min(row.attempts, 20))
        wait *= random.uniform(0.8, 1.2)  # noqa: S311 -- spreads retries, protects nothing
        next_attempt = to_milliseconds(self._now()) + int(wait * 1000)
        await self._exchange.ledger.do(
            Postpone(agency=agency.code, row=row, next_attempt=next_attempt, error=error.kind.code, dead=refused)
        )
        event = "delivery.dead" if refused else "delivery.postponed"
        _log.warning(event, agency=agency.code, number=row.message, error=error.kind.code, attempts=row.attempts + 1)

    async def _send(self, agency: Agency, message: Stored) -> None:
        """One call of the agency's package B service. Raises `ExchangeError` for whatever is not success."""
        delivery = await self._exchange.delivery(message)
        token = await asyncio.to_thread(_read_token, agency)
        content = read_message(parse(delivery.envelope))
        if isinstance(content, Document):
            action = "SendDocument"
            header, body = package_b.write_send_document(content, agency.code, token)
        else:
            action = "UpdateTraces"
            header, body = package_b.write_update_traces(content, agency.code, token)
        root = soap.write_envelope(SoapVersion.V11, body, header=header)
        writer = MultipartWriter(secrets.token_hex(20), "text/xml; charset=utf-8")
        headers = {"SOAPAction": f'"{action}"', "Content-Type": writer.content_type}
        timeout = aiohttp.ClientTimeout(total=self._settings.timeout)
        try:
            async with self._client().post(
                agency.endpoint, data=_stream(writer, root, delivery), headers=headers, timeout=timeout
            ) as response:
                answer = await response.content.read(ANSWER_LIMIT)
                content_type = response.headers.get("Content-Type", "")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ExchangeError(errors.UNREACHABLE, error=type(error).__name__) from error
        package_b.read_report(soap.read_envelope(_envelope(content_type, answer), tolerant=True).body)

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession()
        return self._session


async def _stream(writer: MultipartWriter, root: bytes, delivery: Delivery) -> AsyncIterator[bytes]:
    yield writer.root(root)
    for attachment in delivery.attachments:
        yield writer.part_header(attachment.reference.content_id, attachment.reference.content_type)
        async for chunk in attachment.chunks():
            yield chunk
    yield writer.closing()


def _envelope(content_type: str, answer: bytes) -> bytes:
    """The SOAP envelope of an answer, plain or the root of a multipart one."""
    if not content_type.lower().startswith("multipart/"):
        return answer
    reader = MultipartReader(content_type, ANSWER_LIMITS)
    events = [*reader.feed(answer), *reader.close()]
    end = next(index for index, event in enumerate(events) if isinstance(event, PartEnd))
    return b"".join(event.data for event in events[:end] if isinstance(event, PartData))


def _read_token(agency: Agency) -> str:
    return Path(agency.endpoint_token).read_text(encoding="utf-8").strip() if agency.endpoint_token else ""
