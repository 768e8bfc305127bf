"""One package B call over HTTP: what is known of it so far, so that a refusal at any moment is answered in its form."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from aiohttp import web

from protocol import package_b, soap
from protocol.errors import UNKNOWN_OPERATION, ExchangeError
from protocol.http.door import Gate
from protocol.http.incoming import DEFAULT_PATIENCE, IncomingMessage, Patience
from protocol.http.soap_action import operation_named, read_action, version_hint
from protocol.http.tokens import without_token
from protocol.mime import Limits, MultipartWriter


class IncompleteError(Exception):
    """A SendDocument lacks tags; all of them are reported at once, as the hubs of this generation do."""

    def __init__(self, missing: Sequence[ExchangeError]) -> None:
        super().__init__(f"{len(missing)} tags missing")
        self.missing = missing


class Call:
    """`read` first, then `answer` or `refuse`."""

    def __init__(self, http: web.Request, limits: Limits, patience: Patience = DEFAULT_PATIENCE) -> None:
        self.http = http
        self.version = version_hint(http)
        self.original = b""
        """The envelope as it came, its token blanked."""
        self._limits = limits
        self._patience = patience
        self._action = read_action(http)
        self._operation = operation_named(self._action)
        self._message: IncomingMessage | None = None

    @property
    def message(self) -> IncomingMessage:
        """The body, once `read` has begun it."""
        assert self._message is not None
        return self._message

    async def read(self, gate: Gate | None = None) -> package_b.Request:
        """The request in the root part; no attachment is read, and nothing is made of it before `gate` is passed.

        Raises `ExchangeError`, `IncompleteError`.
        """
        self._message = IncomingMessage(self.http, self._limits, self._patience)
        octets = await self._read_root(self._message, gate)
        envelope = soap.read_envelope(octets, tolerant=True, max_size=self._limits.root)
        self.version = envelope.version
        self._operation = package_b.operation_of(self._action, envelope)
        if self._operation is package_b.Operation.SEND_DOCUMENT and (
            missing := package_b.missing_tags(envelope.header)
        ):
            raise IncompleteError(missing)
        request = package_b.read_request(self._operation, envelope)
        self.original = without_token(octets, envelope.root)
        return request

    async def _read_root(self, message: IncomingMessage, gate: Gate | None) -> bytes:
        if gate is None:
            return await message.read_root()
        if self._action and self._operation is None:
            raise ExchangeError(UNKNOWN_OPERATION)
        octets = await message.read_root(gate.look)
        await gate.close(octets)
        return octets

    async def answer(self, body: bytes) -> web.Response:
        """An answer without attachments, multipart when the request was."""
        return await self._respond(soap.write_envelope(self.version, body))

    async def refuse(self, problems: Sequence[ExchangeError]) -> web.Response:
        """A Report with these errors, or a fault where no operation is known."""
        if self._operation is None or problems[0].kind is UNKNOWN_OPERATION:
            return await self._respond(soap.write_fault(self.version, problems[0]), status=500)
        return await self.answer(package_b.write_report(self._operation, problems))

    @property
    def root_type(self) -> str:
        """The Content-Type of an envelope in the version of the request."""
        return f"{self.version.content_type}; charset=utf-8"

    async def _respond(self, envelope: bytes, status: int = 200) -> web.Response:
        content_type = self.root_type
        if self.http.content_type.startswith("multipart/"):
            writer = MultipartWriter(secrets.token_hex(20), content_type)
            content_type, envelope = writer.content_type, writer.root(envelope) + writer.closing()
        response = web.Response(body=envelope, status=status, headers={"Content-Type": content_type})
        if self._message is None or not await self._message.drain():
            response.force_close()
        return response
