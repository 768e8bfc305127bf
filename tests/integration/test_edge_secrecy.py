"""A marked document leaves no trace: not in the agent's folders, not in its log, not in the database (Điều 4.2a)."""

from __future__ import annotations

import asyncio
import unicodedata
from pathlib import Path

import msgspec
import pytest
from edge_stage import FIELDS, PDF, A, B, Edge, eventually, now, province
from foreign.zeep_client import EDocClient, Refused
from package_b_letters import send_document
from raw_http import post, related
from test_edge_local_service import letter

from edge_agent.bridge import sidecar
from edge_agent.posting import post_fields, post_file
from protocol.errors import ExchangeError
from protocol.model import Organization, Reference
from protocol.package_a import write_package_a

CANARY = "chim-hoang-yen-7391"
CANARY_OCTETS = CANARY.encode()
MARKS = {
    "Unicode": "TỐI MẬT",
    "combining": unicodedata.normalize("NFD", "TỐI MẬT"),
    "TCVN3": "TèI MËT",
    "VNI": "TOÁI MAÄT",
}


def traces(root: Path, *, but: tuple[Path, ...] = ()) -> list[Path]:
    """Every file whose octets or name hold the canary."""
    files = [path for path in root.rglob("*") if path.is_file() and path not in but]
    return [path for path in files if CANARY_OCTETS in read_if_there(path) or CANARY in path.name]


def read_if_there(path: Path) -> bytes:
    """A file that the agent took away while we looked leaves no trace."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


async def healthy(edge: Edge) -> None:
    """One more, ordinary document gets through, so the refusal before it was decided."""
    edge.drop("thường.pdf", PDF, CodeNumber="777")
    await eventually((edge.places.done / "thường.pdf").exists, "an ordinary document passes")


async def test_ac_4_2a_1_and_3_a_marked_file_in_the_folder_stays_untouched_and_unread(
    capfd: pytest.CaptureFixture[str],
):
    async with province() as gialai:
        edge = await gialai.edge(A)
        await gialai.join(B)
        main = edge.drop("tài liệu.pdf", PDF + CANARY_OCTETS, Subject="TỐI MẬT", Content=CANARY)
        fields = main.with_suffix(".json")
        reason = main.with_name("tài liệu.pdf.reason.txt")
        await eventually(reason.exists, "the reason beside it")
        await healthy(edge)
        assert main.read_bytes() == PDF + CANARY_OCTETS
        assert "secrecy.refused" in reason.read_text("utf-8")
        assert traces(edge.places.root, but=(main, fields)) == []
        assert not list(edge.places.failed.iterdir())
        main.unlink()
        await eventually(lambda: not reason.exists(), "the reason goes with its file")
        (row,) = edge.agent.store.outbox.latest(9)
        assert "777" in row.document_id
    captured = capfd.readouterr()
    assert CANARY not in captured.out + captured.err
    assert "tài liệu" not in captured.out + captured.err


async def test_ac_4_2a_3_a_marked_edxml_leaves_no_trace():
    async with province() as gialai:
        edge = await gialai.edge(A)
        await gialai.join(B)
        read = sidecar.read_sidecar("x.json", _json(Subject="MẬT", Content=CANARY))
        reference = Reference(content_id="f1", attachment_name="a.pdf")
        document = sidecar.document_of(read, Organization(organ_id=A, organ_name="Sở Ví dụ A"), (reference,))
        package = edge.places.outgoing / "gói.edxml"
        package.write_bytes(b"".join(write_package_a(document, [(reference, [PDF, CANARY_OCTETS])])))
        await eventually((edge.places.outgoing / "gói.edxml.reason.txt").exists, "the reason beside it")
        await healthy(edge)
        assert traces(edge.places.root, but=(package,)) == []


BESIDE_THE_OCTETS = {
    "name": ("<edXML:ContentTransferEncoded", f"<AttachmentName>docs/TUYET MAT {CANARY}.pdf</AttachmentName>"),
    "description": ("<edXML:ContentTransferEncoded", f"<Description>{CANARY}: TUYỆT MẬT</Description>"),
    "name behind the content": ("</Attachment>", f"<AttachmentName>TUYET MAT {CANARY}.pdf</AttachmentName>"),
}


@pytest.mark.parametrize("place", BESIDE_THE_OCTETS)
async def test_ac_4_2a_1_an_edxml_whose_manifest_is_silent_is_read_at_the_attachment(place: str):
    async with province() as gialai:
        edge = await gialai.edge(A)
        await gialai.join(B)
        before, said = BESIDE_THE_OCTETS[place]
        edge.places.outgoing.joinpath("gói.edxml").write_bytes(silent(before, said))
        reason = edge.places.outgoing / "gói.edxml.reason.txt"
        await eventually(reason.exists, "the reason beside it")
        assert "secrecy.refused" in reason.read_text("utf-8")
        await healthy(edge)
        assert traces(edge.places.root, but=(edge.places.outgoing / "gói.edxml",)) == []


@pytest.mark.parametrize("place", BESIDE_THE_OCTETS)
async def test_ac_4_2a_3_the_send_command_reads_the_attachments_of_an_edxml_before_it_copies(place: str):
    async with province() as gialai:
        edge = await gialai.join(A)
        edge.places.make()
        file = gialai.root / "gói.edxml"
        file.write_bytes(silent(*BESIDE_THE_OCTETS[place]))
        with pytest.raises(ExchangeError) as refusal:
            post_file(edge.places, file, Organization(organ_id=A), now())
        assert refusal.value.kind.code == "secrecy.refused"
        assert list(edge.places.outgoing.iterdir()) == []


def silent(before: str, said: str) -> bytes:
    """An `.edxml` whose manifest and attachment have no name; `said` is put at the attachment, in front of `before`."""
    read = sidecar.read_sidecar("x.json", _json())
    reference = Reference(content_id="f1", attachment_name="a.pdf")
    document = sidecar.document_of(read, Organization(organ_id=A, organ_name="Sở Ví dụ A"), (reference,))
    text = b"".join(write_package_a(document, [(reference, [PDF, CANARY_OCTETS])])).decode()
    for kind in ("edXML:", ""):
        text = text.replace(f"<{kind}AttachmentName>a.pdf</{kind}AttachmentName>", "")
    start = text.index(before, text.index("<Attachment>"))
    return (text[:start] + said + text[start:]).encode()


@pytest.mark.parametrize("encoding", MARKS)
async def test_ac_4_2a_6_package_b_refuses_the_stamp_in_every_encoding(tmp_path: Path, encoding: str):
    async with province() as gialai:
        edge = await gialai.edge(A)
        await gialai.join(B)
        file = tmp_path / "a.pdf"
        file.write_bytes(PDF + CANARY_OCTETS)
        client = await asyncio.to_thread(EDocClient, edge.package_b, A, edge.token)
        with pytest.raises(Refused) as refusal:
            await asyncio.to_thread(client.send, letter(file, subject=f"{MARKS[encoding]} - {CANARY}"))
        assert refusal.value.codes == ["CheckPermission"]
        await healthy(edge)
        assert traces(edge.places.root) == []
        client.close()


HIDDEN = f"<edXML:{CANARY}><edXML:DoMat>{CANARY}</edXML:DoMat></edXML:{CANARY}>"
WRITTEN = {
    "plain": lambda octets: octets,
    "junk before the declaration": lambda octets: b"1212" + octets,
    "UTF-16": lambda octets: octets.decode().replace("utf-8", "utf-16").encode("utf-16"),
}


@pytest.mark.parametrize("form", WRITTEN)
async def test_ac_4_2a_2_and_4_an_element_that_the_model_does_not_know_is_read_however_the_envelope_begins(
    form: str, capfd: pytest.CaptureFixture[str]
):
    async with province() as gialai:
        edge = await gialai.edge(A)
        await gialai.join(B)
        marked = send_document(["f1"], token=edge.token, replace=("<edXML:Content/>", f"<edXML:Content/>{HIDDEN}"))
        body = related(WRITTEN[form](marked), ("<f1>", "", PDF + CANARY_OCTETS))
        headers = {"SOAPAction": "SendDocument", "Content-Type": 'multipart/related; boundary="Boundary"'}
        assert (await post(edge.package_b, headers, body)).codes == ["CheckPermission"]
        assert traces(edge.places.root) == []
    captured = capfd.readouterr()
    assert "secrecy.refused" in captured.out + captured.err
    assert CANARY not in captured.out + captured.err, "the name of an element is its author's"


async def test_ac_4_2a_3_the_send_command_refuses_before_it_copies():
    async with province() as gialai:
        edge = await gialai.join(A)
        edge.places.make()
        file = gialai.root / f"{CANARY}.pdf"
        file.write_bytes(PDF + CANARY_OCTETS)
        fields = sidecar.read_sidecar("x.json", _json(Subject="TUYỆT MẬT"))
        agency = Organization(organ_id=A, organ_name="Sở Ví dụ A")
        with pytest.raises(ExchangeError) as refusal:
            post_fields(edge.places, fields, [file], agency, now())
        assert refusal.value.kind.code == "secrecy.refused"
        assert traces(edge.places.root) == []
        assert list(edge.places.outgoing.iterdir()) == []


async def test_ac_4_2a_5_ordinary_words_pass():
    async with province() as gialai:
        a, b = await gialai.edge(A), await gialai.edge(B)
        a.drop("a.pdf", PDF, Subject="V/v bảo mật mật khẩu và sản xuất mật ong")
        await eventually(b.incoming, "arrival")


def _json(**fields: object) -> bytes:
    return msgspec.json.encode({**FIELDS, **fields})


def test_the_canary_search_finds_what_is_there(tmp_path: Path):
    hidden = tmp_path / "deep" / "er"
    hidden.mkdir(parents=True)
    (hidden / "x").write_bytes(b"..." + CANARY_OCTETS)
    (hidden / f"{CANARY}.txt").write_bytes(b"")
    assert len(traces(tmp_path)) == 2
