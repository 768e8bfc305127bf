"""Hub throughput and latency beside the floor, in one run. `python -m tests.perf.bench_hub [documents]`."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from pathlib import Path

from certs.signers import FileSigner
from tests.perf.load import Load, Result, prepare
from tests.perf.processes import Server
from tests.support.agency import AgencyClient
from tests.support.running_hub import RunningHub

SIZE = 50_000
PAIRS = 4


async def enrol(folder: Path) -> list[AgencyClient]:
    """Agencies with RSA-2048 keys, registered at a hub in `folder` that is stopped again."""
    from certs import enrolment

    original = enrolment.make_request
    enrolment.make_request = lambda agency: original(agency, kind="rsa-2048")  # type: ignore[assignment] # the bench's keys
    try:
        async with RunningHub(folder) as running:
            return [await running.agency(f"H21.{10 + index}") for index in range(2 * PAIRS)]
    finally:
        enrolment.make_request = original


async def measure(port: int, agencies: list[AgencyClient], documents: int, first: int, pace: float = 0) -> Result:
    """One run against a server on `port`."""
    base = os.urandom(SIZE)
    senders, recipients = agencies[:PAIRS], agencies[PAIRS:]
    share = documents // PAIRS
    prepared = {
        sender: prepare(sender, recipient.code, share, SIZE, base, first)
        for sender, recipient in zip(senders, recipients, strict=True)
    }
    return await Load("localhost", port, pace).run(prepared, recipients)


def main() -> None:
    documents = int(sys.argv[1]) if len(sys.argv) > 1 else 4000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "hub"
        agencies = asyncio.run(enrol(folder))
        assert isinstance(agencies[0].signer, FileSigner)
        for module in ("tests.perf.floor_process", "tests.perf.hub_process"):
            server = Server(module, str(folder))
            before = server.cpu()
            result = asyncio.run(measure(server.port, agencies, documents, 1))
            print(
                f"{module:28} {result.rate:7.0f}/s  accept→delivered median {result.percentile(0.5) * 1e3:6.1f} ms"
                f"  p99 {result.percentile(0.99) * 1e3:6.1f} ms  cpu/doc {(server.cpu() - before) / documents * 1e3:5.2f} ms"
                f"  rss {server.rss() >> 20} MB"
            )
            server.stop()


if __name__ == "__main__":
    main()
