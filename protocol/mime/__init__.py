"""`multipart/related` (RFC 2046 §5.1, RFC 2387) as a streaming reader and a writer; bytes in, events out, no I/O."""

from __future__ import annotations

from protocol.mime.content_type import parse_content_type
from protocol.mime.reader import Event, Limits, MultipartReader, PartData, PartEnd, PartStart
from protocol.mime.writer import MultipartWriter

__all__ = [
    "Event",
    "Limits",
    "MultipartReader",
    "MultipartWriter",
    "PartData",
    "PartEnd",
    "PartStart",
    "parse_content_type",
]
