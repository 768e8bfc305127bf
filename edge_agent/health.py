"""What machines may ask: /healthz (alive), /readyz (takes documents), /metrics (Prometheus). Never document content."""

from __future__ import annotations

from collections.abc import Iterator

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from edge_agent.clock import Clock, from_text
from edge_agent.payloads import Payloads
from edge_agent.store import Store


class Health(Collector):
    """State of the process; reads the database only when it is asked."""

    def __init__(self, store: Store, payloads: Payloads, clock: Clock, *, disk_free: int) -> None:
        self._store = store
        self._payloads = payloads
        self._clock = clock
        self._disk_free = disk_free
        self.stopping = False
        self._registry = CollectorRegistry()
        self._refusals = Counter(
            "lienthong_edge_refusals", "Refusals of local requests by error code", ["code"], registry=self._registry
        )
        self._registry.register(self)

    def mount(self, app: web.Application) -> None:
        """Add the routes."""
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._metrics)

    def refused(self, code: str) -> None:
        """Count a refusal."""
        self._refusals.labels(code).inc()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Queues, ages, alarms, free space."""
        yield from self._queues()
        contact = GaugeMetricFamily("lienthong_edge_contact_age_seconds", "Age of contacts by kind", labels=["kind"])
        for one in self._store.watch.contacts():
            contact.add_metric([one.name], self._age(one.at))
        yield contact
        alarms = GaugeMetricFamily("lienthong_edge_alarms", "Open alarms")
        alarms.add_metric([], len(self._store.watch.alarms()))
        yield alarms
        checkpoint = self._store.watch.latest_checkpoint()
        size = GaugeMetricFamily("lienthong_edge_checkpoint_size", "Leaves of the largest tree proved consistent")
        size.add_metric([], checkpoint.size if checkpoint else 0)
        yield size
        free = GaugeMetricFamily("lienthong_edge_free_octets", "Free space where the data lies")
        free.add_metric([], self._payloads.free())
        yield free

    def _queues(self) -> Iterator[GaugeMetricFamily]:
        count = GaugeMetricFamily(
            "lienthong_edge_queue_messages", "Messages by queue and state", labels=["queue", "state"]
        )
        oldest = GaugeMetricFamily(
            "lienthong_edge_queue_oldest_seconds", "Age of the oldest", labels=["queue", "state"]
        )
        for row in self._store.outbox.counts():
            count.add_metric(["outbox", row.state], row.count)
            oldest.add_metric(["outbox", row.state], self._age(row.oldest))
        for route in self._store.handovers.counts():
            count.add_metric([route.route, route.state], route.count)
            oldest.add_metric([route.route, route.state], self._age(route.oldest))
        held = self._store.inbox.held()
        count.add_metric(["held", "held"], len(held))
        yield count
        yield oldest

    def _age(self, moment: str) -> float:
        return (self._clock() - from_text(moment)).total_seconds()

    async def _healthz(self, _request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, _request: web.Request) -> web.Response:
        """Ready to take documents from the local system; the hub may be away, that is what the outbox is for."""
        if self.stopping:
            return web.Response(status=503, text="đang dừng\n")
        if self._payloads.free() < self._disk_free:
            return web.Response(status=503, text="đĩa gần đầy\n")
        await self._store.run(self._store.outbox.next_attempt)
        return web.Response(text="sẵn sàng\n")

    async def _metrics(self, _request: web.Request) -> web.Response:
        text = await self._store.run(generate_latest, self._registry)
        return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE_LATEST})
