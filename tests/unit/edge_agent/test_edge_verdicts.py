"""What a failure is about is told by its code, and one code never means two things."""

from __future__ import annotations

from edge_agent import verdicts


def test_a_certificate_behind_a_seal_is_never_a_verdict_about_the_caller():
    assert {kind.branch for kind in verdicts.CERTIFICATE} == {"seal"}
    assert {kind.branch for kind in verdicts.CALLER} == {"caller"}
    assert verdicts.AGENCY == verdicts.CERTIFICATE | verdicts.CALLER


def test_the_line_and_the_hub_are_temporary_and_no_verdict():
    assert all(kind.temporary for kind in verdicts.LINE | verdicts.HUB)
    assert not any(kind.temporary for kind in verdicts.AGENCY)
    assert not verdicts.LINE & verdicts.HUB
