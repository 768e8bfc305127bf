"""`protocol.mime`: byte-exact whatever the cut, within its limits, and only `ExchangeError` for bad input."""

from __future__ import annotations

import email
import email.policy
import hashlib
import re
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from protocol import errors
from protocol.errors import ErrorKind, ExchangeError
from protocol.mime import Limits, MultipartReader, MultipartWriter, PartData, PartEnd, PartStart, parse_content_type

VECTORS = Path(__file__).parents[2] / "vectors" / "evidence" / "mime"
WIDE = Limits(total=1 << 40, part=1 << 40, parts=1000, headers=16_384, root=1 << 40)
RELATED = 'multipart/related; boundary="Bound"'


class Part(msgspec.Struct):
    start: PartStart
    data: bytes = b""
    ended: bool = False


def collect(content_type: str, chunks: Iterable[bytes], limits: Limits = WIDE) -> list[Part]:
    reader = MultipartReader(content_type, limits)
    parts: list[Part] = []
    for events in (*map(reader.feed, chunks), reader.close()):
        for event in events:
            if isinstance(event, PartStart):
                assert not parts or parts[-1].ended
                parts.append(Part(event))
            elif isinstance(event, PartData):
                assert event.data
                assert type(event.data) is bytes
                parts[-1].data += event.data
            else:
                assert isinstance(event, PartEnd)
                parts[-1].ended = True
    assert all(part.ended for part in parts)
    return parts


def outcome(content_type: str, chunks: Iterable[bytes]) -> object:
    """What a reader makes of it, comparable: the parts, or the kind of error."""
    try:
        return [(dict(part.start.headers), part.data) for part in collect(content_type, chunks)]
    except ExchangeError as error:
        return error.kind.code


def cut(data: bytes, positions: Iterable[int]) -> list[bytes]:
    edges = [0, *sorted(position % (len(data) + 1) for position in positions), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


def fails(
    kind: ErrorKind, content_type: str, body: bytes, limits: Limits = WIDE, *, element: str | None = None
) -> None:
    for chunks in ([body], cut(body, range(len(body)))):
        with pytest.raises(ExchangeError) as caught:
            collect(content_type, chunks, limits)
        assert caught.value.kind is kind
        assert element is None or caught.value.element == element


def message(*bodies: bytes, boundary: str = "Bound") -> bytes:
    writer = MultipartWriter(boundary, "text/xml; charset=utf-8")
    attachments = [writer.part_header(f"f{n}", "application/pdf") + data for n, data in enumerate(bodies[1:], 1)]
    return writer.root(bodies[0]) + b"".join(attachments) + writer.closing()


FRAGMENTS = [
    b"\r",
    b"\n",
    b"\r\n",
    b"-",
    b"--",
    b"\r\n--",
    b"\r\n--Bou",
    b"--Bound",
    b"\r\n--Bound",
    b" ",
    b"\t",
    b"x",
    b"\0",
]
bodies = (
    st.lists(st.sampled_from(FRAGMENTS) | st.binary(max_size=40), max_size=12)
    .map(b"".join)
    .filter(lambda data: not re.search(rb"\r\n--Bound(?:--|[ \t]{0,64}\r?\n)", b"\r\n" + data + b"\r\n"))
)
positions = st.lists(st.integers(0, 2000), max_size=12)


@given(st.lists(bodies, min_size=1, max_size=5), positions)
def test_any_parts_in_any_chunks_come_back_byte_for_byte(contents: list[bytes], edges: list[int]):
    body = message(*contents)
    assert [part.data for part in collect(RELATED, cut(body, edges))] == contents


@given(st.lists(bodies, min_size=1, max_size=3))
def test_single_octets_are_read_like_the_whole(contents: list[bytes]):
    body = message(*contents)
    assert [part.data for part in collect(RELATED, cut(body, range(len(body))))] == contents


@given(st.data(), positions)
def test_any_damage_is_an_exchange_error_or_a_message_the_same_for_every_cut(data: st.DataObject, edges: list[int]):
    sample = data.draw(st.sampled_from([*(body for _, body in vector_bodies()), message(b"<a/>", b"pdf")]))
    body = bytearray(sample)
    for _ in range(data.draw(st.integers(1, 4))):
        start, length = data.draw(st.tuples(st.integers(0, len(body)), st.integers(0, 8)))
        body[start : start + length] = data.draw(st.sampled_from(FRAGMENTS) | st.binary(max_size=6))
    damaged = bytes(body[: data.draw(st.integers(0, len(body)))]) if data.draw(st.booleans()) else bytes(body)
    content_type = 'multipart/related; boundary="B1"' if b"--B1" in sample else RELATED
    assert outcome(content_type, cut(damaged, edges)) == outcome(content_type, [damaged])


def test_every_truncation_is_reported_as_truncation():
    body = message(b"<envelope/>", b"pdf", b"xlsx").removesuffix(b"\r\n")
    for length in range(len(body)):
        fails_truncated = outcome(RELATED, [body[:length]])
        assert fails_truncated == "mime.truncated", body[:length]
    assert isinstance(outcome(RELATED, [body]), list)


class VectorPart(msgspec.Struct):
    content_id: str
    size: int
    sha256: str


class Vector(msgspec.Struct):
    file: str
    content_type: str
    parts: list[VectorPart]


INDEX = msgspec.json.decode((VECTORS / "index.json").read_bytes(), type=list[Vector])


def vector_bodies() -> list[tuple[Vector, bytes]]:
    return [(vector, (VECTORS / vector.file).read_bytes()) for vector in INDEX]


@pytest.mark.parametrize("vector", INDEX, ids=lambda vector: vector.file)
def test_vectors_give_their_parts_in_every_cut(vector: Vector):
    body = (VECTORS / vector.file).read_bytes()
    for chunks in ([body], cut(body, range(len(body))), cut(body, range(0, len(body), 7))):
        parts = collect(vector.content_type, chunks)
        found = [VectorPart(p.start.content_id, len(p.data), hashlib.sha256(p.data).hexdigest()) for p in parts]
        assert found == vector.parts
        assert [part.start.root for part in parts] == [True] + [False] * (len(parts) - 1)


@pytest.mark.parametrize(("vector", "body"), vector_bodies(), ids=[vector.file for vector in INDEX])
def test_python_email_parser_agrees(vector: Vector, body: bytes):
    """An independent reader; it cannot say where a part ends that has no empty line, and keeps CRs in LF messages."""
    header = f"MIME-Version: 1.0\r\nContent-Type: {vector.content_type}\r\n\r\n".encode()
    parsed = email.message_from_bytes(header + body, policy=email.policy.compat32)
    payloads = [part.get_payload(decode=True) for part in parsed.get_payload()]
    expected = [part.data for part in collect(vector.content_type, [body])]
    if vector.file.startswith("12-"):
        expected = [data.removesuffix(b"\r") for data in expected]
    assert payloads == expected


@given(st.binary(max_size=500), st.integers(1, 60), st.sampled_from(["base64", "quoted-printable"]))
@example(b"", 1, "base64")
@example(b" \t\r\n=\r\n", 1, "quoted-printable")
def test_transfer_encodings_decode_in_any_cut(data: bytes, step: int, encoding: str):
    encode = {"base64": _wrapped_base64, "quoted-printable": _quoted}[encoding]
    head = f"--Bound\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n".encode()
    body = head + encode(data) + b"\r\n--Bound--"
    assert collect(RELATED, cut(body, range(0, len(body), step)))[0].data == data


def _wrapped_base64(data: bytes) -> bytes:
    return email.base64mime.body_encode(data, maxlinelen=40, eol="\r\n").encode()


def _quoted(data: bytes) -> bytes:
    octets = [b"=%02X" % octet for octet in data]
    return b"=\r\n".join(b"".join(octets[start : start + 20]) for start in range(0, len(octets), 20))


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("base64", b"QUJ"),
        ("base64", b"QUJD*UJD"),
        ("base64", b"QQ==QUJD"),
        ("base64", b"Q=JD"),
        ("base64", b"===="),
        ("quoted-printable", b"a=4"),
        ("quoted-printable", b"a=ZZb"),
        ("quoted-printable", b"=\rx"),
        ("quoted-printable", b"x" * 20_000),
    ],
)
def test_broken_transfer_encoding_names_the_attachment(encoding: str, text: bytes):
    part = f"--Bound\r\n\r\n\r\n--Bound\r\nContent-ID: <f1>\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n".encode()
    fails(errors.ATTACHMENT_DAMAGED, RELATED, part + text + b"\r\n--Bound--", element="f1")


def test_what_waits_between_chunks_stays_one_delimiter_line_long():
    """Near-misses octet by octet: what is held, and so the work of each feed, does not grow with the message."""
    reader = MultipartReader(RELATED, WIDE)
    reader.feed(b"--Bound\r\n\r\n")
    for near_miss in (
        b"\r\n--",
        b"\r\n--Bound-",
        b"\r\n--Bound \t \tx",
        b"\r\n--Bound" + b" " * 70,
        b"\r\r\r\n\n",
        b"\r\n--Boun",
    ):
        for octet in near_miss * 50:
            reader.feed(bytes([octet]))
            assert len(reader._held) <= len("\r\n--Bound") + 64 + len("\r")


def test_a_chunk_inside_a_part_passes_without_a_copy():
    reader = MultipartReader(RELATED, WIDE)
    reader.feed(b"--Bound\r\n\r\n")
    chunk = bytes(65_536)
    (event,) = reader.feed(chunk)
    assert isinstance(event, PartData)
    assert event.data is chunk


LIMITS = Limits(total=10_000, part=100, parts=3, headers=120, root=50)


def test_each_limit_admits_its_value():
    body = message(b"r" * 50, b"a" * 100, b"b" * 100)
    assert len(collect(RELATED, [body], msgspec.structs.replace(LIMITS, total=len(body)))) == 3
    header = b"X: " + b"v" * 115 + b"\r\n"
    assert len(header) == LIMITS.headers
    assert collect(RELATED, [b"--Bound\r\n" + header + b"\r\n\r\n--Bound--"], LIMITS)[0].start.headers["x"] == "v" * 115


@pytest.mark.parametrize(
    ("kind", "body", "limits"),
    [
        (errors.MIME_TOTAL_TOO_LARGE, message(b"r"), msgspec.structs.replace(LIMITS, total=len(message(b"r")) - 1)),
        (errors.MIME_PART_TOO_LARGE, message(b"r", b"a" * 101), LIMITS),
        (errors.TOO_LARGE, message(b"r" * 51, b"a"), LIMITS),
        (errors.MIME_TOO_MANY_PARTS, message(b"r", b"a", b"b", b"c"), LIMITS),
        (errors.MIME_HEADERS_TOO_LARGE, b"--Bound\r\nX: " + b"v" * 116 + b"\r\n\r\n\r\n--Bound--", LIMITS),
        (errors.MIME_HEADERS_TOO_LARGE, b"--Bound\r\n" + b"endless" * 1000, LIMITS),
        (errors.MIME_MALFORMED, b"preamble" * 100, LIMITS),
    ],
)
def test_each_limit_refuses_one_more(kind: ErrorKind, body: bytes, limits: Limits):
    fails(kind, RELATED, body, limits)


def test_limits_count_decoded_octets_of_a_part():
    encoded = _wrapped_base64(b"a" * 100)
    body = b"--Bound\r\n\r\n\r\n--Bound\r\nContent-Transfer-Encoding: base64\r\n\r\n" + encoded + b"\r\n--Bound--"
    assert collect(RELATED, [body], LIMITS)[1].data == b"a" * 100


@pytest.mark.parametrize(
    ("start", "ids", "good"),
    [
        ('; start="<root>"', ["root", "f1"], True),
        ("; start=root", ["root", "root"], True),
        ('; start="<root>"', ["", "f1"], True),
        ("", ["f1", "root"], True),
        ('; start="<root>"', ["f1", "root"], False),
        ('; start="<root>"', ["f1", "f2"], False),
        ('; start="<root>"', ["", "root"], False),
    ],
)
def test_the_root_is_the_first_part_and_the_one_that_start_names(start: str, ids: list[str], good: bool):
    parts = [f"--Bound\r\nContent-ID: <{name}>\r\n\r\n\r\n" if name else "--Bound\r\n\r\n\r\n" for name in ids]
    body = "".join(parts).encode() + b"--Bound--"
    if good:
        assert [part.start.content_id for part in collect(RELATED + start, [body])] == ids
    else:
        fails(errors.MIME_ROOT_NOT_FIRST, RELATED + start, body)


@pytest.mark.parametrize(
    "body",
    [
        b"--Bound--",
        b"--Bound\r\nno colon\r\n\r\n\r\n--Bound--",
        b"--Bound\r\n: no name\r\n\r\n\r\n--Bound--",
        b"--Bound\r\nX: nul \0\r\n\r\n\r\n--Bound--",
        b"--Bound\r\nX: bare\rY: return\r\n\r\n\r\n--Bound--",
        b"--Bound\r\nContent-ID: <a>\r\nContent-Id: <b>\r\n\r\n\r\n--Bound--",
        b"--Bound\r\nContent-Transfer-Encoding: x-uuencode\r\n\r\n\r\n--Bound--",
    ],
)
def test_malformed_parts(body: bytes):
    fails(errors.MIME_MALFORMED, RELATED, body)


def test_headers_unfold_and_fall_back_to_latin_1():
    body = "--Bound\r\nX-Name: Tờ\r\n trình\nx-name: second\r\n\r\n\r\n--Bound--".encode()
    assert collect(RELATED, [body])[0].start.headers == {"x-name": "Tờ trình"}
    assert collect(RELATED, [b"--Bound\r\nX: \xe9\r\n\r\n\r\n--Bound--"])[0].start.headers == {"x": "é"}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("text/xml", ("text/xml", {})),
        (" Text/XML ; Charset=UTF-8;", ("text/xml", {"charset": "UTF-8"})),
        ('a/b;x="q\\"u; o";y = z', ("a/b", {"x": 'q"u; o', "y": "z"})),
        (
            "multipart/related; type=text/xml; start=<root@x>",
            ("multipart/related", {"type": "text/xml", "start": "<root@x>"}),
        ),
    ],
)
def test_content_type(value: str, expected: tuple[str, dict[str, str]]):
    assert parse_content_type(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        "",
        "text",
        "text/",
        "a/b c",
        "a/b; x",
        'a/b; x="open',
        "a/b; x=1; X=2",
        "a/b; =1",
        'a/b; x="a\r\nb"',
        "a/b" + "; x" * 2000,
    ],
)
def test_bad_content_type(value: str):
    with pytest.raises(ExchangeError) as caught:
        parse_content_type(value)
    assert caught.value.kind is errors.MIME_MALFORMED


@given(st.text(max_size=60) | st.text(alphabet='a/;="\\ \t', max_size=60))
def test_no_content_type_gives_another_error(value: str):
    try:
        parse_content_type(value)
        MultipartReader(value, WIDE)
    except ExchangeError as error:
        assert error.kind is errors.MIME_MALFORMED  # noqa: PT017 - most values are refused, none must raise otherwise


@pytest.mark.parametrize(
    "value",
    [
        "text/xml; boundary=b",
        "multipart/related",
        'multipart/related; boundary=""',
        'multipart/related; boundary="ends with space "',
        'multipart/related; boundary="ranh giới"',
        f"multipart/related; boundary={'b' * 201}",
    ],
)
def test_reader_needs_a_multipart_with_a_sound_boundary(value: str):
    with pytest.raises(ExchangeError) as caught:
        MultipartReader(value, WIDE)
    assert caught.value.kind is errors.MIME_MALFORMED


def test_boundaries_up_to_200_octets_are_read():
    boundary = "x" * 200
    assert collect(f"multipart/related; boundary={boundary}", [message(b"r", boundary=boundary)])[0].data == b"r"


def test_writer_names_root_type_and_start_in_the_content_type():
    writer = MultipartWriter("b0", "application/soap+xml; charset=utf-8", "<envelope@hub>")
    kind, parameters = parse_content_type(writer.content_type)
    assert kind == "multipart/related"
    assert parameters == {"boundary": "b0", "type": "application/soap+xml", "start": "<envelope@hub>"}
    (part,) = collect(writer.content_type, [writer.root(b"<a/>"), writer.closing()])
    assert part.start == PartStart(
        {
            "content-type": "application/soap+xml; charset=utf-8",
            "content-transfer-encoding": "binary",
            "content-id": "<envelope@hub>",
        },
        "envelope@hub",
        "application/soap+xml; charset=utf-8",
        "binary",
        root=True,
    )


@pytest.mark.parametrize(("content_id", "kind"), [("a\r\nX: y", "a/b"), ("a", "a/b\nX: y"), ("a\0", "a/b")])
def test_writer_refuses_values_that_would_start_a_header(content_id: str, kind: str):
    with pytest.raises(ExchangeError) as caught:
        MultipartWriter("b0", "text/xml").part_header(content_id, kind)
    assert caught.value.kind is errors.MIME_MALFORMED


def test_what_stands_before_the_fault_is_handed_on_before_the_fault_is_raised():
    """The root says whose request it is, and whether it must leave no trace: it is judged first."""
    body = (
        b"--Bound\r\n\r\nroot\r\n--Bound\r\nContent-ID: <f1>\r\nContent-Transfer-Encoding: base64\r\n\r\nA***"
        b"\r\n--Bound--\r\n"
    )
    reader = MultipartReader('multipart/related; boundary="Bound"', WIDE)
    root = reader.feed(body)
    assert [type(event) for event in root[:3]] == [PartStart, PartData, PartEnd]
    for again in (reader.close, lambda: reader.feed(b"")):
        with pytest.raises(ExchangeError) as caught:
            again()
        assert caught.value.kind is errors.ATTACHMENT_DAMAGED
