"""The manuals say what the programs have: every command, setting, metric and make target, and no dead link."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from certs.commands import cli as certs_cli
from edge_agent.commands import cli as edge_cli
from edge_agent.configuration import EdgeConfig
from hub.commands import cli as hub_cli
from hub.configuration import HubConfiguration
from runtime.settings import describe

ROOT = Path(__file__).parents[2]
MANUALS = {"hub": hub_cli, "edge_agent": edge_cli, "certs": certs_cli}


def commands(group: click.Group, prefix: str = "") -> list[str]:
    """Every command of a group, subgroups included, as it is typed."""
    found = []
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            found += commands(command, f"{prefix}{name} ")
        else:
            found.append(f"{prefix}{name}")
    return found


def _said(manual: str, name: str) -> set[str]:
    """The ways in which the manual names a command: as it is typed, or as a line of a table of commands."""
    return set(re.findall(rf"(?:lienthong-\w+ |\| `){re.escape(name)}", manual))


def settings_table(type_: type) -> str:
    """The table of settings as the manual shows it; run this file as a program to print it."""
    rows = ["| khóa | ý nghĩa | kiểu | mặc định |", "| --- | --- | --- | --- |"]
    for setting in describe(type_):
        unit = f" ({setting.unit})" if setting.unit else ""
        default = "bắt buộc" if setting.required else f"`{setting.default}`" if setting.default else "để trống"
        rows.append(f"| `{setting.key}` | {setting.meaning}{unit} | {setting.type} | {default} |")
    return "\n".join(rows)


@pytest.mark.parametrize("folder", MANUALS)
def test_every_command_stands_in_its_manual(folder: str) -> None:
    manual = (ROOT / folder / "README.md").read_text(encoding="utf-8")
    missing = [name for name in commands(MANUALS[folder]) if not _said(manual, name)]
    assert missing == []


@pytest.mark.parametrize(("folder", "type_"), [("hub", HubConfiguration), ("edge_agent", EdgeConfig)])
def test_the_table_of_settings_is_the_one_in_the_code(folder: str, type_: type) -> None:
    assert settings_table(type_) in (ROOT / folder / "README.md").read_text(encoding="utf-8")


def test_every_metric_of_the_hub_stands_in_its_manual() -> None:
    source = (ROOT / "hub" / "health.py").read_text(encoding="utf-8")
    manual = (ROOT / "hub" / "README.md").read_text(encoding="utf-8")
    assert [name for name in re.findall(r'"(lienthong_\w+)"', source) if name not in manual] == []


def test_every_folder_has_its_manual_and_the_readme_links_it() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for folder in ("protocol", "certs", "hub", "edge_agent", "runtime", "demo", "tests"):
        assert (ROOT / folder / "README.md").exists(), folder
        assert f"({folder}/README.md)" in readme


def test_links_between_documents_lead_somewhere() -> None:
    documents = [path for path in ROOT.rglob("*.md") if not {".venv", "node_modules", "build"} & set(path.parts)]
    dead = [
        f"{document.relative_to(ROOT)}: {target}"
        for document in documents
        for target in re.findall(r"\]\(([^)#:]+?)(?:#[^)]*)?\)", document.read_text(encoding="utf-8"))
        if not (document.parent / target).exists()
    ]
    assert dead == []


def test_every_make_target_of_the_readme_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^(\w+):", makefile, re.MULTILINE))
    for name in re.findall(r"`?make (\w+)`?", (ROOT / "README.md").read_text(encoding="utf-8")):
        assert name in targets, name


if __name__ == "__main__":
    print(settings_table(HubConfiguration), settings_table(EdgeConfig), sep="\n\n")
