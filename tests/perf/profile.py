"""Where the hub's time goes: `python -m tests.perf.profile [documents]` loads a hub that runs under pyinstrument.

Its own figures are slower than the bench's; only their proportions count.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.perf import stage
from tests.perf.stage import Server
from tests.perf.throughput import Traffic

HUB = "from hub.commands import main; main()"


def main() -> None:
    documents = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    with tempfile.TemporaryDirectory(prefix="lienthong-profile-") as name:
        template, report = Path(name) / "hub", Path(name) / "profile.txt"
        stage.make_template(template)
        port = stage.settle(template)
        profiler = ("-m", "pyinstrument", "-r", "text", "-o", str(report), "-c", HUB)
        with Server(*profiler, "serve", "--dir", str(template), port=port, log=Path(name) / "bench.log") as server:
            burst = Traffic(template).burst(server, documents)
        print(report.read_text())
        print(f"{burst.rate:.0f} documents per second under the profiler")


if __name__ == "__main__":
    main()
