"""The manual knows every command, key of a sidecar, alarm and metric; its examples are read by the program."""

from __future__ import annotations

import re
import tomllib
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edge_agent import commands, configuration, screening
from edge_agent.bridge import sidecar
from protocol.exchange import PlainSubmission
from protocol.model import Organization, Reference, ResponseFor
from runtime import config

ROOT = Path(__file__).parents[3] / "edge_agent"
MANUAL = (ROOT / "README.md").read_text("utf-8")
SOURCES = "\n".join(path.read_text("utf-8") for path in ROOT.rglob("*.py"))
EXAMPLES = re.findall(r"```toml\n(.*?)```", MANUAL, re.DOTALL)


@pytest.mark.parametrize("command", sorted(commands.cli.commands))
def test_every_command_is_in_the_manual(command: str):
    assert f"`{command}" in MANUAL


@pytest.mark.parametrize("key", sorted(field.encode_name for field in sidecar.msgspec.structs.fields(sidecar.Sidecar)))
def test_every_key_of_a_sidecar_is_in_the_manual(key: str):
    assert key in MANUAL


def test_every_alarm_is_in_the_manual():
    raised = set(re.findall(r'\.alarm\(\s*f?"([a-z]+)', SOURCES)) | {"log-forked"}
    assert {"agency", "clock", "disk", "held", "handover", "hub", "payload", "receipt", "trust"} <= raised
    assert [kind for kind in raised if f"`{kind}" not in MANUAL] == []


def test_every_metric_is_in_the_manual():
    metrics = set(re.findall(r'"(lienthong_edge_[a-z_]+)"', SOURCES))
    assert metrics
    assert [name for name in metrics if name not in MANUAL] == []


def test_the_example_sidecar_is_a_document_that_may_be_sent():
    fields = sidecar.read_sidecar("x.toml", EXAMPLES[0].encode())
    references = (Reference(content_id="f1", attachment_name="a.pdf"),)
    message = sidecar.document_of(fields, Organization(organ_id="H21.16", organ_name="Sở A"), references)
    submission = PlainSubmission(message=message, original=b"", package="A")
    screened = screening.screen(submission, "H21.16", datetime(2026, 11, 23, tzinfo=UTC))
    assert screened.header.document_id == "H21.16,2026/11/20,123/SVDA-VP"


def test_the_example_status_may_be_reported():
    line = sidecar.read_status("x.status.toml", EXAMPLES[1].encode())
    status = sidecar.status_of(line, Organization(organ_id="H21.23"), ResponseFor(organ_id="H21.16"))
    submission = PlainSubmission(message=status, original=b"", package="A")
    screening.screen(submission, "H21.23", datetime(2026, 11, 23, tzinfo=UTC))


def test_the_example_configuration_is_accepted(tmp_path: Path):
    base = '[agency]\ncode = "H21.16"\n[hub]\nurl = "https://x"\n'
    read = config.parse(base + EXAMPLES[2], configuration.EdgeConfig, source="x", folder=tmp_path)
    assert read.soap.address == tomllib.loads(EXAMPLES[2])["soap"]["address"]


def test_the_port_in_the_manual_is_the_default():
    assert f"127.0.0.1:{configuration.Local().port}" in MANUAL
