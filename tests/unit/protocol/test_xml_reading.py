"""Parsing of XML from outside: limits, refusals, tolerance."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from protocol.errors import DOCTYPE, NOT_XML, TOO_DEEP, TOO_LARGE, ErrorKind, ExchangeError
from protocol.namespaces import QCVN, XLINK
from protocol.xml_reading import local_name, namespace, parse

BOMB = b"<!DOCTYPE a [<!ENTITY a0 'ha'>" + b"".join(
    b"<!ENTITY a%d '%b'>" % (level, b"&a%d;" % (level - 1) * 10) for level in range(1, 10)
)


def refusal(data: bytes, *, max_size: int = 1 << 20, max_depth: int = 64, tolerant: bool = False) -> ErrorKind:
    with pytest.raises(ExchangeError) as caught:
        parse(data, max_size=max_size, max_depth=max_depth, tolerant=tolerant)
    return caught.value.kind


def test_names_are_read_with_and_without_namespace():
    root = parse(b'<p:a xmlns:p="urn:x"><b/></p:a>')
    assert (local_name(root), namespace(root)) == ("a", "urn:x")
    assert (local_name(root[0]), namespace(root[0])) == ("b", "")


def test_comments_and_instructions_never_reach_a_reader_and_cut_no_text():
    root = parse(b"<?xml-stylesheet href='x'?><!-- a --><a>x<!-- y -->z<?p i?>w</a><!-- b -->")
    assert root.text == "xzw"
    assert len(root) == 0


@pytest.mark.parametrize(
    "data", [b"", b" ", b"a", b"<a>", b"<a></b>", b"<a/><b/>", b"<a>\x00</a>", b"<a b=1/>", b"\xff"]
)
@pytest.mark.parametrize("tolerant", [False, True])
def test_what_is_not_xml_is_refused(data: bytes, tolerant: bool):
    assert refusal(data, tolerant=tolerant) is NOT_XML


@pytest.mark.parametrize(
    "data",
    [
        b"<!DOCTYPE a><a/>",
        b"<!-- <b/> --><!DOCTYPE a><a/>",
        b"<!DOCTYPE a SYSTEM 'http://127.0.0.1:9/x.dtd'><a/>",
        b"<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>",
        b"<!DOCTYPE a [<!ENTITY x 'y'>]><a b='&x;'/>",
        b"<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><a>&x;</a>",
        b"<!DOCTYPE a [<!ENTITY % x SYSTEM 'file:///etc/passwd'>%x;]><a/>",
        b"<!DOCTYPE a [<!ATTLIST a b CDATA 'given'>]><a/>",
        BOMB + b"]><a>&a9;</a>",
        BOMB + b"]><a b='&a9;'/>",
        '<?xml version="1.0" encoding="UTF-16"?><!DOCTYPE a><a/>'.encode("utf-16"),
    ],
)
@pytest.mark.parametrize("tolerant", [False, True])
def test_every_doctype_is_refused_and_no_entity_expanded(data: bytes, tolerant: bool):
    assert refusal(data, tolerant=tolerant) is DOCTYPE


def test_the_word_doctype_inside_a_text_is_text():
    assert parse(b"<a><![CDATA[<!DOCTYPE a>]]></a>").text == "<!DOCTYPE a>"


@pytest.mark.parametrize(("depth", "limit"), [(65, 64), (300, 64), (5000, 64), (3, 2)])
def test_deep_nesting_is_refused(depth: int, limit: int):
    assert refusal(b"<a>" * depth + b"</a>" * depth, max_depth=limit) is TOO_DEEP


def test_nesting_up_to_the_limit_is_read():
    assert parse(b"<a>" * 64 + b"</a>" * 64) is not None
    assert parse(b"<a><b/></a>", max_depth=2) is not None


def test_size_is_limited_before_anything_is_parsed():
    assert refusal(b"<" * 11, max_size=10) is TOO_LARGE
    assert local_name(parse(b"<a>12345</a>", max_size=12)) == "a"


@pytest.mark.parametrize("junk", [b"1212", b"\xef\xbb\xbf", b" \r\n\t", b"\x00\x00", b"HTTP/1.1 200\r\n\r\n"])
def test_junk_before_the_declaration_is_skipped_when_tolerant(junk: bytes):
    data = junk + b'<?xml version="1.0" encoding="UTF-8"?><a>\xc4\x91</a>'
    assert parse(data, tolerant=True).text == "đ"


def test_junk_before_the_declaration_is_refused_when_strict():
    assert refusal(b'1212<?xml version="1.0"?><a/>') is NOT_XML


def test_junk_is_no_way_around_the_doctype_rule():
    assert refusal(b'1212<?xml version="1.0"?><!DOCTYPE a><a/>', tolerant=True) is DOCTYPE


def test_forgotten_prefixes_are_declared_when_tolerant():
    data = b'<edXML xmlns="urn:own"><edXML:B xlink:href="cid:1" odd:z="2"/><edXML:C/></edXML>'
    root = parse(data, tolerant=True)
    assert root[0].tag == "{urn:own}B"
    assert root[0].get(f"{{{XLINK}}}href") == "cid:1"
    assert root[0].get("{urn:undeclared:odd}z") == "2"
    assert refusal(data) is NOT_XML


def test_a_prefix_used_outside_its_scope_is_declared_when_tolerant():
    data = b'<edXML><edXML:A xmlns:edXML="urn:own"/><edXML:B/></edXML>'
    root = parse(data, tolerant=True)
    assert [child.tag for child in root] == ["{urn:own}A", f"{{{QCVN}}}B"]


def test_a_prefix_of_the_root_itself_may_be_undeclared():
    assert parse(b"<edXML:edXMLEnvelope/>", tolerant=True).tag == f"{{{QCVN}}}edXMLEnvelope"


def test_a_flood_of_undeclared_prefixes_is_refused():
    data = b"<a>" + b"".join(b"<p%d:b/>" % number for number in range(100)) + b"</a>"
    assert refusal(data, tolerant=True) is NOT_XML


def test_errors_quote_nothing_of_the_document():
    with pytest.raises(ExchangeError) as caught:
        parse(b"<a>\n<SECRETNAME></b></a>")
    assert "SECRETNAME" not in repr(caught.value.details) + str(caught.value)
    assert caught.value.details["line"] == 2
    assert caught.value.__cause__ is None


def outcome(data: bytes, *, tolerant: bool) -> object:
    try:
        return type(parse(data, tolerant=tolerant))
    except ExchangeError as error:
        return error.kind


@given(st.binary(max_size=200) | st.text("<>/a:!?-[]\"'= &;xmlns", max_size=60).map(str.encode), st.booleans())
def test_any_octets_give_an_element_or_an_error_of_the_vocabulary(data: bytes, tolerant: bool):
    assert outcome(data, tolerant=tolerant) in {etree._Element, NOT_XML, DOCTYPE}
