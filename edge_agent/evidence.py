"""`lienthong-edge receipt`: the hub's receipts of what this agency sent, as files that verify without this machine.

Beside each receipt lies the sealed document that it is about, and once the trust bundle: all that
`lienthong-certs verify` reads. Attachments are not copied; their digests stand under the seal.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from edge_agent.bridge.file_names import safe_id
from edge_agent.places import Places
from edge_agent.records import Outgoing
from edge_agent.store import Store
from edge_agent.trusting import trusted
from protocol import document_ids, errors
from protocol.errors import ExchangeError
from runtime import durable

MOST: Final = 1_000_000
"""Rows that are looked at when everything is asked for."""


class Exported(msgspec.Struct, frozen=True):
    """One receipt and its document, as files."""

    receipt: Path
    document: Path


def export(places: Places, asked: Sequence[str], folder: Path) -> list[Exported]:
    """Write the receipts of these DocumentIds (of everything that was sent when none is given) into `folder`.

    Raises `document.not-found` naming the id that has no receipt yet, `OSError`.
    """
    store = Store(places.database, read_only=True)
    try:
        rows = _rows(store, asked)
        durable.make_directory(folder)
        durable.write_file(folder / places.trust_bundle.name, trusted(places).to_json())
        return [_write(store, row, folder) for row in rows]
    finally:
        store.close()


def _rows(store: Store, asked: Sequence[str]) -> list[Outgoing]:
    """Every row with a receipt, oldest first."""
    if not asked:
        return [row for row in reversed(store.outbox.latest(MOST)) if row.state == "DA_GUI"]
    found: list[Outgoing] = []
    for document_id in asked:
        rows = [row for row in store.outbox.of_document(document_ids.key(document_id)) if row.state == "DA_GUI"]
        if not rows:
            raise ExchangeError(errors.DOCUMENT_NOT_FOUND, element=document_id)
        found += reversed(rows)
    return found


def _write(store: Store, row: Outgoing, folder: Path) -> Exported:
    name = f"{row.number}-{safe_id(row.document_id)}"
    exported = Exported(folder / f"{name}.tlog-proof", folder / f"{name}.xml")
    durable.write_file(exported.document, store.outbox.envelope(row.number))
    durable.write_file(exported.receipt, store.outbox.receipt(row.number).encode())
    return exported
