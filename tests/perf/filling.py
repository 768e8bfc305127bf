"""A ledger that already holds very many documents, made with the product's own works and kept for later runs.

Every document is accepted (`Accept`), confirmed by its recipient and its notice by its sender (`Confirm`), through
`Ledger.do`, so tables, indexes, tree and checkpoints are what a hub would have. Made faster than a hub could: batches
are large, nothing is fsynced while the file grows, and envelope and attachment are a few octets each (their digests,
sizes and names are as usual).
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Final
from unittest.mock import patch

from certs.signers import LogSigner
from hub.configuration import FILE_NAME, HubConfiguration
from hub.ledger import writer
from hub.ledger.ledger import Ledger
from hub.ledger.records import StoredAttachment
from hub.ledger.schema import MIGRATIONS
from hub.works import Accept, Confirm, identity_of
from protocol import document_ids
from protocol.checkpoint import LogKey
from runtime import config
from runtime.database import connect
from tests.perf import stage
from tests.perf.processes import ROOT, run

CHUNK: Final = 4096
"""Documents in a batch."""


def filled(documents: int) -> tuple[Path, Path, float]:
    """(template with an empty ledger, folder with `documents` in it, seconds it took now; 0 when it was there)."""
    schema = hashlib.sha256("".join(one.statements for one in MIGRATIONS).encode()).hexdigest()[:12]
    folder = ROOT / "build" / "perf" / f"ledger-{documents}-{schema}"
    empty, full, done = folder / "empty", folder / "full", folder / "done"
    if done.exists():
        return empty, full, 0.0
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    began = time.perf_counter()
    stage.make_template(empty)
    shutil.copytree(empty, full)
    run(_fill(full, documents))
    done.touch()
    return empty, full, time.perf_counter() - began


async def _fill(folder: Path, documents: int) -> None:
    settings = config.load(folder / FILE_NAME, HubConfiguration)
    signer = LogSigner(settings.log_key)
    key = LogKey(settings.name, signer.public, signer.sign)
    with patch.object(writer, "MAXIMUM_BATCH", 2 * CHUNK), patch.object(writer, "LINGER", 0):
        ledger = Ledger(settings.data, key, lambda: int(time.time() * 1000))
        ledger._writing.execute("PRAGMA synchronous=OFF")
        ledger._writing.execute("PRAGMA cache_size=-2000000")
        ledger._writing.execute("PRAGMA wal_autocheckpoint=100000")
        senders, recipients = ([one.code for one in side] for side in stage.agencies_of(folder))
        for first in range(0, documents, CHUNK):
            await _chunk(ledger, senders, recipients, range(first, min(first + CHUNK, documents)))
        await ledger.close()


async def _chunk(ledger: Ledger, senders: Sequence[str], recipients: Sequence[str], numbers: range) -> None:
    """Some documents through their whole life."""
    pairs = list(zip(senders, recipients, strict=True))
    works = [_accept(*pairs[number % len(pairs)], number) for number in numbers]
    await asyncio.gather(*map(ledger.do, works))
    for agency in (*recipients, *senders):
        while waiting := ledger.waiting(agency, 200):
            await ledger.do(Confirm(agency=agency, numbers=tuple(one.number for one in waiting)))


def _accept(sender: str, recipient: str, number: int) -> Accept:
    document_id = document_ids.compose(sender, date(2026, 11, 20), f"A{number}/VD-VP")
    digest, sha256 = os.urandom(32), os.urandom(32)
    attachment = StoredAttachment("f1", "van-ban.pdf", "application/pdf", "", sha256, 50_000)
    return Accept(
        agency=sender,
        document_id=document_id,
        identity=identity_of("document", sender, document_id, 0, digest),
        digest=digest,
        doc_type=0,
        priority=0,
        recipients=(recipient,),
        basis="KYSO_CQ",
        envelope=b"<e/>",
        attachments=(attachment,),
        small=((sha256, b"%d" % number),),
        large=(),
    )


def query(folder: Path, statement: str) -> list[tuple[object, ...]]:
    """What the ledger of a hub folder says, read only."""
    connection = connect(folder / "data" / "ledger.sqlite", read_only=True)
    try:
        return list(connection.execute(statement))
    finally:
        connection.close()
