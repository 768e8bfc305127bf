"""The leaf of the evidence log: one event as compact JSON with sorted keys, the same octets for it always."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Final, Literal

import msgspec

from protocol.errors import PROOF_INVALID, ExchangeError

MAX_LEAF: Final = 128 * 1024
"""Octets; a document to every agency of a province needs a tenth of it."""

LeafType = Literal[
    "accepted",
    "refused",
    "delivered",
    "status",
    "recall",
    "registry",
    "policy",
    "backup",
    "failover",
    "handback",
]
"""What happened; `registry` covers agencies and their certificates, `policy` the rules that the hub applies."""

LeafTime = Annotated[str, msgspec.Meta(pattern=r"\A[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z\Z")]


class Leaf(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, tag_field="v", tag=1
):
    """One event; the JSON key `v` (format version 1) is written by itself, absent values are left out."""

    type: LeafType
    time: LeafTime
    """RFC 3339 UTC with milliseconds: `format_time`."""
    number: int = 0
    """The hub's message number."""
    kind: str = ""
    """document, status or notice."""
    sender: str = ""
    document_id: str = ""
    digest: str = ""
    """Hex SHA-256 of the octets that the sender signed."""
    recipients: tuple[str, ...] = ()
    """Of an accepted document."""
    recipient: str = ""
    """Of a delivery or a status."""
    status: int | None = None
    """edXML StatusCode."""
    basis: str = ""
    """The legal basis, for instance a personal or agency signature, or an authenticated source."""
    agency: str = ""
    reason: str = ""
    """The error code of a refusal."""
    detail: str = ""

    @property
    def moment(self) -> datetime:
        """`time` as aware UTC."""
        return datetime.fromisoformat(self.time)


_ENCODER: Final = msgspec.json.Encoder(order="sorted")
_DECODER: Final = msgspec.json.Decoder(Leaf)


def format_time(moment: datetime) -> str:
    """RFC 3339 UTC with milliseconds, cut (not rounded): `2026-11-20T02:15:00.123Z`. `moment` must be aware."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def encode_leaf(leaf: Leaf) -> bytes:
    """The leaf's octets: compact UTF-8 JSON, keys sorted."""
    return _ENCODER.encode(leaf)


def decode_leaf(data: bytes) -> Leaf:
    """Read a leaf. Only the octets that `encode_leaf` writes are accepted. Raises `proof.invalid`."""
    try:
        leaf = _DECODER.decode(data[: MAX_LEAF + 1])
        sound = _ENCODER.encode(leaf) == data and format_time(leaf.moment) == leaf.time
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise ExchangeError(PROOF_INVALID, element="leaf") from error
    if not sound:
        raise ExchangeError(PROOF_INVALID, element="leaf")
    return leaf
