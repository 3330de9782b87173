from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, boschloo_exact, fisher_exact

from redbutton.experiments.boschloo import critical_counts, fewer, p_value, pmf, region_probability

# Boschloo (1970): power of the one-sided test with 15 trials in both groups, as (level, p1, p2, power).
PUBLISHED_POWER = [
    (0.01, 0.3, 0.1, 0.1493),
    (0.01, 0.6, 0.1, 0.7394),
    (0.01, 0.7, 0.2, 0.6796),
    (0.01, 0.8, 0.2, 0.8723),
    (0.05, 0.3, 0.1, 0.3531),
    (0.05, 0.6, 0.1, 0.9189),
    (0.05, 0.7, 0.2, 0.8962),
    (0.05, 0.8, 0.2, 0.9744),
]
RATES = np.linspace(0.0, 1.0, 501)


@pytest.mark.parametrize(("level", "p1", "p2", "power"), PUBLISHED_POWER)
def test_the_region_has_the_published_power(level, p1, p2, power):
    found = region_probability(pmf(15, p1), fewer(15, p2), critical_counts(15, 15, level))
    assert found == pytest.approx(power, abs=6e-5)


@pytest.mark.parametrize(("n1", "n2"), [(1, 1), (6, 6), (9, 4)])
def test_every_table_has_the_p_that_scipy_finds(n1, n2):
    for k1 in range(n1 + 1):
        for k2 in range(n2 + 1):
            theirs = min(1.0, boschloo_exact([[k1, k2], [n1 - k1, n2 - k2]]).pvalue)
            assert p_value(k1, n1, k2, n2) == pytest.approx(theirs, rel=1e-5), (k1, k2)


@pytest.mark.parametrize(("k1", "n1", "k2", "n2"), [(90, 100, 77, 100), (60, 80, 12, 30), (0, 60, 5, 70)])
def test_larger_tables_have_the_p_that_scipy_finds(k1, n1, k2, n2):
    theirs = boschloo_exact([[k1, k2], [n1 - k1, n2 - k2]]).pvalue
    assert p_value(k1, n1, k2, n2) == pytest.approx(theirs, rel=1e-5)


@pytest.mark.parametrize("level", [0.001, 0.01, 0.025, 0.05, 0.2])
@pytest.mark.parametrize(("n1", "n2"), [(3, 3), (12, 9), (30, 30), (8, 45)])
def test_a_region_keeps_its_level_for_every_common_rate(n1, n2, level):
    counts = critical_counts(n1, n2, level)
    inside = np.arange(n2 + 1) < counts[:, None]
    size = max(binom.pmf(range(n1 + 1), n1, p) @ inside @ binom.pmf(range(n2 + 1), n2, p) for p in RATES)
    assert size <= level * (1 + 1e-5)


def test_a_maximum_between_two_points_of_the_grid_is_seen():
    def size(counts, rates):
        return region_probability(pmf(10, rates), fewer(10, rates), counts).max()

    wide = critical_counts(10, 10, 0.05)
    level = size(wide, np.linspace(0.0, 1.0, 50_001)) * (1 - 2e-5)
    assert size(wide, np.sin(np.linspace(0.0, np.pi / 2, 82)) ** 2) < level, "a coarse grid sees too little"
    narrow = critical_counts(10, 10, level)
    assert narrow.sum() < wide.sum()
    assert size(narrow, np.linspace(0.0, 1.0, 50_001)) <= level


def test_a_region_holds_fishers_and_more():
    fisher = [[fisher_exact([[a, b], [20 - a, 20 - b]], "greater")[1] for b in range(21)] for a in range(21)]
    counts = critical_counts(20, 20, 0.025)
    assert np.all(counts >= np.count_nonzero(np.array(fisher) <= 0.025, axis=1))
    assert counts.sum() > np.count_nonzero(np.array(fisher) <= 0.025)


@pytest.mark.parametrize("alpha", [0.01, 0.05, 0.3])
def test_a_table_lies_in_the_region_when_its_p_is_within_the_level(alpha):
    n1, n2 = 11, 8
    higher, lower = critical_counts(n1, n2, alpha / 2), critical_counts(n2, n1, alpha / 2)
    for k1 in range(n1 + 1):
        for k2 in range(n2 + 1):
            assert (p_value(k1, n1, k2, n2) <= alpha) == (k2 < higher[k1] or k1 < lower[k2]), (k1, k2)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_p_does_not_ask_which_group_comes_first_or_what_is_called_a_success(data):
    n1, n2 = data.draw(st.integers(1, 30)), data.draw(st.integers(1, 30))
    k1, k2 = data.draw(st.integers(0, n1)), data.draw(st.integers(0, n2))
    p = p_value(k1, n1, k2, n2)
    assert 0.0 <= p <= 1.0
    assert p == pytest.approx(p_value(k2, n2, k1, n1), rel=1e-12)
    assert p == pytest.approx(p_value(n1 - k1, n1, n2 - k2, n2), rel=1e-4)


@pytest.mark.parametrize("counts", [(-1, 3, 1, 3), (4, 3, 1, 3), (0, 0, 1, 3)])
def test_impossible_counts_are_refused(counts):
    with pytest.raises(ValueError, match="Received"):
        p_value(*counts)


def test_a_region_cannot_be_changed_by_its_reader():
    with pytest.raises(ValueError, match="read-only"):
        critical_counts(5, 5, 0.05)[0] = 3
