from __future__ import annotations

import msgspec
import pytest
from certs_province import DAY, NOW, Province, serial_of, vkey

from certs import log_key
from certs.log_key import make_statement, verify_statement
from certs.signers import FileSigner
from protocol.errors import ExchangeError

ORIGIN = "truc.gialai.gov.vn/so"
KEY = vkey(ORIGIN, bytes(range(32)))


def statement(province: Province, kind: str = "p-256") -> str:
    return make_statement(province.signer(province.hub(kind=kind), "hub", kind), ORIGIN, KEY)


def changed(text: str, /, **fields: object) -> str:
    return msgspec.json.encode({**msgspec.json.decode(text), **fields}).decode()


def refusal(province: Province, text: str) -> str:
    with pytest.raises(ExchangeError) as raised:
        verify_statement(text, province.trust(), NOW)
    return raised.value.kind.code


@pytest.mark.parametrize("kind", ["p-256", "rsa-2048"])
def test_hub_vouches_for_the_key_of_its_log(province: Province, kind: str):
    assert verify_statement(statement(province, kind), province.trust(), NOW) == KEY


def test_agency_cannot_vouch_for_a_log(province: Province):
    forged = make_statement(province.signer(province.agency(), "a"), ORIGIN, KEY)
    assert refusal(province, forged) == "seal.certificate-untrusted"


def test_changed_text_or_signature_is_refused(province: Province):
    good = statement(province)
    other = vkey(ORIGIN, bytes(32))
    fields = msgspec.json.decode(good)
    assert refusal(province, changed(good, text=fields["text"].replace(KEY, other))) == "proof.invalid"
    assert refusal(province, changed(good, signature="AAAA")) == "proof.invalid"
    assert refusal(province, changed(good, signature="*")) == "proof.invalid"
    assert refusal(province, changed(good, text="")) == "proof.invalid"
    assert refusal(province, changed(good, text=fields["text"] + "vkey: x\n")) == "proof.invalid"


@pytest.mark.parametrize(
    "damage",
    [{"certificates": []}, {"certificates": ["junk"]}, {"format": "lienthong-log-key-2"}, {"signature": 7}],
    ids=str,
)
def test_damaged_container_is_refused(province: Province, damage: dict):
    assert refusal(province, changed(statement(province), **damage)) == "proof.invalid"
    assert refusal(province, "not JSON") == "proof.invalid"


def test_another_certificate_in_the_container_is_refused(province: Province):
    good = statement(province)
    other = make_statement(province.signer(province.hub(kind="rsa-2048"), "other", "rsa-2048"), ORIGIN, KEY)
    assert refusal(province, changed(good, certificates=msgspec.json.decode(other)["certificates"])) == "proof.invalid"


@pytest.mark.parametrize("key", ["", "x", f"{ORIGIN}+00000000+AAAA", KEY.replace(ORIGIN, "other"), KEY[:-4]])
def test_statement_is_not_made_for_what_is_no_key_of_the_origin(province: Province, key: str):
    with pytest.raises(ExchangeError, match=r"proof\.invalid"):
        make_statement(province.signer(province.hub(), "hub"), ORIGIN, key)


def test_line_break_in_the_origin_cannot_smuggle_a_second_line(province: Province):
    with pytest.raises(ExchangeError, match=r"proof\.invalid"):
        make_statement(province.signer(province.hub(), "hub"), f"{ORIGIN}\nvkey: {KEY}", KEY)


def test_statement_of_a_revoked_hub_certificate_counts_for_the_time_before(province: Province):
    signer = province.signer(province.hub(), "hub")
    text = make_statement(signer, ORIGIN, KEY)
    province.authority.revoke(serial_of(signer.certificate), at=NOW + DAY)
    assert verify_statement(text, province.trust(), NOW) == KEY
    with pytest.raises(ExchangeError, match=r"seal\.certificate-revoked"):
        verify_statement(text, province.trust(), NOW + DAY)


def test_authority_keeps_statements_for_whoever_loads_it(province: Province):
    text = statement(province)
    province.authority.add_log_key(text)
    signer = FileSigner(province.folder / "hub.key", province.folder / "hub.pem")
    province.authority.add_log_key(make_statement(signer, ORIGIN, KEY))
    assert province.trust().bundle.log_keys == (text,)
    with pytest.raises(ExchangeError, match=r"proof\.invalid"):
        province.authority.add_log_key("junk")
    assert log_key.read_statement(text).text.startswith("lienthong log key 1\n")
