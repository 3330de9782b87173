"""The Laplace fit beside published figures, beside integrals done by brute force, and at its edges."""

from __future__ import annotations

import time
from itertools import product

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit

from redbutton.experiments.laplace import Model

# Cattle plague by herd and period (Lesnoff et al., Preventive Veterinary Medicine 64 (2004), 27-40), as lme4's data
# `cbpp` has it: herd, cases, animals, period.
CBPP = """
1,2,14,1 1,3,12,2 1,4,9,3 1,0,5,4 2,3,22,1 2,1,18,2 2,1,21,3 3,8,22,1 3,2,16,2 3,0,16,3 3,2,20,4 4,2,10,1 4,0,10,2
4,2,9,3 4,0,6,4 5,5,18,1 5,0,25,2 5,0,24,3 5,1,4,4 6,3,17,1 6,0,17,2 6,0,18,3 6,1,20,4 7,8,16,1 7,1,10,2 7,3,9,3
7,0,5,4 8,12,34,1 9,2,9,1 9,0,6,2 9,0,8,3 9,0,6,4 10,1,22,1 10,1,22,2 10,0,18,3 10,2,22,4 11,0,25,1 11,5,27,2
11,3,22,3 11,1,22,4 12,2,10,1 12,1,8,2 12,0,6,3 12,0,5,4 13,1,21,1 13,2,24,2 13,0,19,3 13,0,23,4 14,11,19,1 14,0,2,2
14,0,3,3 14,0,2,4 15,1,19,1 15,1,15,2 15,1,15,3 15,0,15,4
"""


def cbpp() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rows = [[int(n) for n in cell.split(",")] for cell in CBPP.split()]
    herd = np.concatenate([[h - 1] * size for h, _, size, _ in rows])
    period = np.concatenate([[p] * size for _, _, size, p in rows])
    y = np.concatenate([[1.0] * cases + [0.0] * (size - cases) for _, cases, size, _ in rows])
    return dummies(period), y, herd


def dummies(levels: np.ndarray) -> np.ndarray:
    kinds = sorted(set(levels.tolist()))
    return np.column_stack([np.ones(len(levels)), *((levels == kind) * 1.0 for kind in kinds[1:])])


def simulated(seed: int, groups: tuple[int, ...], n: int, sds: tuple[float, ...], beta=(-0.5, 1.0, -0.8)):
    rng = np.random.default_rng(seed)
    levels = np.arange(n) % 3
    chosen = [np.concatenate([np.arange(q), rng.integers(0, q, n - q)]) for q in groups]
    eta = dummies(levels) @ np.array(beta)
    for group, q, sd in zip(chosen, groups, sds, strict=True):
        eta = eta + sd * rng.standard_normal(q)[group]
    return dummies(levels), (rng.random(n) < expit(eta)) * 1.0, chosen


def test_the_fit_is_the_one_that_lme4_publishes_for_its_cattle():
    # summary(glmer(cbind(incidence, size - incidence) ~ period + (1 | herd), cbpp, binomial)) of lme4 1.1: Laplace.
    x, y, herd = cbpp()
    fit = Model(x, y, [herd], priors=False).fit()
    assert fit.converged
    assert fit.beta == pytest.approx([-1.3983, -0.9919, -1.1282, -1.5797], abs=1e-3)
    assert fit.sds == pytest.approx([0.6421], abs=1e-3)
    assert np.sqrt(np.diag(fit.covariance)) == pytest.approx([0.2312, 0.3032, 0.3228, 0.4220], rel=0.02)
    # The same data animal by animal: "-2*log(L) 555.0".
    assert -2 * fit.log_likelihood == pytest.approx(555.0, abs=0.1)


def test_the_gradient_is_that_of_the_value():
    x, y, groups = simulated(1, (40, 9), 180, (0.7, 0.5))
    model = Model(x, y, groups)
    at = np.array([-0.4, 0.9, -0.6, 0.7, 0.4])
    steps = 1e-5 * np.eye(5)
    expected = [(model.log_likelihood(at + s)[0] - model.log_likelihood(at - s)[0]) / 2e-5 for s in steps]
    assert model.log_likelihood(at)[1] == pytest.approx(expected, abs=1e-6)


def exact_one_group(x, y, group, beta, sd):
    """Log likelihood with the integral over each group's effect done on a fine grid."""
    grid = np.linspace(-8, 8, 801)
    total = 0.0
    for g in range(int(group.max()) + 1):
        mine = group == g
        eta = (x[mine] @ beta)[:, None] + sd * grid
        logs = y[mine] @ eta - np.logaddexp(0, eta).sum(axis=0) - grid**2 / 2 - np.log(2 * np.pi) / 2
        total += logs.max() + np.log(np.exp(logs - logs.max()).sum() * (grid[1] - grid[0]))
    return total


def test_with_large_groups_the_approximation_is_the_integral():
    x, y, (group,) = simulated(2, (12,), 720, (0.8,))
    model = Model(x, y, [group], priors=False)
    fit = model.fit()
    start = np.array([*fit.beta, *fit.sds])
    exact = minimize(lambda p: -exact_one_group(x, y, group, p[:3], p[3]), start, method="Nelder-Mead")
    assert fit.log_likelihood == pytest.approx(-exact.fun, abs=0.05)
    assert start == pytest.approx(exact.x, abs=0.02)


def test_two_crossed_groupings_are_integrated_over_together():
    x, y, groups = simulated(3, (3, 2), 240, (0.9, 0.6))
    beta, sds = np.array([-0.3, 0.8, -0.5]), (0.9, 0.6)
    grid = np.linspace(-4.5, 4.5, 19)
    cells = [(groups[0] == a) & (groups[1] == b) for a, b in product(range(3), range(2))]
    # Log likelihood of each cell at each pair of effects, then the sum over all five effects on a grid.
    eta, shift = x @ beta, sds[0] * grid[:, None] + sds[1] * grid[None, :]
    logs = [
        y[c] @ eta[c] + y[c].sum() * shift - np.logaddexp(0, eta[c][:, None, None] + shift).sum(axis=0) for c in cells
    ]
    prior = -(grid**2) / 2 - np.log(2 * np.pi) / 2
    total = np.zeros((19,) * 5)  # axes: three of the first grouping, two of the second
    for (a, b), values in zip(product(range(3), range(2)), logs, strict=True):
        shape = [1] * 5
        shape[a], shape[3 + b] = 19, 19
        total = total + values.reshape(shape)
    for axis in range(5):
        total = total + prior.reshape([19 if k == axis else 1 for k in range(5)])
    peak = total.max()
    brute = peak + np.log(np.exp(total - peak).sum() * (grid[1] - grid[0]) ** 5)
    value = Model(x, y, groups).log_likelihood(np.array([*beta, *sds]))[0]
    assert value == pytest.approx(brute, abs=0.03)


def test_which_grouping_comes_first_does_not_matter():
    x, y, (first, second) = simulated(4, (30, 6), 300, (0.7, 0.5))
    one, other = Model(x, y, [first, second]).fit(), Model(x, y, [second, first]).fit()
    assert one.beta == pytest.approx(other.beta, abs=1e-4)
    assert one.sds == pytest.approx(other.sds[::-1], abs=1e-4)
    assert one.covariance == pytest.approx(other.covariance, abs=1e-4)


def test_without_groups_and_priors_it_is_ordinary_logistic_regression():
    x, y, _ = simulated(5, (), 200, ())
    fit = Model(x, y, priors=False).fit()
    rates = [y[np.arange(200) % 3 == k].mean() for k in range(3)]
    odds = np.log(rates) - np.log1p(-np.array(rates))
    assert fit.beta == pytest.approx([odds[0], odds[1] - odds[0], odds[2] - odds[0]], abs=1e-5)
    counts = np.array([67, 67, 66]) * rates * (1 - np.array(rates))
    assert np.diag(fit.covariance)[1] == pytest.approx(1 / counts[0] + 1 / counts[1], rel=1e-4)


def test_priors_keep_separated_data_finite():
    x, _, groups = simulated(6, (20, 9), 180, (0.5, 0.5))
    fit = Model(x, x[:, 1].copy(), groups).fit()
    assert fit.converged
    assert 3.0 < fit.beta[1] < 15.0
    assert all(sd < 3.0 for sd in fit.sds)
    assert fit.beta[1] - 1.96 * fit.covariance[1, 1] ** 0.5 > 0.0


def test_priors_move_little_where_the_data_speak():
    x, y, groups = simulated(7, (300, 9), 3000, (0.7, 0.4))
    strong, plain = (Model(x, y, groups, priors=p).fit() for p in (True, False))
    assert strong.beta[1:] == pytest.approx(plain.beta[1:], abs=0.03)
    assert strong.sds[0] == pytest.approx(plain.sds[0], abs=0.05)


def test_three_thousand_trials_take_less_than_two_seconds():
    x, y, groups = simulated(8, (1000, 30), 3000, (0.7, 0.4))
    begun = time.thread_time()  # of the processor: what else runs on the machine is no part of it
    assert Model(x, y, groups).fit().converged
    assert time.thread_time() - begun < 2.0


def test_rows_of_unequal_number_are_refused():
    with pytest.raises(ValueError, match="equal number"):
        Model(np.ones((3, 1)), np.zeros(2))
    with pytest.raises(ValueError, match="at most two groupings"):
        Model(np.ones((3, 1)), np.zeros(3), [np.zeros(3, dtype=int)] * 3)
