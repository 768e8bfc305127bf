"""Wrappers come off, real ZIP formats stay; base64 in any cut; ruined files are told from good ones."""

import base64
import io
import zipfile
from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import ExchangeError
from protocol.package_a.decoding import Base64Decoder, RoundTripDetector
from protocol.package_a.wrapping import Unwrapper, is_wrapper

RANDOM = "3f0c2f7e-9a56-4c0e-8d0b-6d1f2a5b7c90"


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


def passed(name: str, data: bytes, cuts: list[int]) -> bytes:
    unwrapper = Unwrapper(name)
    out = [piece for part in pieces(data, cuts) for piece in unwrapper.feed(part)]
    return b"".join(out + unwrapper.close())


class Pipe(io.RawIOBase):
    """A file without seek: zipfile then writes data descriptors, as Java's ZipOutputStream does."""

    def __init__(self) -> None:
        self.written = b""

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override] # zipfile writes bytes only
        self.written += bytes(data)
        return len(data)


def zipped(entry: str, data: bytes, method: int, *, descriptor: bool) -> bytes:
    pipe, file = Pipe(), io.BytesIO()
    with zipfile.ZipFile(pipe if descriptor else file, "w", method) as archive:
        archive.writestr(zipfile.ZipInfo(entry, (2026, 10, 5, 7, 30, 0)), data, method)
    return pipe.written if descriptor else file.getvalue()


CUTS = st.lists(st.integers(0, 5000), max_size=6)


@given(data=st.binary(max_size=3000), cuts=CUTS, stored=st.booleans(), descriptor=st.booleans())
def test_a_wrapper_comes_off_whatever_the_cuts(data: bytes, cuts: list[int], stored: bool, descriptor: bool):
    method = zipfile.ZIP_STORED if stored and not descriptor else zipfile.ZIP_DEFLATED
    wrapped = zipped(f"{RANDOM}.xls", data, method, descriptor=descriptor)
    assert passed("bang ke.xls", wrapped, cuts) == data


@given(data=st.binary(max_size=300), prefix=st.sampled_from([b"", b"P", b"PK\x03", b"PK\x03\x04"]), cuts=CUTS)
def test_what_is_no_wrapper_passes_untouched(data: bytes, prefix: bytes, cuts: list[int]):
    assert passed("ho so.zip", prefix + data, cuts) == prefix + data


@given(data=st.binary(max_size=400), cuts=CUTS)
def test_octets_that_begin_like_a_zip_raise_nothing_but_our_error(data: bytes, cuts: list[int]):
    with suppress(ExchangeError):
        passed("a.pdf", b"PK\x03\x04" + data, cuts)


@pytest.mark.parametrize(
    ("attachment", "entry", "wrapper"),
    [
        ("bang ke.xls", f"{RANDOM}.xls", True),
        ("bang ke.xlsx", f"{RANDOM}.xlsx", True),
        ("bang ke.XLSX", "bang ke.xlsx", True),
        ("khong duoi", RANDOM, True),
        ("123.signed.pdf", "gi cung duoc", True),
        ("to trinh.docx", "[Content_Types].xml", False),
        ("bang ke.ods", "mimetype", False),
        ("to trinh.doc", "[Content_Types].xml", False),
        ("bang ke.xls", "mimetype", False),
        ("bang ke.xls", "xl\\workbook.xml", False),
        ("thu vien.jar", "META-INF/MANIFEST.MF", False),
        ("ban do.kmz", "doc.kml", False),
        ("ho so.zip", f"{RANDOM}.zip", False),
        ("a.pdf", "thu muc/a.pdf", False),
        ("", f"{RANDOM}.pdf", False),
    ],
)
def test_names_tell_a_wrapper(attachment: str, entry: str, wrapper: bool):
    assert is_wrapper(attachment, entry) is wrapper


def test_a_large_file_that_compresses_well_is_no_bomb():
    sheet = b"".join(b"%d;Van ban thu nghiem so %d;2026\n" % (n, n) for n in range(600_000))
    assert len(sheet) > 20 << 20
    assert passed("a.csv", zipped(f"{RANDOM}.csv", sheet, zipfile.ZIP_DEFLATED, descriptor=True), []) == sheet


@given(data=st.binary(max_size=600), cuts=CUTS, width=st.integers(1, 90))
def test_base64_in_any_lines_and_cuts(data: bytes, cuts: list[int], width: int):
    text = base64.b64encode(data).decode()
    lines = "\r\n\t ".join(text[start : start + width] for start in range(0, len(text), width))
    decoder = Base64Decoder("a.pdf")
    out = [decoder.feed(piece.decode()) for piece in pieces(lines.encode(), cuts)]
    decoder.close()
    assert b"".join(out) == data


@given(text=st.text(max_size=60))
def test_base64_text_of_any_kind_raises_nothing_but_our_error(text: str):
    decoder = Base64Decoder("a.pdf")
    with suppress(ExchangeError):
        decoder.feed(text)
        decoder.close()


def damaged(data: bytes, step: int) -> bool:
    detector = RoundTripDetector()
    for start in range(0, len(data), step):
        detector.feed(data[start : start + step])
    return detector.damaged


PDF = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\nstream\n" + bytes(range(256)) + b"\nendstream\n%%EOF\n"


@pytest.mark.parametrize("step", [1, 3, 4096])
def test_a_text_round_trip_is_seen_and_the_original_is_not_suspected(step: int):
    assert damaged(PDF.decode("utf-8", "replace").encode(), step)
    assert not damaged(PDF, step)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"%P",
        b"%PDF-1.4\n1 0 obj\nendobj\n%%EOF\n",
        "%PDF-1.4\n(một dấu \ufffd lẻ)\n%%EOF\n".encode(),
        "Ghi chú: \ufffd\ufffd\ufffd".encode(),
        PDF + "\ufffd\ufffd\ufffd".encode(),
    ],
    ids=["empty", "shorter than its magic", "ASCII only", "one mark", "a text file", "marks after real octets"],
)
def test_what_may_be_meant_so_is_not_called_ruined(data: bytes):
    assert not damaged(data, 2)
