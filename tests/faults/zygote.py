"""A process that has imported the program under the preloaded shim, and forks one child per run: a run costs a fork.

Run as a module it is the zygote itself: one JSON request per line on standard input, one answer per line on standard
output. `Zygote` is the driver's side.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import importlib
import json
import os
import select
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self

from tests.faults import shim
from tests.faults.plan import Fault

PROJECT: Final = Path(__file__).resolve().parents[2]
PR_SET_PDEATHSIG: Final = 1
CRASHED: Final = 70


class Child:
    """A forked program. A zombie until `wait` or `kill` has seen its end, so its id cannot be reused before."""

    def __init__(self, zygote: Zygote, pid: int, log: Path) -> None:
        self.pid = pid
        self.log = log
        self._zygote = zygote
        self._handle = os.pidfd_open(pid)
        self._status: int | None = None

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._status is None and not select.select([self._handle], [], [], 0)[0]

    async def wait(self, seconds: float) -> int:
        """Its exit status (negative: the signal that ended it); raises TimeoutError."""
        if self._status is None:
            loop = asyncio.get_running_loop()
            ended = asyncio.Event()
            loop.add_reader(self._handle, ended.set)
            try:
                await asyncio.wait_for(ended.wait(), seconds)
            finally:
                loop.remove_reader(self._handle)
            self._reap()
        assert self._status is not None
        return self._status

    def kill(self) -> int:
        """SIGKILL to the child and to what it forked; its exit status."""
        if self._status is None:
            os.kill(self.pid, signal.SIGKILL)  # its group follows below, when it already made one
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            select.select([self._handle], [], [], 30)
            self._reap()
        assert self._status is not None
        return self._status

    def terminate(self) -> None:
        """SIGTERM: a request to drain."""
        if self._status is None:
            os.kill(self.pid, signal.SIGTERM)

    def _reap(self) -> None:
        self._status = os.waitstatus_to_exitcode(self._zygote.ask(do="reap", pid=self.pid)["status"])
        os.close(self._handle)


class Zygote:
    """The driver's side: starts the zygote with `imports` done, forks children from it."""

    def __init__(self, imports: Sequence[str]) -> None:
        environment = dict(os.environ, LD_PRELOAD=str(shim.build()), PYTHONPATH=str(PROJECT), PYTHONUNBUFFERED="1")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.zygote", *imports],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            cwd=PROJECT,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_raised: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the zygote and, with it, every child."""
        if self._process.stdin and not self._process.stdin.closed:
            self._process.stdin.close()
            self._process.wait(10)
        if self._process.stdout:
            self._process.stdout.close()

    def ask(self, **request: object) -> dict[str, Any]:
        """One request, one answer; raises RuntimeError when the zygote is gone."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the zygote died: its imports failed, see its standard error above")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def fork(
        self,
        target: str,
        arguments: Mapping[str, Any],
        *,
        log: Path,
        root: Path | None = None,
        journal: Path | None = None,
        fault: Fault | None = None,
        mutations: Sequence[str] = (),
    ) -> Child:
        """A child that applies `mutations`, watches `root`, arms `fault` and calls `target` with `arguments`.

        `target` is "module:function", a mutation "module:function" or "module:function=argument".
        """
        armed = fault and [fault.action, fault.point, fault.error, fault.mask, fault.repeat, fault.death]
        answer = self.ask(
            do="fork",
            target=target,
            arguments=dict(arguments),
            log=str(log),
            watch=[str(root), str(journal)] if root else None,
            fault=armed,
            mutations=list(mutations),
        )
        return Child(self, answer["pid"], log)


def _resolve(name: str) -> Callable[..., Any]:
    module, _, function = name.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), function)
    return found


def _child(request: dict[str, Any]) -> None:
    os.setsid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for stream in (1, 2):
        os.dup2(log, stream)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for name in request["mutations"]:
        target, _, argument = name.partition("=")
        _resolve(target)(*([argument] if argument else []))
    if request["watch"]:
        shim.watch(*map(Path, request["watch"]))
        if request["fault"]:
            action, point, error, kinds, repeat, death = request["fault"]
            shim.arm(shim.Action(action), point, error=error, kinds=kinds, repeat=repeat, death=death)
    _resolve(request["target"])(**request["arguments"])


def _fork(request: dict[str, Any]) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = CRASHED
    try:
        _child(request)
        code = 0
    except SystemExit as exit_:
        code = exit_.code if isinstance(exit_.code, int) else 1
    except BaseException:  # noqa: BLE001 - whatever the program dies of belongs in its log
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def main(imports: Sequence[str]) -> None:
    """The zygote: imports, then forks and reaps on request until its standard input closes."""
    os.environ.pop("LD_PRELOAD", None)
    for name in imports:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    children: set[int] = set()
    for line in sys.stdin:
        request = json.loads(line)
        if request["do"] == "fork":
            pid = _fork(request)
            children.add(pid)
            print(json.dumps({"pid": pid}), flush=True)
        else:
            print(json.dumps({"status": os.waitpid(request["pid"], 0)[1]}), flush=True)
            children.discard(request["pid"])
    for pid in children:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)


if __name__ == "__main__":
    main(sys.argv[1:])
