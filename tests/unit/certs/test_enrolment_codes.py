from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certs import enrolment
from certs.enrolment import ALPHABET, code_hash, make_code, parse_code, root_matches
from protocol.errors import ExchangeError

ROOT = b"DER of a root"
SECRET = bytes(range(10))
CODE = "000G4-0R40M-30E20-9VBS8-GMX5E-NC8BM-R5H2S"


def code(secret: bytes = SECRET, root: bytes = ROOT) -> str:
    return make_code(root, random=lambda size: secret[:size])[0]


def refused(text: str) -> bool:
    try:
        parse_code(text)
    except ExchangeError as error:
        return error.kind.code == "enrolment.code"
    return False


@given(st.binary(min_size=10, max_size=10), st.binary(max_size=40))
def test_code_carries_secret_and_root(secret: bytes, root: bytes):
    text, stored = make_code(root, random=lambda _: secret)
    found, prefix = parse_code(text)
    assert found == secret
    assert root_matches(root, prefix)
    assert code_hash(found) == stored


def test_code_has_eighty_bits_of_secret_and_eighty_of_the_root():
    asked: list[int] = []

    def random(size: int) -> bytes:
        asked.append(size)
        return bytes(size)

    text, stored = make_code(ROOT, random=random)
    assert asked == [10]
    assert parse_code(text)[1] == hashlib.sha256(ROOT).digest()[:10]
    assert [len(group) for group in text.split("-")] == [5] * 7
    assert bytes(10).hex() not in stored


def test_two_codes_differ():
    assert make_code(ROOT)[0] != make_code(ROOT)[0]


@pytest.mark.parametrize(
    "typed",
    [
        lambda text: text.lower(),
        lambda text: text.replace("-", ""),
        lambda text: text.replace("-", " "),
        lambda text: f"  {text}\n",
        lambda text: text.replace("0", "O").replace("1", "I"),
        lambda text: text.replace("0", "o").replace("1", "l"),
        lambda text: text.replace("-", " – "),
        lambda text: text.replace("-", "."),
        lambda text: "".join(chr(ord(one) + 0xFEE0) if one.isalnum() else one for one in text),
    ],
    ids=["lower case", "no dashes", "spaces", "padding", "O and I", "o and l", "long dashes", "dots", "full width"],
)
def test_code_is_read_however_a_person_types_it(typed: object):
    assert parse_code(typed(code())) == parse_code(code())


def test_every_single_wrong_character_is_found():
    text = code().replace("-", "")
    for position, right in enumerate(text):
        for wrong in ALPHABET:
            if wrong != right:
                assert refused(text[:position] + wrong + text[position + 1 :])


def test_every_swap_of_neighbours_is_found():
    text = code(b"\x12\x34\x56\x78\x9a\xbc\xde\xf0\x11\x22").replace("-", "")
    for position in range(len(text) - 1):
        a, b = text[position], text[position + 1]
        if a != b:
            assert refused(text[:position] + b + a + text[position + 2 :])


@pytest.mark.parametrize(
    "text", ["", "-", "A", code()[:-1], code() + "A", "U" + code()[1:], "é" + code()[1:], "\x00" * 35]
)
def test_text_that_is_no_code_is_refused(text: str):
    assert refused(text)


def test_another_root_is_not_the_one_in_the_code():
    prefix = parse_code(code())[1]
    assert not root_matches(b"another root", prefix)
    assert not root_matches(ROOT, b"")
    assert not root_matches(ROOT, prefix[:4])


def test_request_proves_possession_of_its_key():
    pem, request = enrolment.make_request("H21.16", kind="rsa-2048")
    assert pem.startswith(b"-----BEGIN PRIVATE KEY-----")
    assert enrolment.check_request(request).key_size == 2048


def test_request_in_pem_is_read_and_a_damaged_one_is_refused():
    _, request = enrolment.make_request("H21.16")
    assert enrolment.read_request(request) == request
    with pytest.raises(ExchangeError):
        enrolment.read_request(b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n")
