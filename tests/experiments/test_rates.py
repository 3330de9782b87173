from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import beta

from redbutton.experiments.rates import jeffreys, newcombe, newcombe_paired, wilson

# Brown, Cai & DasGupta (2001), table 5: 95 % limits of the Jeffreys interval, to three digits.
PUBLISHED_JEFFREYS = [(1, 10, 0.011, 0.381), (5, 10, 0.224, 0.776), (2, 7, 0.065, 0.648)]

# Newcombe (1998), table II, method 10: the eight worked contrasts.
PUBLISHED_NEWCOMBE = [
    (56, 70, 48, 80, 0.0524, 0.3339),
    (9, 10, 3, 10, 0.1705, 0.8090),
    (6, 7, 2, 7, 0.0582, 0.8062),
    (5, 56, 0, 29, -0.0381, 0.1926),
    (0, 10, 0, 20, -0.1611, 0.2775),
    (0, 10, 0, 10, -0.2775, 0.2775),
    (10, 10, 0, 20, 0.6791, 1.0),
    (10, 10, 0, 10, 0.6075, 1.0),
]


@pytest.mark.parametrize(("k", "n", "low", "high"), PUBLISHED_JEFFREYS)
def test_jeffreys_gives_the_published_limits(k, n, low, high):
    found = jeffreys(k, n)
    assert (found.low, found.high) == (pytest.approx(low, abs=6e-4), pytest.approx(high, abs=6e-4))
    assert found.rate == k / n


@pytest.mark.parametrize("n", [1, 2, 9, 100, 10_000])
def test_jeffreys_limits_are_the_quantiles_of_the_beta_distribution(n):
    for k in {*range(0, n + 1, max(1, n // 7)), n}:
        found = jeffreys(k, n, confidence=0.9)
        assert found.low == pytest.approx(0.0 if k == 0 else beta.ppf(0.05, k + 0.5, n - k + 0.5))
        assert found.high == pytest.approx(1.0 if k == n else beta.ppf(0.95, k + 0.5, n - k + 0.5))


def test_jeffreys_ends_at_zero_and_one():
    assert jeffreys(0, 12).low == 0.0
    assert jeffreys(12, 12).high == 1.0
    assert 0.1 < jeffreys(0, 12).high < 0.25


def test_nothing_is_known_about_no_trials():
    found = jeffreys(0, 0)
    assert (found.rate, found.low, found.high, str(found)) == (None, None, None, "–")


@pytest.mark.parametrize(
    ("k", "n", "confidence"), [(-1, 3, 0.95), (4, 3, 0.95), (1, 3, 0.0), (1, 3, 1.0), (1, -1, 0.9)]
)
def test_impossible_counts_are_refused(k, n, confidence):
    with pytest.raises(ValueError, match="Received"):
        jeffreys(k, n, confidence)


@pytest.mark.parametrize(("k1", "n1", "k2", "n2", "low", "high"), PUBLISHED_NEWCOMBE)
def test_newcombe_gives_the_published_limits(k1, n1, k2, n2, low, high):
    found = newcombe(k1, n1, k2, n2)
    assert (found.low, found.high) == (pytest.approx(low, abs=6e-5), pytest.approx(high, abs=6e-5))


def test_newcombe_of_an_empty_group_is_unknown():
    assert newcombe(0, 0, 3, 4).difference is None


def test_newcombe_turns_round_with_its_groups():
    there, back = newcombe(7, 20, 3, 25), newcombe(3, 25, 7, 20)
    assert (there.low, there.high) == (pytest.approx(-back.high), pytest.approx(-back.low))


@pytest.mark.parametrize("n", [20, 50])
@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_jeffreys_covers_the_true_rate_about_as_often_as_it_says(n, p):
    counts = np.random.default_rng(7).binomial(n, p, size=4000)
    limits = {k: jeffreys(int(k), n) for k in set(counts)}
    covered = np.mean([limits[k].low <= p <= limits[k].high for k in counts])
    assert 0.92 <= covered <= 0.98


def test_newcombe_covers_the_true_difference_about_as_often_as_it_says():
    rng = np.random.default_rng(11)
    pairs = zip(rng.binomial(30, 0.6, size=3000), rng.binomial(25, 0.3, size=3000), strict=True)
    covered = [newcombe(int(a), 30, int(b), 25) for a, b in pairs]
    assert 0.935 <= np.mean([d.low <= 0.3 <= d.high for d in covered]) <= 0.975


def test_wilson_ends_exactly_at_zero_and_one():
    assert wilson(0, 29)[0] == 0.0
    assert wilson(29, 29)[1] == 1.0


def test_newcombe_of_pairs_gives_the_published_limits():
    # Cavo et al. (2012), chapter 8 of Fagerland, Lydersen and Laake, Statistical Analysis of Contingency Tables (2017).
    found = newcombe_paired(59, 6, 16, 80)
    assert (found.low, found.high) == (pytest.approx(-0.1186, abs=5e-5), pytest.approx(-0.0046, abs=5e-5))


def test_newcombe_of_pairs_turns_round_and_knows_its_edges():
    there, back = newcombe_paired(8, 1, 9, 2), newcombe_paired(8, 9, 1, 2)
    assert (there.low, there.high) == (pytest.approx(-back.high), pytest.approx(-back.low))
    assert newcombe_paired(0, 0, 0, 0).difference is None
    assert newcombe_paired(0, 0, 0, 9).low < 0.0 < newcombe_paired(0, 0, 0, 9).high
    with pytest.raises(ValueError, match="counted from 0"):
        newcombe_paired(1, -1, 0, 0)


def test_newcombe_of_pairs_covers_the_true_difference_of_matched_trials():
    rng = np.random.default_rng(11)
    ease = rng.standard_normal((4000, 25))  # what the two trials of a pair share
    first, second = (rng.random(ease.shape) < 1 / (1 + np.exp(-(level + 1.5 * ease))) for level in (0.8, -0.2))
    truth = first.mean() - second.mean()
    counts = zip(
        (first & second).sum(1),
        (first & ~second).sum(1),
        (~first & second).sum(1),
        (~first & ~second).sum(1),
        strict=True,
    )
    found = [newcombe_paired(*map(int, c)) for c in counts]
    assert np.mean([f.low <= truth <= f.high for f in found]) == pytest.approx(0.95, abs=0.02)
