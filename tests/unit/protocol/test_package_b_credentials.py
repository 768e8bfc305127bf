"""The look for credentials before anybody is believed: the reader's own places, nothing kept, nothing built."""

from __future__ import annotations

import pytest

from protocol import package_b, soap
from protocol.errors import DOCTYPE, NOT_SOAP, NOT_XML, TOO_DEEP, TOO_LARGE, ErrorKind, ExchangeError
from protocol.package_b.credentials import Credentials, find_credentials

EDOC = "http://www.e-doc.vn/Schema/"
ASKED = "<e:GetPendingDocumentIds>{0}</e:GetPendingDocumentIds>"
SIGNED = "<e:Signature><e:KeyInfo>{0}</e:KeyInfo></e:Signature>"
BOTH = "<e:OrganId> H21.16 </e:OrganId><e:Token>se<![CDATA[cr]]>et</e:Token>"


def envelope(body: str, header: str = "", declared: str = f'xmlns:e="{EDOC}"', before: str = "") -> bytes:
    return (
        f'{before}<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" {declared}>'
        f"<s:Header>{header}</s:Header><s:Body>{body}</s:Body></s:Envelope>"
    ).encode()


PLACES = {
    "in the operation": envelope(ASKED.format(BOTH)),
    "in the signature": envelope("<e:Manifest/>", SIGNED.format(BOTH)),
    "the operation before the signature": envelope(ASKED.format(BOTH), SIGNED.format("<e:OrganId>x</e:OrganId>")),
    "an empty one in the operation": envelope(ASKED.format("<e:OrganId/><e:Token/>"), SIGNED.format(BOTH)),
    "a token of its own": envelope(ASKED.format("<OrganId>H21.16</OrganId>"), "<Token>secret</Token>"),
    "check permission": envelope("", f"<e:CheckPermission>{BOTH}</e:CheckPermission>"),
    "forgotten prefixes": envelope(ASKED.format(BOTH), declared=""),
    "after a byte order mark and a line": envelope(ASKED.format(BOTH), before='\ufeff\n<?xml version="1.0"?>'),
    "UTF-16": envelope(ASKED.format(BOTH), before='<?xml version="1.0" encoding="utf-16"?>').decode().encode("utf-16"),
}


@pytest.mark.parametrize("data", PLACES.values(), ids=PLACES)
def test_it_finds_what_the_reader_reads(data: bytes):
    read = soap.read_envelope(data, tolerant=True)
    asked = package_b.read_request(package_b.operation_of("", read), read) if b"Manifest" not in data else None
    found = find_credentials(data, whole=True)
    assert found == Credentials("H21.16", "secret")
    if asked is not None:
        assert (asked.organ_id, asked.token) == (found.organ_id, found.token)


@pytest.mark.parametrize(
    "data",
    [
        envelope(f"<e:Status><e:From>{BOTH}</e:From></e:Status>"),
        envelope("", f"<e:MessageHeader>{BOTH}</e:MessageHeader>"),
        envelope(f"<e:Deep>{SIGNED.format(BOTH)}</e:Deep>"),
    ],
    ids=["the sender of a status", "in the message header", "a signature in the body"],
)
def test_other_places_say_nothing(data: bytes):
    assert find_credentials(data, whole=True) == Credentials("", "")


def test_the_beginning_of_an_envelope_is_enough():
    data = envelope("<e:Manifest>" + "<e:Reference/>" * 1000 + "</e:Manifest>", SIGNED.format(BOTH))
    assert find_credentials(data[:600], whole=False) == Credentials("H21.16", "secret")


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", NOT_XML),
        (b"not xml", NOT_XML),
        (PLACES["in the operation"][:-3], NOT_XML),
        (b"<!DOCTYPE x [<!ENTITY a 'b'>]><x>&a;</x>", DOCTYPE),
        (envelope("<a>" * 300 + "</a>" * 300), TOO_DEEP),
        (envelope("", "<a/>" * 20_000), TOO_LARGE),
        (b"<Envelope/>", NOT_SOAP),
        (b"<html><body/></html>", NOT_SOAP),
    ],
    ids=["empty", "text", "cut", "doctype", "300 deep", "a crowd", "no namespace", "a page"],
)
def test_what_nobody_needs_to_be_proved_for_is_refused(data: bytes, kind: ErrorKind):
    with pytest.raises(ExchangeError) as caught:
        find_credentials(data, whole=True)
    assert caught.value.kind is kind
