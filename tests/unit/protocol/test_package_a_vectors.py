"""Every vector of package A yields what its README line says, however the octets are cut."""

import re
from pathlib import Path

import pytest

from protocol.errors import ExchangeError
from protocol.model import StatusMessage
from protocol.package_a import AttachmentData, AttachmentEnd, AttachmentStart, EnvelopeReady, Event, PackageAReader
from protocol.xml_reading import parse

VECTORS = Path(__file__).parents[2] / "vectors" / "package_a"
LINE = re.compile(r"^\| `(?P<file>\d{3}_\w+\.edxml)` \| .+ \| `(?P<yields>[^`]+)` \|$", re.MULTILINE)
TABLE = [(match["file"], match["yields"]) for match in LINE.finditer((VECTORS / "README.md").read_text())]


def read(data: bytes, step: int) -> list[Event]:
    reader = PackageAReader()
    events = [event for start in range(0, len(data), step) for event in reader.feed(data[start : start + step])]
    return events + reader.close()


def outcome(data: bytes, step: int) -> str:
    """In the words of the README."""
    try:
        events = read(data, step)
    except ExchangeError as error:
        return error.kind.code
    assert isinstance(events[0], EnvelopeReady), "the envelope comes first"
    parse(events[0].original_envelope)
    if isinstance(events[0].message, StatusMessage):
        return f"status {events[0].message.status_code}"
    return " ".join(named(octets) for octets in files(events))


def files(events: list[Event]) -> list[bytes]:
    found: list[bytes] = []
    open_ = False
    for event in events:
        match event:
            case AttachmentStart(content_id=content_id):
                assert not open_
                assert content_id == f"v{len(found) + 1}"
                found.append(b"")
                open_ = True
            case AttachmentData(data=data):
                assert open_
                found[-1] += data
            case AttachmentEnd():
                open_ = False
    assert not open_
    return found


def named(octets: bytes) -> str:
    samples = {sample.read_bytes(): sample.name for sample in VECTORS.glob("sample.*")}
    return samples.get(octets, "empty" if not octets else "other octets")


def test_every_vector_has_its_line():
    assert [file for file, _ in TABLE] == sorted(path.name for path in VECTORS.glob("*.edxml"))


@pytest.mark.parametrize("step", [1, 7, 1 << 20])
@pytest.mark.parametrize(("file", "yields"), TABLE)
def test_vector(file: str, yields: str, step: int):
    assert outcome((VECTORS / file).read_bytes(), step) == yields


@pytest.mark.parametrize("file", [file for file, yields in TABLE if yields == "attachment.damaged"])
def test_a_damaged_attachment_is_named(file: str):
    with pytest.raises(ExchangeError) as caught:
        read((VECTORS / file).read_bytes(), 1 << 20)
    assert caught.value.element in {"07_SVM-VP.signed.pdf", "a.docx"}
    assert caught.value.report_code == "M.Attachment-Encoding"


@pytest.mark.parametrize("file", ["001_document.edxml", "011_wrapped_by_sdk.edxml", "016_attachments_first.edxml"])
def test_a_file_cut_anywhere_is_refused_in_the_vocabulary(file: str):
    whole = (VECTORS / file).read_bytes().rstrip()
    for length in range(len(whole)):
        with pytest.raises(ExchangeError) as caught:
            read(whole[:length], 1 << 20)
        assert caught.value.kind.code == ("message.truncated" if length else "message.not-xml"), length
