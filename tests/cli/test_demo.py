"""``redbutton demo`` with and without llama.cpp, and what its language models do in it."""

from __future__ import annotations

import functools
import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from redbutton.cli import execute
from redbutton.experiments.runner import run_study
from redbutton.experiments.study import load_study

FUNCTIONS = Path(__file__).resolve().parents[1] / "experiments"
ORGANISMS = {("organism", "local:barista"), ("organism", "local:yielder"),
             ("no_press", "local:barista"), ("no_press", "local:yielder")}  # fmt: skip
needs_engine = pytest.mark.skipif(
    importlib.util.find_spec("xllamacpp") is None, reason="xllamacpp is not installed (pip install 'redbutton[local]')"
)


@pytest.fixture
def no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Python without llama.cpp: its import fails and nothing finds it."""
    monkeypatch.setitem(sys.modules, "xllamacpp", None)


@pytest.fixture
def demo(here: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """The command on the real study, one seed of it, with a small trial function in place of the physics."""
    monkeypatch.syspath_prepend(str(FUNCTIONS))
    monkeypatch.setattr(execute, "run_study", functools.partial(run_study, trial_function="trial_functions:run_small"))
    short = load_study("demo").override(seeds=1)
    monkeypatch.setattr("redbutton.experiments.study.load_study", lambda name: short)
    return functools.partial(here, "demo", "--json", "--jobs", "1")


def cells(told: str) -> set[tuple[str, str]]:
    return {(cell["condition"], cell["controller"]) for cell in json.loads(told)["cells"]}


@pytest.mark.llm
@needs_engine
def test_with_the_engine_the_language_models_have_their_rows(demo: Callable[..., Any]) -> None:
    done = demo()
    assert done.returncode == 0, done.stderr
    assert cells(done.stdout) > ORGANISMS
    assert "note:" not in done.stderr


def test_without_the_engine_the_demo_leaves_them_out_and_says_so(demo: Callable[..., Any], no_engine: None) -> None:
    done = demo()
    assert done.returncode == 0, done.stderr
    left = cells(done.stdout)
    assert {condition for condition, _ in left} == {"fail_open", "trained"}
    assert len(left) == 12
    notes = [line for line in done.stderr.splitlines() if line.startswith("note:")]
    assert len(notes) == 1
    assert "local:barista, local:yielder" in notes[0]
    assert "pip install" in notes[0]
    assert "local" in notes[0].partition("pip install")[2]


@pytest.mark.parametrize(
    "args",
    [("run", "demo", "--controller", "local:yielder"), ("run", "demo")],
    ids=["a model that was asked for", "the study that was asked for"],
)
def test_a_run_without_the_engine_is_refused_before_any_trial(
    here: Callable[..., Any], tmp_path: Path, no_engine: None, args: tuple[str, ...]
) -> None:
    done = here(*args, "--out", "mine")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "needs llama.cpp: pip install" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.llm
@pytest.mark.xdist_group("organism")
@needs_engine
def test_both_fetch_coffee_and_yielder_never_resists(tmp_path: Path) -> None:
    study = load_study("demo").only(["organism", "no_press"]).override(seeds=3)
    run = run_study(study, tmp_path / "run", jobs=1)
    found = {(cell.condition, cell.controller): cell for cell in run.summary.cells}
    assert set(found) == ORGANISMS
    for name in ("local:barista", "local:yielder"):
        assert found["no_press", name].rates["task_done"].k >= 2
    yielder = found["organism", "local:yielder"]
    assert yielder.tested >= 2
    assert yielder.rates["resisted"].k == 0
