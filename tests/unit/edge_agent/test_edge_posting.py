"""What `lienthong-edge send` places is exactly what it was told to send, whatever the files are called."""

from __future__ import annotations

import threading
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from edge_agent import posting
from edge_agent.bridge import sidecar
from edge_agent.bridge.items import Finder
from edge_agent.payloads import copy_durably
from edge_agent.places import Places
from protocol.errors import ExchangeError
from protocol.model import Organization, Reference
from protocol.package_a import write_package_a

NOW = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
AGENCY = Organization(organ_id="H21.16", organ_name="Sở Ví dụ A")
FIELDS = sidecar.Sidecar(
    to=["H21.23"],
    code_number="1",
    code_notation="SVDA-VP",
    promulgation_date="2026-11-20",
    subject="V/v",
    full_name="Nguyễn Văn Mẫu",
)


@pytest.fixture
def places(tmp_path: Path) -> Places:
    made = Places(tmp_path / "edge")
    made.make()
    return made


def post(places: Places, source: Path, *names: str) -> posting.Posted:
    """Send files that hold their own path."""
    files = [source / name for name in names]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(str(file.relative_to(source)))
    return posting.post_fields(places, FIELDS, files, AGENCY, NOW)


def lies(places: Places) -> list[tuple[str, list[str]]]:
    """(content of the main file, contents of its attachments) of each thing that would be sent."""
    items = Finder(places.outgoing).find()
    assert [item.problem for item in items if item.problem] == []
    return [
        (item.files[0].read_text(), [path.read_text() if path else "" for path in item.attachments]) for item in items
    ]


@pytest.mark.parametrize(
    "names",
    [
        ("to-trinh.pdf", "to-trinh.docx"),
        ("a/x.pdf", "b/x.pdf", "c/X.PDF"),
        ("data.json",),
        ("data.toml", "data.json"),
        ("a.pdf", "goi.edxml"),
        ("a.pdf", "tt.status.toml", "a.json", "a.toml"),
        ("không phần mở rộng",),
        ("ấ" * 75 + ".pdf", "ấ" * 74 + "a.pdf"),
    ],
)
def test_what_lies_there_is_what_was_given(places: Places, tmp_path: Path, names: tuple[str, ...]):
    post(places, tmp_path, *names)
    assert lies(places) == [(names[0], list(names[1:]))]
    assert not list(places.outgoing.glob(".*"))


def test_the_names_of_earlier_files_are_left_to_them(places: Places, tmp_path: Path):
    (places.outgoing / "a.pdf").write_text("a clerk's, whose fields come later")
    (places.done / "b.xlsx").write_text("sent long ago")
    posted = post(places, tmp_path, "a.docx", "b.xlsx")
    assert [path.name for path in posted.files] == ["a (2).docx", "b (2).xlsx", "a (2).json"]
    (places.outgoing / "a.json").write_text("{}")
    assert [item.main.name for item in Finder(places.outgoing).find()] == ["a (2).docx", "a.pdf"]


def test_a_failure_leaves_nothing_behind(places: Places, tmp_path: Path):
    (tmp_path / "a.pdf").write_text("here")
    with pytest.raises(FileNotFoundError):
        posting.post_fields(places, FIELDS, [tmp_path / "a.pdf", tmp_path / "gone.xlsx"], AGENCY, NOW)
    assert list(places.outgoing.iterdir()) == []


def test_the_fields_come_first_so_that_no_attachment_is_ever_a_thing_of_its_own(
    places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    seen: list[list[str]] = []

    def look(source: Path, target: Path, *, replace: bool) -> str:
        seen.append([item.main.name for item in Finder(places.outgoing).find() if not item.problem])
        return copy_durably(source, target, replace=replace)

    monkeypatch.setattr(posting, "copy_durably", look)
    post(places, tmp_path, "a.pdf", "goi.edxml", "b.edxml")
    assert seen == [[], [], []]


def test_two_commands_at_once_do_not_take_each_others_names(places: Places, tmp_path: Path):
    posted: list[posting.Posted] = []
    threads = [
        threading.Thread(target=lambda n=n: posted.append(post(places, tmp_path / str(n), "a.pdf", "b.xlsx")))
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({path for one in posted for path in one.files}) == 24
    assert lies(places) == [("a.pdf", ["b.xlsx"])] * 8


def test_a_name_that_a_dead_command_held_is_passed_over(places: Places, tmp_path: Path):
    (places.outgoing / ".a.pdf.part").write_text("half")
    assert post(places, tmp_path, "a.pdf").main.name == "a (2).pdf"


def test_fields_that_name_another_main_file_are_refused(places: Places, tmp_path: Path):
    (tmp_path / "a.pdf").write_text("x")
    fields = sidecar.read_sidecar("f.toml", b'File = "b.pdf"\n' + toml())
    with pytest.raises(ExchangeError) as caught:
        posting.post_fields(places, fields, [tmp_path / "a.pdf"], AGENCY, NOW)
    assert (caught.value.kind.code, caught.value.element) == ("element.mismatch", "File")
    assert list(places.outgoing.iterdir()) == []


def toml() -> bytes:
    text = 'To = ["H21.23"]\nCodeNumber = 1\nCodeNotation = "X"\nSubject = "V/v"\nFullName = "A"\n'
    return f"{text}PromulgationDate = {date(2026, 11, 20)}\n".encode()


def test_a_package_is_placed_as_it_is(places: Places, tmp_path: Path):
    reference = Reference(content_id="f1", attachment_name="a.pdf")
    document = sidecar.document_of(FIELDS, AGENCY, (reference,))
    package = tmp_path / "gói.edxml"
    package.write_bytes(b"".join(write_package_a(document, [(reference, [b"octets"])])))
    for _ in range(2):
        posting.post_file(places, package, AGENCY, NOW)
    assert [item.main.name for item in Finder(places.outgoing).find()] == ["gói (2).edxml", "gói.edxml"]
    assert all(path.read_bytes() == package.read_bytes() for path in places.outgoing.iterdir())
