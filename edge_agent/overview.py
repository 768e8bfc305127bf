"""What `status` and `inbox` tell: read from the database beside the running agent, as data and as Vietnamese lines."""

from __future__ import annotations

from datetime import datetime

import msgspec

from edge_agent.clock import VIETNAM, from_text
from edge_agent.configuration import EdgeConfig
from edge_agent.messages import message_of
from edge_agent.places import Places
from edge_agent.records import Alarm, Contact, Handover, Held, Incoming, RecipientState
from edge_agent.store import Store
from edge_agent.store.handovers import RouteCount
from edge_agent.store.outbox import QueueCount
from protocol.errors import kind_of
from protocol.model import Document

STATES = {
    "CHO_GUI": "chờ gửi",
    "DA_GUI": "đã gửi, có biên nhận",
    "GUI_LOI": "bị từ chối",
    "CHO": "chờ giao",
    "SAN_SANG": "đang giao",
    "XONG": "đã giao",
    "TU_CHOI": "phần mềm QLVB từ chối",
}
ROUTES = {"folder": "thư mục incoming", "soap": "dịch vụ của QLVB", "pull": "QLVB tự lấy"}


class SentLine(msgspec.Struct, frozen=True, kw_only=True):
    """One message of the outbox with its recipients."""

    number: int
    kind: str
    document_id: str
    state: str
    priority: int
    size: int
    created_at: str
    hub_number: int | None
    error_code: str
    error: str
    recipients: list[RecipientState]


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """The state of one agent. Times are RFC 3339 UTC, sizes octets."""

    agency: str
    hub: str
    outbox: list[QueueCount]
    handover: list[RouteCount]
    contacts: list[Contact]
    checkpoint_size: int
    checkpoint_root: str
    checkpoint_at: str
    alarms: list[Alarm]
    held: list[Held]
    refusals: list[Handover]
    sent: list[SentLine]


class InboxLine(msgspec.Struct, frozen=True, kw_only=True):
    """One message of the inbox."""

    number: int
    hub_number: int
    kind: str
    sender: str
    document_id: str
    subject: str
    status_code: int | None
    priority: int
    size: int
    accepted_at: str
    received_at: str
    confirmed_at: str | None
    handover: list[Handover]


def status(places: Places, config: EdgeConfig, *, limit: int) -> Status:
    """Read everything; opens the database read-only."""
    store = Store(places.database, read_only=True)
    try:
        checkpoint = store.watch.latest_checkpoint()
        return Status(
            agency=config.agency.code,
            hub=config.hub.url,
            outbox=store.outbox.counts(),
            handover=_handover(store),
            contacts=store.watch.contacts(),
            checkpoint_size=checkpoint.size if checkpoint else 0,
            checkpoint_root=checkpoint.root if checkpoint else "",
            checkpoint_at=checkpoint.seen_at if checkpoint else "",
            alarms=store.watch.alarms(),
            held=store.inbox.held(),
            refusals=store.handovers.refusals(),
            sent=[_sent(store, row.number) for row in store.outbox.latest(limit)],
        )
    finally:
        store.close()


def _handover(store: Store) -> list[RouteCount]:
    """The routes in use: nobody waits for a local system that has never called."""
    called = any(contact.name == "local" for contact in store.watch.contacts())
    return [count for count in store.handovers.counts() if called or count.route != "pull"]


def inbox(places: Places, *, limit: int) -> list[InboxLine]:
    """The newest messages, newest first; opens the database read-only."""
    store = Store(places.database, read_only=True)
    try:
        return [_received(store, row) for row in store.inbox.latest(limit)]
    finally:
        store.close()


def status_lines(found: Status, now: datetime) -> list[str]:
    """The same for a person."""
    lines = [f"Cơ quan {found.agency}, trục {found.hub}"]
    lines += [f"Liên lạc ({one.name}): {_age(one.at, now)} trước" for one in found.contacts] or [
        "Chưa liên lạc với trục"
    ]
    lines += [f"Gửi đi – {STATES[one.state]}: {one.count}{_oldest(one.state, one.oldest, now)}" for one in found.outbox]
    for one in found.handover:
        lines.append(
            f"Đến – {ROUTES[one.route]}, {STATES[one.state]}: {one.count}{_oldest(one.state, one.oldest, now)}"
        )
    lines.append(f"Sổ bằng chứng của trục: {found.checkpoint_size} sự kiện, nhất quán")
    lines += [f"CẢNH BÁO {one.kind} từ {_local(one.raised_at)}: {one.text}" for one in found.alarms]
    lines += [f"Đang giữ lại trên trục số {one.hub_number}: {kind_of(one.error_code).sentence}" for one in found.held]
    lines += [f"Văn bản đến số {one.inbox} chưa giao được: {one.error_text}" for one in found.refusals]
    lines += [_sent_line(one) for one in found.sent]
    return lines


def inbox_lines(found: list[InboxLine]) -> list[str]:
    """The same for a person."""
    return [_inbox_line(one) for one in found] or ["Chưa có văn bản đến."]


def _sent(store: Store, number: int) -> SentLine:
    row = store.outbox.one(number)
    assert row is not None, "it was listed a moment ago and nothing is deleted"
    return SentLine(
        number=row.number,
        kind=row.kind,
        document_id=row.document_id,
        state=row.state,
        priority=row.priority,
        size=row.size,
        created_at=row.created_at,
        hub_number=row.hub_number,
        error_code=row.error_code,
        error=kind_of(row.error_code).sentence.replace("{element}", row.error_element) if row.error_code else "",
        recipients=store.outbox.recipients(number),
    )


def _received(store: Store, row: Incoming) -> InboxLine:
    message = message_of(row, store.inbox.envelope(row.number), store.inbox.receipt(row.number))
    return InboxLine(
        number=row.number,
        hub_number=row.hub_number,
        kind=row.kind,
        sender=row.sender,
        document_id=row.document_id,
        subject=message.header.subject if isinstance(message, Document) else "",
        status_code=None if isinstance(message, Document) else message.status_code,
        priority=row.priority,
        size=row.size,
        accepted_at=row.accepted_at,
        received_at=row.received_at,
        confirmed_at=row.confirmed_at,
        handover=store.handovers.of(row.number),
    )


def _sent_line(one: SentLine) -> str:
    what = "văn bản" if one.kind == "document" else "trạng thái"
    where = ", ".join(f"{recipient.agency}: {recipient.state}" for recipient in one.recipients)
    error = f" – {one.error}" if one.error else ""
    return f"  {one.number}  {what} {one.document_id}  {STATES[one.state]}{error}  {where}".rstrip()


def _inbox_line(one: InboxLine) -> str:
    what = one.subject if one.status_code is None else f"trạng thái {one.status_code:02d}"
    return f"{one.number}  {_local(one.received_at)}  {one.sender}  {one.document_id}  {what}"


def _oldest(state: str, oldest: str, now: datetime) -> str:
    return f" (lâu nhất {_age(oldest, now)})" if state in {"CHO_GUI", "CHO", "SAN_SANG", "TU_CHOI"} else ""


def _local(moment: str) -> str:
    return from_text(moment).astimezone(VIETNAM).strftime("%d/%m/%Y %H:%M:%S")


def _age(moment: str, now: datetime) -> str:
    seconds = max(int((now - from_text(moment)).total_seconds()), 0)
    for size, unit in ((86400, "ngày"), (3600, "giờ"), (60, "phút")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} giây"
