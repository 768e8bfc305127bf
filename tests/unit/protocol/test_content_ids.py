"""Content-IDs: a reference finds its part however either writes it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.content_ids import unescaped
from protocol.edxml.manifest import strip_cid
from protocol.mime.content_type import bare_content_id


@pytest.mark.parametrize(
    ("href", "part"),
    [
        ("cid:a%40b", "<a@b>"),
        ("cid:a@b", "<a@b>"),
        ("cid:a%40b", "<a%40b>"),
        ("cid:cid:v%C4%83n", "văn"),
        ("a%2fb", "a/b"),
    ],
)
def test_a_reference_finds_its_part(href: str, part: str):
    assert strip_cid(href) == bare_content_id(part)


@pytest.mark.parametrize("content_id", ["a%0d%0ab", "a%3Eb", "a%20b", "100%", "a%zz", "a%ff", "a%2541", "%00"])
def test_an_id_that_would_be_no_plain_name_stays_as_it_is(content_id: str):
    assert unescaped(content_id) == content_id
    assert strip_cid(f"cid:{content_id}") == bare_content_id(f"<{content_id}>")


@given(st.text(max_size=20) | st.text("%04aAfF@", max_size=12))
def test_it_is_idempotent(content_id: str):
    assert unescaped(unescaped(content_id)) == unescaped(content_id)
