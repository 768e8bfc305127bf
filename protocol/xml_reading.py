"""Octets into an element tree: the one place where XML from outside is parsed, with its limits.

No DOCTYPE, no entity, no comment, no processing instruction and no deep nesting comes out of here, so whoever walks the
tree meets elements and text only. A seal over an element that held a comment keeps its meaning (exclusive C14N drops
comments); one over a processing instruction does not verify.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from lxml import etree

from protocol.errors import DOCTYPE, NOT_XML, TOO_DEEP, TOO_LARGE, ErrorKind, ExchangeError
from protocol.namespaces import KNOWN_PREFIXES

_NAME: Final = rb"[A-Za-z_\x80-\xff][\w.\-\x80-\xff]*"
_ROOT: Final = re.compile(rb"<" + _NAME + rb"(?::" + _NAME + rb")?")
_PREFIX: Final = re.compile(rb"[<\s](" + _NAME + rb"):" + _NAME)
_DECLARED: Final = re.compile(rb"xmlns:(" + _NAME + rb")")
_DEFAULT: Final = re.compile(rb"""\sxmlns\s*=\s*["']([^"'<>]*)["']""")
_UNDECLARED_ENTITY: Final = {etree.ErrorTypes.ERR_UNDECLARED_ENTITY, etree.ErrorTypes.ERR_ENTITY_LOOP}
_JUNK_MAX: Final = 4096
"""Octets before the XML declaration that a tolerant reading skips; what has more is another format."""
_PREFIXES_MAX: Final = 32
_SHORTEST_ELEMENT: Final = len(b"<a></a>")
"""Octets that one level of nesting takes; the innermost may be shorter."""

# Reused: making a parser costs more than parsing a message. lxml copies it for other threads.
_PARSER: Final = etree.XMLParser(
    resolve_entities=False,
    no_network=True,
    load_dtd=False,
    dtd_validation=False,
    attribute_defaults=False,
    huge_tree=False,
    remove_comments=True,
    remove_pis=True,
    collect_ids=False,
)


def parse(data: bytes, *, max_size: int = 1 << 20, max_depth: int = 64, tolerant: bool = False) -> etree._Element:
    """The root element of `data`.

    `max_size` is octets, `max_depth` counts elements from the root (1). `tolerant` skips what stands before the XML
    declaration and declares the prefixes that the sender forgot, as the readers in use do.
    Raises `message.too-large`, `message.doctype`, `message.too-deep`, `message.not-xml`.
    """
    if len(data) > max_size:
        raise ExchangeError(TOO_LARGE, size=len(data), limit=max_size)
    try:
        root = etree.fromstring(data, _PARSER)
    except etree.XMLSyntaxError as error:
        repaired = _repair(data) if tolerant else None
        if repaired is None:
            raise _refusal(data, error) from None
        root = _parse_again(repaired)
    if root.getroottree().docinfo.internalDTD is not None:
        raise ExchangeError(DOCTYPE)
    if len(data) > max_depth * _SHORTEST_ELEMENT and _deeper_than(max_depth)(root):
        raise ExchangeError(TOO_DEEP, limit=max_depth)
    return root


def local_name(element: etree._Element) -> str:
    """The name of an element without its namespace: what edXML elements are known by (any prefix, any namespace)."""
    tag = element.tag
    return tag[tag.rfind("}") + 1 :]


def namespace(element: etree._Element) -> str:
    """The namespace of an element, "" when it has none."""
    tag = element.tag
    return tag[1 : tag.rfind("}")] if tag[0] == "{" else ""


def _parse_again(data: bytes) -> etree._Element:
    try:
        return etree.fromstring(data, _PARSER)
    except etree.XMLSyntaxError as error:
        raise _refusal(data, error) from None


def _refusal(data: bytes, error: etree.XMLSyntaxError) -> ExchangeError:
    """The error of the vocabulary; the parser's own message may quote the document and stays out of it."""
    kind: ErrorKind = NOT_XML
    if b"<!DOCTYPE" in data or "<!DOCTYPE".encode("utf-16-le") in data or "<!DOCTYPE".encode("utf-16-be") in data:
        kind = DOCTYPE
    elif "Excessive depth" in (error.msg or ""):
        kind = TOO_DEEP
    line, column = error.position
    return ExchangeError(kind, line=line, column=column)


@lru_cache(maxsize=16)
def _deeper_than(depth: int) -> etree.XPath:
    """A compiled test, because it walks the tree without making a Python object of each element."""
    return etree.XPath(f"boolean({'/*' * (depth + 1)})")


def _repair(data: bytes) -> bytes | None:
    """`data` without what precedes the XML, and with its undeclared prefixes declared on the root; None: hopeless."""
    start = data.find(b"<?xml", 0, _JUNK_MAX)
    if start < 0:
        start = data.find(b"<", 0, _JUNK_MAX)
    if start < 0:
        return None
    return _declare_prefixes(data[start:])


def _declare_prefixes(data: bytes) -> bytes | None:
    root = _ROOT.search(data)
    if root is None:
        return None
    tag_end = data.find(b">", root.end())
    root_tag = data[root.start() : tag_end]
    missing = set(_PREFIX.findall(data)) - set(_DECLARED.findall(root_tag)) - {b"xmlns", b"xml"}
    if len(missing) > _PREFIXES_MAX:
        return None
    default = _DEFAULT.search(root_tag)
    declarations = b"".join(
        b' xmlns:%b="%b"' % (prefix, _namespace_for(prefix, default.group(1) if default else b""))
        for prefix in sorted(missing)
    )
    return data[: root.end()] + declarations + data[root.end() :]


def _namespace_for(prefix: bytes, default: bytes) -> bytes:
    """What a forgotten prefix means: `edXML` is the packet's own namespace, others by their customary names."""
    if prefix == b"edXML" and default:
        return default
    return KNOWN_PREFIXES.get(prefix, b"urn:undeclared:" + prefix)
