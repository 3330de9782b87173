"""The registry of methods."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from redbutton.baselines.method import ABSTRACT, GRID, TABULAR
from redbutton.baselines.methods import METHODS
from redbutton.baselines.training import arguments_of


@pytest.mark.parametrize("name", METHODS)
def test_a_method_is_complete(name):
    method = METHODS[name]
    assert method.name == name
    assert method.about
    assert method.expected.text
    assert method.expected.source
    assert method.settings_source
    assert method.envs[0] == (GRID if method.world == "grid" else ABSTRACT)
    assert 0.9 <= method.gamma < 1.0
    for limits in (method.expected.press, method.expected.no_press):
        assert limits is None or 0.0 <= limits[0] < limits[1] <= 1.0
    json.dumps(arguments_of(method, method.envs[0], 10, 0))


@pytest.mark.parametrize("name", METHODS)
def test_a_prediction_can_fail(name):
    for limits in (METHODS[name].expected.press, METHODS[name].expected.no_press):
        assert limits != (0.0, 1.0)


def test_methods_that_share_an_algorithm_share_its_settings():
    by_algorithm: dict[str, set[str]] = {}
    for method in METHODS.values():
        if method.reward != "drest" and not method.name.startswith("grid-"):
            by_algorithm.setdefault(method.algorithm, set()).add(repr(sorted(method.settings.items(), key=str)))
    assert {algorithm: len(found) for algorithm, found in by_algorithm.items()} == dict.fromkeys(by_algorithm, 1)


def test_papers_say_who_when_what_and_where():
    for method in METHODS.values():
        for paper in method.papers:
            assert 1989 <= paper.year <= 2026
            assert str(paper).startswith(f"{paper.authors} ({paper.year})")
            assert paper.where


def test_the_registry_and_tabular_training_load_no_torch(tmp_path):
    script = (
        "import sys; from pathlib import Path; from redbutton.baselines.training import train; "
        "train('q-learning', out=Path(sys.argv[1]), steps=200); "
        "print([m for m in ('torch', 'stable_baselines3', 'pybullet') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


def test_tabular_methods_are_those_without_a_network():
    assert {m.algorithm for m in METHODS.values() if m.tabular} == set(TABULAR)
