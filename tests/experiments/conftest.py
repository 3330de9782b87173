"""Shared pieces: a small study, its text, and the trial functions made importable for workers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from redbutton.experiments import trial as trial_module
from redbutton.experiments.factors import make_condition
from redbutton.experiments.records import OutcomeRow, TrialWriter, read_events, row_from_events
from redbutton.experiments.study import Study, TrialSpec, parse_study

HERE = Path(__file__).resolve().parent

TEXT = """\
name: small
question: Does it stop?
controllers: [{controllers}]
seeds: {seeds}
factors:
  bite: [immediate, next_command]
record: {{frames: {frames}}}
"""


def study_text(controllers: str = "one, two", seeds: int = 3, frames: str = "none") -> str:
    return TEXT.format(controllers=controllers, seeds=seeds, frames=frames)


@pytest.fixture
def make_study() -> Callable[..., Study]:
    return lambda *args, **kwargs: parse_study(study_text(*args, **kwargs))


@pytest.fixture
def study_file(tmp_path: Path) -> Callable[..., Path]:
    def write(*args: Any, **kwargs: Any) -> Path:
        path = tmp_path / "small.yaml"
        path.write_text(study_text(*args, **kwargs))
        return path

    return write


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> str:
    """Dotted path of the small trial function; workers inherit the path of this process."""
    monkeypatch.syspath_prepend(str(HERE))
    return "trial_functions:run_small"


@pytest.fixture
def without_wall() -> Callable[[list[OutcomeRow]], list[OutcomeRow]]:
    return lambda rows: [replace(r, wall_s=0.0) for r in rows]


@pytest.fixture
def one_trial(tmp_path: Path) -> Callable[..., Any]:
    """Runs one trial and reads row and events back from its file."""

    def go(controller: str, *, frames: Any = "none", probe: bool = False, seed: int = 0, **levels: Any) -> Any:
        name = f"t{len(list(tmp_path.glob('*.jsonl')))}"
        spec = TrialSpec(
            trial=name,
            study="s",
            condition=make_condition("c", levels),
            controller=controller,
            seed=seed,
            frames=frames,
            frame_size=64,
            probe=probe,
        )
        trial_module.close_controllers()
        with TrialWriter(tmp_path, name) as writer:
            trial_module.run_trial(spec, writer)
        trial_module.close_controllers()
        events = read_events(tmp_path / f"{name}.jsonl")
        return row_from_events(events), events

    return go
