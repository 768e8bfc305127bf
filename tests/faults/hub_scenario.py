"""The hub under faults: two agencies send, two receive and report, all of them going on until they hold their proof.

What must hold, whatever died, failed or was cut (AC-8.2c-1, AC-8.2c-6):

* an acknowledged document reaches each recipient exactly once, byte-identical, and each delivery is told exactly once;
* nothing that was confirmed comes back; every mailbox ends empty;
* the same message gets the same number and the same evidence, however often it is sent;
* every receipt proves what it should, and every checkpoint that anyone saw is consistent with the last one;
* errors are of the vocabulary, temporary, and nothing is acknowledged with them;
* nothing half done stays on the disk, and the ledger is sound.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pysqlite3

from protocol.errors import ExchangeError
from protocol.exchange import Summary
from tests.faults import papers
from tests.faults.agency import AgencyClient, codes
from tests.faults.evidence import Records, history_is_one, mailbox
from tests.faults.papers import Paper
from tests.faults.province import Province, found
from tests.faults.runs import Stage, ViolationError, together

SENDERS: Final = ("H21.1", "H21.2")
RECIPIENTS: Final = ("H21.3", "H21.4")
ARRIVED: Final = 1
REGISTERED: Final = 3


class HubScenario:
    """The workload."""

    name = "hub"
    imports: Sequence[str] = ("tests.faults.province", "hub.service", "protocol.native")
    target = "tests.faults.province:run_hub"

    def __init__(self) -> None:
        self.province: Province | None = None
        self.papers: list[Paper] = []
        self.clients: dict[str, AgencyClient] = {}

    async def prepare(self, folder: Path) -> None:
        keep = folder.parent / "keys"
        keep.mkdir()
        self.province = await found(folder, keep, (*SENDERS, *RECIPIENTS))
        members = self.province.members
        self.clients = {code: AgencyClient(code, one.signer, one.tls) for code, one in members.items()}
        self.papers = _papers(self.clients)

    def arguments(self, stage: Stage) -> dict[str, Any]:
        return {"root": str(stage.root), "port": stage.port}

    async def play(self, stage: Stage) -> None:
        assert self.province
        records = Records(self.province.vkey)
        try:
            async with contextlib.AsyncExitStack() as stack:
                clients = {code: await stack.enter_async_context(one.on(stage)) for code, one in self.clients.items()}
                await self._exchange(records, clients)
                stage.last_start()
                await _nothing_waits(clients)
                await history_is_one(records, clients[SENDERS[0]])
                _receipts_prove(records, self.papers)
        except ExchangeError as error:
            raise ViolationError(f"{error} {error.details}") from error
        assert stage.child
        stage.child.terminate()
        if (ended := await stage.child.wait(20)) != 0:
            raise ViolationError(f"the hub ended with {ended} when it was asked to stop")
        _disk_is_clean(stage.root, self.papers)

    async def _exchange(self, records: Records, clients: dict[str, AgencyClient]) -> None:
        """Senders at the same time, recipients at the same time as the senders."""
        jobs = [
            *(self._send(records, clients[code]) for code in SENDERS),
            *(self._receive(records, clients[code]) for code in RECIPIENTS),
        ]
        await together(jobs)
        for code in SENDERS:
            await self._hear(records, clients[code])

    async def _send(self, records: Records, client: AgencyClient) -> None:
        mine = [paper for paper in self.papers if paper.sender == client.code]
        for paper in [*mine, mine[0]]:
            accepted = await client.send(paper)
            earlier = records.accepted.setdefault(paper.document_id, accepted)
            if (earlier.number, earlier.receipt) != (accepted.number, accepted.receipt):
                raise ViolationError(f"{paper.name} was accepted as {earlier.number} and as {accepted.number}")
            records.proves(accepted.receipt)

    async def _receive(self, records: Records, client: AgencyClient) -> None:
        due = {paper.document_id: paper for paper in self.papers if client.code in paper.recipients}
        async for message in mailbox(client, len(due)):
            paper = due.get(message.document_id)
            if paper is None or message.kind != "document":
                raise ViolationError(f"{client.code} has {codes([message])} in its mailbox, which is not for it")
            await _fetch(records, client, message, paper)
        for paper in due.values():
            if paper.sender == SENDERS[0]:
                accepted = await client.report(papers.status(client.signer, client.code, paper, REGISTERED))
                records.proves(accepted.receipt)

    async def _hear(self, records: Records, client: AgencyClient) -> None:
        """A notice for each delivery, a status for each report, each exactly once."""
        due = Counter(
            (kind, paper.document_id, recipient)
            for paper in self.papers
            if paper.sender == client.code
            for recipient in paper.recipients
            for kind in ("notice", *(("status",) if client.code == SENDERS[0] else ()))
        )
        heard: Counter[tuple[str, str, str]] = Counter()
        async for message in mailbox(client, due.total()):
            if message.kind == "notice":
                leaf = records.proves(message.receipt)
                heard[message.kind, message.document_id, leaf.recipient] += 1
            else:
                records.proves((await client.fetch(message.number)).receipt)
                heard[message.kind, message.document_id, message.sender] += 1
        if heard != due:
            raise ViolationError(f"{client.code} heard {heard - due} too much, {due - heard} never")


def _papers(clients: dict[str, AgencyClient]) -> list[Paper]:
    """Small, shared, urgent, larger than a segment takes, uploaded ahead."""
    small, large, uploaded = (
        papers.octets("small", 2_000),
        papers.octets("large", 300_000),
        papers.octets("up", 700_000),
    )
    one, two = SENDERS
    three, four = RECIPIENTS
    first, second = clients[one].signer, clients[two].signer
    return [
        papers.paper(1, first, one, (three, four), {"a": small}),
        papers.paper(2, first, one, (three,), {"b": large, "c": papers.octets("c", 10)}),
        papers.paper(3, first, one, (four,), {"a": small}),
        papers.paper(4, second, two, (three, four), {"d": papers.octets("d", 5_000)}, priority=3),
        papers.paper(5, second, two, (four,), {"e": uploaded}, uploaded=("e",)),
    ]


async def _fetch(records: Records, client: AgencyClient, message: Summary, paper: Paper) -> None:
    """One document, compared octet by octet, its receipt proved."""
    records.got(client.code, message)
    received = await client.fetch(message.number)
    sent = {name: hashlib.sha256(data).hexdigest() for name, data in paper.attachments.items()}
    if received.digest != paper.digest or received.attachments != sent:
        raise ViolationError(f"{client.code} got {paper.name} with other octets than were sent")
    leaf = records.proves(received.receipt)
    if (leaf.digest, leaf.number) != (paper.digest, message.number):
        raise ViolationError(f"the receipt of {paper.name} proves {leaf}")


async def _nothing_waits(clients: dict[str, AgencyClient]) -> None:
    for client in clients.values():
        if left := await client.pending():
            raise ViolationError(f"{client.code} confirmed everything and finds {codes(left)}")


def _receipts_prove(records: Records, sent: Sequence[Paper]) -> None:
    numbers = Counter(accepted.number for accepted in records.accepted.values())
    if twice := [number for number, count in numbers.items() if count > 1]:
        raise ViolationError(f"numbers given twice: {twice}")
    for paper in sent:
        accepted = records.accepted[paper.document_id]
        leaf = records.proves(accepted.receipt)
        told = (leaf.type, leaf.number, leaf.digest, leaf.document_id, set(leaf.recipients))
        if told != ("accepted", accepted.number, paper.digest, paper.document_id, set(paper.recipients)):
            raise ViolationError(f"the receipt of {paper.name} proves {leaf}")


def _disk_is_clean(root: Path, sent: Sequence[Paper]) -> None:
    """The ledger is sound, every payload is whole, and nothing lies about that nobody refers to."""
    data = root / "data"
    ledger = pysqlite3.connect(str(data / "ledger.sqlite"))
    try:
        if (sound := ledger.execute("PRAGMA integrity_check").fetchone()[0]) != "ok":
            raise ViolationError(f"the ledger is damaged: {sound}")
        if broken := ledger.execute("PRAGMA foreign_key_check").fetchall():
            raise ViolationError(f"the ledger refers to what is not there: {broken}")
        payloads = ledger.execute("SELECT sha256, segment, position, length FROM payloads").fetchall()
        ends = dict(ledger.execute("SELECT segment, length FROM segments").fetchall())
    finally:
        ledger.close()
    folder = data / "payloads"
    for sha256, segment, position, length in payloads:
        path = (
            folder / "segments" / f"{segment:08d}.seg"
            if segment
            else folder / "large" / sha256.hex()[:2] / sha256.hex()
        )
        stored = path.read_bytes()[position : position + length] if path.exists() else b""
        if hashlib.sha256(stored).digest() != sha256:
            raise ViolationError(f"payload {sha256.hex()} is damaged on the disk")
    known = {sha256.hex() for sha256, segment, _, _ in payloads if not segment}
    wanted = {hashlib.sha256(octets).digest() for paper in sent for octets in paper.attachments.values()}
    if {row[0] for row in payloads} != wanted:
        raise ViolationError(f"{len(payloads)} payloads are stored, {len(wanted)} were sent")
    strays = [path for path in folder.rglob("*") if path.is_file() and not _belongs(path, known, ends)]
    if strays:
        raise ViolationError(f"left half done: {', '.join(str(path.relative_to(root)) for path in strays)}")


def _belongs(path: Path, known: set[str], ends: dict[int, int]) -> bool:
    """A committed segment, a large payload, or a whole upload that a document took: the hub forgets it in time."""
    if path.parent.name == "segments":
        return path.stat().st_size == ends.get(int(path.stem), -1)
    if path.parent.name == "uploads":
        return path.name.rpartition("-")[2] in known
    return path.parent.parent.name == "large" and path.name in known
