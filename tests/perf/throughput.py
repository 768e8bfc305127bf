"""Rows 1 and 2: documents per second beside the floors, and the latency at half that load."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Final

import msgspec

from tests.perf import stage
from tests.perf.load import Letter, Load, Result, percentile, prepare
from tests.perf.processes import run
from tests.perf.rows import Row
from tests.perf.stage import Server
from tests.support.agency import AgencyClient

SIZE: Final = 50_000
"""Octets of each attachment."""
THROUGHPUT: Final = "Hub, one process: 50 kB attachment, RSA-2048 seals, durable, mutual TLS 1.3"
LATENCY: Final = "Latency at half that load"


class Burst(msgspec.Struct, frozen=True):
    """One run against one server."""

    rate: float
    cpu: float
    """Server CPU seconds per document."""
    share: float
    """Share of a core that the load generator used."""
    requests: float
    """Requests per document."""


class Traffic:
    """Documents between the agencies of one folder, every one new; their numbers begin with `first`."""

    def __init__(self, folder: Path, size: int = SIZE, first: int = 1) -> None:
        self._senders, self._recipients = stage.agencies_of(folder)
        self._base = os.urandom(size)
        self._size = size
        self._next = first

    def run(self, server: Server, documents: int, pace: float = 0) -> Result:
        """Send and receive `documents` documents through one server."""
        share = -(-documents // len(self._senders))
        numbers = range(self._next, self._next + share)
        self._next += share
        pairs = zip(self._senders, self._recipients, strict=True)
        letters = {
            sender: prepare(sender, recipient.code, numbers, self._size, self._base) for sender, recipient in pairs
        }
        return run(_loaded(server, pace, letters, self._recipients))

    def burst(self, server: Server, documents: int) -> Burst:
        """One run as fast as it goes."""
        result = self.run(server, documents)
        return Burst(
            rate=result.rate,
            cpu=result.server_cpu / result.documents,
            share=result.generator_cpu / result.seconds,
            requests=result.requests.total() / result.documents,
        )


async def _loaded(
    server: Server, pace: float, letters: dict[AgencyClient, list[Letter]], recipients: list[AgencyClient]
) -> Result:
    return await Load(server.port, server.cpu, pace).run(letters, recipients)


def rows(template: Path, *, documents: int, rounds: int, latency_documents: int) -> Iterator[Row]:
    """Servers live side by side and are loaded in turns, so that a slow minute of the machine meets all of them."""
    with ExitStack() as stack:
        folders = {name: stack.enter_context(stage.copy(template, name)) for name in ("bare", "sealed", "hub")}
        servers = {name: stack.enter_context(stage.floor(folders[name], name)) for name in ("bare", "sealed")}
        servers["hub"] = stack.enter_context(stage.hub(folders["hub"]))
        traffic = Traffic(template)
        bursts: dict[str, list[Burst]] = {name: [] for name in servers}
        for server in servers.values():
            traffic.burst(server, max(8, documents // 10))
        for _ in range(rounds):
            for name, server in servers.items():
                bursts[name].append(traffic.burst(server, documents))
        yield from _throughput(bursts, servers["hub"])
        result = traffic.run(servers["hub"], latency_documents, pace=_rate(bursts["hub"]) / 2)
        yield from _latency(result)


def _rate(bursts: list[Burst]) -> float:
    return median(burst.rate for burst in bursts)


def _throughput(bursts: dict[str, list[Burst]], hub: Server) -> Iterator[Row]:
    rates = {name: _rate(found) for name, found in bursts.items()}
    cpu = {name: median(burst.cpu for burst in found) for name, found in bursts.items()}
    for name, title in (
        ("hub", "documents accepted, delivered, confirmed"),
        ("sealed", "floor: HTTP, TLS, MIME, seal, hashing, fsync"),
        ("bare", "floor without any XML"),
    ):
        found = bursts[name]
        spread = f"{min(one.rate for one in found):.0f}–{max(one.rate for one in found):.0f}/s in {len(found)} runs"
        note = f"{spread}; generator {median(one.share for one in found):.0%} of a core"
        goal = 500.0 if name == "hub" else None
        yield Row(section=THROUGHPUT, name=title, measured=rates[name], unit="/s", goal=goal, note=note)
    pairs = list(zip(bursts["hub"], bursts["sealed"], bursts["bare"], strict=True))
    ratio = median(hub.rate / sealed.rate for hub, sealed, _ in pairs)
    yield Row(section=THROUGHPUT, name="hub ÷ floor", measured=ratio, goal=0.5, note="median of the rounds")
    ratio = median(hub.rate / bare.rate for hub, _, bare in pairs)
    yield Row(section=THROUGHPUT, name="hub ÷ floor without any XML", measured=ratio, goal=0.5)
    note = f"floor {cpu['sealed'] * 1e3:.2f} ms, without XML {cpu['bare'] * 1e3:.2f} ms"
    yield Row(section=THROUGHPUT, name="CPU of the hub per document", measured=cpu["hub"] * 1e3, unit="ms", note=note)
    requests = median(burst.requests for burst in bursts["hub"])
    yield Row(section=THROUGHPUT, name="requests per document", measured=requests)
    yield Row(section=THROUGHPUT, name="peak RSS of the hub", measured=hub.peak() / 1e6, unit="MB")


def _latency(result: Result) -> Iterator[Row]:
    note = f"{result.documents} documents at {result.rate:.0f}/s"
    middle, tail = percentile(result.latency, 0.5) * 1e3, percentile(result.latency, 0.99) * 1e3
    yield Row(
        section=LATENCY,
        name="accept → delivered, median",
        measured=middle,
        unit="ms",
        goal=50,
        sense="below",
        note=note,
    )
    yield Row(section=LATENCY, name="accept → delivered, p99", measured=tail, unit="ms", goal=250, sense="below")
    accept = percentile(result.accept, 0.5) * 1e3
    yield Row(section=LATENCY, name="send → receipt, median", measured=accept, unit="ms")
    accept = percentile(result.accept, 0.99) * 1e3
    yield Row(section=LATENCY, name="send → receipt, p99", measured=accept, unit="ms")
