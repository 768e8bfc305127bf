"""Programs with one precaution taken out: each must be missed by a sweep, or the sweep proves nothing.

A mutation rewrites the source of one or more functions inside the forked child. A text that is not there any more
raises, so a mutation cannot outlive the line that it removes.
"""

from __future__ import annotations
import __future__

import importlib
import inspect
import sys
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from tests.faults.shim import Kind

NOTHING: Final = "pass"


@dataclass(frozen=True)
class Edit:
    """In the function `where` ("module:Class.method"), `old` becomes `new`."""

    where: str
    old: str
    new: str


@dataclass(frozen=True)
class Mutation:
    """What is taken out, and how; `kinds` is where a sweep that looks for it strikes (empty: everywhere)."""

    meaning: str
    edits: tuple[Edit, ...]
    kinds: tuple[Kind, ...] = ()


def _fsync(where: str, line: str, meaning: str) -> Mutation:
    return Mutation(meaning, (Edit(where, line, NOTHING),))


HUB: Final[Mapping[str, Mutation]] = {
    "segment-fsync": _fsync(
        "hub.payloads.segments:Segments.write", "durable.fsync_file(descriptor)", "small payloads are not flushed"
    ),
    "segment-name-fsync": _fsync(
        "hub.payloads.segments:Segments._open",
        "durable.fsync_directory(self._folder)",
        "a new segment's name is not flushed",
    ),
    "large-fsync": _fsync(
        "hub.payloads.store:Receiving.finish",
        "await asyncio.to_thread(durable.fsync_file, self._file)",
        "a large payload is not flushed",
    ),
    "large-name-fsync": _fsync(
        "hub.payloads.store:PayloadStore._link_large",
        "durable.fsync_directory(final.parent)",
        "a large payload's name is not flushed",
    ),
    "upload-fsync": Mutation(
        "an upload is not flushed",
        (
            Edit(
                "hub.payloads.store:Receiving.finish",
                "await asyncio.to_thread(durable.fsync_file, self._file)",
                'self._path.parent.name == "uploads" or await asyncio.to_thread(durable.fsync_file, self._file)',
            ),
            Edit("hub.payloads.store:Receiving._hash_what_is_there", "durable.fsync_file(self._file)", NOTHING),
        ),
    ),
    "commit-fsync": Mutation(
        "SQLite commits without waiting for the disk",
        (Edit("runtime.database:connect", "PRAGMA synchronous=FULL", "PRAGMA synchronous=OFF"),),
    ),
    "answer-before-commit": Mutation(
        "receipts leave before the batch is durable",
        (
            Edit(
                "hub.ledger.writer:Writer._attempt",
                "await asyncio.get_running_loop()",
                "grown and self._evidence.adopt(grown, now)\n"
                "for item, answer in zip(batch, answers):\n"
                "    hasattr(item.work, 'large') and _answer(item, answer)\n"
                "await asyncio.get_running_loop()",
            ),
        ),
    ),
    "same-message-twice": Mutation(
        "a message that was sent again is a new message",
        (
            Edit("hub.custody:Custody._earlier", "if found is None", "if True"),
            Edit("hub.works.intake:Accept.apply", "return again(earlier, self.digest)", NOTHING),
            Edit(
                "hub.works.intake:Accept.apply",
                "places[0]), self.identity)",
                'places[0]), __import__("os").urandom(16) if earlier else self.identity)',
            ),
        ),
    ),
    "same-status-twice": Mutation(
        "a status that was sent again is a new status",
        (
            Edit("hub.works.reporting:Report.apply", "return again(earlier, self.digest)", NOTHING),
            Edit("hub.works.reporting:Report._record", "self.identity,", '__import__("os").urandom(16),'),
        ),
        (Kind.SEND,),
    ),
    "delivered-once-guard": Mutation(
        "a delivery that was confirmed can be confirmed again",
        (
            Edit(
                "hub.works.delivering:Confirm._one",
                'if row.state not in {"waiting", "dead", "withdrawn"}:',
                "if False:",
            ),
        ),
        (Kind.SEND,),
    ),
    "leave-the-mailbox": Mutation(
        "a confirmed delivery stays in the mailbox",
        (Edit("hub.works.delivering:Confirm._one", 'transaction.settle(row, "delivered", handling)', "True"),),
    ),
}
"""Precautions of the hub."""

EDGE: Final[Mapping[str, Mutation]] = {
    "payload-fsync": _fsync(
        "edge_agent.payloads:PayloadWriter.finish",
        "durable.fsync_file(self._file.fileno())",
        "attachments are not flushed",
    ),
    "payload-name-fsync": Mutation(
        "the name of an attachment is not flushed",
        (
            Edit(
                "edge_agent.payloads:PayloadWriter.finish",
                "durable.publish(self._temporary, final)",
                "self._temporary.replace(final)",
            ),
        ),
    ),
    "outbox-commit-fsync": Mutation(
        "SQLite commits without waiting for the disk",
        (Edit("runtime.database:connect", "PRAGMA synchronous=FULL", "PRAGMA synchronous=OFF"),),
    ),
    "incoming-fsync": _fsync(
        "edge_agent.payloads:copy_durably", "durable.fsync_file(writing.fileno())", "files in incoming/ are not flushed"
    ),
    "incoming-staging-name-fsync": Mutation(
        "a folder counts as staged before its name is on the disk",
        (
            Edit(
                "edge_agent.bridge.incoming_folder:IncomingFolder._write",
                "durable.fsync_directory(staging.parent)",
                NOTHING,
            ),
        ),
        (Kind.FSYNC, Kind.WRITE),
    ),
    "incoming-name-fsync": Mutation(
        "the name of a folder in incoming/ is not flushed",
        (
            Edit(
                "edge_agent.bridge.incoming_folder:_publish",
                "durable.publish(staging, final)",
                "staging.replace(final)",
            ),
        ),
    ),
    "incoming-receipt-fsync": Mutation(
        "package, receipt and status in incoming/ are not flushed",
        (
            Edit(
                "edge_agent.bridge.incoming_folder:_write_stream",
                "durable.fsync_file(file.fileno())",
                NOTHING,
            ),
        ),
        (Kind.FSYNC, Kind.WRITE),
    ),
    "incoming-file-names-fsync": Mutation(
        "a folder counts as staged before the names of its files are on the disk",
        (
            Edit(
                "edge_agent.bridge.incoming_folder:IncomingFolder._write",
                "durable.fsync_directory(staging)\n",
                f"{NOTHING}\n",
            ),
        ),
        (Kind.FSYNC, Kind.WRITE),
    ),
    "payload-folder-fsync": Mutation(
        "the name of a new folder of attachments is not flushed",
        (
            Edit(
                "edge_agent.payloads:PayloadWriter.finish",
                "durable.make_directory(final.parent)",
                "final.parent.mkdir(exist_ok=True)",
            ),
        ),
        (Kind.FSYNC, Kind.WRITE, Kind.SEND),
    ),
    "move-journal-fsync": Mutation(
        "files move before their journal is on the disk",
        (
            Edit(
                "edge_agent.bridge.moving:Mover.move",
                "durable.write_file(journal, msgspec.json.encode(moves))",
                "journal.write_bytes(msgspec.json.encode(moves))",
            ),
        ),
        (Kind.RENAME, Kind.FSYNC, Kind.UNLINK),
    ),
    "incoming-staged-guard": Mutation(
        "a folder that is ready is made anew",
        (
            Edit(
                "edge_agent.bridge.incoming_folder:IncomingFolder.hand_over",
                'await run(store.handovers.staged, row.number, "folder", self._clock())',
                NOTHING,
            ),
        ),
        (Kind.RENAME, Kind.FSYNC),
    ),
    "move-journal": Mutation(
        "the files of one item are moved without a journal",
        (
            Edit(
                "edge_agent.bridge.moving:Mover.move",
                "durable.write_file(journal, msgspec.json.encode(moves))",
                "journal.touch()",
            ),
        ),
        (Kind.RENAME,),
    ),
    "same-message-twice": Mutation(
        "a message that is given again is a new message",
        (
            Edit("edge_agent.intake:Intake._take", "if known is not None:", "if False:"),
            Edit("edge_agent.store.outbox:Outbox.accept", "if known is None:", "if True:"),
            Edit(
                "edge_agent.store.outbox:_insert",
                "item.identity,",
                "item.identity + __import__('os').urandom(4).hex(),",
            ),
        ),
    ),
    "confirm-before-kept": Mutation(
        "the hub hears of an arrival before the message is durable",
        (
            Edit(
                "edge_agent.receiving:Receiver.receive",
                'if summary.kind == "notice":',
                'await self._link.confirm([summary.number])\nif summary.kind == "notice":',
            ),
        ),
    ),
    "receipt-before-done": Mutation(
        "a file is moved to done/ before the hub's receipt is held",
        (
            Edit(
                "edge_agent.bridge.outgoing_folder:OutgoingFolder.scan",
                "await self._store.run(self._store.outbox.settled, taken) if taken else set()",
                "set(taken)",
            ),
            Edit(
                "edge_agent.bridge.outgoing_folder:OutgoingFolder._settle",
                'if row is None or row.state == "CHO_GUI":',
                "if row is None:",
            ),
            Edit("edge_agent.bridge.outgoing_folder:OutgoingFolder._settle", 'row.state == "DA_GUI"', "True"),
        ),
    ),
}
"""Precautions of the edge agent."""


def apply(name: str) -> None:
    """Takes the precaution out of this process. Raises `LookupError` when its text is not there."""
    for edit in MUTATIONS[name].edits:
        _rewrite(edit)


def _rewrite(edit: Edit) -> None:
    module_name, _, path = edit.where.partition(":")
    *owners, name = path.split(".")
    owner: Any = importlib.import_module(module_name)
    for part in owners:
        owner = getattr(owner, part)
    function = inspect.unwrap(getattr(owner, name))
    source = _SOURCES.get(edit.where) or textwrap.dedent(inspect.getsource(function))
    if edit.old not in source:
        raise LookupError(f"{edit.where} has no {edit.old!r} any more: the mutation must follow the program")
    line = next(line for line in source.splitlines() if edit.old.splitlines()[0] in line)
    indent = line[: len(line) - len(line.lstrip())]
    source = _SOURCES[edit.where] = source.replace(edit.old, edit.new.replace("\n", f"\n{indent}"))
    names: dict[str, Any] = {}
    flags = __future__.annotations.compiler_flag
    exec(compile(source, f"<{edit.where} mutated>", "exec", flags=flags), function.__globals__, names)
    setattr(owner, name, names[name])
    for module in list(sys.modules.values()):  # whoever imported it by name
        if vars(module).get(name) is function:
            setattr(module, name, names[name])


_SOURCES: Final[dict[str, str]] = {}
"""What functions look like after the edits so far: a second edit of one function goes on from there."""

MUTATIONS: Final[Mapping[str, Mutation]] = {
    **{f"hub/{name}": one for name, one in HUB.items()},
    **{f"edge/{name}": one for name, one in EDGE.items()},
}
