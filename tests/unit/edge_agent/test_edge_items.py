"""Who belongs to whom in `outgoing/`: never guessed, in whatever Unicode form names are, and never through a link."""

from __future__ import annotations

import json
import os
import unicodedata
from pathlib import Path

import pytest

from edge_agent.bridge.items import Finder
from edge_agent.bridge.reasons import put, reason_beside, remove
from edge_agent.bridge.regular_files import open_regular
from protocol import errors
from protocol.errors import ExchangeError


def drop(folder: Path, **files: object) -> None:
    """Files by name; a dictionary becomes JSON."""
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content) if isinstance(content, dict) else str(content))


def found(folder: Path) -> dict[str, tuple[str | None, list[str]]]:
    """Main file → (problem, all files)."""
    return {
        item.main.name: (item.problem.code if item.problem else None, [path.name for path in item.files])
        for item in Finder(folder).find()
    }


def test_a_listed_file_is_nobodys_main_file(tmp_path: Path):
    """`to-trinh.docx` comes first in the alphabet; the signed PDF is what is sent."""
    drop(tmp_path, **{"a.docx": "", "a.pdf": "", "a.json": {"Attachments": ["a.docx"]}})
    assert found(tmp_path) == {"a.pdf": (None, ["a.pdf", "a.json", "a.docx"])}


def test_the_sidecar_may_name_its_main_file(tmp_path: Path):
    drop(tmp_path, **{"a.docx": "", "a.pdf": "", "a.json": {"File": "a.pdf"}, "x.toml": 'File = "data.json"'})
    drop(tmp_path, **{"data.json": {"File": "not read"}})
    assert found(tmp_path) == {"a.pdf": (None, ["a.pdf", "a.json"]), "data.json": (None, ["data.json", "x.toml"])}


@pytest.mark.parametrize("listed", ["goi.edxml", "tt.status.toml", "data.json", "data.toml"])
def test_a_listed_file_is_no_item_of_its_own(tmp_path: Path, listed: str):
    drop(tmp_path, **{"a.pdf": "", "data.pdf": "", "a.json": {"Attachments": [listed]}, listed: ""})
    assert found(tmp_path) == {"a.pdf": (None, ["a.pdf", "a.json", listed])}


def test_several_main_files_are_not_guessed(tmp_path: Path):
    drop(tmp_path, **{"a.docx": "", "a.pdf": "", "a.json": {}})
    assert found(tmp_path) == {"a.json": ("attachment.ambiguous", ["a.json", "a.docx", "a.pdf"])}


def test_two_sidecars_for_one_file_are_not_guessed(tmp_path: Path):
    drop(tmp_path, **{"a.pdf": "", "a.json": {}, "a.toml": ""})
    assert found(tmp_path) == {"a.pdf": ("attachment.ambiguous", ["a.pdf", "a.json", "a.toml"])}


def test_a_file_that_another_sidecar_names_is_not_taken_by_its_name_alone(tmp_path: Path):
    drop(tmp_path, **{"a.docx": "", "a.json": {}, "b.pdf": "", "b.json": {"Attachments": ["a.docx"]}})
    assert found(tmp_path) == {
        "a.json": ("attachment.ambiguous", ["a.json", "a.docx"]),
        "b.pdf": (None, ["b.pdf", "b.json", "a.docx"]),
    }


def test_a_main_file_that_does_not_come_is_a_problem(tmp_path: Path):
    drop(tmp_path, **{"b.pdf": "", "b.json": {"File": "a.pdf"}})
    assert found(tmp_path) == {"b.json": ("attachment.missing", ["b.json"])}


@pytest.mark.parametrize("name", ["../a.pdf", "/etc/passwd", ".dang-chuyen.json", "a.json"])
def test_a_main_file_that_is_no_other_file_of_the_folder_is_a_problem(tmp_path: Path, name: str):
    drop(tmp_path, **{"a.pdf": "", "a.json": {"File": name}})
    assert found(tmp_path) == {"a.json": ("attachment.not-a-file", ["a.json"])}


@pytest.mark.parametrize("name", ["../b", "/etc/passwd", "", ".", "..", ".hidden", "sub/b"])
def test_a_listed_name_is_a_name_of_this_folder(tmp_path: Path, name: str):
    (tmp_path / "sub").mkdir()
    drop(tmp_path, **{"a.pdf": "", "a.json": {"Attachments": [name]}, ".hidden": ""})
    drop(tmp_path / "sub", b="")
    (item,) = Finder(tmp_path).find()
    assert item.attachments == (None,)


@pytest.mark.parametrize(("one", "other"), [("NFD", "NFC"), ("NFC", "NFD")])
def test_names_are_compared_in_one_unicode_form(tmp_path: Path, one: str, other: str):
    main = unicodedata.normalize(one, "công văn.pdf")
    fields = unicodedata.normalize(other, "công văn.json")
    annex = unicodedata.normalize(one, "phụ lục.xlsx")
    drop(tmp_path, **{main: "", annex: "", fields: {"Attachments": [unicodedata.normalize(other, annex)]}})
    assert found(tmp_path) == {main: (None, [main, fields, annex])}


def test_two_forms_of_one_name_are_not_guessed(tmp_path: Path):
    names = [unicodedata.normalize(form, "công văn.pdf") for form in ("NFC", "NFD")]
    drop(tmp_path, **dict.fromkeys(names, ""), **{"công văn.json": {}})
    assert [problem for problem, _ in found(tmp_path).values()] == ["attachment.ambiguous"]


@pytest.mark.parametrize("linked", ["k.pdf", "k.json", "annex.bin"])
def test_a_link_is_a_problem_wherever_it_stands(tmp_path: Path, linked: str):
    folder = tmp_path / "outgoing"
    folder.mkdir()
    drop(folder, **{"k.pdf": "", "k.json": {"Attachments": ["annex.bin"]}, "annex.bin": ""})
    (tmp_path / "key").write_text(json.dumps({"Attachments": ["annex.bin"]}))
    (folder / linked).unlink()
    (folder / linked).symlink_to(tmp_path / "key")
    assert "attachment.not-a-file" in [problem for problem, _ in found(folder).values()]
    assert all(problem for problem, files in found(folder).values() if linked in files)


def test_lone_links_and_pipes_are_problems_and_folders_are_left_alone(tmp_path: Path):
    (tmp_path / "a.edxml").symlink_to("/etc/passwd")
    (tmp_path / "b.pdf").symlink_to("nowhere")
    os.mkfifo(tmp_path / "c.status.toml")
    (tmp_path / "d.edxml").mkdir()
    assert {name: problem for name, (problem, _) in found(tmp_path).items()} == dict.fromkeys(
        ("a.edxml", "b.pdf", "c.status.toml"), "attachment.not-a-file"
    )


def test_what_is_put_in_place_of_a_file_is_not_opened(tmp_path: Path):
    (tmp_path / "key").write_text("secret")
    (tmp_path / "link").symlink_to(tmp_path / "key")
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "pipe"):
        with pytest.raises(ExchangeError) as caught:
            open_regular(tmp_path / name)
        assert caught.value.kind is errors.NOT_A_FILE
    with open_regular(tmp_path / "key") as file:
        assert file.read() == b"secret"


def test_a_name_that_is_no_unicode_is_a_problem(tmp_path: Path):
    name = os.fsdecode(b"c\xd4ng v\xe8n.edxml")
    (tmp_path / name).write_text("")
    assert found(tmp_path) == {name: ("text.undecodable", [name])}
    put(tmp_path / name, ExchangeError(errors.UNDECODABLE_TEXT))
    assert reason_beside(tmp_path / name).exists()


def test_a_changed_sidecar_is_read_again(tmp_path: Path):
    finder = Finder(tmp_path)
    drop(tmp_path, **{"a.docx": "", "a.pdf": "", "a.json": {}})
    assert [item.problem for item in finder.find()] == [errors.ATTACHMENT_AMBIGUOUS]
    drop(tmp_path, **{"a.json": {"File": "a.pdf"}})
    assert [item.main.name for item in finder.find()] == ["a.pdf"]


def test_attachments_belong_to_what_is_looked_at_and_shared_ones_stay(tmp_path: Path):
    drop(tmp_path, **{"a.pdf": "", "b.pdf": "", "c.xlsx": ""})
    drop(tmp_path, **{name: {"Attachments": ["c.xlsx"]} for name in ("a.json", "b.json")})
    first, _ = Finder(tmp_path).find()
    before = first.signature()
    assert [path.name for path in first.own] == ["a.pdf", "a.json"]
    (tmp_path / "c.xlsx").write_text("more")
    assert first.signature() != before


def test_only_reasons_of_ours_are_ever_removed(tmp_path: Path):
    finder = Finder(tmp_path)
    drop(tmp_path, **{"từ chối.reason.txt": "Ghi chép của văn thư.\n"})
    put(tmp_path / "a.pdf", ExchangeError(errors.SECRET_MARK))
    put(tmp_path / "từ chối", ExchangeError(errors.SECRET_MARK))
    finder.find()
    assert {path.name for path in finder.stale_reasons()} == {"a.pdf.reason.txt", "từ chối.reason.txt"}
    for reason in finder.stale_reasons():
        remove(reason)
    assert [path.name for path in tmp_path.iterdir()] == ["từ chối.reason.txt"]
    assert (tmp_path / "từ chối.reason.txt").read_text() == "Ghi chép của văn thư.\n"


def test_a_reason_of_a_present_file_is_not_stale_however_long_the_name(tmp_path: Path):
    for name in ("a.pdf", "ấ" * 80 + ".pdf"):
        (tmp_path / name).write_text("")
        put(tmp_path / name, ExchangeError(errors.SECRET_MARK))
    assert len(list(tmp_path.iterdir())) == 4
    finder = Finder(tmp_path)
    finder.find()
    assert finder.stale_reasons() == []
