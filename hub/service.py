"""The running hub: its parts put together, its two listeners, its stop.

The agencies' listener is TLS (native package, package B, uploads, enrolment); the operators' is plain HTTP on loopback
(health, metrics); commands use the control socket. The first signal stops taking work, answers what is begun, ends the
long polls, commits and closes.
"""

from __future__ import annotations

import asyncio
import hmac
import ssl
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Final

from aiohttp import web

from certs import log_key, tls
from certs.authority import Authority
from certs.signers import FileSigner, LogSigner
from certs.trust import Trust
from hub import control
from hub.administration import Administration, token_hash
from hub.authentication import MutualTls, check_clock
from hub.configuration import HubConfiguration
from hub.delivery import EndpointDelivery
from hub.dispatch import InProcessDispatch
from hub.enrolment import Enrolment
from hub.exchange import HubExchange
from hub.health import Health
from hub.intake import Intake, now_utc
from hub.ledger.clock import steady_milliseconds
from hub.ledger.ledger import Ledger
from hub.ledger.records import to_milliseconds
from hub.registry import Registry
from hub.uploads import Uploads
from hub.works import Refuse
from protocol import agency_codes, errors
from protocol.checkpoint import LogKey
from protocol.errors import ExchangeError
from protocol.exchange import Caller
from protocol.http.descriptions import describe
from protocol.http.door import shows_certificate
from protocol.http.incoming import Patience
from protocol.http.native import CALLER, NativePackage
from protocol.http.package_b import PackageB
from protocol.mime import Limits
from runtime import logs
from runtime.config import ConfigError
from runtime.lock import HeldError

NATIVE = "/lienthong/v1"
PACKAGE_B = "/edoc/v1"
LOOPBACK = "127.0.0.1"
HEADERS_LIMIT = 64 << 10
UPKEEP_SECONDS = 300.0
HANDSHAKE = 0.03
"""Seconds that a TLS handshake may still need when the hub has stopped listening."""
LOCK_SECONDS = 10.0
"""How long a hub that starts waits for whoever has the ledger."""

CLAIMED: Final[web.RequestKey[str]] = web.RequestKey("claimed", str)
"""The agency that a request without a certificate names."""

_log = logs.get(__name__)


class Hub:
    """Everything one hub consists of. `start`, `stop`; `port` is the agencies' port once started."""

    def __init__(self, configuration: HubConfiguration, now: Callable[[], datetime] = now_utc) -> None:
        self.configuration = configuration
        self._now = now
        self.authority = Authority(configuration.authority)
        self.signer = FileSigner(configuration.key, configuration.certificate)
        log_signer = LogSigner(configuration.log_key)
        key = LogKey(configuration.name, log_signer.public, log_signer.sign)
        self.statement = log_key.make_statement(self.signer, configuration.name, key.vkey)
        self.authority.renew_crl(at=now())
        self.authority.add_log_key(self.statement)
        self.trust = Trust.load(configuration.authority)
        steady = steady_milliseconds if now is now_utc else None  # a clock that was passed in may go as it likes
        self.ledger = Ledger(configuration.data, key, lambda: to_milliseconds(now()), steady)
        self.registry = Registry(self.ledger.agencies(), self.ledger.certificates(), configuration.province)
        self.dispatch = InProcessDispatch()
        intake = Intake(self.registry, self.trust, now)
        self.exchange = HubExchange(self.ledger, self.registry, intake, self.dispatch, self.signer)
        self.delivery = EndpointDelivery(self.exchange, configuration.delivery, now)
        self.health = Health(
            self.ledger, self.trust, self.signer.certificate, configuration.data, lambda: to_milliseconds(now())
        )
        self.administration = Administration(
            self.ledger, self.registry, self.authority.root, now, configuration.invitation_days, self._changed
        )
        self._mutual_tls = MutualTls(self.trust, self.registry, now)
        self._runners: list[web.AppRunner] = []
        self._upkeep: asyncio.Task[None] | None = None
        self.port = configuration.port
        self.operator_port = configuration.operator_port

    async def start(self) -> None:
        """Listen. Raises `OSError` when a port is taken."""
        self._runners.append(await control.serve(self.administration, self.configuration.control))
        await self._listen_to_operators()
        await self._listen_to_agencies()  # last: who reaches the hub finds it whole
        self.delivery.refresh()
        self._upkeep = asyncio.create_task(self._keep_up(), name="upkeep")
        _log.info("hub.started", port=self.port, operator_port=self.operator_port, events=self.ledger.log.size)

    async def stop(self) -> None:
        """Drain and close; may be called twice."""
        self.health.stopping = True
        self.dispatch.wake_all()
        if self._upkeep is not None:
            self._upkeep.cancel()
        for site in [site for runner in self._runners for site in runner.sites]:
            await site.stop()
        await self.delivery.stop()
        servers = [runner.server for runner in self._runners]
        for runner in self._runners:
            await runner.cleanup()
        self._runners.clear()
        self.configuration.control.unlink(missing_ok=True)
        await self.ledger.close()
        await asyncio.sleep(HANDSHAKE)
        for server in servers:  # whoever was still shaking hands when the others were closed
            if server is not None:
                await server.shutdown(0)
        _log.info("hub.stopped")

    def agencies_application(self) -> web.Application:
        """What agencies reach."""
        settings = self.configuration.limits
        limits = Limits(
            total=settings.message,
            part=settings.attachment,
            parts=settings.attachments + 1,
            headers=16 << 10,
            root=settings.envelope,
        )
        patience = Patience(root=settings.envelope_seconds, stall=settings.stall_seconds)
        native = NativePackage(
            self.exchange,
            self._authenticate,
            evidence=self.exchange,
            audit=partial(self._audit, "native"),
            limits=limits,
            patience=patience,
        )
        package_b = PackageB(
            self.exchange,
            self._authenticate_b,
            clock=self._now,
            limits=limits,
            patience=patience,
            relay=self.registry.province,
            audit=partial(self._audit, "B"),
        )
        app = web.Application()
        app.router.add_post(NATIVE, self.health.watch("native", native.handle))
        app.router.add_get(NATIVE, describe("native"))
        app.router.add_post(PACKAGE_B, self.health.watch("B", package_b.handle))
        app.router.add_get(PACKAGE_B, describe("package_b"))
        audit = partial(self._audit, "upload")
        uploads = Uploads(self.ledger.payloads, self._authenticate, audit, settings, patience)
        uploads.mount(app, NATIVE)
        Enrolment(
            self.ledger,
            self.registry,
            self.authority,
            lambda: self.trust.bundle,
            self.statement,
            self._now,
            self._changed,
        ).mount(app)
        return app

    async def _listen_to_agencies(self) -> None:
        configuration = self.configuration
        minimum = ssl.TLSVersion.TLSv1_2 if configuration.minimum_tls == "1.2" else ssl.TLSVersion.TLSv1_3
        context = tls.server_context(configuration.certificate, configuration.key, self.trust.bundle, minimum=minimum)
        runner = web.AppRunner(
            self.agencies_application(),
            access_log=None,
            max_line_size=HEADERS_LIMIT,
            max_field_size=HEADERS_LIMIT,
            shutdown_timeout=30,
            lingering_time=1,
            keepalive_timeout=120,
        )
        await runner.setup()
        self._runners.append(runner)
        site = web.TCPSite(runner, configuration.address, configuration.port, ssl_context=context, backlog=1024)
        await site.start()
        self.port = runner.addresses[0][1]

    async def _listen_to_operators(self) -> None:
        app = web.Application()
        self.health.mount(app)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        self._runners.append(runner)
        await web.TCPSite(runner, LOOPBACK, self.configuration.operator_port).start()
        self.operator_port = runner.addresses[0][1]

    def _authenticate(self, request: web.Request) -> Caller:
        caller = self._mutual_tls(request)
        if self.health.stopping:
            raise ExchangeError(errors.STOPPING)
        check_clock(request, self._now(), self.configuration.clock_tolerance)
        return caller

    async def _authenticate_b(self, request: web.Request, organ_id: str, token: str) -> Caller:
        """A client certificate where there is one, else OrganId and Token (compared in constant time)."""
        if self.health.stopping:
            raise ExchangeError(errors.STOPPING)
        if shows_certificate(request):
            return self._authenticate(request)
        agency = self.registry.find(organ_id)
        # a code, or nothing: what a stranger writes there otherwise may be anything
        request[CLAIMED] = agency.code if agency is not None else organ_id * agency_codes.is_plausible(organ_id)
        expected = agency.token_hash if agency is not None else None
        good = hmac.compare_digest(token_hash(token), expected or bytes(32)) and expected is not None
        if agency is None or not good:
            raise ExchangeError(errors.UNAUTHENTICATED)
        now = self._now()
        self.registry.speaker(agency.code, to_milliseconds(now))
        check_clock(request, now, self.configuration.clock_tolerance)
        return Caller(agency=agency.code, proof="token")

    async def _audit(self, package: str, request: web.Request, error: ExchangeError) -> None:
        """One line for every refusal; an event of the evidence log when an agency is behind it.

        Of somebody who was not proved, the line says who it claims to be.
        """
        caller = request.get(CALLER)
        self.health.refusals.labels(error.kind.code).inc()
        agency = caller.agency if caller is not None else ""
        # an element path of a marked document can hold what its author put into a name (AC-4.2a-4)
        element = "" if error.kind is errors.SECRET_MARK else error.element
        claim = {} if caller is not None else {"claimed": request.get(CLAIMED) or self._mutual_tls.claimed(request)}
        _log.warning(
            "refused",
            package=package,
            agency=agency,
            **claim,
            remote=request.remote,
            code=error.kind.code,
            element=element,
        )
        if caller is None or error.kind.temporary:
            return
        rule = str(error.details.get("rule", "")) if error.kind is errors.SECRET_MARK else ""
        try:
            await self.ledger.do(Refuse(agency=agency, reason=error.kind.code, rule=rule))
        except ExchangeError as failure:
            _log.error("refusal.not_logged", agency=agency, code=failure.kind.code)

    async def _keep_up(self) -> None:
        """A revocation list that runs out stops the province: it is signed anew long before. Old uploads go."""
        while True:
            try:
                self.ledger.payloads.forget_old_uploads(self._now().timestamp())
                await asyncio.to_thread(self.authority.renew_crl, at=self._now())
            except (OSError, ConfigError) as error:
                _log.error("upkeep.failed", exc_info=error)
            await asyncio.sleep(UPKEEP_SECONDS)

    def _changed(self, agency: str) -> None:
        self.delivery.refresh()
        self.dispatch.wake((agency,))


async def serve(configuration: HubConfiguration, drain: asyncio.Event) -> None:
    """Run until `drain` is set. Raises `HeldError` when another process keeps the ledger."""
    hub = await _opened(configuration, drain)
    if hub is None:
        return
    try:
        await hub.start()
        await drain.wait()
    finally:
        await hub.stop()


async def _opened(configuration: HubConfiguration, drain: asyncio.Event) -> Hub | None:
    """The hub, once a command or an earlier hub has let go of the ledger; None when it is to stop before that."""
    patience = asyncio.get_running_loop().time() + LOCK_SECONDS
    while not drain.is_set():
        try:
            return Hub(configuration)
        except HeldError:
            if asyncio.get_running_loop().time() > patience:
                raise
            await asyncio.sleep(0.1)
    return None
