"""A hub for the benches: the service exactly as `lienthong-hub serve` runs it, with its port on standard output."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import msgspec

from hub.configuration import HubConfiguration
from hub.service import Hub
from runtime import config, logs, service


async def run(folder: Path, drain: asyncio.Event) -> None:
    configuration = config.load(folder / "hub.toml", HubConfiguration)
    hub = Hub(msgspec.structs.replace(configuration, port=0, operator_port=0))
    await hub.start()
    print(hub.port, flush=True)
    profiler = None
    if os.environ.get("PROFILE"):
        from pyinstrument import Profiler

        profiler = Profiler(interval=0.001, async_mode="disabled")
        profiler.start()
    await drain.wait()
    if profiler is not None:
        profiler.stop()
        Path(os.environ["PROFILE"]).write_text(profiler.output_text(unicode=True, show_all=True))
    await hub.stop()


if __name__ == "__main__":
    logs.configure("error")
    sys.setswitchinterval(0.001)
    service.run(lambda drain: run(Path(sys.argv[1]), drain))
