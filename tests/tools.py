"""Programs that tests call as oracles and strangers: found here, installed where that is ours to do, never skipped.

On Debian as root a missing program is installed with apt-get; elsewhere the test fails and says what to install. Node
packages go into `build/` from the lock file beside the scripts.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
FOREIGN = ROOT / "tests" / "integration" / "foreign"


def program(name: str, package: str) -> str:
    """The path of program `name`, which Debian's `package` contains."""
    with _one_at_a_time():
        found = shutil.which(name)
        if found is None:
            _apt_install(package)
            found = shutil.which(name)
    if found is None:
        pytest.fail(f"this test needs the program {name}: apt-get install {package}", pytrace=False)
    return found


def xmlsec1() -> str:
    """The XML Security command line tool."""
    return program("xmlsec1", "xmlsec1")


def gcc() -> str:
    """A C compiler."""
    return program("gcc", "gcc")


def php() -> str:
    """PHP with its SOAP extension."""
    found = program("php", "php-cli")
    with _one_at_a_time():
        if not _has_soap(found):
            _apt_install("php-soap")
    if not _has_soap(found):
        pytest.fail("this test needs PHP's SOAP extension: apt-get install php-soap", pytrace=False)
    return found


def node_with_soap() -> tuple[str, Path]:
    """Node, and the folder whose `node_modules` holds the `soap` package of the lock file."""
    node, npm = program("node", "nodejs"), program("npm", "npm")
    folder = BUILD / "foreign"
    with _one_at_a_time():
        lock = (FOREIGN / "package-lock.json").read_text()
        installed = folder / "installed-lock.json"
        if not installed.exists() or installed.read_text() != lock:
            folder.mkdir(parents=True, exist_ok=True)
            for name in ("package.json", "package-lock.json"):
                shutil.copy(FOREIGN / name, folder / name)
            done = subprocess.run(
                [npm, "ci", "--no-audit", "--no-fund"], cwd=folder, capture_output=True, text=True, check=False
            )
            if done.returncode:
                pytest.fail(f"this test needs the npm package soap; npm ci failed:\n{done.stderr}", pytrace=False)
            installed.write_text(lock)
    return node, folder


def _has_soap(php_program: str) -> bool:
    listed = subprocess.run([php_program, "-m"], capture_output=True, text=True, check=True)
    return "soap" in listed.stdout.split()


def _apt_install(package: str) -> None:
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        return
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", package]
    if subprocess.run(install, env=environment, capture_output=True, check=False).returncode:
        subprocess.run(["apt-get", "update", "-qq"], env=environment, capture_output=True, check=False)
        subprocess.run(install, env=environment, capture_output=True, check=False)


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Test processes run side by side; installing does not."""
    BUILD.mkdir(exist_ok=True)
    with (BUILD / "tools.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
