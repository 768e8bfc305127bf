"""`edXMLBody/edXMLManifest`: what is attached, with the digests and sizes that a sealed envelope adds."""

from __future__ import annotations

import base64
import binascii

from lxml import etree

from protocol.content_ids import unescaped
from protocol.edxml import names
from protocol.edxml.elements import children_of, fields_of, integer, many, only
from protocol.errors import ELEMENT_MISSING, ELEMENT_TYPE, ExchangeError
from protocol.model import Reference
from protocol.namespaces import XLINK

PATH = "edXMLManifest.Reference"
_SHA256_OCTETS = 32


def read_manifest(body: etree._Element | None) -> tuple[Reference, ...]:
    """The references of an `edXMLBody` in their order; none when there is no body or no manifest."""
    if body is None:
        return ()
    manifest = only(children_of(body), "edXMLManifest", "edXMLBody")
    return read_references(manifest) if manifest is not None else ()


def read_references(manifest: etree._Element) -> tuple[Reference, ...]:
    """The references of a manifest (packages A and B). Raises `element.range` above 1000 of them."""
    found = many(children_of(manifest), "Reference", "edXMLManifest", names.REFERENCES_MAX)
    return tuple(read_reference(element) for element in found)


def read_reference(element: etree._Element) -> Reference:
    """One attachment. The id is `ContentId`, or the `xlink:href` of package B and of the .NET writers."""
    fields = fields_of(element, names.REFERENCE, PATH)
    content_id = strip_cid(fields.get("content_id", "")) or strip_cid(_xlink(element, "href"))
    if not content_id:
        raise ExchangeError(ELEMENT_MISSING, element=f"{PATH}.ContentId")
    size = fields.get("size", "").strip()
    return Reference(
        content_id=content_id,
        attachment_name=fields.get("attachment_name", ""),
        content_type=fields.get("content_type", "").strip() or _linked_type(element) or "application/octet-stream",
        description=fields.get("description", ""),
        sha256=_sha256(fields.get("sha256", "")),
        size=integer(size, f"{PATH}.Size") if size else None,
    )


def strip_cid(content_id: str) -> str:
    """The id without any `cid:` (relays in use add one at every hop) and without percent escapes."""
    content_id = content_id.strip()
    while content_id[:4].lower() == "cid:":
        content_id = content_id[4:].lstrip()
    return unescaped(content_id)


def _xlink(element: etree._Element, name: str) -> str:
    return element.get(f"{{{XLINK}}}{name}") or element.get(name) or ""


def _linked_type(element: etree._Element) -> str:
    """Package B puts the media type into `xlink:type`, where the .NET writers say `simple`."""
    linked = _xlink(element, "type").strip()
    return linked if "/" in linked else ""


def _sha256(text: str) -> bytes | None:
    if not text.strip():
        return None
    try:
        digest = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        digest = b""
    if len(digest) != _SHA256_OCTETS:
        raise ExchangeError(ELEMENT_TYPE, element=f"{PATH}.DigestValue")
    return digest
