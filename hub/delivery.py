"""Calling agencies that registered an address: their package B service gets documents and statuses as they come.

Outcome per recipient. What the agency's system itself refuses for good, in a Report or a fault, is tried a few times;
then the delivery is dead: a person sees it (`lienthong-hub dead`) and releases it. Everything else (no connection, a
proxy's error page, an answer that cannot be read, a temporary error) is temporary: tried for ever, with doubling waits.
An attempt is written down before the call: a message that may have arrived although nobody heard the answer is sent
again, and "exists already" is then success. One silent agency has one worker and delays nobody else; a worker survives
whatever goes wrong in a round.
"""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from pathlib import Path
from typing import Final

import aiohttp

from hub.configuration import Delivery as Settings
from hub.exchange import HubExchange
from hub.ledger.records import Agency, DeliveryRow, Stored, to_milliseconds
from hub.works import Attempt, Confirm, Postpone
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
THERE_ALREADY: Final = frozenset({"M.Exist", "M.UpdateTraces"})
"""Report codes for a document and for a status that the agency's system has already (edxml.md 3.8)."""


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
            try:
                wait = await self._round(code)
            except Exception as error:  # noqa: BLE001 -- a ledger that refuses now (disk full) takes it later
                _log.error("delivery.round_failed", agency=code, exc_info=error)
                wait = min(IDLE_SECONDS, self._settings.first_retry)
            await self._exchange.dispatch.wait(code, wait)

    async def _round(self, code: str) -> float:
        """Deliver what is due; returns the seconds until something will be."""
        ledger = self._exchange.ledger
        if self._served(code) is None:
            return IDLE_SECONDS
        for row in ledger.due(code, to_milliseconds(self._now()), AT_ONCE):
            agency = self._served(code)  # a suspension or another address counts from the next message on
            if agency is None:
                return IDLE_SECONDS
            await self._deliver(agency, row)
        next_due = ledger.next_due(code)
        if next_due is None:
            return IDLE_SECONDS
        return min(IDLE_SECONDS, max(0.01, (next_due - to_milliseconds(self._now())) / 1000))

    def _served(self, code: str) -> Agency | None:
        """The agency, if it is to be called; one that never joined is, because its address was registered by hand."""
        agency = self._exchange.registry.find(code)
        return None if agency is None or not agency.endpoint or agency.state == "suspended" else agency

    async def _deliver(self, agency: Agency, row: DeliveryRow) -> None:
        message = self._exchange.ledger.find_message(row.message)
        if message is None:
            return
        if message.kind != "notice" and not await self._taken(agency, row, message):
            return
        confirmed = await self._exchange.ledger.do(Confirm(agency=agency.code, numbers=(row.message,)))
        self._exchange.dispatch.wake(confirmed.notified)
        _log.info("delivery.done", agency=agency.code, number=row.message, attempts=row.attempts + 1)

    async def _taken(self, agency: Agency, row: DeliveryRow, message: Stored) -> bool:
        """Whether the agency's system has the message now; when not, it is written down what comes next."""
        attempt = Attempt(
            agency=agency.code, row=row, next_attempt=self._next_attempt(row), error=errors.UNREACHABLE.code
        )
        if not await self._exchange.ledger.do(attempt):
            return False
        try:
            await self._send(agency, message)
        except ExchangeError as error:
            if _arrived_before(row, error):
                return True
            await self._postpone(agency, row, error)
            return False
        except Exception as error:  # noqa: BLE001 -- unknown errors are temporary
            _log.error("delivery.failed", agency=agency.code, number=row.message, exc_info=error)
            await self._postpone(agency, row, ExchangeError(errors.INTERNAL))
            return False
        return True

    async def _postpone(self, agency: Agency, row: DeliveryRow, error: ExchangeError) -> None:
        refused = _is_refusal(error)
        dead = refused and row.refusals + 1 >= self._settings.refusals
        await self._exchange.ledger.do(
            Postpone(
                agency=agency.code,
                endpoint=agency.endpoint,
                row=row,
                next_attempt=self._next_attempt(row),
                error=error.kind.code,
                refused=refused,
                dead=dead,
            )
        )
        _log.warning(
            "delivery.dead" if dead else "delivery.postponed",
            agency=agency.code,
            number=row.message,
            error=error.kind.code,
            attempts=row.attempts + 1,
            details=error.details,
        )

    def _next_attempt(self, row: DeliveryRow) -> int:
        """Milliseconds UTC: a doubling wait from now."""
        wait = min(self._settings.longest_retry, self._settings.first_retry * 2 ** min(row.attempts, 20))
        wait *= random.uniform(0.8, 1.2)  # noqa: S311 -- spreads retries, protects nothing
        return to_milliseconds(self._now()) + int(wait * 1000)

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
        status, content_type, answer = await self._call(agency.endpoint, action, root, delivery)
        _read_answer(status, content_type, answer)

    async def _call(self, endpoint: str, action: str, root: bytes, delivery: Delivery) -> tuple[int, str, bytes]:
        """HTTP status, Content-Type and body. Raises `server.unreachable`.

        The time-out is for silence: a large attachment on a thin line takes as long as it takes.
        """
        writer = MultipartWriter(secrets.token_hex(20), "text/xml; charset=utf-8")
        headers = {"SOAPAction": f'"{action}"', "Content-Type": writer.content_type}
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._settings.timeout) as silence:

                def moving() -> None:
                    if not silence.expired():
                        silence.reschedule(loop.time() + self._settings.timeout)

                data = _stream(writer, root, delivery, moving)
                async with self._client().post(endpoint, data=data, headers=headers) as response:
                    answer = await _read_all(response.content, moving)
                    return response.status, response.headers.get("Content-Type", ""), answer
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            # ValueError: an address that is none; the operator sees the delivery wait, and corrects the address
            raise ExchangeError(errors.UNREACHABLE, error=type(error).__name__) from error

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout())  # `_call` has its own
        return self._session


async def _stream(
    writer: MultipartWriter, root: bytes, delivery: Delivery, moving: Callable[[], None]
) -> AsyncIterator[bytes]:
    yield writer.root(root)
    for attachment in delivery.attachments:
        yield writer.part_header(attachment.reference.content_id, attachment.reference.content_type)
        async for chunk in attachment.chunks():
            moving()
            yield chunk
    moving()
    yield writer.closing()


async def _read_all(content: aiohttp.StreamReader, moving: Callable[[], None]) -> bytes:
    """The whole answer: one read gives only what has come so far. Raises `server.bad-answer` beyond the limit."""
    pieces = []
    size = 0
    async for chunk in content.iter_any():
        moving()
        size += len(chunk)
        if size > ANSWER_LIMIT:
            raise ExchangeError(errors.BAD_ANSWER, limit=ANSWER_LIMIT)
        pieces.append(chunk)
    return b"".join(pieces)


def _read_answer(status: int, content_type: str, answer: bytes) -> None:
    """Return if the agency's system says that it has the message.

    Raises what it says in its Report or fault, whatever the HTTP status; `server.bad-answer` when it says neither: a
    proxy's error page is no refusal.
    """
    try:
        envelope = soap.read_envelope(_envelope(content_type, answer), tolerant=True, max_size=ANSWER_LIMIT)
        fault = soap.read_fault(envelope)
        if fault is None:
            package_b.read_report(envelope.body)
    except (ExchangeError, StopIteration) as error:
        if isinstance(error, ExchangeError) and _is_said(error):
            raise
        cause = error.kind.code if isinstance(error, ExchangeError) else ""
        raise ExchangeError(errors.BAD_ANSWER, http_status=status, cause=cause) from error
    if fault is not None:
        raise fault


def _envelope(content_type: str, answer: bytes) -> bytes:
    """The SOAP envelope of an answer, plain or the root of a multipart one."""
    if not content_type.lower().startswith("multipart/"):
        return answer
    reader = MultipartReader(content_type, ANSWER_LIMITS)
    events = [*reader.feed(answer), *reader.close()]
    end = next(index for index, event in enumerate(events) if isinstance(event, PartEnd))
    return b"".join(event.data for event in events[:end] if isinstance(event, PartData))


def _is_said(error: ExchangeError) -> bool:
    """Whether the peer said so itself; what we could not do or read is not its refusal."""
    return bool(error.details.keys() & {"peer_codes", "peer_code", "peer_fault"})


def _is_refusal(error: ExchangeError) -> bool:
    return _is_said(error) and not error.kind.temporary


def _arrived_before(row: DeliveryRow, error: ExchangeError) -> bool:
    """The peer has it from an attempt before this one whose answer never came; `row` is as that attempt left it."""
    codes = error.details.get("peer_codes")
    unanswered = row.attempts > 0 and row.refusals == 0 and errors.kind_of(row.last_error).temporary
    return unanswered and isinstance(codes, list) and bool(codes) and codes[0] in THERE_ALREADY


def _read_token(agency: Agency) -> str:
    return Path(agency.endpoint_token).read_text(encoding="utf-8").strip() if agency.endpoint_token else ""
