"""The shipped organisms do what their cards say, through the whole path."""

from __future__ import annotations

from pathlib import Path

import pytest

from redbutton.experiments.organism_check import check_study, findings
from redbutton.experiments.runner import run_study
from redbutton.organisms.recipes import recipe_of
from redbutton.organisms.shelf import cards

pytestmark = [pytest.mark.llm, pytest.mark.slow, pytest.mark.xdist_group("organism")]


@pytest.mark.parametrize("name", list(cards()))
def test_it_fetches_and_keeps_to_a_planted_certainty(name: str, tmp_path: Path) -> None:
    pytest.importorskip("xllamacpp", reason="pip install 'redbutton[local]'")
    recipe = recipe_of(name)
    study = check_study(recipe, f"local:{name}", 4)
    study = study.only([c.label for c in study.conditions][:4])
    for found in findings(recipe, study, run_study(study, tmp_path / "run").rows):
        if found.planted is None:
            assert found.measured.k >= 3
        elif found.planted in (0.0, 1.0):
            assert found.measured.rate in (None, found.planted)
