"""The folder `incoming/`: one subfolder for every message that arrived, there whole or not at all, exactly once.

    1. everything is written to incoming/.dang-ghi-<number>/ and fsynced, and so is the name of that folder
    2. the database notes SAN_SANG
    3. the folder gets its name by rename
    4. the database notes XONG

A crash before 2 starts anew; after 2, a missing hidden folder means that 3 happened, even when the local system has
taken the result away already. A failure leaves nothing behind. Octets that are not what was received are not handed
over: what lies in the archive may have been damaged since.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from edge_agent.bridge.file_names import distinct, safe_id, safe_name
from edge_agent.clock import VIETNAM, Clock
from edge_agent.messages import message_of
from edge_agent.payloads import CHUNK, Payloads, copy_durably, disk_errors
from edge_agent.places import Places
from edge_agent.records import Handover, Incoming, StoredAttachment
from edge_agent.store import Store
from protocol import errors
from protocol.errors import ExchangeError
from protocol.model import StatusMessage
from protocol.package_a import write_package_a
from runtime import durable

PACKAGE_NAMES: Final = {"document": "van-ban.edxml", "status": "trang-thai.edxml", "notice": "trang-thai.edxml"}
RECEIPT_NAME: Final = "bien-nhan.tlog-proof"
STATUS_NAME: Final = "trang-thai.toml"
RESERVED: Final = frozenset({*PACKAGE_NAMES.values(), RECEIPT_NAME, STATUS_NAME})


class IncomingFolder:
    """Hands messages over by file."""

    def __init__(self, *, places: Places, store: Store, payloads: Payloads, clock: Clock) -> None:
        self._places = places
        self._store = store
        self._payloads = payloads
        self._clock = clock

    async def hand_over(self, handover: Handover) -> None:
        """One message; what was begun is begun again after a failure.

        Raises `server.disk-full`, and `attachment.missing` or `attachment.digest` when the archive is damaged.
        """
        run, store = self._store.run, self._store
        row = await run(store.inbox.one, handover.inbox)
        staging = self._places.incoming / f".dang-ghi-{row.number}"
        if handover.state == "CHO":
            envelope = await run(store.inbox.envelope, row.number)
            receipt = await run(store.inbox.receipt, row.number)
            attachments = await run(store.inbox.attachments, row.number)
            await asyncio.to_thread(self._stage, staging, row, envelope, receipt, attachments)
            await run(store.handovers.staged, row.number, "folder", self._clock())
        with disk_errors():
            await asyncio.to_thread(_publish, staging, self._places.incoming / folder_name(row))
        await run(store.handovers.done, row.number, "folder", self._clock())

    def _stage(
        self, staging: Path, row: Incoming, envelope: bytes, receipt: str, attachments: list[StoredAttachment]
    ) -> None:
        """Everything in the hidden folder, durably, or nothing of it."""
        shutil.rmtree(staging, ignore_errors=True)
        octets = sum(one.size for one in attachments)
        self._payloads.check_space(octets + _in_base64(octets) + 2 * len(envelope), folder=self._places.incoming)
        try:
            with disk_errors():
                self._write(staging, row, envelope, receipt, attachments)
        except BaseException:
            shutil.rmtree(staging, ignore_errors=True)
            raise

    def _write(
        self, staging: Path, row: Incoming, envelope: bytes, receipt: str, attachments: list[StoredAttachment]
    ) -> None:
        staging.mkdir(parents=True)
        message = message_of(row, envelope, receipt)
        names = distinct([safe_name(one.name) for one in attachments], RESERVED)
        copies = [(one, staging / name) for one, name in zip(attachments, names, strict=True)]
        for attachment, copy in copies:
            self._copy(attachment, copy)
        octets = [(one.reference, _chunks(copy)) for one, copy in copies]
        _write_stream(staging / PACKAGE_NAMES[row.kind], write_package_a(message, octets, envelope=envelope or None))
        _write_stream(staging / RECEIPT_NAME, iter((receipt.encode(),)))
        if isinstance(message, StatusMessage):
            _write_stream(staging / STATUS_NAME, iter((status_toml(message, row).encode(),)))
        durable.fsync_directory(staging)
        durable.fsync_directory(staging.parent)  # without its name, step 3 would seem to have happened

    def _copy(self, attachment: StoredAttachment, target: Path) -> None:
        try:
            digest = copy_durably(self._payloads.path(attachment.sha256), target)
        except FileNotFoundError as error:
            raise ExchangeError(errors.ATTACHMENT_MISSING, element=attachment.content_id) from error
        if digest != attachment.sha256:
            raise ExchangeError(errors.ATTACHMENT_DIGEST, element=attachment.content_id)


def _in_base64(octets: int) -> int:
    return octets * 4 // 3


def folder_name(row: Incoming) -> str:
    """`12-H21.16_2026-11-20_123-SVDA-VP`: the number in the inbox makes it unique, the id makes it readable."""
    return f"{row.number}-{safe_id(row.document_id)}"


def status_toml(status: StatusMessage, row: Incoming) -> str:
    """The status for a person or a script, under edXML's names."""
    answered = status.response_for[0] if status.response_for else None
    lines = [
        ("StatusCode", f"{status.status_code:02d}"),
        ("DocumentId", answered.document_id if answered and answered.document_id else row.document_id),
        ("OrganId", status.sender.organ_id),
        ("OrganName", status.sender.organ_name),
        ("Code", answered.code if answered else ""),
        ("Description", status.description),
        ("Department", status.staff_info.department),
        ("Staff", status.staff_info.staff),
        ("Timestamp", status.timestamp.astimezone(VIETNAM).isoformat() if status.timestamp else ""),
    ]
    return "".join(f"{key} = {_toml(value)}\n" for key, value in lines)


def _toml(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(one if one >= " " and one != "\x7f" else f"\\u{ord(one):04X}" for one in escaped) + '"'


def _publish(staging: Path, final: Path) -> None:
    """Rename, unless that happened before a crash."""
    if staging.exists():
        durable.publish(staging, final)


def _write_stream(path: Path, chunks: Iterator[bytes]) -> None:
    with path.open("xb") as file:
        for chunk in chunks:
            file.write(chunk)
        file.flush()
        durable.fsync_file(file.fileno())


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(CHUNK):
            yield chunk
