"""Joining: an agency trades a one-time code and a key request for its certificate (design: certs.enrolment).

`GET /enrol/trust` is public: the trust bundle, whose root the code's fingerprint authenticates. `POST /enrol/join` uses
the code up and registers the certificate in one transaction; a code that was used once never works again.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable
from datetime import datetime

import aiohttp
import msgspec
from aiohttp import web
from cryptography import x509

from certs import enrolment
from certs.authority import Authority
from certs.bundle import TrustBundle, pem
from hub.ledger.ledger import Ledger
from hub.ledger.records import to_milliseconds
from hub.registry import Registry
from hub.works import Enrol
from protocol import errors
from protocol.errors import ExchangeError
from runtime import logs

_log = logs.get(__name__)
MAXIMUM_REQUEST = 64 << 10


class JoinRequest(msgspec.Struct, frozen=True):
    """What an edge agent sends. `csr` is base64 of the DER."""

    code: str
    csr: str


class JoinedAgency(msgspec.Struct, frozen=True):
    """The agency that the code was for."""

    code: str
    name: str


class JoinAnswer(msgspec.Struct, frozen=True):
    """What it gets: its certificate and the intermediate (PEM), the trust bundle, the log-key statement."""

    certificate: tuple[str, ...]
    agency: JoinedAgency
    trust: msgspec.Raw
    log: str


class Enrolment:
    """The two endpoints."""

    def __init__(
        self,
        ledger: Ledger,
        registry: Registry,
        authority: Authority,
        trust: Callable[[], TrustBundle],
        statement: str,
        now: Callable[[], datetime],
        joined: Callable[[str], None],
    ) -> None:
        self._ledger = ledger
        self._registry = registry
        self._authority = authority
        self._trust = trust
        self._statement = statement
        self._now = now
        self._joined = joined

    def mount(self, app: web.Application) -> None:
        """Add the routes."""
        app.router.add_get("/enrol/trust", self.trust)
        app.router.add_post("/enrol/join", self.join)

    async def trust(self, _request: web.Request) -> web.Response:
        """The trust bundle in force."""
        return web.Response(body=self._trust().to_json(), content_type="application/json")

    async def join(self, request: web.Request) -> web.Response:
        """Enrol; errors are JSON `{code, sentence}` with the status of the vocabulary."""
        try:
            answer = await self._join(await _read_all(request.content))
        except ExchangeError as error:
            _log.warning("enrolment.refused", code=error.kind.code, peer=request.remote, **error.details)
            body = msgspec.json.encode({"code": error.kind.code, "sentence": error.sentence})
            return web.Response(body=body, status=error.kind.http_status, content_type="application/json")
        return web.Response(body=msgspec.json.encode(answer), content_type="application/json")

    async def _join(self, body: bytes) -> JoinAnswer:
        try:
            asked = msgspec.json.decode(body, type=JoinRequest)
            request = base64.b64decode(asked.csr, validate=True)
        except (msgspec.MsgspecError, binascii.Error) as error:
            raise ExchangeError(errors.ENROLMENT_REQUEST, reason="form") from error
        code_hash = bytes.fromhex(enrolment.code_hash(enrolment.parse_code(asked.code)[0]))
        invitation = self._ledger.find_invitation(code_hash)
        now = self._now()
        if invitation is None or invitation[2] is not None or invitation[1] < to_milliseconds(now):
            raise ExchangeError(errors.ENROLMENT_CODE, reason="unknown, used or expired")
        agency = self._registry.speaker(invitation[0], to_milliseconds(now))
        hosts = (agency.domain,) if agency.domain else ()
        der = self._authority.issue_agency(request, agency.code, at=now, name=agency.name, hosts=hosts)
        certificate = x509.load_der_x509_certificate(der)
        fingerprint = hashlib.sha256(der).digest()
        active = await self._ledger.do(
            Enrol(
                code_hash=code_hash,
                code=agency.code,
                fingerprint=fingerprint,
                serial=f"{certificate.serial_number:x}",
                not_after=to_milliseconds(certificate.not_valid_after_utc),
            )
        )
        self._registry.put(active)
        self._registry.add_certificate(fingerprint, active.code)
        self._joined(active.code)
        _log.info("agency.joined", agency=active.code, serial=f"{certificate.serial_number:x}")
        return JoinAnswer(
            certificate=(pem(der), pem(self._authority.intermediate)),
            agency=JoinedAgency(active.code, active.name),
            trust=msgspec.Raw(self._trust().to_json()),
            log=self._statement,
        )


async def _read_all(content: aiohttp.StreamReader) -> bytes:
    """The whole request: one read gives only what has come so far. Raises `enrolment.request` beyond the limit."""
    body = b""
    async for chunk in content.iter_any():
        body += chunk
        if len(body) > MAXIMUM_REQUEST:
            raise ExchangeError(errors.ENROLMENT_REQUEST, reason="size")
    return body
