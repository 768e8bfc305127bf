"""A native request that cannot be read is answered in the version that its Content-Type names."""

from __future__ import annotations

import pytest
from package_b_stage import stage
from raw_http import SOAP_11, SOAP_12, post

TYPES = {"application/soap+xml; charset=utf-8": SOAP_12, "text/xml; charset=utf-8": SOAP_11, "": SOAP_11}


@pytest.mark.parametrize("content_type", TYPES)
async def test_what_is_no_xml_gets_a_fault_of_its_own_version(content_type: str):
    async with stage() as running:
        address = running.endpoint.address.replace("/edoc/v1", "/lienthong/v1")
        answer = await post(address, {"Content-Type": content_type} if content_type else {}, b"not xml at all")
    assert TYPES[content_type].encode() in answer.body
    assert b"message.not-xml" in answer.body
