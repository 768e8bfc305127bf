"""The edge agent under faults, between a local system, a live hub and another agency.

What must hold, whatever died, failed or was cut:

* what the edge acknowledged to the local system, or moved to `done/`, reaches the other agency exactly once,
  byte-identical; a file is in exactly one place, and its receipt lies beside it;
* what the other agency sends arrives in `incoming/` exactly once, byte-identical, with its receipt; so does each
  notice and status; the hub hears of each arrival once;
* every receipt proves what it should, and the hub's history that the edge saw is one;
* nothing is refused, held, or left half done.
"""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import time
import tomllib
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from weakref import WeakKeyDictionary

import pysqlite3

import edge_agent.service
from edge_agent import configuration
from edge_agent import join as joining
from edge_agent.backoff import Backoff
from edge_agent.bridge import outgoing_folder
from edge_agent.places import Places
from edge_agent.service import EdgeAgent
from edge_agent.tokens import make_token
from hub.service import Hub
from protocol.errors import ExchangeError
from protocol.exchange import Summary
from protocol.model import Document
from runtime import logs, service
from runtime.database import Connection, connect
from tests.faults import agency, papers, province
from tests.faults.agency import AgencyClient, Steady
from tests.faults.evidence import Records, history_is_one, mailbox
from tests.faults.local_system import LocalSystem, drop, package_a, sidecar, visible
from tests.faults.papers import Paper
from tests.faults.runs import Stage, StuckError, ViolationError, supervised, together

EDGE: Final = "H21.1"
PEER: Final = "H21.3"
RECEIPT: Final = "bien-nhan.tlog-proof"
REGISTERED: Final = 3
OUTGOING: Final = {1: 2_000, 2: 300_000, 3: 4_000, 4: 6_000, 5: 700}
"""Documents of the edge's agency: number → octets of the attachment. 1 and 2 by package B, the others by folder."""
INCOMING: Final = {11: 3_000, 12: 300_000}
"""Documents of the other agency."""
FILES: Final = ("3.edxml", "4.json", "4.pdf", "5.json", "5.pdf")


class EdgeScenario:
    """The workload."""

    name = "edge"
    imports: Sequence[str] = ("tests.faults.edge_scenario",)
    target = "tests.faults.edge_scenario:run_edge"

    def __init__(self) -> None:
        self.vkey = ""
        self.token = ""
        self.hub = Path()
        self.peer: AgencyClient | None = None
        self.sent: list[Paper] = []
        self._first: WeakKeyDictionary[Stage, int] = WeakKeyDictionary()

    async def prepare(self, folder: Path) -> None:
        keep, self.hub = folder.parent / "keys", folder.parent / "hub"
        keep.mkdir()
        founded = await province.found(self.hub, keep, [PEER])
        member, self.vkey = founded.members[PEER], founded.vkey
        self.peer = AgencyClient(PEER, member.signer, member.tls)
        self.sent = [
            papers.paper(number, self.peer.signer, PEER, [EDGE], _attachment(number, size))
            for number, size in INCOMING.items()
        ]
        places = Places(folder)
        hub = Hub(province.load(self.hub))
        await hub.start()
        try:
            code = await hub.administration.add(EDGE, "Cơ quan thử")
            await joining.join(places, f"https://{province.HOST}:{hub.port}", code, now=datetime.now(UTC))
        finally:
            await hub.stop()
        self.token = make_token(places.token_hash)
        drop(places.outgoing / "3.edxml", package_a(_document(3), _attachment(3, OUTGOING[3])))
        _drop_pdf(places, 4)

    def arguments(self, stage: Stage) -> dict[str, Any]:
        return {"root": str(stage.root), "port": stage.port, "hub_port": stage.peer_port}

    async def play(self, stage: Stage) -> None:
        records = Records(self.vkey)
        try:
            async with AsyncExitStack() as stack:
                async with supervised(stage):
                    await self._local(stage)  # the hub is away: everything is taken, nothing is sent
                    peer = await stack.enter_async_context(self._hub_and_peer(stage))
                    await together([self._other(records, peer), self._knows_document_one(stage)])
                    await _settled(stage)
                stage.last_start()
                await self._knows_document_one(stage)
                await _settled(stage)
                await _told(stage)
                if left := await peer.pending():
                    raise ViolationError(f"{PEER} confirmed everything and finds {left}")
                await history_is_one(records, peer)
        except ExchangeError as error:
            raise ViolationError(f"{error} {error.details}") from error
        assert stage.child
        stage.child.terminate()
        if (ended := await stage.child.wait(20)) != 0:
            raise ViolationError(f"the edge ended with {ended} when it was asked to stop")
        self._archive_is_whole(Places(stage.root), records)

    @asynccontextmanager
    async def _hub_and_peer(self, stage: Stage) -> AsyncIterator[AgencyClient]:
        """The hub comes, on a folder of its own for this run, and the other agency with it."""
        assert self.peer
        shutil.copytree(self.hub, stage.folder / "hub")
        place = {"root": str(stage.folder / "hub"), "port": stage.peer_port}
        hub = stage.zygote.fork("tests.faults.province:run_hub", place, log=stage.folder / "hub.log")
        try:
            async with self.peer.on(Steady(stage.peer_port)) as peer:
                yield peer
        finally:
            hub.kill()

    async def _local(self, stage: Stage) -> None:
        """The local system: two documents by package B, one more by folder."""
        system = LocalSystem(stage, EDGE, self.token)
        self._first[stage] = await system.send(_document(1), _attachment(1, OUTGOING[1]))
        for path in _drop_pdf(Places(stage.root), 5):
            stage.plant(path)
        await system.send(_document(2, priority=3), _attachment(2, OUTGOING[2]))

    async def _knows_document_one(self, stage: Stage) -> None:
        """Sent again, it is the same document."""
        again = await LocalSystem(stage, EDGE, self.token).send(_document(1), _attachment(1, OUTGOING[1]))
        if again != self._first[stage]:
            raise ViolationError(f"document 1 was taken as {self._first[stage]} and as {again}")

    async def _other(self, records: Records, peer: AgencyClient) -> None:
        """The other agency: sends, receives, reports, and hears that its own arrived."""
        for paper in self.sent:
            accepted = await peer.send(paper)
            records.accepted[paper.document_id] = accepted
            records.proves(accepted.receipt)
        due = {_document(number).header.document_id: number for number in OUTGOING}
        own = Counter(paper.document_id for paper in self.sent)
        heard: Counter[str] = Counter()
        async for message in mailbox(peer, len(due) + own.total()):
            if message.kind == "notice":
                records.proves(message.receipt)
                heard[message.document_id] += 1
                continue
            if message.document_id not in due:
                raise ViolationError(f"{PEER} got {message.document_id}, which nobody sent")
            await _compare(records, peer, message, due[message.document_id])
        if heard != own:
            raise ViolationError(f"{PEER} heard of {heard}, and sent {own}")
        about = papers.paper(1, peer.signer, EDGE, [PEER], {})
        await peer.report(papers.status(peer.signer, PEER, about, REGISTERED))

    def _archive_is_whole(self, places: Places, records: Records) -> None:
        _files_are_done(places, records)
        self._folders_arrived(places, records)
        database = pysqlite3.connect(str(places.database))
        try:
            _database_is_sound(database, records)
            _payloads_are_whole(places.payloads, database)
        finally:
            database.close()

    def _folders_arrived(self, places: Places, records: Records) -> None:
        """One folder for each message, with the very octets."""
        papers_due = {paper.document_id: paper for paper in self.sent}
        arrived: Counter[tuple[str, str]] = Counter()
        for folder in visible(places.incoming):
            leaf = records.proves((folder / RECEIPT).read_text())
            if (folder / "van-ban.edxml").exists():
                arrived["document", leaf.document_id] += 1
                paper = papers_due[leaf.document_id]
                files = {_sha256(path.read_bytes()) for path in folder.glob("*.pdf")}
                if leaf.digest != paper.digest or files != {_sha256(data) for data in paper.attachments.values()}:
                    raise ViolationError(f"{folder.name} holds other octets than were sent")
            else:
                said = tomllib.loads((folder / "trang-thai.toml").read_text())
                arrived[said["StatusCode"], said["DocumentId"]] += 1
        own = [_document(number).header.document_id for number in OUTGOING]
        due = Counter([("document", name) for name in papers_due] + [("01", name) for name in own] + [("03", own[0])])
        if arrived != due:
            raise ViolationError(f"incoming/ has {arrived - due} too much and lacks {due - arrived}")


def run_edge(root: str, port: int, hub_port: int) -> None:
    """The program under test: `lienthong-edge serve`, with the waits of a test."""
    logs.configure("info", json=True)
    _shorten_waits()
    places = Places(Path(root))
    loaded = configuration.load(places)
    config = configuration.EdgeConfig(
        agency=loaded.agency,
        hub=configuration.Hub(
            url=f"https://{province.HOST}:{hub_port}",
            poll_wait=0.5,
            retry_first=0.02,
            retry_longest=0.1,
            upload_from=200_000,
        ),
        local=configuration.Local(port=port, pull=False),
        folders=configuration.Folders(interval=0.03),
        limits=configuration.Limits(disk_free=0),
    )
    agent = EdgeAgent(places, config)
    service.run(agent.run, loop_factory=asyncio.new_event_loop)


def _shorten_waits() -> None:
    """Waits of half a minute say nothing about faults."""
    for module, name, value in (
        (edge_agent.service, "RESTART", 0.1),
        (edge_agent.service, "LOCAL", Backoff(first=0.02, longest=0.2)),
        (outgoing_folder, "RETRY", Backoff(first=0.05, longest=0.2)),
    ):
        assert hasattr(module, name)
        setattr(module, name, value)


async def _settled(stage: Stage) -> None:
    """Nothing is on its way any more; a death on the way there is repaired."""
    places = Places(stage.root)
    deadline = time.monotonic() + agency.PATIENCE
    while unsettled := _unsettled(places):
        if time.monotonic() > deadline:
            raise StuckError(f"the edge does not settle: {unsettled}")
        if not stage.fell():
            await asyncio.sleep(0.01)


async def _told(stage: Stage) -> None:
    """The hub has heard of every arrival; nothing strikes any more, and the edge is about to be stopped."""
    places = Places(stage.root)
    deadline = time.monotonic() + agency.PATIENCE
    while _untold(places):
        if time.monotonic() > deadline:
            raise StuckError("the hub does not hear of what arrived")
        await asyncio.sleep(0.01)


def _untold(places: Places) -> int:
    database = connect(places.database, read_only=True)
    try:
        count: int = database.execute("SELECT count(*) FROM inbox WHERE state <> 'DA_XAC_NHAN'").fetchone()[0]
        return count
    finally:
        database.close()


def _unsettled(places: Places) -> str:
    """What is not where it belongs yet; "" when everything is."""
    waiting = sorted(path.name for path in places.outgoing.iterdir())
    arrived = sorted(path.name for path in places.incoming.iterdir())
    whole = len(arrived) >= len(INCOMING) + len(OUTGOING) + 1 and not any(name.startswith(".") for name in arrived)
    return "" if whole and not waiting else f"outgoing/ holds {waiting}, incoming/ {arrived}"


async def _compare(records: Records, peer: AgencyClient, message: Summary, number: int) -> None:
    """One document at the other agency, compared octet by octet, its receipt proved."""
    records.got(PEER, message)
    received = await peer.fetch(message.number)
    sent = sorted(_sha256(data) for data in _attachment(number, OUTGOING[number]).values())
    if sorted(received.attachments.values()) != sent:
        raise ViolationError(f"{PEER} got document {number} with other octets than were sent")
    leaf = records.proves(received.receipt)
    if (leaf.digest, leaf.number, leaf.sender) != (received.digest, message.number, EDGE):
        raise ViolationError(f"the receipt of document {number} proves {leaf}")


def _files_are_done(places: Places, records: Records) -> None:
    """Each dropped file is in done/ and nowhere else, unchanged, its receipt beside it."""
    beside = {"3.edxml", "4.pdf", "5.pdf"}
    found = {path.name for path in visible(places.done)}
    if found != {*FILES, *(f"{name}.{RECEIPT}" for name in beside)}:
        raise ViolationError(f"done/ holds {sorted(found)}")
    if left := [*places.failed.iterdir(), *places.outgoing.iterdir()]:
        raise ViolationError(f"left in outgoing/ or failed/: {left}")
    for number in (4, 5):
        if (places.done / f"{number}.pdf").read_bytes() != _pdf(number):
            raise ViolationError(f"{number}.pdf was changed on its way to done/")
    for name in beside:
        leaf = records.proves((places.done / f"{name}.{RECEIPT}").read_text())
        if leaf.type != "accepted" or leaf.document_id != _document(int(name[0])).header.document_id:
            raise ViolationError(f"the receipt beside {name} proves {leaf}")


def _database_is_sound(database: Connection, records: Records) -> None:
    if (sound := database.execute("PRAGMA integrity_check").fetchone()[0]) != "ok":
        raise ViolationError(f"the database is damaged: {sound}")
    counts = dict(database.execute("SELECT 'outbox ' || state, count(*) FROM outbox GROUP BY state"))
    counts |= dict(database.execute("SELECT 'inbox ' || state, count(*) FROM inbox GROUP BY state"))
    counts |= dict(database.execute("SELECT 'handover ' || state, count(*) FROM handover GROUP BY state"))
    messages = len(INCOMING) + len(OUTGOING) + 1
    wanted = {"outbox DA_GUI": len(OUTGOING), "inbox DA_XAC_NHAN": messages, "handover XONG": messages}
    if counts != wanted:
        raise ViolationError(f"the database says {counts}")
    for number, digest, receipt in database.execute("SELECT hub_number, digest, receipt FROM outbox"):
        leaf = records.proves(receipt)
        if (leaf.number, leaf.digest) != (number, digest):
            raise ViolationError(f"the receipt of outbox item {number} proves {leaf}")


def _payloads_are_whole(folder: Path, database: Connection) -> None:
    known = dict(database.execute("SELECT sha256, size FROM outbox_attachments"))
    known |= dict(database.execute("SELECT sha256, size FROM inbox_attachments"))
    stored = {path.parent.name + path.name: path for path in folder.rglob("*") if path.is_file()}
    if stored.keys() != known.keys():
        raise ViolationError(f"payloads not as in the database: {sorted(stored.keys() ^ known.keys())}")
    if damaged := [name for name, path in stored.items() if _sha256(path.read_bytes()) != name]:
        raise ViolationError(f"payloads damaged on the disk: {damaged}")


def _document(number: int, priority: int = 0) -> Document:
    attachments = _attachment(number, OUTGOING[number])
    return papers.draft(number, EDGE, [PEER], attachments, priority=priority)


def _attachment(number: int, size: int) -> dict[str, bytes]:
    return {f"a{number}": _pdf(number) if size == OUTGOING.get(number) else papers.octets(str(number), size)}


def _pdf(number: int) -> bytes:
    return b"%PDF-1.7\n" + papers.octets(str(number), OUTGOING[number])


def _drop_pdf(places: Places, number: int) -> list[Path]:
    files = {f"{number}.pdf": _pdf(number), f"{number}.json": sidecar(number, PEER)}
    for name, data in files.items():
        drop(places.outgoing / name, data)
    return [places.outgoing / name for name in files]


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
