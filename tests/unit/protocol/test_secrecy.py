"""The state-secret gate: vectors in four encodings, every field, metadata, names of attachments."""

import json
import unicodedata
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from protocol import secrecy, text
from protocol.errors import SECRET_MARK, ExchangeError
from protocol.model import (
    Bussiness,
    Code,
    Document,
    DocumentType,
    MessageHeader,
    Organization,
    OtherInfo,
    PromulgationInfo,
    Reference,
    ResponseFor,
    SignerInfo,
    StaffInfo,
    StatusMessage,
)
from protocol.text import stamps, tcvn3, vni

VECTORS = Path(__file__).parents[2] / "vectors" / "text"
FORMS = {
    "nfc": lambda value: value,
    "nfd": lambda value: unicodedata.normalize("NFD", value),
    "tone before hat": lambda value: value.replace("Ậ", "\u1ea0\u0302").replace("ậ", "\u1ea1\u0302"),
    "tcvn3": lambda value: tcvn3.encode(value).decode("cp1252"),
    "vni": lambda value: vni.encode(value).decode("cp1252"),
}
FIELDS = json.loads((VECTORS / "05-stamps.json").read_text())
NAMES = json.loads((VECTORS / "06-file-names.json").read_text())
LEVELS = ("MẬT", "TỐI MẬT", "TUYỆT MẬT")


def document(subject: str = "V/v thử nghiệm", reference: str = "van-ban.pdf"):
    organ = Organization(organ_id="H21.16", organ_name="Sở Ví dụ A", organ_add="Số 1", email="a@so-a.example")
    header = MessageHeader(
        sender=organ,
        to=(msgspec.structs.replace(organ, organ_id="H21.23"),),
        code=Code(number="123", notation="SVDA-VP"),
        promulgation_info=PromulgationInfo(place="Gia Lai", date=date(2026, 11, 20)),
        document_type=DocumentType(type_name="Công văn"),
        subject=subject,
        content="Nội dung",
        signer_info=SignerInfo(competence="KT. GIÁM ĐỐC", position="Phó Giám đốc", full_name="Nguyễn Thị Mật"),
        to_places=("Như trên", "Lưu: VT"),
        other_info=OtherInfo(sphere_of_promulgation="Hành chính", typer_notation="MAT", appendixes=("Phụ lục 1",)),
        response_for=(ResponseFor(organ_id="H21.23", code="1/A", document_id="d"),),
        document_id="H21.16,2026/11/20,123/SVDA-VP",
    )
    return Document(
        header=header,
        bussiness=Bussiness(reason="Văn bản mới", staff_info=(StaffInfo(department="Văn phòng", staff="Mật"),)),
        references=(Reference(content_id="f1", attachment_name=reference, description="Văn bản chính"),),
    )


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("case", FIELDS, ids=lambda case: case["id"])
def test_ac_4_2a_5_and_6_vector_in_every_encoding(case: dict[str, Any], form: str):
    mark = secrecy.find_mark(document(subject=FORMS[form](case["input"])))
    assert (mark is not None) == case["marked"]
    if mark is not None:
        assert mark.element == "MessageHeader.Subject"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("case", NAMES, ids=lambda case: case["id"])
def test_ac_4_2a_1_name_of_an_attachment_in_every_encoding(case: dict[str, Any], form: str):
    mark = secrecy.find_mark(document(reference=FORMS[form](case["input"])))
    expected = secrecy.Mark("attachment-name", "edXMLManifest.Reference.AttachmentName") if case["marked"] else None
    assert mark == expected


def test_ac_4_2a_5_a_whole_ordinary_document_passes():
    assert secrecy.find_mark(document()) is None


PATHS = [path for path, _ in text.text_fields(document())]


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("path", sorted(set(PATHS)))
def test_ac_4_2a_2_a_stamp_is_found_in_every_field(path: str, level: str):
    marked = text.rewrite(document(), lambda at, value: level if at == path else value)
    mark = secrecy.find_mark(marked)
    assert mark is not None
    assert mark.element == path


@pytest.mark.parametrize("level", LEVELS)
def test_ac_4_2a_2_a_status_with_a_stamp_is_found(level: str):
    status = StatusMessage(sender=Organization(organ_id="H21.23"), status_code=2, description=f"Từ chối\n{level}")
    assert secrecy.find_mark(status) == secrecy.Mark("stamp", "MessageHeader.Description")


def test_a_person_called_mat_passes_but_a_stamp_in_capitals_does_not():
    def with_name(name: str) -> Document:
        return text.rewrite(document(), lambda at, value: name if at.endswith("FullName") else value)

    assert secrecy.find_mark(with_name("Mật")) is None
    assert secrecy.find_mark(with_name("MẬT")) == secrecy.Mark("stamp", "MessageHeader.SignerInfo.FullName")
    assert secrecy.find_mark(with_name("Tối mật")) == secrecy.Mark("level", "MessageHeader.SignerInfo.FullName")


@pytest.mark.parametrize("octets", [tcvn3.encode("mật"), tcvn3.encode("tối mật")])
def test_ac_4_2a_6_a_line_in_a_capital_font_of_tcvn3_has_small_letters_in_its_bytes(octets: bytes):
    line = octets.decode("cp1252")
    assert secrecy.find_mark_in_text(f"ubnd tØnh\n{line}\nsè 12") == secrecy.Mark("stamp", "")


@pytest.mark.parametrize(
    "value",
    [
        *("M\u200bẬT", "Độ m\u200bật: Tối mật", "TỐI\u00a0MẬT", "\ufeffMẬT\ufeff", "(MẬT) ; TỐI"),
        "M\u200b\u200b\u200b\u200b\u200bẬ\u2060\u2060\u2060\u2060T",
        "\u202eM\u2066Ậ\ufe0fT\u202c",
        "M\u3164Ậ\u3164T",
        "MA\u034f\u0323\u0302T",
        "[M     Ậ     T] V/v điều động",
        "Kế hoạch\n(TUYỆT" + " " * 40 + "MẬT)",
    ],
)
def test_nothing_between_its_letters_hides_a_stamp(value: str):
    assert secrecy.find_mark_in_text(value) is not None
    element = etree.fromstring(f"<a>{value}</a>")
    assert secrecy.find_mark_in_xml(element, etree.tostring(element, encoding="utf-8")) is not None


@pytest.mark.parametrize("value", ["Sản phẩm:\nmật\nsữa", "Giá thu mua:\tmật\t90.000 đồng"])
def test_ac_4_2a_5_a_line_in_small_letters_of_unicode_text_is_an_ordinary_word(value: str):
    assert secrecy.find_mark_in_text(value) is None


HOSTILE = {
    "vowels": "m" + "Â" * 200_000,
    "vowels after spaces": "m " * 1000 + "Ậ " * 100_000,
    "folders": "mật ong/" * 50_000,
    "brackets": "mat(" + "(" * 200_000,
    "spaces": "mat " + "\u00a0" * 200_000 + "x",
    "dashes": "mat " + "-" * 200_000 + "x",
    "colons": "mat" + " :" * 100_000,
    "quotation marks": "mật" + "»" * 200_000 + "x",
    "captions": "độ mật: " * 25_000,
    "lines": "".join(f"mat{number}\n" for number in range(50_000)),
}


@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE.keys())
def test_no_text_can_keep_the_gate_busy(value: str):
    # a quadratic step in any rule would run for minutes here, into the time limit of the suite
    assert stamps.stamp_in_text(value) in {None, "stamp", "level"}
    assert stamps.stamp_in_file_name(value) in {None, "stamp"}


def test_a_text_with_thousands_of_suspect_lines_is_refused_unread():
    assert secrecy.find_mark_in_text(HOSTILE["lines"]) == secrecy.Mark("stamp", "")


def test_the_stamp_of_copies_to_be_returned_has_its_own_rule():
    assert secrecy.find_mark_in_text("Số 12\nTÀI LIỆU THU HỒI", "Content") == secrecy.Mark("recall-stamp", "Content")
    capital_font = tcvn3.encode("tài liệu thu hồi").decode("cp1252")
    assert secrecy.find_mark_in_text(f"sè 12\n{capital_font}") == secrecy.Mark("recall-stamp", "")


def test_ac_4_2a_4_the_refusal_names_rule_and_element_and_never_the_text():
    canary = "kim-tước-7781"
    with pytest.raises(ExchangeError) as refused:
        secrecy.refuse_marked(document(subject=f"TUYỆT MẬT: {canary}"))
    assert refused.value.kind is SECRET_MARK
    assert (refused.value.element, refused.value.details) == ("MessageHeader.Subject", {"rule": "stamp"})
    assert canary not in f"{refused.value!r} {refused.value.sentence} {refused.value.details}"
    secrecy.refuse_marked(document())


def test_ac_4_2a_7_the_gate_has_no_switch():
    assert list(secrecy.find_mark.__annotations__) == ["message", "return"]
    assert secrecy.find_mark_in_text.__annotations__.keys() == {"text", "element", "return"}


def xml(inner: str):
    return etree.fromstring(f'<h xmlns="urn:x"><MessageHeader>{inner}</MessageHeader></h>')


@pytest.mark.parametrize(
    "inner",
    [
        "<OtherInfo><Secret>1</Secret></OtherInfo>",
        "<DoMat>Mật</DoMat>",
        "<DoMat>2</DoMat>",
        "<DoMat><Level>2</Level></DoMat>",
        "<Do_Mat>khác</Do_Mat>",
        "<SecurityLevel>high</SecurityLevel>",
        '<OtherInfo Secret="2"/>',
        "<Ext>TỐI MẬT</Ext>",
        "<Ext>TOÁI MAÄT</Ext>",
        '<Ext label="Tuyệt mật"/>',
        "<Ext><Deep/>MẬT</Ext>",
        "<AttachmentName>TUYET MAT.pdf</AttachmentName>",
    ],
)
def test_ac_4_2a_2_marks_in_elements_that_the_model_does_not_know(inner: str):
    mark = secrecy.find_mark_in_xml(xml(inner))
    assert mark is not None
    assert secrecy.find_mark_in_xml(xml(inner), etree.tostring(xml(inner))) == mark
    assert mark.element.startswith("h.MessageHeader")


@pytest.mark.parametrize("name", sorted(secrecy._SECRECY_NAMES))
def test_every_secrecy_name_is_seen_by_the_quick_look(name: str):
    for written in (name, name.upper(), f"{name[:2]}_{name[2:]}", f"{name[:4]}-{name[4:]}"):
        assert secrecy.find_mark_in_xml(xml(f"<{written}>khac</{written}>")) is not None


@pytest.mark.parametrize(
    "inner",
    [
        "<OtherInfo><Secret>0</Secret></OtherInfo>",
        "<DoMat>Thường</DoMat>",
        "<DoMat>Th\u01b0\u01a1\u0300ng</DoMat>",
        "<DoMat/>",
        "<MatKhau>mật khẩu</MatKhau>",
        "<Subject>V/v bảo mật</Subject><!-- MẬT --><?pi MẬT?>",
        "<SecurityLevel>normal</SecurityLevel>",
    ],
)
def test_ac_4_2a_5_ordinary_metadata_passes(inner: str):
    assert secrecy.find_mark_in_xml(xml(inner)) is None


@given(st.text(alphabet="MẬTmậtTỐIUYỆaAÄäËë bảo-_.[]()\n:ôd12", max_size=24))
def test_the_quick_look_never_hides_a_stamp(value: str):
    marked = stamps.stamp_in_text(value) is not None
    assert not marked or stamps.is_suspect(value)
    cells = [list(stamps._stamps_in_cell(cell)) for cell in value.splitlines() or [value]]
    assert stamps.is_suspect(value) or not any(cells)


GAPS = st.lists(
    st.sampled_from(
        [" ", "_", "-", "\u00a0", "\u200b", ".", "\U0001f600", "\u2013", "\u0323", "\u3164", "1", "Ã", "ạ", "Ế"]
    ),
    max_size=20,
).map("".join)


SPELT = st.tuples(
    st.sampled_from(["Tuyệt ", "xin một ", ""]),
    st.sampled_from("Mm"),
    GAPS,
    st.sampled_from("AaÂâẠạẬậËë"),
    GAPS,
    st.sampled_from(["", "Ä", "ä"]),
    GAPS,
    st.sampled_from("Tt"),
)  # fmt: skip - as it is read


@given(SPELT.map("".join))
def test_the_quick_look_at_octets_sees_what_the_quick_look_at_text_sees(value: str):
    for element in (f"<a><b>{value}</b></a>", f'<a b="{value}"/>', f"<a><b>Ph{value.upper()}u hồi</b></a>"):
        octets = element.encode()
        assert not stamps.is_suspect(value) or secrecy._is_suspect_xml(etree.fromstring(octets), octets), value


@given(GAPS.filter(bool), st.sampled_from(["thu", "THU"]), st.sampled_from(["hồi", "HỒI"]))
def test_the_quick_look_at_octets_sees_what_is_to_be_returned(gap: str, first: str, second: str):
    octets = f"<a>tài liệu {first}{gap}{second}</a>".encode()
    value = f"{first}{gap}{second}"
    assert not stamps.is_suspect(value) or secrecy._is_suspect_xml(etree.fromstring(octets), octets)


@given(st.text(max_size=60))
def test_any_text_is_judged_without_an_error(value: str):
    assert stamps.stamp_in_text(value) in {None, "stamp", "recall-stamp", "level"}
    assert stamps.stamp_in_file_name(value) in {None, "stamp", "recall-stamp", "level"}
