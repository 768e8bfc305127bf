"""Bad input in the watched folder: each file fails with its own code, a reason for people, and nothing half stored."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import date
from pathlib import Path

import msgspec
import pytest
from edge_stage import FIELDS, PDF, A, B, Edge, eventually, province

from edge_agent.bridge import incoming_folder, sidecar
from protocol.model import Organization, Reference
from protocol.package_a import write_package_a
from protocol.text import tcvn3, vni

SENDER = Organization(organ_id=A, organ_name="Sở Ví dụ A")
REFERENCE = Reference(content_id="f1", attachment_name="a.pdf")


def package(*, references: tuple[Reference, ...] = (REFERENCE,), **fields: object) -> bytes:
    read = sidecar.read_sidecar("x.json", msgspec.json.encode({**FIELDS, **fields}))
    document = sidecar.document_of(read, SENDER, references)
    return b"".join(write_package_a(document, [(reference, [PDF]) for reference in references]))


GOOD = package()
ENCODED = base64.b64encode(PDF)


def attachment_block() -> bytes:
    start, end = GOOD.index(b"<Attachment>"), GOOD.index(b"</Attachment>") + len(b"</Attachment>")
    return GOOD[start:end]


DEEP = b"<x>" * 300 + b"</x>" * 300
DATE, ISSUED = b"2026/11/20</edXML:PromulgationDate>", b"</edXML:PromulgationDate>"
NUMBER = b"123</edXML:CodeNumber>"
BOMB = b'<!DOCTYPE edXML [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>'
BAD = {
    "not XML": (b"%PDF-1.4 not XML at all", "message.not-xml"),
    "another format": (b"<?xml version='1.0'?><invoice/>", "message.unknown-format"),
    "DOCTYPE": (GOOD.replace(b"<edXML ", b"<!DOCTYPE edXML><edXML ", 1), "message.doctype"),
    "entity bomb": (GOOD.replace(b"<edXML ", BOMB + b"<edXML ", 1), "message.doctype"),
    "deep nesting": (GOOD.replace(b"<edXML:Subject>", b"<edXML:Subject>" + DEEP, 1), "message.too-deep"),
    "truncated": (GOOD[: len(GOOD) - 40], "message.truncated"),
    "damaged base64": (GOOD.replace(ENCODED[:12], b"!!!!@@@@####", 1), "attachment.damaged"),
    "missing attachment": (GOOD.replace(attachment_block(), b"", 1), "attachment.missing"),
    "extra attachment": (GOOD.replace(b"cid:f1</edXML:ContentId>", b"cid:f2</edXML:ContentId>", 1), "attachment.extra"),
    "doubled attachment": (GOOD.replace(attachment_block(), attachment_block() * 2, 1), "attachment.doubled"),
    "missing subject": (GOOD.replace("V/v thử nghiệm gửi nhận văn bản điện tử".encode(), b"", 1), "element.empty"),
    "bad date": (GOOD.replace(DATE, b"mai" + ISSUED, 1), "element.type"),
    "future date": (GOOD.replace(DATE, b"2036/11/20" + ISSUED, 1),
                    "element.date-in-future"),
    "another sender": (GOOD.replace(b"<edXML:OrganId>H21.16<", b"<edXML:OrganId>H21.99<", 1), "caller.not-the-sender"),
    "over-long number": (GOOD.replace(NUMBER, b"123456789" + NUMBER, 1), "element.too-long"),
}  # fmt: skip


def stored(edge: Edge) -> list[Path]:
    return [path for path in edge.places.payloads.rglob("*") if path.is_file()]


async def test_each_bad_package_fails_with_its_own_code_and_leaves_nothing_behind():
    async with province() as gialai:
        edge = await gialai.edge(A)
        for number, (data, _) in enumerate(BAD.values()):
            (edge.places.outgoing / f"{number}.edxml").write_bytes(data)
        failed = edge.places.failed
        await eventually(lambda: len(list(failed.glob("*.edxml"))) == len(BAD), "all fail", patience=30)
        codes = {
            name: (failed / f"{number}.edxml.reason.txt").read_text("utf-8").strip().rpartition("Mã lỗi: ")[2]
            for number, name in enumerate(BAD)
        }
        assert codes == {name: code for name, (_, code) in BAD.items()}
        for number, (data, _) in enumerate(BAD.values()):
            assert (failed / f"{number}.edxml").read_bytes() == data
        assert stored(edge) == []
        assert edge.agent.store.outbox.latest(99) == []


TOLERATED = {
    "junk before the declaration": b"1212" + GOOD,
    "byte order mark": b"\xef\xbb\xbf" + GOOD,
    "undeclared prefix": GOOD.replace(b"<edXML:Reference>", b'<edXML:Reference xlink:href="cid:f1">', 1),
    "cid in front twice": GOOD.replace(b"cid:f1</ContentId>", b"cid:cid:f1</ContentId>", 1),
    "Vietnamese date": GOOD.replace(DATE, b"20/11/2026" + ISSUED, 1),
    "old form of codes": GOOD.replace(b"<edXML:OrganId>H21.23<", b"<edXML:OrganId>000.00.23.H21<", 1),
}


@pytest.mark.parametrize("name", TOLERATED)
async def test_what_real_systems_get_wrong_is_understood(name: str):
    async with province() as gialai:
        a, b = await gialai.edge(A), await gialai.edge(B)
        (a.places.outgoing / "gói.edxml").write_bytes(TOLERATED[name])
        (folder,) = await eventually(b.incoming, "arrival")
        assert (folder / "a.pdf").read_bytes() == PDF
        (row,) = b.agent.store.inbox.latest(9)
        assert row.document_id == f"{A},{date(2026, 11, 20):%Y/%m/%d},123/SVDA-VP"


SUBJECT = "Quyết định về việc thành lập Tổ công tác liên thông văn bản điện tử của tỉnh"


@pytest.mark.parametrize("encode", [tcvn3.encode, vni.encode], ids=["TCVN3", "VNI"])
async def test_ac_3_2_1_legacy_text_is_sealed_and_arrives_as_unicode(encode: Callable[[str], bytes]):
    async with province() as gialai:
        a, b = await gialai.edge(A), await gialai.edge(B)
        legacy = encode(SUBJECT).decode("latin-1")  # how octets of old fonts travel inside UTF-8
        a.drop("a.pdf", PDF, Subject=legacy)
        await eventually(b.incoming, "arrival")
        envelope = b.agent.store.inbox.envelope(1)
        assert SUBJECT.encode() in envelope
        # the original octets stay at the sending edge (AC-3.2-4)
        assert msgspec.json.decode(_original(a))["Subject"] == legacy


async def test_a_file_that_still_grows_is_left_alone():
    async with province() as gialai:
        a, b = await gialai.edge(A), await gialai.edge(B)
        package_file = a.places.outgoing / "gói.edxml"
        with package_file.open("wb") as growing:
            for start in range(0, len(GOOD), 1000):
                growing.write(GOOD[start : start + 1000])
                growing.flush()
                await a.agent.store.run(lambda: None)
        await eventually(b.incoming, "arrival once it is whole")
        assert not list(a.places.failed.iterdir())


async def test_a_status_for_an_unknown_document_is_refused_by_the_hub_and_shown():
    async with province() as gialai:
        a = await gialai.edge(A)
        status = a.places.outgoing / "x.status.toml"
        status.write_text('DocumentId = "H21.99,2026/11/20,9/X"\nStatusCode = 3\n', "utf-8")
        reason = a.places.failed / "x.status.toml.reason.txt"
        await eventually((a.places.failed / "x.status.toml").exists, "refused")
        assert "document.not-found" in reason.read_text("utf-8")


async def test_a_received_file_that_rotted_on_the_disk_is_held_until_a_person_releases_it(
    monkeypatch: pytest.MonkeyPatch,
):
    async with province() as gialai:
        a, b = await gialai.edge(A), await gialai.edge(B)
        copy = incoming_folder.copy_durably
        rotten = [True]

        def rotting(source: Path, target: Path) -> str:
            if rotten:
                source.write_bytes(PDF[:-1] + b"?")
            return copy(source, target)

        monkeypatch.setattr(incoming_folder, "copy_durably", rotting)
        a.drop("a.pdf", PDF)
        await eventually(lambda: [one.kind for one in b.agent.store.watch.alarms()], "a person is told")
        (refused,) = b.agent.store.handovers.refusals()
        assert (refused.route, refused.error_code) == ("folder", "attachment.digest")
        assert list(b.places.incoming.iterdir()) == []
        rotten.clear()
        (attachment,) = b.agent.store.inbox.attachments(1)
        b.agent.payloads.path(attachment.sha256).write_bytes(PDF)  # out of a backup
        assert await b.agent.release(1, "folder")
        (arrived,) = await eventually(lambda: b.arrived("a.pdf"), "handed over")
        assert arrived.read_bytes() == PDF
        assert b.agent.store.watch.alarms() == []


def _original(edge: Edge) -> bytes:
    ((original,),) = edge.agent.store.read("SELECT original FROM outbox")
    assert isinstance(original, bytes)
    return original
