"""Writes `multipart/related` with binary parts; the caller streams the octets between the pieces."""

from __future__ import annotations

import re
from typing import Final

from protocol.errors import MIME_MALFORMED, ExchangeError
from protocol.mime.content_type import bare_content_id, check_boundary, parse_content_type

_UNSAFE: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


def _header_value(value: str, header: str) -> str:
    """The value, when it cannot start another header line. Raises `mime.malformed`."""
    if _UNSAFE.search(value):
        raise ExchangeError(MIME_MALFORMED, element=header)
    return value


class MultipartWriter:
    """One message: `root(data)`, then for each attachment `part_header(…)` and its octets, then `closing()`.

    Every piece is known beforehand, so a Content-Length is the sum of their lengths. `boundary` must be unguessable
    (32 random hex digits or more), else an attachment could contain it; randomness is the caller's.
    Raises `mime.malformed` when a value does not fit in a header.
    """

    def __init__(self, boundary: str, root_content_type: str, root_content_id: str = "root") -> None:
        self._delimiter = b"--" + check_boundary(boundary)
        self._root_header = self._header(root_content_id, root_content_type)
        media_type = parse_content_type(root_content_type)[0]
        start = bare_content_id(root_content_id)
        self.content_type = f'multipart/related; boundary="{boundary}"; type="{media_type}"; start="<{start}>"'
        """The value of the message's Content-Type header (RFC 2387 §3)."""

    def root(self, data: bytes) -> bytes:
        """The root part, whole; it stands first."""
        return b"%b\r\n%b%b" % (self._delimiter, self._root_header, data)

    def part_header(self, content_id: str, content_type: str) -> bytes:
        """What stands before the octets of an attachment, the delimiter included."""
        return b"\r\n%b\r\n%b" % (self._delimiter, self._header(content_id, content_type))

    def closing(self) -> bytes:
        """What ends the message."""
        return b"\r\n%b--\r\n" % self._delimiter

    @staticmethod
    def _header(content_id: str, content_type: str) -> bytes:
        kind = _header_value(content_type, "Content-Type")
        name = _header_value(bare_content_id(content_id), "Content-ID")
        lines = f"Content-Type: {kind}\r\nContent-Transfer-Encoding: binary\r\nContent-ID: <{name}>\r\n\r\n"
        return lines.encode("utf-8", "strict")
