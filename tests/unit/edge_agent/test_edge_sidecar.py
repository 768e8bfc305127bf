"""What a clerk types beside a file: TOML and JSON, dates as people write them, and errors that name the key."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime

import pytest

from edge_agent.bridge import sidecar
from protocol.errors import ExchangeError
from protocol.model import Organization, ResponseFor

GIVEN = {
    "To": ["H21.23"],
    "CodeNumber": 7,
    "CodeNotation": "QĐ-UBND",
    "PromulgationDate": "2026-11-20",
    "Subject": "V/v",
    "FullName": "Nguyễn Văn Mẫu",
}
SENDER = Organization(organ_id="H21.16")


def document(**changes: object):
    data = json.dumps({**GIVEN, **changes}).encode()
    return sidecar.document_of(sidecar.read_sidecar("x.json", data), SENDER, ())


def refusal(name: str, data: bytes) -> ExchangeError:
    with pytest.raises(ExchangeError) as caught:
        sidecar.read_sidecar(name, data)
    return caught.value


@pytest.mark.parametrize("day", ["2026-11-20", "2026/11/20", "20/11/2026"])
def test_dates_are_read_as_people_write_them(day: str):
    assert document(PromulgationDate=day).header.promulgation_info.date == date(2026, 11, 20)


def test_toml_has_dates_of_its_own_and_may_begin_with_a_mark():
    text = "\ufeff" + "\n".join(
        f"{key} = {json.dumps(value)}" for key, value in GIVEN.items() if key != "PromulgationDate"
    )
    read = sidecar.read_sidecar("x.toml", f"{text}\nPromulgationDate = 2026-11-20\n".encode())
    assert sidecar.document_of(read, SENDER, ()).header.promulgation_info.date == date(2026, 11, 20)


def test_the_fields_become_the_model():
    read = document(
        To=["H21.23", {"OrganId": "H21.31", "OrganName": "Sở C"}], TypeName="Quyết định", Paper=True, Priority=2,
        BussinessDocType=1, ResponseFor=[{"OrganId": "H21.16", "Code": "1/X", "DocumentId": "id"}],
    )  # fmt: skip
    assert [(to.organ_id, to.organ_name) for to in read.header.to] == [("H21.23", ""), ("H21.31", "Sở C")]
    assert (read.header.document_type.type, read.header.document_type.type_detail) == (2, 2)
    assert (read.header.code.full, read.header.other_info.priority, read.bussiness.paper) == ("7/QĐ-UBND", 2, 1)
    assert (read.bussiness.doc_type, read.bussiness.document_id) == (1, "id")
    assert document(TypeDetail=9).header.document_type.type_detail == 9
    assert document(TypeName="Thư lạ").header.document_type.type_detail == 0


@pytest.mark.parametrize("key", list(GIVEN))
def test_a_missing_key_is_named(key: str):
    error = refusal("x.json", json.dumps({k: v for k, v in GIVEN.items() if k != key}).encode())
    assert (error.kind.code, error.element) == ("element.missing", key)


@pytest.mark.parametrize(
    ("changes", "code", "element"),
    [
        ({"Subjekt": "x"}, "element.type", "Subjekt"),
        ({"Subject": 5}, "element.type", "Subject"),
        ({"To": "H21.23"}, "element.type", "To"),
        ({"To": []}, "element.type", "To"),
        ({"Priority": "cao"}, "element.type", "Priority"),
    ],
)
def test_a_wrong_key_or_value_is_named(changes: dict[str, object], code: str, element: str):
    error = refusal("x.json", json.dumps({**GIVEN, **changes}).encode())
    assert (error.kind.code, error.element) == (code, element)


@pytest.mark.parametrize("data", [b"\xff\xfe\x00", b"not = = toml", b"[1, 2]", b""])
def test_what_is_no_table_of_fields_is_refused(data: bytes):
    assert refusal("x.toml", data).kind.code in {"message.unknown-format", "element.missing"}
    assert refusal("x.json", data).kind.code in {"message.unknown-format", "element.type"}


def test_a_bad_date_is_an_element_error():
    with pytest.raises(ExchangeError) as caught:
        document(PromulgationDate="mai")
    assert (caught.value.kind.code, caught.value.element) == ("element.type", "PromulgationDate")


def status(text: str):
    line = sidecar.read_status("x.status.toml", text.encode())
    return sidecar.status_of(line, SENDER, ResponseFor(organ_id="H21.23", code="1/X"))


def test_a_status_takes_what_is_known_of_the_document_and_its_own_words_first():
    read = status('DocumentId = "d"\nStatusCode = "03"\nCode = "2/Y"\nTimestamp = 2026-11-20T09:00:12\n')
    (answered,) = read.response_for
    assert (answered.organ_id, answered.code, answered.document_id) == ("H21.23", "2/Y", "d")
    assert (read.status_code, read.timestamp) == (3, datetime(2026, 11, 20, 2, 0, 12, tzinfo=UTC))


@pytest.mark.parametrize("moment", ["2026/11/20 09:00:12", "2026-11-20T09:00:12+07:00", "2026-11-20T02:00:12Z"])
def test_times_of_a_status(moment: str):
    read = status(f'DocumentId = "d"\nStatusCode = 3\nTimestamp = "{moment}"\n')
    assert read.timestamp == datetime(2026, 11, 20, 2, 0, 12, tzinfo=UTC)


@pytest.mark.parametrize("line", ['StatusCode = "ba"', 'StatusCode = "-3"', 'StatusCode = 3\nTimestamp = "mai"'])
def test_a_status_that_cannot_be_read_is_refused(line: str):
    with pytest.raises(ExchangeError) as caught:
        status(f'DocumentId = "d"\n{line}\n')
    assert caught.value.kind.code == "element.type"
