"""Names inside certificates: who a certificate speaks for stands in a SAN URI, the rest is for people to read."""

from __future__ import annotations

import ipaddress
import unicodedata
from collections.abc import Sequence
from typing import Final
from urllib.parse import quote, unquote

from cryptography import x509
from cryptography.x509.oid import NameOID

from runtime.config import ConfigError

AGENCY_PREFIX: Final = "urn:lienthong:agency:"
HUB_PREFIX: Final = "urn:lienthong:hub:"
_COMMON_NAME_OCTETS: Final = 64  # X.520 ub-common-name
_SAFE: Final = ".-_"


def subject(*, common_name: str, organization: str = "", province: str = "") -> x509.Name:
    """A distinguished name in NFC. Raises `ConfigError` when the common name is empty or over 64 octets of UTF-8."""
    common_name = unicodedata.normalize("NFC", common_name)
    if not 0 < len(common_name.encode()) <= _COMMON_NAME_OCTETS:
        raise ConfigError(f"Tên trong chứng thư phải có 1 đến {_COMMON_NAME_OCTETS} octet UTF-8: {common_name!r}.")
    attributes = [x509.NameAttribute(NameOID.COUNTRY_NAME, "VN")]
    for oid, text in ((NameOID.STATE_OR_PROVINCE_NAME, province), (NameOID.ORGANIZATION_NAME, organization)):
        if text:
            attributes.append(x509.NameAttribute(oid, unicodedata.normalize("NFC", text)))
    attributes.append(x509.NameAttribute(NameOID.COMMON_NAME, common_name))
    return x509.Name(attributes)


def common_name(name: x509.Name) -> str:
    """The common name, "" when there is none."""
    found = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if found else ""


def province(name: x509.Name) -> str:
    """The province (ST), "" when there is none."""
    found = name.get_attributes_for_oid(NameOID.STATE_OR_PROVINCE_NAME)
    return str(found[0].value) if found else ""


def agency_uri(code: str) -> x509.UniformResourceIdentifier:
    """`urn:lienthong:agency:H21.16`."""
    return x509.UniformResourceIdentifier(AGENCY_PREFIX + quote(code, safe=_SAFE))


def hub_uri(name: str) -> x509.UniformResourceIdentifier:
    """`urn:lienthong:hub:truc.gialai.gov.vn`."""
    return x509.UniformResourceIdentifier(HUB_PREFIX + quote(name, safe=_SAFE))


def hosts(names: Sequence[str]) -> list[x509.GeneralName]:
    """Host names and IP addresses as SAN entries. Raises `ConfigError` for what is neither."""
    return [_host(name) for name in names]


def _host(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        pass
    try:
        ascii_name = name.encode("idna").decode("ascii")
    except UnicodeError as error:
        raise ConfigError(f"Tên máy không hợp lệ: {name!r}.") from error
    if not ascii_name or not all(part.replace("-", "").isalnum() for part in ascii_name.split(".")):
        raise ConfigError(f"Tên máy không hợp lệ: {name!r}.")
    return x509.DNSName(ascii_name.lower())


def spoken_for(certificate: x509.Certificate, prefix: str) -> str:
    """What stands after `prefix` in the one SAN URI that has it; "" when there is none or more than one."""
    try:
        san = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ""
    found = [uri for uri in san.get_values_for_type(x509.UniformResourceIdentifier) if uri.startswith(prefix)]
    return unquote(found[0].removeprefix(prefix)) if len(found) == 1 else ""
