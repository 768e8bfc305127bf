"""The service on this machine: package B for the local system (the same WSDL as the hub's), health and metrics."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from edge_agent.clock import Clock
from edge_agent.configuration import EdgeConfig
from edge_agent.control import Control
from edge_agent.exchange import EdgeExchange
from edge_agent.health import Health
from edge_agent.tokens import LocalAuthentication
from edge_agent.watching import Watchman
from protocol import errors
from protocol.errors import ExchangeError
from protocol.exchange import Caller
from protocol.http.package_b import PackageB, mount
from protocol.mime import Limits
from protocol.xml_reading import MESSAGE_MAX
from runtime import logs

PACKAGE_B_PATH: Final = "/edoc/v1"
HEADERS_LIMIT: Final = 16 << 10

_log = logs.get("edge.local")


class LocalService:
    """`start`, then `stop`; `port` is where it listens."""

    def __init__(
        self,
        config: EdgeConfig,
        *,
        exchange: EdgeExchange,
        authentication: LocalAuthentication,
        health: Health,
        control: Control,
        watchman: Watchman,
        clock: Clock,
    ) -> None:
        self._config = config
        self._authentication = authentication
        self._health = health
        self._watchman = watchman
        app = web.Application()
        package = PackageB(
            exchange, self._authenticate, clock=clock, limits=limits_of(config), audit=self._audit,
            relay=config.agency.code,
        )  # fmt: skip
        mount(app, PACKAGE_B_PATH, package)
        health.mount(app)
        control.mount(app)
        self._control = control
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=30)
        self.port = config.local.port
        self.listening = False

    async def start(self) -> None:
        """Listen. Raises `OSError` when the port is taken."""
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._config.local.host, self._config.local.port)
        await site.start()
        self.port = int(self._runner.addresses[0][1])
        self.listening = True
        self._control.announce(self._config.local.host, self.port)
        _log.info("listening", host=self._config.local.host, port=self.port)

    async def stop(self) -> None:
        """Finish what is begun, then close."""
        await self._runner.cleanup()

    async def _authenticate(self, _request: web.Request, organ_id: str, token: str) -> Caller:
        if self._health.stopping:
            raise ExchangeError(errors.STOPPING)
        caller = self._authentication.check(organ_id, token)
        await self._watchman.noted("local")
        return caller

    async def _audit(self, _request: web.Request, error: ExchangeError) -> None:
        self._health.refused(error.kind.code)
        element = "" if error.kind is errors.SECRET_MARK else error.element  # its author chose the name
        _log.warning("local-refused", code=error.kind.code, element=element)


def limits_of(config: EdgeConfig) -> Limits:
    """The configured limits as the MIME reader wants them."""
    limits = config.limits
    return Limits(
        total=limits.message,
        part=limits.attachment,
        parts=limits.parts + 1,
        headers=HEADERS_LIMIT,
        root=MESSAGE_MAX,
    )
