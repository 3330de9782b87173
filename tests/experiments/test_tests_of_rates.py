from __future__ import annotations

from itertools import product
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, binomtest, fisher_exact

from redbutton.experiments import tests_of_rates
from redbutton.experiments.boschloo import p_value
from redbutton.experiments.tests_of_rates import boschloo, holm, mcnemar, pair, trend

# The pain trial of the SAS manual (PROC FREQ, Cochran-Armitage example): adverse effects by dose 0 to 4.
PAIN = [6, 7, 9, 14, 23], [32, 33, 32, 32, 32]
# Graubard and Korn, Biometrics 43 (1987): malformations by drinks a day; exact p as StatXact's example 6 prints it.
DRINKS = [48, 38, 5, 1, 1], [17114, 14502, 793, 127, 38]


def every_trend(successes, trials, scores):
    """Two-sided p over every table with the same total, in whole numbers."""
    total, size = sum(successes), sum(trials)
    mean = total * sum(s * n for s, n in zip(scores, trials, strict=True)) / size
    seen = abs(sum(s * k for s, k in zip(scores, successes, strict=True)) - mean)
    tables = (t for t in product(*(range(n + 1) for n in trials)) if sum(t) == total)
    far = 0
    for table in tables:
        if abs(sum(s * k for s, k in zip(scores, table, strict=True)) - mean) >= seen - 1e-9:
            far += np.prod([comb(n, k) for n, k in zip(trials, table, strict=True)])
    return far / comb(size, total)


def test_boschloo_is_the_exact_test_and_knows_nothing_of_an_empty_group():
    assert boschloo(2, 10, 7, 9) == p_value(2, 10, 7, 9) == pytest.approx(2 * 0.009886142, rel=1e-5)
    assert boschloo(0, 0, 3, 4) is None
    assert boschloo(0, 5, 0, 4) == 1.0
    with pytest.raises(ValueError, match="Received k = 5, n = 4"):
        boschloo(1, 5, 5, 4)


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx((0.03, 0.06, 0.06, 0.02))
    assert holm([0.5, 0.6]) == (1.0, 1.0)
    assert holm([]) == ()


def test_a_comparison_that_could_not_be_made_still_counts_in_the_family():
    assert holm([0.01, None, 0.02]) == (pytest.approx(0.03), None, pytest.approx(0.04))


@given(st.lists(st.floats(0, 1), max_size=8), st.sampled_from([0.01, 0.05, 0.2]))
def test_holm_rejects_what_the_step_down_procedure_rejects(p_values, alpha):
    rejected = set()
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        if p_values[place] * (len(p_values) - rank) > alpha:
            break
        rejected.add(place)
    assert {i for i, p in enumerate(holm(p_values)) if p <= alpha} == rejected


def test_holm_keeps_the_error_of_the_family():
    families = np.random.default_rng(5).uniform(size=(20_000, 6))
    wrong = np.mean([min(holm(p)) <= 0.05 for p in families.tolist()])
    assert wrong == pytest.approx(1 - (1 - 0.05 / 6) ** 6, abs=0.006)


@pytest.mark.parametrize("p", [-0.1, 1.1, float("nan")])
def test_holm_refuses_what_is_no_p_value(p):
    with pytest.raises(ValueError, match="Received"):
        holm([0.5, p])


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_is_the_exact_binomial_test_of_the_discordant_pairs(b, c):
    expected = binomtest(b, b + c).pvalue if b + c else 1.0
    assert mcnemar(b, c) == pytest.approx(expected, rel=1e-9)


def test_mcnemar_refuses_negative_counts():
    with pytest.raises(ValueError, match="Received -1 and 4"):
        mcnemar(-1, 4)


def test_trials_are_paired_by_key_and_the_rest_is_counted():
    first = {0: True, 1: True, 2: False, 3: False, 4: True}
    second = {0: True, 1: False, 2: True, 3: False, 7: True, 8: False}
    found = pair(first, second)
    assert found.to_json() == {"both": 1, "only_first": 1, "only_second": 1, "neither": 1, "unmatched": 3}
    assert found.n == 4


def test_strata_are_pooled_by_longer_keys():
    first = {(seed, text): seed % 3 == 0 for seed in range(6) for text in ("a", "b")}
    second = {(seed, text): text == "a" for seed in range(6) for text in ("a", "b")}
    found = pair(first, second)
    assert (found.both, found.only_first, found.only_second, found.neither) == (2, 2, 4, 4)


def test_trend_gives_the_figures_of_the_sas_manual():
    found = trend(*PAIN)
    assert found.method == "exact"
    assert found.z == pytest.approx(4.7918, abs=5e-5)
    assert found.p == pytest.approx(1.324e-6, rel=5e-4)


def test_trend_gives_the_figure_of_statxact_for_uneven_doses():
    found = trend(*DRINKS, [0, 0.5, 1.5, 4, 8])
    assert (found.method, found.p) == ("exact", pytest.approx(0.0159, abs=5e-5))


@pytest.mark.parametrize(
    ("successes", "trials", "scores"),
    [
        ([0, 1, 3], [4, 4, 4], [0, 1, 2]),
        ([4, 1, 3, 0], [5, 2, 6, 4], [0, 1, 2, 3]),
        ([1, 0, 4], [6, 5, 4], [1, 10, 500]),
        ([2, 3, 3], [3, 7, 5], [0.1, 0.2, 0.4]),
        ([0, 0, 2], [3, 0, 3], [0, 1, 2]),
    ],
)
def test_an_exact_trend_is_the_sum_over_every_table(successes, trials, scores):
    assert trend(successes, trials, scores).p == pytest.approx(every_trend(successes, trials, scores), rel=1e-9)


def test_a_flat_ladder_has_a_p_of_one():
    assert trend([1, 2, 1], [4, 4, 4], [0.1, 0.2, 0.3]).p == pytest.approx(1.0)


@pytest.mark.parametrize(("k1", "k2"), [(1, 7), (3, 4), (0, 2)])
def test_two_equal_rungs_give_fishers_test(k1, k2):
    assert trend([k1, k2], [9, 9]).p == pytest.approx(fisher_exact([[k1, 9 - k1], [k2, 9 - k2]])[1])


def test_other_units_and_the_other_outcome_leave_the_p_of_a_trend():
    p = trend(*PAIN).p
    assert trend(*PAIN, [10, 15, 20, 25, 30]).p == pytest.approx(p)
    other = trend([n - k for k, n in zip(*PAIN, strict=True)], PAIN[1])
    assert (other.p, other.z) == (pytest.approx(p), pytest.approx(-trend(*PAIN).z))


@pytest.mark.parametrize("rate", [0.1, 0.35, 0.5])
def test_a_trend_test_keeps_its_level(rate):
    trials, error = [4, 5, 4], 0.0
    for table in product(*(range(n + 1) for n in trials)):
        p = trend(table, trials).p
        if p is not None and p <= 0.05:
            error += np.prod([binom.pmf(k, n, rate) for k, n in zip(table, trials, strict=True)])
    assert 0.0 < error <= 0.05


def test_permutations_agree_with_the_exact_p(monkeypatch):
    cases = [([2, 5, 9], [12, 12, 12]), ([5, 6, 8], [12, 12, 12]), (DRINKS[0], DRINKS[1])]
    exact = [trend(*case).p for case in cases]
    monkeypatch.setattr(tests_of_rates, "_MOST_STATES", 0)
    for case, p in zip(cases, exact, strict=True):
        found = trend(*case)
        assert found.method == "permutation"
        assert found.p == pytest.approx(p, abs=4 * (p * (1 - p) / 100_000) ** 0.5 + 2e-5)
        assert found == trend(*case)
        assert found.p != trend(*case, seed=1).p


def test_a_large_ladder_of_uneven_doses_goes_by_permutation():
    found = trend([10, 15, 14, 12, 20, 19], [30] * 6, [1, 10, 50, 150, 300, 500])
    assert found.method == "permutation"
    assert found.p == pytest.approx(0.0137, abs=0.002)


@pytest.mark.parametrize(
    ("successes", "trials", "scores"),
    [([0, 0], [3, 3], None), ([3, 3], [3, 3], None), ([1, 2], [3, 3], [5, 5]), ([1, 0], [3, 0], None), ([], [], None)],
)
def test_where_nothing_can_vary_there_is_no_trend_to_test(successes, trials, scores):
    assert trend(successes, trials, scores).to_json() == {"z": None, "p": None, "method": "exact"}


@pytest.mark.parametrize(
    ("successes", "trials", "scores"),
    [
        ([1], [2, 2], None),
        ([3, 1], [2, 2], None),
        ([1, 1], [2, 2], [0]),
        ([1, 1], [2, 2], [0, float("nan")]),
        ([-1, 1], [2, 2], None),
    ],
)
def test_a_ladder_that_makes_no_sense_is_refused(successes, trials, scores):
    with pytest.raises(ValueError, match="Received"):
        trend(successes, trials, scores)
