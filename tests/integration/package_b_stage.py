"""A package B service for tests: the adapter in front of the in-memory exchange, on a real socket.

Beside it the native package answers whoever asks as if it were the recipient.

Tests and foreign clients know an `Endpoint` only (address and two agencies with tokens), so the same tests can be
pointed at a hub or an edge agent.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from aiohttp import web

from protocol import agency_codes, errors
from protocol.errors import ExchangeError
from protocol.exchange import Caller, Exchange
from protocol.http.descriptions import describe
from protocol.http.incoming import DEFAULT_LIMITS
from protocol.http.native import NativePackage
from protocol.http.package_b import Authenticate, Clock, PackageB, mount
from protocol.mime import Limits
from protocol.model import Organization
from protocol.twin import Twin
from tests.support.running_hub import RunningHub

NOW = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
TOKENS = {"H21.16": "token of A", "H21.23": "token of B"}
ORGANIZATIONS = (
    Organization(organ_id="H21.16", organ_name="Sở Ví dụ A", organization_in_charge="UBND tỉnh Gia Lai"),
    Organization(organ_id="H21.23", organ_name="Sở Ví dụ B"),
)


@dataclass(frozen=True)
class Endpoint:
    """Where package B is served, and two agencies that may use it."""

    address: str
    sender: str = "H21.16"
    sender_token: str = TOKENS["H21.16"]
    recipient: str = "H21.23"
    recipient_token: str = TOKENS["H21.23"]
    trust: Path | None = None
    """PEM of the authority behind an https address."""


@dataclass
class Stage:
    """An endpoint of our own, with the exchange behind it and what it refused."""

    endpoint: Endpoint
    exchange: Twin
    refused: list[ExchangeError]
    heard: asyncio.Event
    """Set by the first refusal."""

    @property
    def port(self) -> int:
        """The TCP port on loopback."""
        port = urlsplit(self.endpoint.address).port
        assert port is not None
        return port


async def authenticate(_request: web.Request, organ_id: str, token: str) -> Caller:
    """A token belongs to one agency, whatever form of its code it writes."""
    agency = agency_codes.canonical(organ_id)
    if not token or TOKENS.get(agency) != token:
        raise ExchangeError(errors.UNAUTHENTICATED)
    return Caller(agency=agency, proof="token")


@contextlib.asynccontextmanager
async def stage(
    limits: Limits = DEFAULT_LIMITS,
    exchange: Exchange | None = None,
    prove: Authenticate = authenticate,
    clock: Clock = lambda: NOW,
) -> AsyncIterator[Stage]:
    """Serve it until the block ends."""
    twin = Twin(ORGANIZATIONS, clock)
    refused: list[ExchangeError] = []
    heard = asyncio.Event()

    async def audit(_request: web.Request, error: ExchangeError) -> None:
        refused.append(error)
        heard.set()

    app = web.Application()
    package = PackageB(exchange or twin, prove, clock=clock, limits=limits, relay="H21.W00", audit=audit)
    mount(app, "/edoc/v1", package)
    native = NativePackage(exchange or twin, lambda _: Caller(agency="H21.23", proof="local"))
    app.router.add_post("/lienthong/v1", native.handle)
    app.router.add_get("/lienthong/v1", describe("native"))
    runner = web.AppRunner(app, lingering_time=0.5)  # else a peer that hung up keeps the end of a test waiting
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        _, port = runner.addresses[0]
        yield Stage(Endpoint(f"http://127.0.0.1:{port}/edoc/v1"), twin, refused, heard)
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def real_clock_twin(_folder: Path) -> AsyncIterator[Endpoint]:
    """The in-memory exchange, as far as a foreign client can tell a hub."""
    async with stage(clock=lambda: datetime.now(UTC)) as running:
        yield running.endpoint


@contextlib.asynccontextmanager
async def hub(folder: Path) -> AsyncIterator[Endpoint]:
    """A real hub over TLS, with the same two agencies, that speak by token."""
    async with RunningHub(folder / "hub") as running:
        for organization in ORGANIZATIONS:
            await running.hub.administration.add(organization.organ_id, organization.organ_name)
            await running.hub.administration.set_token(organization.organ_id, TOKENS[organization.organ_id])
        yield Endpoint(f"{running.url}/edoc/v1", trust=running.hub.configuration.authority / "root.pem")
        await _hung_up(running)


async def _hung_up(running: RunningHub) -> None:
    """Clients in threads have closed their sockets; TLS on our side needs a moment to notice before the loop ends."""
    servers = [runner.server for runner in running.hub._runners if runner.server is not None]
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(5):
            while any(server.connections for server in servers):
                await asyncio.sleep(0.01)


ENDPOINTS = {"twin": real_clock_twin, "hub": hub}
"""What the foreign clients are pointed at."""
