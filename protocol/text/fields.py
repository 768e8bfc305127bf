"""Every text field of a message, by its edXML path: what a check or a conversion of a whole message walks over."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Any, Final, TypeVar, cast

import msgspec

from protocol.model import Document, Message

_NAMES: Final = {
    "header": "MessageHeader",
    "sender": "From",
    "bussiness": "TraceHeaderList.Bussiness",
    "trace_headers": "TraceHeaderList.TraceHeader",
    "references": "edXMLManifest.Reference",
    "document_info": "BussinessDocumentInfo",
    "receivers": "ReceiverList.Receiver",
    "replacements": "ReplacementInfoList.ReplacementInfo",
    "organ_ids": "OrganIdList.OrganId",
    "to_places": "ToPlaces.Place",
    "appendixes": "Appendixes.Appendix",
    "response_for_task": "ResponseForTask.TaskCode",
    "reason": "BussinessDocReason",
    "doc_type": "BussinessDocType",
    "number": "CodeNumber",
    "notation": "CodeNotation",
}
"""Names that are not the attribute's own in capitals (QCVN 102:2016, edXML element names)."""
_DATES: Final = {"date": "PromulgationDate"}

M = TypeVar("M", bound=Message)


def text_fields(message: Message) -> Iterator[tuple[str, str]]:
    """(edXML path, text) of every field that is not empty, for example `MessageHeader.From.OrganName`."""
    yield from _walk(message, "" if isinstance(message, Document) else "MessageHeader")


def texts(message: Message) -> list[str]:
    """Every text field that is not empty, without paths: the fast way to look at a message as a whole."""
    found: list[str] = []
    _collect((message,), found)
    return found


def rewrite(message: M, change: Callable[[str, str], str]) -> M:
    """The message with every text field that is not empty replaced by `change(path, text)`."""
    return cast("M", _rewrite(message, "" if isinstance(message, Document) else "MessageHeader", change))


@cache
def _plan(kind: type[msgspec.Struct]) -> tuple[tuple[str, str], ...]:
    """(attribute, element name) of the parts of a model class that can hold text."""
    fields = msgspec.structs.fields(kind)
    return tuple((field.name, _element(field.name)) for field in fields if field.type not in (int, bool))


def _element(attribute: str) -> str:
    return _NAMES.get(attribute) or _DATES.get(attribute) or "".join(map(str.capitalize, attribute.split("_")))


def _walk(part: object, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(part, str):
        if part:
            yield path, part
    elif isinstance(part, tuple):
        for item in part:
            yield from _walk(item, path)
    elif isinstance(part, msgspec.Struct):
        for attribute, name in _plan(type(part)):
            yield from _walk(getattr(part, attribute), f"{path}.{name}" if path else name)


def _collect(values: Iterable[object], found: list[str]) -> None:
    for value in values:
        if isinstance(value, str):
            if value:
                found.append(value)
        elif isinstance(value, tuple):
            _collect(value, found)
        elif isinstance(value, msgspec.Struct):
            _collect(msgspec.structs.astuple(value), found)


def _rewrite(part: Any, path: str, change: Callable[[str, str], str]) -> Any:  # noqa: ANN401 - any part of the model
    if isinstance(part, str):
        return change(path, part) if part else part
    if isinstance(part, tuple):
        return tuple(_rewrite(item, path, change) for item in part)
    if isinstance(part, msgspec.Struct):
        parts = ((a, getattr(part, a), f"{path}.{name}" if path else name) for a, name in _plan(type(part)))
        return msgspec.structs.replace(part, **{a: _rewrite(value, below, change) for a, value, below in parts})
    return part
