"""Statuses through a real hub: recall before and after delivery, refusals, who may say what; mailboxes and wake-ups."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import pytest

from protocol import errors, lifecycle
from protocol.errors import ExchangeError
from tests.support.agency import AgencyClient
from tests.support.running_hub import RunningHub


@pytest.fixture
async def hub(tmp_path: Path):
    async with RunningHub(tmp_path / "hub") as running:
        yield running


@pytest.fixture
async def three(hub: RunningHub):
    async with (
        await hub.agency("H21.16") as sender,
        await hub.agency("H21.23") as first,
        await hub.agency("H21.24") as second,
    ):
        yield sender, first, second


async def refused(client: AgencyClient, code: int, document_id: str, owner: str) -> errors.ErrorKind:
    with pytest.raises(ExchangeError) as caught:
        await client.report(client.sealed(client.status(code, document_id, owner, "lý do")))
    return caught.value.kind


async def test_recall_stops_the_undelivered_copy_and_asks_the_one_that_has_it(hub: RunningHub, three) -> None:
    sender, first, second = three
    document = sender.document(["H21.23", "H21.24"], "5")
    accepted = await sender.send(sender.sealed(document))
    name = document.header.document_id
    await first.confirm(accepted.number)
    await sender.report(sender.sealed(sender.status(13, name, "H21.16", "gửi nhầm")))
    assert await second.pending() == ()
    with pytest.raises(ExchangeError):
        await second.fetch(accepted.number)
    (asked,) = await first.pending()
    assert asked.kind == "status"
    await first.report(first.sealed(first.status(15, name, "H21.16")))
    states = {row.recipient: (row.state, row.handling) for row in hub.hub.ledger.recipients(accepted.number)}
    assert states == {
        "H21.23": ("delivered", lifecycle.DA_THU_HOI),
        "H21.24": ("withdrawn", lifecycle.DUNG_GUI),
    }


async def test_only_the_addressee_reports_and_only_the_sender_recalls(three) -> None:
    sender, first, second = three
    document = sender.document(["H21.23"], "6")
    await sender.send(sender.sealed(document))
    name = document.header.document_id
    assert await refused(second, 3, name, "H21.16") is errors.DOCUMENT_NOT_FOUND  # nor that it exists
    assert await refused(first, 13, name, "H21.16") is errors.STATUS_NOT_YOURS
    assert await refused(sender, 3, name, "H21.16") is errors.STATUS_NOT_YOURS
    assert await refused(first, 3, "không có", "H21.16") is errors.DOCUMENT_NOT_FOUND


async def test_late_statuses_are_kept_and_move_nothing_back(hub: RunningHub, three) -> None:
    sender, first, _ = three
    document = sender.document(["H21.23"], "7")
    accepted = await sender.send(sender.sealed(document))
    for code in (5, 3, 6, 4):
        await first.report(first.sealed(first.status(code, document.header.document_id, "H21.16")))
    (row,) = hub.hub.ledger.recipients(accepted.number)
    assert row.handling == lifecycle.HOAN_THANH
    traces = await sender.pending()
    assert [one.kind for one in traces] == ["status"] * 4


async def test_a_long_poll_wakes_for_its_own_agency_only(three) -> None:
    sender, first, second = three
    waiting = asyncio.create_task(first.pending(wait=30))
    idle = asyncio.create_task(second.pending(wait=1))
    await asyncio.sleep(0.1)
    await sender.send(sender.sealed(sender.document(["H21.23"], "8")))
    assert len(await asyncio.wait_for(waiting, 10)) == 1
    assert await idle == ()


async def test_suspended_agency_is_out_at_once_and_its_mail_waits(hub: RunningHub, three) -> None:
    sender, first, _ = three
    await sender.send(sender.sealed(sender.document(["H21.23"], "9")))
    await hub.hub.administration.suspend("000.00.23.H21")
    with pytest.raises(ExchangeError) as caught:
        await first.pending()
    assert caught.value.kind is errors.SUSPENDED
    with pytest.raises(ExchangeError) as caught:
        await sender.send(sender.sealed(sender.document(["H21.23"], "10")))
    assert caught.value.kind is errors.RECIPIENT_SUSPENDED
    await hub.hub.administration.resume("H21.23")
    assert len(await first.pending()) == 1


async def test_operators_see_queues_and_readiness_but_no_content(hub: RunningHub, three) -> None:
    sender, _, _ = three
    await sender.send(sender.sealed(sender.document(["H21.23"], "11", subject="V/v chim hoàng yến")))
    base = f"http://127.0.0.1:{hub.hub.operator_port}"
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{base}/healthz") as response:
            assert response.status == 200
        async with session.get(f"{base}/readyz") as response:
            assert (await response.json())["ready"] is True
        async with session.get(f"{base}/metrics") as response:
            text = await response.text()
    assert 'lienthong_mailbox_messages{recipient="H21.23"} 1.0' in text
    assert 'lienthong_requests_total{outcome="ok",package="native"}' in text
    assert "hoàng yến" not in text


async def test_tls_1_2_is_refused(hub: RunningHub, three) -> None:
    import ssl

    sender, _, _ = three
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata="".join(_pem(root) for root in sender.trust.roots))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:
        with pytest.raises(aiohttp.ClientConnectionError):
            await session.get(f"{hub.url}/enrol/trust")


def _pem(der: bytes) -> str:
    import ssl

    return ssl.DER_cert_to_PEM_cert(der)
