"""Logistic regression with one or two crossed random intercepts, by the Laplace approximation.

The model: ``logit P(y = 1) = x beta + sd_1 v_1[g_1] + sd_2 v_2[g_2]`` with independent standard normal ``v``. The
integral over ``v`` is replaced by its Laplace approximation, as lme4's ``glmer`` does, and maximised over ``beta`` and
the standard deviations at once; standard errors come from the Hessian at the maximum, all parameters free.

Sources: Bates, Maechler, Bolker and Walker, "Fitting linear mixed-effects models using lme4", Journal of Statistical
Software 67 (2015), 1-48, for the parametrisation; Breslow and Clayton, "Approximate inference in generalized linear
mixed models", Journal of the American Statistical Association 88 (1993), 9-25. Priors, which can be left out: Cauchy
on coefficients (Gelman, Jakulin, Pittau and Su, "A weakly informative default prior distribution for logistic and
other regression models", Annals of Applied Statistics 2 (2008), 1360-1383) against separation; gamma of shape 2 on
standard deviations (Chung, Rabe-Hesketh, Dorie, Gelman and Liu, "A nondegenerate penalized likelihood estimator for
variance parameters in multilevel models", Psychometrika 78 (2013), 685-709) against estimates of zero.

CAVEAT: with few trials a group the approximation draws standard deviations towards zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

COEFFICIENT_SCALE = 5.0
"""Scale of the Cauchy prior on effects. Twice that of Gelman et al.: the levels of a factor share one reference, which
the scale 2.5 drew towards them all at once, so that intervals covered planted effects in 81 to 87 % only."""
INTERCEPT_SCALE = 10.0
SD_RATE = 1.0
"""Rate of the gamma prior: its mode is at 1, its 95 % quantile near 5 log-odds."""
_MOST_SD = 20.0
_STEP = 1e-4  # of the Hessian's differences


@dataclass(frozen=True, kw_only=True)
class Fit:
    """A fitted model. ``beta`` has shape (p,), ``covariance`` (p, p), ``sds`` one number a grouping."""

    beta: Floats
    covariance: Floats
    sds: tuple[float, ...]
    log_likelihood: float
    """Laplace approximation, without priors."""
    converged: bool


@dataclass(frozen=True, kw_only=True)
class _Mode:
    """The random effects at their maximum for given parameters, and what their Hessian is made of."""

    v: tuple[Floats, Floats]
    mu: Floats
    diagonal: Floats
    """Of the first grouping's block, shape (q1,)."""
    cross: Floats
    """The block between the groupings, shape (q1, q2)."""
    schur: Floats
    """What is left of the second grouping's block once the first is eliminated, shape (q2, q2)."""
    value: float
    """Joint log density, without the constant of the normal distribution."""


class Model:
    """The data of one model. ``x``: shape (n, p), the intercept first; ``y``: n times 0 or 1; ``groups``: at most two
    arrays of n group numbers from 0; the one with more groups first, since its block is kept as a diagonal."""

    def __init__(self, x: Floats, y: Floats, groups: Sequence[Ints] = (), *, priors: bool = True) -> None:
        if len(groups) > 2 or x.ndim != 2 or not all(len(part) == len(x) for part in (y, *groups)) or not len(x):
            shapes = [np.shape(part) for part in (x, y, *groups)]
            raise ValueError(f"a model needs rows of equal number and at most two groupings. Received {shapes}")
        self._x, self._y, self._priors = x, y, priors
        self.present = len(groups)
        # A grouping that is not there is one group whose standard deviation stays at zero.
        none = np.zeros(len(y), dtype=np.int64)
        self._g = (groups[0] if groups else none, groups[1] if len(groups) > 1 else none)
        self._q = (int(self._g[0].max()) + 1, int(self._g[1].max()) + 1)
        self._cell = self._g[0] * self._q[1] + self._g[1]
        self._start = (np.zeros(self._q[0]), np.zeros(self._q[1]))
        self._scales = np.full(x.shape[1], COEFFICIENT_SCALE)
        self._scales[0] = INTERCEPT_SCALE

    def fit(self) -> Fit:
        """Maximise. Deterministic."""
        p = self._x.shape[1]
        start = np.concatenate([np.zeros(p), np.where(np.arange(2) < self.present, 0.5, 0.0)])
        lowest = 1e-3 if self._priors else 0.0
        bounds = [(-30.0, 30.0)] * p + [(lowest, _MOST_SD) if k < self.present else (0.0, 0.0) for k in range(2)]
        found = minimize(
            self._negative,
            start,
            jac=True,
            method="SLSQP",  # L-BFGS-B loses its time in the threads of a linear algebra library at this size
            bounds=bounds,
            options={"maxiter": 1000, "ftol": 1e-12},
        )
        best = np.asarray(found.x, dtype=np.float64)
        covariance, curved = self._covariance(best)
        return Fit(
            beta=best[:p],
            covariance=covariance,
            sds=tuple(float(sd) for sd in best[p : p + self.present]),
            log_likelihood=self.log_likelihood(best)[0],
            converged=bool(curved and np.abs(self._free_gradient(best)).max() < 1e-2),
        )

    def log_likelihood(self, parameters: Floats) -> tuple[float, Floats]:
        """Laplace approximation of the log likelihood and its gradient at (beta, sd_1, sd_2)."""
        p = self._x.shape[1]
        beta, sd = parameters[:p], (float(parameters[p]), float(parameters[p + 1]))
        mode = self._mode(_times(self._x, beta), sd)
        self._start = mode.v
        value = mode.value - 0.5 * (np.log(mode.diagonal).sum() + np.linalg.slogdet(mode.schur)[1])
        return float(value), self._gradient(mode, sd)

    def _negative(self, parameters: Floats) -> tuple[float, Floats]:
        value, gradient = self.log_likelihood(parameters)
        if self._priors:
            prior, slope = self._prior(parameters)
            value, gradient = value + prior, gradient + slope
        return -value, -gradient

    def _prior(self, parameters: Floats) -> tuple[float, Floats]:
        p = self._x.shape[1]
        beta, sd = parameters[:p], parameters[p : p + self.present]
        value = -np.log1p((beta / self._scales) ** 2).sum() + (np.log(sd) - SD_RATE * sd).sum()
        slope = np.zeros(len(parameters))
        slope[:p] = -2.0 * beta / (self._scales**2 + beta**2)
        slope[p : p + self.present] = 1.0 / sd - SD_RATE
        return float(value), slope

    def _mode(self, offset: Floats, sd: tuple[float, float]) -> _Mode:
        """Newton's method with halved steps; the joint density is concave in the random effects."""
        here = self._at(self._start, offset, sd)
        for _ in range(100):
            step = self._solve(here, self._slope(here, sd))
            size, scale = max(np.abs(part).max() for part in step), 1.0
            while scale > 1e-6:
                there = self._at((here.v[0] + scale * step[0], here.v[1] + scale * step[1]), offset, sd)
                if there.value >= here.value - 1e-10:
                    break
                scale /= 2.0
            here = there
            if size < 1e-9:
                break
        return here

    def _at(self, v: tuple[Floats, Floats], offset: Floats, sd: tuple[float, float]) -> _Mode:
        eta = offset + sd[0] * v[0][self._g[0]] + sd[1] * v[1][self._g[1]]
        mu = expit(eta)
        weight = mu * (1.0 - mu)
        diagonal = 1.0 + sd[0] ** 2 * self._sum(0, weight)
        cells = np.bincount(self._cell, weight, minlength=self._q[0] * self._q[1]).reshape(self._q)
        cross = np.asarray(sd[0] * sd[1] * cells, dtype=np.float64)
        schur = np.diag(1.0 + sd[1] ** 2 * self._sum(1, weight)) - _across(cross, cross / diagonal[:, None])
        value = (self._y * eta - np.logaddexp(0.0, eta)).sum() - 0.5 * ((v[0] ** 2).sum() + (v[1] ** 2).sum())
        return _Mode(v=v, mu=mu, diagonal=diagonal, cross=cross, schur=schur, value=float(value))

    def _slope(self, mode: _Mode, sd: tuple[float, float]) -> tuple[Floats, Floats]:
        left = self._y - mode.mu
        return sd[0] * self._sum(0, left) - mode.v[0], sd[1] * self._sum(1, left) - mode.v[1]

    def _solve(self, mode: _Mode, right: tuple[Floats, Floats]) -> tuple[Floats, Floats]:
        """The Hessian of the random effects, inverted, times ``right``."""
        rest = right[1] - _times(mode.cross.T, right[0] / mode.diagonal)
        second = np.asarray(np.linalg.solve(mode.schur, rest), dtype=np.float64)
        return (right[0] - _times(mode.cross, second)) / mode.diagonal, second

    def _gradient(self, mode: _Mode, sd: tuple[float, float]) -> Floats:
        """Gradient of the approximation: of the joint density, and of the log determinant with the mode moving."""
        (g1, g2), left = self._g, self._y - mode.mu
        weight = mode.mu * (1.0 - mode.mu)
        a11, a12, a22 = self._inverse(mode)
        c11, c12, c22 = a11[g1], a12[g1, g2], np.diag(a22)[g2]
        spread = sd[0] ** 2 * c11 + 2.0 * sd[0] * sd[1] * c12 + sd[1] ** 2 * c22
        pull = 0.5 * spread * weight * (1.0 - 2.0 * mode.mu)
        s = self._solve(mode, (sd[0] * self._sum(0, pull), sd[1] * self._sum(1, pull)))
        moved = left - pull + weight * (sd[0] * s[0][g1] + sd[1] * s[1][g2])
        of_sd = [
            (moved * mode.v[k][self._g[k]] - weight * (sd[k] * own + sd[1 - k] * c12)).sum()
            - (s[k] * self._sum(k, left)).sum()
            for k, own in enumerate((c11, c22))
        ]
        return np.concatenate([_times(self._x.T, moved), of_sd])

    def _inverse(self, mode: _Mode) -> tuple[Floats, Floats, Floats]:
        """Diagonal of the first block, the block between, and the second block of the inverse Hessian."""
        second = np.asarray(np.linalg.inv(mode.schur), dtype=np.float64)
        ratio = mode.cross / mode.diagonal[:, None]
        between = -_across(ratio.T, second)
        first = np.asarray(1.0 / mode.diagonal - (between * ratio).sum(axis=1), dtype=np.float64)
        return first, between, second

    def _sum(self, k: int, values: Floats) -> Floats:
        return np.bincount(self._g[k], values, minlength=self._q[k]).astype(np.float64)

    def _free(self, best: Floats) -> Ints:
        """Numbers of the parameters that are not held at a bound."""
        p = self._x.shape[1]
        return np.array([*range(p), *(p + k for k in range(self.present) if best[p + k] > 1e-3)], dtype=np.int64)

    def _free_gradient(self, best: Floats) -> Floats:
        gradient = self._negative(best)[1]
        return np.asarray(gradient[self._free(best)], dtype=np.float64)

    def _covariance(self, best: Floats) -> tuple[Floats, bool]:
        """Covariance of the coefficients, and whether the Hessian was positive definite."""
        p, free = self._x.shape[1], self._free(best)
        hessian = np.empty((len(free), len(free)))
        for row, number in enumerate(free.tolist()):
            step = np.zeros(len(best))
            step[number] = min(_STEP, best[number] / 2) if number >= p else _STEP
            up, down = self._negative(best + step)[1], self._negative(best - step)[1]
            hessian[row] = (up - down)[free] / (2.0 * step[number])
        hessian = (hessian + hessian.T) / 2.0
        values, vectors = np.linalg.eigh(hessian)
        curved = bool(values.min() > 1e-8)
        inverse = (vectors / np.maximum(values, 1e-8)) @ vectors.T
        return inverse[:p, :p], curved


# Sums without a linear algebra library: products of this size cost less than the threads that such a library wakes.


def _times(matrix: Floats, vector: Floats) -> Floats:
    return np.asarray(np.einsum("ij,j->i", matrix, vector), dtype=np.float64)


def _across(first: Floats, second: Floats) -> Floats:
    """The first matrix, transposed, times the second."""
    return np.asarray(np.einsum("ki,kj->ij", first, second), dtype=np.float64)
