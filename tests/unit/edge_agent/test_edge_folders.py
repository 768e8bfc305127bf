"""The watched folders across crashes at any step, half-finished copies, and files that are not ours."""

from __future__ import annotations

import contextlib
import errno
import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edge_agent.bridge import incoming_folder, moving
from edge_agent.bridge.incoming_folder import IncomingFolder
from edge_agent.bridge.items import Finder
from edge_agent.bridge.moving import Mover
from edge_agent.payloads import Payloads
from edge_agent.places import Places
from edge_agent.records import Arrived, StoredAttachment
from edge_agent.store import Store
from protocol.edxml.writer import write_envelope
from protocol.errors import ExchangeError
from protocol.model import Document, MessageHeader, Organization, Reference
from runtime import durable

NOW = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
DATA = b"\r\noctets\r\n"


class CrashError(BaseException):
    """The process is gone."""


@pytest.fixture
def places(tmp_path: Path) -> Places:
    made = Places(tmp_path)
    made.make()
    return made


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).write_bytes(b"x")


def found(places: Places) -> dict[str, list[str]]:
    return {item.main.name: [path.name for path in item.files] for item in Finder(places.outgoing).find()}


def test_what_belongs_together_is_one_item_and_the_rest_waits(places: Places):
    touch(places.outgoing, "a.pdf", "a.toml", "b.PDF", "b.json", "c.edxml", "d.status.toml")
    touch(places.outgoing, "alone.pdf", "alone-sidecar.toml")
    touch(places.outgoing, ".hidden.edxml", "~$x.edxml", "e.edxml.part", "f.edxml.tmp", "a.pdf.reason.txt", "g.EDXML")
    (places.outgoing / "folder.edxml").mkdir()
    assert found(places) == {
        "a.pdf": ["a.pdf", "a.toml"],
        "b.PDF": ["b.PDF", "b.json"],
        "c.edxml": ["c.edxml"],
        "d.status.toml": ["d.status.toml"],
        "g.EDXML": ["g.EDXML"],
    }


@pytest.mark.parametrize("step", range(6))
def test_a_move_that_a_crash_interrupted_is_finished_at_the_next_start(
    places: Places, monkeypatch: pytest.MonkeyPatch, step: int
):
    touch(places.outgoing, "a.pdf", "a.toml")
    calls = []

    def crashing(original: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object) -> object:
            if len(calls) == step:
                raise CrashError
            calls.append(1)
            return original(*arguments)

        return call

    with monkeypatch.context() as patch:
        for name in ("write_file", "publish", "fsync_directory"):
            patch.setattr(moving.durable, name, crashing(getattr(durable, name)))
        with contextlib.suppress(CrashError):
            Mover(places).move(list(places.outgoing.iterdir()), places.failed, {".reason.txt": "x"})
    Mover(places).resume()
    here = sorted(path.name for path in places.outgoing.glob("[!.]*"))
    there = sorted(path.name for path in places.failed.glob("[!.]*"))
    whole = ["a.pdf", "a.pdf.reason.txt", "a.toml"]
    # either nothing had begun, or everything is done; a reason alone may stand ready
    assert (here, there) in [(["a.pdf", "a.toml"], []), (["a.pdf", "a.toml"], ["a.pdf.reason.txt"]), ([], whole)]
    assert (there == whole) == (step > 4)  # the journal is the point of no return


def test_files_never_replace_what_lies_in_the_target(places: Places):
    for octets in (b"first", b"second", b"third"):
        (places.outgoing / "a.pdf").write_bytes(octets)
        Mover(places).move([places.outgoing / "a.pdf"], places.done, {".bien-nhan.tlog-proof": "r"})
    assert {path.name: path.read_bytes() for path in places.done.glob("*.pdf")} == {
        "a.pdf": b"first",
        "a (2).pdf": b"second",
        "a (3).pdf": b"third",
    }
    assert len(list(places.done.glob("*.tlog-proof"))) == 3


def test_a_receipt_of_an_earlier_document_is_not_replaced(places: Places):
    """Somebody took `a.pdf` out of done/ and left its receipt there."""
    for octets in ("first", "second"):
        touch(places.outgoing, "a.pdf")
        Mover(places).move([places.outgoing / "a.pdf"], places.done, {".bien-nhan.tlog-proof": octets})
        for path in places.done.glob("*.pdf"):
            path.unlink()
    assert {path.read_text() for path in places.done.iterdir()} == {"first", "second"}


def test_the_longest_names_are_moved_with_what_belongs_beside_them(places: Places):
    names = ["ấ" * 83 + ".pdf", "ấ" * 83 + ".toml"]
    for _ in range(3):
        touch(places.outgoing, *names)
        Mover(places).move([places.outgoing / name for name in names], places.failed, {".reason.txt": "x"})
    assert not list(places.outgoing.iterdir())
    assert sorted(path.suffix for path in places.failed.iterdir()) == [".pdf"] * 3 + [".toml"] * 3 + [".txt"] * 3


def failing_replace(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """These files may not be moved."""
    replace = Path.replace

    def call(self: Path, target: Path | str) -> Path:
        if self.name in names:
            raise PermissionError(errno.EPERM, "not permitted")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", call)


def test_a_move_that_cannot_begin_is_forgotten_and_can_be_planned_again(
    places: Places, monkeypatch: pytest.MonkeyPatch
):
    touch(places.outgoing, "a.pdf", "a.toml")
    files = [places.outgoing / "a.pdf", places.outgoing / "a.toml"]
    mover = Mover(places)
    with monkeypatch.context() as patch:
        failing_replace(patch, "a.pdf")
        for _ in range(3):
            with pytest.raises(PermissionError):
                mover.move(files, places.failed, {".reason.txt": "x"})
    assert not mover.unfinished
    assert sorted(path.name for path in places.outgoing.iterdir()) == ["a.pdf", "a.toml"]
    mover.move(files, places.failed, {".reason.txt": "x"})
    assert sorted(path.name for path in places.failed.iterdir()) == ["a.pdf", "a.pdf.reason.txt", "a.toml"]


def test_a_move_that_cannot_end_is_in_nobodys_way_and_ends_later(places: Places, monkeypatch: pytest.MonkeyPatch):
    """There was one journal for all: the next move wrote over it, and a failing resume ended the whole task."""
    touch(places.outgoing, "a.pdf", "a.toml", "b.pdf")
    mover = Mover(places)
    with monkeypatch.context() as patch:
        failing_replace(patch, "a.toml")
        with pytest.raises(PermissionError):
            mover.move([places.outgoing / "a.pdf", places.outgoing / "a.toml"], places.done, {})
        assert mover.unfinished
        mover.move([places.outgoing / "b.pdf"], places.done, {})
        Mover(places).resume()
        mover.resume()
        assert mover.unfinished
    mover.resume()
    assert not mover.unfinished
    assert sorted(path.name for path in places.done.iterdir()) == ["a.pdf", "a.toml", "b.pdf"]
    assert not list(places.outgoing.iterdir())


def test_a_damaged_journal_is_set_aside(places: Places):
    touch(places.outgoing, "a.pdf")
    (places.outgoing / ".dang-chuyen-1.json").write_bytes(b"\0\0")
    mover = Mover(places)
    mover.resume()
    assert not mover.unfinished
    assert sorted(path.name for path in places.outgoing.iterdir()) == [".dang-chuyen-1.json.hong", "a.pdf"]


async def receive(places: Places) -> tuple[Store, IncomingFolder]:
    payloads = Payloads(places.payloads, limit=1 << 20)
    with payloads.writer() as writer:
        writer.write(DATA)
        stored = writer.finish()
    names = ("van-ban.edxml", "../x.pdf", "../X.pdf")  # hostile, doubled, and ours
    attachments = tuple(
        StoredAttachment(
            content_id=f"f{number}", name=name, content_type="application/pdf", description="", sha256=stored.sha256,
            size=stored.size,
        )
        for number, name in enumerate(names, 1)
    )  # fmt: skip
    header = MessageHeader(sender=Organization(organ_id="H21.16"), document_id="H21.16,2026/11/20,1/X")
    references = tuple(Reference(content_id=one.content_id, attachment_name=one.name) for one in attachments)
    store = Store(places.database)
    arrived = Arrived(
        hub_number=1, kind="document", sender="H21.16", document_id=header.document_id, document_key=header.document_id,
        digest="ab" * 32, envelope=write_envelope(Document(header=header, references=references), envelope_id="e"),
        receipt="receipt", priority=0, accepted_at=NOW, attachments=attachments,
    )  # fmt: skip
    store.inbox.receive(arrived, ("folder",), NOW)
    return store, IncomingFolder(places=places, store=store, payloads=payloads, clock=lambda: NOW)


def handed(places: Places) -> dict[str, bytes]:
    (folder,) = [path for path in places.incoming.iterdir() if not path.name.startswith(".")]
    assert folder.name == "1-H21.16_2026-11-20_1-X"
    return {path.name: path.read_bytes() for path in folder.iterdir()}


async def test_a_message_becomes_a_folder_with_safe_and_distinct_names(places: Places):
    store, folder = await receive(places)
    await folder.hand_over(store.handovers.due("folder", NOW, 1)[0])
    files = handed(places)
    assert sorted(files) == ["_X (2).pdf", "_x.pdf", "bien-nhan.tlog-proof", "van-ban (2).edxml", "van-ban.edxml"]
    assert files["bien-nhan.tlog-proof"] == b"receipt"
    assert files["van-ban.edxml"].startswith(b"<?xml")
    assert sorted(octets == DATA for octets in files.values()) == [False, False, True, True, True]
    store.close()


WRITES = ("fsync_file", "publish", "fsync_directory")


@pytest.mark.parametrize("taken", [False, True])
@pytest.mark.parametrize("step", range(9))
async def test_killed_at_any_step_the_folder_appears_once(
    places: Places, monkeypatch: pytest.MonkeyPatch, step: int, *, taken: bool
):
    """Also when the local system takes the folder away the moment it appears."""
    store, folder = await receive(places)
    calls = []
    seen = []

    def crashing(original: Callable[..., object], name: str) -> Callable[..., object]:
        def call(*arguments: object) -> object:
            if len(calls) == step:
                raise CrashError
            calls.append(name)
            result = original(*arguments)
            if name == "publish":
                seen.append(name)
                if taken:
                    for path in handed_folders(places):
                        path.rename(places.root / f"taken-{len(seen)}")
                    raise CrashError
            return result

        return call

    with monkeypatch.context() as patch:
        for name in WRITES:
            patch.setattr(incoming_folder.durable, name, crashing(getattr(durable, name), name))
        with contextlib.suppress(CrashError):
            await folder.hand_over(store.handovers.due("folder", NOW, 1)[0])
    store.close()
    again = Store(places.database)
    folder = IncomingFolder(
        places=places, store=again, payloads=Payloads(places.payloads, limit=1 << 20), clock=lambda: NOW
    )
    for handover in again.handovers.due("folder", NOW, 1):
        await folder.hand_over(handover)
    everywhere = [*handed_folders(places), *places.root.glob("taken-*")]
    assert len(everywhere) == 1
    assert len(list(everywhere[0].iterdir())) == 5
    assert again.handovers.one(1, "folder").state == "XONG"
    assert not list(places.incoming.glob(".dang-ghi-*"))
    again.close()


def handed_folders(places: Places) -> list[Path]:
    return [path for path in places.incoming.iterdir() if not path.name.startswith(".")]


async def test_a_staged_folder_has_its_name_on_the_disk_before_the_database_says_so(
    places: Places, monkeypatch: pytest.MonkeyPatch
):
    """Else a power cut leaves SAN_SANG without the folder, which looks as if it had been handed over already."""
    store, folder = await receive(places)
    flushed: list[Path] = []
    known: list[list[Path]] = []
    fsync, staged = durable.fsync_directory, store.handovers.staged
    monkeypatch.setattr(durable, "fsync_directory", lambda path: (fsync(path), flushed.append(path)))
    monkeypatch.setattr(store.handovers, "staged", lambda *rest: (known.append(flushed[:]), staged(*rest)))
    await folder.hand_over(store.handovers.due("folder", NOW, 1)[0])
    assert known == [[places.incoming / ".dang-ghi-1", places.incoming]]
    store.close()


async def test_octets_that_rotted_in_the_archive_are_not_handed_over(places: Places):
    """They would have been delivered as "byte-identical"."""
    store, folder = await receive(places)
    payload = places.payloads / hashlib.sha256(DATA).hexdigest()[:2] / hashlib.sha256(DATA).hexdigest()[2:]
    for damage, code in (
        (lambda: payload.write_bytes(DATA[:-1] + b"x"), "attachment.digest"),
        (payload.unlink, "attachment.missing"),
    ):
        damage()
        with pytest.raises(ExchangeError) as caught:
            await folder.hand_over(store.handovers.due("folder", NOW, 1)[0])
        assert (caught.value.kind.code, caught.value.kind.temporary) == (code, False)
        assert list(places.incoming.iterdir()) == []
    payload.write_bytes(DATA)  # out of a backup
    await folder.hand_over(store.handovers.due("folder", NOW, 1)[0])
    assert len(handed(places)) == 5
    store.close()
