"""What the agency says of its system decides where the text does not."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from edge_agent.configuration import Local
from edge_agent.screening import screen
from protocol.errors import UNDECODABLE_TEXT, ExchangeError
from protocol.exchange import PlainSubmission
from protocol.model import (
    Code,
    Document,
    DocumentType,
    MessageHeader,
    Organization,
    PromulgationInfo,
    SignerInfo,
)
from protocol.text import Encoding

NOW = datetime(2026, 11, 23, tzinfo=UTC)


def submission(subject: str) -> PlainSubmission:
    header = MessageHeader(
        sender=Organization(organ_id="H21.16", organ_name="So A"),
        to=(Organization(organ_id="H21.23"),),
        code=Code(number="123", notation="SVDA-VP"),
        promulgation_info=PromulgationInfo(date=date(2026, 11, 20)),
        document_type=DocumentType(type_name="Cong van"),
        subject=subject,
        signer_info=SignerInfo(full_name="Le Van A"),
    )
    return PlainSubmission(message=Document(header=header), original=b"", package="B")


@pytest.mark.parametrize(("encoding", "read"), [("tcvn3", "Bờ tụng"), ("unicode", "Bê tông")])
def test_ac_3_2_1_the_declared_encoding_decides_what_the_text_leaves_open(encoding: Encoding, read: str):
    assert Local().declared is None
    with pytest.raises(ExchangeError) as refused:
        screen(submission("Bê tông"), "H21.16", NOW)
    assert refused.value.kind is UNDECODABLE_TEXT
    message = screen(submission("Bê tông"), "H21.16", NOW, Local(encoding=encoding).declared)
    assert isinstance(message, Document)
    assert message.header.subject == read
