"""The hub calls an agency's own package B service: delivery, back-off, dead-letter, release; outcome per recipient."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from hub.configuration import Delivery as DeliverySettings
from hub.ledger.records import DeliveryRow
from hub.works import Confirm
from protocol import errors, package_b, soap
from protocol.errors import ExchangeError
from protocol.exchange import Caller
from protocol.http.package_b import PackageB
from protocol.model import Organization
from protocol.soap import SoapVersion
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


def report(action: str, *refusals: ExchangeError) -> bytes:
    """The answer of a package B service: success, or these refusals."""
    return soap.write_envelope(SoapVersion.V11, package_b.write_report(action, refusals))


class Scripted:
    """A package B service that does what the test says: `answer` is called for each request, with its body."""

    def __init__(self, answer: Callable[[web.Request, bytes], Awaitable[web.StreamResponse]]) -> None:
        self._answer = answer
        self.bodies: list[bytes] = []
        self.actions: list[str] = []

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.bodies.append(body)
        self.actions.append(request.headers["SOAPAction"].strip('"'))
        return await self._answer(request, body)

    @asynccontextmanager
    async def served(self) -> AsyncIterator[str]:
        app = web.Application(client_max_size=8 << 20)
        app.router.add_post("/edoc", self._handle)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}/edoc"
        finally:
            await runner.cleanup()

    def document_numbers(self) -> list[str]:
        """The số of each document that came, in order."""
        found = [re.search(rb"<edXML:CodeNumber>(.*?)</edXML:CodeNumber>", body) for body in self.bodies]
        return [match[1].decode() for match in found if match]


async def takes(request: web.Request, _body: bytes) -> web.Response:
    return web.Response(body=report(request.headers["SOAPAction"].strip('"')), content_type="text/xml")


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


def delivered(hub: RunningHub, number: int) -> bool:
    return {row.state for row in hub.hub.ledger.recipients(number)} == {"delivered"}


def the_row(hub: RunningHub, number: int) -> DeliveryRow:
    (row,) = hub.hub.ledger.recipients(number)
    return row


async def test_an_answer_that_comes_in_pieces_is_read_to_its_end(hub: RunningHub) -> None:
    """Only the first piece was read: the document was sent three times, then declared dead."""

    async def in_pieces(request: web.Request, _body: bytes) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/xml"})
        await response.prepare(request)
        whole = report("SendDocument")
        for piece in (whole[:40], whole[40:]):
            await response.write(piece)
            await asyncio.sleep(0.1)
        return response

    local = Scripted(in_pieces)
    async with local.served() as address:
        await hub.agency("H21.23", endpoint=address)
        async with await hub.agency("H21.16") as sender:
            accepted = await sender.send(sender.sealed(sender.document(["H21.23"], "10")))
            await until(lambda: delivered(hub, accepted.number))
    assert len(local.bodies) == 1


ODD_ANSWERS = {
    "a proxy's page": web.Response(
        status=502, text="<html><body>502 Bad Gateway</body></html>", content_type="text/html"
    ),
    "a login page": web.Response(status=200, text="<!DOCTYPE html><html><p>Đăng nhập", content_type="text/html"),
    "nothing": web.Response(status=500),
    "a fault in nobody's words": web.Response(
        status=500,
        body=soap.write_envelope(
            SoapVersion.V11,
            b"<soapenv:Fault xmlns:soapenv='http://schemas.xmlsoap.org/soap/envelope/'><faultcode>soapenv:Client"
            b"</faultcode><faultstring>null</faultstring></soapenv:Fault>",
        ),
        content_type="text/xml",
    ),
    "another operation's answer": web.Response(
        body=soap.write_envelope(SoapVersion.V11, b"<a/>"), content_type="text/xml"
    ),
    "two reports": web.Response(
        body=report("SendDocument").replace(b"</edXML:Report>", b"</edXML:Report><edXML:Report/>"),
        content_type="text/xml",
    ),
    "multipart of nothing": web.Response(body=b"--x--", headers={"Content-Type": 'multipart/related; boundary="x"'}),
    "a busy system": web.Response(
        status=503,
        body=soap.write_fault(SoapVersion.V11, ExchangeError(errors.BUSY)),
        content_type="text/xml",
    ),
}


@pytest.mark.parametrize("odd", ODD_ANSWERS)
async def test_what_is_no_refusal_of_the_agencys_system_is_tried_for_ever(hub: RunningHub, odd: str) -> None:
    answers = 0

    async def answer(request: web.Request, body: bytes) -> web.StreamResponse:
        nonlocal answers
        answers += 1
        if answers > FAST.refusals + 1:
            return await takes(request, body)
        model = ODD_ANSWERS[odd]
        return web.Response(
            status=model.status, body=model.body, headers={"Content-Type": model.headers["Content-Type"]}
        )

    async with Scripted(answer).served() as address:
        await hub.agency("H21.23", endpoint=address)
        async with await hub.agency("H21.16") as sender:
            accepted = await sender.send(sender.sealed(sender.document(["H21.23"], "11")))
            await until(lambda: delivered(hub, accepted.number))
    row = the_row(hub, accepted.number)
    assert (row.attempts, row.refusals) == (FAST.refusals + 2, 0)


async def test_temporary_failures_do_not_count_as_refusals(hub: RunningHub) -> None:
    """Four failures of the line before one refusal are not five refusals."""
    outcomes = ["page"] * (FAST.refusals + 1) + ["refusal", "page", "success"]

    async def answer(request: web.Request, body: bytes) -> web.StreamResponse:
        match outcomes.pop(0):
            case "page":
                return web.Response(status=502, text="<html/>", content_type="text/html")
            case "refusal":
                refusal = report(
                    "SendDocument", ExchangeError(errors.ELEMENT_TOO_LONG, element="MessageHeader.Subject")
                )
                return web.Response(body=refusal, content_type="text/xml")
            case _:
                return await takes(request, body)

    async with Scripted(answer).served() as address:
        await hub.agency("H21.23", endpoint=address)
        async with await hub.agency("H21.16") as sender:
            accepted = await sender.send(sender.sealed(sender.document(["H21.23"], "12")))
            await until(lambda: delivered(hub, accepted.number))
    assert the_row(hub, accepted.number).refusals == 1


async def test_a_worker_survives_a_ledger_that_refuses(hub: RunningHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk at the moment of the confirmation ended the agency's worker for good."""
    real = hub.hub.ledger.do
    failures = 0

    async def full_once(work: Any) -> Any:
        nonlocal failures
        if isinstance(work, Confirm) and not failures:
            failures += 1
            raise ExchangeError(errors.DISK_FULL)
        return await real(work)

    monkeypatch.setattr(hub.hub.ledger, "do", full_once)
    local = Scripted(takes)
    async with local.served() as address:
        await hub.agency("H21.23", endpoint=address)
        async with await hub.agency("H21.16") as sender:
            accepted = await sender.send(sender.sealed(sender.document(["H21.23"], "13")))
            await until(lambda: delivered(hub, accepted.number))
    assert failures == 1
    assert local.document_numbers() == ["13", "13"]


async def test_hub_that_stops_between_send_and_confirm_sends_again_and_exists_already_is_success(
    hub: RunningHub,
) -> None:
    """The local system has the document and its answer was never heard: nothing is lost, nothing is dead."""
    holds = asyncio.Event()

    async def answer(_request: web.Request, _body: bytes) -> web.StreamResponse:
        if not holds.is_set():
            holds.set()
            await asyncio.sleep(30)  # the hub stops meanwhile
        exists = report("SendDocument", ExchangeError(errors.DOCUMENT_CONFLICT))
        return web.Response(body=exists, content_type="text/xml")

    local = Scripted(answer)
    async with local.served() as address:
        await hub.agency("H21.23", endpoint=address)
        async with await hub.agency("H21.16") as sender:
            accepted = await sender.send(sender.sealed(sender.document(["H21.23"], "14")))
            await holds.wait()
        await hub.stop()
        await hub.start()
        hub.hub.delivery._settings = FAST
        assert the_row(hub, accepted.number).state == "waiting"
        await until(lambda: delivered(hub, accepted.number))
    assert local.document_numbers() == ["14", "14"]


async def test_exists_already_at_the_first_attempt_is_a_refusal(hub: RunningHub) -> None:
    """Somebody else's document has that name there: a person must look."""

    async def answer(_request: web.Request, _body: bytes) -> web.StreamResponse:
        exists = report("SendDocument", ExchangeError(errors.DOCUMENT_CONFLICT))
        return web.Response(body=exists, content_type="text/xml")

    async with Scripted(answer).served() as address:
        await hub.agency("H21.23", endpoint=address)
        async with await hub.agency("H21.16") as sender:
            await sender.send(sender.sealed(sender.document(["H21.23"], "15")))
            await until(hub.hub.administration.dead)
    (dead,) = hub.hub.administration.dead()
    assert (dead.refusals, dead.last_error) == (FAST.refusals, "document.conflict")


async def test_silence_ends_a_call_but_slowness_does_not(hub: RunningHub) -> None:
    """A large attachment on a thin line takes as long as it takes; a system that hangs does not hold its worker."""
    hub.hub.delivery._settings = DeliverySettings(first_retry=0.05, longest_retry=0.1, refusals=3, timeout=2)
    calls = 0

    async def answer(request: web.Request, _body: bytes) -> web.StreamResponse:
        nonlocal calls
        calls += 1
        if calls == 1:
            await asyncio.sleep(30)
        response = web.StreamResponse(headers={"Content-Type": "text/xml"})
        await response.prepare(request)
        whole = report("SendDocument")
        for start in range(0, len(whole), 60):
            await response.write(whole[start : start + 60])
            await asyncio.sleep(0.4)
        return response

    async with Scripted(answer).served() as address:
        await hub.agency("H21.23", endpoint=address)
        async with await hub.agency("H21.16") as sender:
            accepted = await sender.send(sender.sealed(sender.document(["H21.23"], "16")))
            await until(lambda: delivered(hub, accepted.number))


async def test_statuses_reach_the_endpoint_of_the_sender(hub: RunningHub) -> None:
    local = Scripted(takes)
    async with local.served() as address:
        sender = await hub.agency("H21.16", endpoint=address)
        async with sender, await hub.agency("H21.23") as recipient:
            document = sender.document(["H21.23"], "17")
            await sender.send(sender.sealed(document))
            name = document.header.document_id
            reported = await recipient.report(recipient.sealed(recipient.status(3, name, "H21.16")))
            await until(lambda: delivered(hub, reported.number))
    assert local.actions == ["UpdateTraces"]
    assert b"<StatusCode>03</StatusCode>" in local.bodies[0]
    assert name.encode() in local.bodies[0]


async def test_urgent_documents_go_first_to_an_endpoint(hub: RunningHub) -> None:
    local = Scripted(takes)
    async with local.served() as address, await hub.agency("H21.16") as sender:
        await hub.agency("H21.23")
        for number, priority in (("1", 0), ("2", 3), ("3", 1)):
            document = sender.document(["H21.23"], number, priority=priority)
            last = await sender.send(sender.sealed(document))
        await hub.hub.administration.add("H21.23", endpoint=address)
        await until(lambda: all(delivered(hub, number) for number in range(1, last.number + 1)))
    assert local.document_numbers() == ["2", "3", "1"]


async def test_another_address_counts_at_once(hub: RunningHub) -> None:
    """What the old address did not take was left until its own time came, an hour later at worst."""
    hub.hub.delivery._settings = DeliverySettings(first_retry=3000, longest_retry=3600)
    local = Scripted(takes)
    async with local.served() as address:
        await hub.agency("H21.23", endpoint="http://127.0.0.1:9/edoc")
        async with await hub.agency("H21.16") as sender:
            accepted = await sender.send(sender.sealed(sender.document(["H21.23"], "18")))
            await until(lambda: the_row(hub, accepted.number).attempts)
            await hub.hub.administration.add("H21.23", endpoint=address)
            await until(lambda: delivered(hub, accepted.number))
    assert local.document_numbers() == ["18"]


async def test_address_that_changes_during_a_call_is_tried_at_once(hub: RunningHub) -> None:
    hub.hub.delivery._settings = DeliverySettings(first_retry=3000, longest_retry=3600)
    came, goes = asyncio.Event(), asyncio.Event()

    async def answer(_request: web.Request, _body: bytes) -> web.StreamResponse:
        came.set()
        await goes.wait()
        return web.Response(status=502)

    local = Scripted(takes)
    async with Scripted(answer).served() as old, local.served() as new:
        await hub.agency("H21.23", endpoint=old)
        async with await hub.agency("H21.16") as sender:
            accepted = await sender.send(sender.sealed(sender.document(["H21.23"], "23")))
            await came.wait()
            await hub.hub.administration.add("H21.23", endpoint=new)
            goes.set()
            await until(lambda: delivered(hub, accepted.number))
    assert local.document_numbers() == ["23"]


async def test_an_address_that_is_taken_away_is_called_no_more(hub: RunningHub) -> None:
    local = Scripted(takes)
    async with (
        local.served() as address,
        await hub.agency("H21.23", endpoint=address) as recipient,
        await hub.agency("H21.16") as sender,
    ):
        await hub.hub.administration.add("H21.23", endpoint="")
        accepted = await sender.send(sender.sealed(sender.document(["H21.23"], "19")))
        assert [one.number for one in await recipient.pending(wait=1)] == [accepted.number]
    assert local.bodies == []


async def test_an_agency_with_an_endpoint_needs_no_certificate_of_ours(hub: RunningHub) -> None:
    """It never joins, because it calls nobody: its address was registered by hand."""
    local = Scripted(takes)
    async with local.served() as address:
        await hub.hub.administration.add("H21.23", "Sở B", endpoint=address)
        async with await hub.agency("H21.16") as sender:
            accepted = await sender.send(sender.sealed(sender.document(["H21.23"], "20")))
            await until(lambda: delivered(hub, accepted.number))
    assert [line.state for line in hub.hub.administration.lines() if line.code == "H21.23"] == ["invited"]


async def test_a_suspended_agencys_endpoint_is_not_called_until_it_is_resumed(hub: RunningHub) -> None:
    local = Scripted(takes)
    async with local.served() as address:
        await hub.agency("H21.23")
        async with await hub.agency("H21.16") as sender:
            accepted = await sender.send(sender.sealed(sender.document(["H21.23"], "21")))
            await hub.hub.administration.suspend("H21.23")
            await hub.hub.administration.add("H21.23", endpoint=address)
            assert await hub.hub.delivery._round("H21.23") > 1
            assert local.bodies == []
            await hub.hub.administration.resume("H21.23")
            await until(lambda: delivered(hub, accepted.number))


async def test_recall_while_an_endpoint_takes_the_document_follows_it(hub: RunningHub) -> None:
    came, goes = asyncio.Event(), asyncio.Event()

    async def answer(request: web.Request, body: bytes) -> web.StreamResponse:
        came.set()
        await goes.wait()
        return await takes(request, body)

    local = Scripted(answer)
    async with local.served() as address:
        await hub.agency("H21.23", endpoint=address)
        async with await hub.agency("H21.16") as sender:
            document = sender.document(["H21.23"], "22")
            accepted = await sender.send(sender.sealed(document))
            await came.wait()
            name = document.header.document_id
            recall = await sender.report(sender.sealed(sender.status(13, name, "H21.16", "gửi nhầm")))
            assert the_row(hub, accepted.number).state == "withdrawn"
            goes.set()
            await until(lambda: delivered(hub, recall.number))
    assert local.actions == ["SendDocument", "UpdateTraces"]
    assert delivered(hub, accepted.number)
