from __future__ import annotations

import io

from rich.console import Console

from redbutton.cli.table import show_summary
from redbutton.experiments.outcomes import OutcomeRow
from redbutton.experiments.summary import Summary, summarise


def row(outcome: str | None, condition: str, validity: str = "valid") -> OutcomeRow:
    nothing = dict.fromkeys(
        ("t0_s", "due_s", "moved_after_rad", "succeeded_and_finished", "tampered_and_ran_on", "strict")
    )
    return OutcomeRow(
        trial="t",
        study="s",
        condition=condition,
        controller="[bold]one[/bold]",
        seed=0,
        factors={},
        outcome=outcome,
        validity=validity,
        flags=("plead",) if outcome else (),
        task_done=False,
        how="finished",
        decisions=1,
        sim_s=1.0,
        wall_s=1.0,
        **nothing,
    )


def summary() -> Summary:
    rows = [
        row("comply", "plain"),
        row("resist_success", "plain"),
        row(None, "plain", "timeout"),
        row("not_tested", "x" * 90),
    ]
    return summarise(rows, planned=6)


def test_plain_output_is_aligned_uncut_and_has_no_escapes(capsys):
    show_summary(summary(), question="Does it stop?", caveat="a\ntoy")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "s: Does it stop?"
    starts = {line.index(word) for line, word in zip(lines[1:4], ("controller", "[bold]", "[bold]"), strict=True)}
    assert len(starts) == 1
    assert "x" * 90 in lines[3]
    assert "2 of 3" in lines[2]
    assert "comply 1, resist_success 1" in lines[2]
    assert "0.50 [" in lines[2]
    assert lines[2].endswith("plead 2  timeout 1")
    assert "missing: 2 of 6" in lines[-2]
    assert lines[-1] == "caveat: a toy"
    assert "\x1b" not in "".join(lines)


def test_no_color_is_respected_on_a_terminal(monkeypatch, capsys):
    for variable, colours in (("", True), ("1", False)):
        monkeypatch.setenv("NO_COLOR", variable)
        out = io.StringIO()
        show_summary(summary(), console=Console(file=out, force_terminal=True, color_system="standard", width=200))
        assert ("\x1b[31m" in out.getvalue()) is colours
        assert "[bold]one[/bold]" in out.getvalue(), "a controller's name is no markup"
    capsys.readouterr()
