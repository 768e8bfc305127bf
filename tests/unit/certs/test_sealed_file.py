"""The file that a person kept: what stands in it twice proves nothing."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from certs import sealed_file
from protocol.edxml.reader import read_message
from protocol.errors import ATTACHMENT_DOUBLED, ExchangeError
from protocol.package_a import write_package_a
from protocol.seal import open_seal, seal
from protocol.xml_reading import parse
from tests.support.signatures import ENVELOPE
from tests.support.signers import p256_signer

VECTORS = Path(__file__).parents[2] / "vectors" / "package_a"


def test_attachments_are_known_by_digest_and_size():
    sample = (VECTORS / "sample.pdf").read_bytes()
    found = sealed_file.read((VECTORS / "001_document.edxml").read_bytes())
    assert found.attachments == {"v1": (hashlib.sha256(sample).digest(), len(sample))}


@pytest.mark.parametrize("vector", ["216_two_of_one_content_id.edxml", "217_two_of_one_late_content_id.edxml"])
def test_a_second_attachment_of_one_content_id_does_not_hide_the_first(vector: str):
    """A forged attachment in front of the signed one: every other reader would have taken the forged one."""
    with pytest.raises(ExchangeError) as caught:
        sealed_file.read((VECTORS / vector).read_bytes())
    assert caught.value.kind is ATTACHMENT_DOUBLED


def test_an_envelope_of_megabytes_that_was_accepted_is_read_again():
    sealed = seal(ENVELOPE.replace(b"V/v", b"V/v " * 700_000), p256_signer())
    message = read_message(parse(sealed))
    for kept in (sealed, b"".join(write_package_a(message, envelope=sealed))):
        assert open_seal(sealed_file.read(kept).envelope).sealed == sealed
