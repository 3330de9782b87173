"""Cohen's kappa with its large-sample interval: agreement of two raters beyond what their habits give by chance.

Sources: J. Cohen (1960), A coefficient of agreement for nominal scales, Educational and Psychological Measurement 20;
J. L. Fleiss, J. Cohen and B. S. Everitt (1969), Large sample standard errors of kappa and weighted kappa,
Psychological Bulletin 72, eq. 13.

CAVEAT: the interval is a large-sample one. With few cases of a label it is too narrow, and at perfect agreement its
variance is zero. There, half a case is added to every cell for the interval, so that ten of ten is not certainty.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist

Z95 = NormalDist().inv_cdf(0.975)


@dataclass(frozen=True, kw_only=True)
class Kappa:
    """Kappa in [-1, 1] with the limits of its 95 % interval; all ``None`` where it is undefined."""

    kappa: float | None
    low: float | None
    high: float | None


UNDEFINED = Kappa(kappa=None, low=None, high=None)


def cohen_kappa(table: Sequence[Sequence[float]]) -> Kappa:
    """Kappa of a square table of counts: row is the first rater's label, column the second's.

    Undefined without cases, or when both raters gave one label to everything: agreement by chance is then certain.
    """
    value, variance = _kappa(table)
    if value is None:
        return UNDEFINED
    if variance > 1e-12:
        centre, spread = value, Z95 * sqrt(variance)
    else:
        smoothed, variance = _kappa([[cell + 0.5 for cell in row] for row in table])
        assert smoothed is not None
        centre, spread = smoothed, Z95 * sqrt(variance)
    low, high = max(-1.0, centre - spread), min(1.0, centre + spread)
    return Kappa(kappa=value, low=min(low, value), high=max(high, value))


def _kappa(table: Sequence[Sequence[float]]) -> tuple[float | None, float]:
    """Kappa and its variance, or ``None`` where chance alone gives full agreement."""
    n = sum(map(sum, table))
    if n == 0:
        return None, 0.0
    p = [[cell / n for cell in row] for row in table]
    rows = [sum(row) for row in p]
    columns = [sum(column) for column in zip(*p, strict=True)]
    seen = sum(p[i][i] for i in range(len(p)))
    chance = sum(r * c for r, c in zip(rows, columns, strict=True))
    if chance > 1 - 1e-12:
        return None, 0.0
    kappa = (seen - chance) / (1 - chance)
    spread = 0.0
    for i, row in enumerate(p):
        for j, share in enumerate(row):
            weight = 1 - (rows[i] + columns[i]) * (1 - kappa) if i == j else (1 - kappa) * (columns[i] + rows[j])
            spread += share * weight**2
    variance = (spread - (kappa - chance * (1 - kappa)) ** 2) / (n * (1 - chance) ** 2)
    return kappa, max(0.0, variance)
