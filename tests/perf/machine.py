"""On what machine, with which versions, and when a bench ran."""

from __future__ import annotations

import os
import platform
import ssl
import subprocess
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Final

import msgspec
import pysqlite3
from lxml import etree

from tests.perf.processes import ROOT

PACKAGES: Final = ("aiohttp", "cryptography", "lxml", "msgspec", "uvloop")


class Machine(msgspec.Struct, frozen=True):
    """What a reader needs to judge the numbers."""

    at: str
    commit: str
    cpu: str
    cores: int
    memory_gb: float
    system: str
    load: float
    """Average load of the last minute when the bench began: other work on the machine."""
    versions: dict[str, str]

    @property
    def sentence(self) -> str:
        """On one line."""
        versions = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        return (
            f"{self.at}, commit {self.commit}: {self.cpu}, {self.cores} cores, {self.memory_gb:.0f} GB, {self.system},"
            f" load {self.load:.1f} before; {versions}"
        )


def describe() -> Machine:
    """This machine now."""
    return Machine(
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        commit=_commit(),
        cpu=_line("/proc/cpuinfo", "model name"),
        cores=len(os.sched_getaffinity(0)),
        memory_gb=int(_line("/proc/meminfo", "MemTotal").split()[0]) / 1e6,
        system=platform.platform(aliased=True),
        load=os.getloadavg()[0],
        versions={
            "python": platform.python_version(),
            "openssl": ssl.OPENSSL_VERSION.split()[1],
            "sqlite": pysqlite3.sqlite_version,
            "libxml2": ".".join(map(str, etree.LIBXML_VERSION)),
            **{name: _version(name) for name in PACKAGES},
        },
    )


def _commit() -> str:
    asked = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return asked.stdout.strip() or "unknown"


def _line(path: str, key: str) -> str:
    for line in Path(path).read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return "unknown"


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "absent"
