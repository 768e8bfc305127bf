"""The state-secret gate (seed Điều 4.2a): marks that keep a document out, found before any byte of it is stored.

The rule, which no setting switches off (AC-4.2a-7):

* `stamp` - a level (`MẬT`, `TỐI MẬT`, `TUYỆT MẬT`) in capitals that stands alone in a field, line or cell, in brackets
  or set off by a dash or colon at the start or end of a line; letter-spaced too; without diacritics when two words;
* `recall-stamp` - the same with `TÀI LIỆU THU HỒI`, the stamp of copies that must be returned;
* `level` - a field whose whole value is a level in any case, or a caption with one (`Độ mật: Tối mật`);
* `attachment-name` - a level in the name of an attachment (or of a folder in it): `TUYET MAT.pdf`, `[MẬT] ...`,
  `KH12_MẬT.pdf`, `KH-TUYỆT MẬT-2026.pdf`, `TAI LIEU THU HOI.pdf`;
* `metadata` - an element or attribute for secrecy (`Secret`, `DoMat` ...) with another value than "thường".

Every text is read as Unicode (composed and combining), TCVN3 and VNI. Known limits: words inside running text are not
matched, `Mật` alone as the name of a person passes unless in capitals, `ĐƯỜNG - SỮA - MẬT` in a subject is refused,
letters replaced by look-alikes of other alphabets pass, and the inside of attachments is not read. A `Mark` never
holds the text (AC-4.2a-4).
"""

from __future__ import annotations

import re
from typing import Final, Literal, cast

import msgspec
from lxml import etree

from protocol.errors import SECRET_MARK, ExchangeError
from protocol.model import Message
from protocol.text.fields import text_fields, texts
from protocol.text.nfc import normalise
from protocol.text.stamps import is_suspect, stamp_in_file_name, stamp_in_text
from protocol.xml_reading import local_name

Rule = Literal["stamp", "recall-stamp", "level", "attachment-name", "metadata"]


class Mark(msgspec.Struct, frozen=True):
    """A mark that was found: by which rule, at which element path. Never the text."""

    rule: Rule
    element: str


_SECRECY_NAMES: Final = frozenset(
    {
        *("secret", "secrecy", "secretlevel", "secrecylevel", "securitylevel", "levelsecret", "levelsecurity"),
        *(
            "confidential",
            "confidentiality",
            "domat",
            "dobaomat",
            "mucdomat",
            "mucdobaomat",
            "capdobaomat",
            "matdo",
            "capdomat",
        ),
    }
)  # fmt: skip - two lines of one thing
_ORDINARY: Final = frozenset(
    {
        *("", "0", "thường", "thuong", "bình thường", "binh thuong", "không", "khong", "không mật", "khong mat"),
        *("normal", "none", "no", "false", "null", "public"),
    }
)  # fmt: skip - two lines of one thing
"""Values that say "not secret"; every other value of a secrecy element is refused (regulation C5)."""
_LOWER: Final = bytes(range(256)).lower()
_NO_LETTER = rb"[^a-z0-9<]"
_VOWEL = rb"\xc3[\x82\x8b\xa2\xab]|\xe1\xba[\xa0\xa1\xac\xad]"
_MAY_BE_MAT = re.compile(
    rb"m(?=" + _NO_LETTER + rb"*+[at])"  # most words end here
    rb"(?:[^a-z0-9<\xc3\xe1]++|(?!" + _VOWEL + rb")[\xc3\xe1])*+(?:a|" + _VOWEL + rb")" + _NO_LETTER + rb"*+t"
)
_MAY_BE_THU_HOI = re.compile(rb"u" + _NO_LETTER + rb"*+h")
"""The quick look of `stamps` on the octets: beginning with one letter they are searched four times as fast.

Every repetition is possessive, so the time is linear. `<` never stands in a text or an attribute, and tags end a text.
"""
_ATTRIBUTES = etree.XPath(".//@*", smart_strings=False)
_PERSONS: Final = ("FullName", "Staff")


def find_mark(message: Message) -> Mark | None:
    """The first mark in the fields, attachment names and descriptions of a message, or `None`.

    One pass of a regular expression over the joined fields decides for nearly every document; it is on the path of
    each intake.
    """
    if not is_suspect("\n".join(texts(message))):
        return None
    for path, text in text_fields(message):
        mark = _mark_in_field(path, text)
        if mark is not None:
            return mark
    return None


def find_mark_in_text(text: str, element: str = "") -> Mark | None:
    """The mark in one text from outside the model; `element` only names it in the answer."""
    rule = stamp_in_text(text)
    return None if rule is None else Mark(rule, element)


def find_mark_in_xml(element: etree._Element, octets: bytes = b"") -> Mark | None:
    """The mark in XML as it arrived: elements and attributes that the model does not know, and every text in it.

    `octets` is the serialised element, where the caller has it at hand; it saves a third of the time.
    """
    if not _is_suspect_xml(element, octets or etree.tostring(element)):
        return None
    for node in element.iter(etree.Element):
        mark = _mark_in_node(node)
        if mark is not None:
            return mark
    return None


def refuse_marked(message: Message) -> None:
    """Raise `secrecy.refused` when a message carries a mark; the error names rule and element, nothing else."""
    mark = find_mark(message)
    if mark is not None:
        raise ExchangeError(SECRET_MARK, element=mark.element, rule=mark.rule)


def refuse_marked_attachment(name: str, description: str) -> None:
    """Raise `secrecy.refused` for what package A says of an attachment beside its octets, not in the manifest."""
    for field, text in (("AttachmentName", name), ("Description", description)):
        rule = _rule_in_field(field, text)
        if rule is not None:
            raise ExchangeError(SECRET_MARK, element=f"AttachmentEncoded.Attachment.{field}", rule=rule)


def _mark_in_field(path: str, text: str) -> Mark | None:
    rule = _rule_in_field(path.rsplit(".", 1)[-1], text)
    return None if rule is None else Mark(rule, path)


def _rule_in_field(name: str, text: str) -> Rule | None:
    if name == "AttachmentName" and stamp_in_file_name(text) is not None:
        return "attachment-name"
    rule = stamp_in_text(text)
    if rule == "level" and name in _PERSONS and len(text.split()) == 1:
        return None
    return rule


def _mark_in_node(node: etree._Element) -> Mark | None:
    """The mark of one element; where it stands is worked out only when there is one, for documents can be deep."""
    name = local_name(node)
    if _is_secrecy_name(name) and _says_secret("".join(map(str, node.itertext()))):
        return Mark("metadata", _path(node))
    for attribute, value in node.attrib.items():
        local = str(attribute).rpartition("}")[2]
        if (_is_secrecy_name(local) and _says_secret(str(value))) or stamp_in_text(str(value)) is not None:
            return Mark("metadata", f"{_path(node)}@{local}")
    for text in (node.text, *(child.tail for child in node)):
        rule = _rule_in_field(name, text) if text else None
        if rule is not None:
            return Mark(rule, _path(node))
    return None


def _is_suspect_xml(element: etree._Element, octets: bytes) -> bool:
    """The quick look: a part of a secrecy name anywhere, or text or attributes that may hold a stamp.

    Octets without references are looked at as they are, tags and all: that can only find too much.
    """
    plain = octets.translate(_LOWER, b"_-")
    if _may_name_secrecy(plain):
        return True
    if b"&" not in octets and not _MAY_BE_MAT.search(plain) and not _MAY_BE_THU_HOI.search(plain):
        return False
    attributes = "\n".join(map(str, cast("list[str]", _ATTRIBUTES(element))))
    return is_suspect(attributes) or is_suspect(etree.tostring(element, method="text", encoding="unicode"))


def _may_name_secrecy(plain: bytes) -> bool:
    """Whether a part that occurs in every name of `_SECRECY_NAMES` is there; the shorter ones are looked for first."""
    return (
        b"onfid" in plain
        or (b"sec" in plain and (b"secr" in plain or b"secu" in plain))
        or (b"mat" in plain and (b"omat" in plain or b"matdo" in plain))
    )


def _is_secrecy_name(name: str) -> bool:
    return name.casefold().replace("_", "").replace("-", "") in _SECRECY_NAMES


def _says_secret(value: str) -> bool:
    """Whether the value of a secrecy element or attribute is other than "not secret"."""
    return " ".join(normalise(value).casefold().split()) not in _ORDINARY


def _path(node: etree._Element) -> str:
    """Local names from the root to this element, for its sender; the author chose them, so no log may have them."""
    return ".".join(map(local_name, (*reversed(list(node.iterancestors())), node)))
