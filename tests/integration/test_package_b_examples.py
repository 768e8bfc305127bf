"""The examples of protocol/README.md, run as they stand: only address and token are put in."""

import asyncio
import re
import sys
from pathlib import Path

import pytest
import tools
from package_b_stage import TOKENS, stage

import protocol

README = (Path(protocol.__file__).parent / "README.md").read_text(encoding="utf-8")
EXAMPLES = dict(re.findall(r"```(sh|php|python)\n(.*?)```", README, re.DOTALL))


def interpreter(language: str) -> list[str]:
    if language == "php":
        return [tools.php(), "-r"]
    if language == "python":
        return [sys.executable, "-c"]
    tools.program("curl", "curl")
    return [tools.program("sh", "dash"), "-c"]


async def test_every_example_is_run_here():
    assert set(EXAMPLES) == {"sh", "php", "python"}
    assert len(re.findall(r"```(?!mermaid)\w+\n", README)) == len(EXAMPLES)


@pytest.mark.parametrize("language", EXAMPLES)
async def test_an_example_prints_the_directory(language: str):
    program = interpreter(language)
    async with stage() as running:
        text = EXAMPLES[language].replace("https://truc.example/edoc/v1", running.endpoint.address)
        text = text.replace("MY-TOKEN", TOKENS["H21.16"]).removeprefix("<?php\n")
        process = await asyncio.create_subprocess_exec(
            *program, text, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        output, complaint = await process.communicate()
    assert (process.returncode, complaint.decode()) == (0, "")
    assert "H21.16" in output.decode()
    assert "Sở Ví dụ B" in output.decode()
