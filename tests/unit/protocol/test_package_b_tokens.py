"""The token of a package B request is no part of the document: it is blanked, and nothing else changes."""

import pytest
from lxml import etree

from protocol.http.tokens import without_token

SECRET = "s3cret"


def blanked(octets: bytes) -> bytes:
    return without_token(octets, etree.fromstring(octets))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("<a><Token>s3cret</Token></a>", "<a><Token></Token></a>"),
        (
            '<a><e:Token xmlns:e="x" id="1" >\r\n s3cret </e:Token>\r\n</a>',
            '<a><e:Token xmlns:e="x" id="1" ></e:Token>\r\n</a>',
        ),
        ("<a><Token><![CDATA[s3<cret]]></Token></a>", "<a><Token></Token></a>"),
        ("<a><Token>s3<!-- > -->cret</Token><b>s3cret</b></a>", "<a><Token></Token><b>s3cret</b></a>"),
        ("<a><Token/><TokenId>7</TokenId></a>", "<a><Token/><TokenId>7</TokenId></a>"),
        ("<a><Token>s3cret</Token><Token>other</Token></a>", "<a><Token></Token><Token></Token></a>"),
        ("<a>no token</a>", "<a>no token</a>"),
    ],
)
def test_only_the_text_of_token_elements_goes(before: str, after: str):
    assert blanked(before.encode()) == after.encode()


@pytest.mark.parametrize(
    "octets",
    [
        '<?xml version="1.0" encoding="UTF-16"?><a>Đ<Token>s3cret</Token></a>'.encode("utf-16"),
        b"<a>\xc4\x90<Token><x>s3cret</x></Token></a>",
        b"<a>\xc4\x90<Token>s3cret<?pi s3cret?></Token></a>",
    ],
    ids=["utf-16", "elements inside", "processing instruction"],
)
def test_what_the_pattern_cannot_follow_is_written_anew(octets: bytes):
    result = blanked(octets)
    assert SECRET.encode() not in result
    assert SECRET.encode("utf-16-le") not in result
    assert etree.fromstring(result).text == "Đ"
