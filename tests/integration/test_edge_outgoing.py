"""The watched folder with a real agent and hub: what is sent is what lay there, and no file is in another's way."""

from __future__ import annotations

import unicodedata
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from edge_stage import FIELDS, PDF, A, B, Edge, eventually, province

from edge_agent.backoff import Backoff
from edge_agent.bridge import outgoing_folder
from edge_agent.records import Taken
from protocol import errors
from protocol.errors import ExchangeError
from protocol.exchange import PlainSubmission, Upload

RECEIPT = ".bien-nhan.tlog-proof"


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits of half a minute say nothing."""
    monkeypatch.setattr(outgoing_folder, "RETRY", Backoff(first=0.05, longest=0.1))


def fields(edge: Edge, name: str, **changes: object) -> Path:
    path = edge.places.outgoing / name
    path.write_bytes(msgspec.json.encode({**FIELDS, **changes}))
    return path


def reason(path: Path) -> str:
    beside = path.with_name(f"{path.name}.reason.txt")
    return beside.read_text("utf-8") if beside.exists() else ""


def alarms(edge: Edge) -> set[str]:
    return {alarm.kind for alarm in edge.agent.store.watch.alarms()}


async def gets_through(edge: Edge, number: int) -> None:
    """An ordinary document passes, so what lay there before it was looked at."""
    edge.drop(f"thường {number}.pdf", PDF, CodeNumber=str(number))
    await eventually((edge.places.done / f"thường {number}.json").exists, "an ordinary document passes")


@pytest.mark.parametrize("octets", [226, 255])
async def test_the_longest_names_are_sent_and_refused_like_others(octets: int):
    name = f"{'ấ' * ((octets - 7) // 3)}{'x' * ((octets - 7) % 3)}"
    async with province() as gialai:
        edge = await gialai.edge(A)
        await gialai.join(B)
        main = edge.drop(f"{name}.pdf", PDF)
        fields(edge, f"{name}.json", File=main.name)
        assert len(main.name.encode()) == octets - 3
        await eventually((edge.places.done / main.name).exists, "sent")
        assert len(list(edge.places.done.glob(f"*{RECEIPT}"))) == 1
        edge.drop(f"{name}.pdf", PDF, Subject="")
        await eventually((edge.places.failed / main.name).exists, "refused")
        (beside,) = edge.places.failed.glob("*.reason.txt")
        assert "element.empty" in beside.read_text("utf-8")
        await gets_through(edge, 1)


async def test_what_cannot_be_moved_is_in_nobodys_way_and_an_alarm_says_so():
    """One file that could not go to failed/ ended every scan, and so did each restart."""
    async with province() as gialai:
        edge = await gialai.edge(A)
        await gialai.join(B)
        edge.places.failed.rmdir()
        edge.places.failed.write_bytes(b"no folder")
        (edge.places.outgoing / "0.edxml").write_bytes(b"not XML")
        await gets_through(edge, 1)
        await eventually(lambda: "folder" in alarms(edge), "a person is told")
        await edge.stop()
        edge.places.failed.unlink()
        await edge.start()
        await gets_through(edge, 2)
        assert "message.not-xml" in reason(edge.places.failed / "0.edxml")
        await eventually(lambda: "folder" not in alarms(edge), "the alarm is over")


async def test_a_database_that_fails_for_one_file_is_in_no_others_way():
    async with province() as gialai:
        edge = await gialai.edge(A)
        await gialai.join(B)
        take = edge.agent.intake.take
        wrong = [RuntimeError("database is locked"), OSError(5, "I/O error"), ExchangeError(errors.INTERNAL)]

        async def failing(submission: PlainSubmission, uploads: AsyncIterator[Upload], *, expected: int) -> Taken:
            if b"404" in submission.original and wrong:
                raise wrong.pop()
            return await take(submission, uploads, expected=expected)

        edge.agent.intake.take = failing  # type: ignore[method-assign]
        edge.drop("0.pdf", PDF, CodeNumber="404")
        await gets_through(edge, 1)
        await eventually((edge.places.done / "0.pdf").exists, "tried until it was taken")
        assert not wrong


@pytest.mark.parametrize("changing", ["a.pdf", "annex.xlsx", "a.json"])
async def test_what_changes_while_it_is_read_is_read_again(changing: str):
    """Half old, half new octets were sealed and sent."""
    async with province() as gialai:
        a, b = await gialai.edge(A), await gialai.edge(B)
        take = a.agent.intake.take
        tries: list[int] = []

        class Late:
            """Its octets are read, then somebody writes; the outbox has nothing yet."""

            def __init__(self, upload: Upload) -> None:
                self.content_id = upload.content_id
                self._upload = upload

            async def __aiter__(self) -> AsyncIterator[bytes]:
                async for chunk in self._upload:
                    yield chunk
                if len(tries) > 1:
                    return
                if changing.endswith(".json"):
                    fields(a, "a.json", Attachments=["annex.xlsx"], Subject="Bản đã sửa của trích yếu")
                else:
                    (a.places.outgoing / changing).write_bytes(b"new octets")

        async def late(uploads: AsyncIterator[Upload]) -> AsyncIterator[Upload]:
            async for upload in uploads:
                yield Late(upload)

        async def taking(submission: PlainSubmission, uploads: AsyncIterator[Upload], *, expected: int) -> Taken:
            tries.append(expected)
            return await take(submission, late(uploads), expected=expected)

        a.agent.intake.take = taking  # type: ignore[method-assign]
        (a.places.outgoing / "annex.xlsx").write_bytes(b"old octets")
        a.drop("a.pdf", PDF, Attachments=["annex.xlsx"])
        (folder,) = await eventually(b.incoming, "arrival")
        assert len(tries) == 2
        assert (folder / "a.pdf").read_bytes() == (b"new octets" if changing == "a.pdf" else PDF)
        assert (folder / "annex.xlsx").read_bytes() == (b"new octets" if changing == "annex.xlsx" else b"old octets")
        assert ("đã sửa" in b.agent.store.inbox.envelope(1).decode()) == (changing == "a.json")
        assert list((a.places.payloads / "tmp").iterdir()) == []
        await eventually((a.places.done / "annex.xlsx").exists, "moved together")


async def test_links_and_pipes_are_never_sent():
    """Whoever may write to outgoing/ could have had the agency's key or database sent."""
    async with province() as gialai:
        edge = await gialai.edge(A)
        await gialai.join(B)
        outgoing = edge.places.outgoing
        (outgoing / "k.pdf").symlink_to(edge.places.identity)
        fields(edge, "k.json")
        (outgoing / "annex.bin").symlink_to(edge.places.database)
        edge.drop("a.pdf", PDF, CodeNumber="9", Attachments=["annex.bin"])
        await eventually(lambda: reason(outgoing / "k.pdf") and reason(outgoing / "a.pdf"), "visible reasons")
        assert all("attachment.not-a-file" in reason(outgoing / name) for name in ("k.pdf", "a.pdf"))
        await gets_through(edge, 1)
        assert [row.number for row in edge.agent.store.outbox.latest(9)] == [1]
        assert list(edge.places.failed.iterdir()) == []
        (outgoing / "annex.bin").unlink()
        (outgoing / "annex.bin").write_bytes(b"a file now")
        await eventually((edge.places.done / "annex.bin").exists, "sent once it is a file")
        assert not reason(outgoing / "a.pdf")


async def test_what_only_a_person_can_tell_waits_with_a_reason_and_goes_on():
    async with province() as gialai:
        a, b = await gialai.edge(A), await gialai.edge(B)
        outgoing = a.places.outgoing
        (outgoing / "a.pdf").write_bytes(PDF)
        (outgoing / "a.toml").write_text("", "utf-8")
        (outgoing / "b.docx").write_bytes(b"draft")
        fields(a, "a.json", CodeNumber="1")
        a.drop("b.pdf", PDF, CodeNumber="2")
        await eventually(lambda: reason(outgoing / "a.pdf") and reason(outgoing / "b.json"), "reasons")
        assert all("attachment.ambiguous" in reason(outgoing / name) for name in ("a.pdf", "b.json"))
        (outgoing / "a.toml").unlink()
        fields(a, "b.json", CodeNumber="2", File="b.pdf")
        await eventually(lambda: len(b.incoming()) == 2, "both are sent")
        assert sorted(path.name for folder in b.incoming() for path in folder.glob("*.[pd]*[fx]")) == ["a.pdf", "b.pdf"]
        await eventually(lambda: [path.name for path in outgoing.iterdir()] == ["b.docx"], "only the draft stays")


async def test_a_main_file_that_comes_late_is_waited_for_and_its_absence_is_told():
    async with province() as gialai:
        edge = await gialai.edge(A)
        await gialai.join(B)
        sidecar = fields(edge, "thông tin.json", File="a.pdf")
        await eventually(lambda: reason(sidecar), "a person is told")
        assert "attachment.missing" in reason(sidecar)
        await gialai.stop_hub()
        (edge.places.outgoing / "a.pdf").write_bytes(PDF)
        await eventually(lambda: edge.agent.store.outbox.latest(1), "taken")
        await eventually(lambda: not reason(sidecar), "the reason goes as soon as it is not true any more")
        await gialai.start_hub()
        await eventually((edge.places.done / "thông tin.json").exists, "sent")


async def test_names_in_two_unicode_forms_belong_together():
    async with province() as gialai:
        a, b = await gialai.edge(A), await gialai.edge(B)
        (a.places.outgoing / unicodedata.normalize("NFD", "công văn.pdf")).write_bytes(PDF)
        fields(a, unicodedata.normalize("NFC", "công văn.json"))
        (folder,) = await eventually(b.incoming, "arrival")
        assert (folder / "công văn.pdf").read_bytes() == PDF


async def test_an_attachment_of_two_documents_is_sent_with_both():
    async with province() as gialai:
        a, b = await gialai.edge(A), await gialai.edge(B)
        (a.places.outgoing / "chung.xlsx").write_bytes(b"shared")
        for number in (1, 2, 3):
            a.drop(f"{number}.pdf", PDF, CodeNumber=str(number), Attachments=["chung.xlsx"])
        await eventually(lambda: len(b.arrived("chung.xlsx")) == 3, "three times")
        await eventually(lambda: not list(a.places.outgoing.iterdir()), "all moved")
        assert not list(a.places.failed.iterdir())


async def test_a_note_of_somebody_else_that_looks_like_a_reason_stays():
    async with province() as gialai:
        edge = await gialai.edge(A)
        await gialai.join(B)
        note = edge.places.outgoing / "ghi chép.reason.txt"
        note.write_text("Việc của văn thư\n", "utf-8")
        await gets_through(edge, 1)
        assert note.read_text("utf-8") == "Việc của văn thư\n"


async def test_what_a_crash_left_half_written_is_removed_and_what_others_write_is_not():
    async with province() as gialai:
        edge = await gialai.join(A)
        await gialai.join(B)
        ours = ["..dang-chuyen-1f.json.0123abcd.part", ".a.pdf.reason.txt.0123abcd.part", f".a.pdf{RECEIPT}.01ab.part"]
        others = [".a.pdf.part", ".a.json.0123abcd.part", "a.reason.txt.part"]
        for name in (*ours, *others):
            (edge.places.outgoing / name).write_bytes(b"half")
        await edge.start()
        await gets_through(edge, 1)
        await eventually(
            lambda: sorted(path.name for path in edge.places.outgoing.iterdir()) == sorted(others), "only the others'"
        )


async def test_the_next_document_under_the_same_name_is_not_moved_away_with_the_last_ones_receipt(
    monkeypatch: pytest.MonkeyPatch,
):
    """It was dropped after the folder had looked, and before the files of the one before were moved."""
    async with province() as gialai:
        a, b = await gialai.edge(A), await gialai.edge(B)
        outbox = a.agent.store.outbox
        receipt = outbox.receipt
        dropped: list[int] = []

        def late(number: int) -> str:
            if not dropped:
                a.drop("a.pdf", PDF + b"second", CodeNumber="2")
            dropped.append(number)
            return receipt(number)

        monkeypatch.setattr(outbox, "receipt", late)
        a.drop("a.pdf", PDF, CodeNumber="1")
        await eventually(lambda: len(b.arrived("a.pdf")) == 2, "both arrive")
        assert [path.read_bytes() for path in b.arrived("a.pdf")] == [PDF, PDF + b"second"]
        await eventually(lambda: not list(a.places.outgoing.iterdir()), "moved")
        assert (a.places.done / "a.pdf").read_bytes() == PDF + b"second"
