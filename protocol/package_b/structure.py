"""The tags that a package B document must have, empty or not, as the hubs of that generation check them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from lxml import etree

from protocol.edxml.elements import children_of
from protocol.errors import ELEMENT_MISSING, ExchangeError

_ADDRESS: Final = ("OrganName", "OrganAdd", "Email", "Telephone", "Fax", "Website")
REQUIRED: Final[Mapping[str, Sequence[str]]] = {
    "From": ("OrganId", "OrganizationInCharge", *_ADDRESS),
    "To": ("OrganId", *_ADDRESS),
    "Code": ("CodeNumber", "CodeNotation"),
    "PromulgationInfo": ("Place", "PromulgationDate"),
    "DocumentType": ("Type", "TypeName"),
    "Subject": (),
    "Content": (),
    "SignerInfo": ("Competence", "Position", "FullName"),
    "DueDate": (),
    "ToPlaces": (),
    "OtherInfo": (
        "Priority",
        "SphereOfPromulgation",
        "TyperNotation",
        "PromulgationAmount",
        "PageAmount",
        "Appendixes",
    ),
}
"""Children of MessageHeader and their children (CV 2803 as deployed).

Those hubs also demand DocumentId, TraceHeaderList and ErrorList; packets that real systems send lack them, and nothing
of the document is missing with them, so they are not asked for here.
"""


def missing_tags(header: etree._Element | None) -> list[ExchangeError]:
    """Every tag that the SOAP Header of a SendDocument lacks, as `element.missing` errors (`MessageHeader.DueDate`).

    In the order of the regulation, each path once. Empty when the structure is complete; values are judged elsewhere.
    """
    block = children_of(header).get("MessageHeader") if header is not None else None
    if not block:
        return [ExchangeError(ELEMENT_MISSING, element="MessageHeader")]
    paths = dict.fromkeys(_missing(block[0]))
    return [ExchangeError(ELEMENT_MISSING, element=path) for path in paths]


def _missing(message_header: etree._Element) -> Iterator[str]:
    children = children_of(message_header)
    for name, required in REQUIRED.items():
        path = f"MessageHeader.{name}"
        if name not in children:
            yield path
        for group in children.get(name, ()):
            present = children_of(group)
            yield from (f"{path}.{child}" for child in required if child not in present)
