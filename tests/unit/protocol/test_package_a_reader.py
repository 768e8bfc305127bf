"""The reader of package A: what it keeps of the envelope, its limits, and its memory."""

import base64
import tracemalloc
from pathlib import Path

import pytest
from lxml import etree

from protocol.errors import ExchangeError
from protocol.package_a import AttachmentData, AttachmentEnd, EnvelopeReady, Limits, PackageAReader

VECTORS = Path(__file__).parents[2] / "vectors" / "package_a"
QCVN = "http://www.mic.gov.vn/TBT/QCVN_102_2016"
PLAIN = (VECTORS / "001_document.edxml").read_bytes()


def envelope_of(data: bytes) -> bytes:
    (first, *_) = PackageAReader().feed(data)
    assert isinstance(first, EnvelopeReady)
    return first.original_envelope


def canonical(element: etree._Element) -> bytes:
    return etree.tostring(element, method="c14n", exclusive=True)


def read_in_pieces(data: bytes, limits: Limits) -> None:
    reader = PackageAReader(limits)
    for start in range(0, len(data), 4096):
        reader.feed(data[start : start + 4096])
    reader.close()


def test_a_self_contained_envelope_is_kept_octet_by_octet():
    start, end = PLAIN.index(b"<edXML:edXMLEnvelope"), PLAIN.index(b"</edXML:edXMLEnvelope>")
    assert envelope_of(PLAIN) == PLAIN[start : end + len(b"</edXML:edXMLEnvelope>")]


@pytest.mark.parametrize(
    "data",
    [
        PLAIN,
        PLAIN.replace(b' xmlns:edXML="%b"' % QCVN.encode(), b"").replace(
            b"<edXML ", b'<edXML xmlns:edXML="%b" xmlns:a="urn:a" ' % QCVN.encode()
        ),
        (VECTORS / "007_default_namespace.edxml").read_bytes(),
        PLAIN.replace(b"<edXML ", b'<edXML xmlns:a="urn:a&amp;b" ').replace(
            b"<edXML:Paper>", b"<edXML:Paper a:x='&gt;'>"
        ),
        PLAIN.replace(b"<edXML:Paper>0</edXML:Paper>", b'<edXML:Paper>0</edXML:Paper><Moi xmlns=""><a/></Moi><Moi/>'),
    ],
    ids=["own declaration", "declared on the root", "default namespace", "attribute prefix", "default undone"],
)
def test_an_envelope_cut_out_canonicalises_as_it_did_inside_the_file(data: bytes):
    inside = etree.fromstring(data)[0]
    assert canonical(etree.fromstring(envelope_of(data))) == canonical(inside)


def test_a_forgotten_prefix_is_declared_by_its_customary_name():
    envelope = envelope_of((VECTORS / "006_undeclared_prefixes.edxml").read_bytes())
    reference = etree.fromstring(envelope).find(".//{*}Reference")
    assert reference is not None
    assert reference.get("{http://www.w3.org/1999/xlink}href") == "cid:v1"


@pytest.mark.parametrize(
    ("data", "limits", "code"),
    [
        (PLAIN, Limits(total=500), "mime.total-too-large"),
        (PLAIN, Limits(part=100), "mime.part-too-large"),
        (PLAIN, Limits(root=1000), "message.too-large"),
        ((VECTORS / "019_two_attachments.edxml").read_bytes(), Limits(parts=1), "mime.too-many-parts"),
        ((VECTORS / "016_attachments_first.edxml").read_bytes(), Limits(held=100), "message.too-large"),
        ((VECTORS / "017_content_before_fields.edxml").read_bytes(), Limits(held=100), "message.too-large"),
        (b"<edXML><!--" + b"x" * 100_000, Limits(root=50_000), "message.too-large"),
        (b'<edXML a="' + b"x" * 100_000, Limits(root=50_000), "message.too-large"),
        (b"<edXML><edXMLEnvelope>" + b"x" * 100_000, Limits(root=50_000), "message.too-large"),
        (b"x" * 10_000 + PLAIN, Limits(), "message.not-xml"),
    ],
)
def test_each_limit_refuses(data: bytes, limits: Limits, code: str):
    with pytest.raises(ExchangeError) as caught:
        read_in_pieces(data, limits)
    assert caught.value.kind.code == code


def test_a_comment_longer_than_the_limit_between_small_pieces_is_no_obstacle():
    reader = PackageAReader(Limits(root=8192))
    padded = PLAIN.replace(b"<AttachmentEncoded>", b"<!-- x -->" * 5000 + b"<AttachmentEncoded>")
    events = [event for start in range(0, len(padded), 512) for event in reader.feed(padded[start : start + 512])]
    assert isinstance(events[-1], AttachmentEnd)


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_hundred_megabytes_pass_in_a_few(wrapped: bool):
    piece = bytes(range(256)) * 228  # 57 × 1024 octets: whole base64 lines
    text = base64.encodebytes(piece) if wrapped else base64.b64encode(piece)
    before, rest = PLAIN.split(b"JVBE", 1)
    after = rest[rest.index(b"</edXML:ContentTransferEncoded>") :]
    reader = PackageAReader()
    tracemalloc.start()
    reader.feed(before)
    received = 0
    for _ in range(1800):
        for event in reader.feed(text):
            assert isinstance(event, AttachmentData)
            received += len(event.data)
    reader.feed(after)
    reader.close()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert received == 1800 * len(piece) > 100_000_000
    assert peak < 4 << 20


def test_after_an_error_nothing_but_an_error_comes():
    reader = PackageAReader()
    for _ in range(2):
        with pytest.raises(ExchangeError):
            reader.feed(b"<!DOCTYPE a><a>")
    with pytest.raises(ExchangeError):
        reader.close()


def test_what_is_said_behind_the_content_is_heard():
    text = PLAIN.decode()
    start = text.index("<AttachmentName>", text.index("<Attachment>"))
    end = text.index("</AttachmentName>", start) + len("</AttachmentName>")
    name = text[start:end].replace(".pdf", " (sau).pdf")
    late = text[:start] + text[end:].replace(
        "</Attachment>", f"{name}<Description>Bản chính</Description></Attachment>"
    )
    reader = PackageAReader()
    last = [*reader.feed(late.encode()), *reader.close()][-1]
    assert last == AttachmentEnd(name="07_SVM-VP.signed (sau).pdf", description="Bản chính")


def test_no_crowd_of_declarations_can_keep_the_reader_busy():
    """20,000 declarations above 20,000 elements: a copy for each element took seven seconds."""
    crowd = b"".join(b' xmlns:p%d="urn:p"' % one for one in range(20_000))
    busy = PLAIN.replace(b"<edXML:Content>", b"<edXML:Content><x%b>%b</x>" % (crowd, b"<y/>" * 20_000))
    with pytest.raises(ExchangeError) as caught:
        PackageAReader().feed(busy)
    assert caught.value.kind.code == "message.too-large"
