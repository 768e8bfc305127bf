"""The running agent: its parts put together, its tasks started, restarted when they stumble, and drained."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, ExitStack
from typing import Final

from certs import keys, tls
from certs.signers import FileSigner
from edge_agent.acknowledging import Acknowledging
from edge_agent.backoff import Backoff, Random
from edge_agent.bridge.incoming_folder import IncomingFolder
from edge_agent.bridge.local_service import LocalService, limits_of
from edge_agent.bridge.outgoing_folder import OutgoingFolder
from edge_agent.clock import Clock, system_clock
from edge_agent.configuration import EdgeConfig
from edge_agent.control import Control
from edge_agent.directory import Directory
from edge_agent.exchange import EdgeExchange
from edge_agent.forks import Forks
from edge_agent.handing import Handing, HandOver
from edge_agent.health import Health
from edge_agent.intake import Intake
from edge_agent.payloads import Payloads
from edge_agent.places import Places
from edge_agent.polling import Poller
from edge_agent.preparation import Preparation
from edge_agent.receiving import Receiver
from edge_agent.records import Handover, Route
from edge_agent.sending import Sender
from edge_agent.store import Store
from edge_agent.tokens import LocalAuthentication
from edge_agent.trusting import Beliefs
from edge_agent.uplink import HubLink
from edge_agent.waiting import pause
from edge_agent.watching import Watchman
from protocol.model import Organization
from protocol.package_a import Limits as PackageALimits
from runtime import logs
from runtime.lock import FolderLock

RESTART: Final = 5.0
"""Seconds before a task that stumbled starts again."""
LOCAL: Final = Backoff(first=0.5, longest=60.0)
"""Tries of the watched folder: only this machine can be in its way."""

_log = logs.get("edge.service")
Task = Callable[[asyncio.Event], Awaitable[None]]


class EdgeAgent:
    """One agency's agent. `run(drain)` until it is told to stop."""

    def __init__(
        self,
        places: Places,
        config: EdgeConfig,
        *,
        clock: Clock = system_clock,
        random_: Random = random.random,
    ) -> None:
        """Open everything. Raises `ConfigError` (keys, trust, a second agent), SQLite's errors for the database."""
        with ExitStack() as opened:
            places.make()
            opened.enter_context(FolderLock(places.data, "tác vụ liên thông"))
            self.store = Store(places.database)
            opened.callback(self.store.close)
            self._build(places, config, clock, random_)
            self._opened = opened.pop_all()

    def _build(self, places: Places, config: EdgeConfig, clock: Clock, random_: Random) -> None:
        self.places = places
        self.config = config
        self._clock = clock
        self._random = random_
        self._signer = FileSigner(places.identity, places.identity)
        self.beliefs = Beliefs(places, clock)
        if config.soap.token_file is not None:
            keys.read_private_file(config.soap.token_file)  # told at start, not at the first message
        self.payloads = Payloads(places.payloads, limit=config.limits.attachment, disk_free=config.limits.disk_free)
        self.link = HubLink(
            config.hub.url,
            tls=lambda: tls.client_context(self.beliefs.bundle.roots, places.identity, places.identity),
            timeout=config.hub.timeout,
            upload_from=config.hub.upload_from,
            limits=limits_of(config),
            clock=clock,
        )
        self.watchman = Watchman(
            self.store, self.link, self.beliefs, clock, self.payloads.shortage, forks=Forks(places.forks)
        )
        self._soap: HandOver | None = None
        self._line = Backoff(first=config.hub.retry_first, longest=config.hub.retry_longest)
        self.sender = self._make_sender()
        self.intake = self._make_intake()
        self.handings = self._make_handings()
        self.poller = self._make_poller()
        self.health = Health(self.store, self.payloads, clock, disk_free=config.limits.disk_free)
        self.local = self._make_local()

    @property
    def organization(self) -> Organization:
        """This agency as its own messages name it."""
        return Organization(organ_id=self.config.agency.code, organ_name=self.config.agency.name)

    async def run(self, drain: asyncio.Event) -> None:
        """Serve until `drain`; finish what is begun, commit, close."""
        async with AsyncExitStack() as stack:
            stack.enter_context(self._opened)
            stack.push_async_callback(self.link.close)
            self.payloads.clean()  # the lock is held: nobody else writes here
            stack.push_async_callback(self.local.stop)
            await self.local.start()
            _log.info("edge-started", agency=self.config.agency.code, port=self.local.port)
            tasks = [
                asyncio.create_task(self._keep_running(name, task, drain), name=name)
                for name, task in self._tasks().items()
            ]
            await drain.wait()
            self.health.stopping = True
            _log.info("edge-draining")
            await asyncio.gather(*tasks)
        _log.info("edge-stopped")

    async def release(self, number: int, route: Route) -> bool:
        """A person says: hand this refused message over again. False when it was not refused on that route."""
        released = await self.store.run(self.store.handovers.release, number, route, self._clock())
        if released:
            await self.watchman.clear(f"handover-{route}-{number}")
            self.handings[route].wake()
        return released

    def _tasks(self) -> dict[str, Task]:
        tasks: dict[str, Task] = {
            "send": self.sender.run,
            "poll": self.poller.run,
            "watch": self.watchman.run,
            **{f"hand-{route}": handing.run for route, handing in self.handings.items()},
        }
        if self.config.folders.enabled:
            folder = self._make_outgoing()
            tasks["outgoing"] = lambda drain: folder.run(drain, self.config.folders.interval)
        return tasks

    async def _keep_running(self, name: str, task: Task, drain: asyncio.Event) -> None:
        """Unknown errors are temporary: a task that stumbles is logged and starts again; the others go on."""
        while not drain.is_set():
            try:
                await task(drain)
            except Exception:  # noqa: BLE001 -- the last line of defence of a task
                _log.exception("task-stumbled", task=name)
                await pause(drain, RESTART)

    def _make_sender(self) -> Sender:
        acknowledging = Acknowledging(
            self.config.agency.code, self._signer,
            store=self.store, beliefs=self.beliefs, watchman=self.watchman, clock=self._clock,
        )  # fmt: skip
        return Sender(
            acknowledging=acknowledging,
            store=self.store,
            payloads=self.payloads,
            link=self.link,
            watchman=self.watchman,
            backoff=self._line,
            parallel=self.config.hub.sending,
            clock=self._clock,
            random=self._random,
        )

    def _make_intake(self) -> Intake:
        preparation = Preparation(self.config.agency.code, self._signer, self.payloads, self._clock)
        return Intake(
            self.config.agency.code,
            preparation,
            self.store,
            self._clock,
            self.sender.wake,
            encoding=self.config.local.declared,
        )

    def _make_poller(self) -> Poller:
        receiver = Receiver(
            agency=self.config.agency.code,
            store=self.store,
            payloads=self.payloads,
            link=self.link,
            beliefs=self.beliefs,
            routes=self._routes(),
            clock=self._clock,
        )
        return Poller(
            store=self.store,
            link=self.link,
            receiver=receiver,
            watchman=self.watchman,
            backoff=self._line,
            batch=self.config.hub.batch,
            poll_wait=self.config.hub.poll_wait,
            arrived=self._arrived,
            clock=self._clock,
            random=self._random,
        )

    def _arrived(self) -> None:
        for handing in self.handings.values():
            handing.wake()

    def _routes(self) -> tuple[Route, ...]:
        pull: tuple[Route, ...] = ("pull",) if self.config.local.pull else ()
        return (*self.handings, *pull)

    def _make_handings(self) -> dict[Route, Handing]:
        handings: dict[Route, Handing] = {}
        if self.config.folders.enabled:
            folder = IncomingFolder(places=self.places, store=self.store, payloads=self.payloads, clock=self._clock)
            handings["folder"] = self._handing("folder", folder.hand_over, LOCAL)
        if self.config.soap.address:
            backoff = Backoff(first=self.config.soap.retry_first, longest=self.config.soap.retry_longest)
            handings["soap"] = self._handing("soap", self._call_local_system, backoff)
        return handings

    async def _call_local_system(self, handover: Handover) -> None:
        """By the SOAP bridge, which is loaded when the first message is due: zeep costs 25 MB."""
        if self._soap is None:
            from edge_agent.bridge.soap_client import SoapBridge  # noqa: PLC0415 -- see above

            self._soap = SoapBridge(
                self.config.soap, self.config.agency.code, store=self.store, payloads=self.payloads, clock=self._clock
            ).hand_over
        await self._soap(handover)

    def _handing(self, route: Route, hand_over: HandOver, backoff: Backoff) -> Handing:
        return Handing(
            route, hand_over, store=self.store, watchman=self.watchman, backoff=backoff, clock=self._clock,
            random=self._random,
        )  # fmt: skip

    def _make_outgoing(self) -> OutgoingFolder:
        limits = self.config.limits
        return OutgoingFolder(
            places=self.places,
            agency=self.organization,
            intake=self.intake,
            store=self.store,
            watchman=self.watchman,
            limits=PackageALimits(total=limits.message, part=limits.attachment, parts=limits.parts),
            clock=self._clock,
        )

    def _make_local(self) -> LocalService:
        directory = Directory(self.places.organizations, self.link, self._clock)
        self.exchange = EdgeExchange(
            store=self.store, payloads=self.payloads, intake=self.intake, directory=directory, clock=self._clock
        )
        authentication = LocalAuthentication(self.places.token_hash, self.config.agency.code)
        return LocalService(
            self.config,
            exchange=self.exchange,
            authentication=authentication,
            health=self.health,
            control=Control(self.places, self.release, self.watchman.clear),
            watchman=self.watchman,
            clock=self._clock,
        )
