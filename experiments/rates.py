"""Rates with intervals: Jeffreys for one rate, Newcombe for the difference of two, independent or paired.

Sources: Brown, Cai and DasGupta, "Interval estimation for a binomial proportion", Statistical Science
16 (2001), 101-133, for Jeffreys with its convention at k = 0 and k = n; Newcombe, "Interval estimation for
the difference between independent proportions", Statistics in Medicine 17 (1998), 873-890, method 10; the same,
"Improved confidence intervals for the difference between binomial proportions based on paired data", ibid.,
2635-2650, method 10.

CAVEAT: both assume independent trials. Trials that share a seed, a layout or a deterministic model at
temperature 0 are not independent, and then every interval here is too narrow.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from redbutton.baselines import intervals


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A rate k/n with its interval. With ``n = 0`` nothing is known: rate, low and high are ``None``."""

    rate: float | None
    low: float | None
    high: float | None
    k: int
    n: int

    def to_json(self) -> dict[str, Any]:
        """The five numbers as a JSON object."""
        return {"rate": self.rate, "low": self.low, "high": self.high, "k": self.k, "n": self.n}

    def __str__(self) -> str:
        if self.rate is None or self.low is None or self.high is None:
            return "–"
        return f"{self.rate:.2f} [{self.low:.2f}, {self.high:.2f}]"


@dataclass(frozen=True, kw_only=True)
class Difference:
    """``rate1 - rate2`` with its interval; all ``None`` when one of the two groups is empty."""

    difference: float | None
    low: float | None
    high: float | None


def jeffreys(k: int, n: int, confidence: float = 0.95) -> Interval:
    """Jeffreys interval of k successes in n trials: equal-tailed quantiles of Beta(k + 1/2, n - k + 1/2).

    At ``k = 0`` the lower limit is 0 and at ``k = n`` the upper limit is 1. Raises ``ValueError`` on
    impossible counts.
    """
    _check(k, n, confidence)
    limits = intervals.jeffreys(k, n, confidence)
    if limits is None:
        return Interval(rate=None, low=None, high=None, k=0, n=0)
    return Interval(rate=k / n, low=limits[0], high=limits[1], k=k, n=n)


def wilson(k: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson score interval without continuity correction, the building block of Newcombe's. ``n`` must not be 0."""
    from scipy.special import ndtri

    _check(k, n, confidence)
    z = float(ndtri(0.5 + confidence / 2.0))
    p, z2 = k / n, z * z
    centre = p + z2 / (2 * n)
    half = z * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    scale = 1 + z2 / n
    # At the ends the exact limits are 0 and 1; rounding may leave them by an ulp.
    return (0.0 if k == 0 else (centre - half) / scale, 1.0 if k == n else (centre + half) / scale)


def newcombe(k1: int, n1: int, k2: int, n2: int, confidence: float = 0.95) -> Difference:
    """Newcombe's hybrid score interval (method 10) of ``k1/n1 - k2/n2``."""
    _check(k1, n1, confidence)
    _check(k2, n2, confidence)
    if n1 == 0 or n2 == 0:
        return Difference(difference=None, low=None, high=None)
    p1, p2 = k1 / n1, k2 / n2
    (l1, u1), (l2, u2) = wilson(k1, n1, confidence), wilson(k2, n2, confidence)
    d = p1 - p2
    return Difference(difference=d, low=d - math.hypot(p1 - l1, u2 - p2), high=d + math.hypot(u1 - p1, p2 - l2))


def newcombe_paired(both: int, only_first: int, only_second: int, neither: int, confidence: float = 0.95) -> Difference:
    """Newcombe's interval (method 10 of his paper on paired data) of the first rate minus the second.

    The four counts are those of the pairs. Raises ``ValueError`` on negative counts.
    """
    if min(both, only_first, only_second, neither) < 0:
        raise ValueError(f"pairs are counted from 0. Received {both}, {only_first}, {only_second}, {neither}")
    n = both + only_first + only_second + neither
    if n == 0:
        return Difference(difference=None, low=None, high=None)
    k1, k2 = both + only_first, both + only_second
    p1, p2 = k1 / n, k2 / n
    (l1, u1), (l2, u2) = wilson(k1, n, confidence), wilson(k2, n, confidence)
    phi = _phi(both, only_first, only_second, neither)
    down, up = (p1 - l1, u2 - p2), (u1 - p1, p2 - l2)
    d = p1 - p2
    return Difference(difference=d, low=d - _correlated(*down, phi), high=d + _correlated(*up, phi))


def _correlated(a: float, b: float, phi: float) -> float:
    """Length of two arms whose errors correlate by ``phi``."""
    return math.sqrt(max(a * a - 2.0 * phi * a * b + b * b, 0.0))


def _phi(both: int, only_first: int, only_second: int, neither: int) -> float:
    """Correlation of the two trials of a pair, with Newcombe's continuity correction; 0 where a margin is empty."""
    margins = (both + only_first) * (only_second + neither) * (both + only_second) * (only_first + neither)
    if margins == 0:
        return 0.0
    n, product = both + only_first + only_second + neither, both * neither - only_first * only_second
    corrected = max(product - n / 2.0, 0.0) if product > 0 else product
    return corrected / math.sqrt(margins)


def _check(k: int, n: int, confidence: float) -> None:
    if not 0 <= k <= n:
        raise ValueError(f"a rate needs 0 <= k <= n. Received k = {k}, n = {n}")
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence lies between 0 and 1. Received {confidence}")
