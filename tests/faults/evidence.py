"""What agencies hold as proof, and the mailbox read the way a careful recipient does."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from protocol.checkpoint import Checkpoint, read_checkpoint
from protocol.exchange import Accepted, Summary
from protocol.merkle import verify_consistency
from protocol.receipts import Leaf, Receipt, verify
from tests.faults import agency
from tests.faults.agency import AgencyClient, codes
from tests.faults.runs import StuckError, ViolationError


@dataclass
class Records:
    """What the agencies hold at the end: their side of the promise."""

    vkey: str
    accepted: dict[str, Accepted] = field(default_factory=dict)
    received: dict[tuple[str, str], int] = field(default_factory=dict)
    checkpoints: dict[int, Checkpoint] = field(default_factory=dict)

    def got(self, recipient: str, message: Summary) -> None:
        """A document reached a recipient; under a second number it would have reached it twice."""
        earlier = self.received.setdefault((recipient, message.document_id), message.number)
        if earlier != message.number:
            raise ViolationError(f"{recipient} got {message.document_id} as {earlier} and as {message.number}")

    def saw(self, text: str) -> Checkpoint:
        """A checkpoint that somebody was shown; two trees of one size are a violation."""
        seen = read_checkpoint(text, (self.vkey,))
        if self.checkpoints.setdefault(seen.size, seen).root != seen.root:
            raise ViolationError(f"two checkpoints of size {seen.size}: history was rewritten")
        return seen

    def proves(self, receipt: str) -> Leaf:
        """The event that a receipt proves; its checkpoint is remembered."""
        read = Receipt.from_text(receipt)
        self.saw(read.checkpoint)
        return verify(read, (self.vkey,))


async def mailbox(client: AgencyClient, count: int) -> AsyncIterator[Summary]:
    """Each message of the mailbox once, confirmed after the caller has dealt with it, until `count` were confirmed."""
    confirmed: dict[int, Summary] = {}
    deadline = time.monotonic() + agency.PATIENCE
    while len(confirmed) < count:
        if time.monotonic() > deadline:
            raise StuckError(f"{client.code} has {codes(confirmed.values())}, and {count} were to come")
        waiting = await client.pending(wait_seconds=0.2)
        for message in waiting:
            if message.number in confirmed:
                raise ViolationError(f"{client.code} confirmed {codes([message])} and is offered it again")
            yield message
        numbers = [message.number for message in waiting]
        if not numbers:
            continue
        outcomes = await client.confirm(numbers)
        if wrong := [one for one in outcomes if one.outcome == "unknown"]:
            raise ViolationError(f"{client.code} confirms what it was given, and the hub answers {wrong}")
        confirmed |= {message.number: message for message in waiting}


async def history_is_one(records: Records, client: AgencyClient) -> None:
    """Every checkpoint that was ever seen is a prefix of the last one."""
    last = records.saw(await client.checkpoint())
    for size, seen in sorted(records.checkpoints.items()):
        if size > last.size:
            raise ViolationError(f"a checkpoint of size {size} was shown, and the log has {last.size} events")
        if size < last.size:
            verify_consistency(size, seen.root, last.size, last.root, await client.consistency(size, last.size))
