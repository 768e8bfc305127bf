"""The agent's own package B service, called by a vendor's zeep client: the client cannot tell it from a hub."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta, timezone
from pathlib import Path

import aiohttp
import pytest
from edge_stage import A, B, Edge, eventually, octets, province
from foreign.zeep_client import EDocClient, Letter, Refused

from edge_agent import configuration, exchange
from protocol.http.mailbox_views import FIRST_LOOK
from tests.unit.edge_agent.test_edge_store import arrived

LOCAL = datetime.now(timezone(timedelta(hours=7)))


def letter(path: Path, number: str = "123", **changes: object) -> Letter:
    given = {
        "sender": A,
        "sender_name": "Sở Ví dụ A",
        "recipients": (B,),
        "number": number,
        "notation": "SVDA-VP",
        "subject": "V/v thử nghiệm gửi nhận văn bản điện tử",
        "files": (path,),
        "date": LOCAL,
    }
    return Letter(**{**given, **changes})


async def client(edge: Edge, code: str, token: str = "") -> EDocClient:
    """In a thread: it reads the WSDL from the agent in this loop."""
    return await asyncio.to_thread(EDocClient, edge.package_b, code, token or edge.token)


@pytest.mark.parametrize("page", [exchange.TRACES_AT_ONCE, 1])
async def test_two_vendors_exchange_a_document_and_statuses_through_their_own_agents(
    tmp_path: Path, page: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(exchange, "TRACES_AT_ONCE", page)
    async with province() as gialai:
        no_folders = {"folders": configuration.Folders(enabled=False)}
        a, b = await gialai.edge(A, **no_folders), await gialai.edge(B, **no_folders)
        file = tmp_path / "Công văn 123.signed.pdf"
        file.write_bytes(b"\r\n%PDF-1.4\n" + octets(70_000))
        sender, recipient = await client(a, A), await client(b, B)
        number = await asyncio.to_thread(sender.send, letter(file))
        assert await asyncio.to_thread(sender.send, letter(file)) == number
        waiting = await eventually(lambda: b.agent.store.inbox.waiting("pull", 9), "arrival at B's agent")
        assert await asyncio.to_thread(recipient.pending) == [waiting[0].number]
        received = await asyncio.to_thread(recipient.fetch, waiting[0].number)
        assert received.files == {file.name: file.read_bytes()}
        await asyncio.to_thread(recipient.confirm, waiting[0].number)
        assert await asyncio.to_thread(recipient.pending) == []
        await eventually(lambda: a.agent.store.inbox.count("notice") == 1, "delivery event at A's agent")
        await asyncio.to_thread(recipient.report, received, "03", "Số đến 45", LOCAL)
        await eventually(lambda: a.agent.store.inbox.count("status") == 1, "status 03 at A's agent")
        assert await asyncio.to_thread(sender.statuses) == [
            (letter(file).document_id, 1),
            (letter(file).document_id, 3),
        ]
        assert {A, B} <= set(await asyncio.to_thread(sender.organizations))
        sender.close()
        recipient.close()


async def test_documents_are_seen_behind_more_notices_than_one_answer_holds(tmp_path: Path):
    """A system that reads statuses with a TimeStamp consumes none: they wait in its mailbox for ever."""
    async with province() as gialai:
        a, b = await gialai.edge(A), await gialai.edge(B)
        for number in range(FIRST_LOOK + 1):
            notice = arrived(900_000 + number, kind="notice", envelope=None, attachments=())
            await b.agent.store.run(b.agent.store.inbox.receive, notice, ("pull",), LOCAL)
        file = tmp_path / "a.pdf"
        file.write_bytes(b"%PDF-1.4\n")
        sender, recipient = await client(a, A), await client(b, B)
        await asyncio.to_thread(sender.send, letter(file))
        await eventually(lambda: b.agent.store.inbox.count("document"), "arrival at B's agent")
        (number,) = await asyncio.to_thread(recipient.pending)
        assert b.agent.store.inbox.one(number).kind == "document"
        sender.close()
        recipient.close()


async def test_acceptance_works_while_the_hub_is_away_and_the_document_follows(tmp_path: Path):
    async with province() as gialai:
        a, b = await gialai.edge(A), await gialai.edge(B)
        await gialai.stop_hub()
        file = tmp_path / "a.pdf"
        file.write_bytes(b"%PDF-1.4\n")
        sender = await client(a, A)
        await asyncio.to_thread(sender.send, letter(file))
        assert a.agent.store.outbox.latest(1)[0].state == "CHO_GUI"
        await gialai.start_hub()
        await eventually(b.incoming, "arrival after the outage")
        sender.close()


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"subject": "TUYỆT MẬT"}, "CheckPermission"),
        ({"subject": ""}, "N.MessageHeader.Subject"),
        ({"signer": ""}, "N.MessageHeader.SignerInfo.FullName"),
        ({"subject": "x" * 501}, "R.MessageHeader.Subject"),
        ({"number": "1234567890ab"}, "R.MessageHeader.Code.CodeNumber"),
        ({"recipients": (B, "000.00.23.H21")}, "MessageHeader.To.OrganId"),
        ({"date": LOCAL + timedelta(days=2)}, "M.MessageHeader.PromulgationDate"),
    ],
)
async def test_ac_4_2b_1_what_fails_the_checks_is_refused_with_the_code_of_its_element(
    tmp_path: Path, changes: dict[str, object], code: str
):
    async with province() as gialai:
        a = await gialai.edge(A)
        file = tmp_path / "a.pdf"
        file.write_bytes(b"%PDF-1.4\n")
        sender = await client(a, A)
        with pytest.raises(Refused) as refusal:
            await asyncio.to_thread(sender.send, letter(file, **changes))
        assert refusal.value.codes == [code]
        assert a.agent.store.outbox.latest(9) == []
        assert [path for path in a.places.payloads.rglob("*") if path.is_file()] == []
        sender.close()


async def test_other_octets_under_the_same_document_id_are_refused(tmp_path: Path):
    async with province() as gialai:
        a = await gialai.edge(A)
        file = tmp_path / "a.pdf"
        file.write_bytes(b"%PDF-1.4\n")
        sender = await client(a, A)
        await asyncio.to_thread(sender.send, letter(file))
        file.write_bytes(b"%PDF-1.4\nother")
        with pytest.raises(Refused) as refusal:
            await asyncio.to_thread(sender.send, letter(file))
        assert refusal.value.codes == ["M.Exist"]
        sender.close()


@pytest.mark.parametrize(("organ_id", "known"), [(A, False), (B, True)])
async def test_only_the_agencys_own_system_with_its_token_is_heard(organ_id: str, *, known: bool):
    async with province() as gialai:
        a = await gialai.edge(A)
        token = a.token
        stranger = await client(a, organ_id, token if known else "guessed")
        with pytest.raises(Refused) as refusal:
            await asyncio.to_thread(stranger.pending)
        assert refusal.value.codes == ["Permission"]
        assert token.encode() not in a.places.token_hash.read_bytes()
        stranger.close()


async def test_health_and_metrics_say_how_it_is_and_nothing_of_documents():
    async with province() as gialai:
        a, b = await gialai.edge(A), await gialai.edge(B)
        a.drop("chim-hoang-yen.pdf", b"%PDF-1.4\n", Subject="chim hoàng yến")
        await eventually(b.incoming)
        async with aiohttp.ClientSession(f"http://127.0.0.1:{a.agent.local.port}") as session:
            for path, status in (("/healthz", 200), ("/readyz", 200)):
                async with session.get(path) as response:
                    assert response.status == status
            async with session.get("/metrics") as response:
                text = await response.text()
        assert 'lienthong_edge_queue_messages{queue="outbox",state="DA_GUI"} 1.0' in text
        assert "yen" not in text
