"""The database holds every writer to the arrows and invariants of the schema."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pysqlite3
import pytest

from edge_agent.clock import is_due, to_text
from edge_agent.records import Arrived, Held, Prepared, StoredAttachment
from edge_agent.schema import MIGRATIONS
from edge_agent.store import Store
from edge_agent.store.inbox import Report
from protocol import errors
from protocol.errors import ExchangeError
from runtime.database import open_database

NOW = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
LATER = NOW + timedelta(minutes=1)
ATTACHMENT = StoredAttachment(
    content_id="f1", name="a.pdf", content_type="application/pdf", description="", sha256="ab" * 32, size=7
)


def prepared(name: str = "1", fingerprint: str = "00", **changes: object) -> Prepared:
    item = Prepared(
        kind="document",
        identity=f"document\n{name}",
        fingerprint=fingerprint * 32,
        document_id=name,
        document_key=name,
        digest="cd" * 32,
        envelope=b"<e/>",
        original=b"<o/>",
        package="A",
        recipients=("H21.23",),
        attachments=(ATTACHMENT,),
    )
    return msgspec.structs.replace(item, **changes)


def arrived(hub_number: int = 5, **changes: object) -> Arrived:
    item = Arrived(
        hub_number=hub_number,
        kind="document",
        sender="H21.23",
        document_id="9",
        document_key="9",
        digest="ef" * 32,
        envelope=b"<e/>",
        receipt="receipt",
        priority=0,
        accepted_at=NOW,
        attachments=(ATTACHMENT,),
    )
    return msgspec.structs.replace(item, **changes)


@pytest.fixture
def store(tmp_path: Path):
    opened = Store(tmp_path / "edge.db")
    yield opened
    opened.close()
    opened.close()  # closing is idempotent


def test_the_same_message_is_taken_once_and_another_under_its_id_is_a_conflict(store: Store):
    first = store.outbox.accept(prepared(), NOW)
    assert store.outbox.accept(prepared(), LATER) == type(first)(first.number, "1", repeated=True)
    assert store.outbox.find("document\n1", "00" * 32).number == first.number
    for ask in (lambda: store.outbox.accept(prepared(fingerprint="11"), NOW),
                lambda: store.outbox.find("document\n1", "11" * 32)):  # fmt: skip
        with pytest.raises(ExchangeError) as refusal:
            ask()
        assert refusal.value.kind is errors.DOCUMENT_CONFLICT
    assert [row.number for row in store.outbox.latest(9)] == [first.number]
    assert store.outbox.attachments(first.number) == [ATTACHMENT]


def test_what_the_hub_refused_may_be_put_right_under_its_id(store: Store):
    first = store.outbox.accept(prepared(), NOW)
    store.outbox.refused(first.number, ExchangeError(errors.RECIPIENT_UNKNOWN, element="H21.99"), NOW)
    second = store.outbox.accept(prepared(fingerprint="11"), LATER)
    assert (second.repeated, second.number) == (False, first.number + 1)
    assert [row.state for row in store.outbox.latest(9)] == ["CHO_GUI", "GUI_LOI"]


def test_the_urgent_is_due_first_then_the_oldest(store: Store):
    for name, priority in (("1", 0), ("2", 0), ("3", 3), ("4", 1)):
        store.outbox.accept(prepared(name, priority=priority), NOW)
    assert [row.document_id for row in store.outbox.due(NOW, 9)] == ["3", "4", "1", "2"]


WAITS = [timedelta(seconds=30), timedelta(minutes=30), timedelta(hours=4), timedelta(days=2)]


@pytest.mark.parametrize("wait", WAITS, ids=str)
@pytest.mark.parametrize("set_back", [timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)], ids=str)
def test_a_wait_is_kept_however_long_and_a_clock_that_is_set_back_ends_it(
    store: Store, wait: timedelta, set_back: timedelta
):
    number = store.outbox.accept(prepared(priority=3), NOW).number
    store.outbox.postpone(number, ExchangeError(errors.BUSY), now=NOW, until=NOW + wait)
    inbox = store.inbox.receive(arrived(), ("soap",), NOW)
    store.handovers.postpone(inbox, "soap", ("server.busy", "bận"), now=NOW, until=NOW + wait)
    for moment, due in ((NOW, 0), (NOW + wait / 2, 0), (NOW + wait, 1), (NOW - set_back, 1)):
        assert len(store.outbox.due(moment, 9)) == len(store.handovers.due("soap", moment, 9)) == due
        assert is_due(to_text(NOW + wait), to_text(NOW), moment) is bool(due)


def test_a_try_that_fails_is_postponed_also_when_the_folder_is_staged(store: Store):
    number = store.inbox.receive(arrived(), ("folder",), NOW)
    store.handovers.staged(number, "folder", NOW)
    store.handovers.postpone(number, "folder", ("server.internal", "lỗi"), now=NOW, until=LATER)
    assert store.handovers.due("folder", NOW, 9) == []
    (waiting,) = store.handovers.due("folder", LATER, 9)
    assert (waiting.state, waiting.attempts) == ("SAN_SANG", 1)
    assert not store.handovers.refused(number, "folder", "element.range", "câu của QLVB", NOW)
    assert store.handovers.one(number, "folder").state == "SAN_SANG"


def test_calls_of_the_local_system_are_counted_before_they_are_made_and_anew_after_a_release(store: Store):
    number = store.inbox.receive(arrived(), ("soap",), NOW)
    store.handovers.begin(number, "soap")
    store.handovers.begin(number, "soap")
    assert store.handovers.one(number, "soap").begun == 2
    assert store.handovers.refused(number, "soap", "document.conflict", "đã có", NOW)
    assert store.handovers.release(number, "soap", LATER)
    assert store.handovers.one(number, "soap").begun == 0


def test_a_route_is_stuck_while_anything_waits_after_many_tries(store: Store):
    number = store.inbox.receive(arrived(), ("soap", "folder"), NOW)
    for _ in range(3):
        store.handovers.postpone(number, "soap", ("server.busy", "bận"), now=NOW, until=LATER)
    assert store.handovers.stuck("soap", 3)
    assert not store.handovers.stuck("soap", 4)
    assert not store.handovers.stuck("folder", 1)
    store.handovers.done(number, "soap", LATER)
    assert not store.handovers.stuck("soap", 3)


def test_a_number_that_the_hub_uses_again_is_another_message(store: Store):
    first = store.inbox.receive(arrived(5), ("folder",), NOW)
    store.inbox.confirmed([5], NOW)
    assert store.inbox.standing(5, "ef" * 32) == "known"
    assert store.inbox.standing(5, "aa" * 32) == "renumbered"
    assert store.inbox.standing(6, "ef" * 32) == "new"
    second = store.inbox.receive(arrived(5, digest="aa" * 32), ("folder",), LATER)
    assert second != first
    assert store.inbox.receive(arrived(5, digest="aa" * 32), ("folder",), LATER) == second
    assert store.inbox.unconfirmed(9) == [5]
    store.inbox.confirmed([5], LATER)
    assert store.inbox.unconfirmed(9) == []
    assert len(store.handovers.due("folder", LATER, 9)) == 2


def test_a_document_is_seen_behind_any_number_of_statuses(store: Store):
    for number in range(1, 8):
        store.inbox.receive(arrived(number, kind="notice", envelope=None, attachments=()), ("pull",), NOW)
    document = store.inbox.receive(arrived(8), ("pull",), NOW)
    assert [row.number for row in store.inbox.waiting("pull", 3, {"document"})] == [document]
    assert [row.kind for row in store.inbox.waiting("pull", 3)] == ["notice"] * 3
    assert store.inbox.waiting("pull", 9, {"status"}) == []


def test_reports_come_a_page_at_a_time(store: Store):
    for number in range(1, 6):
        store.inbox.receive(arrived(number, kind="notice", envelope=None, attachments=()), (), NOW)
    assert [row.hub_number for row in store.inbox.reports(0, limit=2)] == [1, 2]
    assert [row.hub_number for row in store.inbox.reports(2, limit=2)] == [3, 4]
    assert [row.hub_number for row in store.inbox.reports(4, limit=2)] == [5]
    assert store.inbox.reports(0, "another", limit=2) == []


ILLEGAL = [
    "UPDATE outbox SET state = 'DA_GUI', hub_number = 1, receipt = 'r', ended_at = 'x' WHERE state = 'GUI_LOI'",
    "UPDATE outbox SET state = 'CHO_GUI', ended_at = NULL WHERE state = 'GUI_LOI'",
    "UPDATE outbox SET state = 'DA_GUI', ended_at = 'x' WHERE state = 'CHO_GUI'",
    "UPDATE outbox SET envelope = x'00' WHERE state <> 'CHO_GUI'",
    "UPDATE outbox SET digest = 'x'",
    "DELETE FROM outbox",
    "UPDATE inbox SET receipt = ''",
    "UPDATE inbox SET envelope = x'00'",
    "UPDATE inbox SET state = 'DA_XAC_NHAN'",
    "DELETE FROM inbox",
    "UPDATE handover SET state = 'TU_CHOI', error_code = '' WHERE state = 'CHO'",
    "UPDATE handover SET state = 'CHO', ended_at = NULL WHERE state = 'XONG'",
    "DELETE FROM events",
    "UPDATE events SET event = 'other'",
    "INSERT INTO outbox_attachments VALUES (99, 0, 'a', 'a', 'a', 'a', 'a', 1)",
]


@pytest.mark.parametrize("statement", ILLEGAL)
def test_no_writer_takes_a_way_that_has_no_arrow(tmp_path: Path, statement: str):
    filled = Store(tmp_path / "edge.db")
    filled.outbox.accept(prepared(), NOW)
    refused = filled.outbox.accept(prepared("2"), NOW).number
    filled.outbox.refused(refused, ExchangeError(errors.RECIPIENT_UNKNOWN), NOW)
    number = filled.inbox.receive(arrived(), ("folder", "soap"), NOW)
    filled.handovers.done(number, "soap", NOW)
    filled.close()
    connection = open_database(tmp_path / "edge.db", MIGRATIONS).conn
    with pytest.raises(pysqlite3.IntegrityError):
        connection.execute(statement)
    connection.close()


def test_only_what_waits_may_be_sealed_again(store: Store):
    number = store.outbox.accept(prepared(), NOW).number
    store.outbox.resealed(number, b"<again/>", NOW)
    assert store.outbox.envelope(number) == b"<again/>"
    store.outbox.sent(number, hub_number=1, receipt="r", now=NOW)
    store.outbox.resealed(number, b"<later/>", NOW)
    assert store.outbox.envelope(number) == b"<again/>"


def test_a_message_of_the_hub_is_received_once_and_confirmed_once(store: Store):
    number = store.inbox.receive(arrived(), ("folder", "pull"), NOW)
    assert store.inbox.receive(arrived(), ("folder", "pull"), LATER) == number
    assert store.inbox.unconfirmed(9) == [5]
    store.inbox.confirmed([5, 77], LATER)
    store.inbox.confirmed([5], LATER)
    assert store.inbox.unconfirmed(9) == []
    events = store.read("SELECT subject, event FROM events ORDER BY number")
    assert events == [("inbox", "received"), ("inbox", "confirmed")]


def test_routes_have_their_own_outcomes(store: Store):
    number = store.inbox.receive(arrived(), ("folder", "soap", "pull"), NOW)
    store.handovers.staged(number, "folder", NOW)
    assert store.handovers.done(number, "folder", NOW)
    assert not store.handovers.done(number, "folder", NOW)
    store.handovers.refused(number, "soap", "element.range", "câu của QLVB", NOW)
    states = {one.route: one.state for one in store.handovers.of(number)}
    assert states == {"folder": "XONG", "soap": "TU_CHOI", "pull": "CHO"}
    assert store.handovers.release(number, "soap", LATER)
    assert not store.handovers.release(number, "soap", LATER)
    assert [one.inbox for one in store.handovers.due("soap", LATER, 9)] == [number]


def test_a_report_moves_the_recipient_of_the_document_that_was_sent(store: Store):
    sent = store.outbox.accept(prepared("9"), NOW).number
    store.outbox.sent(sent, hub_number=1, receipt="r", now=NOW)
    status = arrived(kind="status", attachments=())
    store.inbox.receive(status, (), NOW, Report("H21.23", lambda state: f"{state}+"))
    assert [one.state for one in store.outbox.recipients(sent)] == ["DA_GUI+"]
    assert store.inbox.reports(0, limit=9)[0].outbox == sent
    # a stranger's report is kept and moves nothing
    store.inbox.receive(arrived(6, kind="status", sender="H21.99"), (), NOW, Report("H21.99", lambda _state: "X"))
    assert [one.state for one in store.outbox.recipients(sent)] == ["DA_GUI+"]


def test_what_is_held_is_forgotten_when_it_arrives(store: Store):
    held = Held(
        hub_number=5,
        kind="document",
        sender="H21.23",
        error_code="seal.invalid",
        error_element="",
        attempts=1,
        first_at="2026-11-23T02:00:00.000Z",
        next_attempt_at="2026-11-23T02:01:00.000Z",
        planned_at="2026-11-23T02:00:00.000Z",
    )
    store.inbox.hold(held)
    store.inbox.hold(msgspec.structs.replace(held, error_code="seal.missing", first_at="2026-11-23T02:09:00.000Z"))
    (kept,) = store.inbox.held()
    assert (kept.attempts, kept.error_code, kept.first_at) == (2, "seal.missing", held.first_at)
    store.inbox.receive(arrived(), (), NOW)
    assert store.inbox.held() == []


def test_an_alarm_is_up_once_until_it_is_cleared(store: Store):
    assert store.watch.alarm("hub", "mất liên lạc", NOW)
    assert not store.watch.alarm("hub", "mất liên lạc", LATER)
    assert store.watch.clear("hub", LATER)
    assert not store.watch.clear("hub", LATER)
    assert store.watch.alarm("hub", "lại mất", LATER)
    assert [alarm.text for alarm in store.watch.alarms()] == ["lại mất"]


def test_a_failure_in_the_middle_changes_nothing(store: Store):
    broken = msgspec.structs.replace(ATTACHMENT, sha256="short")
    with pytest.raises(pysqlite3.IntegrityError):
        store.outbox.accept(prepared(attachments=(ATTACHMENT, broken)), NOW)
    assert store.outbox.latest(9) == []
    assert store.read("SELECT count(*) FROM events") == [(0,)]


def test_commands_read_beside_the_running_agent(tmp_path: Path, store: Store):
    store.outbox.accept(prepared(), NOW)
    reader = Store(tmp_path / "edge.db", read_only=True)
    assert [row.document_id for row in reader.outbox.latest(9)] == ["1"]
    with pytest.raises(pysqlite3.OperationalError):
        reader.outbox.accept(prepared("2"), NOW)
    store.outbox.accept(prepared("3"), NOW)
    assert len(reader.outbox.latest(9)) == 2
    reader.close()


async def test_the_writer_thread_ends_with_the_store(tmp_path: Path):
    import threading

    before = threading.active_count()
    opened = Store(tmp_path / "edge.db")
    await opened.run(opened.outbox.accept, prepared(), NOW)
    opened.close()
    assert threading.active_count() == before
