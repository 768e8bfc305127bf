"""Names from other systems become file names that every system takes, without two becoming one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.bridge.file_names import LONGEST, NAME_MAX, beside, distinct, numbered, safe_id, safe_name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Công văn 123.signed.pdf", "Công văn 123.signed.pdf"),
        ("../../etc/passwd", "_.._etc_passwd"),
        ("C:\\Users\\x.pdf", "C__Users_x.pdf"),
        ("a\x00b\n.pdf", "a_b_.pdf"),
        ("...", "tep"),
        ("", "tep"),
        (".ẩn", "ẩn"),
        ("con.txt", "_con.txt"),
        ("tên.pdf. ", "tên.pdf"),
        ("tên".encode().decode() + ".pdf", "tên.pdf"),
    ],
)
def test_known_names(text: str, name: str):
    assert safe_name(text) == name


@given(st.text(max_size=400))
def test_any_text_is_one_harmless_name(text: str):
    name = safe_name(text)
    assert name
    assert "/" not in name
    assert "\\" not in name
    assert not name.startswith(".")
    assert len(name.encode()) <= LONGEST + 1
    assert safe_name(name) == name


@given(st.text(min_size=1, max_size=400))
def test_any_document_id_is_part_of_a_folder_name(document_id: str):
    assert safe_id(document_id)
    assert "/" not in safe_id(document_id)


def test_long_names_stay_different_and_keep_their_extension():
    first, second = safe_name("x" * 300 + "1.pdf"), safe_name("x" * 300 + "2.pdf")
    assert first != second
    assert first.endswith(".pdf")


@given(st.lists(st.sampled_from(["a.pdf", "A.PDF", "b", "van-ban.edxml"]), max_size=8))
def test_names_in_one_folder_are_distinct(names: list[str]):
    found = distinct(names, frozenset({"van-ban.edxml"}))
    assert len({name.casefold() for name in found} | {"van-ban.edxml"}) == len(names) + 1


def test_a_document_id_reads_well():
    assert safe_id("H21.16,2026/11/20,123/SVDA-VP") == "H21.16_2026-11-20_123-SVDA-VP"
    assert numbered("a.b.pdf", 2) == "a.b (2).pdf"


@pytest.mark.parametrize("length", range(NAME_MAX - 50, NAME_MAX + 1))
def test_what_is_put_beside_a_long_name_can_be_written(length: int):
    """A name of 226 octets was sent, and every scan of the folder failed for ever: no receipt could lie beside it."""
    stem = ("x" * 3 + "ấ" * 100).encode()[: length - 4].decode(errors="ignore")
    name = f"{stem}.pdf"
    for suffix in (".reason.txt", ".bien-nhan.tlog-proof"):
        for made in (beside(name, suffix), beside(numbered(name, 99), suffix)):
            assert made.endswith(suffix)
            assert len(made.encode()) + len(".12345678.part") + 1 <= NAME_MAX
    assert len(numbered(name, 99).encode()) <= NAME_MAX
    assert numbered(name, 99).endswith(" (99).pdf")


def test_long_names_that_are_cut_stay_different():
    names = ["ấ" * 83 + f"{number}.pdf" for number in range(5)]
    assert len({beside(name, ".reason.txt") for name in names}) == 5
    assert len({numbered(name, 2) for name in names}) == 5
