"""`lienthong-edge send`: checks a document in memory, then places it in `outgoing/` whole, and follows it.

The check comes first so that a marked document is refused before the first octet of it is copied (Điều 4.2a). The
sidecar names its main file, and gets its own name before all others: nothing that lies there is taken for another.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from edge_agent.bridge import sidecar
from edge_agent.bridge.file_names import beside, distinct, nfc, numbered, safe_name
from edge_agent.bridge.items import PACKAGE, STATUS
from edge_agent.bridge.outgoing_folder import RECEIPT
from edge_agent.bridge.reasons import read_reason, reason_beside
from edge_agent.payloads import CHUNK, copy_durably
from edge_agent.places import Places
from edge_agent.screening import check_attachment_names, screen
from protocol import errors
from protocol.errors import ExchangeError, kind_of
from protocol.exchange import PlainSubmission
from protocol.model import Organization, Reference
from protocol.package_a import EnvelopeReady, PackageAReader
from protocol.text import Encoding
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


def post_file(
    places: Places, file: Path, agency: Organization, now: datetime, encoding: Encoding | None = None
) -> Posted:
    """Place an `.edxml` or a `.status.toml`. Raises what `screen` does, and `OSError`."""
    name = file.name.lower()
    if name.endswith(STATUS):
        data = file.read_bytes()
        sidecar.read_status(file.name, data)
    elif name.endswith(PACKAGE):
        screen(_envelope_of(file), agency.organ_id, now, encoding)
        with file.open("rb") as stream:
            check_attachment_names(stream)
    else:
        raise ExchangeError(errors.UNKNOWN_FORMAT)
    with _reserved(places, [safe_name(file.name)]) as (target,):
        _copy(file, target)
    return Posted(target, (target,))


def post_fields(
    places: Places,
    fields: sidecar.Sidecar,
    files: Sequence[Path],
    agency: Organization,
    now: datetime,
    encoding: Encoding | None = None,
) -> Posted:
    """Place a file with its fields; `files` are the main file, then the further ones.

    Raises what `screen` does, `element.mismatch` when the fields name another main file, and `OSError`; nothing stays
    in the folder then.
    """
    if fields.file and nfc(fields.file) != nfc(files[0].name):
        raise ExchangeError(errors.ELEMENT_MISMATCH, element="File")
    names = [safe_name(path.name) for path in files]
    references = tuple(Reference(content_id=f"f{n}", attachment_name=name) for n, name in enumerate(names, 1))
    message = sidecar.document_of(fields, agency, references)
    screen(PlainSubmission(message=message, original=b"", package="A"), agency.organ_id, now, encoding)
    with _reserved(places, distinct([*names, f"{Path(names[0]).stem}.json"])) as targets:
        *placed, written = targets
        taken = [path.name for path in placed]
        whole = msgspec.structs.replace(fields, file=taken[0], attachments=taken[1:])
        durable.write_file(written, msgspec.json.format(msgspec.json.encode(whole), indent=1))
        for source, target in reversed(list(zip(files, placed, strict=True))):
            _copy(source, target)
    return Posted(placed[0], tuple(targets))


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
    receipt = places.done / beside(posted.main.name, RECEIPT)
    if (places.done / posted.main.name).exists() and receipt.exists():
        return Outcome(receipt=receipt)
    for folder in (places.failed, places.outgoing):
        reason = reason_beside(folder / posted.main.name)
        if reason.exists():
            return _refused(reason.read_text(encoding="utf-8"))
    return None


def _refused(reason: str) -> Outcome:
    sentence, code = read_reason(reason)
    return Outcome(reason=sentence, code=kind_of(code).code)


@contextmanager
def _reserved(places: Places, names: Sequence[str]) -> Iterator[list[Path]]:
    """Paths in `outgoing/` that nobody else takes, numbered alike; a failure inside the block leaves nothing behind.

    What holds a name is a hidden file beside it: two commands at once never write to one name.
    """
    targets = _reserve(places, names)
    try:
        yield targets
    except BaseException:
        for path in targets:  # the sidecar is the last: its attachments are never things of their own
            path.unlink(missing_ok=True)
        raise
    finally:
        _release(targets)


def _reserve(places: Places, names: Sequence[str]) -> list[Path]:
    for count in itertools.count(1):
        targets = [places.outgoing / (name if count == 1 else numbered(name, count)) for name in names]
        held: list[Path] = []
        try:
            for target in targets:
                _temporary(target).open("xb").close()
                held.append(target)
            if not any(_is_taken(places, target.name) for target in targets):
                return targets
        except FileExistsError:
            pass  # another command, or one that died
        _release(held)
    raise AssertionError("numbers do not end")


def _release(targets: Sequence[Path]) -> None:
    for target in targets:
        with suppress(OSError):
            _temporary(target).unlink(missing_ok=True)


def _is_taken(places: Places, name: str) -> bool:
    """Whether a name is in use somewhere, or its stem here: somebody may put a sidecar of that stem beside it."""
    stems = {nfc(path.stem).casefold() for path in places.outgoing.iterdir() if not path.name.startswith(".")}
    return nfc(Path(name).stem).casefold() in stems or any(
        os.path.lexists(folder / name) for folder in (places.done, places.failed)
    )


def _copy(source: Path, target: Path) -> None:
    temporary = _temporary(target)
    copy_durably(source, temporary, replace=True)
    durable.publish(temporary, target)


def _temporary(target: Path) -> Path:
    return target.with_name(f".{target.name}{durable.TEMPORARY_SUFFIX}")


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
