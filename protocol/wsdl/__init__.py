"""The published descriptions: WSDL of the native package and of package B, and the XSDs that they import.

The files validate as they lie here; what is served has the address that the client used in place of theirs.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import resources
from typing import Final, Literal
from xml.sax.saxutils import quoteattr

from protocol.errors import UNKNOWN_OPERATION, ExchangeError

WsdlName = Literal["native", "package_b"]
SCHEMAS: Final = ("native", "qcvn", "signature", "package_b", "package_b_requests", "xlink")
"""The names that `?xsd=` takes."""

_SCHEMA_LOCATION: Final = re.compile(r'schemaLocation="([a-z_]+)\.xsd"')
_ADDRESS: Final = re.compile(r'location="http://localhost/[a-z0-9/]+"')


def wsdl(package: WsdlName, address: str) -> bytes:
    """The WSDL of `package` (UTF-8) for a client that reached the service at `address`, a URL without query."""
    return _ADDRESS.sub(f"location={_attribute(address)}", _located(f"{package}.wsdl", address)).encode()


def schema(name: str, address: str) -> bytes:
    """The XSD `name` (UTF-8) whose imports point at `address`. Raises `message.unknown-operation`."""
    if name not in SCHEMAS:
        raise ExchangeError(UNKNOWN_OPERATION, element="xsd")
    return _located(f"{name}.xsd", address).encode()


def _located(file: str, address: str) -> str:
    return _SCHEMA_LOCATION.sub(lambda match: f"schemaLocation={_attribute(f'{address}?xsd={match[1]}')}", _read(file))


def _attribute(value: str) -> str:
    return quoteattr(value, {'"': "&quot;"})


@cache
def _read(file: str) -> str:
    return resources.files(__name__).joinpath(file).read_text(encoding="utf-8")
