"""What a package B request asks for: the action that its HTTP headers name, and the SOAP version before it is read."""

from __future__ import annotations

import re
from collections.abc import Mapping

from aiohttp import web

from protocol.errors import ExchangeError
from protocol.mime import parse_content_type
from protocol.package_b import Operation
from protocol.soap import SoapVersion


def read_action(request: web.Request) -> str:
    """The action as sent: `SOAPAction` (SOAP 1.1 §6.1.1), else the `action` parameter of the Content-Type.

    The parameter (SOAP 1.2 Part 2 §6.5.3) also counts inside a multipart's `start-info`. "" when there is none.
    """
    value = request.headers.get("SOAPAction", "").strip().strip("\"'").strip()
    return value or _action_parameter(request.headers.get("Content-Type", ""))


def operation_named(action: str) -> Operation | None:
    """The operation that the action alone names, for an answer to an envelope that cannot be read."""
    name = re.split(r"[/#:]", action)[-1]
    return Operation(name) if name in set(Operation) else None


def version_hint(request: web.Request) -> SoapVersion:
    """The version to answer in when the envelope cannot be read."""
    twelve = SoapVersion.V12.content_type in request.headers.get("Content-Type", "").lower()
    return SoapVersion.V12 if twelve else SoapVersion.V11


def _action_parameter(content_type: str) -> str:
    parameters = _parameters(content_type)
    if "action" in parameters:
        return parameters["action"]
    return _parameters(parameters.get("start-info", "")).get("action", "")


def _parameters(content_type: str) -> Mapping[str, str]:
    try:
        return parse_content_type(content_type)[1]
    except ExchangeError:
        return {}
