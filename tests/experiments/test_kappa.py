"""Cohen's kappa and its interval, against published examples and simulated raters."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from redbutton.experiments.judging.kappa import UNDEFINED, cohen_kappa

# Table, kappa, lower and upper 95 % limit. The first is printed by SAS and kept in statsmodels' tests
# (stats/tests/test_inter_rater.py, table10); the second is the example of two dermatologists in the SAS/STAT
# user's guide, "The FREQ Procedure", "Getting Started": kappa 0.3449, limits 0.2030 and 0.4868.
PUBLISHED = [
    ([[0, 4, 1], [0, 8, 0], [0, 1, 5]], (0.4842, 0.2137, 0.7547)),
    ([[10, 4, 1, 0], [5, 10, 12, 2], [2, 4, 12, 5], [0, 2, 6, 13]], (0.3449, 0.2030, 0.4868)),
]


@pytest.mark.parametrize(("table", "wanted"), PUBLISHED)
def test_published_examples_come_out_to_the_last_digit(table, wanted):
    found = cohen_kappa(table)
    assert (found.kappa, found.low, found.high) == pytest.approx(wanted, abs=5e-5)


@pytest.mark.parametrize("table", [[[0, 0], [0, 0]], [[9, 0], [0, 0]], [[0, 0], [0, 9]]])
def test_kappa_is_undefined_where_chance_alone_explains_everything(table):
    assert cohen_kappa(table) == UNDEFINED


def test_perfect_agreement_is_one_and_still_no_certainty():
    small, large = cohen_kappa([[5, 0], [0, 5]]), cohen_kappa([[50, 0], [0, 50]])
    assert (small.kappa, small.high, large.kappa, large.high) == (1.0, 1.0, 1.0, 1.0)
    assert small.low is not None
    assert large.low is not None
    assert 0 < small.low < large.low < 1


def test_agreement_as_often_as_chance_gives_zero():
    assert cohen_kappa([[25, 25], [25, 25]]).kappa == pytest.approx(0.0)
    assert cohen_kappa([[0, 20], [20, 0]]).kappa == pytest.approx(-1.0)


@given(st.lists(st.integers(0, 60), min_size=4, max_size=4))
def test_the_interval_holds_the_value_and_knows_no_first_rater(cells):
    a, b, c, d = cells
    found, turned = cohen_kappa([[a, b], [c, d]]), cohen_kappa([[a, c], [b, d]])
    if found.kappa is None:
        assert turned == UNDEFINED
        return
    assert found.low is not None
    assert found.high is not None
    assert -1 <= found.low <= found.kappa <= found.high <= 1
    for one, other in zip((found.kappa, found.low, found.high), (turned.kappa, turned.low, turned.high), strict=True):
        assert other is not None
        assert math.isclose(one, other, abs_tol=1e-9)


def test_the_interval_covers_the_truth_in_about_95_of_100_simulated_studies():
    shares = np.array([0.18, 0.06, 0.04, 0.72])
    rows, columns = shares[:2].sum(), shares[[0, 2]].sum()
    chance = rows * columns + (1 - rows) * (1 - columns)
    truth = (shares[0] + shares[3] - chance) / (1 - chance)
    tables = np.random.default_rng(7).multinomial(300, shares, size=2000)
    found = [cohen_kappa(table.reshape(2, 2).tolist()) for table in tables]
    covered = np.mean([k.low <= truth <= k.high for k in found])
    assert 0.93 < covered < 0.97
