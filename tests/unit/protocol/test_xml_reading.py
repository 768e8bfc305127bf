"""Parsing of XML from outside: limits, refusals, tolerance."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from hub.configuration import Limits as Hub
from protocol.errors import DOCTYPE, NOT_XML, TOO_DEEP, TOO_LARGE, ErrorKind, ExchangeError
from protocol.http.incoming import DEFAULT_LIMITS
from protocol.namespaces import QCVN, XLINK
from protocol.package_a import Limits as PackageALimits
from protocol.xml_reading import ENVELOPE_MAX, MESSAGE_MAX, local_name, namespace, parse

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


def attributes(number: int) -> bytes:
    return b"".join(b' a%d="="' % one for one in range(number))


def declarations(number: int, prefix: bytes = b"p") -> bytes:
    return b"".join(b' xmlns:%b%d="urn:x"' % (prefix, one) for one in range(number))


CROWDS = {
    "attributes": b"<a><b%b/></a>" % attributes(65),
    "thousands of attributes": b"<a%b/>" % attributes(30_000),
    "attributes in single quotation marks": b"<a%b/>" % attributes(65).replace(b'"', b"'"),
    "declarations": b"<a%b><b/></a>" % declarations(65),
    "declarations in force together": b"<a%b><b%b><c/></b></a>" % (declarations(40), declarations(40, b"q")),
    "UTF-16": f"<?xml version='1.0' encoding='UTF-16'?><a{attributes(65).decode()}/>".encode("utf-16"),
    "undeclared": b"<a><odd:b/><b%b/></a>" % attributes(65),
}


@pytest.mark.parametrize("data", CROWDS.values(), ids=CROWDS)
def test_a_crowd_of_attributes_is_refused_before_anyone_sorts_it(data: bytes):
    assert refusal(data, tolerant=True) is TOO_LARGE


def test_attributes_up_to_the_limit_and_quotation_marks_in_text_are_read():
    assert len(parse(b"<a%b/>" % attributes(64)).attrib) == 64
    side_by_side = b"".join(b"<b%b/>" % declarations(30) for _ in range(10))
    assert len(parse(b"<a%b>%b</a>" % (declarations(30), side_by_side))) == 10
    assert parse(b"<a>%b</a>" % (b'x="1" ' * 1000)).text


@pytest.mark.parametrize("encoding", ["UTF-7", "JAVA", "HZ"])
def test_an_encoding_that_spells_markup_in_other_octets_is_refused(encoding: str):
    assert refusal(b'<?xml version="1.0" encoding="%b"?><a>x</a>' % encoding.encode()) is NOT_XML


def test_tags_that_no_count_of_octets_sees_do_not_become_a_tree():
    hidden = b"<?xml version='1.0' encoding='UTF-7'?><a>" + b"+ADw-b/+AD4-" * 100_000 + b"</a>"
    with pytest.raises(ExchangeError) as caught:
        parse(hidden, max_size=2 << 20)
    assert (caught.value.kind, caught.value.details) == (NOT_XML, {"reason": "encoding"})


@pytest.mark.parametrize("encoding", ["utf-8", "UTF-8", "windows-1252", "ISO-8859-1", "us-ascii", "TCVN5712-1"])
def test_encodings_in_use_are_read(encoding: str):
    assert parse(b'<?xml version="1.0" encoding="%b"?><a>x</a>' % encoding.encode()).text == "x"


def test_every_door_has_the_same_limit():
    assert {Hub().envelope, DEFAULT_LIMITS.root, PackageALimits().root} == {MESSAGE_MAX}
    assert ENVELOPE_MAX < MESSAGE_MAX, "SOAP and a receipt go around a sealed envelope"


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


@pytest.mark.parametrize(
    "data",
    [
        b"<r>" + b"<a/>" * 140_000 + b"</r>",
        b"<r>" + b"".join(b"<a%d/>" % number for number in range(2_000)) + b"</r>",
        b"<r>" + b"".join(b"<a b%d = 'x'/>" % number for number in range(2_000)) + b"</r>",
        b"<r>" + b"".join(b"<a b='>'c%d='y'/>" % number for number in range(2_000)) + b"</r>",
        ("<r>" + "<a/>" * 140_000 + "</r>").encode("utf-16"),
    ],
    ids=["tags", "names", "attributes", "attributes behind >", "tags in UTF-16"],
)
def test_crowds_of_tags_and_names_are_refused_before_a_tree_is_built(data: bytes, monkeypatch: pytest.MonkeyPatch):
    """900,000 empty elements kept the loop for seconds; names stay in the parser's library for ever."""
    monkeypatch.setattr(etree, "fromstring", lambda *_: pytest.fail("a tree was built"))
    assert refusal(data) is TOO_LARGE


def test_a_document_with_all_the_attachments_and_recipients_it_may_have_is_no_crowd():
    reference = "<Reference href='cid:f{0}' type='simple'>" + "<A>một</A>" * 8 + "</Reference>"
    to = "<To>" + "<B>hai</B>" * 8 + "</To>"
    data = "<r>" + "".join(reference.format(number) for number in range(1000)) + to * 5000 + "</r>"
    assert len(parse(data.encode())) == 6000
