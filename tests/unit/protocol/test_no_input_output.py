"""What import-linter cannot see: no clock is read and no file opened by a name that needs no import of its own."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PROTOCOL = Path(__file__).parents[3] / "protocol"
MODULES = [path for path in sorted(PROTOCOL.rglob("*.py")) if PROTOCOL / "http" not in path.parents]
NAMES = {"open", "print", "input", "exec", "eval", "__import__", "breakpoint"}
CLOCKS = {"now", "utcnow", "today"}


def forbidden_calls(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(func=ast.Name(id=name)) if name in NAMES:
                yield f"{name} in line {node.lineno}"
            case ast.Attribute(value=ast.Name(id="datetime" | "date"), attr=attribute) if attribute in CLOCKS:
                yield f"{attribute} in line {node.lineno}"
            case ast.Attribute(value=ast.Attribute(attr="datetime" | "date"), attr=attribute) if attribute in CLOCKS:
                yield f"{attribute} in line {node.lineno}"


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(PROTOCOL)))
def test_protocol_reads_no_clock_and_opens_no_file(module: Path):
    assert list(forbidden_calls(module.read_text("utf-8"))) == []


@pytest.mark.parametrize(
    "source",
    ["datetime.now(UTC)", "x = date.today", "datetime.datetime.utcnow()", "with open('x') as f: pass", "print(1)"],
)
def test_the_look_sees_what_it_is_for(source: str):
    assert len(list(forbidden_calls(source))) == 1
