"""What reading an element means: children by local name, a leaf's text, and text into numbers, flags, days, moments.

Every function that takes `path` names it (`MessageHeader.From.OrganId`) in the `element.*` error that it raises.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime

from lxml import etree

from protocol.edxml.dates import parse_date, parse_timestamp
from protocol.edxml.names import ITEMS_MAX, NAMES
from protocol.errors import (
    ELEMENT_EMPTY,
    ELEMENT_MISMATCH,
    ELEMENT_MISSING,
    ELEMENT_RANGE,
    ELEMENT_TYPE,
    ExchangeError,
)

Children = dict[str, list[etree._Element]]  # noqa: SLF001 - lxml has no public name for its element class
_INTEGER_DIGITS = 18


def children_of(element: etree._Element) -> Children:
    """The child elements by the regulation's name, in their order."""
    found: Children = {}
    for child in element:
        name = NAMES[child.tag]
        if name in found:
            found[name].append(child)
        else:
            found[name] = [child]
    return found


def only(children: Children, name: str, path: str) -> etree._Element | None:
    """The group of that name, `None` when absent. Two would let two readers see different documents: a mismatch."""
    elements = children.get(name)
    if elements is None:
        return None
    if len(elements) > 1:
        raise ExchangeError(ELEMENT_MISMATCH, element=f"{path}.{name}" if path else name)
    return elements[0]


def demanded(children: Children, name: str, path: str = "") -> etree._Element:
    """The group of that name. Raises `element.missing`, and as `only`."""
    element = only(children, name, path)
    if element is None:
        raise ExchangeError(ELEMENT_MISSING, element=f"{path}.{name}" if path else name)
    return element


def many(children: Children, name: str, path: str, limit: int = ITEMS_MAX) -> Sequence[etree._Element]:
    """The repeated elements of that name. Raises `element.range` above `limit`."""
    elements = children.get(name, [])
    if len(elements) > limit:
        raise ExchangeError(ELEMENT_RANGE, element=f"{path}.{name}")
    return elements


def text_of(element: etree._Element, path: str) -> str:
    """The text of a leaf. Raises `element.type` when it has children: part of the text would be lost."""
    if len(element):
        raise ExchangeError(ELEMENT_TYPE, element=path)
    return element.text or ""


def leaf(children: Children, name: str, path: str) -> str:
    """The text of the leaf of that name, "" when absent. A repetition must say the same."""
    elements = children.get(name)
    if elements is None:
        return ""
    first = elements[0]
    text = first.text or ""
    if len(elements) > 1 or len(first):
        path = f"{path}.{name}"
        if any(text_of(element, path) != text for element in elements):
            raise ExchangeError(ELEMENT_MISMATCH, element=path)
    return text


def leaves(children: Children, group: str, name: str, path: str) -> tuple[str, ...]:
    """The texts of `group/name*` (`ToPlaces/Place`); empty ones say nothing and are left out."""
    parent = only(children, group, path)
    if parent is None:
        return ()
    path = f"{path}.{group}"
    texts = (text_of(element, f"{path}.{name}") for element in many(children_of(parent), name, path))
    return tuple(text for text in texts if text.strip())


def fields_of(element: etree._Element, fields: Mapping[str, str], path: str) -> dict[str, str]:
    """The texts of the leaves in `fields`, by field of the model; other children are ignored, empty ones absent."""
    found: dict[str, str] = {}
    for child in element:
        field = fields.get(NAMES[child.tag])
        if field is None:
            continue
        text = child.text if not len(child) else text_of(child, _path_of(child, path))
        if text and found.setdefault(field, text) != text:
            raise ExchangeError(ELEMENT_MISMATCH, element=_path_of(child, path))
    return found


def _path_of(child: etree._Element, path: str) -> str:
    return f"{path}.{NAMES[child.tag]}"


def required(text: str, element: etree._Element, name: str, path: str) -> str:
    """`text` without surrounding space; `element.missing` or `element.empty` when nothing is left.

    `element` is the group that should hold the leaf `name`.
    """
    stripped = text.strip()
    if not stripped:
        present = name in children_of(element)
        raise ExchangeError(ELEMENT_EMPTY if present else ELEMENT_MISSING, element=f"{path}.{name}")
    return stripped


def integer(text: str, path: str, default: int = 0) -> int:
    """Decimal digits, `default` when empty. Raises `element.type`."""
    text = text.strip()
    if not text:
        return default
    number = digits(text)
    if number is None:
        raise ExchangeError(ELEMENT_TYPE, element=path)
    return number


def digits(text: str) -> int | None:
    """The number that ASCII digits write, `None` for anything else: `int` alone takes `1_0` and other scripts."""
    text = text.strip()
    if text.isascii() and text.isdigit() and len(text) <= _INTEGER_DIGITS:
        return int(text)
    return None


def flag(text: str, path: str) -> bool:
    """`true`/`1`, `false`/`0`/empty, in any case. Raises `element.type`."""
    word = text.strip().lower()
    if word in {"", "false", "0"}:
        return False
    if word in {"true", "1"}:
        return True
    raise ExchangeError(ELEMENT_TYPE, element=path)


def day(text: str, path: str) -> date | None:
    """A date in any of the patterns of the wire, `None` when empty. Raises `element.type`."""
    value = parse_date(text) if text else None
    if value is None and text and text.strip():
        raise ExchangeError(ELEMENT_TYPE, element=path)
    return value


def moment(text: str, path: str) -> datetime | None:
    """A timestamp, aware UTC, `None` when empty. Raises `element.type`."""
    value = parse_timestamp(text) if text else None
    if value is None and text and text.strip():
        raise ExchangeError(ELEMENT_TYPE, element=path)
    return value
