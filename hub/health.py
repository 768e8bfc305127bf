"""What operators and their machines see: /healthz, /readyz, /metrics. Counts and codes, never content."""

from __future__ import annotations

import shutil
import time
from bisect import bisect_left
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Final

from aiohttp import web
from cryptography import x509
from prometheus_client import CollectorRegistry, Counter, Gauge, Metric
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from certs.trust import Trust
from hub.ledger.ledger import Ledger
from hub.ledger.records import from_milliseconds
from protocol.http.native import LONG_POLL

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

SPACE_NEEDED: Final = 1 << 30
"""Octets that must be free for the hub to call itself ready."""
SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 120.0)
"""Upper bounds of the buckets of `lienthong_request_seconds`."""


class _Tally:
    """The requests of one package."""

    def __init__(self) -> None:
        self.broken = 0
        self.polls = 0
        self.seconds = 0.0
        self.buckets = [0] * (len(SECONDS) + 1)

    def answered(self, seconds: float) -> None:
        """One more answer."""
        self.seconds += seconds
        self.buckets[bisect_left(SECONDS, seconds)] += 1


class _Requests(Collector):
    """Counts requests for a fifth of what the library's own histogram costs; made into metrics when asked."""

    def __init__(self) -> None:
        self.packages: dict[str, _Tally] = {}

    def collect(self) -> Iterator[Metric]:
        """The two families."""
        requests = CounterMetricFamily(
            "lienthong_requests_total", "Requests by package and outcome", labels=["package", "outcome"]
        )
        seconds = HistogramMetricFamily(
            "lienthong_request_seconds", "Seconds per request, long polls left out", labels=["package"]
        )
        for package, tally in self.packages.items():
            total, buckets = 0, []
            for bound, count in zip((*map(str, SECONDS), "+Inf"), tally.buckets, strict=True):
                total += count
                buckets.append((bound, total))
            requests.add_metric([package, "ok"], total + tally.polls)
            requests.add_metric([package, "broken"], tally.broken)
            seconds.add_metric([package], buckets, tally.seconds)
        yield requests
        yield seconds


class Health:
    """Metrics of one hub, and its answers about itself."""

    def __init__(self, ledger: Ledger, trust: Trust, certificate: bytes, folder: Path, now: Callable[[], int]) -> None:
        """`certificate` is the hub's own (DER), `folder` where the data lies."""
        self._ledger = ledger
        self._trust = trust
        self._certificate = x509.load_der_x509_certificate(certificate)
        self._folder = folder
        self._now = now
        self.stopping = False
        self.registry = CollectorRegistry()
        self._requests = _Requests()
        self.registry.register(self._requests)
        self.refusals = Counter("lienthong_refusals_total", "Refusals by error code", ["code"], registry=self.registry)
        self._waiting = Gauge(
            "lienthong_mailbox_messages", "Messages that wait, by recipient", ["recipient"], registry=self.registry
        )
        self._oldest = Gauge(
            "lienthong_mailbox_oldest_seconds", "Age of the oldest waiting", ["recipient"], registry=self.registry
        )
        self._tree = Gauge("lienthong_log_events", "Events in the evidence log", registry=self.registry)
        self._batches = Gauge("lienthong_batches", "Batches committed since start", registry=self.registry)
        self._works = Gauge("lienthong_works", "Works committed since start", registry=self.registry)
        self._free = Gauge("lienthong_free_octets", "Free space where the data lies", registry=self.registry)

    def mount(self, app: web.Application) -> None:
        """Add the routes."""
        app.router.add_get("/healthz", self.healthz)
        app.router.add_get("/readyz", self.readyz)
        app.router.add_get("/metrics", self.metrics)

    def problems(self) -> list[str]:
        """Why the hub is not ready, in Vietnamese; empty when it is."""
        found = []
        if self.stopping:
            found.append("đang dừng")
        if shutil.disk_usage(self._folder).free < SPACE_NEEDED:
            found.append("sắp hết dung lượng lưu trữ")
        if self._ledger.writer.clock.judge(self._ledger.log.last_event_at).wrong:
            found.append(
                "đồng hồ lùi so với sổ bằng chứng, hoặc vừa bị chỉnh vượt lên: chưa nhận văn bản. Chỉnh lại đồng hồ;"
                " nếu giờ hiện tại là đúng thì khởi động lại trục"
            )
        if self._ledger.writer.failure:
            found.append(f"lần ghi sổ cái gần nhất không thành công ({self._ledger.writer.failure})")
        return [*found, *self._distrust()]

    def _distrust(self) -> Iterator[str]:
        """Why agencies and the hub do not believe each other."""
        now = from_milliseconds(self._now())
        if now > self._certificate.not_valid_after_utc:
            yield "chứng thư của trục đã hết hạn"
        if now < self._certificate.not_valid_before_utc:
            yield "chứng thư của trục chưa có hiệu lực; kiểm tra đồng hồ"
        self._trust.reload_crl_if_changed()
        if self._trust.problem:
            yield f"danh sách thu hồi: {self._trust.problem}"
        until = self._trust.next_update()
        if until is None or until < now:
            yield "danh sách thu hồi đã quá hạn, mọi cơ quan đang bị từ chối"

    async def healthz(self, _request: web.Request) -> web.Response:
        """The process answers."""
        return web.json_response({"status": "ok"})

    async def readyz(self, _request: web.Request) -> web.Response:
        """The hub can take documents."""
        problems = self.problems()
        return web.json_response({"ready": not problems, "problems": problems}, status=503 if problems else 200)

    async def metrics(self, _request: web.Request) -> web.Response:
        """Prometheus text."""
        now = self._now()
        self._waiting.clear()
        self._oldest.clear()
        for recipient, count, oldest in self._ledger.queues():
            self._waiting.labels(recipient).set(count)
            self._oldest.labels(recipient).set((now - oldest) / 1000)
        self._tree.set(self._ledger.log.size)
        self._batches.set(self._ledger.writer.batches)
        self._works.set(self._ledger.writer.works)
        self._free.set(shutil.disk_usage(self._folder).free)
        return web.Response(body=generate_latest(self.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    def watch(self, package: str, handler: Handler) -> Handler:
        """A handler that counts its requests and their seconds."""
        tally = self._requests.packages[package] = _Tally()

        async def counted(request: web.Request) -> web.StreamResponse:
            start = time.perf_counter()
            try:
                response = await handler(request)
            except BaseException:
                tally.broken += 1
                raise
            if LONG_POLL in request:
                tally.polls += 1  # how long nothing came says nothing about this hub
                return response
            tally.answered(time.perf_counter() - start)
            return response

        return counted
