"""The watchman: alarms for people, last contacts, and the checkpoints of the hub's log that pass by.

Every checkpoint seen is kept, and a consistency proof must connect it to the others (RFC 9162 §2.1.4): a hub that shows
one history to this agency and another elsewhere, or rewrites its own, raises an alarm that nothing but a person clears.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Final

from edge_agent.clock import Clock, to_text
from edge_agent.forks import Forks
from edge_agent.records import SeenCheckpoint
from edge_agent.store import Store
from edge_agent.trusting import Beliefs
from edge_agent.uplink import HubLink
from edge_agent.waiting import pause, unless
from protocol import errors
from protocol.checkpoint import Checkpoint, read_checkpoint
from protocol.errors import ExchangeError
from protocol.merkle import verify_consistency
from protocol.receipts import Receipt
from runtime import logs
from runtime.config import ConfigError

SILENCE: Final = timedelta(minutes=5)
"""Without contact for this long, an alarm is raised."""
SKEW: Final = timedelta(minutes=5)
"""A clock farther off than this raises an alarm."""
CONTACT_EVERY: Final = timedelta(seconds=20)
"""Contacts are written down no more often than this."""
ROUND: Final = 50
"""Proofs asked for in one round."""
FORKED: Final = "log-forked"

_log = logs.get("edge.watching")


class Watchman:
    """One per agent; other tasks tell it what they saw."""

    def __init__(
        self,
        store: Store,
        link: HubLink,
        beliefs: Beliefs,
        clock: Clock,
        shortage: Callable[[], int] = lambda: 0,
        *,
        forks: Forks,
    ) -> None:
        """`shortage` tells how many octets should be freed on the disk."""
        self._store = store
        self._link = link
        self._beliefs = beliefs
        self._clock = clock
        self._shortage = shortage
        self._evidence = forks
        self._started = clock()
        self._written: dict[str, datetime] = {}
        self._last_reached = self._started
        self._open = {alarm.kind for alarm in store.watch.alarms()}
        self._seen_text = ""

    async def alarm(self, kind: str, text: str) -> None:
        """Raise an alarm (once until it is cleared). One that finds no room in the database is raised the next time."""
        if kind in self._open:
            return
        self._open.add(kind)
        try:
            new = await self._store.run(self._store.watch.alarm, kind, text, self._clock())
        except ExchangeError as error:
            self._open.discard(kind)
            _log.error("alarm-not-kept", kind=kind, code=error.kind.code)
            return
        if new:
            _log.error("alarm", kind=kind)

    async def clear(self, kind: str) -> bool:
        """What raised it is over, or a person has seen to it; False when it was not up."""
        if kind not in self._open:
            return False
        self._open.discard(kind)
        return await self._store.run(self._store.watch.clear, kind, self._clock())

    async def noted(self, name: str) -> None:
        """Something happened (`local`: the local system called)."""
        now = self._clock()
        written = self._written.get(name)
        if written is None or abs(now - written) > CONTACT_EVERY:
            self._written[name] = now
            await self._store.run(self._store.watch.contact, name, "", now)

    async def reached(self, name: str) -> None:
        """The hub answered to `name` (poll, send, receive)."""
        self._last_reached = self._clock()
        await self.noted(name)
        await self.clear("hub")
        await self._check_clock()

    async def missed(self, error: ExchangeError) -> None:
        """The hub could not be reached."""
        if self._clock() - self._last_reached > SILENCE:
            await self.alarm("hub", f"Mất liên lạc với trục liên thông: {error.sentence}")

    async def see(self, receipt: str) -> None:
        """Keep the checkpoint inside a receipt that was verified."""
        text = Receipt.from_text(receipt).checkpoint
        if text != self._seen_text:  # receipts of one batch share it
            self._seen_text = text
            await self._keep(text)

    async def run(self, drain: asyncio.Event, every: float = 60.0) -> None:
        """Once a minute: the disk, trust data, the hub's newest checkpoint, missing proofs."""
        while not drain.is_set():
            try:
                await unless(drain, self.round())
            except ExchangeError as error:
                await self.missed(error)
            except ConfigError as error:
                await self.alarm("trust", f"Dữ liệu tin cậy của trục không dùng được: {error}")
            await pause(drain, every)

    async def round(self) -> None:
        """The disk, then one look at the hub's public face.

        Raises `ExchangeError` when the hub cannot be reached, `ConfigError`.
        """
        await self.check_disk()
        if self._beliefs.refresh(await self._link.trust()):
            _log.info("trust-renewed")
        await self.reached("trust")
        await self.clear("trust")
        await self._keep(await self._link.checkpoint())
        await self._prove()

    async def check_disk(self) -> None:
        """The alarm of a disk that is nearly full, or too small for what wants to come; it ends by itself."""
        shortage = await asyncio.to_thread(self._shortage)
        if shortage:
            await self.alarm("disk", f"Đĩa gần đầy: cần dọn thêm ít nhất {(shortage >> 20) + 1} MB.")
        else:
            await self.clear("disk")

    @asynccontextmanager
    async def _forks(self) -> AsyncIterator[None]:
        """A proof that fails inside the block is an alarm, and stops nothing else."""
        try:
            yield
        except ExchangeError as error:
            if error.kind is not errors.PROOF_INVALID:
                raise
            await self._raise_forked()

    async def _raise_forked(self) -> None:
        await self.alarm(FORKED, "Sổ bằng chứng của trục không nhất quán. Giữ nguyên máy này và báo thanh tra.")

    async def _forked(self, one: SeenCheckpoint, other: SeenCheckpoint, proof: Sequence[bytes] = ()) -> None:
        """Both signed notes are the evidence: without them there is only this agent's word."""
        await self._raise_forked()
        try:
            await asyncio.to_thread(self._evidence.keep, one, other, proof, self._beliefs.bundle)
        except OSError:  # seen again in a minute
            _log.exception("evidence-not-kept", kind=FORKED)

    async def _keep(self, text: str) -> None:
        async with self._forks():
            await self._keep_checkpoint(read_checkpoint(text, self._beliefs.vkeys()))

    async def _keep_checkpoint(self, checkpoint: Checkpoint) -> None:
        run, watch = self._store.run, self._store.watch
        known = await run(watch.checkpoint_of, checkpoint.size)
        first = await run(watch.latest_checkpoint) is None
        seen = SeenCheckpoint(
            size=checkpoint.size,
            root=checkpoint.root.hex(),
            text=checkpoint.text,
            seen_at=to_text(self._clock()),
            consistent=first,
        )
        if known is None:
            await run(watch.see, seen)
        elif known.root != seen.root:
            await self._forked(known, seen)

    async def _prove(self) -> None:
        """Connect what is not connected yet, smallest first."""
        for seen in (await self._store.run(self._store.watch.unproved_checkpoints))[:ROUND]:
            await self._connect(seen)

    async def _connect(self, seen: SeenCheckpoint) -> None:
        """An alarm when the hub cannot show that one tree extends the other. Raises what the line does."""
        run, watch = self._store.run, self._store.watch
        latest = await run(watch.latest_checkpoint)
        assert latest is not None, "the first checkpoint is consistent with itself"
        small, large = sorted((latest, seen), key=lambda one: one.size)
        proof: Sequence[bytes] = ()
        try:
            proof = await self._link.consistency(small.size, large.size)
            verify_consistency(small.size, bytes.fromhex(small.root), large.size, bytes.fromhex(large.root), proof)
        except ExchangeError as error:
            if error.kind is not errors.PROOF_INVALID:
                raise
            await self._forked(small, large, proof)
        else:
            await run(watch.proved, seen.size)

    async def _check_clock(self) -> None:
        skew = self._link.skew
        if skew is not None and abs(skew) > SKEW:
            seconds = int(skew.total_seconds())
            await self.alarm("clock", f"Đồng hồ máy này lệch {seconds} giây so với trục. Chỉnh lại đồng hồ.")
        elif skew is not None:
            await self.clear("clock")
