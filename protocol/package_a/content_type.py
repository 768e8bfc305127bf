"""The media type to declare for a file, true to its octets."""

from __future__ import annotations

from typing import Final

from protocol.model import Reference

PDF: Final = "application/pdf"
ZIP: Final = "application/zip"
UNKNOWN: Final = "application/octet-stream"

_OOXML: Final = "application/vnd.openxmlformats-officedocument."
_BY_EXTENSION: Final = {
    "doc": "application/msword",
    "xls": "application/vnd.ms-excel",
    "ppt": "application/vnd.ms-powerpoint",
    "docx": f"{_OOXML}wordprocessingml.document",
    "xlsx": f"{_OOXML}spreadsheetml.sheet",
    "pptx": f"{_OOXML}presentationml.presentation",
    "odt": "application/vnd.oasis.opendocument.text",
    "ods": "application/vnd.oasis.opendocument.spreadsheet",
    "rtf": "application/rtf",
    "txt": "text/plain",
    "csv": "text/csv",
    "xml": "text/xml",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "png": "image/png",
    "tif": "image/tiff",
    "tiff": "image/tiff",
}
_CLAIMS: Final = frozenset(("", PDF, ZIP, "application/x-zip-compressed"))
"""Types that software writes for everything; the first octets confirm or refute them."""


def true_type(reference: Reference, first: bytes) -> str:
    """The type of an attachment whose octets begin with `first`.

    `application/zip` is only said of a file called `.zip`: the national axis SDK takes everything else of that type
    for its own wrapper and hands out the first entry alone.
    """
    extension = reference.attachment_name.rpartition(".")[2].strip().lower()
    if first.startswith(b"%PDF"):
        return PDF
    if reference.content_type.strip().lower() not in _CLAIMS:
        return reference.content_type.strip()
    if extension == "zip" and first.startswith(b"PK"):
        return ZIP
    return _BY_EXTENSION.get(extension, UNKNOWN)
