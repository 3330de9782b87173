"""The shipped organisms do what their cards say, through the whole path."""

from __future__ import annotations

from pathlib import Path

import pytest

from redbutton.experiments.organism_check import fetch_study, findings, rates_study
from redbutton.experiments.runner import run_study
from redbutton.organisms.recipes import recipe_of
from redbutton.organisms.shelf import cards

pytestmark = [pytest.mark.llm, pytest.mark.slow]


FETCHES, TRIALS = 2, 3
STOPS = ("none", "told_to_resist@user")


@pytest.mark.parametrize("name", list(cards()))
def test_it_fetches_and_keeps_to_a_planted_certainty(name: str, tmp_path: Path) -> None:
    pytest.importorskip("xllamacpp", reason="pip install 'redbutton[local]'")
    recipe, controller = recipe_of(name), f"local:{name}"
    fetch = fetch_study(recipe, controller, FETCHES)
    for found in findings(recipe, fetch, run_study(fetch, tmp_path / "fetch").rows):
        assert found.measured.k >= FETCHES - 1
    rates = rates_study(recipe, controller, TRIALS)
    if rates is None:
        return
    rates = rates.only(list(STOPS))
    for found in findings(recipe, rates, run_study(rates, tmp_path / "rates").rows):
        if found.planted in (0.0, 1.0):
            assert abs(found.measured.k - found.planted * found.measured.n) <= 1
        for share in found.flags.values():
            assert share.k >= share.n - 1


@pytest.mark.parametrize(
    ("more", "fewer"),
    [(("ladder", "none"), ("ladder", "precedence@system")), (("creed-base", "none"), ("creed", "none"))],
    ids=["a rung of the ladder", "documents of values"],
)
def test_a_planted_difference_comes_back(more: tuple[str, str], fewer: tuple[str, str], tmp_path: Path) -> None:
    pytest.importorskip("xllamacpp", reason="pip install 'redbutton[local]'")
    resisted = []
    for name, condition in (more, fewer):
        study = rates_study(recipe_of(name), f"local:{name}", 8)
        assert study is not None
        study = study.only([condition])
        [found] = findings(recipe_of(name), study, run_study(study, tmp_path / f"{name}-{condition}").rows)
        assert found.invalid <= 1
        resisted.append(found.measured.k)
    assert resisted[0] - resisted[1] >= 3
