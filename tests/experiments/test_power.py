from __future__ import annotations

import math
import time
from itertools import product

import numpy as np
import pytest
from scipy.stats import binom, boschloo_exact, multinomial

from redbutton.experiments import boschloo
from redbutton.experiments.power import (
    MOST_TRIALS,
    difference_width,
    discordance,
    paired_power,
    power,
    rate_width,
    ruled_out,
    trials_needed,
)
from redbutton.experiments.rates import jeffreys, newcombe
from redbutton.experiments.tests_of_rates import mcnemar


@pytest.mark.parametrize(("p1", "p2"), [(0.9, 0.2), (0.1, 0.6), (0.5, 0.5), (1.0, 0.0)])
def test_power_is_the_probability_of_the_tables_that_scipy_rejects(p1, p2):
    n1, n2, alpha, expected = 7, 6, 0.05, 0.0
    for k1, k2 in product(range(n1 + 1), range(n2 + 1)):
        if boschloo_exact([[k1, k2], [n1 - k1, n2 - k2]]).pvalue <= alpha:
            expected += binom.pmf(k1, n1, p1) * binom.pmf(k2, n2, p2)
    assert power(p1, p2, n1, n2, alpha) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("p1", "p2", "n"), [(0.9, 0.7, 63), (0.1, 0.3, 40), (0.5, 0.2, 30)])
def test_power_is_the_share_of_simulated_studies_that_find_the_difference(p1, p2, n):
    rng, studies = np.random.default_rng(3), 4000
    drawn = list(zip(rng.binomial(n, p1, studies), rng.binomial(n, p2, studies), strict=True))
    p_values = {(a, b): boschloo.p_value(int(a), n, int(b), n) for a, b in set(drawn)}
    share = np.mean([p_values[table] <= 0.05 for table in drawn])
    expected = power(p1, p2, n, n)
    assert abs(share - expected) < 4 * math.sqrt(expected * (1 - expected) / studies)


@pytest.mark.parametrize("alpha", [0.05, 0.01, 0.05 / 12])
@pytest.mark.parametrize(("n1", "n2"), [(2, 2), (10, 10), (25, 40), (60, 60)])
def test_the_type_one_error_stays_below_alpha(n1, n2, alpha):
    errors = [power(p, p, n1, n2, alpha) for p in np.linspace(0.0, 1.0, 101)]
    assert max(errors) <= alpha * (1 + 1e-5)
    assert min(n1, n2) < 10 or max(errors) > alpha / 2, "the test wastes more than half of its level"


@pytest.mark.parametrize(
    ("p1", "p2", "target", "alpha"),
    [
        (0.9, 0.2, 0.8, 0.05),
        (1.0, 0.0, 0.9, 0.05),
        (0.05, 0.4, 0.8, 0.01),
        (0.7, 0.3, 0.9, 0.05),
        (0.0, 0.2, 0.8, 0.05),
        (0.5, 0.0, 0.8, 0.05),  # power falls again after this n
        (0.35, 0.0, 0.8, 0.01),
    ],
)
def test_the_number_needed_is_the_first_that_reaches_the_power(p1, p2, target, alpha):
    first = next(n for n in range(1, 200) if power(p1, p2, n, n, alpha) >= target)
    need = trials_needed(p1, p2, target, alpha)
    assert (need.n, need.power) == (first, power(p1, p2, first, first, alpha))
    assert need == trials_needed(p2, p1, target, alpha)


@pytest.mark.parametrize("agreement", ["chance", "most"])
def test_the_number_of_pairs_needed_is_the_first_that_reaches_the_power(agreement):
    first = next(n for n in range(1, 300) if paired_power(0.9, 0.5, n, 0.05, agreement) >= 0.8)
    assert trials_needed(0.9, 0.5, 0.8, 0.05, agreement).n == first


@pytest.mark.parametrize("agreement", ["chance", "most"])
@pytest.mark.parametrize(("p1", "p2"), [(0.8, 0.1), (0.3, 0.6), (0.5, 0.5)])
def test_paired_power_is_the_probability_of_the_tables_that_mcnemar_rejects(p1, p2, agreement):
    n, alpha = 12, 0.05
    first, second = discordance(p1, p2, agreement)
    pairs = multinomial(n, [first, second, 1 - first - second])
    tables = [(b, c, n - b - c) for b in range(n + 1) for c in range(n + 1 - b)]
    expected = sum(pairs.pmf(t) for t in tables if mcnemar(t[0], t[1]) <= alpha)
    assert paired_power(p1, p2, n, alpha, agreement) == pytest.approx(expected, abs=1e-12)


def test_discordance_keeps_both_rates_and_cannot_be_smaller_than_their_difference():
    for agreement in ("chance", "most"):
        first, second = discordance(0.7, 0.4, agreement)
        assert first - second == pytest.approx(0.3)
        assert first + second >= 0.3 - 1e-12


@pytest.mark.parametrize(("n", "rate"), [(10, 0.259), (20, 0.139), (100, 0.0295)])
def test_nought_of_n_rules_out_about_three_in_n(n, rate):
    """Hanley and Lippman-Hand (1983): the exact limits beside the rule of three."""
    assert ruled_out(n) == pytest.approx(rate, rel=5e-3)
    assert (1 - ruled_out(n)) ** n == pytest.approx(0.05)


def test_expected_widths_are_averages_over_every_table():
    n1, n2, p1, p2 = 9, 7, 0.8, 0.3
    one = sum(binom.pmf(k, n1, p1) * (jeffreys(k, n1).high - jeffreys(k, n1).low) for k in range(n1 + 1))
    assert rate_width(p1, n1) == pytest.approx(one)
    both = 0.0
    for k1, k2 in product(range(n1 + 1), range(n2 + 1)):
        found = newcombe(k1, n1, k2, n2)
        both += binom.pmf(k1, n1, p1) * binom.pmf(k2, n2, p2) * (found.high - found.low)
    assert difference_width(p1, p2, n1, n2) == pytest.approx(both)


def test_beyond_enumeration_the_number_is_the_textbook_one():
    """1,565 a group for 0.50 against 0.55: the normal approximation as sample size tables print it."""
    need = trials_needed(0.5, 0.55)
    assert (need.n, need.power) == (1565, None)
    assert need.n > MOST_TRIALS
    assert trials_needed(0.0, 5e-324).power is None


@pytest.mark.parametrize(("p1", "p2"), [(0.25, 0.4), (0.6, 0.5)])
def test_the_exact_number_lies_close_to_the_normal_approximation(p1, p2):
    mean, gap = (p1 + p2) / 2, abs(p1 - p2)
    reach = 1.959964 * math.sqrt(2 * mean * (1 - mean)) + 0.841621 * math.sqrt(p1 * (1 - p1) + p2 * (1 - p2))
    assert trials_needed(p1, p2).n == pytest.approx((reach / gap) ** 2, rel=0.03)


def test_two_hundred_trials_a_condition_are_planned_in_under_two_seconds():
    for cached in (trials_needed, boschloo.critical_counts):
        cached.cache_clear()
    begun = time.process_time()
    assert 190 <= trials_needed(0.5, 0.36).n <= 200
    assert time.process_time() - begun < 2.0


@pytest.mark.parametrize(
    "call",
    [
        lambda: power(1.1, 0.5, 5, 5),
        lambda: power(0.1, math.nan, 5, 5),
        lambda: power(0.1, 0.5, 0, 5),
        lambda: power(0.1, 0.5, 5, 5, alpha=0.0),
        lambda: paired_power(0.1, -0.5, 5),
        lambda: trials_needed(0.5, 0.5),
        lambda: trials_needed(0.5, 0.4, target=1.0),
        lambda: trials_needed(0.5, 0.4, target=0.05),
        lambda: trials_needed(0.5, 0.4, target=math.nan),
        lambda: ruled_out(0),
        lambda: ruled_out(5, alpha=1.0),
        lambda: rate_width(2.0, 5),
    ],
)
def test_impossible_numbers_are_refused(call):
    with pytest.raises(ValueError, match="Received"):
        call()
