"""The agent calls the local system's own package B service through zeep: whole, once, and a refusal is never lost."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web
from edge_stage import PDF, A, B, Province, eventually, now, octets, province

from edge_agent import configuration, control
from protocol import agency_codes, errors
from protocol.errors import ExchangeError
from protocol.exchange import Accepted, Caller, Submission, Upload
from protocol.http.package_b import PackageB, mount
from protocol.model import Document, Organization, StatusMessage
from protocol.twin import Twin

TOKEN = "mã của QLVB"
DOCUMENT_ID = "H21.16,2026/11/20,123/SVDA-VP"
SETTINGS = {"retry_first": 0.05, "retry_longest": 0.2, "timeout": 10}


@dataclass
class LocalSystem:
    """A vendor's document system: takes documents and statuses by package B, for one token."""

    address: str = ""
    documents: list[tuple[Document, dict[str, bytes]]] = field(default_factory=list)
    statuses: list[StatusMessage] = field(default_factory=list)
    answer: Callable[[], Awaitable[None]] | None = None
    """What happens before a document is taken; may raise."""
    answers_lost: int = 0
    """So many documents are taken without the answer getting through."""
    organ_ids: set[str] = field(default_factory=set)

    async def authenticate(self, _request: web.Request, organ_id: str, token: str) -> Caller:
        self.organ_ids.add(organ_id)
        if token != TOKEN:
            raise ExchangeError(errors.UNAUTHENTICATED)
        return Caller(agency=A, proof="token")  # everything that this agent brings comes from A

    async def send(self, _caller: Caller, submission: Submission, uploads: AsyncIterator[Upload]) -> Accepted:
        document = submission.message
        if self.answer is not None:
            await self.answer()
        files = {upload.content_id: b"".join([chunk async for chunk in upload]) async for upload in uploads}
        names = {reference.content_id: reference.attachment_name for reference in document.references}
        if document.header.document_id in {one.header.document_id for one, _ in self.documents}:
            raise ExchangeError(errors.DOCUMENT_CONFLICT)  # M.Exist, also for an update: an old system
        self.documents.append((document, {names[content_id]: data for content_id, data in files.items()}))
        if len(self.documents) <= self.answers_lost:
            raise ConnectionResetError
        return Accepted(number=len(self.documents), document_id=document.header.document_id)

    async def report(self, _caller: Caller, submission: Submission) -> Accepted:
        self.statuses.append(submission.message)
        return Accepted(number=len(self.statuses), document_id="")


@asynccontextmanager
async def local_system(*, describe: bool = True) -> AsyncIterator[LocalSystem]:
    system = LocalSystem()
    twin = Twin([Organization(organ_id=A)], now)
    twin.send, twin.report = system.send, system.report  # type: ignore[method-assign]
    app = web.Application()
    package = PackageB(twin, system.authenticate, clock=now)
    if describe:
        mount(app, "/ws", package)
    else:
        app.router.add_post("/ws", package.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    system.address = f"http://127.0.0.1:{runner.addresses[0][1]}/ws"
    try:
        yield system
    finally:
        await runner.cleanup()


async def bridged(gialai: Province, system: LocalSystem, tmp_path: Path, **changes: str):
    """B's agent, which hands everything to its local system."""
    token = tmp_path / "token"
    token.write_text(f"{TOKEN}\n", "utf-8")
    token.chmod(0o600)
    soap = configuration.Soap(address=system.address, token_file=token, **SETTINGS, **changes)
    return await gialai.edge(B, soap=soap)


async def test_documents_and_statuses_are_handed_over_byte_identical(tmp_path: Path):
    async with province() as gialai, local_system() as system:
        a, b = await gialai.edge(A), await bridged(gialai, system, tmp_path)
        attachment = b"\r\n\r\n" + octets(400_000) + b"\r\n\r\n"
        a.drop("văn bản.pdf", attachment)
        await eventually(lambda: system.documents, "handed over")
        ((document, files),) = system.documents
        assert files == {"văn bản.pdf": attachment}
        assert document.header.subject == "V/v thử nghiệm gửi nhận văn bản điện tử"
        assert [agency_codes.canonical(one) for one in system.organ_ids] == [B]
        line = f'DocumentId = "{DOCUMENT_ID}"\nStatusCode = 13\nDescription = "Gửi nhầm"\n'
        (a.places.outgoing / "thu-hoi.status.toml").write_text(line, "utf-8")
        await eventually(lambda: system.statuses, "the recall request")
        assert (system.statuses[0].status_code, system.statuses[0].description) == (13, "Gửi nhầm")
        await eventually(lambda: b.agent.store.handovers.one(2, "soap").state == "XONG")
        assert len(system.documents) == len(system.statuses) == 1


async def test_a_local_system_without_wsdl_is_called_by_our_own_description(tmp_path: Path):
    async with province() as gialai, local_system(describe=False) as system:
        a, _ = await gialai.edge(A), await bridged(gialai, system, tmp_path)
        a.drop("a.pdf", PDF)
        await eventually(lambda: system.documents, "handed over")


async def test_a_local_system_that_is_away_gets_it_later_and_once(tmp_path: Path):
    async with province() as gialai, local_system() as system:
        failures = []

        async def twice_busy() -> None:
            if len(failures) < 2:
                failures.append(1)
                raise ExchangeError(errors.BUSY)

        system.answer = twice_busy
        a, b = await gialai.edge(A), await bridged(gialai, system, tmp_path)
        a.drop("a.pdf", PDF)
        await eventually(lambda: system.documents, "handed over at the third try")
        await eventually(lambda: b.agent.store.handovers.one(1, "soap").state == "XONG")
        assert len(failures) == 2
        assert len(system.documents) == 1
        assert len(b.incoming()) == 1  # the folder did not wait for the other route


async def test_a_refusal_is_kept_and_shown_until_a_person_releases_it(tmp_path: Path):
    async with province() as gialai, local_system() as system:

        async def refuse() -> None:
            raise ExchangeError(errors.ELEMENT_TOO_LONG, element="MessageHeader.Subject")

        system.answer = refuse
        a, b = await gialai.edge(A), await bridged(gialai, system, tmp_path)
        a.drop("a.pdf", PDF)
        await eventually(b.agent.store.handovers.refusals, "the refusal is kept")
        (refusal,) = b.agent.store.handovers.refusals()
        assert (refusal.error_code, refusal.state) == ("element.range", "TU_CHOI")
        await eventually(b.agent.store.watch.alarms, "the alarm follows the refusal")
        assert [alarm.kind for alarm in b.agent.store.watch.alarms()] == ["handover-soap-1"]
        system.answer = None
        await asyncio.to_thread(control.ask_release, b.places, 1, "soap")
        await eventually(lambda: system.documents, "handed over after the release")
        await eventually(lambda: not b.agent.store.watch.alarms(), "the alarm is over")


async def test_exists_already_means_that_an_earlier_try_arrived(tmp_path: Path):
    async with province() as gialai, local_system() as system:
        system.answers_lost = 1
        a, b = await gialai.edge(A), await bridged(gialai, system, tmp_path)
        a.drop("a.pdf", PDF)
        await eventually(lambda: b.agent.store.inbox.count("document"), "arrival")
        await eventually(lambda: b.agent.store.handovers.one(1, "soap").state == "XONG")
        assert b.agent.store.handovers.one(1, "soap").begun == 2
        assert len(system.documents) == 1


async def test_exists_already_at_the_first_try_is_a_refusal_that_a_person_sees(tmp_path: Path):
    async with province() as gialai, local_system() as system:

        async def exists() -> None:
            raise ExchangeError(errors.DOCUMENT_CONFLICT)

        system.answer = exists
        a, b = await gialai.edge(A), await bridged(gialai, system, tmp_path)
        a.drop("a.pdf", PDF)
        (refusal,) = await eventually(b.agent.store.handovers.refusals, "the refusal is kept")
        assert refusal.error_code == "document.conflict"
        await eventually(b.agent.store.watch.alarms, "the alarm")
        assert [alarm.kind for alarm in b.agent.store.watch.alarms()] == ["handover-soap-1"]


async def test_an_update_that_an_old_system_refuses_as_existing_is_not_lost(tmp_path: Path):
    """QCVN 102:2016: BussinessDocType 2; the id is the first document's, which the system has."""
    async with province() as gialai, local_system() as system:
        a, b = await gialai.edge(A), await bridged(gialai, system, tmp_path)
        a.drop("a.pdf", PDF)
        await eventually(lambda: b.agent.store.inbox.count("document"), "arrival")
        await eventually(lambda: b.agent.store.handovers.one(1, "soap").state == "XONG", "the first is handed over")
        first = {"OrganId": A, "Code": "123/SVDA-VP", "PromulgationDate": "2026-11-20", "DocumentId": DOCUMENT_ID}
        a.drop("b.pdf", PDF + b"2", BussinessDocType=2, BussinessDocReason="Sửa lỗi", ResponseFor=[first])
        (refusal,) = await eventually(b.agent.store.handovers.refusals, "the update is kept")
        assert (refusal.error_code, refusal.state) == ("document.conflict", "TU_CHOI")
        await eventually(b.agent.store.watch.alarms, "the alarm")
        # and again when an earlier try was under way: what exists is the document, not its update
        await asyncio.to_thread(control.ask_release, b.places, refusal.inbox, "soap")
        await eventually(lambda: b.agent.store.handovers.one(refusal.inbox, "soap").state == "TU_CHOI", "refused again")
        assert len(system.documents) == 1


WITHOUT_SERVICE = b"""<?xml version="1.0"?>
<definitions xmlns="http://schemas.xmlsoap.org/wsdl/" targetNamespace="urn:qlvb" name="QLVB">
  <message name="Nothing"/><portType name="Port"/></definitions>"""


async def test_a_local_wsdl_without_a_service_is_replaced_by_our_own_description(tmp_path: Path):
    async with province() as gialai, local_system(describe=False) as system:

        async def description(_request: web.Request) -> web.Response:
            return web.Response(body=WITHOUT_SERVICE, content_type="text/xml")

        runner = web.AppRunner(app := web.Application())
        app.router.add_get("/wsdl", description)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        address = f"http://127.0.0.1:{runner.addresses[0][1]}/wsdl"
        a, _ = await gialai.edge(A), await bridged(gialai, system, tmp_path, wsdl=address)
        a.drop("a.pdf", PDF)
        await eventually(lambda: system.documents, "handed over")
        await runner.cleanup()


async def test_a_local_system_that_goes_on_failing_is_told_and_works_again(tmp_path: Path):
    async with province() as gialai, local_system() as system:

        async def busy() -> None:
            raise ExchangeError(errors.BUSY)

        system.answer = busy
        a, b = await gialai.edge(A), await bridged(gialai, system, tmp_path)
        a.drop("a.pdf", PDF)
        (alarm,) = await eventually(b.agent.store.watch.alarms, "the alarm")
        assert alarm.kind == "handover-soap"
        system.answer = None
        await eventually(lambda: system.documents, "handed over")
        await eventually(lambda: not b.agent.store.watch.alarms(), "the alarm is over")


async def test_zeep_is_loaded_only_for_agencies_that_need_it():
    program = "import sys, edge_agent.service; print('zeep' in sys.modules, 'jinja2' in sys.modules)"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    assert output.split() == [b"False", b"False"]
