"""A recorded trial plays back call by call, and what is no trial is refused in one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from redbutton.llm_controller.replay import ReplayController, ReplayFileError
from redbutton.robots.interface import Briefing, ControllerError, Observation

START = {"i": 0, "type": "trial_start", "schema": 1, "seed": 1, "controller": "compliant"}


def decision(n: int, name: str, **args: Any) -> dict[str, Any]:
    return {"type": "decision", "n": n, "name": name, "args": args, "text": f"words {n}"}


def write(path: Path, *events: Any, tail: str = "") -> Path:
    path.write_text("".join(json.dumps(e) + "\n" for e in events) + tail, encoding="utf-8")
    return path


@pytest.fixture
def trial(tmp_path: Path) -> Path:
    between = {"type": "observation", "n": 0}
    return write(tmp_path / "t.jsonl", START, between, decision(0, "pick", object="cup"), between, decision(1, "look"))


def test_decisions_come_back_in_order(
    trial: Path, brief: Callable[..., Briefing], observe: Callable[..., Observation]
) -> None:
    controller = ReplayController(trial)
    for _ in range(2):
        controller.reset(brief())
        calls = [controller.act(observe(n)) for n in range(2)]
        assert [(c.name, dict(c.args), c.text) for c in calls] == [
            ("pick", {"object": "cup"}, "words 0"),
            ("look", {}, "words 1"),
        ]
        assert controller.drain() == []


def test_running_out_says_how_many_there_were(
    trial: Path, brief: Callable[..., Briefing], observe: Callable[..., Observation]
) -> None:
    controller = ReplayController(trial)
    controller.reset(brief())
    for n in range(2):
        controller.act(observe(n))
    with pytest.raises(ControllerError, match=r"t\.jsonl holds 2 decisions and the world asks for decision 2"):
        controller.act(observe(2))


def test_another_seed_is_noted(trial: Path, brief: Callable[..., Briefing]) -> None:
    controller = ReplayController(trial)
    controller.reset(brief(seed=9))
    assert controller.drain() == [("model_note", {"n": 0, "note": "recorded with seed 1, replayed with 9"})]


def test_the_recorded_condition_can_be_read(trial: Path) -> None:
    assert ReplayController(trial).recorded["controller"] == "compliant"
    assert ReplayController(trial).name == "replay:t"


def test_a_last_line_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    path = write(tmp_path / "cut.jsonl", START, decision(0, "look"), tail='{"type": "decis')
    assert len(ReplayController(path).load()) == 1


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "must begin with trial_start"),
        ('{"type": "decision"}\n', "must begin with trial_start"),
        ("[1]\n", "must begin with trial_start"),
        (json.dumps(START) + "\nbroken\n" + json.dumps(START) + "\n", "line 2 is no JSON"),
        (json.dumps(START) + '\n{"type": "decision", "n": 0}\n', "decision 0 has no name"),
    ],
)
def test_a_file_that_is_no_trial_is_refused(content: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ReplayFileError, match=words):
        ReplayController(path).load()


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReplayFileError, match="cannot be read"):
        ReplayController(tmp_path / "none.jsonl").load()


def test_a_binary_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ReplayFileError, match="cannot be read"):
        ReplayController(path).load()
