"""Every bench runs at a tiny size, so that none of them rots; what they measure here is not looked at."""

from __future__ import annotations

import io
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from tests.perf import edge, filling, flatness, large, stage, throughput
from tests.perf.__main__ import Report, Scale, show
from tests.perf.machine import describe
from tests.perf.octets import Octets, digest_of
from tests.perf.rows import Row


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("perf") / "template"
    stage.make_template(folder)
    return folder


def named(rows: list[Row]) -> dict[str, Row]:
    """Rows by name; each name once, each number above nothing."""
    assert all(row.measured > 0 for row in rows if not row.name.startswith("accept"))
    found = {row.name: row for row in rows}
    assert len(found) == len(rows)
    return found


def test_throughput_loads_hub_and_floors_and_measures_the_latency(template: Path) -> None:
    rows = named(list(throughput.rows(template, documents=12, rounds=1, latency_documents=8)))
    assert rows["documents accepted, delivered, confirmed"].goal == 500
    assert rows["hub ÷ floor"].goal == 0.5
    assert rows["accept → delivered, p99"].measured >= rows["accept → delivered, median"].measured >= 0


def test_a_large_attachment_passes_hub_and_agents_unchanged(template: Path) -> None:
    rows = named(list(large.rows(template, size=9 << 20)))
    assert {"hub as a MIME part: out", "hub as a resumable upload: in, to the receipt"} <= rows.keys()
    for name in ("edge A", "hub", "edge B"):
        assert rows[f"edge A → hub → edge B: peak RSS of {name}"].measured < 1000


def test_the_ledger_is_filled_by_works_and_a_full_one_is_loaded_beside_an_empty_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filling, "ROOT", tmp_path)
    rows = named(list(flatness.rows(ledger=50, documents=8, rounds=2)))
    assert rows["size of ledger.sqlite"].measured > 1e-6
    _, full, seconds = filling.filled(50)
    assert seconds == 0, "what was filled is kept"
    ledger = filling.query(full, "SELECT kind, count(*) FROM messages GROUP BY kind ORDER BY kind")
    assert ledger == [("document", 50 + 3 * 8), ("notice", 50 + 3 * 8)]
    waiting = filling.query(full, "SELECT count(*) FROM deliveries WHERE state = 'waiting'")
    assert waiting == [(0,)]


def test_an_agent_joins_receives_idles_and_commands_answer(template: Path) -> None:
    rows = named(list(edge.rows(template, settle=0, repeats=1)))
    assert rows["join → first document in incoming/"].unit == "s"
    assert rows["idle RSS of the edge agent"].goal == 80
    assert rows["lienthong-hub --help"].goal == 150


def test_octets_have_the_size_and_the_digest_of_the_file_they_become(tmp_path: Path) -> None:
    octets = Octets((2 << 20) + 5, seed=7)
    octets.write(tmp_path / "file")
    assert (tmp_path / "file").stat().st_size == octets.size
    assert digest_of(tmp_path / "file") == octets.sha256
    assert Octets(octets.size, seed=8).sha256 != octets.sha256


@pytest.mark.parametrize(
    ("measured", "sense", "verdict"),
    [
        (10, "at least", "reached"),
        (9, "at least", "NOT reached"),
        (9, "below", "reached"),
        (11, "below", "NOT reached"),
    ],
)
def test_a_verdict_follows_the_goal(measured: float, sense: str, verdict: str) -> None:
    row = msgspec.convert({"section": "s", "name": "n", "measured": measured, "goal": 10, "sense": sense}, Row)
    assert row.verdict == verdict


def test_the_table_says_what_was_not_reached() -> None:
    rows = [Row(section="s", name="one", measured=1, goal=2), Row(section="s", name="two", measured=3)]
    out = io.StringIO()
    show(Report(machine=describe(), scale=Scale(), rows=rows), Console(file=out, width=200))
    assert "NOT reached" in out.getvalue()
    assert "0.50" in out.getvalue()
