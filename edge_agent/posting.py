"""`lienthong-edge send`: checks a document in memory, then places it in `outgoing/` whole, and follows it.

The check comes first so that a marked document is refused before the first octet of it is copied (Điều 4.2a).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from edge_agent.bridge import sidecar
from edge_agent.bridge.file_names import numbered, safe_name
from edge_agent.bridge.outgoing_folder import PACKAGE, REASON, STATUS
from edge_agent.payloads import CHUNK, copy_durably
from edge_agent.places import Places
from edge_agent.screening import screen
from protocol import errors
from protocol.errors import ExchangeError, kind_of
from protocol.exchange import PlainSubmission
from protocol.model import Organization, Reference
from protocol.package_a import EnvelopeReady, PackageAReader
from runtime import durable

LOOK: Final = 0.2
"""Seconds between two looks while waiting."""


class Posted(msgspec.Struct, frozen=True):
    """Where the document was placed."""

    main: Path
    files: tuple[Path, ...]


class Outcome(msgspec.Struct, frozen=True):
    """How it ended. `receipt` is the file with the hub's receipt; `reason` what stands in the reason file."""

    receipt: Path | None = None
    reason: str = ""
    code: str = ""


def post_file(places: Places, file: Path, agency: Organization, now: datetime) -> Posted:
    """Place an `.edxml` or a `.status.toml`. Raises what `screen` does."""
    name = file.name.lower()
    if name.endswith(STATUS):
        data = file.read_bytes()
        sidecar.read_status(file.name, data)
    elif name.endswith(PACKAGE):
        screen(_envelope_of(file), agency.organ_id, now)
    else:
        raise ExchangeError(errors.UNKNOWN_FORMAT)
    return _place(places, [(file, safe_name(file.name))])


def post_fields(
    places: Places, fields: sidecar.Sidecar, files: Sequence[Path], agency: Organization, now: datetime
) -> Posted:
    """Place a file with its fields; `files` are the main file, then the further ones. Raises what `screen` does."""
    names = [safe_name(path.name) for path in files]
    references = tuple(Reference(content_id=f"f{n}", attachment_name=name) for n, name in enumerate(names, 1))
    message = sidecar.document_of(fields, agency, references)
    screen(PlainSubmission(message=message, original=b"", package="A"), agency.organ_id, now)
    posted = _place(places, list(zip(files, names, strict=True)))
    taken = [path.name for path in posted.files]
    written = msgspec.structs.replace(fields, attachments=taken[1:])
    beside = posted.main.with_suffix(".json")
    durable.write_file(beside, msgspec.json.format(msgspec.json.encode(written), indent=1))
    return Posted(posted.main, (*posted.files, beside))


def follow(
    places: Places, posted: Posted, *, timeout: float, sleep: Callable[[float], None] = time.sleep
) -> Outcome | None:
    """Wait until the document is done or failed; None when `timeout` seconds were not enough."""
    waited = 0.0
    while waited <= timeout:
        outcome = _outcome(places, posted)
        if outcome is not None:
            return outcome
        sleep(LOOK)
        waited += LOOK
    return None


def _outcome(places: Places, posted: Posted) -> Outcome | None:
    receipt = places.done / f"{posted.main.name}.bien-nhan.tlog-proof"
    if (places.done / posted.main.name).exists() and receipt.exists():
        return Outcome(receipt=receipt)
    for folder in (places.failed, places.outgoing):
        reason = folder / f"{posted.main.name}{REASON}"
        if reason.exists():
            return _refused(reason.read_text(encoding="utf-8"))
    return None


def _refused(reason: str) -> Outcome:
    sentence, _, code = reason.strip().rpartition("\nMã lỗi: ")
    return Outcome(reason=sentence, code=kind_of(code).code)


def _place(places: Places, files: Sequence[tuple[Path, str]]) -> Posted:
    """Copy under names that are free everywhere, the main file last to get its name."""
    names = _free_names(places, [name for _, name in files])
    placed: list[Path] = []
    for (source, _), name in reversed(list(zip(files, names, strict=True))):
        temporary = places.outgoing / f".{name}.part"
        temporary.unlink(missing_ok=True)
        copy_durably(source, temporary)
        durable.publish(temporary, places.outgoing / name)
        placed.insert(0, places.outgoing / name)
    return Posted(placed[0], tuple(placed))


def _free_names(places: Places, names: Sequence[str]) -> list[str]:
    folders = (places.outgoing, places.done, places.failed)
    count = 1
    while True:
        wanted = [name if count == 1 else numbered(name, count) for name in names]
        taken = (
            (folder / f"{Path(name).stem}{suffix}").exists() or (folder / name).exists()
            for folder in folders
            for name in wanted
            for suffix in (".toml", ".json")
        )
        if not any(taken):
            return wanted
        count += 1


def _envelope_of(file: Path) -> PlainSubmission:
    """The envelope of an `.edxml`, nothing of its attachments."""
    reader = PackageAReader()
    with file.open("rb") as stream:
        while data := stream.read(CHUNK):
            for event in reader.feed(data):
                if isinstance(event, EnvelopeReady):
                    return PlainSubmission(message=event.message, original=event.original_envelope, package="A")
    reader.close()
    raise ExchangeError(errors.UNKNOWN_FORMAT)
