"""State-secret marks sent straight to the hub by a faulty client (Điều 4.2a): refused, and no trace of the text.

The hub is a process of its own, so that its folder, its log and its temporary folder are all it can have written to.
"""

from __future__ import annotations

import base64
import hashlib
import io
import re
import unicodedata
from collections.abc import AsyncIterator, Iterator

import msgspec
import pysqlite3
import pytest
import pytest_asyncio
from lxml import etree

from hub.configuration import HubConfiguration
from protocol import errors
from protocol.edxml.writer import write_envelope
from protocol.errors import ExchangeError
from protocol.model import Document, StatusMessage
from protocol.namespaces import QCVN
from protocol.receipts import decode_leaf
from protocol.seal import seal
from protocol.text import tcvn3, vni
from runtime import config
from tests.support.agency import AgencyClient, Attached
from tests.support.hub_process import HubProcess

pytestmark = pytest.mark.asyncio(loop_scope="module")

CANARY = "Chim-Yến-hót-Đêm-thứ-7391"
INSIDE = f"tài liệu {CANARY}, trang 1".encode()
SMALL = Attached("f1", b"%PDF-1.7 " + INSIDE)
MIDDLE = Attached("f2", INSIDE * 30_000)
"""About a megabyte: would go through a file."""
AHEAD = Attached("f3", INSIDE * 300_000)
"""About 10 MB: uploaded before its document."""
RULES = {"stamp", "recall-stamp", "level", "attachment-name", "metadata"}


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubProcess]:
    with HubProcess(tmp_path_factory.mktemp("secrecy") / "hub", log_level='"debug"') as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sender(hub: HubProcess, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[AgencyClient]:
    folder = tmp_path_factory.mktemp("agency")
    hub.invitation("H21.23")
    async with await AgencyClient.join(hub.url, hub.invitation("H21.16"), folder) as agency:
        yield agency


def disguises(text: str) -> set[bytes]:
    """The ways in which a program may write a text down."""
    found = set()
    for octets in {text.encode(form) for form in ("utf-8", "utf-16-le", "utf-16-be")} | {
        "".join(f"\\u{ord(one):04x}" if ord(one) > 127 else one for one in text).encode(),
        text.encode("ascii", "xmlcharrefreplace"),
        tcvn3.encode(text),
        vni.encode(text),
        unicodedata.normalize("NFD", text).encode(),
    }:
        found |= {octets, octets.hex().encode(), octets.hex().upper().encode()}
        # base64 at each of its three alignments, without what the neighbours decide
        for shift in range(3):
            encoded = base64.b64encode(b"\0" * shift + octets)
            found.add(encoded[-(-shift * 8 // 6) : -4])
    return found


def traces(hub: HubProcess, text: str = CANARY) -> list[str]:
    """Files that hold the text in any disguise: the hub's folder, its log, its temporary folder."""
    looked_for = disguises(text)
    files = [hub.log, *hub.folder.rglob("*"), *hub.temporary.rglob("*")]
    holding = []
    for file in files:
        if file.is_file():
            octets = file.read_bytes()
            holding += [str(file)] * any(one in octets for one in looked_for)
    return holding


def leaves(hub: HubProcess) -> list[bytes]:
    """The evidence log as it lies in the ledger."""
    connection = pysqlite3.connect(f"file:{hub.configuration.data / 'ledger.sqlite'}?mode=ro", uri=True)
    try:
        return [row[0] for row in connection.execute("SELECT data FROM events ORDER BY leaf")]
    finally:
        connection.close()


def counted(hub: HubProcess) -> tuple[int, dict[str, int]]:
    """Messages in the ledger, and the files of payloads with their sizes."""
    connection = pysqlite3.connect(f"file:{hub.configuration.data / 'ledger.sqlite'}?mode=ro", uri=True)
    try:
        (messages,) = connection.execute("SELECT count(*) FROM messages").fetchone()
    finally:
        connection.close()
    folder = hub.configuration.data / "payloads"
    return messages, {str(one): one.stat().st_size for one in folder.rglob("*") if one.is_file()}


def marked(subject: str, **changes: object):
    """A document whose subject this is."""

    def make(sender: AgencyClient, files: list[Attached]) -> bytes:
        return sender.sealed(sender.document(["H21.23"], "4", files, subject=subject, **changes))

    return make


def with_element(name: str, text: str):
    """A document with an element that no regulation knows."""

    def make(sender: AgencyClient, files: list[Attached]) -> bytes:
        document = sender.document(["H21.23"], "4", files, subject=f"V/v {CANARY}")
        tree = etree.fromstring(write_envelope(document, envelope_id="id-1"))
        header = tree.find(f".//{{{QCVN}}}MessageHeader")
        etree.SubElement(header, f"{{{QCVN}}}{name}").text = text
        return seal(etree.tostring(tree), sender.signer)

    return make


def named(name: str):
    """A document whose first attachment has this name."""

    def make(sender: AgencyClient, files: list[Attached]) -> bytes:
        files = [Attached(one.content_id, one.data, name) for one in files]
        return sender.sealed(sender.document(["H21.23"], "4", files, subject=f"V/v {CANARY}"))

    return make


MARKED = {
    "MẬT in the subject": marked(f"MẬT\nV/v {CANARY}"),
    "TỐI MẬT in brackets": marked(f"[TỐI MẬT] V/v {CANARY}"),
    "TUYỆT MẬT at the end": marked(f"V/v {CANARY} - TUYỆT MẬT"),
    "TÀI LIỆU THU HỒI": marked(f"TÀI LIỆU THU HỒI\n{CANARY}"),
    "in the content": marked(f"V/v {CANARY}", content=f"Độ mật: Tối mật\n{CANARY}"),
    "in the place": with_element("Place", "TỐI MẬT"),
    "as metadata": with_element("SecretLevel", "2"),
    "in the name of the attachment": named(f"TUYET MAT {CANARY}.pdf"),
}


async def assert_no_trace(hub: HubProcess, before: tuple[int, dict[str, int]], events: int) -> None:
    assert traces(hub) == []
    assert counted(hub) == before
    (leaf,) = leaves(hub)[events:]
    assert_says_no_more_than_it_may(leaf)
    (line,) = [one for one in hub.lines() if one["event"] == "refused"][-1:]
    assert line.keys() == {*("time", "level", "event", "part", "package", "agency", "remote", "code", "element")}
    assert (line["agency"], line["code"]) == ("H21.16", "secrecy.refused")


def assert_says_no_more_than_it_may(leaf: bytes) -> None:
    """Time, sender, rule; no subject (AC-4.2a-4)."""
    said = msgspec.json.decode(leaf)
    assert said.keys() == {"v", "type", "time", "agency", "reason", "detail"}
    assert (said["type"], said["agency"], said["reason"]) == ("refused", "H21.16", "secrecy.refused")
    assert said["detail"] in RULES
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", said["time"])
    assert decode_leaf(leaf).document_id == ""


@pytest.mark.parametrize("files", [[], [SMALL], [SMALL, MIDDLE]], ids=["bare", "small", "large"])
@pytest.mark.parametrize("make", MARKED.values(), ids=MARKED)
async def test_ac_4_2a_2_3_4_marked_document_is_refused_and_leaves_no_trace(
    hub: HubProcess, sender: AgencyClient, make, files: list[Attached]
):
    before, events = counted(hub), len(leaves(hub))
    envelope = make(sender, files or [SMALL])  # without files, the manifest still names one
    with pytest.raises(ExchangeError) as caught:
        await sender.send(envelope, files)
    assert caught.value.kind is errors.SECRET_MARK
    assert CANARY not in caught.value.sentence + caught.value.element
    await assert_no_trace(hub, before, events)


@pytest.mark.parametrize("complete", [True, False], ids=["whole", "half"])
async def test_ac_4_2a_3_attachment_that_was_uploaded_ahead_goes_with_its_document(
    hub: HubProcess, sender: AgencyClient, complete: bool
):
    before, events = counted(hub), len(leaves(hub))
    url = f"{sender.url}/lienthong/v1/payloads/{hashlib.sha256(AHEAD.data).hexdigest()}"
    data = AHEAD.data if complete else AHEAD.data[: 5 << 20]
    headers = {"Upload-Offset": "0", "Upload-Length": str(len(data if complete else AHEAD.data))}
    async with sender.session.patch(url, data=io.BytesIO(data), headers=headers) as response:
        assert response.status == 204
    assert traces(hub), "the search finds what is there"
    with pytest.raises(ExchangeError) as caught:
        await sender.send(sender.sealed(sender.document(["H21.23"], "5", [AHEAD], subject=f"MẬT\nV/v {CANARY}")))
    assert caught.value.kind is errors.SECRET_MARK
    await assert_no_trace(hub, before, events)


def badly_dated(tree: etree._Element) -> None:
    tree.find(f".//{{{QCVN}}}PromulgationDate").text = "hôm qua"


def without_subject(tree: etree._Element) -> None:
    subject = tree.find(f".//{{{QCVN}}}Subject")
    subject.getparent().find(f"{{{QCVN}}}Content").text = subject.text
    subject.getparent().remove(subject)


def of_another(tree: etree._Element) -> None:
    tree.find(f".//{{{QCVN}}}From/{{{QCVN}}}OrganId").text = "H21.23"


def to_nobody(tree: etree._Element) -> None:
    tree.find(f".//{{{QCVN}}}To/{{{QCVN}}}OrganId").text = "H21.999"


FAULTS = {"date": badly_dated, "no subject": without_subject, "other sender": of_another, "no recipient": to_nobody}


async def ahead(sender: AgencyClient) -> None:
    url = f"{sender.url}/lienthong/v1/payloads/{hashlib.sha256(AHEAD.data).hexdigest()}"
    headers = {"Upload-Offset": "0", "Upload-Length": str(len(AHEAD.data))}
    async with sender.session.patch(url, data=io.BytesIO(AHEAD.data), headers=headers) as response:
        assert response.status == 204


def marked_tree(sender: AgencyClient) -> etree._Element:
    document = sender.document(["H21.23"], "7", [AHEAD], subject=f"MẬT\nV/v {CANARY}", content="x")
    return etree.fromstring(write_envelope(document, envelope_id="id-1"))


@pytest.mark.parametrize("spoil", FAULTS.values(), ids=FAULTS)
async def test_ac_4_2a_3_a_second_fault_does_not_hide_the_mark(hub: HubProcess, sender: AgencyClient, spoil):
    """The refusal was for the date, and the attachment that had gone ahead stayed for three days."""
    before, events = counted(hub), len(leaves(hub))
    await ahead(sender)
    tree = marked_tree(sender)
    spoil(tree)
    with pytest.raises(ExchangeError) as caught:
        await sender.send(seal(etree.tostring(tree), sender.signer))
    assert caught.value.kind is errors.SECRET_MARK
    await assert_no_trace(hub, before, events)


@pytest.mark.parametrize("sealed", [True, False], ids=["broken seal", "no seal"])
async def test_ac_4_2a_3_a_bad_seal_does_not_hide_the_mark(hub: HubProcess, sender: AgencyClient, sealed: bool):
    before, events = counted(hub), len(leaves(hub))
    await ahead(sender)
    envelope = etree.tostring(marked_tree(sender))
    if sealed:
        envelope = seal(envelope, sender.signer).replace("Phó Giám đốc".encode(), "Giám đốc".encode())
    with pytest.raises(ExchangeError) as caught:
        await sender.send(envelope)
    assert caught.value.kind is errors.SECRET_MARK
    await assert_no_trace(hub, before, events)


async def test_marked_status_is_refused_and_leaves_no_trace(hub: HubProcess, sender: AgencyClient):
    before, events = counted(hub), len(leaves(hub))
    status: StatusMessage = sender.status(2, "H21.23,2026/11/20,1/VD-VP", "H21.23", f"TUYỆT MẬT\n{CANARY}")
    with pytest.raises(ExchangeError) as caught:
        await sender.report(sender.sealed(status))
    assert caught.value.kind is errors.SECRET_MARK
    await assert_no_trace(hub, before, events)


@pytest.mark.parametrize("encode", [tcvn3, vni], ids=["TCVN3", "VNI"])
async def test_ac_4_2a_6_stamp_in_a_legacy_encoding(hub: HubProcess, sender: AgencyClient, encode):
    """As it arrives when somebody pastes legacy text into a Unicode field: Latin letters that mean MẬT."""
    before, events = counted(hub), len(leaves(hub))
    stamp = LEGACY[encode.__name__.rpartition(".")[2]]
    assert encode.decode(stamp) == "TỐI MẬT"
    with pytest.raises(ExchangeError) as caught:
        await sender.send(sender.sealed(sender.document(["H21.23"], "6", subject=f"{stamp}\nV/v {CANARY}")))
    assert caught.value.kind is errors.SECRET_MARK
    await assert_no_trace(hub, before, events)


LEGACY = {"tcvn3": "TèI MËT", "vni": "TOÁI MAÄT"}

ORDINARY = [
    "V/v bảo mật thông tin và an toàn dữ liệu",
    "V/v đổi mật khẩu hộp thư công vụ",
    "V/v hỗ trợ người nuôi ong lấy mật ong",
    "V/v Luật Bảo vệ bí mật nhà nước",
    "V/v mật độ xây dựng và mật danh đường phố",
]


@pytest.mark.parametrize("subject", ORDINARY)
async def test_ac_4_2a_5_ordinary_words_pass(sender: AgencyClient, subject: str):
    number = str(100 + ORDINARY.index(subject))
    document: Document = sender.document(["H21.23"], number, [SMALL_ORDINARY], subject=subject)
    assert not (await sender.send(sender.sealed(document), [SMALL_ORDINARY])).repeated


SMALL_ORDINARY = Attached("f1", b"%PDF-1.7", name="Quy chế bảo mật.pdf")


async def test_ac_4_2a_7_no_setting_switches_the_rule_off():
    """None of the keys concerns secrecy, by name or by meaning; and the command has no option for it."""
    for setting in config.describe(HubConfiguration):
        words = f"{setting.key} {setting.meaning}".casefold()
        assert not re.search(r"secre|classif|mark|mật|4\.2|cấm", words), setting.key


async def test_search_finds_the_text_in_every_disguise(hub: HubProcess):
    """What the tests above did not find would have been found."""
    hidden = hub.temporary / "hidden"
    for octets in disguises(CANARY):
        hidden.write_bytes(b"before" + octets + b"after")
        assert traces(hub) == [str(hidden)]
    hidden.write_bytes(base64.b64encode(b"ab" + CANARY.encode() + b"cd"))
    assert traces(hub) == [str(hidden)]
    hidden.unlink()


async def test_ac_4_2a_3_nothing_is_left_after_the_hub_has_stopped(hub: HubProcess):
    """The last test of the file: what a drain writes down is looked at too."""
    assert hub.stop() == 0
    assert traces(hub) == []
