from __future__ import annotations

import msgspec
import pytest
from certs_province import Province
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from certs.bundle import TrustBundle
from runtime.config import ConfigError


def test_json_form_carries_everything_and_no_secret(province: Province):
    bundle = TrustBundle.load(province.ca)
    text = bundle.to_json()
    assert TrustBundle.from_json(text) == bundle
    assert b"PRIVATE" not in text


def test_bundle_is_read_from_a_file_or_a_folder(province: Province):
    path = province.folder / "trust.json"
    path.write_bytes(TrustBundle.load(province.ca).to_json())
    assert TrustBundle.load(path) == TrustBundle.load(province.ca)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b'{"format":"lienthong-trust-1","roots":[]}',
        b'{"format":"lienthong-trust-1","roots":["junk"]}',
        b'{"format":"lienthong-trust-1","roots":[7]}',
        b"\xff\xfe",
    ],
)
def test_text_that_is_no_bundle_is_bad_configuration(text: bytes):
    with pytest.raises(ConfigError):
        TrustBundle.from_json(text)


def test_bundle_of_another_format_is_refused(province: Province):
    fields = msgspec.json.decode(TrustBundle.load(province.ca).to_json())
    with pytest.raises(ConfigError):
        TrustBundle.from_json(msgspec.json.encode({**fields, "format": "lienthong-trust-2"}))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_bundle_is_never_anything_but_bad_configuration(province: Province, data: st.DataObject):
    text = bytearray(TrustBundle.load(province.ca).to_json())
    position = data.draw(st.integers(0, len(text) - 1))
    text[position] = data.draw(st.integers(0, 255))
    try:
        TrustBundle.from_json(bytes(text[: data.draw(st.integers(0, len(text)))]))
    except ConfigError:
        return


def test_missing_file_is_bad_configuration(province: Province):
    with pytest.raises(ConfigError):
        TrustBundle.load(province.folder / "missing.json")
    (province.ca / "root.pem").unlink()
    with pytest.raises(ConfigError, match=r"root\.pem"):
        TrustBundle.load(province.ca)
