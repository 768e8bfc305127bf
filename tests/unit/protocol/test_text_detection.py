"""Telling encodings apart, syllables, and the conversion of whole messages."""

import json
import unicodedata
from datetime import date
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import text
from protocol.errors import NOT_NFC, UNDECODABLE_TEXT, ErrorKind, ExchangeError
from protocol.model import (
    Code,
    Document,
    MessageHeader,
    Organization,
    PromulgationInfo,
    Reference,
    ResponseFor,
    SignerInfo,
    StatusMessage,
)
from protocol.text import tcvn3, vni

VECTORS = Path(__file__).parents[2] / "vectors" / "text"
SENTENCES = (
    "V/v triển khai nhiệm vụ công tác văn thư, lưu trữ năm 2026",
    "Kế hoạch tổ chức hội nghị tổng kết và giao ban quý III",
    "Báo cáo tình hình thực hiện chỉ tiêu kinh tế - xã hội huyện Krông Pa",
    "Quyết định phê duyệt dự toán mua sắm thiết bị, số 12/QĐ-UBND",
    "Giấy mời dự buổi làm việc với đoàn kiểm tra của Bộ Nội vụ",
    "Sở Nông nghiệp và Phát triển nông thôn tỉnh Gia Lai",
    "Hướng dẫn khuyến khích người lao động nghỉ hưu trước tuổi",
)


def document(subject: str, *, organ_name: str = "Sở Ví dụ A", attachment_name: str = "van-ban.pdf"):
    header = MessageHeader(
        sender=Organization(organ_id="H21.16", organ_name=organ_name),
        to=(Organization(organ_id="H21.23", organ_name="Sở Ví dụ B"),),
        code=Code(number="123", notation="SVDA-VP"),
        promulgation_info=PromulgationInfo(place="Gia Lai", date=date(2026, 11, 20)),
        subject=subject,
        signer_info=SignerInfo(full_name="Nguyễn Văn Mẫu"),
        to_places=("Như trên", "Lưu: VT"),
        document_id="H21.16,2026/11/20,123/SVDA-VP",
    )
    return Document(header=header, references=(Reference(content_id="f1", attachment_name=attachment_name),))


@pytest.mark.parametrize("case", json.loads((VECTORS / "04-detection.json").read_text()), ids=lambda case: case["id"])
def test_ac_3_2_1_detection_vector(case: dict[str, Any]):
    reading = text.detect(case["input"])
    assert (reading.encoding, reading.certain, reading.text) == (case["encoding"], case["certain"], case["expect"])
    assert bool(reading.alternatives) != reading.certain


@pytest.mark.parametrize("sentence", SENTENCES)
@pytest.mark.parametrize("codec", [tcvn3, vni], ids=["tcvn3", "vni"])
def test_ac_3_2_1_a_sentence_is_recognised_from_text_and_from_bytes(sentence: str, codec: ModuleType):
    octets = codec.encode(sentence)
    for source in (octets, octets.decode("cp1252")):
        reading = text.detect(source)
        assert (reading.text, reading.certain) == (sentence, True)
        assert reading.encoding == codec.__name__.rsplit(".", 1)[-1]


@pytest.mark.parametrize("sentence", SENTENCES)
def test_unicode_sentences_are_never_converted(sentence: str):
    for source in (
        sentence,
        unicodedata.normalize("NFD", sentence),
        sentence.encode(),
        b"\xef\xbb\xbf" + sentence.encode(),
    ):
        reading = text.detect(source)
        assert (reading.encoding, reading.text, reading.certain) == ("unicode", sentence, True)


@given(st.lists(st.sampled_from(" ".join(SENTENCES).split()), min_size=1, max_size=6).map(" ".join))
def test_a_wrong_reading_is_never_certain(words: str):
    for codec in (tcvn3, vni):
        reading = text.detect(codec.encode(words).decode("cp1252"))
        assert not reading.certain or reading.text.lower() == words.lower()
    assert text.detect(words).text == words


def test_an_undecided_reading_offers_every_reading_and_changes_nothing():
    reading = text.detect("Bê tông")
    assert not reading.certain
    assert reading.text == "Bê tông"
    assert {(r.encoding, r.text) for r in reading.alternatives[:2]} == {("unicode", "Bê tông"), ("tcvn3", "Bờ tụng")}


def test_a_text_that_all_spell_alike_is_certain_and_no_evidence_for_other_fields():
    assert text.detect("Lý").neutral
    legacy = document(tcvn3.encode("Kế hoạch triển khai nhiệm vụ năm 2026").decode("cp1252"), organ_name="Bª t«ng")
    legacy = text.rewrite(legacy, lambda at, value: "Lý" if at.endswith("FullName") else value)
    legacy = text.rewrite(legacy, lambda at, value: "Gia Lai" if at.endswith("Place") else value)
    legacy = text.rewrite(legacy, lambda at, value: "Luu" if at.endswith("ToPlaces.Place") else value)
    legacy = text.rewrite(legacy, lambda at, value: "So Vi du B" if at.endswith("To.OrganName") else value)
    converted = text.convert(legacy)
    assert converted.encodings == {"tcvn3"}
    assert converted.message.header.signer_info.full_name == "Lý"


def test_a_declaration_decides_what_the_text_leaves_open():
    assert text.detect("Bê tông", "tcvn3").text == "Bờ tụng"
    assert text.detect("Bê tông", "unicode").certain


def test_a_declaration_that_the_text_contradicts_does_not_win():
    assert text.detect("Céng hoµ x· héi", "vni").encoding == "tcvn3"
    assert text.detect("Cộng hòa xã hội", "tcvn3").text == "Cộng hòa xã hội"


@pytest.mark.parametrize("declared", [None, "tcvn3", "vni", "unicode"])
def test_text_that_lost_letters_is_refused(declared: text.Encoding | None):
    with pytest.raises(ExchangeError) as refused:
        text.detect("S\ufffd Vi du", declared)
    assert refused.value.kind is UNDECODABLE_TEXT


@given(st.one_of(st.text(max_size=40), st.binary(max_size=40)))
def test_detection_answers_or_refuses_with_the_vocabulary(source: str | bytes):
    try:
        reading = text.detect(source)
    except ExchangeError as error:
        assert error.kind is UNDECODABLE_TEXT  # noqa: PT017 - both outcomes are right
    else:
        assert reading.certain or reading.alternatives


POSSIBLE = """
nghĩa quý quỹ quốc giữ gìn giếng gì huế khuya khuỷu khuấy ngoèo hoà hòa thuý thúy khỏe khoẻ hươu yêu ỷ uỷ ủy toán
hoẵng huých quýt tuyết nghiêng đường ghế xoong boóng Krông Păh ĐƯỜNG
"""
IMPOSSIBLE = "héi céng kà ghá ngê cé kát tàc ĩnhh bcà hộii wá fố zì đbc ấ1"


@pytest.mark.parametrize("word", POSSIBLE.split())
def test_syllables_that_are_possible(word: str):
    assert text.is_possible(word)


@pytest.mark.parametrize("word", IMPOSSIBLE.split())
def test_syllables_that_are_not(word: str):
    assert not text.is_possible(word)


def test_a_stopped_syllable_has_only_two_tones():
    assert [tone for tone in ("mat", "mát", "màt", "mảt", "mãt", "mạt") if text.is_possible(tone)] == ["mát", "mạt"]


@pytest.mark.parametrize("codec", [tcvn3, vni], ids=["tcvn3", "vni"])
def test_ac_3_2_1_a_legacy_message_becomes_canonical_in_every_field(codec: ModuleType):
    wanted = document(SENTENCES[0], attachment_name="Quyết định.pdf")
    legacy = text.rewrite(wanted, lambda _, value: codec.encode(value).decode("cp1252"))
    conversion = text.convert(legacy)
    assert conversion.decided() == wanted
    text.check(conversion.message)


def test_fields_of_one_message_may_have_different_encodings():
    mixed = document(tcvn3.encode(SENTENCES[1]).decode("cp1252"))
    conversion = text.convert(mixed)
    assert conversion.decided().header.subject == SENTENCES[1]
    assert conversion.encodings == {"unicode", "tcvn3"}


def test_an_undecided_field_follows_the_others_only_when_they_agree():
    assert text.convert(document("Bê tông")).decided().header.subject == "Bê tông"
    mixed = document("Bê tông", organ_name=tcvn3.encode("Sở Xây dựng tỉnh Gia Lai").decode("cp1252"))
    conversion = text.convert(mixed)
    assert [path for path, _ in conversion.undecided] == ["MessageHeader.Subject"]
    with pytest.raises(ExchangeError) as refused:
        conversion.decided()
    assert (refused.value.kind, refused.value.element) == (UNDECODABLE_TEXT, "MessageHeader.Subject")


def test_conversion_names_the_field_that_lost_letters():
    with pytest.raises(ExchangeError) as refused:
        text.convert(document("S\ufffd"))
    assert (refused.value.kind, refused.value.element) == (UNDECODABLE_TEXT, "MessageHeader.Subject")


@pytest.mark.parametrize(
    ("value", "kind"),
    [(unicodedata.normalize("NFD", "Sở"), NOT_NFC), ("e\u0301\u0302", NOT_NFC), ("S\ufffd", UNDECODABLE_TEXT)],
)
def test_ac_3_2_2_check_refuses_what_is_not_canonical_and_names_the_field(value: str, kind: ErrorKind):
    with pytest.raises(ExchangeError) as refused:
        text.check(document("Sở", attachment_name=value))
    assert (refused.value.kind, refused.value.element) == (kind, "edXMLManifest.Reference.AttachmentName")
    text.check(document("Sở Ví dụ"))


def test_text_fields_of_a_status_have_paths_of_the_message_header():
    status = StatusMessage(
        sender=Organization(organ_id="H21.23"),
        response_for=(ResponseFor(organ_id="H21.16", code="1/A", document_id="x"),),
        status_code=3,
        description="Đã tiếp nhận",
    )
    assert dict(text.text_fields(status)) == {
        "MessageHeader.From.OrganId": "H21.23",
        "MessageHeader.ResponseFor.OrganId": "H21.16",
        "MessageHeader.ResponseFor.Code": "1/A",
        "MessageHeader.ResponseFor.DocumentId": "x",
        "MessageHeader.Description": "Đã tiếp nhận",
    }
    assert text.texts(status) == [value for _, value in text.text_fields(status)]


def test_rewriting_with_no_change_is_the_same_message():
    message = document(SENTENCES[2])
    assert text.rewrite(message, lambda _, value: value) == message
