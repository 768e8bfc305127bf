"""The hub's operations as methods; every failure comes out in the vocabulary, a lost line as `server.unreachable`.

Nothing is retried here: the outbox and the inbox know what is still due. Streams are passed through in chunks; the
largest thing held in memory is an envelope.
"""

from __future__ import annotations

import asyncio
import email.utils
import secrets
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, timedelta
from http import HTTPStatus
from typing import Final, Self

import aiohttp
from lxml import etree

from edge_agent.clock import Clock
from edge_agent.payloads import CHUNK, Payloads
from edge_agent.records import StoredAttachment
from edge_agent.uplink.parts import Fetched, read_fetched
from protocol import errors, native, soap
from protocol.errors import ExchangeError
from protocol.exchange import Accepted, Confirmation, Summary
from protocol.mime import Limits, MultipartWriter
from protocol.model import Organization
from protocol.soap import SoapVersion

NATIVE_PATH: Final = "/lienthong/v1"
TRUST_PATH: Final = "/enrol/trust"
ANSWER_LIMIT: Final = 16 << 20
CONNECT_TIMEOUT: Final = 15.0
WHOLE_IN_MEMORY: Final = 256 * 1024
"""Messages up to this size are sent in one piece."""
_VERSION: Final = SoapVersion.V12


class HubLink:
    """One agent's line to its hub. `async with` it; connections are made when they are first needed."""

    def __init__(
        self,
        url: str,
        *,
        tls: Callable[[], ssl.SSLContext],
        timeout: float,
        upload_from: int,
        limits: Limits,
        clock: Clock,
    ) -> None:
        """`timeout` is seconds without a single octet, `upload_from` octets."""
        self._url = url.rstrip("/")
        self._tls = tls
        self._timeout = timeout
        self._upload_from = upload_from
        self._limits = limits
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None
        self.skew: timedelta | None = None
        """This machine's clock minus the hub's, from the last answer."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close every connection; a later call opens new ones (with the certificate of that day)."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def send(self, envelope: bytes, attachments: Sequence[StoredAttachment], payloads: Payloads) -> Accepted:
        """Hand over a sealed document; large attachments first, each continued where it broke off."""
        inline = [one for one in attachments if one.size < self._upload_from]
        for one in attachments:
            if one.size >= self._upload_from:
                await self.upload(one, payloads)
        body = soap.write_envelope(_VERSION, native.write_send(envelope))
        if not inline:
            return native.read_accepted(await self._call(body, _plain_headers()))
        multipart = MultipartWriter(secrets.token_hex(20), f"{_VERSION.content_type}; charset=utf-8")
        pieces = [multipart.root(body), *(multipart.part_header(one.content_id, one.content_type) for one in inline)]
        length = sum(map(len, pieces)) + len(multipart.closing()) + sum(one.size for one in inline)
        headers = {"Content-Type": multipart.content_type, "Content-Length": str(length)}
        async with aclosing(_stream(multipart, pieces, inline, payloads)) as stream:
            data = b"".join([piece async for piece in stream]) if length <= WHOLE_IN_MEMORY else stream
            return native.read_accepted(await self._call(data, headers))

    async def report(self, envelope: bytes) -> Accepted:
        """Hand over a sealed status."""
        return native.read_accepted(await self._operation(native.write_report(envelope)))

    async def pending(self, limit: int, wait_seconds: float) -> tuple[Summary, ...]:
        """What waits in this agency's mailbox; held open up to `wait_seconds` when nothing does."""
        body = native.write_get_pending(limit, wait_seconds)
        return native.read_pending(await self._operation(body, patience=wait_seconds))

    @asynccontextmanager
    async def fetch(self, number: int) -> AsyncIterator[Fetched]:
        """One message, its attachments still to be streamed."""
        body = soap.write_envelope(_VERSION, native.write_get_document(number))
        async with self._request("POST", NATIVE_PATH, body, _plain_headers()) as response:
            yield await read_fetched(
                response.content.iter_any(), response.headers.get("Content-Type", ""), self._limits
            )

    async def confirm(self, numbers: Sequence[int]) -> tuple[Confirmation, ...]:
        """These are durable here."""
        return native.read_confirmations(await self._operation(native.write_confirm(numbers)))

    async def organizations(self) -> tuple[Organization, ...]:
        """The province's directory."""
        return native.read_organizations(await self._operation(native.write_get_organizations()))

    async def checkpoint(self) -> str:
        """The hub's newest checkpoint (a signed note)."""
        return native.read_checkpoint(await self._operation(native.write_get_checkpoint()))

    async def consistency(self, start: int, end: int) -> list[bytes]:
        """The proof that the tree of size `end` extends the one of size `start`."""
        return native.read_consistency(await self._operation(native.write_get_consistency(start, end)))

    async def trust(self) -> bytes:
        """The trust bundle as the hub publishes it (JSON)."""
        async with self._request("GET", TRUST_PATH, None, {}) as response:
            data = await _whole(response)
            if response.status != HTTPStatus.OK:
                raise ExchangeError(errors.BAD_ANSWER, status=response.status)
            return data

    async def upload(self, attachment: StoredAttachment, payloads: Payloads) -> None:
        """Bring one payload to the hub, from the octet on that it does not have yet."""
        path = f"{NATIVE_PATH}/payloads/{attachment.sha256}"
        offset = await self._offset(path)
        while offset < attachment.size:
            before, offset = offset, await self._patch(path, attachment, payloads, offset)
            if offset == before:
                raise ExchangeError(errors.BAD_ANSWER, reason="upload makes no progress")

    async def _offset(self, path: str) -> int:
        async with self._request("HEAD", path, None, {}) as response:
            if response.status == HTTPStatus.NOT_FOUND:
                return 0
            if response.status != HTTPStatus.OK:
                raise _upload_refusal(response)
            return _header_number(response)

    async def _patch(self, path: str, attachment: StoredAttachment, payloads: Payloads, offset: int) -> int:
        """Send the rest; the offset at which the hub stands afterwards."""
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Length": str(attachment.size - offset),
            "Upload-Offset": str(offset),
            "Upload-Length": str(attachment.size),
        }
        async with (
            aclosing(payloads.chunks(attachment.sha256, offset)) as data,
            self._request("PATCH", path, data, headers) as response,
        ):
            if response.status in (HTTPStatus.NO_CONTENT, HTTPStatus.CONFLICT):
                return _header_number(response)
            raise _upload_refusal(response)

    async def _operation(self, body: bytes, *, patience: float = 0) -> etree._Element:
        return await self._call(soap.write_envelope(_VERSION, body), _plain_headers(), patience=patience)

    async def _call(
        self, data: bytes | AsyncIterator[bytes], headers: dict[str, str], *, patience: float = 0
    ) -> etree._Element:
        async with self._request("POST", NATIVE_PATH, data, headers, patience=patience) as response:
            return soap.read_answer(await _whole(response), max_size=ANSWER_LIMIT).body

    @asynccontextmanager
    async def _request(
        self,
        method: str,
        path: str,
        data: bytes | AsyncIterator[bytes] | None,
        headers: dict[str, str],
        *,
        patience: float = 0,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT, sock_read=self._timeout + patience)
        # the hub judges this clock before it takes what the clock dated (RFC 9110 §6.6.1)
        dated = {"Date": email.utils.format_datetime(self._clock(), usegmt=True), **headers}
        try:
            async with self._open().request(
                method, self._url + path, data=data, headers=dated, timeout=timeout, allow_redirects=False
            ) as response:
                self._note_clock(response)
                yield response
        except (aiohttp.ClientError, TimeoutError, asyncio.IncompleteReadError, OSError) as error:
            raise ExchangeError(errors.UNREACHABLE, reason=type(error).__name__) from error

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(ssl=self._tls(), limit=16, keepalive_timeout=75)
            self._session = aiohttp.ClientSession(
                connector=connector, read_bufsize=CHUNK, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar()
            )
        return self._session

    def _note_clock(self, response: aiohttp.ClientResponse) -> None:
        try:
            theirs = email.utils.parsedate_to_datetime(response.headers.get("Date", ""))
        except ValueError:
            return
        self.skew = self._clock() - (theirs if theirs.tzinfo else theirs.replace(tzinfo=UTC))


def _plain_headers() -> dict[str, str]:
    return {"Content-Type": f"{_VERSION.content_type}; charset=utf-8"}


def _header_number(response: aiohttp.ClientResponse) -> int:
    text = response.headers.get("Upload-Offset", "")
    if not text.isascii() or not text.isdigit():
        raise ExchangeError(errors.BAD_ANSWER, element="Upload-Offset", status=response.status)
    return int(text)


def _upload_refusal(response: aiohttp.ClientResponse) -> ExchangeError:
    """The hub's code is in a header. A digest that differs means a damaged upload, which the hub has thrown away."""
    kind = errors.kind_of(response.headers.get("Lienthong-Error", ""))
    return ExchangeError(errors.BAD_ANSWER if kind is errors.ATTACHMENT_DIGEST else kind, status=response.status)


async def _whole(response: aiohttp.ClientResponse) -> bytes:
    """A bounded answer in one piece."""
    pieces, size = [], 0
    async for piece in response.content.iter_any():
        size += len(piece)
        if size > ANSWER_LIMIT:
            raise ExchangeError(errors.BAD_ANSWER, reason="answer too large")
        pieces.append(piece)
    return b"".join(pieces)


async def _stream(
    multipart: MultipartWriter, pieces: Sequence[bytes], inline: Sequence[StoredAttachment], payloads: Payloads
) -> AsyncGenerator[bytes, None]:
    yield pieces[0]
    for header, attachment in zip(pieces[1:], inline, strict=True):
        yield header
        async with aclosing(payloads.chunks(attachment.sha256)) as chunks:
            async for chunk in chunks:
                yield chunk
    yield multipart.closing()


__all__ = ["Fetched", "HubLink"]
