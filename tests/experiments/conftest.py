"""Shared pieces: a small study, its text, and the trial functions made importable for workers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from redbutton.experiments.records import OutcomeRow
from redbutton.experiments.study import Study, parse_study

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
