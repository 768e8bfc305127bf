"""The hub calls an agency's own package B service: delivery, back-off, dead-letter, release; outcome per recipient."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from hub.configuration import Delivery as DeliverySettings
from hub.ledger.records import DeliveryRow
from protocol import errors
from protocol.errors import ExchangeError
from protocol.exchange import Caller
from protocol.http.package_b import PackageB
from protocol.model import Organization
from protocol.twin import Twin
from tests.support.agency import Attached
from tests.support.running_hub import RunningHub

FAST = DeliverySettings(first_retry=0.05, longest_retry=0.1, refusals=3, timeout=5)


class LocalSystem:
    """An agency's own system with a package B service; `broken` makes it refuse."""

    def __init__(self, clock: Callable[[], object]) -> None:
        self.twin = Twin([Organization(organ_id=code) for code in ("H21.16", "H21.23", "H21.99")], clock)  # type: ignore[arg-type]
        self.calls = 0
        self.error: ExchangeError | None = None
        self.tokens: list[str] = []

    @asynccontextmanager
    async def served(self, clock: Callable[[], object]) -> AsyncIterator[str]:
        async def authenticate(_request: web.Request, _organ_id: str, token: str) -> Caller:
            self.calls += 1
            self.tokens.append(token)
            if self.error is not None:
                raise self.error
            # the hub speaks for the sender here: the local system trusts its token
            return Caller(agency="H21.16", proof="token")

        app = web.Application()
        app.router.add_post("/edoc", PackageB(self.twin, authenticate, clock=clock).handle)  # type: ignore[arg-type]
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}/edoc"
        finally:
            await runner.cleanup()


@pytest.fixture
async def hub(tmp_path: Path):
    async with RunningHub(tmp_path / "hub") as running:
        running.hub.delivery._settings = FAST
        yield running


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.02)


async def test_document_reaches_a_registered_endpoint_and_the_sender_hears_of_it(
    hub: RunningHub, tmp_path: Path
) -> None:
    local = LocalSystem(hub._now)
    token = tmp_path / "token"
    token.write_text("mã truy cập\n")
    async with local.served(hub._now) as address:
        await hub.agency("H21.23", endpoint=address, endpoint_token=str(token))
        async with await hub.agency("H21.16") as sender:
            file = Attached("f1", b"%PDF-1.7\r\n" * 50_000)
            await sender.send(sender.sealed(sender.document(["H21.23"], "1", [file])), [file])
            (notice,) = await sender.pending(wait=10)
    assert notice.kind == "notice"
    assert set(local.tokens) == {"mã truy cập"}
    (waiting,) = await local.twin.pending(Caller(agency="H21.23", proof="token"), limit=10)
    delivery = await local.twin.fetch(Caller(agency="H21.23", proof="token"), waiting.number)
    assert [b"".join([chunk async for chunk in one.chunks()]) for one in delivery.attachments] == [file.data]


async def test_a_silent_endpoint_is_tried_again_and_delays_nobody_else(hub: RunningHub) -> None:
    await hub.agency("H21.99", endpoint="http://127.0.0.1:9/edoc")
    local = LocalSystem(hub._now)
    async with local.served(hub._now) as address:
        await hub.agency("H21.23", endpoint=address)
        async with await hub.agency("H21.16") as sender:
            await sender.send(sender.sealed(sender.document(["H21.99", "H21.23"], "2")))
            (notice,) = await sender.pending(wait=10)
            assert notice.sender == "H21.23"
            rows = lambda: hub.hub.ledger.recipients(notice.number - 1)  # noqa: E731 -- one line
            stuck = lambda: next(row for row in rows() if row.recipient == "H21.99")  # noqa: E731 -- one line
            await until(lambda: stuck().attempts >= 4)
    row: DeliveryRow = stuck()
    assert (row.state, row.last_error) == ("waiting", "server.unreachable")


async def test_permanent_refusals_end_with_a_person_who_releases(hub: RunningHub) -> None:
    local = LocalSystem(hub._now)
    local.error = ExchangeError(errors.ELEMENT_TOO_LONG, element="MessageHeader.Subject")
    async with local.served(hub._now) as address:
        await hub.agency("H21.23", endpoint=address)
        async with await hub.agency("H21.16") as sender:
            accepted = await sender.send(sender.sealed(sender.document(["H21.23"], "3")))
            await until(hub.hub.administration.dead)
            (dead,) = hub.hub.administration.dead()
            assert (dead.message, dead.recipient, dead.attempts) == (accepted.number, "H21.23", FAST.refusals)
            assert local.calls == FAST.refusals
            local.error = None
            await hub.hub.administration.release(accepted.number, "H21.23")
            (notice,) = await sender.pending(wait=10)
            assert notice.kind == "notice"
            assert hub.hub.administration.dead() == []
            with pytest.raises(ExchangeError):
                await hub.hub.administration.release(accepted.number, "H21.23")
