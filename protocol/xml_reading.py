"""Octets into an element tree: the one place where XML from outside is parsed, with its limits.

No DOCTYPE, no entity, no comment, no processing instruction, no deep nesting and no crowd of attributes comes out of
here, so whoever walks the tree meets elements and text only. A seal over an element that held a comment keeps its
meaning (exclusive C14N drops comments); one over a processing instruction does not verify.
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
MESSAGE_MAX: Final = 4 << 20
"""Octets of one XML message, the same at every door: what one takes, none refuses later."""
ENVELOPE_MAX: Final = MESSAGE_MAX - (256 << 10)
"""Octets of one sealed envelope in canonical form: with SOAP and a receipt around it, it is a message still."""
ATTRIBUTES_MAX: Final = 64
"""Attributes of one element, and namespace declarations in force at one: canonicalisation sorts attributes in more than
quadratic time (30,000 take two seconds).
"""

_JUNK_MAX: Final = 4096
"""Octets before the XML declaration that a tolerant reading skips; what has more is another format."""
_PREFIXES_MAX: Final = 32
_SHORTEST_ELEMENT: Final = len(b"<a></a>")
"""Octets that one level of nesting takes; the innermost may be shorter."""
_USUAL_ENCODINGS: Final = frozenset({None, "UTF-8", "utf-8"})
_KNOWN_ENCODINGS: Final = re.compile(
    r"utf-?8|utf-?16(?:[lb]e)?|(?:us-)?ascii|iso-8859-\d{1,2}|(?:windows-|cp)125\d|tcvn[\w-]*|viscii", re.IGNORECASE
)
"""In these `<` and `=` have their ASCII octets, which the limits count; UTF-7 spells them otherwise."""
_ENCODING: Final = re.compile(rb"""<\?xml\s[^<>]*?encoding\s*=\s*["']([^"'<>]*)["']""")

TAGS_MAX: Final = 1 << 17
"""Tags of one message; a thousand attachments and five thousand recipients have as many."""
NAMES_MAX: Final = 1 << 10
"""Different names of one message, which the parser's library keeps for ever; all formats have some two hundred."""
_ORDINARY: Final = 8 << 10
"""Octets up to which tags and names need no counting: what is so short holds few."""
_ELEMENTS: Final = re.compile(rb"<([^\s<>/!?=]+)")
_WITH_ATTRIBUTES: Final = re.compile(rb"<[^<=]*+=[^<]*")
_ATTRIBUTES: Final = re.compile(rb"""[\s"']([^\s<>/!?="']++)\s*+=\s*+["']""")

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


def parse(data: bytes, *, max_size: int = MESSAGE_MAX, max_depth: int = 64, tolerant: bool = False) -> etree._Element:
    """The root element of `data`.

    `max_size` is octets, `max_depth` counts elements from the root (1). `tolerant` skips what stands before the XML
    declaration and declares the prefixes that the sender forgot, as the readers in use do.
    Raises `message.too-large` (also for crowds of attributes, tags or names), `message.doctype`, `message.too-deep`,
    `message.not-xml` (also for an encoding out of use).
    """
    if len(data) > max_size:
        raise ExchangeError(TOO_LARGE, size=len(data), limit=max_size)
    if len(data) > _ORDINARY:
        _count(data)
    try:
        root = etree.fromstring(data, _PARSER)
    except etree.XMLSyntaxError as error:
        repaired = _repair(data) if tolerant else None
        if repaired is None:
            raise _refusal(data, error) from None
        root = _parse_again(repaired)
    information = root.getroottree().docinfo
    if information.internalDTD is not None:
        raise ExchangeError(DOCTYPE)
    encoding = information.encoding
    if encoding not in _USUAL_ENCODINGS and _KNOWN_ENCODINGS.fullmatch(encoding) is None:
        raise ExchangeError(NOT_XML, reason="encoding")
    if len(data) > max_depth * _SHORTEST_ELEMENT and _deeper_than(max_depth)(root):
        raise ExchangeError(TOO_DEEP, limit=max_depth)
    if data.count(b"=") > ATTRIBUTES_MAX and _is_crowded(etree.tostring(root)):
        raise ExchangeError(TOO_LARGE, reason="attributes", limit=ATTRIBUTES_MAX)
    return root


def local_name(element: etree._Element) -> str:
    """The name of an element without its namespace: what edXML elements are known by (any prefix, any namespace)."""
    tag = element.tag
    return tag[tag.rfind("}") + 1 :]


def namespace(element: etree._Element) -> str:
    """The namespace of an element, "" when it has none."""
    tag = element.tag
    return tag[1 : tag.rfind("}")] if tag[0] == "{" else ""


def _count(data: bytes) -> None:
    """Before the tree is built: a megabyte of short tags becomes a hundred megabytes of it, and a second of work."""
    declared = _ENCODING.search(data, 0, 2 * _JUNK_MAX)
    if declared is not None and _KNOWN_ENCODINGS.fullmatch(declared[1].decode("latin-1")) is None:
        raise ExchangeError(NOT_XML, reason="encoding")
    tags = data.count(b"<")
    if tags > TAGS_MAX:
        raise ExchangeError(TOO_LARGE, tags=tags, limit=TAGS_MAX)
    attributes = _ATTRIBUTES.findall(b"".join(_WITH_ATTRIBUTES.findall(data)))
    names = len({*_ELEMENTS.findall(data), *attributes})
    if names > NAMES_MAX:
        raise ExchangeError(TOO_LARGE, names=names, limit=NAMES_MAX)


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


def _is_crowded(serialised: bytes) -> bool:
    """Whether an element has too many attributes, or too many namespace declarations are in force at one.

    In what lxml writes, `<` is markup only, the first `>` ends the tag, and every attribute has two quotation marks.
    """
    in_force = [0]
    for piece in serialised.split(b"<")[1:]:
        tag = piece.partition(b">")[0]
        if tag.startswith(b"/"):
            in_force.pop()
            continue
        here = in_force[-1] + tag.count(b" xmlns")
        if here > ATTRIBUTES_MAX or tag.count(b'"') > 2 * ATTRIBUTES_MAX:
            return True
        if not tag.endswith(b"/"):
            in_force.append(here)
    return False


@lru_cache(maxsize=16)
def _deeper_than(depth: int) -> etree.XPath:
    """A compiled test, because it walks the tree without making a Python object of each element."""
    return etree.XPath(f"boolean({'/*' * (depth + 1)})")


def _repair(data: bytes) -> bytes | None:
    """`data` without what precedes the XML, and with its undeclared prefixes declared on the root; None: hopeless."""
    start = beginning(data)
    return None if start < 0 else _declare_prefixes(data[start:])


def beginning(data: bytes) -> int:
    """Where the XML begins, as the readers in use find it; negative: nowhere near."""
    start = data.find(b"<?xml", 0, _JUNK_MAX)
    return start if start >= 0 else data.find(b"<", 0, _JUNK_MAX)


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
