"""What a refusal must leave behind (an answer, a line, an event) and what it must not (anything of the message)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from protocol.edxml.writer import write_envelope
from protocol.errors import ErrorKind, ExchangeError
from protocol.model import Document
from protocol.receipts import Leaf, decode_leaf
from protocol.seal import seal
from tests.support.agency import AgencyClient, Attached
from tests.support.log_lines import Line, captured
from tests.support.running_hub import RunningHub

PATIENCE = 60.0
"""Seconds."""
CONTENT = "chim-sáo-mỏ-ngà"
"""Stands in every text of the documents here; no log line and no event may say it."""
_numbers = count(1)


@dataclass(frozen=True)
class Held:
    """All that the hub has stored: rows by table, octets by file below the payload folder."""

    rows: dict[str, int]
    files: dict[str, int]


def held(hub: RunningHub) -> Held:
    """The hub's store as it is now."""
    ledger = hub.hub.ledger
    tables = ("messages", "deliveries", "payloads", "segments", "agencies", "certificates", "invitations")
    rows = {table: ledger._reading.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables}
    folder = hub.hub.configuration.data / "payloads"
    files = {str(path.relative_to(folder)): path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    return Held(rows, files)


def half_stored(hub: RunningHub) -> list[str]:
    """Files that no row answers for: parts, octets behind the committed end of a segment, strays.

    Not the complete uploads: they wait for their document, and are another name of the same file once it has come.
    """
    committed = dict(hub.hub.ledger._reading.execute("SELECT segment, length FROM segments").fetchall())
    large = {row[0].hex() for row in hub.hub.ledger._reading.execute("SELECT sha256 FROM payloads WHERE segment = 0")}
    found = []
    for name, size in held(hub).files.items():
        path = Path(name)
        match path.parts[0]:
            case "segments":
                known = committed.get(int(path.stem), 0) == size
            case "large":
                known = path.name in large
            case "uploads":
                known = not name.endswith(".part")
            case _:
                known = False
        if not known:
            found.append(name)
    return found


def events(hub: RunningHub, start: int = 0) -> list[Leaf]:
    """The evidence log from leaf `start` on."""
    rows = hub.hub.ledger._reading.execute("SELECT data FROM events WHERE leaf >= ? ORDER BY leaf", (start,))
    return [decode_leaf(row[0]) for row in rows.fetchall()]


class Stage:
    """A hub with a sender and a recipient, and the log of everything they do."""

    def __init__(self, hub: RunningHub, sender: AgencyClient, recipient: AgencyClient, lines: list[Line]) -> None:
        self.hub = hub
        self.sender = sender
        self.recipient = recipient
        self.lines = lines

    def document(
        self, attachments: list[Attached] | None = None, *, to: tuple[str, ...] = (), **changes: object
    ) -> Document:
        """A document that is good until `changes` say otherwise; its number is fresh."""
        changes = {"subject": f"V/v {CONTENT}", **changes}
        recipients = list(to) or [self.recipient.code]
        return self.sender.document(recipients, str(next(_numbers)), attachments, **changes)

    def unsealed(self, attachments: list[Attached] | None = None, **changes: Any) -> etree._Element:
        """The tree of such a document, to be spoilt before it is sealed."""
        return etree.fromstring(write_envelope(self.document(attachments, **changes), envelope_id="id-1"))

    def sealed(self, tree: etree._Element) -> bytes:
        """The sender's own true seal over whatever the tree says."""
        return seal(etree.tostring(tree), self.sender.signer)

    def named(self, line: Line, *, proved: bool = True) -> None:
        """The audit line says whose request it was: the agency that proved itself, or the one that it claims to be."""
        said = (line["agency"], line.get("claimed"), line["remote"])
        assert said == ((self.sender.code, None, "127.0.0.1") if proved else ("", self.sender.code, "127.0.0.1"))

    async def refused(
        self, attempt: Awaitable[object], kind: ErrorKind, element: str | None = None, *, event: bool | None = None
    ) -> ExchangeError:
        """The attempt ends in a fault of this kind, an audit line, an event, and nothing stored."""
        before, leaves = held(self.hub), self.hub.hub.ledger.log.size
        self.lines.clear()
        with pytest.raises(ExchangeError) as caught:
            await attempt
        assert (caught.value.kind.code, caught.value.element) == (kind.code, element or caught.value.element)
        await self.nothing_kept(kind, before, leaves, event=not kind.temporary if event is None else event)
        return caught.value

    async def nothing_kept(self, kind: ErrorKind, before: Held, leaves: int, *, event: bool) -> None:
        """The traces that a refusal leaves are the right ones; afterwards a good document is accepted as ever."""
        audit = [line for line in self.lines if line["event"] == "refused"]
        assert [line["code"] for line in audit] == [kind.code]
        self.named(audit[0], proved=event or "claimed" not in audit[0])
        refusals = events(self.hub, leaves)
        assert [(leaf.type, leaf.agency, leaf.reason) for leaf in refusals] == [
            ("refused", self.sender.code, kind.code)
        ] * event
        assert CONTENT not in repr(self.lines) + repr(refusals)
        assert held(self.hub) == before
        assert half_stored(self.hub) == []
        accepted = await self.sender.send(self.sealed(self.unsealed()))
        assert not accepted.repeated


@asynccontextmanager
async def stage(
    folder: Path,
    *,
    now: Callable[[], datetime] | None = None,
    settings: dict[str, str] | None = None,
) -> AsyncIterator[Stage]:
    """A running hub with two agencies; `settings` replaces lines `key = …` of hub.toml."""
    async with AsyncExitStack() as stack:
        lines = stack.enter_context(captured())
        running = RunningHub(folder, now)
        path = folder / "hub.toml"
        for key, value in (settings or {}).items():
            text = path.read_text()
            old = next(line for line in text.splitlines() if line.startswith(f"{key} = "))
            path.write_text(text.replace(old, f"{key} = {value}"))
        hub = await stack.enter_async_context(running)
        sender = await stack.enter_async_context(await hub.agency("H21.16"))
        recipient = await stack.enter_async_context(await hub.agency("H21.23"))
        yield Stage(hub, sender, recipient, lines)


async def until(condition: Callable[[], bool]) -> None:
    """Return when the condition holds; fails when it never does."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "what the test waits for never came"
        await asyncio.sleep(0.005)
